"""Scores of class probabilities: inception score, confidence, and which classes occur how often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sparring.metrics.errors import GROUPS, Estimate, checked, checked_groups, edges, jackknife, of_mean, slices


@dataclass(frozen=True)
class ClassCoverage:
    """Which classes occur: how many, the share of each, and KL(shares || prior) in nats."""

    present: int
    shares: tuple[float, ...]
    kl: float


def inception_score(logits: Tensor, splits: int = 1) -> tuple[float, float]:
    """(N, K) logits -> mean and sd (denominator `splits`) over consecutive splits, in [1, K].

    exp of the mean KL(p(y|x) || p(y)). Salimans et al. 2016, section 4. Needs 1 <= splits <= N.
    """
    logits = checked(logits, "logits")
    if not 1 <= splits <= len(logits):
        raise ValueError(f"splits={splits} for {len(logits)} logits; use 1 to {len(logits)}")
    scores = []
    for start, stop in pairwise(edges(len(logits), splits)):
        log_p = logits[start:stop].double().log_softmax(1)
        # logsumexp, not the log of a mean, which is -inf for a class that never occurs.
        log_marginal = log_p.logsumexp(0) - math.log(stop - start)
        scores.append((log_p.exp() * (log_p - log_marginal)).sum(1).mean().exp())
    values = torch.stack(scores)
    return float(values.mean()), float(values.std(correction=0))


def inception(logits: Tensor, groups: int = GROUPS) -> Estimate:
    """`inception_score` in one split, with its standard error and corrected for the number of samples."""
    logits = checked(logits, "logits")
    groups = checked_groups(groups, len(logits))
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    parts = slices(len(logits), groups)
    marginal = torch.stack([p[rows].sum(0) for rows in parts])
    negative_entropy = torch.stack([torch.xlogy(p[rows], p[rows]).sum() for rows in parts])
    counts = torch.tensor([rows.stop - rows.start for rows in parts], dtype=torch.float64, device=p.device)

    def score(sums: Tensor, entropy: Tensor, count: Tensor) -> float:
        share = sums / count
        return float((entropy / count - torch.xlogy(share, share).sum()).exp())

    totals = marginal.sum(0), negative_entropy.sum(), counts.sum()
    deleted = [
        score(totals[0] - m, totals[1] - e, totals[2] - c)
        for m, e, c in zip(marginal, negative_entropy, counts, strict=True)
    ]
    return jackknife(inception_score(logits)[0], deleted)


def confidence(logits: Tensor) -> Estimate:
    """Mean probability of the likeliest class of (N, K) logits."""
    return of_mean(logits.softmax(1).max(1).values)


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
    return ClassCoverage(sum(count > 0 for count in counts), shares, _kl(shares, prior))


def class_kl(labels: Tensor, classes: int, prior: Sequence[float], groups: int = GROUPS) -> Estimate:
    """`class_coverage(...).kl` with its standard error, and corrected: of few samples it is above 0 by itself."""
    whole = class_coverage(labels, classes, prior)
    groups = checked_groups(groups, len(labels))
    if not math.isfinite(whole.kl):
        return Estimate(whole.kl)
    parts = slices(len(labels), groups)
    counts = torch.stack([torch.bincount(labels[rows].long().cpu(), minlength=classes) for rows in parts])
    rest = (counts.sum(0) - counts).double()
    deleted = [_kl((row / row.sum()).tolist(), prior) for row in rest]
    return jackknife(whole.kl, deleted)


def _kl(shares: Sequence[float], prior: Sequence[float]) -> float:
    total = sum(
        share * math.log(share / expected) if expected > 0 else math.inf
        for share, expected in zip(shares, prior, strict=True)
        if share > 0
    )
    return max(0.0, total)


def _check_prior(prior: Sequence[float], classes: int) -> None:
    if len(prior) != classes:
        raise ValueError(f"prior has {len(prior)} shares but classes={classes}; give one share per class")
    if not all(share >= 0 for share in prior) or not math.isclose(sum(prior), 1, abs_tol=1e-6):
        raise ValueError(f"prior has minimum {min(prior)} and sum {sum(prior)}; give shares >= 0 that sum to 1")
