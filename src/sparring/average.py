"""Moving averages of weights, and batch-norm statistics that fit them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from sparring.schedules import Number, at


@dataclass(frozen=True)
class Average:
    """How an averaged copy follows the live weights: average = decay * average + (1 - decay) * live."""

    decay: Number = 0.995
    """Fraction of the old average kept per round, in [0, 1)."""
    warm_up: bool = True
    """Early on keep only (t + 1) / (t + 10) after t rounds, so that the first weights are soon forgotten."""

    def at(self, rounds: int, progress: float = 0.0) -> float:
        """The fraction kept after `rounds` rounds, which are `progress` of the run."""
        decay = at(self.decay, progress)
        return min(decay, (rounds + 1) / (rounds + 10)) if self.warm_up else decay


@dataclass(frozen=True)
class HalfLife:
    """An average by its half-life in real samples seen, so that it does not depend on the batch."""

    images: Number
    """After so many samples an old weight counts half; 0 keeps nothing."""
    batch: int
    """Samples per round."""

    def at(self, rounds: int, progress: float = 0.0) -> float:
        """The fraction kept in a round: 0.5^(batch / half-life). Karras et al. 2020 (ADA), appendix."""
        images = at(self.images, progress)
        return float(0.5 ** (self.batch / images)) if images > 0 else 0.0


def shadow(module: nn.Module) -> nn.Module:
    """A frozen copy, to be averaged into."""
    return copy.deepcopy(module).requires_grad_(False).eval()


@torch.no_grad()
def follow(average: nn.Module, live: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the live ones. Buffers (statistics, counters) are copied."""
    ours: list[torch.Tensor] = list(average.parameters())
    theirs: list[torch.Tensor] = list(live.parameters())
    if ours:
        torch._foreach_lerp_(ours, theirs, 1.0 - decay)
    for mine, other in zip(average.buffers(), live.buffers(), strict=True):
        mine.copy_(other)


def batch_norms(modules: Iterable[nn.Module]) -> list[nn.modules.batchnorm._BatchNorm]:
    """All batch-norm layers with running statistics."""
    kind = nn.modules.batchnorm._BatchNorm
    return [m for root in modules for m in root.modules() if isinstance(m, kind) and m.track_running_stats]


@torch.no_grad()
def recalibrate(modules: Iterable[nn.Module], run: Callable[[], object]) -> None:
    """Estimate batch-norm statistics anew, as the mean over the batches of `run`.

    The statistics that come with averaged weights belong to other, older weights; without this the averaged
    generator is judged on activations that it never has.
    """
    layers = batch_norms(modules)
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative: every batch counts the same
        layer.train()
    try:
        run()
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
