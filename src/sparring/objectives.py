"""What the two players are paid: an `Objective` is a value made of two functions on scores.

Scores are raw outputs of the discriminator, real above fake. Both functions return a loss per sample, to be
minimised. Your own objective is a value of the same kind in your own file:

    from sparring import Objective
    objective = Objective(discriminator=lambda real, fake: ..., generator=lambda real, fake: ...)

and `--objective my_file.py:objective` trains with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

ScoreLoss = Callable[[Tensor, Tensor], Tensor]
"""(real scores (N,), fake scores (N,)) -> loss per sample (N,)."""


@dataclass(frozen=True)
class Objective:
    """A divergence, as the game that measures it (`discriminator`) and descends it (`generator`)."""

    discriminator: ScoreLoss
    generator: ScoreLoss
    paired: bool = False
    """The generator's loss reads real scores. Otherwise it is handed NaN, so that a mistaken read fails loudly."""


def check_losses(objective: Objective) -> None:
    """ValueError unless both losses give one differentiable value per sample, from the scores they may read."""
    for name, loss, reads_real in (
        ("discriminator", objective.discriminator, True),
        ("generator", objective.generator, objective.paired),
    ):
        real, fake = (torch.full((5,), 0.5, requires_grad=True) for _ in range(2))
        value = loss(real if reads_real else torch.full((5,), torch.nan), fake)
        if not isinstance(value, torch.Tensor) or value.shape != (5,) or not value.requires_grad:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(
                f"the {name}'s loss of 5 scores is {shape}; it must be a differentiable tensor of shape (5,)"
            )
        if bool(torch.isnan(value).any()):
            why = "is NaN" if reads_real else "reads real scores; say paired=True"
            raise ValueError(f"the {name}'s loss {why}")


# Goodfellow et al. 2014, equation 1. log D = -softplus(-score); both players act on the same value.
minimax = Objective(
    discriminator=lambda real, fake: softplus(-real) + softplus(fake),
    generator=lambda real, fake: -softplus(fake),
)

# Goodfellow et al. 2014, section 3: the generator maximises log D(G(z)), whose gradient does not vanish early.
non_saturating = Objective(
    discriminator=lambda real, fake: softplus(-real) + softplus(fake),
    generator=lambda real, fake: softplus(-fake),
)

# Mao et al. 2017, equation 9 (a = 0, b = c = 1), with the factor 1/2 of both.
least_squares = Objective(
    discriminator=lambda real, fake: 0.5 * (real - 1).square() + 0.5 * fake.square(),
    generator=lambda real, fake: 0.5 * (fake - 1).square(),
)

# Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17.
hinge = Objective(
    discriminator=lambda real, fake: relu(1 - real) + relu(1 + fake),
    generator=lambda real, fake: -fake,
)

OBJECTIVES: Mapping[str, Objective] = {
    "non-saturating": non_saturating,
    "minimax": minimax,
    "least-squares": least_squares,
    "hinge": hinge,
}
