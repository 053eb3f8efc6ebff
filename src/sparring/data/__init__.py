"""Sources of samples. `open_data(Data(data="mnist"))` gives the splits of whatever the user named."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sparring.config import UserError, did_you_mean, is_outside, resolve
from sparring.data.captions import with_captions
from sparring.data.clips import VIDEOS, open_clips
from sparring.data.decode import EXTENSIONS
from sparring.data.digits import open_digits
from sparring.data.few import limited
from sparring.data.idx import open_idx
from sparring.data.kinds import KINDS
from sparring.data.moving import open_moving
from sparring.data.oracle import open_oracle
from sparring.data.pictures import Report, inspect_pictures, open_pictures
from sparring.data.settings import Data
from sparring.data.shapes import open_shapes
from sparring.data.shards import is_shards, open_shards
from sparring.data.sounds import open_sounds
from sparring.data.source import About, Batch, Source, Splits, TensorSource, carve, subset, tensor_source
from sparring.data.stacked import open_stacked
from sparring.data.texts import open_texts
from sparring.data.toys import open_toy
from sparring.data.vectors import open_vectors
from sparring.data.views import with_sources

__all__ = [
    "NAMED", "About", "Batch", "Data", "Source", "Splits", "TensorSource",
    "carve", "open_data", "open_reported", "subset", "tensor_source",
]  # fmt: skip


class Named(NamedTuple):
    """A set that has a name."""

    what: str
    open: Callable[[Data], Splits]


NAMED: Mapping[str, Named] = {
    "digits": Named("1,797 handwritten digits, 8x8 gray; comes with the package (UCI)", open_digits),
    "shapes": Named("drawn on the fly: shape, colour, size, place, turn, with captions; 32x32 rgb", open_shapes),
    "moving-digits": Named("clips of digits that move straight on, 8 pictures of 16x16 gray; built in", open_moving),
    "ring": Named("points: 8 Gaussians on a circle", partial(open_toy, "ring")),
    "grid": Named("points: 25 Gaussians on a square grid", partial(open_toy, "grid")),
    "lines": Named("points: two parallel lines", partial(open_toy, "lines")),
    "swiss-roll": Named("points: a spiral", partial(open_toy, "swiss-roll")),
    "mnist": Named("70,000 handwritten digits, 28x28 gray; downloaded once", partial(open_idx, "mnist")),
    "stacked-mnist": Named("three digits on three channels, 1,000 modes, 32x32 rgb; from mnist", open_stacked),
    "fashion-mnist": Named(
        "70,000 pieces of clothing, 28x28 gray; downloaded once", partial(open_idx, "fashion-mnist")
    ),
    "kmnist": Named("70,000 Japanese characters, 28x28 gray; downloaded once", partial(open_idx, "kmnist")),
    "emnist": Named("131,600 letters and digits, 28x28 gray; downloaded once", partial(open_idx, "emnist")),
}


OPENERS: Mapping[str, Callable[[Path, Data], Splits]] = {
    ".txt": open_texts, ".npz": open_oracle, ".vec": open_vectors, ".npy": open_vectors, ".wav": open_sounds,
    ".flac": open_sounds,
}  # fmt: skip
"""Of files that are no pictures, by their suffix."""
ONLY: Mapping[str, tuple[str, ...]] = {
    "unit": ("text",), "length": ("text",), "vocabulary": ("text", "point"),
    "frames": ("clip",), "frame_step": ("clip",), "strips": ("clip",),
    "fit": ("image", "clip"), "color": ("image", "clip"), "rate": ("sound",), "seconds": ("sound",),
    "cut": ("sound",), "test_names": ("sound",),
}  # fmt: skip
"""Settings by the kinds of data that they are for; for others they would do nothing."""


def open_data(settings: Data) -> dict[str, Source]:
    """The splits "train", "test" and, where `settings.validation` asks for one, "validation".

    Raises `UserError` for a name, path or content that cannot be used, saying what to do.
    """
    for name in ("test", "validation"):
        share = getattr(settings, name)
        if not 0 <= share < 1 or (name == "test" and share == 0):
            raise UserError(f"{name}={share} is not a share of the data; give a number between 0 and 1, such as 0.1")
    if settings.source is not None and settings.captions is not None:
        raise UserError(f"source={settings.source} and captions={settings.captions}: pictures are made from one")
    splits = dict(_opened(settings) if settings.source is None else with_sources(settings, _opened))
    _refuse_idle(settings, splits["train"].about)
    if settings.validation:
        splits["train"], splits["validation"] = carve(splits["train"], settings.validation, seed=1)
    if settings.limit is not None:
        splits["train"] = limited(splits["train"], settings.limit, settings.limit_seed)
    if settings.captions is not None:
        splits = dict(with_captions(splits, settings))
    return splits


def _refuse_idle(settings: Data, about: About) -> None:
    """`UserError` for a setting that is not for data of this kind."""
    for name, kinds in ONLY.items():
        value = getattr(settings, name)
        if value != getattr(Data(), name) and about.key not in kinds:
            for_what = " and ".join(KINDS[kind].what for kind in kinds)
            raise UserError(f"{name}={value} is for {for_what}, and {settings.data} has {about.what}; leave it out")


def _opened(settings: Data) -> Splits:
    if not settings.data.strip():
        raise UserError("data is empty; give a name, a folder or a zip file")
    if settings.data in NAMED:
        return NAMED[settings.data].open(settings)
    if is_shards(settings.data):
        return open_shards(settings)
    path = _path(settings)
    if is_outside(settings.data, NAMED) and not path.exists():
        function: Callable[[Data], Splits] = resolve(settings.data, {}, "data")
        splits = function(settings)
        if not isinstance(splits, Mapping) or "train" not in splits:
            raise UserError(
                f"data={settings.data} must return a mapping with a 'train' source, not {type(splits).__name__}"
            )
        return splits
    if _means_pictures(path, settings):
        if settings.frames is not None or path.suffix.lower() in VIDEOS:
            return open_clips(path, settings)
        return _opener(path)(path, settings)
    raise UserError(
        f"data: '{settings.data}' is neither a folder or zip file here nor one of {', '.join(NAMED)}"
        f"{did_you_mean(settings.data, list(NAMED))}"
    )


def _opener(path: Path) -> Callable[[Path, Data], Splits]:
    """By what most files are; but where there is a single picture, others may be notes on pictures."""
    found = Counter(_suffixes(path))
    if any(suffix.removeprefix(".") in EXTENSIONS for suffix in found):
        return open_pictures
    known = [suffix for suffix, _ in found.most_common() if suffix in OPENERS]
    return OPENERS[known[0]] if known else open_pictures


def _suffixes(path: Path) -> list[str]:
    """Of the file, or of all files of a folder or zip."""
    if path.is_dir():
        return [Path(name).suffix.lower() for _, _, names in os.walk(path) for name in names if name[0] != "."]
    if path.suffix.lower() != ".zip":
        return [path.suffix.lower()]
    try:
        with zipfile.ZipFile(path) as archive:
            return [PurePosixPath(name).suffix.lower() for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile, NotImplementedError):  # the reader of pictures will tell of it
        return []


def _path(settings: Data) -> Path:
    try:
        path = Path(settings.data).expanduser()
        path.name.encode()
    except (RuntimeError, UnicodeEncodeError) as error:
        raise UserError(f"data={settings.data!r}: {error}") from None
    return path


def _means_pictures(path: Path, settings: Data) -> bool:
    return path.exists() or "/" in settings.data or "." in settings.data


def open_reported(settings: Data) -> tuple[Splits, Report | None]:
    """As `open_data`, and what its files are like where it is a folder or zip; there, bad files stop nothing.

    The splits of a folder or zip that training would refuse are empty.
    """
    if settings.data.strip() and settings.data not in NAMED and not is_shards(settings.data):
        path = _path(settings)
        outside = is_outside(settings.data, NAMED) and not path.exists()
        if (
            _means_pictures(path, settings)
            and not outside
            and settings.frames is None
            and _opener(path) is open_pictures
        ):
            report = inspect_pictures(path, settings)
            return report.splits, report
    return open_data(settings), None
