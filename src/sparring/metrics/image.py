"""Distances between sets of features: Fréchet, kernel, inception score, PRDC and class coverage.

Every metric is a pure function of tensors: no network, no random state, no global settings. All sums run in
float64 in blocks of rows. A Fréchet distance is called FID only in features of the FID-Inception network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

_ROWS = 64  # rows of a pairwise block: 64 x 10,000 float64 is 5 MB, which stays near the cache
_TILE = 512  # side of a tile of kernel values: 2 MB
_TIE = 1e-12  # squared distances closer than this share of the squared norms count as equal


@dataclass(frozen=True, eq=False)
class Moments:
    """Size, mean and covariance (denominator N - 1) of one set of features, in float64."""

    count: int
    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True)
class Prdc:
    """Shares in [0, 1], but density, which is at least 0 and has no upper bound."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True)
class ClassCoverage:
    """Which classes occur: how many, the share of each, and KL(shares || prior) in nats."""

    present: int
    shares: tuple[float, ...]
    kl: float


def moments(features: Tensor) -> Moments:
    """(N, d), N >= 2 -> mean (d,) and covariance (d, d) in float64; ValueError on non-finite features."""
    features = _checked(features, "features")
    mean, count = features.mean(0, dtype=torch.float64), len(features)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
    for rows in torch.split(features, 4096):  # so that a float64 copy of the whole set is never held
        centred = rows.double() - mean
        covariance.addmm_(centred.T, centred, alpha=1 / (count - 1))
    return Moments(count, mean, covariance)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """(N, d), (M, d) -> squared Fréchet distance of the two fitted Gaussians. Heusel et al. 2017, equation 6.

    N, M >= 2, equal d and finite values, or a ValueError that names the argument.
    """
    a, b = _pair(a, b, "a", "b")
    if min(len(a), len(b)) > a.shape[1]:
        return frechet_from_moments(moments(a), moments(b))
    # At most d rows: a covariance is singular. With A and B centred and scaled, tr sqrt(S1 S2) is the nuclear
    # norm of A B^T, which involves no square root of a rounding error.
    x, y = _scaled(a), _scaled(b)
    traces = x.square().sum() + y.square().sum()
    cross = torch.linalg.svdvals(_short(x) @ _short(y).T).sum()
    means = a.mean(0, dtype=torch.float64) - b.mean(0, dtype=torch.float64)
    return max(0.0, float(means.square().sum() + traces - 2 * cross))  # rounding can pass below 0


