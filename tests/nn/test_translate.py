"""Translators, critics of patches, and the pool of former fakes."""

from __future__ import annotations

import pytest
import torch

from sparring.config import UserError
from sparring.nn.translate import NORMS, Kept, PatchCritic, Pool, Translator, UNet


@pytest.mark.parametrize("size", [(16, 16), (28, 28), (64, 48)])
def test_networks_keep_the_size_and_the_range(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    fine, resized = UNet((3, *size), (1, *size), 8, fine=True), Translator((3, *size), (1, *size), 8, 2, resize=True)
    assert not any(isinstance(layer, torch.nn.ConvTranspose2d) for layer in resized.modules())
    for network in (Translator((3, *size), (1, *size), 8, 2), UNet((3, *size), (1, *size), 8), fine, resized):
        made = network(x).detach()
        assert made.shape == (2, 1, *size)
        assert float(made.abs().max()) <= 1


def test_a_picture_is_translated_alike_alone_and_in_a_batch() -> None:
    network = Translator((1, 16, 16), (1, 16, 16), 8, 1).eval()
    x = torch.randn(4, 1, 16, 16)
    assert torch.allclose(network(x)[:1], network(x[:1]), atol=1e-5)


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_depends_on_its_patch_only(layers: int, patch: int) -> None:
    critic = PatchCritic((1, 128, 128), 4, layers, normalised=False)
    x = torch.randn(1, 1, 128, 128, requires_grad=True)
    scores = critic(x)
    middle = scores.shape[2] // 2
    (slope,) = torch.autograd.grad(scores[0, 0, middle, middle], x)
    touched = slope[0, 0].abs().sum(0).nonzero()
    assert int(touched.max() - touched.min()) + 1 == patch


def test_a_u_net_says_which_sizes_it_takes() -> None:
    with pytest.raises(UserError, match="power of 2"):
        UNet((1, 25, 25), (1, 25, 25), 8)


def test_the_pool_fills_then_swaps_half_and_is_state() -> None:
    torch.manual_seed(0)
    pool = Pool((1, 2, 2), 50)
    for step in range(5):
        fresh = torch.full((10, 1, 2, 2), float(step + 1))
        assert torch.equal(pool.mixed(fresh), fresh)
        pool.keep()
    assert int(pool.filled) == 50
    assert sorted(set(pool.pictures.flatten().tolist())) == [1.0, 2.0, 3.0, 4.0, 5.0]
    seen = []
    for _ in range(200):
        mixed = pool.mixed(torch.full((10, 1, 2, 2), 99.0))
        seen.append(float((mixed[:, 0, 0, 0] == 99).float().mean()))
    assert 0.45 < sum(seen) / len(seen) < 0.55
    before = pool.pictures.clone()
    pool.mixed(torch.full((10, 1, 2, 2), 7.0))
    assert torch.equal(pool.pictures, before)  # the loss moves nothing
    pool.keep()
    assert 0 < int((pool.pictures[:, 0, 0, 0] == 7).sum()) < 10
    assert set(pool.state_dict()) == {"pictures", "filled"}


def test_an_empty_pool_gives_what_it_gets() -> None:
    pool, fresh = Pool((1, 2, 2), 0), torch.randn(3, 1, 2, 2)
    assert torch.equal(pool.mixed(fresh), fresh)
    pool.keep()


@pytest.mark.parametrize("body", [UNet((3, 16, 16), (4, 16, 16), 4), Translator((3, 16, 16), (4, 16, 16), 4, 1)])
def test_what_keeps_begins_as_nearly_the_identity(body: UNet | Translator) -> None:
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = Kept(body)(x).detach()
    assert made.shape == x.shape
    new = torch.sigmoid(torch.tensor(-3.0))  # of each pixel, at most twice as far away as black is from white
    assert float((made - x).abs().max()) <= 2 * float(new)
    assert float((made - x).abs().max()) > 0


@pytest.mark.parametrize(("name", "kind"), [("instance", torch.nn.InstanceNorm2d), ("batch", torch.nn.BatchNorm2d)])
def test_norms_are_those_that_are_asked_for(name: str, kind: type[torch.nn.Module]) -> None:
    networks = PatchCritic((1, 16, 16), 4, 2, normal=NORMS[name]), UNet((1, 16, 16), (1, 16, 16), 4, normal=NORMS[name])
    for network in networks:
        found = [m for m in network.modules() if isinstance(m, torch.nn.InstanceNorm2d | torch.nn.BatchNorm2d)]
        assert found
        assert all(isinstance(m, kind) for m in found)
