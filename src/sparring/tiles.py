"""A network for small pictures applied to a large one: by tiles that overlap and are blended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

OVERLAP = 0.25
"""Of a tile with the next, at least, as a share of its side."""
PIXELS = 2**18
"""Of tiles that go through the network together."""
LEAST = 64
"""Pixels a side below which tiles would be more border than picture."""


def tile_for(trained: Sequence[int]) -> tuple[int, int]:
    """(height, width) of tiles for a fully convolutional network: what it was trained at, or a whole multiple of it."""
    times = max(1, -(-LEAST // min(trained)))
    return times * trained[0], times * trained[1]


def by_tiles(apply: Callable[[Tensor], Tensor], pictures: Tensor, tile: Sequence[int], factor: int = 1) -> Tensor:
    """(N, C, H, W) float -> (N, D, factor H, factor W).

    `apply`: (n, C, *tile) -> (n, D, factor x tile). Where tiles overlap, each counts the more the farther the pixel is
    from its edge. Smaller pictures are continued by their border up to the size of a tile, and cut again.
    Beside the result, which is made in place, there is memory for a few tiles and for one channel.
    """
    height, width = pictures.shape[2:]
    below, beside = max(0, tile[0] - height), max(0, tile[1] - width)
    padded = F.pad(pictures, (0, beside, 0, below), mode="replicate") if below or beside else pictures
    corners = [(y, x) for y in starts(padded.shape[2], tile[0]) for x in starts(padded.shape[3], tile[1])]
    weight = torch.outer(ramp(factor * tile[0]), ramp(factor * tile[1]))
    at_once = max(1, PIXELS // (tile[0] * tile[1]))
    size = [factor * side for side in padded.shape[2:]]
    out, counted = torch.zeros(0), torch.zeros(size)
    for place, picture in enumerate(padded):
        counted.zero_()
        for first in range(0, len(corners), at_once):
            some = corners[first : first + at_once]
            made = apply(torch.stack([picture[:, y : y + tile[0], x : x + tile[1]] for y, x in some]))
            if not len(out):
                out = torch.zeros(len(padded), made.shape[1], *size)
            for (y, x), part in zip(some, made, strict=True):
                where = (
                    slice(factor * y, factor * (y + tile[0])),
                    slice(factor * x, factor * (x + tile[1])),
                )
                out[place][:, where[0], where[1]] += weight * part
                counted[where] += weight
        out[place].div_(counted)
    return out[:, :, : factor * height, : factor * width]


def starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along a side: evenly, the last flush with the end, each overlapping the next by `OVERLAP`."""
    step = tile - round(OVERLAP * tile)
    count = 1 + -(-(length - tile) // step)
    return [round(i * (length - tile) / max(1, count - 1)) for i in range(count)]


def ramp(side: int) -> Tensor:
    """(side,) weights: rising from the edge over `OVERLAP` of the side, 1 within, falling to the other edge."""
    to_edge = torch.minimum(torch.arange(side), torch.arange(side).flip(0)) + 1
    return (to_edge / max(1, round(OVERLAP * side))).clamp(max=1.0)