def frechet_from_moments(a: Moments, b: Moments) -> float:
    """Squared Fréchet distance |m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2)). Heusel et al. 2017, equation 6.

    With S1 = G G^T and S2 = H H^T the trace of the root is the sum of the singular values of G^T H.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"a has {len(a.mean)} features and b has {len(b.mean)}; use one extractor for both")
    mean, covariance = b.mean.to(a.mean.device), b.covariance.to(a.mean.device)
    cross = _root(a.covariance).T @ _root(covariance)
    if cross.shape == covariance.shape:  # full rank: eigenvalues are exact enough, and three times faster
        root = torch.linalg.eigvalsh(cross @ cross.T).clamp(min=0).sqrt().sum()
    else:
        root = torch.linalg.svdvals(cross).sum()
    traces = a.covariance.trace() + covariance.trace()
    return max(0.0, float((a.mean - mean).square().sum() + traces - 2 * root))


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """(N, d), (M, d) -> squared MMD, kernel (x.y / d + 1)^3, unbiased. Bińkowski et al. 2018, section 4.

    The U-statistic over all pairs, not an average over random subsets: no noise and no seed. It has mean 0
    for equal distributions, so that single values may be below 0.
    """
    a, b = (features.double() for features in _pair(a, b, "a", "b"))
    n, m = len(a), len(b)
    within = _kernel_within(a) / (n * (n - 1)) + _kernel_within(b) / (m * (m - 1))
    between = sum(_kernel_sum(x, y) for x in torch.split(a, _TILE) for y in torch.split(b, _TILE))
    return within - 2 * between / (n * m)


def inception_score(logits: Tensor, splits: int = 1) -> tuple[float, float]:
    """(N, K) logits -> mean and sd (denominator `splits`) over consecutive splits, in [1, K].

    exp of the mean KL(p(y|x) || p(y)). Salimans et al. 2016, section 4. Needs 1 <= splits <= N.
    """
    logits = _checked(logits, "logits")
    if not 1 <= splits <= len(logits):
        raise ValueError(f"splits={splits} for {len(logits)} logits; use 1 to {len(logits)}")
    edges = [i * len(logits) // splits for i in range(splits + 1)]
    scores = []
    for start, stop in pairwise(edges):
        log_p = logits[start:stop].double().log_softmax(1)
        # logsumexp, not the log of a mean, which is -inf for a class that never occurs.
        log_marginal = log_p.logsumexp(0) - math.log(stop - start)
        scores.append((log_p.exp() * (log_p - log_marginal)).sum(1).mean().exp())
    values = torch.stack(scores)
    return float(values.mean()), float(values.std(correction=0))


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> Prdc:
    """(N, d), (M, d) -> precision and recall, density and coverage.

    Kynkäänniemi et al. 2019, section 2, and Naeem et al. 2020, section 3. The ball of a point reaches to its
    k-th other neighbour in its own set, and its surface belongs to it. Needs 1 <= k < min(N, M).
    """
    real, fake = _pair(real, fake, "real", "fake")
    for name, features in (("real", real), ("fake", fake)):
        if not 1 <= k < len(features):
            raise ValueError(f"k={k} for {len(features)} {name} features; use 1 to {len(features) - 1}, or more rows")
    # Centring keeps digits in the Gram form of the distance, |x|^2 + |y|^2 - 2 x.y. At a median, because one
    # sample that exploded moves the mean away from all others.
    centre = _middle(real)
    x, y = real.double() - centre, fake.double() - centre
    real_radius, fake_radius = _radii(x, k), _radii(y - _middle(y), k)
    in_real_balls = torch.zeros(len(y), dtype=torch.int64, device=y.device)
    recalled, covered = [], []
    # Scaling the squared norms down admits ties: the same distance comes out of two matrix products with
    # different last digits, and a copy at distance 0 must lie in a ball of radius 0.
    for start, squared in _squared_distances(x, y, 1 - _TIE):
        inside = squared <= real_radius[start : start + _ROWS, None]
        in_real_balls += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((squared <= fake_radius).any(1))
    return Prdc(
        precision=_share(in_real_balls > 0),
        recall=_share(torch.cat(recalled)),
        density=int(in_real_balls.sum()) / (k * len(y)),
        coverage=_share(torch.cat(covered)),
    )


def class_coverage(labels: Tensor, classes: int, prior: Sequence[float]) -> ClassCoverage:
    """(N,) integer labels in [0, classes) and the expected share of each class -> what occurs and how evenly.

    `kl` is KL(generated || prior): 0 when the shares agree, infinite when a class of prior 0 occurs.
    """
    _check_prior(prior, classes)
    if labels.ndim != 1 or not len(labels) or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels has shape {tuple(labels.shape)} and {labels.dtype}; use one integer per sample: (N,)")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels run from {low} to {high} but classes={classes}; use 0 to {classes - 1}")
    counts = torch.bincount(labels.long().cpu(), minlength=classes).tolist()
    shares = tuple(count / len(labels) for count in counts)
    kl = sum(
        share * math.log(share / expected) if expected > 0 else math.inf
        for share, expected in zip(shares, prior, strict=True)
        if share > 0
    )
    return ClassCoverage(sum(count > 0 for count in counts), shares, max(0.0, kl))


def _check_prior(prior: Sequence[float], classes: int) -> None:
    if len(prior) != classes:
        raise ValueError(f"prior has {len(prior)} shares but classes={classes}; give one share per class")
    if not all(share >= 0 for share in prior) or not math.isclose(sum(prior), 1, abs_tol=1e-6):
        raise ValueError(f"prior has minimum {min(prior)} and sum {sum(prior)}; give shares >= 0 that sum to 1")


def _checked(features: Tensor, name: str) -> Tensor:
    """Features that are (N >= 2, d >= 1) and finite, without their graph and where float64 exists."""
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"{name} has shape {tuple(features.shape)}; flatten to (N, d) with d >= 1")
    if len(features) < 2:
        raise ValueError(f"{name} has {len(features)} rows; use at least 2 samples")
    if bad := int((~features.isfinite()).any(1).sum()):
        raise ValueError(
            f"{name} has NaN or infinity in {bad} of {len(features)} rows; check the samples or the extractor"
        )
    features = features.detach()
    return features.cpu() if features.device.type == "mps" else features  # Metal has no float64


def _pair(a: Tensor, b: Tensor, a_name: str, b_name: str) -> tuple[Tensor, Tensor]:
    a, b = _checked(a, a_name), _checked(b, b_name)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{a_name} has {a.shape[1]} features and {b_name} has {b.shape[1]}; use one extractor for both"
        )
    return a, b.to(a.device)


def _scaled(features: Tensor) -> Tensor:
    """X (N, d) in float64 with X^T X the covariance."""
    return (features.double() - features.mean(0, dtype=torch.float64)) / math.sqrt(len(features) - 1)


def _short(x: Tensor) -> Tensor:
    """At most d rows with the same X^T X: the nuclear norm of X Y^T does not see an orthonormal factor."""
    if len(x) <= x.shape[1]:
        return x
    root: Tensor = torch.linalg.qr(x, mode="r").R
    return root


def _root(covariance: Tensor) -> Tensor:
    """H (d, rank) with H H^T the covariance: Cholesky, or eigenvectors when it is close to singular."""
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(covariance)
    pivots = root.diagonal()
    # Cholesky also passes on rounding errors: pivots whose squares are below 1e-12 of the largest.
    if not failed and pivots.min() > 1e-6 * pivots.max():
        return root
    values: Tensor
    vectors: Tensor
    values, vectors = torch.linalg.eigh(covariance)
    # What is below the rounding error of the largest, or negative, is 0: its root would not be small.
    kept = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return vectors[:, kept] * values[kept].sqrt()


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    """Sum of (x.y / d + 1)^3 over all pairs of rows."""
    base = torch.mm(x, y.T).div_(x.shape[1]).add_(1).flatten()
    return float(torch.dot(base.square(), base))


def _kernel_within(x: Tensor) -> float:
    """Sum of kernel values over ordered pairs of different rows; tiles above the diagonal count twice."""
    tiles = torch.split(x, _TILE)
    total = -float((x.square().sum(1) / x.shape[1] + 1).pow(3).sum())
    for i, rows in enumerate(tiles):
        total += _kernel_sum(rows, rows)
        for columns in tiles[i + 1 :]:
            total += 2 * _kernel_sum(rows, columns)
    return total


def _squared_distances(x: Tensor, y: Tensor, scale: float = 1.0) -> Iterator[tuple[int, Tensor]]:
    """Blocks of rows of scale * (|x|^2 + |y|^2) - 2 x.y, each with the number of its first row."""
    x_norms, y_norms = scale * x.square().sum(1), scale * y.square().sum(1)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        yield start, torch.mm(-2 * x[rows], y.T).add_(x_norms[rows, None]).add_(y_norms)


def _middle(x: Tensor) -> Tensor:
    """(d,) median of about a thousand rows; by sorting: `median` on CUDA refuses deterministic algorithms."""
    rows = x[:: len(x) // 1000 + 1].double()
    return rows.sort(0).values[len(rows) // 2]


def _radii(x: Tensor, k: int) -> Tensor:
    """(N,) squared distance of each row to its k-th nearest other row."""
    radii = []
    for start, squared in _squared_distances(x, x):
        squared.diagonal(start).fill_(math.inf)  # a point is not its own neighbour
        radii.append(squared.topk(k, largest=False).values[:, -1])
    return torch.cat(radii)


def _share(hits: Tensor) -> float:
    return int(hits.count_nonzero()) / len(hits)
