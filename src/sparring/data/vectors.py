"""Points from files: vectors of words as they are published, a word and its numbers a line, or an array of NumPy."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.settings import Data
from sparring.data.source import About, Source, Splits, carve, names_of, tensor_source

TURNED = "turned"
LARGEST = 2**32
"""Bytes that are read of an array."""


def open_vectors(path: Path, settings: Data) -> dict[str, Source]:
    """`train` and `test`: point float32 (N, D); the words are the names of the rows.

    `.vec`: a line for each word, the word and its numbers with spaces or tabs between, the most frequent first
    (word2vec, fastText, GloVe, in which a few words have spaces); the first `settings.vocabulary` of them.
    `.npy`: float (N, D). `UserError` for what cannot be read.
    """
    for name in ("size", "labels", "captions"):
        if getattr(settings, name) is not None:
            raise UserError(f"{name}={getattr(settings, name)}: points have no {name}; leave it out")
    try:
        points, names = _array(path) if path.suffix.lower() == ".npy" else _lines(path, settings.vocabulary)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"data={path} cannot be read: {error}") from None
    if len(points) < 2:
        raise UserError(f"data={path} has {len(points)} points; at least 2 are needed")
    if not bool(torch.isfinite(points).all()):
        raise UserError(f"data={path} holds NaN or infinity")
    about = About(path.stem, "point", (points.shape[1],))
    train, test = carve(tensor_source(about, {"point": points}, names), settings.test)
    return {"train": train, "test": test}


def _array(path: Path) -> tuple[Tensor, tuple[str, ...]]:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"data={path} is no plain array: {error}") from None
    if not isinstance(found, np.ndarray):
        raise UserError(f"data={path} is an archive of arrays; save the one of the points by itself, with numpy.save")
    if found.ndim != 2 or found.dtype.kind not in "fiu" or found.nbytes > LARGEST:
        raise UserError(f"data={path} is {found.dtype} of shape {found.shape}; numbers of shape (N, D) are expected")
    return torch.from_numpy(np.array(found, dtype=np.float32)), ()


def _lines(path: Path, most: int) -> tuple[Tensor, tuple[str, ...]]:
    words, rows, wide = list[str](), list[list[float]](), 0
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(islice(_no_header(file), most), 1):
            parts = line.rstrip().replace("\t", " ").split(" ")
            wide = wide or len(parts) - 1
            name, row = parts[: len(parts) - wide], _numbers(parts[len(parts) - wide :])
            if (
                not name or len(row) != max(1, wide) or _numbers(name[1:])
            ):  # a word may have spaces, and no numbers behind one
                raise UserError(f"data={path}: word {number} must have {wide} numbers: {line[:60].strip()!r}")
            words.append(" ".join(name))
            rows.append(row)
    return torch.tensor(rows).reshape(len(rows), wide), tuple(words)


def _numbers(parts: list[str]) -> list[float]:
    """Empty where one of them is none."""
    try:
        return [float(part) for part in parts]
    except ValueError:
        return []


def _no_header(file: Iterator[str]) -> Iterator[str]:
    """The lines without the first, where that says how many there are, and how long."""
    for place, line in enumerate(file):
        if place or len(line.split()) != 2:
            yield line


def rotation(size: int, number: int = 0) -> Tensor:
    """(size, size) float32: a random rotation or reflection, the same for the same number."""
    random = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
    q, r = torch.linalg.qr(random)
    turned: Tensor = (q * r.diagonal().sign()).float()
    return turned


@dataclass(frozen=True, eq=False)
class Turned:
    """Points, each beside another of them, turned by what nobody is told."""

    about: About
    base: Source
    by: Tensor
    order: Tensor

    @property
    def names(self) -> tuple[str, ...]:
        """Of the points."""
        return names_of(self.base)

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return {**self.base[index], "source": self.base[self.order[index]]["point"] @ self.by}


def with_turned(splits: Splits, said: str) -> Splits:
    """`turned` or `turned:7`: the same points turned, in another order where they are for training."""
    number = said.partition(":")[2] or "0"
    if not number.isdecimal():
        raise UserError(f"source={said}: use {TURNED}, or {TURNED}:7 for another rotation")
    found = {}
    for name, split in splits.items():
        held_out, about = name != "train", split.about
        order = torch.arange(len(split))
        if not held_out:
            order = torch.randperm(len(split), generator=torch.Generator().manual_seed(int(number)))
        sha256 = hashlib.sha256(f"{about.sha256} {said}".encode()).hexdigest() if about.sha256 else ""
        about = replace(about, source=about.shape, paired=held_out, sha256=sha256)
        found[name] = Turned(about, split, rotation(about.shape[0], int(number)), order)
    return found
