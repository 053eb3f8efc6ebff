import math

import pytest
import torch
from torch import nn

from sparring.config import UserError
from sparring.nn import classic
from sparring.nn.dense import DenseDiscriminator, DenseGenerator
from sparring.nn.image import ConvClassifier, ConvDiscriminator, ConvGenerator, LabelChannels
from sparring.nn.layers import SpectralNorm, spectral_norm

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 48), (4, 33, 50), (1, 5, 5), (3, 128, 128)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [0, 3])
def test_the_tuned_pair_fits_any_size(shape: tuple[int, int, int], classes: int) -> None:
    label = torch.tensor([0, 1]) if classes else None
    picture = ConvGenerator(6, shape, 8, classes)(torch.randn(2, 6), label)
    assert picture.shape == (2, *shape)
    assert picture.abs().max() <= 1
    assert ConvDiscriminator(shape, 8, classes)(picture, label).shape == (2,)
    assert ConvClassifier(shape, 5)(picture).shape == (2, 5)


def test_channels_are_those_of_the_published_study() -> None:
    generator, discriminator = ConvGenerator(64, (1, 28, 28), 16, 10), ConvDiscriminator((1, 28, 28), 32, 10)
    widths = [m.out_channels for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert generator.base == (64, 7, 7)
    assert widths == [32, 16]
    assert [m.out_channels for m in discriminator.layers if isinstance(m, nn.Conv2d)] == [32, 64, 128]
    assert sum(p.numel() for p in generator.parameters()) == 276_529


def test_an_elongated_picture_is_refused() -> None:
    with pytest.raises(UserError, match="size=64x3"):
        ConvDiscriminator((1, 64, 3))


@pytest.mark.parametrize("network", [ConvGenerator(4, (1, 8, 8), classes=3), DenseGenerator(4, (2,), (8,), classes=3)])
def test_a_conditional_network_obeys_and_demands_its_label(network: nn.Module) -> None:
    network.eval()
    latent = torch.randn(3, 4)
    a, b = network(latent, torch.tensor([0, 0, 0])), network(latent, torch.tensor([1, 1, 1]))
    assert not torch.allclose(a, b)
    with pytest.raises(ValueError, match="label"):
        network(latent)


@pytest.mark.parametrize(
    "network",
    [ConvDiscriminator((1, 8, 8), classes=3), DenseDiscriminator((1, 8, 8), (8,), 3), LabelChannels((1, 8, 8), 8, 3)],
)
def test_a_conditional_discriminator_scores_by_label(network: nn.Module) -> None:
    network.eval()
    x = torch.randn(2, 1, 8, 8)
    assert not torch.allclose(network(x, torch.tensor([0, 0])), network(x, torch.tensor([2, 2])))
    with pytest.raises(ValueError, match="label"):
        network(x)


def test_spectral_norm_is_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    layer = spectral_norm(nn.Conv2d(3, 8, 3))
    for _ in range(50):
        layer(torch.randn(1, 3, 5, 5))
    assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() == pytest.approx(1.0, abs=1e-3)


def test_spectral_norm_estimates_in_float32_under_autocast_and_rests_in_eval() -> None:
    torch.manual_seed(0)
    weight = torch.randn(16, 32)
    norm = SpectralNorm(weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(100):
            out = norm(weight)
    assert torch.linalg.matrix_norm(out, 2).item() == pytest.approx(1.0, abs=1e-4)
    before = norm.u.clone()
    norm.eval()(weight)
    assert torch.equal(before, norm.u)


def test_spectral_norm_gradient_counts_the_norm_itself() -> None:
    # d(w / |w|) is orthogonal to w for a single row: scaling w changes nothing
    layer = spectral_norm(nn.Linear(6, 1, bias=False))
    (gradient,) = torch.autograd.grad(layer(torch.randn(3, 6)).sum(), layer.parametrizations.weight.original)
    assert abs((gradient * layer.parametrizations.weight.original).sum().item()) < 1e-5


def test_the_tutorials_networks_have_their_published_sizes() -> None:
    generator = DenseGenerator(100, (1, 28, 28), (256, 512, 1024))
    linears = [m for m in generator.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == [(100, 256), (256, 512), (512, 1024), (1024, 784)]
    assert generator.layers[2].momentum == pytest.approx(0.2)
    z = torch.randn(2, 100)
    pictures = classic.upsampling_generator(100)(z)
    assert pictures.shape == (2, 1, 28, 28)
    assert pictures.min() < -0.01  # the tutorial's ReLU could not make this
    judge = classic.dropout_discriminator()
    assert judge(pictures).shape == (2,)
    convolutions = [(m.out_channels, m.stride[0]) for m in judge.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions == [(32, 2), (64, 2), (128, 2), (256, 1)]
    colour = classic.transposed_generator(100)(z)
    assert colour.shape == (2, 3, 64, 64)
    assert classic.strided_discriminator()(colour).shape == (2,)


def test_radfords_networks() -> None:
    generator, discriminator = classic.radford_generator(100, 3), classic.radford_discriminator(3)
    with torch.no_grad():
        pictures = generator(torch.rand(2, 100) * 2 - 1)
        assert pictures.shape == (2, 3, 64, 64)
        assert discriminator(pictures).shape == (2,)
    first = next(m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d))
    assert first.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in list(discriminator.layers)[:2])


def test_dense_outputs_are_bounded_for_pictures_only() -> None:
    torch.manual_seed(0)
    z = 100 * torch.randn(64, 4)
    assert DenseGenerator(4, (1, 8, 8), (16,)).eval()(z).abs().max() <= 1
    points = DenseGenerator(4, (2,), (16,), batch_norm=False, bounded=False)(z)
    assert points.shape == (64, 2)
    assert points.abs().max() > 1
    assert math.isfinite(points.sum().item())
