"""Optimizers as settings: frozen numbers that make a `torch.optim` object when there are parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from sparring.schedules import Number, at, falling

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)


def plainly(kind: type[Kind]) -> type[Kind]:
    """The same optimizer, whose methods say nothing to torch's compiler.

    They do nothing with it where nothing is compiled, but import it, which takes longer than a first round.
    """
    names = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)


_Adam, _SGD = plainly(torch.optim.Adam), plainly(torch.optim.SGD)


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba 2015."""

    lr: Number = 2e-4
    """Learning rate."""
    beta1: float = 0.5
    """Fraction of the gradient's mean kept per step; GANs want it low."""
    beta2: Number = 0.999
    """Fraction of the gradient's mean square kept per step."""
    eps: float = 1e-8
    """Added to the root of the mean square: a larger one calms parameters whose gradients are small."""

    def over(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        """The optimizer of these parameters, in the fused form, with the numbers of the first round."""
        return _Adam(parameters, at(self.lr, 0), self._betas(0), self.eps, fused=True)

    def steer(self, optimizer: torch.optim.Optimizer, progress: float, scale: float = 1.0) -> None:
        """Give the optimizer the numbers of this progress in [0, 1], the learning rate times `scale`."""
        for group in optimizer.param_groups:
            group["lr"], group["betas"] = at(self.lr, progress) * scale, self._betas(progress)

    def _betas(self, progress: float) -> tuple[float, float]:
        # float(): torch 2.13 refuses betas of mixed kinds, and JSON writes 0.0 as 0
        return float(self.beta1), float(at(self.beta2, progress))


def steered(
    optimizers: Iterable[tuple[Adam, torch.optim.Optimizer]], decay: float, decay_to: float, end: float = 1.0
) -> Callable[[float], None]:
    """What gives each its numbers before every round; rates fall from progress `decay` on, on a line, to `decay_to`.

    `end` is the progress at which they arrive; `decay` is a share of it.
    """
    every = list(optimizers)

    def on_round(progress: float) -> None:
        for adam, optimizer in every:
            adam.steer(optimizer, progress, falling(min(1.0, progress / end), decay, decay_to))

    return on_round


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
        return _SGD(parameters, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=True, fused=True)
