"""Fully connected pairs, for pictures and for points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.config import UserError
from sparring.nn.layers import FourierFeatures, Maxout, Projection, spectral_norm, unchanged, with_label


class DenseGenerator(nn.Module):
    """(N, latent) [, (N,) labels] -> (N, *shape): dense layers, leaky ReLU and then batch norm, an output activation.

    Activation before batch norm is the order of the Keras tutorials.
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        hidden: Sequence[int],
        classes: int = 0,
        slope: float = 0.2,
        batch_norm: bool = True,
        bounded: bool = True,
        norm_first: bool = False,
    ) -> None:
        """`bounded` ends in tanh, for pictures in [-1, 1]; points are not bounded. `norm_first`: before activation."""
        super().__init__()
        self.shape, self.classes = tuple(shape), classes
        layers: list[nn.Module] = []
        now = latent + classes
        for after in hidden:
            activation = nn.LeakyReLU(slope) if slope else nn.ReLU()
            norm = [nn.BatchNorm1d(after, momentum=0.2)] if batch_norm else []  # Keras' momentum .8 is the share kept
            layers += [nn.Linear(now, after), *(norm if norm_first else []), activation]
            layers += [] if norm_first else norm
            now = after
        layers.append(nn.Linear(now, math.prod(self.shape)))
        if bounded:
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        out: Tensor = self.layers(with_label(latent, label, self.classes))
        return out.view(-1, *self.shape)


class DenseDiscriminator(nn.Module):
    """(N, *shape) [, (N,) labels] -> (N,) scores; leaky ReLU, and with labels a projection.

    `fourier` random waves of the input, of that angular frequency, go in beside it.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        classes: int = 0,
        slope: float = 0.2,
        spectral: bool = False,
        fourier: int = 0,
        frequency: float = 2.0,
    ) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else unchanged
        layers: list[nn.Module] = [nn.Flatten()]
        now = math.prod(shape) + 2 * fourier
        if fourier:
            layers.append(FourierFeatures(math.prod(shape), fourier, frequency))
        for after in hidden:
            layers += [wrap(nn.Linear(now, after)), nn.LeakyReLU(slope) if slope else nn.ReLU()]
            now = after
        self.layers = nn.Sequential(*layers)
        self.head = Projection(now, classes, wrap)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        score: Tensor = self.head(self.layers(x.contiguous(memory_format=torch.contiguous_format)), label)
        return score


class MaxoutDiscriminator(nn.Module):
    """(N, *shape) -> (N,) scores through maxout layers. Goodfellow et al. 2013, 2014; Lin et al. 2018.

    One piece is leaky ReLU .2 instead, where `spectral` may normalise the layers. `fourier` so many random waves of
    the input go in beside it.
    """

    def __init__(
        self, shape: Sequence[int], hidden: Sequence[int], pieces: int, fourier: int = 0, spectral: bool = False
    ) -> None:
        super().__init__()
        widths = [math.prod(shape) + 2 * fourier, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        if fourier:
            layers.append(FourierFeatures(math.prod(shape), fourier))
        if spectral and pieces > 1:
            raise UserError(f"spectral needs pieces=1, not {pieces}: a maxout layer has no one matrix to normalise")
        wrap = spectral_norm if spectral else unchanged
        for before, after in pairwise(widths):
            plain = [wrap(nn.Linear(before, after)), nn.LeakyReLU(0.2)]
            layers += plain if pieces == 1 else [Maxout(before, after, pieces)]
        self.layers = nn.Sequential(*layers, wrap(nn.Linear(widths[-1], 1)))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        score: Tensor = self.layers(x)
        return score.squeeze(1)
