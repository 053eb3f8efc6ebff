"""Optimizers as settings: frozen numbers that make a `torch.optim` object when there are parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba 2015."""

    lr: float = 2e-4
    """Learning rate."""
    beta1: float = 0.5
    """Fraction of the gradient's mean kept per step; GANs want it low."""
    beta2: float = 0.999
    """Fraction of the gradient's mean square kept per step."""

    def over(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        """The optimizer of these parameters, in the fused form."""
        # float(): torch 2.13 refuses betas of mixed kinds, and JSON writes 0.0 as 0
        return torch.optim.Adam(parameters, self.lr, (float(self.beta1), float(self.beta2)), fused=True)


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with Nesterov momentum."""

    lr: float = 0.1
    """Learning rate."""
    momentum: float = 0.9
    """Fraction of the step kept."""
    weight_decay: float = 5e-4
    """Pull of every weight towards zero."""

    def over(self, parameters: Iterable[nn.Parameter]) -> torch.optim.SGD:
        """The optimizer of these parameters."""
        return torch.optim.SGD(
            parameters, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=True, fused=True
        )
