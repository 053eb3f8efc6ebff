"""What every data set is: sized, indexable by a tensor of indices, and described by an `About`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.kinds import KINDS

Batch = Mapping[str, Tensor]
Splits = Mapping[str, "Source"]  # "train" always; "validation" and "test" where there are any


@dataclass(frozen=True)
class About:
    """The facts about a source that a recipe builds its networks from, and a run writes down."""

    name: str
    """What the user called it, e.g. `mnist`."""
    key: str
    """The column that a game models, one of `data.kinds.KINDS`: `image`, `point`, `text`, `sound` or `clip`."""
    shape: tuple[int, ...]
    """Of one sample: (C, H, W), (D,), (L,), (1, T) or (C, T, H, W)."""
    classes: tuple[str, ...] = ()
    """Names of the classes that the column `label` (int64, (N,)) counts; empty when there are no labels."""
    invented: bool = False
    """The classes are clusters found by a program; their numbers mean nothing to a person."""
    prior: tuple[float, ...] = ()
    """Share of each class in the training split; sums to 1."""
    sha256: str = ""
    """Hash of the content of this split, so that results and caches are tied to data, never to a name."""
    source: tuple[int, ...] = ()
    """Shape of the column `source`, what the samples are made from, of their own kind; empty where there is none.
    Pictures may be smaller than the images."""
    masked: bool = False
    """The last channel of `source` is a mask: 255 where the picture is missing, else 0."""
    paired: bool = False
    """Each image belongs to its source; else they lie beside each other by chance."""
    caption: int = 0
    """Words of the column `caption`, int64 (N, L), that images are made from; 0 where there is none."""
    vocabulary: tuple[str, ...] = ()
    """The words of captions and texts: 2 is the first of them, 1 a word that is not among them, 0 no word."""
    source_vocabulary: tuple[str, ...] = ()
    """Alike, of the column `source` where that is text."""
    characters: bool = False
    """The words are single characters: texts are written without spaces between them."""
    whole: bool = False
    """All texts are of one length and none has an unknown word, so that 0 and 1 do not occur."""
    rate: float = 0.0
    """Samples a second of sounds, pictures a second of clips; 0 for what has no time."""
    hop: int = 0
    """Samples between two columns of pictures that are log-mel spectrograms of sounds (`nn.signal`); 0 of others."""
    notes: tuple[str, ...] = field(default=())
    """Sentences for the user: where it was found, its licence, what was left out and why."""

    @property
    def what(self) -> str:
        """Its samples, in messages."""
        return KINDS[self.key].what


class Source(Protocol):
    """Samples by number. Nothing here is random: order and augmentation belong to the loader."""

    @property
    def about(self) -> About:
        """Its facts."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        """(n,) int64 indices -> columns of n rows each: `image` or `point`, and `label` where there is one."""
        ...


@dataclass(frozen=True, eq=False)
class TensorSource:
    """Columns held in memory, or memory-mapped (`torch.from_numpy(np.memmap)` works the same)."""

    about: About
    columns: Mapping[str, Tensor]
    names: tuple[str, ...] = ()
    """Of the files that the samples come from, below the folder that holds them all."""

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"columns of {self.about.name} differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.columns[self.about.key])

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return {name: column[index] for name, column in self.columns.items()}


def content_hash(columns: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes of the columns, in order of their names."""
    digest = hashlib.sha256()
    for name in sorted(columns):
        column = columns[name].contiguous()
        digest.update(f"{name} {column.dtype} {tuple(column.shape)}\n".encode())
        digest.update(column.numpy().data)
    return digest.hexdigest()


def class_prior(labels: Tensor, classes: int) -> tuple[float, ...]:
    """Share of each of `classes` among (N,) labels."""
    counts = torch.bincount(labels, minlength=classes).double()
    return tuple((counts / counts.sum().clamp(min=1)).tolist())


def tensor_source(about: About, columns: Mapping[str, Tensor], names: tuple[str, ...] = ()) -> TensorSource:
    """A `TensorSource` whose hash and class shares are filled in from its columns."""
    prior = class_prior(columns["label"], len(about.classes)) if about.classes else ()
    return TensorSource(replace(about, sha256=content_hash(columns), prior=prior), columns, names)


def names_of(source: Source) -> tuple[str, ...]:
    """Names of the files that its samples come from; empty where they come from none."""
    names: tuple[str, ...] = getattr(source, "names", ())
    return names


