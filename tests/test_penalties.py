import contextlib
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from sparring.config import UserError
from sparring.game import Latent, two_player
from sparring.nn.image import ConvDiscriminator, ConvGenerator
from sparring.nn.layers import spectral_norm
from sparring.objectives import hinge
from sparring.optimizers import Adam
from sparring.penalties import (
    Penalty,
    clip_weights,
    consistency,
    difference_square,
    dragan,
    gradient_penalty,
    gradient_square,
    r1,
    r1_by_difference,
    r2,
    r2_by_difference,
)


def test_r1_of_a_linear_score_is_half_its_squared_weights() -> None:
    weight = torch.tensor([3.0, -4.0])
    x = torch.randn(6, 2)
    torch.testing.assert_close(r1(lambda p: p @ weight, x, x), torch.full((6,), 12.5))


def test_r1_is_per_sample_and_equals_autograd() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(5, 3, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    expected = gradient.flatten(1).square().sum(1)
    ours = gradient_square(lambda p: net(p).squeeze(1), x)
    torch.testing.assert_close(ours, expected)
    theirs = torch.autograd.grad(expected.sum(), list(net.parameters()), allow_unused=True)
    mine = torch.autograd.grad(ours.sum(), list(net.parameters()), allow_unused=True)
    for a, b in zip(mine, theirs, strict=True):  # the last bias has no gradient in either
        assert (a is None or not a.any()) if b is None else torch.allclose(a, b, atol=1e-6)


def test_r1_second_derivatives_are_right() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.float64)
    weight = torch.randn(4, dtype=torch.float64, requires_grad=True)
    penalty = lambda w: torch.func.grad(lambda p: torch.tanh(p @ w).sum())(x).square().sum(1)  # noqa: E731
    assert torch.autograd.gradcheck(penalty, (weight,))
    ours = gradient_square(lambda p: torch.tanh(p @ weight.float()), x.float())
    torch.testing.assert_close(ours.double(), penalty(weight), rtol=1e-5, atol=1e-6)


def test_r1_squares_in_float32_under_bfloat16_autocast_and_passes_through_spectral_norm() -> None:
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(8, 1)).eval()
    x = torch.randn(4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = r1(lambda p: layer(p).squeeze(1), x, x)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, torch.full((4,), 0.5), rtol=1e-2, atol=1e-4)  # a normalised row has length 1


def test_a_penalty_on_a_discriminator_with_batch_norm_is_refused_with_the_reason() -> None:
    generator = ConvGenerator(4, (1, 8, 8))
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    with pytest.raises(UserError, match=r"r1: .*batch norm.*Gulrajani"):
        two_player(
            generator,
            discriminator,
            latent=Latent(4),
            key="image",
            objective=hinge,
            generator_optimizer=Adam().over(generator.parameters()),
            discriminator_optimizer=Adam().over(discriminator.parameters()),
            penalties={"r1": (1.0, r1)},
        )


def test_r1_goes_through_spectral_norm_while_it_trains() -> None:
    torch.manual_seed(0)
    net = ConvDiscriminator((1, 8, 8), 8).train()
    before = net.layers[0].parametrizations.weight[0].u.clone()
    value = r1(lambda p: net(p), torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8))
    assert value.shape == (4,)
    assert not torch.equal(before, net.layers[0].parametrizations.weight[0].u)


def test_r1_moves_a_real_discriminator() -> None:
    torch.manual_seed(0)
    net = ConvDiscriminator((1, 8, 8), 8, spectral=False)
    x = torch.randn(4, 1, 8, 8)
    loss = r1(lambda p: net(p), x, x).mean()
    gradients = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    assert sum(float(g.abs().sum()) for g in gradients if g is not None) > 0


