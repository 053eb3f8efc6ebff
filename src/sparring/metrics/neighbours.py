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

_ROWS = 384
"""A block's; with fewer, each product packs the other side again for little work."""
_TILE = 512
_THIN = 3
"""Places that hold more fakes say little of those that might be empty."""
_WEIGHTS = (7 / 8, -4 / 8, 1 / 8)
"""(-1)^(c + 1) P(Binomial(_THIN, 1/2) >= c)."""
_SPARE = 4
"""Candidates beyond those that are asked for."""
_NEAR, _FAR = 1e-12, 1e6
"""Features that are all smaller, or larger, are taken in float64: their squares would not fit."""
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
    small = all(features.dtype != torch.float64 and _NEAR < _largest(features) < _FAR for features in sets)
    dtype = torch.float32 if small and sets[0].shape[1] >= _FEW else torch.float64
    centre, made = _middle(sets[0]).to(dtype), []
    for features in sets:
        centred = features.to(dtype) - centre  # rounded once, by a share of the difference itself
        made.append(Cloud(features, centred, centred.square().sum(1), centre.double()))
    return made


def squared_distances(x: Cloud, y: Cloud) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of |x|^2 + |y|^2 - 2 x.y, to rounding, each with the rows that it belongs to."""
    for start in range(0, len(x.centred), _ROWS):
        rows = slice(start, min(start + _ROWS, len(x.centred)))
        yield rows, torch.addmm(y.norms, x.centred[rows], y.centred.T, alpha=-2).add_(x.norms[rows, None])


def nearest(x: Cloud, y: Cloud, k: int, itself: bool = False) -> tuple[Tensor, Tensor]:
    """The k nearest rows of y for every row of x: squared distances (N, k) in float64, rising, and their numbers.

    `itself`: x is y, and a row is not its own neighbour.
    """
    wanted = min(k + _SPARE, len(y.exact) - itself)
    found, numbers = [], []
    for rows, kept, which in _candidates_within(y, wanted) if itself else _candidates(x, y, wanted):
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


def _candidates(x: Cloud, y: Cloud, wanted: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Blocks of rows of x, with the squared distances and the numbers of the rows of y that seem nearest."""
    for rows, squared in squared_distances(x, y):
        kept, which = squared.topk(wanted, largest=False)
        yield rows, kept, which


