"""Samples as pictures: grids of images, scatter plots of points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sparring.files import replacing

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
PLOT = 480
"""Side of a scatter plot in pixels."""


def picture(image: Tensor) -> Image.Image:
    """(C, H, W) uint8 with 1, 3 or 4 channels -> a Pillow picture."""
    array = image.cpu().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def grid(images: Tensor, columns: int, gap: int = 1) -> Image.Image:
    """(N, C, H, W) uint8 -> one picture, row by row, `gap` pixels between tiles."""
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    # gray gaps, so that dark pictures on dark ground do not run together
    sheet = torch.full((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), 96, dtype=torch.uint8)
    if channels == 4:
        sheet[3] = 255
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return picture(sheet)


def below_each_other(stacks: Sequence[Tensor], columns: int) -> Image.Image:
    """Several (N, C, H, W) uint8 of the same pictures -> a grid in which the versions of each lie below each other.

    Brought to the most channels, and to the size of the last, that there are.
    """
    height, width = stacks[-1].shape[2:]
    channels = max(stack.shape[1] for stack in stacks)
    alike = []
    for stack in stacks:
        if stack.shape[2:] != (height, width):
            stack = torch.nn.functional.interpolate(stack, (height, width), mode="nearest")
        alike.append(stack.expand(-1, channels, -1, -1) if stack.shape[1] == 1 else stack)
    mixed = torch.stack([stack.reshape(-1, columns, *stack.shape[1:]) for stack in alike], 1)
    return grid(mixed.flatten(0, 2), columns)


def enlarged(sheet: Image.Image, side: int = 640) -> Image.Image:
    """Scaled by a whole number until its longer side is about `side` pixels; small pixels stay sharp."""
    factor = max(1, side // max(sheet.size))
    return sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST)


def scatter(real: Tensor, fake: Tensor) -> Image.Image:
    """(N, 2) real points in gray under (M, 2) fake ones in orange; axes fit the real points."""
    low, high = real.min(0).values, real.max(0).values
    middle, half = (low + high) / 2, 0.6 * float((high - low).max().clamp(min=1e-6))
    sheet = Image.new("RGB", (PLOT, PLOT), "white")
    draw = ImageDraw.Draw(sheet)
    for points, colour, radius in ((real, (170, 178, 189), 2), (fake, (222, 99, 26), 2)):
        pixels = ((points.float() - middle) / half + 1) * PLOT / 2
        for x, y in pixels.nan_to_num(-99.0).clamp(-99, PLOT + 99).tolist():
            draw.ellipse((x - radius, PLOT - y - radius, x + radius, PLOT - y + radius), fill=colour)
    return sheet


def save_png(sheet: Image.Image, path: Path) -> None:
    """Written whole or not at all."""
    with replacing(path) as file:
        sheet.save(file, "PNG")
