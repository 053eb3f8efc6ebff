"""Did the model copy its training set? Tests that need the training samples and held-out ones beside the generated.

Precision, recall and Fréchet distances are blind to copies: they even praise them. No statistic proves memorisation in
general either (Stein et al. 2023, section 5), so that the nearest training samples are worth looking at too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.metrics.errors import Estimate, checked_pair, of_mean
from sparring.metrics.neighbours import clouds, nearest

MIFID_THRESHOLD = 0.1


@dataclass(frozen=True, eq=False)
class Copying:
    """What generated samples and held-out ones say of their nearest training samples."""

    z: Estimate
    """C_T: far below 0 the generated lie nearer to training samples than held-out ones do; its error is 1."""
    authentic: Estimate
    """Share of generated samples further from their nearest training sample than that is from its own nearest."""
    authentic_held_out: Estimate
    """The same of held-out samples: what a model that copies nothing is to be compared with."""
    nearest: Tensor
    """(N,) numbers of the training samples nearest to each generated one."""
    distance: Tensor
    """(N,) squared distances to them."""


def copying(fake: Tensor, train: Tensor, held_out: Tensor) -> Copying:
    """(N, d), (T, d), (H, d) features of generated, training and held-out samples, each at least 2.

    Meehan et al. 2020, definition 2, with a single cell; Alaa et al. 2022, section 3.3.
    """
    fake, train = checked_pair(fake, train, "fake", "train")
    held_out, _ = checked_pair(held_out, train, "held_out", "train")
    learnt, made, kept = clouds(train, fake, held_out)
    made_distance, made_nearest = (column[:, 0] for column in nearest(made, learnt, 1))
    kept_distance, kept_nearest = (column[:, 0] for column in nearest(kept, learnt, 1))
    places = torch.unique(torch.cat([made_nearest, kept_nearest]))
    if 2 * len(places) > len(train):
        between = nearest(learnt, learnt, 1, itself=True)[0][:, 0]
    else:
        between = torch.zeros(len(train), dtype=torch.float64, device=train.device)
        between[places] = nearest(learnt.take(places), learnt, 2)[0][:, 1]  # the nearest is itself, or its double
    return Copying(
        Estimate(mann_whitney(made_distance, kept_distance), 1.0),
        of_mean((between[made_nearest] < made_distance).double()),
        of_mean((between[kept_nearest] < kept_distance).double()),
        made_nearest,
        made_distance,
    )


def mann_whitney(a: Tensor, b: Tensor) -> float:
    """(n,), (m,) -> z-score of how often a is above b: standard normal when both come from one distribution.

    Ties count half, and make the variance smaller. Mann and Whitney 1947.
    """
    n, m = len(a), len(b)
    both = torch.cat([a, b]).double()
    _, place, counts = torch.unique(both, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    rank = (last - (counts.double() - 1) / 2)[place]  # the mean rank of equal values
    u = float(rank[:n].sum()) - n * (n + 1) / 2
    ties = float((counts.double().pow(3) - counts.double()).sum())
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    return (u - n * m / 2) / math.sqrt(variance) if variance > 0 else 0.0


def memorisation_distance(fake: Tensor, train: Tensor) -> Estimate:
    """Mean over the generated samples of 1 - |cosine| to the nearest training sample, in [0, 1]. Bai et al. 2021.

    The nearest training sample of each generated one: taken the other way round, copying would be rewarded.
    """
    fake, train = checked_pair(fake, train, "fake", "train")
    x, y = (torch.nn.functional.normalize(features.float(), dim=1) for features in (fake, train))
    best = torch.cat([torch.mm(rows, y.T).abs().max(1).values for rows in torch.split(x, 512)])
    return of_mean(1 - best.clamp(max=1))


def mifid(distance: float, memorisation: float, threshold: float = MIFID_THRESHOLD) -> float:
    """A Fréchet distance, divided by the memorisation distance where that is below the threshold. Bai et al. 2021.

    The threshold belongs to Inception features; in others, real samples lie below it too.
    """
    return distance / max(memorisation, 1e-12) if memorisation < threshold else distance
