"""Pictures with holes: which pixels are missing, and how a network is told.

A picture with a hole has one channel more than the picture: 255 where it is missing, 0 where it is known; the missing
pixels themselves are gray. Nothing else could be mistaken for a hole, and a border that `augment.shift` adds is known.
"""

from __future__ import annotations

import hashlib
import math
import random

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sparring.config import UserError

MASKED = "masked"
"""Name of the views with a hole."""
GRAY = 128
"""What missing pixels show: the middle of the range."""
LEAST, MOST = 0.1, 0.4
"""Share of the picture that free strokes cover, about."""


def with_hole(images: Tensor, hole: Tensor) -> Tensor:
    """(N, C, H, W) uint8 and (N, 1, H, W) bool -> (N, C + 1, H, W) uint8, as the module says."""
    return torch.cat([images.masked_fill(hole, GRAY), hole.to(torch.uint8) * 255], 1)


def square(height: int, width: int, side: int | None = None) -> Tensor:
    """(1, 1, H, W) bool: a hole in the middle, `side` pixels high and wide; None: half as high and wide as the picture.

    `UserError` unless something is left of the picture.
    """
    high, wide = (height // 2, width // 2) if side is None else (side, side)
    if not (1 <= high < height and 1 <= wide < width):
        raise UserError(f"source=masked: a hole of {high}x{wide} in pictures of {height}x{width}; use a smaller one")
    hole = torch.zeros(1, 1, height, width, dtype=torch.bool)
    top, left = (height - high) // 2, (width - wide) // 2
    hole[..., top : top + high, left : left + wide] = True
    return hole


def free(images: Tensor) -> Tensor:
    """(N, C, H, W) uint8 -> (N, 1, H, W) bool: holes of free strokes.

    A picture's hole is a function of its pixels, so that it is the same in every epoch, run and split.
    """
    n, _, height, width = images.shape
    keys = [hashlib.sha256(image.contiguous().numpy().data).digest() for image in images.cpu()]
    return torch.stack([strokes(height, width, int.from_bytes(key[:8], "big")) for key in keys]).view(
        n, 1, height, width
    )


def strokes(height: int, width: int, key: int) -> Tensor:
    """(H, W) bool: strokes of a round brush that turns as it goes, until enough is covered.

    Yu et al. 2019, section 3.3. Brushes of 1/16 to 1/6 of the shorter side; between `LEAST` and `MOST` of the picture,
    give or take a stroke.
    """
    by, side = random.Random(key), min(height, width)
    sheet = Image.new("1", (width, height))
    pen, wanted = ImageDraw.Draw(sheet), by.uniform(LEAST, MOST) * height * width
    covered = 0
    while covered < wanted:
        x, y, angle = by.uniform(0, width), by.uniform(0, height), by.uniform(0, 360)
        brush = max(1, round(by.uniform(1 / 16, 1 / 6) * side))
        for _ in range(by.randint(1, 6)):
            angle += by.uniform(-70, 70)
            length = by.uniform(1 / 12, 1 / 4) * side
            ahead = x + length * math.cos(math.radians(angle)), y + length * math.sin(math.radians(angle))
            pen.line(((x, y), ahead), fill=1, width=brush)
            x, y = ahead
            pen.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=1)
        covered = int(np.count_nonzero(np.asarray(sheet)))
    return torch.from_numpy(np.array(sheet))