def files_of(source: Source) -> Tensor | None:
    """(N,) number of the file that each sample lies in, where samples of one file are best read together; else None."""
    files: Tensor | None = getattr(source, "files", None)
    return files


def labels_of(source: Source, index: Tensor | None = None) -> Tensor:
    """(n,) int64 labels of the samples of `index`, or of all; no sample is read where the source knows them."""
    index = torch.arange(len(source)) if index is None else index
    known: Tensor | None = getattr(source, "labels", None)
    if known is not None:
        return known[index]
    return torch.cat([source[part]["label"] for part in torch.split(index, 1024)])


WINDOW = 4
"""Files that are shuffled together: as many as are read from at a time."""


def shuffled(source: Source, seed: int) -> Tensor:
    """(N,) all samples in an order that is a function of source and seed.

    Where samples lie in large files: the files in a random order, and all samples of every few files mixed, so that
    the first n of them lie in as few files as can be.
    """
    generator = torch.Generator().manual_seed(seed)
    files = files_of(source)
    order = torch.randperm(len(source), generator=generator)
    if files is None:
        return order
    present, number = torch.unique(files, return_inverse=True)
    window = torch.randperm(len(present), generator=generator)[number] // WINDOW
    return order[window[order].argsort(stable=True)]


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a source that is too large to copy."""

    about: About
    source: Source
    rows: Tensor

    @property
    def names(self) -> tuple[str, ...]:
        """Of the rows' files."""
        return tuple(names[row] for row in self.rows.tolist()) if (names := names_of(self.source)) else ()

    @property
    def files(self) -> Tensor | None:
        """As `files_of` says."""
        return None if (files := files_of(self.source)) is None else files[self.rows]

    @property
    def labels(self) -> Tensor | None:
        """(n,), where the source knows them without reading samples."""
        known: Tensor | None = getattr(self.source, "labels", None)
        return None if known is None else known[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return self.source[self.rows[index]]


def subset(source: Source, index: Tensor) -> Source:
    """The rows named by (n,) `index`, as a source of its own with its own hash and class shares."""
    if isinstance(source, TensorSource):
        names = tuple(source.names[row] for row in index.tolist()) if source.names else ()
        return tensor_source(source.about, source[index], names)
    sha256 = hashlib.sha256(source.about.sha256.encode() + index.numpy().tobytes()).hexdigest()
    about, rows = source.about, Rows(source.about, source, index)
    if about.classes:
        about = replace(about, prior=class_prior(labels_of(source, index), len(about.classes)))
    return replace(rows, about=replace(about, sha256=sha256))


def _pieces_of(train: Source) -> Tensor | None:
    """(N,) number of the film, or of the file, that each row is a piece of; None where every row is one of its own."""
    if not isinstance(train, TensorSource):
        return None
    number = {name: place for place, name in enumerate(dict.fromkeys(train.names))}
    if "film" in train.columns or len(number) == len(train.names):
        return train.columns.get("film")
    return torch.tensor([number[name] for name in train.names])


def _carved_by_file(train: Source, files: Tensor, fraction: float, seed: int) -> tuple[Source, Source]:
    every = torch.unique(files)
    order = every[torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))]
    count = min(max(round(len(every) * fraction), 1), len(every) - 1)
    aside = torch.isin(files, order[:count])
    return subset(train, (~aside).nonzero().squeeze(1)), subset(train, aside.nonzero().squeeze(1))


def carve(train: Source, fraction: float, seed: int = 0) -> tuple[Source, Source]:
    """Split off a random `fraction` (0 < fraction < 1) of `train`: (what stays, what is set aside).

    The choice is a function of (length, fraction, seed) alone, and at least one row lands on each side. Rows that are
    pieces of one film or file stay together; where all are of one, its end is set aside. `UserError` for fewer than 2.
    """
    pieces = _pieces_of(train)
    if pieces is not None and len(torch.unique(pieces)) > 1:
        return _carved_by_file(train, pieces, fraction, seed)
    n = len(train)
    count = min(max(round(n * fraction), 1), n - 1)
    if count < 1:
        raise UserError(f"{train.about.name} has {n} sample(s); at least 2 are needed to hold some out: add some")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    if pieces is not None:
        order = torch.arange(n).flip(0)
    return subset(train, order[count:].sort().values), subset(train, order[:count].sort().values)
