"""Nearest neighbours among features, exactly and in bounded memory; precision, recall, density and coverage.

Distances come from products of matrices in the features' own precision, a block of rows at a time. Wherever rounding
could decide (the candidates for a neighbour, points on the surface of a ball), they are computed anew from the
differences, in float64: what is returned is exact, and fast. (Only neighbours within 1e-7 of the distance to the middle
may change places: there, float64 ends too.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.metrics.errors import GROUPS, Estimate, checked_pair, group_numbers, jackknife, uncorrected

_ROWS = 128
_SPARE = 4
"""Candidates beyond those that are asked for."""
_FAR = 1e6
"""Features beyond it are taken in float64: their squares would not fit."""
_FEW = 64
"""Dimensions below which neighbours lie so close that float32 decides little, and float64 costs little."""


@dataclass(frozen=True)
class Prdc:
    """Shares in [0, 1], but density, which is at least 0 and has no upper bound."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, eq=False)
class Cloud:
    """Features, and the form of them that products take."""

    exact: Tensor
    """(N, d) as given."""
    centred: Tensor
    """(N, d) minus a common point, which keeps digits."""
    norms: Tensor
    """(N,) squared, of the centred rows."""
    centre: Tensor
    """(d,) float64."""

    @property
    def slack(self) -> float:
        """Rounding error of a squared distance, as a share of the squared norms."""
        return 32 * torch.finfo(self.centred.dtype).eps

    def take(self, rows: Tensor | slice) -> Cloud:
        """Some of the rows."""
        return Cloud(self.exact[rows], self.centred[rows], self.norms[rows], self.centre)

    def doubled(self) -> Cloud:
        """In float64, from the features as given."""
        centred = self.exact.double() - self.centre
        return Cloud(self.exact, centred, centred.square().sum(1), self.centre)


def clouds(*sets: Tensor) -> list[Cloud]:
    """Sets around one centre: a median, because one sample that exploded moves the mean away from all others."""
    centre = _middle(sets[0])
    small = all(features.dtype != torch.float64 and float(features.abs().max()) < _FAR for features in sets)
    dtype = torch.float32 if small and sets[0].shape[1] >= _FEW else torch.float64
    made = []
    for features in sets:
        centred = torch.cat([(rows.double() - centre).to(dtype) for rows in torch.split(features, 4096)])
        made.append(Cloud(features, centred, centred.square().sum(1), centre))
    return made


def squared_distances(x: Cloud, y: Cloud) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of |x|^2 + |y|^2 - 2 x.y, to rounding, each with the rows that it belongs to."""
    for start in range(0, len(x.centred), _ROWS):
        rows = slice(start, min(start + _ROWS, len(x.centred)))
        yield rows, torch.mm(-2 * x.centred[rows], y.centred.T).add_(x.norms[rows, None]).add_(y.norms)


def nearest(x: Cloud, y: Cloud, k: int, itself: bool = False) -> tuple[Tensor, Tensor]:
    """The k nearest rows of y for every row of x: squared distances (N, k) in float64, rising, and their numbers.

    `itself`: x is y, and a row is not its own neighbour.
    """
    wanted = min(k + _SPARE, len(y.exact) - itself)
    found, numbers = [], []
    for rows, squared in squared_distances(x, y):
        if itself:
            squared.diagonal(rows.start).fill_(math.inf)
        kept, which = squared.topk(wanted, largest=False)
        exact = _exact(x.exact[rows], y.exact, which)
        slack = x.slack * (x.norms[rows] + y.norms.max())
        unsure = kept[:, -1] - slack < exact.sort(1).values[:, k - 1] + slack
        if wanted < len(y.exact) - itself and x.centred.dtype != torch.float64 and bool(unsure.any()):
            again = torch.nonzero(unsure).squeeze(1)
            which[again] = _candidates_in_double(x, y, again + rows.start, wanted, itself)
            exact[again] = _exact(x.exact[again + rows.start], y.exact, which[again])
        order = exact.sort(1)
        found.append(order.values[:, :k])
        numbers.append(which.gather(1, order.indices)[:, :k])
    return torch.cat(found), torch.cat(numbers)


def _exact(x: Tensor, y: Tensor, which: Tensor) -> Tensor:
    """(n, d), (M, d), (n, k) numbers of rows of y -> (n, k) squared distances from the differences, float64."""
    return torch.stack([(x.double() - y[column].double()).square().sum(1) for column in which.unbind(1)], 1)


def _candidates_in_double(x: Cloud, y: Cloud, rows: Tensor, wanted: int, itself: bool) -> Tensor:
    wide = y.doubled()
    parts = []
    for some in torch.split(rows, _ROWS):
        [(_, squared)] = list(squared_distances(x.take(some).doubled(), wide))
        if itself:
            squared[torch.arange(len(some), device=some.device), some] = math.inf
        parts.append(squared.topk(wanted, largest=False).indices)
    return torch.cat(parts)


def _middle(x: Tensor) -> Tensor:
    """(d,) median of about a thousand rows; by sorting: `median` on CUDA refuses deterministic algorithms."""
    rows = x[:: len(x) // 1000 + 1].double()
    return rows.sort(0).values[len(rows) // 2]


@dataclass(frozen=True, eq=False)
class Balls:
    """Which points of two sets lie in balls around points of the other, and without each group of fakes."""

    around: Tensor
    """(M,) in how many real balls each fake lies."""
    held: Tensor
    """(N, G) how many fakes of each group each real ball holds."""
    recalled: Tensor
    """(N,) whether each real lies in a ball of a fake."""
    recalled_without: Tensor
    """(N, G) whether it still does without a group, whose removal widens the others' balls."""


