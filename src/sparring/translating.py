"""What recipes that translate pictures share: their numbers, what an objective of single scores is, and their game."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparring.average import Average
from sparring.config import UserError, resolve
from sparring.data.clusters import unlabelled
from sparring.data.loader import Augment
from sparring.data.source import Source
from sparring.data.views import only_pictures, unpaired
from sparring.game import Batch, Game, Player
from sparring.objectives import OBJECTIVES, Objective, check_objective
from sparring.optimizers import Adam, steered


@dataclass(frozen=True)
class Translating:
    """Numbers of a translator and a critic of patches; a recipe's Config adds those of its own terms."""

    rounds: int = 1600
    """Rounds; in each every network makes a step."""
    batch: int = 16
    """Pictures of each domain per round."""
    width: int = 32
    """Channels of a translator at full size."""
    blocks: int = 3
    """Residual blocks of a translator."""
    critic_width: int = 32
    """Channels of a critic's first layer."""
    critic_layers: int = 3
    """Strided convolutions of a critic: patches of 16, 34, 70 pixels for 1, 2, 3."""
    objective: str = "least-squares"
    """Any objective; without pairs, any that looks at single scores."""
    generator: Adam = field(default_factory=lambda: Adam(4e-4, 0.5, 0.999))
    """Of the translators, and of what learns with them."""
    discriminator: Adam = field(default_factory=lambda: Adam(4e-4, 0.5, 0.999))
    """Of the critics."""
    decay: float = 0.5
    """Share of the run after which learning rates fall to 0."""
    average: float = 0.99
    """Fraction of the averaged translators kept per round; 0 is off."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the pictures; of both alike where they belong together."""


def without_pairs(source: Source, recipe: str) -> Source:
    """Images beside sources, unlabelled, and by chance where they belonged together. `UserError` without sources."""
    only_pictures(source, recipe)
    if not source.about.source:
        raise UserError(
            f"--data {source.about.name} has one domain, and {recipe} translates from another: name it with --source"
        )
    return unlabelled(unpaired(source) if source.about.paired else source)


def any_objective(name: str) -> Objective:
    """The objective of that name. `UserError` for one that cannot be trained with."""
    objective: Objective = resolve(name, OBJECTIVES, "objective")
    check_objective(objective)
    return objective


def single_scores(name: str) -> Objective:
    """The same; `UserError` for one of pairs too."""
    objective = any_objective(name)
    if objective.paired:
        raise UserError(f"objective={name} compares pairs, and there are none; use least-squares or hinge")
    return objective


def fooled(objective: Objective, scores: Tensor) -> Tensor:
    """Scores of what was made, any shape -> the translator's mean loss."""
    scores = scores.float()
    return objective.generator(torch.full_like(scores, torch.nan), scores).mean()


def mean_of(critic: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """(N, C, H, W) -> (N,) mean score of the patches."""
    return lambda pictures: critic(pictures).float().flatten(1).mean(1)


def translation(
    config: Translating,
    modules: Mapping[str, nn.Module],
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer],
    product: Sequence[str] = ("generator",),
    score: Callable[[Tensor], Tensor] | None = None,
    sample: Callable[[Mapping[str, Any], Batch], Tensor] | None = None,
    draw: Callable[[int, torch.Generator | None], dict[str, Tensor]] | None = None,
) -> Game:
    """The game of these players: from `source` by the first of `product`, rates that fall at the end, averages.

    `optimizers`: what `config.generator` made, and what `config.discriminator` did where there is a critic.
    """
    adams = config.generator, config.discriminator
    return Game(
        modules=modules,
        players=players,
        product=product,
        draw=draw,
        given=("source",),
        sample=sample or (lambda found, drawn: found[product[0]](drawn["source"]).float()),
        score=None if score is None else lambda x, label: score(x),
        average=Average(config.average) if config.average else None,
        on_round=steered(zip(adams, optimizers, strict=False), config.decay, 0.0),
    )
