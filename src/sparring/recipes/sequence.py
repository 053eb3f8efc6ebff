"""Texts, word by word. Yu et al. 2017 (SeqGAN); Jang et al. 2017 and Nie et al. 2019 (RelGAN) for the carrier.

    sparring train sequence --data my_poems.txt

    likelihood     -log p(text), word by word, until progress `likelihood`
    discriminator  the objective on scores of real texts and written ones, `early` of the run before the generator
    generator      the objective through one-hot words whose gradient is that of the Gumbel-softmax (`straight`); or
                   -(reward - usual reward) log p(word), the reward a score of the finished text (`policy`)

A critic must see whole words: soft ones give a writer away at once. `anchor` keeps likelihood as a term beside the
adversary, which holds the modes that it would drop. Judge the pair: how likely samples are (an oracle, BLEU) and how
likely held-out texts are (`nll` of `sparring evaluate`, exact). One alone can be had for nothing: a `temperature`
below 1 makes any model's samples likelier. `likelihood` is the baseline to beat, and often is not beaten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from sparring.average import Average
from sparring.config import UserError
from sparring.data.clusters import unlabelled
from sparring.data.source import About, Source
from sparring.data.words import FIRST
from sparring.duel import Dial
from sparring.game import Bound, Game, Latent, Player
from sparring.nn.sequence import Baseline, Cell, TextCritic, TokenGenerator
from sparring.optimizers import Adam
from sparring.schedules import Number, at, ever, falling
from sparring.translating import any_objective
from sparring.writing import Writing, check


@dataclass(frozen=True)
class Config:
    """Numbers of the writer and its critic."""

    rounds: int = 3000
    """Rounds of all phases together."""
    batch: int = 64
    """Texts per round."""
    likelihood: float = 0.7
    """Progress until which the generator learns by likelihood alone: 1 never ends it, 0 has none."""
    early: float = 0.05
    """Share of the run by which the discriminator begins before the generator's adversarial turns."""
    carrier: Literal["straight", "policy"] = "straight"
    """How a score reaches the generator: straight-through Gumbel-softmax, or as a reward."""
    tau: Number = 1.0
    """Temperature of the Gumbel-softmax's gradient."""
    anchor: float = 0.0
    """Weight of likelihood beside the adversary."""
    rollouts: int = 0
    """Reward of each word: mean over so many endings drawn from there; 0 rewards all words of a text alike."""
    usual: float = 0.9
    """Fraction of the usual reward kept per round; 0 subtracts nothing."""
    objective: str = "hinge"
    """By name, or your own."""
    cell: Cell = "gru"
    """Of the generator."""
    embedding: int = 32
    """Numbers by which the generator knows a word."""
    hidden: int = 96
    """Numbers by which it knows what it has written."""
    places: bool = False
    """Tell it which place of the text it writes, where the form hangs on that, as in verse."""
    critic_embedding: int = 64
    """Numbers by which the discriminator knows a word."""
    critic_widths: tuple[int, ...] = (2, 3, 4, 5)
    """Words that its convolutions look at."""
    critic_maps: int = 64
    """Channels of each."""
    critic_steps: int = 1
    """Turns of the discriminator per round."""
    spectral: bool = True
    """Spectral normalisation of the discriminator."""
    learning: Adam = field(default_factory=lambda: Adam(5e-3, 0.9, 0.999))
    """Of likelihood alone; falls to a tenth in its phase."""
    generator: Adam = field(default_factory=lambda: Adam(2e-4, 0.5, 0.999))
    """Against the discriminator."""
    discriminator: Adam = field(default_factory=lambda: Adam(2e-3, 0.5, 0.999))
    """Of the discriminator."""
    average: Number = 0.99
    """Fraction of the averaged generator kept per round; 0 averages nothing."""
    temperature: float = 1.0
    """Of samples: below 1 likely words are likelier. Training does not read it."""


