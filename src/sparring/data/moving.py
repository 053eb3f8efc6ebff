"""`moving-digits`: clips of a digit that moves straight on, a pixel a picture: what should be seen is known exactly."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from sparring.config import UserError
from sparring.data.digits import open_digits
from sparring.data.settings import Data
from sparring.data.source import About, Source, tensor_source

SIDE, LENGTH, DIGIT = 16, 8, 8
DIRECTIONS = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])
"""(down, right) in pixels a picture."""
WAYS = ("right", "left", "down", "up")
COUNTS = {"train": 16_000, "test": 1_600}
NEAR = 0.5
"""Pixels by which a step may miss a direction."""
DARK = 32
"""Grey levels up to which a pixel is ground."""


def open_moving(settings: Data) -> dict[str, Source]:
    """`train` and `test`: clip uint8 (N, 1, 8, 16, 16), and int64 (N,) label, the way it goes, and digit.

    A digit of the package's own set starts anywhere from where it does not reach the border within eight pictures, so
    nothing is cut and nothing bounces. `UserError` for settings of pictures and films.
    """
    for name in ("size", "color", "frames", "frame_step", "strips"):
        if (value := getattr(settings, name)) != getattr(Data(), name):
            told = f"moving-digits has clips of {LENGTH} pictures, {SIDE}x{SIDE} and gray"
            raise UserError(f"{name}={value}: {told}; leave it out")
    digits = open_digits(Data(test=settings.test))
    return {name: _clips(source, COUNTS[name], seed) for seed, (name, source) in enumerate(digits.items())}


def _clips(digits: Source, count: int, seed: int) -> Source:
    generator = Generator().manual_seed(seed)
    columns = digits[torch.randint(len(digits), (count,), generator=generator)]
    direction = torch.randint(len(DIRECTIONS), (count,), generator=generator)
    clips = placed(columns["image"], direction, starts(direction, generator))
    about = About(
        "moving-digits", "clip", (1, LENGTH, SIDE, SIDE), rate=float(LENGTH),
        classes=WAYS,
        notes=("Digits of UCI's set, moved by a program: right, left, down or up by one pixel a picture.",),
    )  # fmt: skip
    return tensor_source(about, {"clip": clips, "label": direction, "digit": columns["label"]})


def starts(direction: Tensor, generator: Generator) -> Tensor:
    """(N,) -> (N, 2) first places (top, left) from which a digit stays inside."""
    free, way = SIDE - DIGIT, DIRECTIONS[direction] * (LENGTH - 1)
    low, high = (-way).clamp(min=0), free - way.clamp(min=0)
    return low + (torch.rand(len(direction), 2, generator=generator) * (high - low + 1)).long()


def placed(images: Tensor, direction: Tensor, start: Tensor) -> Tensor:
    """(N, 1, 8, 8) uint8, (N,), (N, 2) -> clips (N, 1, 8, 16, 16)."""
    n, steps = len(images), torch.arange(LENGTH)
    corner = start[:, None] + DIRECTIONS[direction][:, None] * steps[:, None]  # (N, T, 2)
    rows = corner[..., 0, None, None] + torch.arange(DIGIT)[:, None]
    columns = corner[..., 1, None, None] + torch.arange(DIGIT)
    clips = torch.zeros(n, LENGTH, SIDE, SIDE, dtype=torch.uint8)
    each, moment = torch.arange(n)[:, None, None, None], steps[:, None, None]
    clips[each, moment, rows, columns] = images
    return clips[:, None]


def centres(clips: Tensor) -> Tensor:
    """(N, 1, T, H, W) uint8 -> (N, T, 2): centre of what is bright, (down, right) in pixels; NaN where nothing is."""
    bright = clips[:, 0].float()
    bright = torch.where(bright > DARK, bright, 0)
    mass = bright.sum((2, 3))
    down = (bright.sum(3) * torch.arange(bright.shape[2])).sum(2) / mass
    right = (bright.sum(2) * torch.arange(bright.shape[3])).sum(2) / mass
    return torch.stack([down, right], 2)


def motion(clips: Tensor) -> Tensor:
    """(N, 1, T, H, W) uint8 -> (N,) the direction in which every step goes, to within `NEAR` pixels; -1 for none."""
    steps = centres(clips).diff(dim=1)[:, None]  # (N, 1, T - 1, 2)
    off = (steps - DIRECTIONS[:, None]).norm(dim=3).nan_to_num(torch.inf).amax(2)
    nearest = off.min(1)
    return torch.where(nearest.values <= NEAR, nearest.indices, -1)
