"""CipherGAN: texts translated symbol by symbol from texts alone, without a sentence that is known in both languages.

Gomez, Huang, Zhang, Li, Osama and Kaiser 2018. CycleGAN's game, where the pictures are texts: two translators and a
critic of each language. A translator is here a table, a row of chances per symbol (and per phase of the key, `period`).
Two things decide whether it works, and both are settings with a control in the proof:

- the critics see *symbols*, drawn by their chances, never the chances (`carrier`): else they tell the two by their
  softness alone. The slope goes through the draw (straight-through Gumbel-softmax);
- the cycle weighs *little* (`cycle`). It is content with any exchange of symbols, and a heavy one keeps the first.

    sparring train text_translation --data plain.txt --unit letters --source cipher:substitution
    sparring train text_translation --data plain.txt --unit letters --source secret.txt
    sparring translate RUN secret.txt

Expected on the Brown corpus (27 symbols, two disjoint halves; frequencies of symbols alone read 93 %): all symbols
read rightly in about 80 CPU seconds. The held-out score `words right` needs the truth; without it, the text tells at a
glance, and `nats back`: a run that has lost its way ends with more than 1. Then another `--seed` helps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from sparring.config import UserError
from sparring.data.clusters import unlabelled
from sparring.data.source import About, Source
from sparring.duel import Dial
from sparring.game import Batch, Game, Loss, Player
from sparring.nn.cipher import Tables, TextCritic, chosen, missed, read, spelled
from sparring.objectives import Objective
from sparring.optimizers import Adam, steered
from sparring.schedules import Number, at
from sparring.translating import fooled, single_scores

MOST = 1000
"""Symbols of a language: a table has a number for every pair."""


@dataclass(frozen=True)
class Config:
    """Numbers of the translators and their critics."""

    rounds: int = 1600
    """Rounds; in each both sides make a step."""
    batch: int = 64
    """Texts of each language per round."""
    period: int = 1
    """Length of the key: 1 for a substitution, where a symbol means the same at every place."""
    carrier: Literal["symbols", "chances"] = "symbols"
    """What critics and the cycle are given: symbols drawn by their chances, or the chances, which fails."""
    temperature: float = 1.0
    """Of the draw: lower makes its slope steeper."""
    objective: str = "hinge"
    """Any objective that looks at single scores; of every place of a text."""
    cycle: Number = 0.05
    """Weight of the cross-entropy, in nats a symbol, of the text that comes back; 1 holds on to any exchange."""
    width: int = 64
    """Channels of the critics."""
    layers: int = 2
    """Their convolutions over 3 places."""
    generator: Adam = field(default_factory=lambda: Adam(1e-3, 0.5, 0.9))
    """Of both translators."""
    discriminator: Adam = field(default_factory=lambda: Adam(1e-3, 0.5, 0.9))
    """Of both critics."""
    decay: float = 0.8
    """Share of the run after which learning rates fall to 0."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "vigenere": Config(rounds=2400, period=3),
}


@dataclass(frozen=True)
class _Cipher:
    """The losses over the four modules. x are sources, y texts."""

    config: Config
    weight: Dial
    """Of the cycle."""
    objective: Objective
    symbols: tuple[int, int]
    """Of sources and texts."""
    to_text: nn.Module
    to_source: nn.Module
    of_texts: nn.Module
    of_sources: nn.Module

    def made(self, translator: nn.Module, given: Tensor) -> Tensor:
        there = given.sum(2, keepdim=True)
        return chosen(translator(given), there, self.config.carrier == "symbols", self.config.temperature)

    def translators(self, batch: Batch) -> Loss:
        x, y = spelled(batch["source"], self.symbols[0]), spelled(batch["text"], self.symbols[1])
        made_y, made_x = self.made(self.to_text, x), self.made(self.to_source, y)
        back = missed(self.to_source(made_y), batch["source"]) + missed(self.to_text(made_x), batch["text"])
        told = fooled(self.objective, self.of_texts(made_y)) + fooled(self.objective, self.of_sources(made_x))
        return Loss({"objective": told, "cycle": self.weight.value * back}, {"nats back": back.detach() / 2})

    def critics(self, batch: Batch) -> Loss:
        x, y = spelled(batch["source"], self.symbols[0]), spelled(batch["text"], self.symbols[1])
        with torch.no_grad():
            made_y, made_x = self.made(self.to_text, x), self.made(self.to_source, y)
        return Loss({"objective": self.told(self.of_texts, y, made_y) + self.told(self.of_sources, x, made_x)})

    def told(self, critic: nn.Module, real: Tensor, made: Tensor) -> Tensor:
        scores = critic(torch.cat([real, made])).float()
        return self.objective.discriminator(scores[: len(real)], scores[len(real) :]).mean()


def data(config: Config, source: Source) -> Source:
    """Texts beside texts to translate from; in training not those that belong together."""
    about = source.about
    if about.key != "text" or not about.source:
        raise UserError(
            f"--data {about.name}: text_translation needs texts of two languages: --data plain.txt --unit letters "
            "--source secret.txt, or --source cipher:substitution"
        )
    return unlabelled(source)


def build(config: Config, about: About) -> Game:
    """Tables both ways, critics of both."""
    symbols = len(about.source_vocabulary), len(about.vocabulary)
    if max(symbols) > MOST:
        raise UserError(
            f"vocabulary: {max(symbols):,} symbols, and tables have at most {MOST:,}; use --vocabulary {MOST // 5}, or "
            "--unit letters"
        )
    if config.period < 1 or about.source[0] % config.period:
        raise UserError(
            f"period={config.period}: texts of {about.source[0]} symbols must begin with the key; use a --length that "
            "is a multiple of it"
        )
    objective = single_scores(config.objective)
    before, after = symbols
    modules: dict[str, nn.Module] = {
        "to text": Tables(before, after, config.period),
        "to source": Tables(after, before, config.period),
        "critic of texts": TextCritic(after, config.width, config.layers),
        "critic of sources": TextCritic(before, config.width, config.layers, config.period),
    }
    to_text, to_source, of_texts, of_sources = modules.values()
    both = _Cipher(config, Dial(config.cycle), objective, symbols, to_text, to_source, of_texts, of_sources)
    translators = config.generator.over([*to_text.parameters(), *to_source.parameters()])
    critics = config.discriminator.over([*of_texts.parameters(), *of_sources.parameters()])
    steer = steered([(config.generator, translators), (config.discriminator, critics)], config.decay, 0.0)

    def on_round(progress: float) -> None:
        steer(progress)
        both.weight.value = at(config.cycle, progress)

    return Game(
        modules=modules,
        players=[Player("discriminator", both.critics, critics), Player("generator", both.translators, translators)],
        product=("to text", "to source"),
        given=("source",),
        sample=lambda found, drawn: read(found["to text"](spelled(drawn["source"], before)), drawn["source"]),
        score=lambda x, label: of_texts(spelled(x, after)).float().mean(1),
        on_round=on_round,
    )
