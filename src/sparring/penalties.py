"""Terms on the discriminator's gradient.

Each is summed over the coordinates of a sample, and given per sample; the engine takes the mean over the batch. Points
and squares are float32 at least; the passes between them are as precise as the run. In bfloat16, which has float32's
range, what R1 tells the weights points where float32 points (cosine .9999 in R3GAN) at half the time; float16 would
overflow. Differences of scores are taken in float32 altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Scorer = Callable[[Tensor], Tensor]
"""(N, ...) -> (N,) scores; a condition, where there is one, is bound already."""
Penalty = Callable[[Scorer, Tensor, Tensor], Tensor]
"""(discriminator, real (N, ...), fake (N, ...)) -> penalty per sample (N,)."""


def exact(x: Tensor) -> Tensor:
    """Detached, and float32 where it was less."""
    return x.detach() if x.dtype == torch.float64 else x.detach().float()


class Judged:
    """A scorer that remembers: what a penalty has scored, the objective need not score again."""

    def __init__(self, score: Scorer) -> None:
        self.score = score
        self.known: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """(N, ...) -> (N,), without looking up and without remembering."""
        return self.score(x)

    def at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, ...) -> points that may be differentiated by, and their scores (N,); the same for the same tensor."""
        if id(x) not in self.known:
            points = exact(x).requires_grad_()
            self.known[id(x)] = x, points, self.score(points)  # x too: an id lives no longer than its tensor
        return self.known[id(x)][1:]

    def knows(self, x: Tensor) -> bool:
        """Whether this very tensor has been scored, and not only points beside it."""
        return id(x) in self.known


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """(N,) -> (N, 1, ...), to be multiplied with `like` (N, ...)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def gradient_square(discriminator: Scorer, x: Tensor) -> Tensor:
    """(N, ...) -> (N,): squared length of the score's gradient at each sample; differentiable again."""
    points, scores = (discriminator if isinstance(discriminator, Judged) else Judged(discriminator)).at(x)
    # not torch.func.grad, which is faster but forbids what networks do in training, such as moving the estimate of a
    # spectral norm
    (gradient,) = torch.autograd.grad(scores.to(points).sum(), points, create_graph=True)
    return gradient.flatten(1).square().sum(1)


def r1(discriminator: Scorer, real: Tensor, fake: Tensor) -> Tensor:
    """|grad D(real)|^2 / 2, to be multiplied by gamma. Mescheder et al. 2018, equation 9."""
    return 0.5 * gradient_square(discriminator, real)


def r2(discriminator: Scorer, real: Tensor, fake: Tensor) -> Tensor:
    """|grad D(fake)|^2 / 2, to be multiplied by gamma. Mescheder et al. 2018, equation 10."""
    return 0.5 * gradient_square(discriminator, fake)


def difference_square(discriminator: Scorer, x: Tensor, step: float = 0.01) -> Tensor:
    """(N, ...) -> (N,): an unbiased guess of `gradient_square` up to O(step^2), without a second derivative.

    ((D(x + step e) - D(x)) / step)^2 for normal e, whose mean is |grad D|^2. Lin et al. 2025 (adversarial
    post-training; adversarial flow models).
    """
    with torch.autocast(x.device.type, enabled=False):
        points = exact(x)
        moved = points + step * torch.randn_like(points)
        scores: Tensor = discriminator(torch.cat([points, moved]))
        before, after = scores.to(points).chunk(2)
        return ((after - before) / step).square()


def r1_by_difference(discriminator: Scorer, real: Tensor, fake: Tensor) -> Tensor:
    """R1 by finite differences: cheaper, noisier, and open to `torch.compile` and sharding."""
    return 0.5 * difference_square(discriminator, real)


def r2_by_difference(discriminator: Scorer, real: Tensor, fake: Tensor) -> Tensor:
    """R2 by finite differences."""
    return 0.5 * difference_square(discriminator, fake)


def off_centre(squares: Tensor, centre: float, one_sided: bool) -> Tensor:
    """(N,) squared lengths -> (length - centre)^2; `one_sided`: only where it is longer."""
    if centre == 0:
        return squares
    excess = (squares + 1e-12).sqrt() - centre  # the root has no slope at 0
    return (excess.clamp(min=0) if one_sided else excess).square()


def gradient_penalty(
    discriminator: Scorer, real: Tensor, fake: Tensor, centre: float = 1.0, one_sided: bool = False
) -> Tensor:
    """(|grad D(x)| - centre)^2 where x lies between a real and a fake sample, evenly, per sample.

    Gulrajani et al. 2017, equation 3 (lambda = 10); `one_sided`: its section 4, and Petzka et al. 2018; `centre` 0:
    Thanh-Tung et al. 2019.
    """
    real, fake = exact(real), exact(fake)
    share = per_sample(torch.rand(len(real), dtype=real.dtype, device=real.device), real)
    return off_centre(gradient_square(discriminator, torch.lerp(fake, real, share)), centre, one_sided)


def dragan(discriminator: Scorer, real: Tensor, fake: Tensor) -> Tensor:
    """(|grad D(x)| - 1)^2 around the real samples. Kodali et al. 2017, in the form of the authors' code.

    x = real + share * noise, noise uniform up to half the standard deviation of the batch, share uniform per sample
    (the paper writes normal noise).
    """
    real = exact(real)
    noise = 0.5 * real.std() * torch.rand_like(real)
    share = per_sample(torch.rand(len(real), dtype=real.dtype, device=real.device), real)
    return off_centre(gradient_square(discriminator, real + share * noise), 1.0, False)


def consistency(discriminator: Scorer, real: Tensor, fake: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """(D(change(x)) - D(x))^2 on real and fake: a change that keeps the meaning should keep the score.

    Zhang et al. 2020 (on real); Zhao et al. 2021 (on both, "balanced", here with equal weights).
    """
    with torch.autocast(real.device.type, enabled=False):
        x = torch.cat([exact(real), exact(fake)])
        scores: Tensor = discriminator(x) - discriminator(change(x))
        on_real, on_fake = scores.to(x).square().chunk(2)
        return on_real + on_fake


@torch.no_grad()
def clip_weights(modules: Iterable[nn.Module], bound: float) -> None:
    """Every parameter into [-bound, bound], in place. Arjovsky et al. 2017, algorithm 1 (bound .01)."""
    parameters: list[Tensor] = [p for module in modules for p in module.parameters()]
    torch._foreach_clamp_min_(parameters, -bound)
    torch._foreach_clamp_max_(parameters, bound)