def balls(real: Tensor, fake: Tensor, k: int, groups: int) -> Balls:
    """The one pass over all pairs that precision, recall, density and coverage come from."""
    x, y = clouds(real, fake)
    own = clouds(fake)[0]  # around its own middle: a collapsed set is small and may be far away
    real_radius = nearest(x, x, k, itself=True)[0][:, -1]
    reach = min(3 * k + 2, len(fake) - 1)
    distances, others = nearest(own, own, reach, itself=True)
    number = group_numbers(len(fake), groups).to(fake.device)
    wider = _without(distances, number[others], k, groups)  # (M, G) squared radii without each group
    wider[torch.arange(len(fake), device=fake.device), number] = -1.0  # who is left out has no ball
    fake_radius, widest = distances[:, k - 1], wider.max(1).values
    one_hot = torch.nn.functional.one_hot(number, groups).float()
    around = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    held, recalled, without = [], [], []
    for rows, squared in squared_distances(x, y):
        slack = x.slack * (x.norms[rows, None] + y.norms)
        measure = _Measure(x.exact[rows], y.exact, squared, slack)
        inside = measure.within(real_radius[rows, None].expand_as(squared))
        around += inside.sum(0)
        held.append(inside.float() @ one_hot)
        hits = measure.within(fake_radius.expand_as(squared))
        recalled.append(hits.any(1))
        by_group = hits.float() @ one_hot
        still = by_group.sum(1, keepdim=True) - by_group > 0
        near = measure.within(widest.expand_as(squared)) & ~hits
        row, column = near.nonzero(as_tuple=True)
        if len(row):  # the few that only a wider ball reaches
            reached = measure.exact(row, column)[:, None] <= wider[column]
            still = still | torch.zeros_like(by_group).index_add_(0, row, reached.float()).bool()
        without.append(still)
    return Balls(around, torch.cat(held), torch.cat(recalled), torch.cat(without))


@dataclass(frozen=True, eq=False)
class _Measure:
    """A block of squared distances, which asks for the exact one where its rounding could decide."""

    x: Tensor
    y: Tensor
    squared: Tensor
    slack: Tensor

    def exact(self, row: Tensor, column: Tensor) -> Tensor:
        """(P,) squared distances of the pairs, float64."""
        pairs = zip(torch.split(row, 4096), torch.split(column, 4096), strict=True)
        return torch.cat([(self.x[i].double() - self.y[j].double()).square().sum(1) for i, j in pairs])

    def within(self, radius: Tensor) -> Tensor:
        """(n, M) whether the distance is at most the squared radius: the surface belongs to the ball."""
        inside = self.squared <= radius
        row, column = ((self.squared - radius).abs() <= self.slack).nonzero(as_tuple=True)
        if len(row):
            inside[row, column] = self.exact(row, column) <= radius[row, column]
        return inside


def _without(distances: Tensor, groups_of: Tensor, k: int, groups: int) -> Tensor:
    """(M, R) rising squared distances and the neighbours' groups -> (M, G) that of the k-th neighbour left.

    Where fewer than k of the R are left, that of the last.
    """
    left = []
    for group in range(groups):
        kept = (groups_of != group).cumsum(1)
        last = (kept < k).sum(1).clamp(max=distances.shape[1] - 1)
        left.append(distances.gather(1, last[:, None]).squeeze(1))
    return torch.stack(left, 1)


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> Prdc:
    """(N, d), (M, d) -> precision and recall, density and coverage.

    Kynkäänniemi et al. 2019, section 2, and Naeem et al. 2020, section 3. The ball of a point reaches to its
    k-th other neighbour in its own set, and its surface belongs to it. Needs 1 <= k < min(N, M).
    """
    found = neighbours(real, fake, k, 2)
    return Prdc(found["precision"].value, found["recall"].value, found["density"].value, found["coverage"].value)


def neighbours(real: Tensor, fake: Tensor, k: int = 5, groups: int = GROUPS) -> dict[str, Estimate]:
    """`prdc` with standard errors over fresh fakes."""
    real, fake = checked_pair(real, fake, "real", "fake")
    for name, features in (("real", real), ("fake", fake)):
        if not 1 <= k < len(features):
            raise ValueError(f"k={k} for {len(features)} {name} features; use 1 to {len(features) - 1}, or more rows")
    groups = min(groups, len(fake))
    seen = balls(real, fake, k, groups)
    number = group_numbers(len(fake), groups).to(fake.device)
    sizes = torch.bincount(number, minlength=groups)

    def mean_of_fakes(values: Tensor, scale: int) -> Estimate:
        sums = torch.zeros(groups, dtype=torch.int64, device=fake.device).index_add_(0, number, values)
        whole, total = int(values.sum()), len(values)
        rest = [int(whole - s) / (scale * int(total - n)) for s, n in zip(sums, sizes, strict=True) if n < total]
        return uncorrected(jackknife(whole / (scale * total), rest))

    covered = seen.held.sum(1, keepdim=True)
    still_covered = (covered - seen.held > 0).sum(0)
    return {
        "precision": mean_of_fakes((seen.around > 0).long(), 1),
        "recall": uncorrected(
            jackknife(_share(seen.recalled), (seen.recalled_without.sum(0).double() / len(real)).tolist())
        ),
        "density": mean_of_fakes(seen.around, k),
        "coverage": uncorrected(jackknife(_share(covered[:, 0]), (still_covered.double() / len(real)).tolist())),
    }


def _share(hits: Tensor) -> float:
    return int(hits.count_nonzero()) / len(hits)
