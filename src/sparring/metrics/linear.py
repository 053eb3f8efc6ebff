"""What a network has learnt, by what a linear classifier can read from it. Radford et al. 2016, section 5.1.

A figure of features means nothing beside pixels alone: an untrained network of the same shape is the control, because
random convolutions are features, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.data.kinds import to_float

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Softplus, nn.Tanh)
CHUNK = 500
RIDGES = tuple(10.0**power for power in range(-6, 3))
"""Regularisation tried, as multiples of the mean squared length of a feature vector."""


@torch.no_grad()
def pooled_features(network: nn.Module, pictures: Tensor, side: int = 4) -> Tensor:
    """(N, C, H, W) uint8 -> (N, d) float32: maps after each activation, max-pooled to `side` x `side`, side by side.

    `network` is called on pictures in [-1, 1], in evaluation mode; layers that are no maps join as they are.
    ValueError for a network without activations.
    """
    seen: list[Tensor] = []
    layers = [module for module in network.modules() if isinstance(module, ACTIVATIONS)]
    if not layers:
        raise ValueError("the network has no activations to read features from")
    hooks = [layer.register_forward_hook(lambda _, __, output: seen.append(output.float())) for layer in layers]
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    device, parts = next(network.parameters()).device, []
    try:
        for part in torch.split(pictures, CHUNK):
            seen.clear()
            network(to_float(part.to(device)).contiguous(memory_format=torch.channels_last))
            few = [F.adaptive_max_pool2d(x, _at_most(x, side)) if x.ndim == 4 else x for x in seen]
            parts.append(torch.cat([x.flatten(1) for x in few], 1).cpu())
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return torch.cat(parts)


def _at_most(x: Tensor, side: int) -> tuple[int, int]:
    return min(side, x.shape[2]), min(side, x.shape[3])


@dataclass(frozen=True, eq=False)
class Linear:
    """A classifier of feature vectors."""

    weight: Tensor
    """(d, classes)."""
    bias: Tensor
    """(classes,)."""
    ridge: float
    """Of `RIDGES`, the one that was chosen."""

    def __call__(self, features: Tensor) -> Tensor:
        """(N, d) -> (N,) class numbers."""
        return (features.double() @ self.weight + self.bias).argmax(1)


def fitted(features: Tensor, labels: Tensor, classes: int, ridges: Sequence[float] = RIDGES) -> Linear:
    """The ridge regression of +-1 per class on (N, d) features with (N,) labels, one against all, in float64.

    The strength is chosen by leave-one-out errors of the training rows, which are exact without refitting (Hastie,
    Tibshirani and Friedman, section 7.10): a row's residual over 1 - H_ii, with H = 1 1^T / N + K (K + lambda I)^-1 of
    centred rows. ValueError for fewer than two rows or labels of another number.
    """
    if features.ndim != 2 or len(features) < 2 or labels.shape != (len(features),):
        raise ValueError(f"features {tuple(features.shape)} and labels {tuple(labels.shape)}; use (N, d) and (N,)")
    x, targets = features.double(), 2.0 * F.one_hot(labels, classes).double() - 1
    middle, mean = x.mean(0), targets.mean(0)
    x, y = x - middle, targets - mean
    scale = float(x.square().sum(1).mean().clamp(min=1e-12))
    values, vectors = torch.linalg.eigh(x @ x.T)
    values, turned, best = values.clamp(min=0), vectors.T @ y, (len(labels) + 1, float("inf"))
    chosen = ridges[0]
    for ridge in ridges:
        wrong = _left_out(values, vectors, turned, y, mean, labels, ridge * scale)
        if wrong < best:
            best, chosen = wrong, ridge
    weight = x.T @ (vectors @ (turned / (values + chosen * scale)[:, None]))
    return Linear(weight, mean - middle @ weight, chosen)


def _left_out(
    values: Tensor, vectors: Tensor, turned: Tensor, y: Tensor, mean: Tensor, labels: Tensor, ridge: float
) -> tuple[int, float]:
    """(wrong names, mean squared error) of every row by a fit without it."""
    share = values / (values + ridge)
    residual = y - vectors @ (share[:, None] * turned)
    hat = 1 / len(y) + vectors.square() @ share
    residual = residual / (1 - hat).clamp(min=1e-12)[:, None]
    return int(((y - residual + mean).argmax(1) != labels).sum()), float(residual.square().mean())


def errors(classifier: Linear, features: Tensor, labels: Tensor) -> int:
    """How many of (N, d) features are named otherwise than by their (N,) labels."""
    return int((classifier(features) != labels).sum())
