"""Which pictures of a set are the same one: pixel for pixel, or saved again, moved by a pixel, brightened.

Two pictures are near-copies where the correlation of their pixels is at least `ALIKE`, at the best of the moves by at
most one pixel. For channels of mean 0, and pictures of mean square 1, correlation r is a distance of sqrt(2 (1 - r)),
so that near ones can be searched: by the sizes of their low Fourier coefficients, which no move changes and which by
Parseval lie at most as far apart as the pictures do; then by these coefficients themselves; then by the pixels. Only
what enters at a border when a picture moves can hide a near-copy from the first two; how much room that needs is
measured on the set's own pictures.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.data.tensors import recolored

ALIKE = 0.992
"""Correlation of near-copies. As JPEG of quality 75 a digit of MNIST keeps .996; the likest two have .9916."""
ALIKE_SMALL = 0.998
"""Where pictures are too small to be moved: few numbers are often alike by chance."""
MOVED = 0.99
"""Share of a set's own pictures, moved by a pixel, that the search must not lose at its two coarse steps."""
LARGEST = 64
"""Larger pictures are compared at this side, by averages."""
MOVABLE = 16
"""Pictures with a smaller side are compared in place: a pixel is too much of them."""
FREQUENCIES = {1: 8, 3: 5}
"""Of each channel, along each axis: about as many numbers for a picture in gray as for one in colour."""
FLAT = 5.0
"""Grey levels of 255: pictures whose `spread` is below show too little to be compared."""
_ROWS, _COLUMNS, _PAIRS = 1024, 8192, 2048

Look = Callable[[Tensor], Tensor]
"""(n,) numbers of pictures -> uint8 (n, C, H, W)."""
Watch = Callable[[Iterable[int], int], Iterable[int]]
"""(steps, how many) -> the same steps, shown as progress."""


def unwatched(steps: Iterable[int], total: int) -> Iterable[int]:
    """No progress is shown."""
    return steps


@dataclass(frozen=True, eq=False)
class Prints:
    """What pictures are searched by."""

    low: Tensor
    """(N, d) complex64: low Fourier coefficients; their squares sum to at most 1."""
    shape: tuple[int, int, int]
    """(C, H, W) at which pictures are compared."""


def standardised(images: Tensor) -> Tensor:
    """Any (n, C, H, W) -> float32: mean 0 in each channel of each picture, mean square 1 over its channels.

    So neither brightness, contrast nor tint counts. What is flat stays 0.
    """
    x = images.float()
    x = x - x.mean((2, 3), keepdim=True)
    return x / x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-3)


def spread(images: Tensor) -> Tensor:
    """uint8 (n, C, H, W) -> (n,) standard deviation over places, in grey levels: root mean square over channels."""
    return images.float().var((2, 3), correction=0).mean(1).sqrt()


def comparable(images: Tensor) -> Tensor:
    """uint8 (n, C, H, W) -> (n, 1 or 3, h, w), h and w at most `LARGEST`; white behind clear parts."""
    images = recolored(images, "rgb") if images.shape[1] == 4 else images
    height, width = images.shape[2:]
    sides = min(height, LARGEST), min(width, LARGEST)
    return images if sides == (height, width) else F.adaptive_avg_pool2d(images.float(), sides)


def low_coefficients(images: Tensor) -> Tensor:
    """Of `comparable` pictures: complex64 (n, d). The distance of two is at most that of the `standardised` pictures.

    The transform is unitary, but for a factor, and a part of what it gives is a projection.
    """
    n, channels, height, _ = images.shape
    down, across = _kept(images.shape)
    found = torch.fft.rfft2(standardised(images), norm="forward")[:, :, :, :across] / math.sqrt(channels)
    found[:, :, :, 1:] *= math.sqrt(2)  # each stands for its conjugate too
    return torch.cat([found[:, :, :down], found[:, :, height - down + 1 :]], 2).reshape(n, -1)


