"""The residual pair of WGAN-GP and SNGAN, for pictures. Gulrajani et al. 2017, appendix F; Miyato et al. 2018, B.4."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.config import UserError
from sparring.data.source import About
from sparring.nn.image import ladder
from sparring.nn.layers import Wrap, spectral_norm, unchanged


def picture_shape(about: About) -> tuple[int, int, int]:
    """(C, H, W). `UserError` for points."""
    if len(about.shape) != 3:
        raise UserError(
            f"--data {about.name} has {about.what}, not pictures; use the recipe mlp or pacgan, or plain networks"
        )
    channels, height, width = about.shape
    return channels, height, width


def xavier(conv: nn.Conv2d, gain: float) -> nn.Conv2d:
    """Glorot-uniform weights, zero bias: gain sqrt 2 on the residual path, 1 elsewhere, as in both codebases."""
    nn.init.xavier_uniform_(conv.weight, gain)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class UpBlock(nn.Module):
    """(N, before, H, W) -> (N, after, 2H, 2W): BN, ReLU, nearest, conv, BN, ReLU, conv; a 1x1 on the short way."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.widen = xavier(nn.Conv2d(before, after, 3, padding=1), 2**0.5)
        self.refine = xavier(nn.Conv2d(after, after, 3, padding=1), 2**0.5)
        self.short = xavier(nn.Conv2d(before, after, 1), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        h = self.widen(F.interpolate(F.relu(self.first(x)), scale_factor=2.0))
        h = self.refine(F.relu(self.second(h)))
        out: Tensor = h + F.interpolate(self.short(x), scale_factor=2.0)  # 1x1 and nearest commute
        return out


class DownBlock(nn.Module):
    """(N, before, H, W) -> (N, after, H, W), halved by means if `down`. `first` has no activation before it."""

    def __init__(self, before: int, after: int, wrap: Wrap, down: bool, first: bool = False) -> None:
        super().__init__()
        self.widen = wrap(xavier(nn.Conv2d(before, after, 3, padding=1), 2**0.5))
        self.refine = wrap(xavier(nn.Conv2d(after, after, 3, padding=1), 2**0.5))
        self.short = wrap(xavier(nn.Conv2d(before, after, 1), 1.0)) if first or down or before != after else None
        self.down, self.first = down, first

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        h = self.refine(F.relu(self.widen(x if self.first else F.relu(x))))
        short = x if self.short is None else self.short(x)
        out: Tensor = h + short
        return F.avg_pool2d(out, 2) if self.down else out


class ResNetGenerator(nn.Module):
    """(N, latent) -> (N, C, H, W) in [-1, 1]: dense to a map of 4 to 7 pixels, up-blocks, BN, ReLU, conv, tanh."""

    def __init__(self, latent: int, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        low, steps = smallest(shape)
        self.base = (width, *low)
        self.dense = nn.Linear(latent, width * low[0] * low[1])
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.blocks = nn.Sequential(*(UpBlock(width, width) for _ in range(steps)), nn.BatchNorm2d(width), nn.ReLU())
        self.out = xavier(nn.Conv2d(width, shape[0], 3, padding=1), 1.0)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        x = self.dense(latent).unflatten(1, self.base).contiguous(memory_format=torch.channels_last)
        return torch.tanh(self.out(self.blocks(x)))


class ResNetDiscriminator(nn.Module):
    """(N, C, H, W) -> (N,): two blocks that halve, two that do not, ReLU, pooling, linear.

    Pooling is the sum under spectral norm (SNGAN) and the mean without (WGAN-GP).
    """

    def __init__(self, shape: tuple[int, int, int], width: int, spectral: bool) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else unchanged
        smallest(shape)
        first = DownBlock(shape[0], width, wrap, down=True, first=True)
        rest = [DownBlock(width, width, wrap, down) for down in (True, False, False)]
        self.blocks = nn.Sequential(first, *rest, nn.ReLU())
        head = nn.Linear(width, 1)
        nn.init.xavier_uniform_(head.weight)
        nn.init.zeros_(head.bias)
        self.head = wrap(head)
        self.sum = spectral

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        h = self.blocks(x)
        score: Tensor = self.head(h.sum((2, 3)) if self.sum else h.mean((2, 3)))
        return score.squeeze(1)


def smallest(shape: tuple[int, int, int]) -> tuple[tuple[int, int], int]:
    """((height, width) of the smallest map, how often it doubles). `UserError` where it would not fit."""
    steps = ladder(shape[1], shape[2], 7)
    if shape[1] % 2**steps or shape[2] % 2**steps:
        raise UserError(f"size={shape[1]}x{shape[2]}: residual networks need multiples of {2**steps}")
    return (shape[1] >> steps, shape[2] >> steps), steps
