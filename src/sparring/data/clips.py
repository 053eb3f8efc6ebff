"""Clips from files: folders of numbered pictures, strips of pictures side by side, GIFs, and videos through PyAV."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from sparring.config import UserError
from sparring.data.decode import MAX_PIXELS, UnreadableError, decode, formats
from sparring.data.labels import common_folder, ordered
from sparring.data.members import File, opened, path_problem
from sparring.data.settings import Data
from sparring.data.source import About, Source, carve, tensor_source
from sparring.data.tensors import brought_to, recolored

T = TypeVar("T")
VIDEOS = (".mp4", ".webm", ".mov", ".avi", ".mkv", ".m4v")
SIZE = 64
LONGEST = 10_000
"""Pictures that are read of one file."""
LARGEST = 2**32
"""Bytes of all pictures together, at their final size."""
RATE = 8.0
"""Pictures a second, where a file does not say."""
TOLD = 20
"""Files of which it is said why they are left out."""


class Film(NamedTuple):
    """As long as it is."""

    name: str
    pictures: Tensor
    """(T, 3, H, W) uint8 at the wanted size, every `frame_step`-th."""
    rate: float = RATE


@dataclass
class Reading:
    """How pictures are read, how much room is left for them, and what could not be read."""

    settings: Data
    room: int = LARGEST
    bad: list[str] = field(default_factory=list)

    def sized(self, pictures: Tensor) -> Tensor:
        """(n, C, H, W) uint8 of any size and colour -> (n, 3, h, w), while there is room."""
        made = brought_to(recolored(pictures, "rgb"), self.settings)
        self.room -= made.numel()
        if self.room < 0:
            raise UserError(f"data: its pictures take more than {LARGEST // 2**30} GiB; use a smaller --size")
        return made

    def chosen(self, name: str, pictures: Iterable[T]) -> Iterator[T]:
        """Every `frame_step`-th, which alone need be decoded; what a film has beyond `LONGEST` is told of."""
        for place, picture in enumerate(pictures):
            if place == LONGEST:
                self.bad.append(f"{name}: what comes after its first {LONGEST:,} pictures")
                return
            if place % self.settings.frame_step == 0:
                yield picture

    def film(self, name: str, pictures: Iterable[Tensor], rate: float = RATE) -> Film:
        """Of (1, C, H, W) pictures that were `chosen`, `rate` a second before. `UnreadableError` for none."""
        step = self.settings.frame_step
        made = [self.sized(picture) for picture in pictures]
        if not made:
            raise UnreadableError("holds no pictures")
        return Film(name, torch.cat(made), rate / step)


def open_clips(path: Path, settings: Data) -> dict[str, Source]:
    """`train` and `test`: clip uint8 (N, C, T, H, W), T = `settings.frames`; film, and label where there are classes.

    A folder of single pictures is one film, in the order of the numbers in their names; with `settings.strips` each
    picture is one, of squares side by side. GIFs and videos are films. They are cut into as many clips as they give.
    Folders above those of films name classes. Clips of one film are never in both splits, unless there is only one:
    then its end is held out. `UserError` where nothing can be used.
    """
    length = settings.frames
    if length is None:
        raise UserError(f"data={path} is a video: say how many pictures a clip has, e.g. --frames 16")
    if length < 2 or settings.frame_step < 1:
        raise UserError(f"frames={length}, frame_step={settings.frame_step}: clips need 2 pictures, steps at least 1")
    if settings.color == "rgba" or settings.labels is not None:
        name, value = ("labels", settings.labels) if settings.labels is not None else ("color", settings.color)
        raise UserError(f"{name}={value}: clips are gray or rgb, and folders name their classes; leave it out")
    reading, kept = Reading(replace(settings, size=settings.size or SIZE, color="rgb")), list[Film]()
    for film in _films(path, reading):
        count = len(film.pictures)
        if count < length:
            reading.bad.append(f"{film.name}: {count} pictures, and clips have {length}")
        else:
            kept.append(film._replace(pictures=film.pictures[: count // length * length]))
    if sum(len(film.pictures) for film in kept) < 2 * length:
        told = "; ".join(reading.bad[:5])
        raise UserError(f"data={path}: fewer than 2 clips of {length} pictures in {len(kept)} films. {told}")
    return _split(path, settings, length, kept, reading.bad)


def _split(path: Path, settings: Data, length: int, films: Sequence[Film], bad: Sequence[str]) -> dict[str, Source]:
    cut = [film.pictures.view(-1, length, *film.pictures.shape[1:]).transpose(1, 2) for film in films]
    film = torch.repeat_interleave(torch.arange(len(cut)), torch.tensor([len(each) for each in cut]))
    clips = torch.cat(cut)
    if settings.color == "gray":
        flat = recolored(clips.transpose(1, 2).flatten(0, 1), "gray")
        clips = flat.view(len(clips), length, *flat.shape[1:]).transpose(1, 2)
    elif settings.color == "auto" and bool((clips[:, :1] == clips).all()):
        clips = clips[:, :1]
    clips = clips.contiguous()
    names, label = _classes([each.name for each in films])
    rates = {each.rate for each in films}
    notes = [f"left out: {reason}" for reason in bad[:TOLD]]
    notes += [f"... and {len(bad) - TOLD} more"] if len(bad) > TOLD else []
    notes += [f"films have {min(rates):g} to {max(rates):g} pictures a second"] if len(rates) > 1 else []
    about = About(settings.data, "clip", tuple(clips.shape[1:]), names, rate=films[0].rate, notes=tuple(notes))
    columns = {"clip": clips, "film": film} | ({"label": torch.tensor(label)[film]} if names else {})
    if len(films) > 1:
        train, test = carve(tensor_source(about, columns), settings.test)
        return {"train": train, "test": test}
    kept = min(max(1, round(len(clips) * (1 - settings.test))), len(clips) - 1)
    about = replace(about, notes=(*about.notes, "there is one film: its end is held out"))
    parts = ({name: column[rows] for name, column in columns.items()} for rows in (slice(kept), slice(kept, None)))
    return {name: tensor_source(about, part) for name, part in zip(("train", "test"), parts, strict=True)}


def _classes(names: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Of films by the folder above them, where there are at least two."""
    root = common_folder([f"{name}/x" for name in names])
    folders = [str(PurePosixPath(name.removeprefix(root)).parent) for name in names]
    classes = ordered(folders)
    return (classes, [classes.index(folder) for folder in folders]) if len(classes) > 1 else ((), [])