_SEQGAN = Config(
    carrier="policy", objective="non-saturating", cell="lstm", hidden=32, spectral=False, average=0.0, rollouts=4,
    critic_widths=(1, 2, 3, 4, 5, 6, 8, 10), learning=Adam(1e-2, 0.9, 0.999), generator=Adam(1e-3, 0.9, 0.999),
)  # fmt: skip
PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "adversarial": Config(likelihood=0.0, early=0.0, generator=Adam(1e-3, 0.5, 0.999)),
    "seqgan": _SEQGAN, "likelihood": Config(likelihood=1.0),
}  # fmt: skip


def data(config: Config, source: Source) -> Source:
    """Texts, without labels."""
    about = source.about
    if about.key != "text":
        raise UserError(f"--data {about.name} has {about.what}, and sequence writes texts; give it a .txt")
    return unlabelled(source)


def build(config: Config, about: About) -> Game:
    """Players in phases: likelihood, then a discriminator and the generator against it."""
    check(config.likelihood, config.early, config.temperature, config.rollouts if config.carrier == "straight" else 0)
    length, first = about.shape[0], FIRST if about.whole else 0
    symbols = len(about.vocabulary) + FIRST - first
    generator = TokenGenerator(symbols, first, length, config.embedding, config.hidden, config.cell, config.places)
    sizes = config.critic_embedding, config.critic_widths, config.critic_maps
    critic = TextCritic(symbols, length, *sizes, config.spectral) if config.likelihood < 1 else None
    objective = any_objective(config.objective)
    if objective.lipschitz and not config.spectral:
        raise UserError(f"objective={config.objective} needs a critic of bounded slope; leave --no-spectral out")
    usual = Baseline(length, config.usual) if config.usual else nn.Identity()
    told = critic or nn.Identity()
    writing = Writing(generator, told, objective, usual, Dial(config.tau), config.anchor, config.rollouts)
    turn, early = round(config.likelihood * config.rounds), round(config.early * config.rounds)
    adams = config.learning, config.generator, config.discriminator
    owners: list[nn.Module] = [generator, *([] if critic is None else [generator, critic])]
    learner, *fighters = (adam.over(owner.parameters()) for adam, owner in zip(adams, owners, strict=False))
    players = [Player("likelihood", writing.likelihood, learner, stop=turn)]
    modules: dict[str, nn.Module] = {"generator": generator}
    if critic is not None:
        writer, judge = fighters
        adversary = writing.straight if config.carrier == "straight" else writing.policy
        players += [
            Player("discriminator", writing.discriminator, judge, config.critic_steps, start=max(0, turn - early)),
            Player("generator", adversary, writer, start=turn),
        ]
        modules |= {"critic": critic} | ({"usual": usual} if config.carrier == "policy" and config.usual else {})

    def on_round(progress: float) -> None:
        config.learning.steer(learner, progress, falling(min(1.0, progress / max(config.likelihood, 1e-9)), 0.5, 0.1))
        for adam, optimizer in zip(adams[1:], fighters, strict=False):
            adam.steer(optimizer, progress)
        writing.tau.value = at(config.tau, progress)

    def log_weights(found: Mapping[str, Any], text: Tensor, k: int) -> Tensor:
        exact: Tensor = found["generator"].log_prob(text, config.temperature).sum(1)
        return exact[:, None].expand(-1, k)

    return Game(
        modules=modules,
        players=[player for player in players if player.stop != 0 and player.start < config.rounds],
        product=("generator",),
        draw=Latent(length, uniform=True),
        sample=lambda found, drawn: found["generator"].draw(
            (drawn["latent"] + 1) / 2, drawn.get("temperature", config.temperature)
        ),
        tempered=True,
        score=None if critic is None else lambda x, label: writing.score(x),
        average=Average(config.average) if ever(config.average) else None,
        bound=Bound("texts", log_weights, exact=True),
        on_round=on_round,
    )
