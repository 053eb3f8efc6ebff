"""Whole sets of pictures held as one tensor: brought to another size, shape and number of channels."""

from __future__ import annotations

import re
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.config import UserError
from sparring.data.settings import Data

Color = Literal["gray", "rgb", "rgba"]
CHANNELS: dict[str, int] = {"gray": 1, "rgb": 3, "rgba": 4}
LARGEST_SIDE = 4096


def height_and_width(size: str | int) -> tuple[int, int]:
    """`64` -> (64, 64) and `64x48` -> (64, 48), in pixels; anything else is a `UserError`."""
    match = re.fullmatch(r"\s*([0-9]{1,5})\s*(?:[x×]\s*([0-9]{1,5}))?\s*", str(size))
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise UserError(
            f"size={size} is not a height and width in pixels from 1 to {LARGEST_SIDE}; "
            f"write 64, or 64x48 for 64 high and 48 wide"
        )
    return sides


def recolored(images: Tensor, color: str) -> Tensor:
    """uint8 (N, 1|3|4, H, W) -> the channels of `color`: ITU-R 601 luma for gray, white behind clear parts.

    `auto` keeps the channels. Gray becomes rgb by repetition, and what had no alpha becomes opaque.
    """
    if color == "auto" or images.shape[1] == CHANNELS[color]:
        return images
    if images.shape[1] == 4:
        images = _on_white(images)
    if color == "gray":
        return _luma(images)
    images = images.expand(-1, 3, -1, -1)
    return images if color == "rgb" else torch.cat([images, torch.full_like(images[:, :1], 255)], dim=1)


def _on_white(images: Tensor) -> Tensor:
    """(N, 4, H, W) -> (N, 3, H, W): colour x alpha + white x (1 - alpha), rounded."""
    pixels, alpha = images[:, :3].int(), images[:, 3:].int()
    return ((pixels * alpha + 255 * (255 - alpha) + 127) // 255).byte()


def _luma(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1, H, W), in the whole numbers that Pillow uses: 0.299 R + 0.587 G + 0.114 B."""
    red, green, blue = images.int().chunk(3, dim=1)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).byte()


def brought_to(images: Tensor, settings: Data) -> Tensor:
    """uint8 (N, C, H, W) -> uint8 at `settings.size`, `fit` and `color`; what is not set stays as it is.

    Resizing is bilinear and antialiased; alpha is resized like a colour. `pad` takes the border's value from
    the set's own corners, so that digits on black stay on black.
    """
    h, w = images.shape[-2:]
    height, width = height_and_width(settings.size) if settings.size else (h, w)
    same_color = settings.color == "auto" or CHANNELS[settings.color] == images.shape[1]
    if (height, width) == (h, w) and same_color:
        return images
    chunks = [
        images[start : start + 4096] for start in range(0, len(images), 4096)
    ]  # the arithmetic is wider than a byte, so never on the whole set at once
    border = images[:, :, :: max(h - 1, 1), :: max(w - 1, 1)].transpose(0, 1).flatten(1).median(dim=1).values
    return torch.cat(
        [recolored(_fitted(chunk, height, width, settings.fit, border), settings.color) for chunk in chunks]
    )


def _fitted(images: Tensor, height: int, width: int, fit: str, border: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, height, width); `border` (C,) fills what `pad` leaves free."""
    h, w = images.shape[-2:]
    if fit == "stretch" or h * width == w * height:
        return _resized(images, height, width)
    if fit == "crop":
        ch, cw = min(h, max(1, round(w * height / width))), min(w, max(1, round(h * width / height)))
        top, left = (h - ch) // 2, (w - cw) // 2
        return _resized(images[:, :, top : top + ch, left : left + cw], height, width)
    inner = _resized(images, *fit_inside(h, w, height, width))
    top, left = (height - inner.shape[2]) // 2, (width - inner.shape[3]) // 2
    canvas = border.view(1, -1, 1, 1).repeat(len(images), 1, height, width)
    canvas[:, :, top : top + inner.shape[2], left : left + inner.shape[3]] = inner
    return canvas


def fit_inside(h: int, w: int, height: int, width: int) -> tuple[int, int]:
    """The largest size of the shape h : w within height x width, at least one pixel a side."""
    scale = min(height / h, width / w)
    return min(height, max(1, round(h * scale))), min(width, max(1, round(w * scale)))


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    if images.shape[-2:] == (height, width):
        return images
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True)
