"""A contact sheet of a set: a random sample with the names of its classes, and what was found suspicious."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sparring.config import UserError
from sparring.data import Splits
from sparring.data.copies import Look
from sparring.data.inspect import Inspection, together
from sparring.data.source import shuffled
from sparring.data.tensors import recolored
from sparring.show import picture, scatter

TILE, CAPTION, GAP, COLUMNS = 84, 13, 6, 12
SAMPLE = 24
STRIPS = 5
"""Of each finding, at most so many."""


@dataclass(frozen=True)
class Strip:
    """A line of tiles; a tile that is None stays empty."""

    title: str
    tiles: tuple[tuple[int, str] | None, ...]
    """(number of the sample, caption)."""


def contact_sheet(inspection: Inspection, splits: Splits, seed: int = 0) -> Image.Image:
    """Everything on one picture, the same for the same `seed`. Points are drawn in the plane: test over train."""
    look, about = together(splits), inspection.about
    if about.key != "image":
        if about.shape != (2,):
            raise UserError(f"sheet: points of shape {about.shape} cannot be drawn; leave it out")
        total, train = sum(inspection.lengths.values()), inspection.lengths["train"]
        points = look(torch.arange(total))
        return scatter(points[:train][:5000], points[train:][:2000])
    strips = [*_sample(inspection, splits, seed)]
    for finding in inspection.findings:
        if finding.groups:
            strips += _strips(finding.kind, finding.groups, inspection)
    heights = [(18 if strip.title else 0) + TILE + CAPTION + GAP for strip in strips]
    sheet = Image.new("RGB", (GAP + COLUMNS * (TILE + GAP), sum(heights) + GAP), (245, 245, 245))
    draw, top = ImageDraw.Draw(sheet), GAP
    for strip, height in zip(strips, heights, strict=True):
        if strip.title:
            draw.text((GAP, top + 2), _plain(strip.title), (20, 20, 20), ImageFont.load_default())
        _draw(sheet, draw, strip, look, top + height - TILE - CAPTION - GAP)
        top += height
    return sheet


def _sample(inspection: Inspection, splits: Splits, seed: int) -> Iterator[Strip]:
    """Training pictures by chance, in the order of their classes."""
    source, about = splits["train"], inspection.about
    offset = sum(list(inspection.lengths.values())[: list(inspection.lengths).index("train")])
    rows = shuffled(source, seed)[:SAMPLE].sort().values
    captions = [inspection.name_of(offset + row) for row in rows.tolist()]
    if inspection.classes:
        labels = source[rows]["label"]
        order = labels.argsort(stable=True)
        rows, captions = rows[order], [about.classes[label] for label in labels[order].tolist()]
    tiles = tuple(zip((rows + offset).tolist(), captions, strict=True))
    for start in range(0, len(tiles), COLUMNS):
        title = f"{about.name}: {len(rows)} of {len(source):,} training pictures" if start == 0 else ""
        yield Strip(title, tiles[start : start + COLUMNS])


def _strips(kind: str, groups: Sequence[Sequence[int]], inspection: Inspection) -> list[Strip]:
    """Groups after one another, with an empty tile between those of several members."""
    lines: list[list[tuple[int, str] | None]] = [[]]
    for group in groups:
        tiles = [(number, inspection.name_of(number)) for number in group[:COLUMNS]]
        apart = [None] if len(group) > 1 and lines[-1] else []
        if len(lines[-1]) + len(apart) + len(tiles) > COLUMNS:
            lines.append([])
            apart = []
        if len(lines) > STRIPS:
            break
        lines[-1] += [*apart, *tiles]
    return [Strip("" if i else f"{kind} ({len(groups):,})", tuple(line)) for i, line in enumerate(lines[:STRIPS])]


def _draw(sheet: Image.Image, draw: ImageDraw.ImageDraw, strip: Strip, look: Look, top: int) -> None:
    for column, tile in enumerate(strip.tiles):
        if tile is None:
            continue
        number, caption = tile
        left = GAP + column * (TILE + GAP)
        shown = _tile(look(torch.tensor([number]))[0])
        sheet.paste(shown, (left + (TILE - shown.width) // 2, top + (TILE - shown.height) // 2))
        text, font = _short(_plain(caption), draw), ImageFont.load_default()
        middle = left + (TILE - draw.textlength(text, font)) / 2
        draw.text((middle, top + TILE), text, (90, 90, 90), font)


def _tile(image: Tensor) -> Image.Image:
    """(C, H, W) uint8 -> at most `TILE` a side; small pictures are enlarged by whole numbers, and stay sharp."""
    shown = picture(recolored(image[None], "rgb")[0])
    factor = TILE // max(shown.size)
    if factor >= 1:
        return shown.resize((shown.width * factor, shown.height * factor), Image.Resampling.NEAREST)
    shown.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
    return shown


def _plain(text: str) -> str:
    """What the built-in font has."""
    return text.encode("latin-1", "replace").decode("latin-1")


def _short(text: str, draw: ImageDraw.ImageDraw) -> str:
    """Its end, as much as fits under a tile: file names differ there."""
    font = ImageFont.load_default()
    while len(text) > 1 and draw.textlength(text, font) > TILE:
        text = text[1:]
    return text
