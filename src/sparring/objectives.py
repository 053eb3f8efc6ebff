"""What the two players are paid: an `Objective` is a value made of two functions on scores.

Scores are raw outputs of the discriminator, real above fake. Both functions return a loss per sample, to be
minimised. Your own objective is a value of the same kind in your own file:

    from sparring import Objective
    objective = Objective(discriminator=lambda real, fake: ..., generator=lambda real, fake: ...)

and `--objective my_file.py:objective` trains with it; or it comes from a convex function of your own:

    objective = of_convex(lambda u: u * torch.log(u)).objective()

Every f-divergence of Nowozin et al. 2016 is in `DIVERGENCES`, every objective in `OBJECTIVES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu, softplus

ScoreLoss = Callable[[Tensor, Tensor], Tensor]
"""(real scores (N,), fake scores (N,)) -> loss per sample (N,)."""


@dataclass(frozen=True)
class Objective:
    """A divergence, as the game that measures it (`discriminator`) and descends it (`generator`)."""

    discriminator: ScoreLoss
    generator: ScoreLoss
    paired: bool = False
    """The generator's loss reads real scores. Otherwise it is handed NaN, so that a mistaken read fails loudly."""
    boundary: float | None = 0.0
    """The score at which the discriminator is undecided; None where only differences of scores mean anything."""
    lipschitz: bool = False
    """Says nothing unless the discriminator's slope is bounded."""


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
    boundary=0.5,
)

# Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17.
hinge = Objective(
    discriminator=lambda real, fake: relu(1 - real) + relu(1 + fake),
    generator=lambda real, fake: -fake,
)

# Arjovsky et al. 2017, equations 2 and 3. Says nothing unless the discriminator is kept Lipschitz: clip its weights,
# penalise its gradient or normalise its spectrum.
wasserstein = Objective(
    discriminator=lambda real, fake: fake - real,
    generator=lambda real, fake: -fake,
    boundary=None,
    lipschitz=True,
)

# Jolicoeur-Martineau 2019 ("The relativistic discriminator"), equations 7 and 8 with f = -log sigmoid: which of a
# pair is the real one. Huang et al. 2024 (R3GAN), equation 2. Both players use it without saturation.
relativistic = Objective(
    discriminator=lambda real, fake: softplus(fake - real),
    generator=lambda real, fake: softplus(real - fake),
    paired=True,
    boundary=None,
)

# The same paper, equations 9 and 10: against the average of the other kind.
relativistic_average = Objective(
    discriminator=lambda real, fake: softplus(fake.mean() - real) + softplus(fake - real.mean()),
    generator=lambda real, fake: softplus(real - fake.mean()) + softplus(real.mean() - fake),
    paired=True,
    boundary=None,
)


@dataclass(frozen=True)
class Divergence:
    """An f-divergence, D_f(P|Q) = integral of q f(p/q), as its variational bound. Nowozin et al. 2016, equation 4.

    The score v of the discriminator becomes T = activation(v), which lies where the convex conjugate f* of f is
    finite; E_P[T] - E_Q[f*(T)] is at most the divergence, and equals it where T = f'(p/q).
    """

    f: Callable[[Tensor], Tensor]
    """Convex on u > 0, f(1) = 0; u is p/q, real over fake."""
    activation: Callable[[Tensor], Tensor]
    """v -> T, increasing. Table 6 of the paper."""
    conjugate: Callable[[Tensor], Tensor]
    """v -> f*(activation(v)): the two in one, because their product is stable where the factors are not."""
    boundary: float = 0.0
    """The score v at which p and q are alike, T = f'(1)."""

    def bound(self, real: Tensor, fake: Tensor) -> Tensor:
        """Scores (N,), (M,) -> the scalar that the discriminator raises towards the divergence, in nats."""
        return self.activation(real).mean() - self.conjugate(fake).mean()

    def objective(self, alternative: bool = False) -> Objective:
        """The game: the generator lowers the bound itself, or, `alternative`, raises E_Q[T] (section 3.2)."""
        activation, conjugate = self.activation, self.conjugate
        return Objective(
            discriminator=lambda real, fake: conjugate(fake) - activation(real),
            generator=(lambda real, fake: -activation(fake)) if alternative else (lambda real, fake: -conjugate(fake)),
            boundary=self.boundary,
        )


