"""Decoded pictures on disk, keyed by content: written whole, checked when read, never worth a failed job."""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from sparring.config import UserError, from_json, read_json, to_json
from sparring.data.decode import Pixels
from sparring.data.tensors import Color, recolored
from sparring.files import replacing

FORMAT = 1
"""Counts changes of what decoding gives; part of every key, so that older entries are not read."""
IN_MEMORY = 512 * 2**20
"""Bytes of pixels that are held in memory; larger sets are memory-mapped."""


def cache_dir() -> Path:
    """`$SPARRING_CACHE`, else `$XDG_CACHE_HOME/sparring`, else `~/.cache/sparring`."""
    if own := os.environ.get("SPARRING_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sparring"


@dataclass(frozen=True)
class Entry:
    """What is known of a set of decoded pictures, beside their pixels."""

    names: tuple[str, ...]
    """Of the good pictures, in the order of their pixels."""
    bad: tuple[tuple[str, str], ...]
    """(name, reason) of each file that was left out."""
    color: Color
    sizes: dict[str, int]
    modes: dict[str, int]
    facts: dict[str, int]
    shape: tuple[int, int, int, int]
    crc32: int = 0


class Spool:
    """Decoded pictures in order, in memory up to a limit, then in a nameless file while the disk has room."""

    def __init__(self, folder: Path, limit: int = IN_MEMORY) -> None:
        self._folder, self._limit, self._held = folder, limit, 0
        self._items: list[Pixels | tuple[int, tuple[int, ...]]] = []
        self._file: IO[bytes] | None = None

    def add(self, pixels: Pixels) -> None:
        """Keep (c, H, W) uint8."""
        if self._held + pixels.nbytes > self._limit:
            try:
                self._items.append((self._written(pixels), pixels.shape))
                return
            except OSError:  # a full disk: stay in memory, and do not ask the disk again
                self._limit = 2**63
        self._items.append(pixels)
        self._held += pixels.nbytes

    def _written(self, pixels: Pixels) -> int:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 (closed by `close`)
        start = self._file.seek(0, os.SEEK_END)
        if self._file.write(pixels.data) != pixels.nbytes:
            raise OSError("short write")
        return start

    def __iter__(self) -> Iterator[Tensor]:
        for item in self._items:
            if isinstance(item, np.ndarray):
                yield torch.from_numpy(item)
                continue
            assert self._file is not None
            start, shape = item
            self._file.seek(start)
            count = int(np.prod(shape))
            yield torch.frombuffer(bytearray(self._file.read(count)), dtype=torch.uint8).view(shape)

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()


def stored(key: str, spool: Spool, entry: Entry) -> tuple[Entry, Tensor, tuple[str, ...]]:
    """Write the entry and read it back; where the disk refuses, the pixels in memory and a note instead."""
    try:
        entry = replace(entry, crc32=_write_pixels(_pixels_path(key), _frames(spool, entry.color), entry.shape))
        with replacing(_facts_path(key)) as file:  # last: an entry exists once its facts do
            file.write(json.dumps(to_json(entry)).encode())
        loaded = load(key)
        if loaded is not None:
            return *loaded, ()
        reason = "what was written did not read back"
    except OSError as error:
        reason = error.strerror or str(error)
    images = torch.empty(entry.shape, dtype=torch.uint8)
    for row, frame in zip(images, _frames(spool, entry.color), strict=True):
        row.copy_(frame)
    note = f"decoded pictures could not be kept in {cache_dir()} ({reason}); the next run decodes them again"
    return entry, images, (note,)


def load(key: str) -> tuple[Entry, Tensor] | None:
    """(entry, (N, C, H, W) uint8), or None when there is no sound one: then it is to be made again."""
    if not _facts_path(key).is_file():
        return None
    try:
        entry = from_json(Entry, read_json(_facts_path(key)), "cache")
        mapped = int(np.prod(entry.shape)) > IN_MEMORY
        # "c", copy on write: torch warns of arrays that it could not write to
        pixels = np.load(_pixels_path(key), mmap_mode="c" if mapped else None, allow_pickle=False)
        if pixels.shape != entry.shape or pixels.dtype != np.uint8 or len(entry.names) != len(pixels):
            return None
        if not mapped and zlib.crc32(pixels.data) != entry.crc32:  # mapped: would read what mapping puts off
            return None
    except (UserError, OSError, ValueError, EOFError):
        return None
    return entry, torch.from_numpy(pixels)


def _pixels_path(key: str) -> Path:
    return cache_dir() / "pictures" / f"{key}.npy"


def _facts_path(key: str) -> Path:
    return cache_dir() / "pictures" / f"{key}.json"


def _frames(spool: Spool, color: Color) -> Iterator[Tensor]:
    for pixels in spool:
        yield recolored(pixels[None], color)[0]


def _write_pixels(path: Path, frames: Iterable[Tensor], shape: tuple[int, ...]) -> int:
    """Write (C, H, W) frames one after another as one .npy of `shape`; returns the crc32 of the pixels."""
    crc = 0
    with replacing(path) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in frames:
            data = frame.contiguous().numpy().data
            crc = zlib.crc32(data, crc)
            file.write(data)
    return crc