def _candidates_within(x: Cloud, wanted: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """The same among the other rows of one set, from each pair's distance computed once."""
    count = len(x.exact)
    best = torch.full((count, wanted), math.inf, dtype=x.centred.dtype, device=x.centred.device)
    which = torch.zeros(count, wanted, dtype=torch.int64, device=x.centred.device)

    def merge(rows: slice, squared: Tensor, dim: int, first: int) -> None:
        """Distances to the rows of the set from number `first` on, which lie along `dim`."""
        near = squared.topk(min(wanted, squared.shape[dim]), dim=dim, largest=False)
        values, places = (near.values, near.indices) if dim else (near.values.T, near.indices.T)
        both = torch.cat([best[rows], values], 1).topk(wanted, largest=False)
        best[rows] = both.values
        which[rows] = torch.cat([which[rows], places + first], 1).gather(1, both.indices)

    for start in range(0, count, _TILE):
        rows, rest = slice(start, min(start + _TILE, count)), slice(start + _TILE, count)
        squared = torch.addmm(x.norms[start:], x.centred[rows], x.centred[start:].T, alpha=-2)
        squared.add_(x.norms[rows, None]).diagonal().fill_(math.inf)
        merge(rows, squared, 1, start)
        if rest.start < count:
            merge(rest, squared[:, _TILE:], 0, start)
        for first in range(start, rows.stop, _ROWS):
            some = slice(first, min(first + _ROWS, rows.stop))
            yield some, best[some], which[some]


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


def _largest(x: Tensor) -> float:
    least, most = x.aminmax()
    return max(-float(least), float(most))


def _middle(x: Tensor) -> Tensor:
    """(d,) median of about 250 rows; by sorting: `median` on CUDA refuses deterministic algorithms."""
    rows = x[:: len(x) // 250 + 1].double()
    return rows.sort(0).values[len(rows) // 2]


@dataclass(frozen=True, eq=False)
class Balls:
    """Which points of two sets lie in balls around points of the other, and without each group of fakes."""

    around: Tensor
    """(M,) in how many real balls each fake lies."""
    held: Tensor
    """(N,) how many fakes each real ball holds."""
    held_key: Tensor
    """(N,) which they are: equal for equal sets of up to `_THIN` fakes."""
    recalled: Tensor
    """(N,) in how many balls of fakes each real lies."""
    recalled_key: Tensor
    """(N,) in which, as `held_key`."""
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
    keys = _keys(len(fake)).to(fake.device)
    everything = torch.cat([one_hot, keys], 1)
    around = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    held, recalled, without = [], [], []
    for rows, squared in squared_distances(x, y):
        slack = x.slack * (x.norms[rows].max() + y.norms)
        measure = _Measure(x.exact[rows], y.exact, squared, slack)
        inside = measure.within(real_radius[rows, None])
        around += inside.sum(0)
        held.append(inside.float() @ keys)
        hits = measure.within(fake_radius)
        told = hits.float() @ everything
        recalled.append(told[:, groups:])
        by_group = told[:, :groups]
        still = by_group.sum(1, keepdim=True) - by_group > 0
        near = measure.within(widest) & ~hits
        row, column = near.nonzero(as_tuple=True)
        if len(row):  # the few that only a wider ball reaches
            reached = measure.exact(row, column)[:, None] <= wider[column]
            still = still | torch.zeros_like(by_group).index_add_(0, row, reached.float()).bool()
        without.append(still)
    held_by, recalled_by = torch.cat(held).long(), torch.cat(recalled).long()
    return Balls(around, held_by[:, 0], _key(held_by), recalled_by[:, 0], _key(recalled_by), torch.cat(without))


def _keys(count: int) -> Tensor:
    """(count, 3) a one and two random numbers each; sums of up to `_THIN` of them are exact in float32."""
    drawn = torch.randint(1, 2**24 // _THIN, (count, 2), generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.ones(count, 1), drawn.float()], 1)


def _key(sums: Tensor) -> Tensor:
    return sums[:, 1] * 2**24 + sums[:, 2]


@dataclass(frozen=True, eq=False)
class _Measure:
    """A block of squared distances, which asks for the exact one where its rounding could decide."""

    x: Tensor
    y: Tensor
    squared: Tensor
    slack: Tensor
    """(M,) what rounding can do to a column."""

    def exact(self, row: Tensor, column: Tensor) -> Tensor:
        """(P,) squared distances of the pairs, float64."""
        pairs = zip(torch.split(row, 4096), torch.split(column, 4096), strict=True)
        return torch.cat([(self.x[i].double() - self.y[j].double()).square().sum(1) for i, j in pairs])

    def within(self, radius: Tensor) -> Tensor:
        """(n, M) whether the distance is at most the squared radius, (n, 1) or (M,); the surface belongs to it."""
        kind = self.squared.dtype  # the slack is far above what rounding does to a radius
        inside = self.squared <= (radius + self.slack).to(kind)
        row, column = (inside ^ (self.squared <= (radius - self.slack).to(kind))).nonzero(as_tuple=True)
        if len(row):
            inside[row, column] = self.exact(row, column) <= radius.expand_as(inside)[row, column]
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

    recalled = jackknife(_share(seen.recalled), (seen.recalled_without.sum(0).double() / len(real)).tolist())
    fixed = share_error(seen.recalled, seen.recalled_key, len(fake))
    assert recalled.se is not None
    return {
        "precision": mean_of_fakes((seen.around > 0).long(), 1),
        # the balls of recall are the fakes' own and shrink as there are more of them: with balls held fixed its error
        # comes out too small, by the jackknife too large, and between them within a fifth
        "recall": Estimate(recalled.value, math.sqrt(recalled.se * fixed)),
        "density": mean_of_fakes(seen.around, k),
        "coverage": Estimate(_share(seen.held), share_error(seen.held, seen.held_key, len(fake))),
    }


def share_error(counts: Tensor, keys: Tensor, drawn: int) -> float:
    """Standard error of the share of places that hold at least one of `drawn` points, over fresh points.

    `counts` (N,): how many each place holds; `keys` (N,): which, equal where they are the same. Deleting points tells
    too much, because what one point alone held is often held by the next ones that are drawn. For a Poisson number
    L of points that two places share, 1 - exp(-L) = L - L^2 / 2 + ..., and pairs of places with the same single
    point, the same two, ... estimate the terms without bias, as new species are foretold from those that were seen
    once, twice, ... (Good and Toulmin 1956), with the weights of Efron and Thisted 1976, equation 4.3.
    """
    same = [_same(keys[counts == held]) for held in range(1, _THIN + 1)]
    once = int((counts == 1).sum()) ** 2 / drawn  # the number of points is fixed
    variance = math.fsum(weight * pairs for weight, pairs in zip(_WEIGHTS, same, strict=True)) - once
    return math.sqrt(max(variance if variance > 0 else same[0] - once, 0.0)) / len(counts)


def _same(keys: Tensor) -> float:
    """Ordered pairs of places, each with itself too, whose keys are the same."""
    return float(torch.unique(keys, return_counts=True)[1].double().square().sum())


def _share(hits: Tensor) -> float:
    return int(hits.count_nonzero()) / len(hits)
