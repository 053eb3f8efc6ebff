"""How far apart pictures look, by the layers of a network; and how evenly a generator moves between its latents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from sparring.metrics.errors import Estimate, of_mean
from sparring.metrics.features import Extractor

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two sets of pictures, float (n, C, H, W) in [-1, 1] -> (n,) distances, quadratic where they are small."""
Layers = Callable[[Tensor], Sequence[Tensor]]
"""Float pictures (n, C, H, W) in [-1, 1] -> maps (n, C_l, H_l, W_l) of several layers."""
LEAST_LENGTH = 1e-10
"""Added to the lengths of channels, so that a place where all are 0 has a direction: none."""


def layer_distance(layers: Layers) -> Distance:
    """The mean over layers and places of the squared difference of channels, each place's brought to length 1.

    Zhang et al. 2018, equation 1, with all weights 1 and a mean where it has a sum over layers. In [0, 4]. It is not
    LPIPS, whose weights were fitted to people's judgements.
    """
    return lambda a, b: map_distance(layers(a), layers(b))


def map_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """`layer_distance` of the maps themselves: several (n, C_l, H_l, W_l), twice -> (n,)."""
    parts = [(_unit(x) - _unit(y)).square().sum(1).mean((1, 2)) for x, y in zip(a, b, strict=True)]
    return torch.stack(parts).mean(0)


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + LEAST_LENGTH)


def feature_distance(extractor: Extractor) -> Distance:
    """The squared Euclidean distance of an extractor's features. The pictures are not rounded to bytes.

    Pictures an epsilon apart differ by less than a grey level: rounded, most would be equal and some a whole level
    apart. For extractors whose `run` takes float pictures in 0..255 as it takes bytes, as all of this package do.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        one, other = (extractor.run((x + 1) * 127.5)[0] for x in (a, b))
        return (one.double() - other.double()).square().sum(1)

    return distance


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(n, d), (n, d), (n, 1) -> (n, d): the straight line, for latents without a shape of their own (StyleGAN's w)."""
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(n, d), (n, d), (n, 1) -> (n, d): along the arc between a and b, for normal latents. Shoemake 1985.

    Lengths go from that of a to that of b. Karras et al. bring all to length 1, which their generator does anyway.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1, 1)[:, None]
    angle = cosine.acos().clamp(1e-6, math.pi - 1e-6)  # of opposite latents, any arc
    return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()


PATHS = {"slerp": slerp, "lerp": lerp}


@torch.no_grad()
def path_length(
    generate: Callable[[Tensor], Tensor],
    distance: Distance,
    first: Tensor,
    second: Tensor,
    *,
    path: Literal["slerp", "lerp"] = "slerp",
    ends: bool = False,
    epsilon: float = 1e-4,
    seed: int = 0,
    chunk: int = 100,
) -> Estimate:
    """Perceptual path length, with its error: how much pictures change per step between latents; lower is smoother.

    Mean over pairs of `distance`(G(path(t)), G(path(t + epsilon))) / epsilon^2. Karras et al. 2019, section 4.1,
    equations 2 and 3; their program leaves out the hundredth of the pairs at each end, here all count. `first` and
    `second`: (N, d) latents, N >= 2, drawn independently. `generate`: latents -> pictures in [-1, 1], each from its own
    latent (batch norm in evaluation mode). t is uniform in [0, 1), by `seed`; with `ends` it is 0, which stays near
    latents as they are drawn. Rounding adds about (1e-7 / epsilon)^2 of the features' squares in float32: give
    float64 latents to a float64 generator where that matters. ValueError for what does not fit.
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ValueError(
            f"latents of shape {tuple(first.shape)} and {tuple(second.shape)}; use two of (N, d) with N >= 2"
        )
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ValueError(f"epsilon={epsilon} must be above 0; Karras et al. use 1e-4")
    generator = torch.Generator().manual_seed(seed)
    # float64: a time rounded to float32 would be off by a thousandth of the step
    times = torch.rand(len(first), 1, generator=generator, dtype=torch.float64) * (not ends)
    parts = []
    for a, b, t in zip(*(torch.split(x, chunk) for x in (first, second, times.to(first.device))), strict=True):
        ways = (PATHS[path](a.double(), b.double(), t + step).to(a.dtype) for step in (0.0, epsilon))
        here, there = (generate(latents) for latents in ways)
        parts.append(distance(here, there).double().cpu() / epsilon**2)
    return of_mean(torch.cat(parts))