def _films(path: Path, reading: Reading) -> Iterator[Film]:
    """All that there are, by name; what cannot be read is told in `reading.bad`."""
    videos = _videos(path)
    for name, video, problem in videos:
        try:
            if problem:
                raise UnreadableError(problem)
            yield _video(name, video, reading)
        except UnreadableError as error:
            reading.bad.append(f"{name}: {error}")
    if path.suffix.lower() in VIDEOS:
        return
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        try:
            listing = stack.enter_context(opened(path))
        except UserError:
            if videos:  # and no pictures beside them
                return
            raise
        reading.bad += [f"{name}: {reason}" for name, reason in listing.bad]
        yield from _of_pictures(listing.files, reading)


def _videos(path: Path) -> list[tuple[str, Path, str]]:
    """(name, file, why it may not be read) of the file itself, or of those in a folder."""
    if path.suffix.lower() in VIDEOS and path.is_file():
        return [(path.name, path, "")]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEOS) if path.is_dir() else []
    return [(file.relative_to(path).as_posix(), file, path_problem(file, path.resolve())) for file in found]


def _of_pictures(files: Sequence[File], reading: Reading) -> Iterator[Film]:
    """Files that are films by themselves; then single pictures, by folder."""
    singles = defaultdict[str, list[File]](list)
    for file in files:
        try:
            film = _whole(file, reading)
        except UnreadableError as error:
            reading.bad.append(f"{file.name}: {error}")
            continue
        if film is not None:
            yield film
        else:
            singles[str(PurePosixPath(file.name).parent)].append(file)
    for folder, each in singles.items():
        files_of_it = reading.chosen(folder, sorted(each, key=_in_order))
        pictures = (p for file in files_of_it if (p := _picture(file, reading)) is not None)
        with contextlib.suppress(UnreadableError):  # each of its pictures was told of
            yield reading.film(folder, pictures)


def _in_order(file: File) -> list[tuple[int, str]]:
    """`frame9` before `frame10`."""
    parts = re.split(r"(\d+)", file.name)
    return [(len(part.lstrip("0")), part.lstrip("0")) if part.isdecimal() else (-1, part) for part in parts]


def _picture(file: File, reading: Reading) -> Tensor | None:
    """(1, C, H, W), in its own size."""
    try:
        return torch.from_numpy(decode(file.read(), 0, 0, "whole").pixels.copy())[None]
    except UnreadableError as error:
        reading.bad.append(f"{file.name}: {error}")
        return None


def _whole(file: File, reading: Reading) -> Film | None:
    """Of a file that holds a whole film: an animation, or a strip where that is asked for; None for a picture."""
    data = file.read()
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            if getattr(image, "is_animated", False):
                return _animation(file.name, image, reading)
    except (UnreadableError, UserError):
        raise
    except UnidentifiedImageError:
        raise UnreadableError("not a picture in a known format, or its header is damaged") from None
    except Exception as error:  # parsers of damaged files fail in every way there is
        raise UnreadableError(f"cannot be decoded: {error or type(error).__name__}") from error
    if not reading.settings.strips:
        return None
    whole = torch.from_numpy(decode(data, 0, 0, "whole").pixels.copy())[None]
    height, width = whole.shape[2:]
    if width % height or width < 2 * height:
        raise UnreadableError(f"{height}x{width} is no strip: squares side by side are expected")
    if width // height > LONGEST:
        raise UnreadableError(f"{width // height} pictures are more than the limit of {LONGEST}")
    return reading.film(file.name, reading.chosen(file.name, torch.split(whole, height, 3)))


def _animation(name: str, image: Image.Image, reading: Reading) -> Film:
    if image.size[0] * image.size[1] > MAX_PIXELS:
        raise UnreadableError(f"more than the limit of {MAX_PIXELS // 10**6} megapixels")
    pause = float(image.info.get("duration", 0)) or 1000 / RATE
    frames = (
        torch.from_numpy(np.asarray(frame.convert("RGB")).copy()).permute(2, 0, 1)[None]
        for frame in reading.chosen(name, ImageSequence.Iterator(image))
    )
    return reading.film(name, frames, 1000 / pause)


def _video(name: str, path: Path, reading: Reading) -> Film:
    try:
        import av
    except ImportError:
        raise UserError(f"data={path}: videos are read by PyAV: pip install 'sparring[video]'") from None
    try:
        with av.open(str(path)) as film:
            stream: Any = film.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise UnreadableError(f"more than the limit of {MAX_PIXELS // 10**6} megapixels")
            frames = (
                torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None]
                for frame in reading.chosen(name, film.decode(stream))
            )
            return reading.film(name, frames, float(stream.average_rate or RATE))
    except (UnreadableError, UserError):
        raise
    except Exception as error:  # damaged files fail in every way there is
        raise UnreadableError(f"cannot be decoded: {error or type(error).__name__}") from error
