"""Snapshots of a run: read safely, bounded, and as an animation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from sparring.report.told import finite

FRAMES = 60  # snapshots in the page, and frames of the animation, at most
EMBEDDED = 12_000_000  # characters of base64 in the page, at most
ANIMATED = 3_000_000  # bytes of learning.gif, at most
SIDE = 1024  # pixels: longer pictures are shrunk, so that two of them always fit into EMBEDDED
STAGE = 720  # pixels: longest side of an enlarged picture in the page
BESIDE = ("wav", "gif")  # kinds of files that may stand beside a picture
LOUDEST = 6_000_000  # bytes of such a file in the page
LONGEST = 4_000  # characters of a text that are shown
BIGGEST = 64_000_000  # pixels of a picture that is opened at all: a small file can hold a huge one
T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """Samples of one round: a clean PNG file, or lines of text."""

    round: int
    images: int
    png: bytes
    size: tuple[int, int]
    tiled: bool
    """A grid of small pictures, which may be enlarged pixel by pixel; otherwise one plot."""
    columns: int
    text: str = ""
    """Then there is no picture."""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """By suffix: `wav` to hear, `gif` to see moving; of the last snapshot only."""


def read_snapshots(run: Path, samples: Sequence[Mapping[str, Any]]) -> list[Snapshot]:
    """At most FRAMES readable snapshots, evenly spread, with the first and the last."""
    left = list(samples)
    for end in (0, -1):  # the newest picture may still be on its way to disk
        while left and _snapshot(run, left[end]) is None:
            del left[end]
    found = [found for event in _spread(left, FRAMES) if (found := _snapshot(run, event)) is not None]
    if found and isinstance(paths := left[-1].get("beside"), Mapping):
        files = {suffix: _inside(run, paths.get(suffix)) for suffix in BESIDE}
        heard = {name: path.read_bytes() for name, path in files.items() if path and path.stat().st_size <= LOUDEST}
        found[-1] = replace(found[-1], beside=heard)
    return found


def _snapshot(run: Path, event: Mapping[str, Any]) -> Snapshot | None:
    """The picture of one event, or None if it cannot be read, is huge, or lies outside the run folder."""
    path = _inside(run, event.get("file"))
    if path is not None and path.suffix == ".txt":
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(LONGEST)
        return Snapshot(event["round"], int(finite(event.get("images")) or 0), b"", (STAGE, STAGE), False, 1, text)
    if path is None or _pixels(path) > BIGGEST:
        return None
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            picture = opened if opened.mode in ("L", "RGB", "RGBA") else opened.convert("RGBA")
            if max(picture.size) > SIDE:
                picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            png, size = as_png(picture), picture.size
    except (OSError, SyntaxError, ValueError):  # Pillow's ways to say "broken"
        return None
    columns, rows = (int(finite(event.get(key)) or 1) for key in ("columns", "rows"))
    return Snapshot(event["round"], int(finite(event.get("images")) or 0), png, size, columns * rows > 1, columns)


def _inside(run: Path, name: Any) -> Path | None:
    """A file of the run folder; None for all others."""
    path = (run / str(name)).resolve()
    return path if path.is_relative_to(run.resolve()) and path.is_file() else None


def _pixels(path: Path) -> int:
    """What a PNG file's header promises, before anything is decoded."""
    with path.open("rb") as file:
        header = file.read(24)
    return int.from_bytes(header[16:20], "big") * int.from_bytes(header[20:24], "big")


def _spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items at even steps, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def affordable(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """As many of the snapshots, evenly spread, as EMBEDDED allows."""
    for count in range(len(snapshots), 2, -1):
        chosen = _spread(snapshots, count)
        if sum(len(snapshot.png) + len(snapshot.text) for snapshot in chosen) * 4 / 3 <= EMBEDDED:
            return chosen
    return _spread(snapshots, 2)


def shown_size(snapshot: Snapshot, side: int) -> tuple[int, int]:
    """The size that fits `side`: a whole multiple for grids of small pictures, never enlarged for plots."""
    width, height = snapshot.size
    longest = max(width, height)
    if longest > side:
        return max(1, width * side // longest), max(1, height * side // longest)
    scale = side // longest if snapshot.tiled else 1
    return width * scale, height * scale


def scaled(snapshot: Snapshot, side: int) -> Image.Image:
    """The picture at its `shown_size` size: nearest neighbour when it grows, smooth when it shrinks."""
    target = shown_size(snapshot, side)
    grows = target[0] >= snapshot.size[0]
    with Image.open(io.BytesIO(snapshot.png)) as picture:
        return picture.resize(target, Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS)


def as_png(picture: Image.Image) -> bytes:
    """The bytes of a PNG without anything but pixels."""
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=None)
    return out.getvalue()


def animated(snapshots: Sequence[Snapshot]) -> bytes:
    """An animated GIF of the snapshots; smaller, then with fewer frames, until it fits into ANIMATED."""
    data = b""
    for count, side in ((FRAMES, 600), (FRAMES, 400), (30, 400), (30, 300), (8, 300)):
        chosen = _spread(snapshots, count)
        probe = _spread(chosen, 5)  # so that noisy pictures do not cost five animations of 60 frames
        if count > 8 and len(_frames(probe, side)) / len(probe) * len(chosen) > ANIMATED:
            continue
        data = _frames(chosen, side)
        if len(data) <= ANIMATED:
            break
    return data


def _frames(snapshots: Sequence[Snapshot], side: int) -> bytes:
    return _gif([_flat(scaled(snapshot, side)) for snapshot in snapshots])


def _gif(frames: Sequence[Image.Image]) -> bytes:
    """About six seconds of equally sized frames, and two more on the last one."""
    frames = [frame.resize(frames[-1].size) for frame in frames]
    step = min(500, max(80, 6000 // len(frames)))
    durations = [step] * (len(frames) - 1) + [2000]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return out.getvalue()


def _flat(picture: Image.Image) -> Image.Image:
    """Without transparency, on white, and in at most 256 colours."""
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    return picture if picture.mode == "L" else picture.quantize(256, dither=Image.Dither.NONE)
