import math

import pytest
import torch
from torch.nn.functional import softplus

from sparring.objectives import OBJECTIVES, Objective, hinge, least_squares, minimax, non_saturating
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
        (Objective(lambda r, f: torch.exp(f) - r, lambda r, f: -f), "finite"),
    ],
)
def test_a_broken_objective_is_told_what_is_wrong(broken: Objective, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_objective(broken)
