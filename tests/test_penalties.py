import pytest
import torch
from torch import nn

from sparring.config import UserError
from sparring.game import Latent, two_player
from sparring.nn.image import ConvDiscriminator, ConvGenerator
from sparring.nn.layers import spectral_norm
from sparring.objectives import hinge
from sparring.optimizers import Adam
from sparring.penalties import gradient_square, r1


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


def test_r1_is_float32_under_bfloat16_autocast_and_passes_through_spectral_norm() -> None:
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(8, 1)).eval()
    x = torch.randn(4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = r1(lambda p: layer(p).squeeze(1), x, x)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, torch.full((4,), 0.5), rtol=1e-4, atol=1e-4)  # a normalised row has length 1


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