PENALTIES: dict[str, Penalty] = {
    "r1": r1,
    "r2": r2,
    "gradient": gradient_penalty,
    "gradient, centre 0": partial(gradient_penalty, centre=0.0),
    "gradient, one-sided": partial(gradient_penalty, one_sided=True),
    "dragan": dragan,
    "r1 by difference": r1_by_difference,
    "r2 by difference": r2_by_difference,
    "consistency": partial(consistency, change=lambda x: x.flip(1)),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_first_and_second_derivatives_agree_with_finite_differences_in_double_precision(name: str) -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    a = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    b = (3 * torch.randn(5, dtype=torch.float64)).requires_grad_()  # steep, so that one-sided is not all zero

    def value(a: Tensor, b: Tensor) -> Tensor:
        torch.manual_seed(1)  # the same points between, in every call
        return PENALTIES[name](lambda x: torch.tanh(x @ a) @ b, real, fake)

    assert value(a, b).shape == (3,)
    assert value(a, b).dtype == torch.float64
    assert bool((value(a, b) > 0).all())
    assert torch.autograd.gradcheck(value, (a, b))
    assert torch.autograd.gradgradcheck(value, (a, b))


def test_penalties_of_a_linear_score_have_closed_forms() -> None:
    weight = torch.tensor([3.0, -4.0])  # of length 5
    real, fake = torch.randn(4000, 2), torch.randn(4000, 2)
    score = lambda p: p @ weight  # noqa: E731
    for penalty, expected in (
        (r2, 12.5),
        (gradient_penalty, 16.0),
        (partial(gradient_penalty, centre=0.0), 25.0),
        (partial(gradient_penalty, centre=7.0), 4.0),
        (partial(gradient_penalty, centre=7.0, one_sided=True), 0.0),
        (dragan, 16.0),
    ):
        torch.testing.assert_close(penalty(score, real, fake), torch.full((4000,), expected), rtol=1e-4, atol=1e-4)
    torch.manual_seed(0)
    assert difference_square(score, real).mean().item() == pytest.approx(25.0, rel=0.08)  # unbiased


def test_the_gradient_penalty_looks_between_real_and_fake_with_a_share_of_its_own_per_sample() -> None:
    seen: list[Tensor] = []

    def score(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.sum((1, 2, 3))

    real, fake = torch.zeros(64, 1, 3, 3), torch.ones(64, 1, 3, 3)
    gradient_penalty(score, real, fake)
    shares = seen[0].flatten(1)
    assert torch.equal(shares, shares[:, :1].expand_as(shares))  # one per sample, not per pixel
    assert shares[:, 0].unique().numel() == 64  # not one per batch
    assert bool(((shares >= 0) & (shares <= 1)).all())


def test_dragan_stays_within_half_a_deviation_of_the_real_samples() -> None:
    seen: list[Tensor] = []

    def score(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.sum(1)

    real = torch.randn(500, 2) * 3 + 10
    dragan(score, real, torch.zeros(500, 2))
    moved = seen[0] - real
    assert bool(((moved >= 0) & (moved <= 0.5 * real.std())).all())
    assert moved.std() > 0.1


def test_consistency_is_zero_for_what_does_not_matter() -> None:
    x = torch.randn(6, 4)
    blind = lambda p: p.sum(1)  # noqa: E731
    torch.testing.assert_close(consistency(blind, x, x, lambda p: p.flip(1)), torch.zeros(6), atol=1e-10, rtol=0)
    assert consistency(lambda p: p[:, 0], x, x, lambda p: p.flip(1)).min() > 0


def test_clipping_holds_every_weight() -> None:
    net = nn.Linear(8, 8)
    with torch.no_grad():
        net.weight.mul_(100)
    clip_weights([net], 0.01)
    assert max(p.abs().max().item() for p in net.parameters()) <= 0.01


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_is_float32_under_bfloat16_autocast(name: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    with torch.no_grad():
        net[2].weight *= 4  # slopes on both sides of 1
    real, fake = torch.randn(64, 4), torch.randn(64, 4)

    def told(precision: bool) -> tuple[Tensor, Tensor]:
        """The penalty, and what it tells the weights."""
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision):
            value = PENALTIES[name](lambda p: net(p).squeeze(1), real, fake)
        slopes = torch.autograd.grad(value.mean(), [net[0].weight, net[2].weight])
        return value.detach(), torch.cat([slope.flatten() for slope in slopes])

    (low, low_slope), (high, slope) = told(True), told(False)
    assert low.dtype == torch.float32
    assert (low - high).abs().mean() < 0.05 * high.mean()
    assert nn.functional.cosine_similarity(low_slope, slope, dim=0) > 0.9995


def test_what_a_penalty_has_scored_is_not_scored_again() -> None:
    passes = list[int]()

    class Counted(nn.Linear):
        def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
            passes.append(len(x))
            return super().forward(x).squeeze(1)

    def terms(chosen: tuple[str, ...]) -> dict[str, float]:
        torch.manual_seed(0)
        generator, judge = nn.Linear(2, 2), Counted(2, 1)
        game = two_player(
            Forgetful(generator), judge, latent=Latent(2), key="point", objective=hinge,
            generator_optimizer=Adam().over(generator.parameters()),
            discriminator_optimizer=Adam().over(judge.parameters()),
            penalties={name: (1.0, PENALTIES[name]) for name in chosen}, share_fakes=False,
        )  # fmt: skip
        torch.manual_seed(1)
        passes.clear()
        loss = game.player("discriminator").loss({"point": torch.ones(8, 2)})
        return {name: float(term.detach()) for name, term in loss.terms.items()}

    plain = terms(())
    assert passes == [16]
    both = terms(("r1", "r2"))
    assert passes == [8, 8]
    assert both["objective"] == pytest.approx(plain["objective"])
    assert terms(("r1",))["r1"] == both["r1"]
    assert passes == [8, 8]
    for beside in ("gradient", "dragan"):  # points between and around them are not they
        assert terms((beside,))["objective"] == pytest.approx(plain["objective"])
        assert passes == [8, 16]


@pytest.mark.parametrize("pack", [1, 2, 4])
def test_a_penalty_looks_at_packs_where_scores_do(pack: int) -> None:
    weight = torch.tensor([[3.0, -4.0]])
    generator, judge = nn.Linear(2, 2), nn.Linear(2 * pack, 1)
    with torch.no_grad():
        judge.weight.copy_(weight.repeat(1, pack))
    game = two_player(
        Forgetful(generator),
        Forgetful(judge),
        latent=Latent(2),
        key="point",
        objective=hinge,
        generator_optimizer=Adam().over(generator.parameters()),
        discriminator_optimizer=Adam().over(judge.parameters()),
        penalties={"r1": (1.0, r1), "gradient": (1.0, gradient_penalty)},
        pack=pack,
    )
    terms = game.players[0].loss({"point": torch.randn(8, 2), "fake": torch.randn(8, 2)}).terms
    assert terms["r1"].item() == pytest.approx(12.5 * pack, rel=1e-4)  # the slope of a pack's score: 5 sqrt(pack)
    assert terms["gradient"].item() == pytest.approx((5 * pack**0.5 - 1) ** 2, rel=1e-4)
    with pytest.raises(UserError, match=f"cannot be packed by {pack}") if pack > 1 else contextlib.nullcontext():
        game.players[0].loss({"point": torch.randn(7, 2), "fake": torch.randn(7, 2)})


class Forgetful(nn.Module):
    """A network that takes a label and ignores it; one output is a score."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.inner(x)
        return out.squeeze(1) if out.shape[1] == 1 else out
