"""The residual pair of R3GAN: no normalisation at all, grouped convolutions. Huang et al. 2024, section 3.3.

Written from the paper. Widths run from the smallest map (4 to 7 pixels a side) to the full size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.config import UserError
from sparring.nn.image import ladder

GROUP = 16
"""Channels per group of the grouped convolution."""
LEAKY_GAIN = math.sqrt(2 / (1 + 0.2**2))


def gaussian_(weight: Tensor, gain: float = 1.0) -> None:
    """N(0, gain^2 / fan-in), in place."""
    fan_in = weight[0].numel()
    nn.init.normal_(weight, 0.0, gain / math.sqrt(fan_in))


class Block(nn.Module):
    """(N, C, H, W) -> the same: x + a bottleneck that is twice as wide inside. `depth` blocks lie in the network.

    Fixup initialisation (Zhang et al. 2019): the last convolution starts at zero, the others depth^(-1/4) smaller.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        inner = 2 * width
        if inner % GROUP:
            raise UserError(f"widths: {width} must be a multiple of {GROUP // 2}")
        self.widen = nn.Conv2d(width, inner, 1)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // GROUP)
        self.narrow = nn.Conv2d(inner, width, 1, bias=False)
        for conv in (self.widen, self.mix):
            gaussian_(conv.weight, LEAKY_GAIN * depth**-0.25)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        h = F.leaky_relu(self.widen(x), 0.2)
        h = F.leaky_relu(self.mix(h), 0.2)
        out: Tensor = x + self.narrow(h)
        return out


def doubling(n: int) -> Tensor:
    """(2n, n): what doubles a row of n pixels by the filter [1, 3, 3, 1] / 4, with zeros outside."""
    matrix = torch.zeros(2 * n, n)
    pixel = torch.arange(n)
    matrix[2 * pixel, pixel] = matrix[2 * pixel + 1, pixel] = 0.75
    matrix[2 * pixel[1:], pixel[:-1]] = matrix[2 * pixel[:-1] + 1, pixel[1:]] = 0.25
    return matrix


class Resample(nn.Module):
    """(N, C, height, width) -> twice as large, or with `down` half as large: the filter [1, 3, 3, 1] on both axes.

    As two products with small matrices: a depthwise convolution is the same, and a hundred times slower in bfloat16
    on processors.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, height: int, width: int, down: bool) -> None:
        super().__init__()
        for name, size in (("rows", height), ("columns", width)):
            matrix = doubling(size // 2).T / 2 if down else doubling(size)
            self.register_buffer(name, matrix.contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        y = torch.matmul(self.columns.to(x.dtype), x.permute(0, 2, 3, 1))
        n, height, width, channels = y.shape
        out = torch.matmul(self.rows.to(x.dtype), y.reshape(n, height, width * channels))
        return out.view(n, -1, width, channels).permute(0, 3, 1, 2)  # channels last


def narrowing(before: int, after: int) -> nn.Module:
    """1x1 where the width changes, nothing where it does not."""
    if before == after:
        return nn.Identity()
    conv = nn.Conv2d(before, after, 1, bias=False)
    gaussian_(conv.weight)
    return conv


def stages(height: int, width: int, widths: Sequence[int]) -> tuple[int, int]:
    """(height, width) of the smallest map. `UserError` unless there is a width for every size on the way."""
    steps = ladder(height, width, 7)
    if len(widths) != steps + 1:
        raise UserError(f"widths={list(widths)}: pictures of {height}x{width} need {steps + 1} widths, small to large")
    if height % 2**steps or width % 2**steps:
        raise UserError(f"size={height}x{width}: this network halves it {steps} times; use multiples of {2**steps}")
    return height >> steps, width >> steps


class R3Generator(nn.Module):
    """(N, latent) [, (N,) labels] -> (N, C, H, W). No tanh: what leaves [-1, 1] is cut off in a picture."""

    def __init__(
        self,
        latent: int,
        shape: tuple[int, int, int],
        widths: Sequence[int],
        blocks: int = 2,
        classes: int = 0,
        embedding: int = 64,
    ) -> None:
        super().__init__()
        low = stages(shape[1], shape[2], widths)
        depth = blocks * len(widths)
        self.embedding = nn.Embedding(classes, embedding) if classes else None
        self.basis = nn.Parameter(torch.randn(widths[0], *low))
        self.scale = nn.Linear(latent + (embedding if classes else 0), widths[0], bias=False)
        gaussian_(self.scale.weight)
        layers: list[nn.Module] = [Block(widths[0], depth) for _ in range(blocks)]
        for step, (before, after) in enumerate(pairwise(widths)):
            double = Resample(low[0] << step, low[1] << step, down=False)
            layers += [narrowing(before, after), double]  # narrow first: the same, and cheaper
            layers += [Block(after, depth) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Conv2d(widths[-1], shape[0], 1, bias=False)
        gaussian_(self.out.weight)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        if self.embedding is not None:
            if label is None:
                raise ValueError("this generator is conditional: it needs `label`, (N,) int64")
            latent = torch.cat([latent, self.embedding(label)], dim=1)
        x = self.scale(latent)[:, :, None, None] * self.basis
        x = self.layers(x.contiguous(memory_format=torch.channels_last))
        out: Tensor = self.out(x)
        return out


class R3Discriminator(nn.Module):
    """(N, C, H, W) [, (N,) labels] -> (N,) scores: the generator in reverse; labels by a dot product."""

    def __init__(self, shape: tuple[int, int, int], widths: Sequence[int], blocks: int = 2, classes: int = 0) -> None:
        super().__init__()
        low = stages(shape[1], shape[2], widths)
        depth, falling = blocks * len(widths), list(reversed(widths))
        first = nn.Conv2d(shape[0], falling[0], 1, bias=False)
        gaussian_(first.weight)
        layers: list[nn.Module] = [first, *(Block(falling[0], depth) for _ in range(blocks))]
        for step, (before, after) in enumerate(pairwise(falling)):
            layers += [Resample(shape[1] >> step, shape[2] >> step, down=True), narrowing(before, after)]
            layers += [Block(after, depth) for _ in range(blocks)]
        top = falling[-1]
        self.layers = nn.Sequential(*layers)
        self.pool = nn.Conv2d(top, top, low, groups=top, bias=False)
        gaussian_(self.pool.weight)
        self.head = nn.Linear(top, top if classes else 1, bias=False)
        gaussian_(self.head.weight)
        self.embedding = nn.Embedding(classes, top) if classes else None

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        h = self.head(self.pool(self.layers(x)).flatten(1))
        if self.embedding is None:
            score: Tensor = h.squeeze(1)
            return score
        if label is None:
            raise ValueError("this discriminator is conditional: it needs `label`, (N,) int64")
        projected: Tensor = (h * self.embedding(label)).sum(1) / math.sqrt(h.shape[1])
        return projected
