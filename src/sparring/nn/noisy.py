"""Classifiers without batch norm that learn under noise: the discriminators of semi-supervised games."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from sparring.config import UserError
from sparring.nn.image import ladder
from sparring.nn.layers import Wrap, unchanged

FEATURES = 128


class Noise(nn.Module):
    """Adds N(0, deviation^2) to every number while training."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) -> the same shape."""
        return x + self.deviation * torch.randn_like(x) if self.training and self.deviation else x


class NoisyClassifier(nn.Module):
    """(N, *shape) in [-1, 1] -> class logits (N, classes); `features` gives the last hidden layer, (N, d)."""

    def __init__(self, layers: nn.Module, features: int, classes: int, wrap: Wrap = unchanged) -> None:
        super().__init__()
        self.layers, self.head = layers, wrap(nn.Linear(features, classes))

    def features(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, d)."""
        h: Tensor = self.layers(x)
        return h

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        logits: Tensor = self.head(self.features(x))
        return logits


def convolutional(shape: tuple[int, int, int], classes: int, width: int, noise: float) -> NoisyClassifier:
    """4x4 convolutions of stride 2 double the channels from `width` until the map is at most 7 pixels a side; one 3x3.

    Then a dense layer of 128; leaky ReLU. `noise` in [-1, 1] pictures only: deeper noise costs more than it brings.
    """
    channels, height, across = shape
    steps = ladder(height, across, 7)
    if min(height, across) >> steps == 0:
        raise UserError(f"size={height}x{across} is too elongated for this network; its sides may differ 7-fold")
    layers: list[nn.Module] = [Noise(noise)]
    for step in range(steps):
        after = min(width << step, 512)
        layers += [nn.Conv2d(channels, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        channels, height, across = after, height // 2, across // 2
    after = min(width << steps, 512)
    layers += [nn.Conv2d(channels, after, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten()]
    flat = after * math.ceil(height / 2) * math.ceil(across / 2)
    return NoisyClassifier(nn.Sequential(*layers, nn.Linear(flat, FEATURES), nn.LeakyReLU(0.2)), FEATURES, classes)


def dense(shape: Sequence[int], classes: int, hidden: Sequence[int], noise: float, inner: float) -> NoisyClassifier:
    """Dense layers with weight norm and ReLU; `noise` on the pictures, `inner` on all hidden layers but the last.

    Salimans et al. 2016, section 5.1 and their published settings.
    """
    layers: list[nn.Module] = [nn.Flatten(), Noise(noise)]
    now = math.prod(shape)
    for after in hidden:
        layers += [weight_norm(nn.Linear(now, after)), nn.ReLU(), Noise(inner)]
        now = after
    return NoisyClassifier(nn.Sequential(*layers[:-1]), now, classes, weight_norm)
