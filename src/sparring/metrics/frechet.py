"""The Fréchet distance of two sets of features, with its standard error and without most of its bias.

Called FID only in features of the FID-Inception network. Everything runs in float64.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.metrics.errors import (
    GROUPS,
    Estimate,
    checked,
    checked_groups,
    checked_pair,
    jackknife,
    slices,
    uncorrected,
)

_BLOCK = 256
_WHOLE = 3
_SMALL = 256


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
        covariance += gram(rows.double() - mean)
    return Moments(count, mean, covariance / (count - 1))


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
    """`frechet_distance` with its standard error over fresh fakes, and corrected for their number.

    The correction is given from two fakes per dimension on; what bias the number of references brings stays. From
    five fakes per dimension on the error is within a fifth of the true one, below that too large.
    """
    fake, reference = checked_pair(fake, reference, "fake", "reference")
    groups = checked_groups(groups, len(fake))
    if min(len(fake) * (groups - 1) // groups, len(reference)) > fake.shape[1]:
        known = moments(reference)
        root = root_of(known.covariance)
        value, deleted = _all_and_deleted(fake, known, root, groups)
        if root.shape[1] < len(root):  # nearly singular: the value itself by the exact route
            value = frechet_distance(fake, reference)
        found = jackknife(max(0.0, value), deleted)
        return found if len(fake) >= 2 * fake.shape[1] else uncorrected(found)
    kept = [torch.cat([fake[: rows.start], fake[rows.stop :]]) for rows in slices(len(fake), groups)]
    found = jackknife(frechet_distance(fake, reference), [frechet_distance(rest, reference) for rest in kept])
    return uncorrected(found)  # so few samples that the bias is no longer one over their number


def _all_and_deleted(fake: Tensor, reference: Moments, root: Tensor, groups: int) -> tuple[float, list[float]]:
    """The distance of all rows, and those without each group.

    In the eigenvectors of the product whose root counts, W^T W with W = X H, a group's removal changes the trace of
    the root by a series: with eigenvalues s_i^2 and change D, tr = sum D_ii / 2 s_i - sum D_ij^2 / (4 s_i s_j (s_i +
    s_j)) + ... The rest of the series is nearly the same for all groups, so that beyond `_SMALL` dimensions `_WHOLE`
    groups, whose eigenvalues are computed, tell it for all: eigenvalues cost more than all the other work on a group.
    """
    own = moments(fake)
    values, vectors = torch.linalg.eigh(root.T @ own.covariance @ root)
    values = values.clamp(min=0)
    there = values > len(values) * torch.finfo(values.dtype).eps * values.max()
    roots = torch.where(there, values.sqrt(), 1.0)
    first = there / (2 * roots)
    second = there * there[:, None] / (4 * roots * roots[:, None] * (roots + roots[:, None]))
    whole = float(values.sqrt().sum())
    fixed, turn, count = reference.covariance.trace(), root @ vectors, len(fake)
    square = own.covariance.trace() * (count - 1)
    # changes tell errors, of which seven digits are more than enough; brought to size, so that squares fit into float32
    unit, length = max(float(square / count) ** 0.5, 1e-300), max(float(turn.abs().max()), 1e-300)
    narrow = (turn / length).float()
    computed = groups if len(values) <= _SMALL else _WHOLE
    wholly = {i * groups // computed for i in range(computed)}
    deleted, rest = [], {}
    for i, rows in enumerate(slices(count, groups)):
        centred = fake[rows].double() - own.mean
        left = count - len(centred)
        shift = -centred.sum(0) / left  # of the mean: the centred rows sum to 0
        moved = torch.cat([centred, math.sqrt(left) * shift[None]]).div_(unit).float() @ narrow
        change = gram(moved).double().mul_((unit * length) ** 2 / (1 - left))
        change.diagonal().add_(values * ((count - 1) / (left - 1) - 1))
        root_trace = whole + float(first @ change.diagonal() - (second * change.square()).sum())
        if i in wholly:
            change.diagonal().add_(values)
            rest[i] = float(torch.linalg.eigvalsh(change).clamp(min=0).sqrt().sum()) - root_trace
        trace = (square - centred.square().sum() - left * shift.square().sum()) / (left - 1)
        away = (own.mean + shift - reference.mean).square().sum()
        deleted.append(float(away + trace + fixed) - 2 * root_trace)
    usual = statistics.median(rest.values())  # one sample far away moves the rest of its own group alone
    value = float((own.mean - reference.mean).square().sum() + own.covariance.trace() + fixed) - 2 * whole
    return value, [distance - 2 * rest.get(i, usual) for i, distance in enumerate(deleted)]


def gram(x: Tensor) -> Tensor:
    """(n, d) -> X^T X (d, d), of which only the blocks on and below the diagonal are multiplied."""
    made = x.new_empty(x.shape[1], x.shape[1])
    for start in range(0, x.shape[1], _BLOCK):
        columns = slice(start, start + _BLOCK)
        made[columns, : columns.stop] = x[:, columns].T @ x[:, : columns.stop]
        made[:start, columns] = made[columns, :start].T
    return made


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
