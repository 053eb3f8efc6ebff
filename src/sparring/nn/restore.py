"""Networks that give a picture back what it has lost: its resolution, or a part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.config import UserError
from sparring.nn.translate import depth

RESIDUAL = 0.2
"""What a block's change is multiplied by before it is added. Wang et al. 2018, section 3.1."""


def factor_of(source: Sequence[int], image: Sequence[int]) -> int:
    """How many times higher and wider images are than sources. `UserError` unless it is one power of 2 for both."""
    (_, low, narrow), (_, high, wide) = source, image
    factor = high // low
    if (high, wide) != (factor * low, factor * narrow) or factor < 2 or factor & (factor - 1):
        raise UserError(
            f"sources of {low}x{narrow} and images of {high}x{wide}: images must be 2, 4, 8 ... times as large; "
            "use --source reduced:2 or reduced:4"
        )
    return factor


class Upscaler(nn.Module):
    """(N, C, h, w) -> (N, D, s h, s w), about in [-1, 1], s = 2, 4, 8 ... Ledig et al. 2017; Wang et al. 2018, 3.1.

    `blocks` of residuals in residuals without batch norm, all at the small size; then a convolution and a pixel shuffle
    for each doubling. What they make is added to the bicubic enlargement (Kim et al. 2016), with which training begins.
    Any h and w.
    """

    def __init__(
        self, source: Sequence[int], image: Sequence[int], width: int = 64, blocks: int = 4, growth: int = 32
    ) -> None:
        super().__init__()
        self.factor, before, after = factor_of(source, image), source[0], image[0]
        if after != before:
            raise UserError(f"sources have {before} channels and images {after}; use the same --color for both")
        self.first = nn.Conv2d(before, width, 3, padding=1)
        self.body = nn.Sequential(*(_InResidual(width, growth) for _ in range(blocks)))
        up: list[nn.Module] = []
        for _ in range(self.factor.bit_length() - 1):
            up += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.LeakyReLU(0.2, inplace=True)]
        self.up, self.last = nn.Sequential(*up), nn.Conv2d(width, after, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        first = self.first(x)
        change: Tensor = self.last(self.up(first + self.body(first)))
        size = (self.factor * x.shape[2], self.factor * x.shape[3])
        base = F.interpolate(x.float(), size, mode="bicubic")
        return base + change.float()


class _Dense(nn.Module):
    """Five convolutions, each of which sees all before it. Huang et al. 2017."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        widths = [width + i * growth for i in range(5)]
        self.layers = nn.ModuleList(nn.Conv2d(w, growth, 3, padding=1) for w in widths[:-1])
        self.last = nn.Conv2d(widths[-1], width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for layer in self.layers:
            seen = torch.cat([seen, F.leaky_relu(layer(seen), 0.2)], 1)
        return x + RESIDUAL * self.last(seen)  # type: ignore[no-any-return]


class _InResidual(nn.Module):
    """Three dense blocks, and a way around them."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(_Dense(width, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL * self.body(x)  # type: ignore[no-any-return]


class Filler(nn.Module):
    """(N, C + 1, H, W), the last channel above 0 where the picture is missing -> (N, C, H, W), about in [-1, 1].

    Missing pixels are made, known ones come out as they went in. Gated convolutions, which learn where to look away
    from the hole; down, dilated residuals that see across it, and up with the maps of the way down. No norm: statistics
    of a picture with a hole are not those of a picture. Yu et al. 2019, sections 3.1 and 3.2. Halved three times, fewer
    where pictures are small: once by a shuffle of pixels, as it is undone at the end, because layers at full size would
    take most of the time. `smooth`: what they make goes through two more layers at
    full size, without which a critic draws the grid of the shuffle, and is added to `filled_smoothly`, with which
    training begins.
    """

    def __init__(self, image: Sequence[int], width: int = 32, blocks: int = 4, smooth: bool = False) -> None:
        super().__init__()
        channels, height, wide = image
        halved = depth(height, wide, 3, 4)
        self.shuffle = 2 if halved else 1
        widths = [width * 2**level for level in range(max(1, halved))]
        self.first = Gated(self.shuffle**2 * (channels + 1), width, 3)
        self.down = nn.ModuleList(Gated(a, b, 3, 2) for a, b in pairwise(widths))
        self.middle = nn.ModuleList(Gated(widths[-1], widths[-1], 3, 1, 2 ** (i % 3)) for i in range(blocks))
        self.up = nn.ModuleList(Gated(a + b, b, 3) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.last = nn.Conv2d(width, self.shuffle**2 * (_FINE if smooth else channels), 3, padding=1)
        self.finish = nn.Sequential(*_beginning_at_0(_FINE + channels + 1, channels)) if smooth else None

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        known, hole = x[:, :-1].float(), x[:, -1:] > 0
        if self.finish is not None:
            known = filled_smoothly(known, hole)
            x = torch.cat([known, x[:, -1:]], 1)
        maps = [self.first(F.pixel_unshuffle(x, self.shuffle))]
        for down in self.down:
            maps.append(down(maps[-1]))
        h = maps.pop()
        for block in self.middle:
            h = h + block(h)
        for up in self.up:
            h = up(torch.cat([F.interpolate(h, scale_factor=2.0, mode="nearest"), maps.pop()], 1))
        made = F.pixel_shuffle(self.last(h), self.shuffle)
        if self.finish is not None:
            made = known + self.finish(torch.cat([made, x], 1)).float()
        return torch.where(hole, made.float(), known)  # no tanh: where most is black, L1 would drive it flat


_FINE = 8
"""Channels at full size."""


def _beginning_at_0(before: int, after: int) -> list[nn.Module]:
    last = nn.Conv2d(2 * _FINE, after, 3, padding=1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return [nn.Conv2d(before, 2 * _FINE, 3, padding=1), nn.LeakyReLU(0.2), last]


def filled_smoothly(known: Tensor, hole: Tensor) -> Tensor:
    """(N, C, H, W) float and (N, 1, H, W) bool -> the picture, missing pixels drawn from those around them.

    Pull and push of Gortler et al. 1996 (The Lumigraph): means of what is known, coarser and coarser, until nothing is
    missing, then back, bilinearly. Any H and W; a picture of which nothing is known becomes 0.
    """
    weight = (~hole).to(known.dtype)
    levels = [(torch.where(hole, 0.0, known), weight)]
    while max(levels[-1][0].shape[2:]) > 1:
        value, weight = levels[-1]
        shares = F.avg_pool2d(weight, 2, ceil_mode=True)
        mean = F.avg_pool2d(value * weight, 2, ceil_mode=True) / shares.clamp(min=1e-6)
        levels.append((mean, (4 * shares).clamp(max=1)))
    filled = levels.pop()[0]
    for value, weight in reversed(levels):
        filled = torch.lerp(F.interpolate(filled, value.shape[2:], mode="bilinear"), value, weight)
    return filled


class Gated(nn.Module):
    """(N, before, H, W) -> (N, after, H / stride, W / stride): features times how far each is to be trusted.

    Yu et al. 2019, equation 2.
    """

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.both = nn.Conv2d(before, 2 * after, kernel, stride, dilation * (kernel // 2), dilation)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        features, gate = self.both(x).chunk(2, 1)
        return F.leaky_relu(features, 0.2) * torch.sigmoid(gate)
