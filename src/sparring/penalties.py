"""Terms on the discriminator's gradient. Always in float32: half precision overflows or rounds the squares away."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Scorer = Callable[[Tensor], Tensor]
"""(N, ...) -> (N,) scores; a condition, where there is one, is bound already."""
Penalty = Callable[[Scorer, Tensor, Tensor], Tensor]
"""(discriminator, real (N, ...), fake (N, ...)) -> penalty per sample (N,)."""


def gradient_square(discriminator: Scorer, x: Tensor) -> Tensor:
    """(N, ...) -> (N,): squared length of the score's gradient at each sample; differentiable again."""
    with torch.autocast(x.device.type, enabled=False):
        points = x.detach().float().requires_grad_()
        # not torch.func.grad, which is faster but forbids what networks do in training, such as moving the
        # estimate of a spectral norm
        (gradient,) = torch.autograd.grad(discriminator(points).float().sum(), points, create_graph=True)
        return gradient.flatten(1).square().sum(1)


def r1(discriminator: Scorer, real: Tensor, fake: Tensor) -> Tensor:
    """|grad D(real)|^2 / 2, to be multiplied by gamma. Mescheder et al. 2018, equation 9."""
    return 0.5 * gradient_square(discriminator, real)
