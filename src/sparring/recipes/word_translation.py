"""MUSE: a dictionary of two languages from the vectors of their words alone.

Conneau, Lample, Ranzato, Denoyer and Jegou 2018. A rotation of the one language's vectors is trained until a critic
cannot tell them from the other's; then words that are each other's nearest are taken for translations, and the rotation
that fits them best is computed, a few times over (Procrustes). Nearness is CSLS, which is fair to words that are near
to everything.

The first part often fails, and nobody who knows no pair sees it in the losses. So several maps are trained at once,
each from another beginning and against a critic of its own, and the one is used whose words lie nearest to their
translations: a measure that needs no pair (`nearness`, kept in the run).

    sparring train word_translation --data en.vec --source it.vec
    sparring train word_translation --data en.vec --source turned

Expected on a hidden rotation of 3,000 words of the Brown corpus, in about 23 CPU seconds: the adversary alone finds a
tenth of them, the refinement all (at least 99 %) with the map that is chosen; others find next to none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sparring.config import UserError
from sparring.data.clusters import unlabelled
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Loss, Player
from sparring.nn.alignment import Centre, Choice, Critics, Maps, Memory, dictionary, procrustes
from sparring.optimizers import Adam, steered


@dataclass(frozen=True)
class Config:
    """Numbers of the maps, their critics and the refinement."""

    rounds: int = 1500
    """Rounds, the refinements included."""
    batch: int = 64
    """Words of each language per step."""
    maps: int = 4
    """Beginnings that are tried at once."""
    critic_steps: int = 2
    """Steps of the critics per round."""
    width: int = 128
    """Units of the critics' two hidden layers."""
    forget: float = 0.1
    """Share of the numbers of a vector that critics do not see."""
    smooth: float = 0.1
    """Critics are asked for less than certainty, by so much."""
    beta: float = 0.05
    """How far a map is brought back to a rotation after each step."""
    refinements: int = 5
    """Rounds at the end in which translations are taken for known, and the best rotation is computed."""
    memory: int = 5000
    """Words of each language that refinements look at: the last ones seen, each once."""
    generator: Adam = field(default_factory=lambda: Adam(5e-3, 0.5, 0.99))
    """Of the maps."""
    discriminator: Adam = field(default_factory=lambda: Adam(1e-3, 0.5, 0.99))
    """Of the critics."""


PRESETS: Mapping[str, Config] = {"tuned": Config()}


@dataclass(frozen=True)
class _Muse:
    """The losses over the modules. x are sources, y points, both without their mean and of length 1."""

    config: Config
    maps: Maps
    critics: Critics
    memory: Memory
    choice: Choice
    of_sources: Centre
    of_points: Centre

    def told(self, batch: Batch) -> Loss:
        x, y = self.of_sources(batch["source"]), self.of_points(batch["point"])
        with torch.no_grad():
            made = self.maps(x)
        self.memory.seen(batch["point"], batch["source"])
        scores = self.critics(torch.cat([made, y.expand_as(made)], 1)).float()
        fake, real = scores[:, : len(x)], scores[:, len(x) :]
        right = ((fake < 0).float().mean() + (real > 0).float().mean()) / 2
        return Loss({"objective": self.asked(fake, 0) + self.asked(real, 1)}, {"told apart": right.detach()})

    def fooled(self, batch: Batch) -> Loss:
        scores = self.critics(self.maps(self.of_sources(batch["source"]))).float()
        return Loss({"objective": self.asked(scores, 1)})

    def asked(self, scores: Tensor, truth: int) -> Tensor:  # summed: maps have nothing to do with each other
        wanted = torch.full_like(scores, abs(truth - self.config.smooth))
        return binary_cross_entropy_with_logits(scores, wanted, reduction="none").mean(1).sum()

    def turned(self, loss: Loss) -> None:
        self.maps.straighten(self.config.beta)

    def kept(self, loss: Loss) -> None:
        for centre, rows in zip((self.of_points, self.of_sources), self.memory.keep(), strict=True):
            centre.see(rows)

    def away(self, batch: Batch) -> Loss:
        # what a refinement brings to its least in one step; rates have fallen to 0, so the optimizer moves nothing
        x, y = self.of_sources(batch["source"]), self.of_points(batch["point"])
        return Loss({"distance": (self.maps(x).mean(1) - y.mean(0)).square().sum()})

    def refined(self, loss: Loss) -> None:
        points, sources = self.memory.both()
        points, sources = self.of_points(points), self.of_sources(sources)
        for number, made in enumerate(self.maps(sources)):
            here, there, near = dictionary(made, points)
            self.choice.nearness[number] = near
            if len(here) >= 2:
                self.maps.weight[number] = procrustes(sources[here], points[there])


def sampled(found: Mapping[str, Any], drawn: Batch) -> Tensor:
    """Sources turned by the map of the greatest nearness, about the middles of either side."""
    best = found["maps"].weight[found["choice"].nearness.argmax()]
    made: Tensor = (drawn["source"] - found["centre of sources"].mean) @ best + found["centre of points"].mean
    return made


def data(config: Config, source: Source) -> Source:
    """Points beside points of another set."""
    about = source.about
    if about.key != "point" or not about.source:
        raise UserError(f"--data {about.name}: word_translation needs vectors of two languages: --source it.vec")
    return unlabelled(source)


def build(config: Config, about: About) -> Game:
    """Maps, their critics, a memory for the refinement."""
    if about.shape != about.source:
        lengths = f"{about.shape[0]} and of {about.source[0]} numbers"
        raise UserError(f"vectors of {lengths} cannot be turned into each other; use vectors of one length")
    if config.rounds < 2:
        raise UserError(f"rounds={config.rounds}: one is needed to learn, and one to refine; use 2 or more")
    begin = max(config.rounds // 2, config.rounds - config.refinements)
    maps, critics = Maps(about.shape[0], config.maps), Critics(about.shape[0], config.maps, config.width, config.forget)
    centres = Centre(about.shape[0]), Centre(about.shape[0])
    muse = _Muse(config, maps, critics, Memory(about.shape[0], config.memory), Choice(config.maps), *centres)
    adams = config.generator, config.discriminator
    movers = adams[0].over(maps.parameters()), adams[1].over(critics.parameters())
    modules: dict[str, nn.Module] = {
        "maps": maps, "critics": critics, "memory": muse.memory, "choice": muse.choice,
        "centre of sources": muse.of_sources, "centre of points": muse.of_points,
    }  # fmt: skip
    return Game(
        modules=modules,
        players=[
            Player("discriminator", muse.told, movers[1], repeat=config.critic_steps, stop=begin, after=muse.kept),
            Player("generator", muse.fooled, movers[0], stop=begin, after=muse.turned),
            Player("refinement", muse.away, movers[0], start=begin, after=muse.refined),
        ],
        product=("maps", "choice", "centre of sources", "centre of points"),
        given=("source",),
        sample=sampled,
        score=lambda x, label: critics(muse.of_points(x).expand(config.maps, -1, -1)).mean(0),
        on_round=steered(zip(adams, movers, strict=True), 0.0, 0.0, end=begin / config.rounds),
    )
