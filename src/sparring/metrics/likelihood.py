"""Bounds on log p(x) by importance sampling, in nats per sample (sums over its pixels, never means).

A log-weight is log p(x, z) - log q(z | x) with z drawn from q. Its mean is the evidence lower bound (Kingma and
Welling 2014); the logarithm of the mean of k weights is the tighter bound of Burda et al. 2016 (IWAE), which grows
with k and reaches log p(x). Weights are averaged inside the logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.metrics.errors import Estimate, of_mean

AT_ONCE = 20_000
"""Latents that are decoded at a time."""


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) | N(0, 1)), (N, d) -> (N,) nats. Kingma and Welling 2014, appendix B."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def normal_log_density(z: Tensor, mean: Tensor | float = 0.0, log_variance: Tensor | float = 0.0) -> Tensor:
    """(..., d) -> (...): log N(z; mean, variance) in nats."""
    variance = torch.as_tensor(log_variance, device=z.device)
    each = (z - mean).square() * torch.exp(-variance) + variance + math.log(2 * math.pi)
    return -0.5 * each.sum(-1)


def importance_bound(log_weights: Tensor) -> Tensor:
    """(N, k) -> (N,): log of the mean of k weights. Burda et al. 2016, equation 8; the evidence bound for k = 1."""
    return log_weights.logsumexp(1) - math.log(log_weights.shape[1])


@dataclass(frozen=True)
class Bounds:
    """Of held-out samples, in nats per sample; errors are those of drawing other samples."""

    elbo: Estimate
    """Evidence lower bound: higher is better."""
    nll: Estimate
    """Minus the bound of `k` weights: lower is better, and never above -elbo."""
    k: int


@torch.no_grad()
def bounds(log_weights: Callable[[Tensor, int], Tensor], x: Tensor, k: int, at_once: int = AT_ONCE) -> Bounds:
    """Both bounds of (N, ...) samples, N >= 2, with k weights each, so many latents at a time."""
    elbos, tight = [], []
    for part in torch.split(x, max(1, at_once // k)):
        weights = log_weights(part, k).double().cpu()
        elbos.append(weights.mean(1))
        tight.append(-importance_bound(weights))
    return Bounds(of_mean(torch.cat(elbos)), of_mean(torch.cat(tight)), k)
