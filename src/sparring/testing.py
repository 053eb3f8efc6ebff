"""Checks for your own objectives and games, and the small things that tests are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparring.game import Game, Latent, two_player
from sparring.objectives import Objective, check_losses, hinge
from sparring.optimizers import Adam


def check_objective(objective: Objective) -> None:
    """Raise ValueError unless the objective can drive a game.

    Both losses keep one value per sample; at score 1/2 (0 is where
    least squares wants fakes to be) the discriminator wants real scores up and fake ones down,
    and the generator wants fake ones up; everything is finite for scores up to 50 in size.
    """
    check_losses(objective)
    real, fake = (torch.full((5,), 0.5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    loss = objective.discriminator(real, fake)
    raise_real, lower_fake = torch.autograd.grad(loss.sum(), (real, fake))
    _require(bool((raise_real < 0).all()), "the discriminator does not want real scores to rise")
    _require(bool((lower_fake > 0).all()), "the discriminator does not want fake scores to fall")
    seen = real.detach() if objective.paired else torch.full_like(real, torch.nan)
    loss = objective.generator(seen, fake)
    (raise_fake,) = torch.autograd.grad(loss.sum(), fake)
    _require(bool((raise_fake < 0).all()), "the generator does not want fake scores to rise")
    large = torch.tensor([-50.0, 50.0])
    extremes: list[Tensor] = [objective.discriminator(large, large.flip(0)), objective.generator(large, large.flip(0))]
    _require(all(bool(torch.isfinite(value).all()) for value in extremes), "a loss is not finite for scores of +-50")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


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
