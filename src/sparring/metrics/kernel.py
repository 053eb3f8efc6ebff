"""The kernel distance (KID where the features are Inception's): squared maximum mean discrepancy, unbiased."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.metrics.errors import GROUPS, Estimate, checked_groups, checked_pair, jackknife, slices, uncorrected

_TILE = 512  # side of a tile of kernel values


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """(N, d), (M, d) -> squared MMD, kernel (x.y / d + 1)^3, unbiased. Bińkowski et al. 2018, section 4.

    The U-statistic over all pairs, not an average over random subsets: no noise and no seed. It has mean 0
    for equal distributions, so that single values may be below 0.
    """
    return kernel(a, b, 2).value


def kernel(fake: Tensor, reference: Tensor, groups: int = GROUPS) -> Estimate:
    """`kernel_distance` with its standard error over fresh fakes. It has no bias to be corrected.

    Products in the features' own precision (at least float32), sums in float64.
    """
    fake, reference = checked_pair(fake, reference, "a", "b")
    groups = min(checked_groups(max(groups, 2), max(4, len(fake))), len(fake))
    exact = torch.float64 if torch.float64 in (fake.dtype, reference.dtype) or fake.shape[1] <= 512 else torch.float32
    x, y = fake.to(exact), reference.to(exact)
    parts = [x[rows] for rows in slices(len(x), groups)]
    across = torch.stack([_sum(part, y) for part in parts])
    within = torch.zeros(groups, groups, dtype=torch.float64, device=x.device)
    for i, part in enumerate(parts):
        within[i, i] = _within(part)
        for j in range(i):
            within[i, j] = within[j, i] = _sum(part, parts[j])
    m = len(y)
    real = float(_within(y)) / (m * (m - 1))

    def distance(total: Tensor, cross: Tensor, n: int) -> float:
        return float(total) / (n * (n - 1)) + real - 2 * float(cross) / (n * m)

    value = distance(within.sum(), across.sum(), len(x))
    if len(x) - max(len(part) for part in parts) < 2:
        return Estimate(value)
    deleted = [
        distance(within.sum() - 2 * within[i].sum() + within[i, i], across.sum() - across[i], len(x) - len(parts[i]))
        for i in range(groups)
    ]
    return uncorrected(jackknife(value, deleted))


def _sum(x: Tensor, y: Tensor) -> Tensor:
    """Sum of (x.y / d + 1)^3 over all pairs of rows, float64."""
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for rows in torch.split(x, _TILE):
        for columns in torch.split(y, _TILE):
            base = torch.mm(rows, columns.T).double().div_(x.shape[1]).add_(1).flatten()
            total += torch.dot(base.square(), base)
    return total


def _within(x: Tensor) -> Tensor:
    """Sum of kernel values over ordered pairs of different rows; tiles above the diagonal count twice."""
    tiles = torch.split(x, _TILE)
    total = -(x.double().square().sum(1) / x.shape[1] + 1).pow(3).sum()
    for i, rows in enumerate(tiles):
        total += _sum(rows, rows)
        for columns in tiles[i + 1 :]:
            total += 2 * _sum(rows, columns)
    return total
