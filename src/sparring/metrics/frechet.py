"""The Fréchet distance of two sets of features, with its standard error and without most of its bias.

Called FID only in features of the FID-Inception network. Everything runs in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.metrics.errors import GROUPS, Estimate, checked, checked_groups, checked_pair, jackknife, slices


@dataclass(frozen=True, eq=False)
class Moments:
    """Size, mean and covariance (denominator N - 1) of one set of features, in float64."""

    count: int
    mean: Tensor
    covariance: Tensor


def moments(features: Tensor) -> Moments:
    """(N, d), N >= 2 -> mean (d,) and covariance (d, d) in float64; ValueError on non-finite features."""
    features = checked(features, "features")
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
    a, b = checked_pair(a, b, "a", "b")
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
    cross = root_of(a.covariance).T @ root_of(covariance)
    if cross.shape == covariance.shape:  # full rank: eigenvalues are exact enough, and three times faster
        root = torch.linalg.eigvalsh(cross @ cross.T).clamp(min=0).sqrt().sum()
    else:
        root = torch.linalg.svdvals(cross).sum()
    traces = a.covariance.trace() + covariance.trace()
    return max(0.0, float((a.mean - mean).square().sum() + traces - 2 * root))


def frechet(fake: Tensor, reference: Tensor, groups: int = GROUPS) -> Estimate:
    """`frechet_distance` with its standard error over fresh fakes, and corrected for their number (not for that of
    the reference). Costs one more eigenvalue problem per group.
    """
    fake, reference = checked_pair(fake, reference, "fake", "reference")
    groups = checked_groups(groups, len(fake))
    value = frechet_distance(fake, reference)
    if min(len(fake) * (groups - 1) // groups, len(reference)) > fake.shape[1]:
        return jackknife(value, list(_deleted(fake, moments(reference), groups)))
    kept = [torch.cat([fake[: rows.start], fake[rows.stop :]]) for rows in slices(len(fake), groups)]
    return jackknife(value, [frechet_distance(rest, reference) for rest in kept])


def _deleted(fake: Tensor, reference: Moments, groups: int) -> Iterator[float]:
    """The distance without each group. In coordinates of the reference's root, W = X H, so that W^T W is the product
    whose eigenvalues count: every group's part is made once, and its removal is a subtraction.
    """
    root, mean = root_of(reference.covariance), fake.mean(0, dtype=torch.float64)
    parts, sums, squares, counts = [], [], [], []
    for rows in slices(len(fake), groups):
        centred = fake[rows].double() - mean
        turned = centred @ root
        parts.append(turned.T @ turned)
        sums.append(centred.sum(0))
        squares.append(centred.square().sum())
        counts.append(len(centred))
    whole, square = torch.stack(parts).sum(0), torch.stack(squares).sum()
    for part, total, own, count in zip(parts, sums, squares, counts, strict=True):
        left = len(fake) - count
        shift = -total / left  # of the mean: the centred rows sum to 0
        turned = shift @ root
        product = (whole - part - left * torch.outer(turned, turned)) / (left - 1)
        trace = (square - own - left * shift.square().sum()) / (left - 1)
        cross = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
        away = (mean + shift - reference.mean).square().sum()
        yield float(away + trace + reference.covariance.trace() - 2 * cross)


def _scaled(features: Tensor) -> Tensor:
    """X (N, d) in float64 with X^T X the covariance."""
    return (features.double() - features.mean(0, dtype=torch.float64)) / math.sqrt(len(features) - 1)


def _short(x: Tensor) -> Tensor:
    """At most d rows with the same X^T X: the nuclear norm of X Y^T does not see an orthonormal factor."""
    if len(x) <= x.shape[1]:
        return x
    root: Tensor = torch.linalg.qr(x, mode="r").R
    return root


def root_of(covariance: Tensor) -> Tensor:
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
