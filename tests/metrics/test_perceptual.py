"""Path lengths and layer distances against closed forms."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparring.config import UserError
from sparring.metrics.extractors import layers_named
from sparring.metrics.features import Extractor, pixels
from sparring.metrics.perceptual import feature_distance, layer_distance, lerp, path_length, slerp


def latents(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).sum(1)


def test_the_path_length_of_a_linear_generator_is_known() -> None:
    # features M z: along a line each step of epsilon moves by epsilon M (b - a), wherever it is taken
    m = latents(7, 5, seed=0)
    first, second = latents(300, 5, seed=1), latents(300, 5, seed=2)
    moved = ((second - first) @ m.T).square().sum(1)
    for ends in (True, False):
        found = path_length(lambda z: (z @ m.T)[:, :, None, None], squared, first, second, path="lerp", ends=ends)
        assert found.value == pytest.approx(float(moved.mean()), rel=1e-6)
        assert found.se == pytest.approx(float(moved.std()) / math.sqrt(300), rel=1e-6)
    # and over fresh pairs of normal latents its mean is 2 |M|^2
    assert abs(found.value - 2 * float(m.square().sum())) < 4 * (found.se or 0)


def test_along_an_arc_the_speed_is_the_angle() -> None:
    first, second = torch.eye(6)[:3] * 2.0, torch.eye(6)[3:] * 2.0  # orthogonal, of length 2
    found = path_length(lambda z: z[:, :, None, None], squared, first.double(), second.double())
    assert found.value == pytest.approx((2 * math.pi / 2) ** 2, rel=1e-6)
    assert found.se == pytest.approx(0, abs=1e-5)
    half = torch.full((3, 1), 0.5)
    assert slerp(first, second, half).norm(dim=1).tolist() == pytest.approx([2.0] * 3, rel=1e-6)
    assert torch.allclose(slerp(first, second, 0 * half), first)
    assert torch.allclose(lerp(first, second, half), (first + second) / 2)
    assert slerp(first, first, half).isfinite().all()
    assert slerp(first, -first, half).isfinite().all()


def test_a_jump_makes_the_path_long_and_the_seed_decides_the_places() -> None:
    first, second = latents(400, 4, seed=3).float(), latents(400, 4, seed=4).float()

    def smooth(z: Tensor) -> Tensor:
        return torch.tanh(z)[:, :, None, None]

    def steep(z: Tensor) -> Tensor:
        return torch.tanh(50 * z)[:, :, None, None]

    one, again = (path_length(smooth, squared, first, second, seed=0) for _ in range(2))
    other = path_length(smooth, squared, first, second, seed=1)
    assert one == again
    assert one != other
    assert abs(one.value - other.value) < 4 * math.hypot(one.se or 0, other.se or 0)
    assert path_length(steep, squared, first, second).value > 5 * one.value
    assert path_length(smooth, squared, first, second, chunk=7).value == pytest.approx(one.value, rel=1e-5)


def test_an_extractor_sees_steps_below_a_grey_level() -> None:
    first, second = latents(50, 64, seed=5), latents(50, 64, seed=6)
    by_pixels = feature_distance(pixels(8))  # 8x8 pictures pass through unchanged, as (x + 1) / 2
    found = path_length(lambda z: z.view(-1, 1, 8, 8), by_pixels, first, second, path="lerp", epsilon=1e-3)
    assert found.value == pytest.approx(float((second - first).square().sum(1).mean()) / 4, rel=1e-3)
    rounded = feature_distance(Extractor("bytes", "", lambda x: (x.byte().float().flatten(1), None)))
    jumps = path_length(lambda z: z.view(-1, 1, 8, 8), rounded, first, second, path="lerp", epsilon=1e-3)
    assert jumps.value != pytest.approx(found.value * 255**2, rel=0.2)


def test_what_does_not_fit_is_refused() -> None:
    z = latents(3, 2, seed=0)
    for first, second, epsilon, told in (
        (z, z[:2], 1e-4, r"\(3, 2\) and \(2, 2\)"),
        (z[:1], z[:1], 1e-4, "N >= 2"),
        (z, z, 0.0, "epsilon=0.0"),
    ):
        with pytest.raises(ValueError, match=told):
            path_length(lambda x: x, squared, first, second, epsilon=epsilon)


def test_layer_distances_are_those_of_directions() -> None:
    a = torch.tensor([[3.0, 0.0], [0.0, 5.0], [1.0, 1.0]]).view(3, 2, 1, 1)
    b = torch.tensor([[0.5, 0.0], [7.0, 0.0], [-2.0, -2.0]]).view(3, 2, 1, 1)
    found = layer_distance(lambda x: [x])(a, b)  # alike, orthogonal, opposite: 2 (1 - cos)
    assert found.tolist() == pytest.approx([0, 2, 4], abs=1e-6)
    # two places, of which one differs: a mean over places (1), and one over layers with the place alone (2)
    left, right = torch.cat([a[:1], a[:1]], 3), torch.cat([a[1:2], a[:1]], 3)
    assert layer_distance(lambda x: [x, x[..., :1]])(left, right).tolist() == pytest.approx([1.5], abs=1e-6)
    assert layer_distance(lambda x: [x])(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)).tolist() == [0.0]


def test_the_layers_of_squeezenet_see_what_pixels_do_not(shared_data: Path) -> None:
    file = shared_data / "featnets" / "squeezenet10_imagenet_bsd.safetensors"
    if not file.exists():
        pytest.skip("the weights of SqueezeNet are not here")
    layers = layers_named(f"squeezenet:{file}")
    picture = torch.rand(1, 3, 227, 227, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert [x.shape[1] for x in layers(picture)] == [96, 256, 512, 512]
    distance = layer_distance(layers)
    assert float(distance(picture, picture)) == 0
    # beyond bytes, and as large as the change: half a step is a quarter of the squared distance
    step = torch.rand(1, 3, 227, 227, generator=torch.Generator().manual_seed(1)) * 1e-2
    whole, half = (float(distance(picture, picture + share * step)) for share in (1.0, 0.5))
    assert whole / half == pytest.approx(4, rel=0.3)
    assert layers(picture[:, :1])[0].shape == layers(picture)[0].shape


def test_layers_of_what_is_not_known_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="squeezenet:FILE"):
        layers_named("alexnet:weights.safetensors")
    with pytest.raises(UserError, match="there is no file"):
        layers_named(f"squeezenet:{tmp_path / 'none.safetensors'}")
