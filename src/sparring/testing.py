"""Checks for your own objectives and games, and the small things that tests are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparring.game import Game, Latent, two_player
from sparring.objectives import Objective, check_objective, hinge

__all__ = ["Affine", "check_objective", "toy_game"]
from sparring.optimizers import Adam


class Affine(nn.Module):
    """The smallest network that takes a label and ignores it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(N, before) -> (N, after), or (N,) scores when `after` is 1."""
        out: Tensor = self.linear(x)
        return out.squeeze(1)


def toy_game(objective: Objective = hinge, seed: int = 0, share_fakes: bool = True) -> Game:
    """A two-player game on points of the plane that plays a round in a millisecond."""
    torch.manual_seed(seed)
    generator, discriminator = Affine(3, 2), Affine(2, 1)
    return two_player(
        generator,
        discriminator,
        latent=Latent(3),
        key="point",
        objective=objective,
        generator_optimizer=Adam(1e-2).over(generator.parameters()),
        discriminator_optimizer=Adam(1e-2).over(discriminator.parameters()),
        share_fakes=share_fakes,
    )