def of_convex(f: Callable[[Tensor], Tensor]) -> Divergence:
    """The divergence of your own f, made of torch functions: differentiable twice on u > 0 and strictly convex.

    No conjugate is needed: the score is read as v = log(p/q), so T = f'(e^v) and f*(T) = e^v f'(e^v) - f(e^v). Scores
    beyond +-30 count as +-30, so that powers of u stay finite. f(1) should be 0, or values are off by it. ValueError
    for an f that is not strictly convex.
    """

    def slope(u: Tensor) -> Tensor:
        with torch.enable_grad():
            at = u if u.requires_grad else u.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(f(at).sum(), at, create_graph=True)
        return gradient

    def ratio(score: Tensor) -> Tensor:
        return torch.exp(score.clamp(-30, 30))

    def conjugate(score: Tensor) -> Tensor:
        u = ratio(score)
        return u * slope(u) - f(u)

    grid = torch.linspace(-4, 4, 81, dtype=torch.float64).exp()
    try:
        if f(grid).shape != grid.shape:
            raise ValueError("it must give a value for each u")
        rising = slope(grid).detach().diff()
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"f must be a differentiable function of a tensor, made of torch's functions: {error}"
        ) from None
    if not bool((rising > 0).all()):
        raise ValueError("f is not strictly convex on u > 0: its slope does not rise everywhere")
    return Divergence(f, lambda score: slope(ratio(score)), conjugate)


def _xlogx(u: Tensor) -> Tensor:
    return torch.xlogy(u, u)


DIVERGENCES: Mapping[str, Divergence] = {
    "total-variation": Divergence(
        lambda u: 0.5 * (u - 1).abs(), lambda v: 0.5 * torch.tanh(v), lambda v: 0.5 * torch.tanh(v)
    ),
    "kl": Divergence(_xlogx, lambda v: v, lambda v: torch.exp(v - 1), boundary=1.0),
    "reverse-kl": Divergence(lambda u: -torch.log(u), lambda v: -torch.exp(-v), lambda v: v - 1),
    # the integral of (p - q)^2 / q, and Neyman's that of (p - q)^2 / p
    "pearson": Divergence(lambda u: (u - 1).square(), lambda v: v, lambda v: 0.25 * v.square() + v),
    "neyman": Divergence(
        lambda u: (1 - u).square() / u, lambda v: 1 - torch.exp(-v), lambda v: 2 - 2 * torch.exp(-0.5 * v)
    ),
    "squared-hellinger": Divergence(
        lambda u: (u.sqrt() - 1).square(), lambda v: 1 - torch.exp(-v), lambda v: torch.exp(v) - 1
    ),
    # T = v in the paper needs Lambert's W; with v = log(p/q) it does not
    "jeffrey": Divergence(
        lambda u: (u - 1) * torch.log(u), lambda v: v + 1 - torch.exp(-v), lambda v: torch.exp(v) + v - 1
    ),
    # twice the textbook's
    "jensen-shannon": Divergence(
        lambda u: _xlogx(u) - (u + 1) * torch.log((u + 1) / 2),
        lambda v: math.log(2) + logsigmoid(v),
        lambda v: softplus(v) - math.log(2),
    ),
    # the same less log 4: the value of Goodfellow's game
    "gan": Divergence(lambda u: _xlogx(u) - (u + 1) * torch.log(u + 1), logsigmoid, softplus),
}
"""Nowozin et al. 2016, tables 1, 2 and 6; the names are theirs. P is the data, Q the generator."""

OBJECTIVES: Mapping[str, Objective] = {
    "non-saturating": non_saturating,
    "minimax": minimax,
    "least-squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
    "relativistic-average": relativistic_average,
    **{name: divergence.objective() for name, divergence in DIVERGENCES.items()},
    **{f"{name}-alternative": divergence.objective(True) for name, divergence in DIVERGENCES.items()},
}
"""By the names of `--objective`; an `-alternative` raises E_Q[T], which does not saturate."""
