"""Clips from files: folders of numbered pictures, strips of pictures side by side, GIFs, and videos through PyAV."""

from __future__ import annotations

import io
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from sparring.config import UserError
from sparring.data.decode import MAX_PIXELS, UnreadableError, decode
from sparring.data.labels import common_folder
from sparring.data.members import File, opened
from sparring.data.settings import Data
from sparring.data.source import About, Source, carve, tensor_source
from sparring.data.tensors import brought_to, recolored

VIDEOS = (".mp4", ".webm", ".mov", ".avi", ".mkv", ".m4v")
SIZE = 64
LONGEST = 10_000
"""Pictures that are read of one file."""
LARGEST = 2**33
"""Bytes of all clips together."""
RATE = 8.0
"""Pictures a second, where a file does not say."""


class Film(NamedTuple):
    """One film, as long as it is."""

    name: str
    pictures: Tensor
    """(T, 3, H, W) uint8 at the wanted size."""
    rate: float = RATE


def open_clips(path: Path, settings: Data) -> dict[str, Source]:
    """`train` and `test`: clip uint8 (N, C, T, H, W), T = `settings.frames`; label int64 where there are classes.

    A folder of single pictures is one film, in the order of the numbers in their names; a picture that is a whole
    number of squares wide is a strip; GIFs and videos are films. Every `settings.frame_step`-th picture is taken, and
    films are cut into as many clips as they give. Folders above those of clips name classes. Clips of one film are
    never in both splits. `UserError` where nothing can be used.
    """
    length, step = settings.frames or 0, settings.frame_step
    if length < 2 or step < 1:
        raise UserError(f"frames={length}, frame_step={step}: clips need 2 pictures or more, and steps of at least 1")
    kept, bad, total = list[Film](), list[str](), 0
    for film in _films(path, replace(settings, size=settings.size or SIZE, color="rgb"), bad):
        pictures = film.pictures[::step]
        if len(pictures) < length:
            bad.append(f"{film.name}: {len(pictures)} pictures, and clips have {length}")
            continue
        total += pictures.numel()
        if total > LARGEST:
            raise UserError(f"data={path}: its clips take more than {LARGEST // 2**30} GiB; use a smaller --size")
        kept.append(film._replace(pictures=pictures[: len(pictures) // length * length]))
    if len(kept) < 2:
        told = "; ".join(bad[:5])
        raise UserError(f"data={path}: {len(kept)} films of at least {length} pictures; 2 are needed. {told}")
    return _split(path, settings, kept, bad)


def _split(path: Path, settings: Data, films: Sequence[Film], bad: Sequence[str]) -> dict[str, Source]:
    length = settings.frames or 0
    clips = [film.pictures.unflatten(0, (-1, length)).transpose(1, 2) for film in films]  # type: ignore[no-untyped-call]
    gray = settings.color == "gray" or (settings.color == "auto" and all(_gray(part) for part in clips))
    names, label = _classes([film.name for film in films])
    notes = tuple(f"left out: {reason}" for reason in bad)
    about = About(
        settings.data, "clip", (1 if gray else 3, *clips[0].shape[2:]), names, rate=films[0].rate, notes=notes
    )
    numbers = tensor_source(About("films", "row", ()), {"row": torch.arange(len(films))})
    found = {}
    for name, part in zip(("train", "test"), carve(numbers, settings.test), strict=True):
        rows = part[torch.arange(len(part))]["row"].tolist()
        columns = {"clip": torch.cat([clips[row][:, :1] if gray else clips[row] for row in rows])}
        if names:
            columns["label"] = torch.cat([torch.full((len(clips[row]),), label[row]) for row in rows])
        found[name] = tensor_source(about, columns)
    return dict(found)


def _gray(clips: Tensor) -> bool:
    return bool((clips[:, :1] == clips).all())


def _classes(names: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Of films by the folder above them, where there are at least two."""
    root = common_folder([f"{name}/x" for name in names])
    folders = [str(PurePosixPath(name.removeprefix(root)).parent) for name in names]
    classes = tuple(sorted(set(folders)))
    return (classes, [classes.index(folder) for folder in folders]) if len(classes) > 1 else ((), [])


def _films(path: Path, settings: Data, bad: list[str]) -> Iterator[Film]:
    """All that there are, by name; what cannot be read is told in `bad`."""
    videos = [path] if path.suffix.lower() in VIDEOS else []
    if path.is_dir():
        videos = sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEOS)
    for video in videos:
        name = video.name if video == path else video.relative_to(path).as_posix()
        try:
            yield _video(name, video, settings)
        except UnreadableError as error:
            bad.append(f"{name}: {error}")
    if path.suffix.lower() in VIDEOS:
        return
    singles = defaultdict[str, list[File]](list)
    with opened(path) as listing, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        bad += [f"{name}: {reason}" for name, reason in listing.bad]
        for file in listing.files:
            film = _told(file, settings, bad)
            if film is not None:
                yield film
            else:
                singles[str(PurePosixPath(file.name).parent)].append(file)
        for folder, files in singles.items():
            pictures = [p for file in sorted(files, key=_in_order) if (p := _picture(file, settings, bad)) is not None]
            if pictures:
                yield Film(folder, torch.stack(pictures))


def _in_order(file: File) -> list[tuple[int, str]]:
    """`frame9` before `frame10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name)]


def _picture(file: File, settings: Data, bad: list[str]) -> Tensor | None:
    try:
        whole = torch.from_numpy(decode(file.read(), 0, 0, "whole").pixels.copy())
    except UnreadableError as error:
        bad.append(f"{file.name}: {error}")
        return None
    return brought_to(recolored(whole[None], "rgb"), settings)[0]


def _told(file: File, settings: Data, bad: list[str]) -> Film | None:
    """A file that holds a whole film: a GIF, or a strip; None for a single picture."""
    try:
        data = file.read()
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if getattr(image, "is_animated", False):
                return _animation(file.name, image, settings)
        if width < 2 * height or width % height or width * height > MAX_PIXELS:
            return None
        whole = torch.from_numpy(decode(data, 0, 0, "whole").pixels.copy())
    except UnreadableError as error:
        bad.append(f"{file.name}: {error}")
        return None
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None  # `_picture` tells of it
    parts = torch.stack(torch.split(recolored(whole[None], "rgb")[0], height, 2))
    return Film(file.name, brought_to(parts, settings))


def _animation(name: str, image: Image.Image, settings: Data) -> Film:
    pause = float(image.info.get("duration", 0)) or 1000 / RATE
    if image.size[0] * image.size[1] > MAX_PIXELS:
        raise UnreadableError(f"more than the limit of {MAX_PIXELS // 10**6} megapixels")
    frames = [
        brought_to(torch.from_numpy(np.asarray(frame.convert("RGB")).copy()).permute(2, 0, 1)[None], settings)
        for frame in islice(ImageSequence.Iterator(image), LONGEST)
    ]
    return Film(name, torch.cat(frames), 1000 / pause)


def _video(name: str, path: Path, settings: Data) -> Film:
    try:
        import av
    except ImportError:
        raise UserError(f"data={path}: videos are read by PyAV: pip install 'sparring[video]'") from None
    try:
        with av.open(str(path)) as film:
            stream: Any = film.streams.video[0]
            frames = [
                brought_to(torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None], settings)
                for frame in islice(film.decode(stream), LONGEST)
            ]
            rate = float(stream.average_rate or RATE)
    except Exception as error:  # damaged files fail in every way there is
        raise UnreadableError(f"cannot be decoded: {error or type(error).__name__}") from error
    if not frames:
        raise UnreadableError("holds no pictures")
    return Film(name, torch.cat(frames), rate)
