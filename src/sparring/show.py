"""Samples to look at and to hear: grids of images, scatter plots, spectrograms, waves, moving pictures."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from sparring.data.kinds import to_wave
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
            stack = F.interpolate(stack, (height, width), mode="nearest")
        alike.append(stack.expand(-1, channels, -1, -1) if stack.shape[1] == 1 else stack)
    mixed = torch.stack([stack.reshape(-1, columns, *stack.shape[1:]) for stack in alike], 1)
    return grid(mixed.flatten(0, 2), columns)


def spectrograms(sounds: Tensor, side: int = 64) -> Tensor:
    """(N, 1, T) int16 -> (N, 1, side, side) uint8: loud is bright, high is up, over 80 dB."""
    heard = to_wave(sounds[:, 0])
    size = min(256, heard.shape[1])
    power = torch.stft(heard, size, size // 4, window=torch.hann_window(size), return_complex=True).abs().square()
    decibel = 10 * F.adaptive_avg_pool2d(power[:, None], (side, side)).clamp(min=1e-9).log10()
    return ((decibel + 50) * (255 / 80)).clamp(0, 255).to(torch.uint8).flip(2)


def one_after_another(sounds: Tensor) -> Tensor:
    """(N, 1, T) int16 -> (M,): all of them, an eighth of silence after each."""
    silent = sounds.new_zeros(len(sounds), sounds.shape[2] // 8)
    return torch.cat([sounds[:, 0], silent], 1).flatten()


def wave_file(sound: Tensor, rate: float) -> bytes:
    """(T,) int16 -> a WAV file of one channel."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(round(rate) or 16_000)
        file.writeframes(sound.cpu().numpy().astype("<i2").tobytes())
    return out.getvalue()


def frames(clips: Tensor) -> Tensor:
    """(N, C, T, H, W) -> (N T, C, H, W): each clip's pictures one after the other."""
    return clips.transpose(1, 2).flatten(0, 1)


def moving(clips: Tensor, columns: int, rate: float, side: int = 480) -> bytes:
    """(N, C, T, H, W) uint8 -> an endless GIF of all of them beside each other."""
    sheets = [enlarged(grid(moment, columns), side) for moment in clips.unbind(2)]
    if clips.shape[1] == 3:  # one palette for all, made for them: a palette of the web's 216 colours would be coarse
        whole = grid(frames(clips[:64]), clips.shape[2]).quantize(256)
        sheets = [sheet.quantize(palette=whole, dither=Image.Dither.NONE) for sheet in sheets]
    out, step = io.BytesIO(), round(1000 / (rate or 8))
    sheets[0].save(out, "GIF", save_all=True, append_images=sheets[1:], duration=step, loop=0)
    return out.getvalue()


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
