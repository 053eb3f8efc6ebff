"""A folder or zip of pictures -> tar shards with an index: every file decoded once, then copied as it is."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from sparring.config import UserError
from sparring.data import labels as labelling
from sparring.data.ahead import in_order, progress
from sparring.data.cache import Entry
from sparring.data.decode import UnreadableError, decode
from sparring.data.members import File, opened
from sparring.data.pictures import Prepared, Tally, check_enough, rows_and_labels
from sparring.data.settings import Data
from sparring.data.shards import INDEX, Facts, Index, index_of, is_shards, written
from sparring.files import replacing

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_CHECKED_AT = 64
"""Pixels that pictures are decoded at to be checked: JPEGs unfold to no more than they need."""


@dataclass(frozen=True)
class Packed:
    """What was made."""

    index: Index
    bad: tuple[tuple[str, str], ...]
    """(name, reason) of each file that was left out."""
    notes: tuple[str, ...]


def bytes_of(text: str) -> int:
    """`256MB` -> 256,000,000. `UserError` for anything else, and below 10 KB."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMG]B|)\s*", text.upper())
    count = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if count < 10_000:
        raise UserError(f"bytes={text} is not a size of a shard from 10KB on; write 256MB or 1GB")
    return count


def packed(path: Path, out: Path, size: int, settings: Data) -> Packed:
    """Shards of about `size` bytes in the new folder `out`, which appears only once it is complete.

    Splits and labels are those of `pictures.open_pictures`; within a split the pictures are mixed once, so that every
    shard is like the others. The same pictures give the same bytes. Raises `UserError`.
    """
    if out.exists():
        raise UserError(f"-o {out} is there already; give another folder, or remove it")
    if is_shards(str(path)):
        raise UserError(f"{path} holds shards already; --data reads them as they are")
    out.parent.mkdir(parents=True, exist_ok=True)
    with opened(path) as listing:
        seen = _looked_at(listing.files)
        good = [(file, crc) for file, crc in zip(listing.files, seen.checks, strict=True) if isinstance(crc, int)]
        bad = [(f.name, str(c)) for f, c in zip(listing.files, seen.checks, strict=True) if not isinstance(c, int)]
        names = tuple(file.name for file, _ in good)
        left_out = tuple(sorted(listing.bad + bad))
        color = seen.tally.color()
        entry = Entry(names, left_out, color, {}, {}, {}, (len(names), 0, 0, 0))
        every = tuple(sorted([file.name for file in listing.files] + [name for name, _ in listing.bad]))
        prepared = Prepared(entry, torch.empty(0), every, 0, "", ())
        check_enough(path, prepared)
        rows, labels, notes = rows_and_labels(path, settings, prepared)
        classes = labelling.ordered(labels) if labels else ()
        number = {name: index for index, name in enumerate(classes)}
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
        try:
            made: list[tuple[str, Path, str]] = []
            for split, chosen in rows.items():
                mixed = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))].tolist()
                label = [number[labels[row]] for row in mixed] if labels else []
                made += [(p.name, p, split) for p in _written(folder, split, [good[row] for row in mixed], label, size)]
            index = index_of(made, len(made), Facts((), classes, color))
            with replacing(folder / INDEX) as file:
                file.write(written(index))
            folder.chmod(0o755)  # mkdtemp makes folders that only their owner may read
            folder.rename(out)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return Packed(index, left_out, notes)


@dataclass
class _Seen:
    checks: list[int | UnreadableError]
    """crc32 of each file, or why it cannot be used."""
    tally: Tally


def _looked_at(files: Sequence[File]) -> _Seen:
    """Every file decoded once."""
    seen = _Seen([], Tally())

    def look(file: File) -> object:
        try:
            data = file.read()
            return zlib.crc32(data), decode(data, _CHECKED_AT, _CHECKED_AT, "crop")
        except UnreadableError as error:
            return error

    with warnings.catch_warnings():  # Pillow warns of odd metadata; set before any thread starts
        warnings.simplefilter("ignore")
        for found in progress(in_order(look, files), "Looking", len(files)):
            if isinstance(found, UnreadableError):
                seen.checks.append(found)
                continue
            assert isinstance(found, tuple)
            seen.checks.append(found[0])
            seen.tally.add(found[1])
    return seen


def _written(
    folder: Path, split: str, files: Sequence[tuple[File, int]], labels: Sequence[int], size: int
) -> Iterator[Path]:
    """The tars of one split, one after another."""
    remaining = iter(progress(zip(range(len(files)), files, strict=True), f"Writing {split}", len(files)))
    for number, first in enumerate(remaining):
        path = folder / f"{split}-{number:05d}.tar"
        with replacing(path) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            _fill(tar, first, remaining, labels, size)
        yield path


def _fill(
    tar: tarfile.TarFile,
    first: tuple[int, tuple[File, int]],
    remaining: Iterable[tuple[int, tuple[File, int]]],
    labels: Sequence[int],
    size: int,
) -> None:
    """Samples until the tar has its size; nothing in it depends on when or by whom it is made."""

    def add(item: tuple[int, tuple[File, int]]) -> None:
        row, (file, crc) = item
        try:
            data = file.read()
        except UnreadableError as error:
            raise UserError(f"{file.name} could be read once, and then not: {error}; start again") from None
        if zlib.crc32(data) != crc:
            raise UserError(f"{file.name} changed while it was being read; start again when it is complete")
        _member(tar, f"{row:09d}{PurePosixPath(file.name).suffix.lower()}", data)
        if labels:
            _member(tar, f"{row:09d}.cls", str(labels[row]).encode())
        tar.members = []  # type: ignore[attr-defined]  # else every header is kept

    add(first)
    for item in remaining:
        add(item)
        if tar.offset >= size:
            return


def _member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
