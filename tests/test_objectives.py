import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from sparring.objectives import (
    DIVERGENCES,
    OBJECTIVES,
    Objective,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    of_convex,
    relativistic,
    relativistic_average,
    wasserstein,
)
from sparring.testing import check_objective


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_can_drive_a_game(name: str) -> None:
    check_objective(OBJECTIVES[name])


@pytest.mark.parametrize(
    ("objective", "discriminator", "generator"),
    [
        (minimax, 2 * math.log(2), -math.log(2)),
        (non_saturating, 2 * math.log(2), math.log(2)),
        (least_squares, 0.5, 0.5),
        (hinge, 2.0, 0.0),
        (wasserstein, 0.0, 0.0),
        (relativistic, math.log(2), math.log(2)),
        (relativistic_average, 2 * math.log(2), 2 * math.log(2)),
    ],
)
def test_values_of_an_undecided_discriminator(objective: Objective, discriminator: float, generator: float) -> None:
    zero = torch.zeros(3)
    torch.testing.assert_close(objective.discriminator(zero, zero), torch.full((3,), discriminator))
    torch.testing.assert_close(objective.generator(zero, zero), torch.full((3,), generator))


def test_minimax_is_zero_sum_and_measures_twice_jensen_shannon_at_the_optimum() -> None:
    # Goodfellow et al. 2014, theorem 1: with the optimal D, V = -log 4 + 2 JS. Two discrete distributions on 3 points.
    p, q = torch.tensor([0.5, 0.4, 0.1]), torch.tensor([0.1, 0.3, 0.6])
    best = torch.log(p / q)  # the score whose sigmoid is p / (p + q)
    value = -(p * softplus(-best) + q * softplus(best)).sum()
    m = (p + q) / 2
    js = 0.5 * (p * (p / m).log()).sum() + 0.5 * (q * (q / m).log()).sum()
    loss = (p * minimax.discriminator(best, torch.full_like(best, -50.0))).sum()
    loss = loss + (q * minimax.discriminator(torch.full_like(best, 50.0), best)).sum()
    torch.testing.assert_close(-loss, value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(value, -math.log(4) + 2 * js, rtol=1e-5, atol=1e-6)


def test_minimax_saturates_where_non_saturating_does_not() -> None:
    fake = torch.tensor([-20.0], requires_grad=True)
    real = torch.full((1,), torch.nan)
    (weak,) = torch.autograd.grad(minimax.generator(real, fake).sum(), fake)
    (strong,) = torch.autograd.grad(non_saturating.generator(real, fake).sum(), fake)
    assert abs(weak.item()) < 1e-8
    assert strong.item() == pytest.approx(-1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Objective(lambda r, f: (f - r).mean(), lambda r, f: -f), "shape"),
        (Objective(lambda r, f: r - f, lambda r, f: -f), "real scores to rise"),
        (Objective(lambda r, f: -r - f, lambda r, f: -f), "fake scores to fall"),
        (Objective(lambda r, f: f - r, lambda r, f: f), "fake scores to rise"),
        (Objective(lambda r, f: f - r, lambda r, f: r - f), "paired=True"),
        (Objective(lambda r, f: torch.exp(2 * f) - r, lambda r, f: -f), "finite"),
    ],
)
def test_a_broken_objective_is_told_what_is_wrong(broken: Objective, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_objective(broken)


# f* of Nowozin et al. 2016, table 6, as functions of t; Jeffrey's (Lambert W) is checked by the supremum below
CONJUGATES = {
    "kl": lambda t: torch.exp(t - 1),
    "reverse-kl": lambda t: -1 - torch.log(-t),
    "pearson": lambda t: 0.25 * t**2 + t,
    "neyman": lambda t: 2 - 2 * torch.sqrt(1 - t),
    "squared-hellinger": lambda t: t / (1 - t),
    "jensen-shannon": lambda t: -torch.log(2 - torch.exp(t)),
    "gan": lambda t: -torch.log(1 - torch.exp(t)),
    "total-variation": lambda t: t,
}
SCORES = torch.linspace(-3, 3, 61, dtype=torch.float64)


@pytest.mark.parametrize("name", CONJUGATES)
def test_conjugates_are_those_of_the_paper(name: str) -> None:
    divergence = DIVERGENCES[name]
    torch.testing.assert_close(divergence.conjugate(SCORES), CONJUGATES[name](divergence.activation(SCORES)))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_conjugate_is_the_supremum_over_u(name: str) -> None:
    divergence = DIVERGENCES[name]
    u = torch.linspace(-9, 9, 40_001, dtype=torch.float64).exp()
    scores = torch.linspace(-1.8, 1.8, 7, dtype=torch.float64)  # Pearson's supremum lies at u = 0 below -2
    values = u[None] * divergence.activation(scores)[:, None] - divergence.f(u)[None]
    tolerance = 2e-4 if name == "total-variation" else 1e-6  # there the supremum is at u = 0
    torch.testing.assert_close(values.amax(1), divergence.conjugate(scores), rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_activations_rise_and_f_is_zero_at_one(name: str) -> None:
    divergence = DIVERGENCES[name]
    assert bool((divergence.activation(SCORES).diff() > 0).all())
    zero = -2 * math.log(2) if name == "gan" else 0.0  # Goodfellow's value is JS less log 4
    assert divergence.f(torch.ones(1)).item() == pytest.approx(zero, abs=1e-6)


def test_the_bound_is_the_divergence_at_the_true_ratio_and_less_elsewhere() -> None:
    p, q = torch.tensor([0.5, 0.4, 0.1]).double(), torch.tensor([0.1, 0.3, 0.6]).double()
    for name, divergence in DIVERGENCES.items():
        if name == "total-variation":
            continue  # f is not differentiable at 1
        generic = of_convex(divergence.f)
        ratio = torch.log(p / q)
        value = (p * generic.activation(ratio) - q * generic.conjugate(ratio)).sum()
        exact = (q * divergence.f(p / q)).sum()
        torch.testing.assert_close(value, exact, rtol=1e-9, atol=1e-9)
        off = ratio + torch.tensor([0.3, -0.2, 0.1])
        assert (p * generic.activation(off) - q * generic.conjugate(off)).sum() < exact


def test_your_own_convex_function_needs_no_conjugate() -> None:
    own = of_convex(lambda u: u * torch.log(u)).objective()
    check_objective(own)
    real, fake = torch.randn(8), torch.randn(8)
    kl = DIVERGENCES["kl"].objective()  # T = v there, log(p/q) = v - 1 here
    torch.testing.assert_close(own.discriminator(real - 1, fake - 1), kl.discriminator(real, fake))


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda u: -u * torch.log(u), "strictly convex"),
        (lambda u: (u - 1).abs() / 2, "strictly convex"),
        (torch.sin, "strictly convex"),
        (lambda u: math.log(u), "torch's functions"),
        (lambda u: 3.0, "torch's functions"),
    ],
)
def test_an_f_that_is_no_divergence_is_told_why(f: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of_convex(f)


@pytest.mark.parametrize("f", [lambda u: (u - 1) ** 2, lambda u: u**2 - 1, lambda u: (1 - u) ** 2 / u])
def test_steep_functions_pass_the_check(f: Callable[[Tensor], Tensor]) -> None:
    check_objective(of_convex(f).objective())


def test_relativistic_losses_see_differences_only() -> None:
    real, fake = torch.randn(9), torch.randn(9)
    for objective in (relativistic, relativistic_average):
        for loss in (objective.discriminator, objective.generator):
            torch.testing.assert_close(loss(real + 5, fake + 5), loss(real, fake))
    torch.testing.assert_close(relativistic.generator(real, fake), relativistic.discriminator(fake, real))
