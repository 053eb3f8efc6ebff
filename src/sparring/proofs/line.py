"""Distributions on the line with known densities, and integrals over it: what a bound is held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from sparring.objectives import Divergence
from sparring.seeds import mix

GRID = torch.linspace(-14, 14, 28_001, dtype=torch.float64)


@dataclass(frozen=True)
class Mixture:
    """Shares, means and standard deviations of Gaussians."""

    shares: Sequence[float]
    means: Sequence[float]
    deviations: Sequence[float]

    def log_density(self, x: Tensor) -> Tensor:
        """(N,) -> (N,), nats."""
        parts = [
            math.log(share) - math.log(sd * math.sqrt(2 * math.pi)) - 0.5 * ((x - mean) / sd).square()
            for share, mean, sd in zip(self.shares, self.means, self.deviations, strict=True)
        ]
        return torch.stack(parts).logsumexp(0)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """(n, 1) float32."""
        which = torch.multinomial(torch.tensor(self.shares), n, replacement=True, generator=generator)
        means, deviations = torch.tensor(self.means), torch.tensor(self.deviations)
        return (means[which] + deviations[which] * torch.randn(n, generator=generator))[:, None]


def gaussian(mean: float, deviation: float) -> Mixture:
    """One Gaussian."""
    return Mixture((1.0,), (mean,), (deviation,))


def integral(values: Tensor) -> float:
    """Over `GRID`, by the trapezoid rule."""
    return torch.trapezoid(values, GRID).item()


def exact(divergence: Divergence, p: Mixture, q: Mixture) -> float:
    """D_f(P|Q) by numerical integration."""
    log_p, log_q = p.log_density(GRID), q.log_density(GRID)
    inside = log_q > -600
    values = log_q.exp() * divergence.f((log_p - log_q).exp())
    if not bool(values[inside].isfinite().all()):
        raise ValueError("the divergence overflows on the grid: it may be infinite")
    return integral(torch.where(inside, values, 0.0))


@torch.no_grad()
def bound(divergence: Divergence, score: Callable[[Tensor], Tensor], p: Mixture, q: Mixture) -> float:
    """E_P[T] - E_Q[f*(T)] of a trained function, by numerical integration: no sampling noise."""
    v = score(GRID.float()[:, None]).double()
    values = p.log_density(GRID).exp() * divergence.activation(v)
    return integral(values) - integral(q.log_density(GRID).exp() * divergence.conjugate(v))


class Curve(nn.Module):
    """(N, inputs) -> (N,): two tanh layers of 64, or leaky ReLU if `bent`.

    `squash` puts a sigmoid after it, which is the mistake of the controls. Under a gradient penalty tanh will not do:
    it learns a step so narrow that the points between real and fake, where the slope is looked at, hardly ever hit it.
    """

    def __init__(self, squash: bool = False, inputs: int = 1, bent: bool = False) -> None:
        super().__init__()

        def activation() -> nn.Module:
            return nn.LeakyReLU(0.2) if bent else nn.Tanh()

        layers = [nn.Linear(inputs, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 1)]
        self.layers = nn.Sequential(*layers, *([nn.Sigmoid()] if squash else []))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        out: Tensor = self.layers(x)
        return out.squeeze(1)


def draws(seed: int, batch: int, **of: Callable[[int, Generator], Tensor]) -> Iterator[dict[str, Tensor]]:
    """Endless batches; batch number t is a function of (seed, t)."""
    number = 0
    while True:
        generator = Generator().manual_seed(mix(seed, number))
        yield {name: sample(batch, generator) for name, sample in of.items()}
        number += 1