def _kept(shape: Sequence[int]) -> tuple[int, int]:
    """(n, C, H, W) -> how many frequencies from 0 upwards are kept, down and across."""
    return min(FREQUENCIES[shape[1]], (shape[2] + 1) // 2), min(FREQUENCIES[shape[1]], (shape[3] + 1) // 2)


def moves(side: tuple[int, int]) -> list[tuple[int, int]]:
    """The moves, in pixels, at which pictures of this height and width are compared."""
    reach = 1 if min(side) >= MOVABLE else 0
    return [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Twice (n, C, H, W), `comparable` -> (n,) in [-1, 1]: the largest over `moves`, where both have pixels."""
    height, width = a.shape[2:]
    best = torch.full((len(a),), -1.0)
    for dy, dx in moves((height, width)):
        here = a[:, :, max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
        there = b[:, :, max(0, -dy) : height + min(0, -dy), max(0, -dx) : width + min(0, -dx)]
        best = torch.maximum(best, (standardised(here) * standardised(there)).mean((1, 2, 3)))
    return best


def least_correlation(images: Tensor) -> float:
    """Of near-copies among `comparable` pictures."""
    return ALIKE if min(images.shape[2:]) >= MOVABLE else ALIKE_SMALL


def reach(images: Tensor) -> tuple[float, float]:
    """How far apart the low coefficients of near-copies may lie, in a set with these pictures: (sizes, with phases)."""
    small = comparable(images)
    least = math.sqrt(2 * (1 - least_correlation(small)))
    if min(small.shape[2:]) < MOVABLE:
        return least, least
    here, there = small[:, :, 1:, 1:], small[:, :, :-1, :-1]  # the same picture, moved by a pixel both ways
    low = torch.cat([low_coefficients(here), low_coefficients(there)])
    a, b = low.abs().chunk(2)
    pairs = torch.arange(len(low)).view(2, -1).T
    shape = here.shape[1], here.shape[2], here.shape[3]
    sizes, phased = (a - b).norm(dim=1), _distance(low, pairs, _phases(shape))
    most = [float(found.quantile(MOVED, interpolation="higher")) for found in (sizes, phased)]
    return max(least, most[0]), max(least, most[1])


def digests(images: Tensor) -> list[bytes]:
    """16 bytes for each of (n, ...) rows; equal rows have equal ones."""
    rows = images.contiguous().numpy()
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]


def firsts(keys: Iterable[bytes]) -> Tensor:
    """(N,) for each key the number of the first that equals it."""
    seen: dict[bytes, int] = {}
    return torch.tensor([seen.setdefault(key, number) for number, key in enumerate(keys)], dtype=torch.int64)


def near_copies(prints: Prints, rows: Tensor, look: Look, watch: Watch) -> Tensor:
    """(m,) of the pictures numbered by `rows` (m,): the first of those that near-copies join, directly or not.

    Memory is bounded by blocks; time grows with m squared, divided by what the sweep along one axis leaves out.
    """
    if not len(rows):
        return rows
    radius, loose = reach(look(rows[:: -(-len(rows) // 512)]))
    low = prints.low[rows]
    order, sizes, axis = _sorted_by_axis(low.abs())
    low, rows = low[order], rows[order]
    phases = _phases(prints.shape)
    group = torch.arange(len(rows))
    starts = range(0, len(rows), _ROWS)
    for start in watch(starts, len(starts)):
        end = int(torch.searchsorted(axis, axis[min(start + _ROWS, len(rows)) - 1] + radius, right=True))
        for left in range(start, end, _COLUMNS):
            pairs = _close(sizes, radius, start, left, min(left + _COLUMNS, end))
            near = [part[_distance(low, part, phases) <= loose] for part in torch.split(pairs, 8 * _PAIRS)]
            for part in torch.split(torch.cat(near), _PAIRS):
                part = part[group[part[:, 0]] != group[part[:, 1]]]  # what is joined already needs no look
                group = joined(group, part[_alike(part, rows, look)])
    group = group[torch.argsort(order)]
    least = torch.full_like(group, len(group)).scatter_reduce(0, group, torch.arange(len(group)), "amin")
    return least[group]


def _sorted_by_axis(sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(m, d) -> (order, rows in it, their places along the axis on which they differ most, rising)."""
    centred = sizes - sizes.mean(0)
    main = torch.linalg.eigh(centred.T.double() @ centred.double()).eigenvectors[:, -1]
    axis, order = (centred @ main.float()).sort()
    return order, sizes[order], axis


def _close(sizes: Tensor, radius: float, start: int, left: int, right: int) -> Tensor:
    """(k, 2) pairs i < j within `radius`, i among the `_ROWS` from `start`, j in left ... right - 1."""
    a, b = sizes[start : start + _ROWS], sizes[left:right]
    squares = a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    pairs = (squares <= radius**2).nonzero() + torch.tensor([start, left])
    return pairs[pairs[:, 0] < pairs[:, 1]]


def _phases(shape: tuple[int, int, int]) -> Tensor:
    """(d, moves): what each move does to each of the `low_coefficients`."""
    channels, height, width = shape
    down, across = _kept((1, *shape))
    v = torch.cat([torch.arange(down), torch.arange(1 - down, 0)])[:, None].expand(-1, across).reshape(-1, 1)
    u = torch.arange(across)[None].expand(2 * down - 1, -1).reshape(-1, 1)
    dy, dx = torch.tensor(moves((height, width))).T
    turns = v * dy / height + u * dx / width
    return torch.polar(torch.ones(()), 2 * math.pi * turns).repeat(channels, 1)


def _distance(low: Tensor, pairs: Tensor, phases: Tensor) -> Tensor:
    """(k,) the least distance of the low coefficients of (k, 2) pairs over all moves."""
    a, b = low[pairs[:, 0]], low[pairs[:, 1]]
    products = ((a.conj() * b) @ phases).real.max(1).values
    return (a.abs().square().sum(1) + b.abs().square().sum(1) - 2 * products).clamp(min=0).sqrt()


def _alike(pairs: Tensor, rows: Tensor, look: Look) -> Tensor:
    """(k,) bool: do the pixels say so too?"""
    found = [torch.empty(0, dtype=torch.bool)]
    for part in torch.split(pairs, _PAIRS // 8):
        a, b = (comparable(look(rows[column])) for column in part.T)
        found.append(correlation(a, b) >= least_correlation(a))
    return torch.cat(found)


def joined(group: Tensor, pairs: Tensor) -> Tensor:
    """(N,) group numbers after joining those of (k, 2) pairs of members; each group is called by its least number."""
    if not len(pairs):
        return group
    target = torch.arange(len(group))

    def root(number: int) -> int:
        while int(target[number]) != number:
            number = int(target[number])
        return number

    for a, b in group[pairs].tolist():
        low, high = sorted((root(a), root(b)))
        target[high] = low
    while not torch.equal(target, target[target]):
        target = target[target]
    return target[group]
