"""Networks that restore, and tiles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sparring import tiles
from sparring.config import UserError
from sparring.nn.restore import Filler, Gated, Upscaler, factor_of, filled_smoothly
from sparring.nn.translate import PatchCritic
from sparring.tiles import by_tiles, ramp, starts, tile_for


@pytest.mark.parametrize("factor", [2, 4])
def test_an_upscaler_begins_as_the_bicubic_enlargement_of_any_size(factor: int) -> None:
    network = Upscaler((3, 8, 6), (3, 8 * factor, 6 * factor), 8, 1, 4)
    for size in ((8, 6), (5, 9)):
        x = torch.rand(2, 3, *size) * 2 - 1
        larger = (factor * size[0], factor * size[1])
        torch.testing.assert_close(network(x), F.interpolate(x, larger, mode="bicubic"))


def test_factors_are_powers_of_two_and_alike_both_ways() -> None:
    assert factor_of((1, 7, 8), (1, 28, 32)) == 4
    for image in ((1, 21, 24), (1, 28, 16), (1, 7, 8), (1, 29, 32)):
        with pytest.raises(UserError, match="--source reduced:2"):
            factor_of((1, 7, 8), image)
    with pytest.raises(UserError, match="--color"):
        Upscaler((1, 8, 8), (3, 16, 16), 8, 1, 4)


@pytest.mark.parametrize("size", [(28, 28), (9, 15), (64, 48)])
def test_a_filler_makes_what_is_missing_and_hands_through_the_rest(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = Filler((2, *size), 4, 3)
    x = torch.rand(3, 3, *size) * 2 - 1
    x[:, 2] = -1.0
    x[:, 2, 3:6, 4:8] = 1.0
    made, hole = network(x), x[:, 2:] > 0
    assert torch.equal(torch.where(hole, 0, made), torch.where(hole, 0, x[:, :2]))
    assert bool((made[hole.expand(-1, 2, -1, -1)] != x[:, :2][hole.expand(-1, 2, -1, -1)]).all())
    assert torch.allclose(network(x[:1]), made[:1], atol=1e-6)  # alone as in a batch


@pytest.mark.parametrize("size", [(28, 28), (9, 15)])
def test_a_smooth_filling_is_where_training_begins_and_changes_the_hole_alone(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    plane = torch.linspace(-1, 1, size[1]).expand(2, 3, *size)
    hole = torch.zeros(2, 1, *size, dtype=torch.bool)
    hole[0, :, 3:6, 4:8], hole[1] = True, True
    filled = filled_smoothly(plane.masked_fill(hole, 9.0), hole)  # whatever lies in the hole
    assert torch.equal(filled[0].masked_fill(hole[0], 0), plane[0].masked_fill(hole[0], 0))
    assert float((filled[0] - plane[0]).abs().max()) < 0.3
    assert float(filled[1].abs().max()) == 0  # nothing is known
    flat = filled_smoothly(torch.full((2, 3, *size), 0.4), hole)
    assert torch.allclose(flat[0], torch.full((3, *size), 0.4))
    x = torch.cat([plane.masked_fill(hole, 0.0), 2 * hole.float() - 1], 1)
    network = Filler((3, *size), 4, 3, smooth=True)
    assert torch.equal(network(x), filled)
    torch.nn.init.normal_(network.last.weight)
    assert network.finish is not None
    torch.nn.init.normal_(network.finish[-1].weight)
    made = network(x)
    assert torch.equal(made.masked_fill(hole, 0), plane.masked_fill(hole, 0))
    assert bool((made != filled)[hole.expand(-1, 3, -1, -1)].all())


def test_a_hole_is_filled_from_both_sides_of_it() -> None:
    torch.manual_seed(0)
    network, x = Filler((1, 28, 28), 4, 3), torch.full((1, 2, 28, 28), -1.0)
    x[:, 1, 7:21, 7:21] = 1.0
    x.requires_grad_()
    (slope,) = torch.autograd.grad(network(x)[0, 0, 14, 14], x)
    for part in (slope[..., :7], slope[..., 21:], slope[..., :7, :], slope[..., 21:, :]):
        assert float(part.abs().max()) > 0


def test_a_closed_gate_lets_nothing_through() -> None:
    layer = Gated(1, 1, 3)
    with torch.no_grad():
        layer.both.weight.zero_()
        layer.both.bias.copy_(torch.tensor([3.0, -40.0]))
    assert float(layer(torch.randn(1, 1, 4, 4)).detach().abs().max()) < 1e-12
    with torch.no_grad():
        layer.both.bias.copy_(torch.tensor([3.0, 0.0]))
    torch.testing.assert_close(layer(torch.randn(1, 1, 4, 4)), torch.full((1, 1, 4, 4), 1.5))


def test_a_spectral_critic_is_bounded_and_its_maps_end_in_its_scores() -> None:
    torch.manual_seed(0)
    critic = PatchCritic((1, 32, 32), 8, 2, normalised=False, spectral=True).eval()
    x = torch.randn(2, 1, 32, 32)
    maps = critic.maps(x)
    assert torch.equal(maps[-1], critic(x))
    assert len(maps) == 4
    assert bool((maps[0] != critic.body[0](x)).any())  # after the activation, and not overwritten by it
    norms = [torch.linalg.matrix_norm(m.weight.flatten(1), 2) for m in critic.body if hasattr(m, "weight")]
    assert torch.stack(norms).sub(1).abs().max() < 0.05


@pytest.mark.parametrize("size", [(100, 64), (64, 65), (20, 300), (31, 17)])
def test_tiles_of_a_local_map_are_the_whole(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    seen: list[tuple[int, ...]] = []

    def doubled(tiles: torch.Tensor) -> torch.Tensor:
        seen.extend(tuple(tile.shape) for tile in tiles)
        return 3 * F.interpolate(tiles, scale_factor=2.0)[:, :2]

    made = by_tiles(doubled, x, (32, 32), 2)
    torch.testing.assert_close(made, 3 * F.interpolate(x, scale_factor=2.0)[:, :2])
    assert set(seen) == {(3, 32, 32)}


def test_tiles_are_blended_without_a_step() -> None:
    """Tiles that disagree altogether join by a ramp, not by an edge."""
    number = iter(range(100))
    made = by_tiles(lambda tiles: torch.stack([torch.full_like(t, float(next(number))) for t in tiles]),
                    torch.zeros(1, 1, 32, 80), (32, 32))  # fmt: skip
    row = made[0, 0, 16]
    assert (float(row[0]), float(row[-1])) == (0.0, 2.0)
    assert 0 < float(row.diff().max()) <= 0.2


def test_starts_cover_a_side_and_overlap() -> None:
    for length in range(32, 400, 7):
        found = starts(length, 32)
        assert (found[0], found[-1]) == (0, length - 32)
        assert all(0 < b - a <= 24 for a, b in pairwise(found))
    assert starts(32, 32) == [0]
    assert float(ramp(32).min()) > 0
    assert tile_for((7, 7)) == (70, 70)
    assert tile_for((64, 128)) == (64, 128)
    assert tile_for((28, 56)) == (84, 168)


class Watching(TorchDispatchMode):
    """Every memory that operations within it made."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, Tensor] = {}  # all kept, so that no place is used twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.made.setdefault(made.untyped_storage().data_ptr(), made)
        return made


def test_tiles_take_the_memory_of_the_result_and_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "PIXELS", 32 * 32)  # of one tile at a time
    pictures = torch.rand(2, 3, 160, 160)
    given = pictures.data_ptr()
    with Watching() as found:
        made = by_tiles(lambda some: 2 * some, pictures, (32, 32))
    torch.testing.assert_close(made, 2 * pictures)
    large = [one for one in found.made.values() if one.untyped_storage().nbytes() >= 4 * pictures[0].numel()]
    assert {one.untyped_storage().data_ptr() for one in large} - {given} == {made.data_ptr()}
