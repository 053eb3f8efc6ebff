"""How many different samples are there? Vendi score, and near-duplicates within a set."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparring.metrics.errors import Estimate, checked
from sparring.metrics.frechet import gram


def vendi(features: Tensor) -> Estimate:
    """(N, d) -> exp of the entropy of the eigenvalues of K / N with the cosine kernel, in [1, min(N, d)].

    Friedman and Dieng 2023, definition 3.1. The standard error is that of its influence function. ValueError for a
    row of zeros, which has no direction.
    """
    features = checked(features, "features")
    norms = features.double().norm(dim=1, keepdim=True)
    if not bool((norms > 0).all()):
        raise ValueError(f"features has {int((norms == 0).sum())} rows of zeros, which have no cosine; leave them out")
    x = features.double() / norms
    count = len(x)
    if count < x.shape[1]:
        values = torch.linalg.eigvalsh(x @ x.T / count).clamp(min=0)
        return Estimate(_exp_entropy(values))
    values, vectors = torch.linalg.eigh(gram(x) / count)
    values = values.clamp(min=0)
    score = _exp_entropy(values)
    # d entropy / d share of a row = - sum_j (row . q_j)^2 log lambda_j, up to a constant
    weights = -torch.where(values > 1e-300, values, torch.ones_like(values)).log()
    narrow, weights = vectors.float(), weights.float()  # three digits of an error are enough
    influence = torch.cat([(rows.float() @ narrow).square() @ weights for rows in torch.split(x, 4096)])
    return Estimate(score, score * float(influence.std()) / math.sqrt(count))


def vendi_of_kernel(kernel: Tensor) -> float:
    """(N, N) similarities with ones on the diagonal -> Vendi score."""
    return _exp_entropy(torch.linalg.eigvalsh(kernel.double() / len(kernel)).clamp(min=0))


def _exp_entropy(values: Tensor) -> float:
    return math.exp(-float(torch.xlogy(values, values).sum()))
