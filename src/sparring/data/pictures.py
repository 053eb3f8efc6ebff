"""Your own pictures: a folder or .zip of any formats and sizes -> splits of one size, decoded once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data import labels as labelling
from sparring.data.ahead import in_order, progress
from sparring.data.cache import FORMAT, IN_MEMORY, Entry, Spool, load, stored
from sparring.data.cache import cache_dir as cache_dir
from sparring.data.decode import Decoded, UnreadableError, decode
from sparring.data.members import File, Listing, member_bytes, opened, single
from sparring.data.settings import Data
from sparring.data.source import About, Source, TensorSource, carve, class_prior, tensor_source
from sparring.data.tensors import CHANNELS, Color, height_and_width, recolored

DEFAULT_SIZE = "64"
FEWEST = 3
"""Pictures: 2 to train on and 1 to judge by."""
_Split = tuple[dict[str, Tensor], list[str] | None, tuple[str, ...]]
"""(split -> row numbers, the class name of every row or None, notes)."""


@dataclass(frozen=True)
class Report:
    """What `sparring data inspect` tells of a folder or zip."""

    good: int
    """Pictures that training can use."""
    bad: tuple[tuple[str, str], ...]
    """(name, reason) of every file that is left out."""
    sizes: dict[str, int]
    """How many good pictures have each `height x width`, before resizing."""
    modes: dict[str, int]
    """How many have each of Pillow's modes: `RGB`, `P`, `I;16` ..."""
    duplicates: int
    """Pictures whose file is a copy, byte for byte, of another's."""
    notes: tuple[str, ...]
    """Sentences for the user: what was skipped, turned, scaled, labelled."""
    splits: dict[str, Source]
    """What training would get; empty where it would be refused."""
    names: dict[str, tuple[str, ...]]
    """Of the files of each split, in its order."""


@dataclass(frozen=True, eq=False)
class MappedSource:
    """Rows of a memory-mapped (N, C, H, W): reads only what is asked for."""

    about: About
    images: Tensor
    rows: Tensor
    label: Tensor | None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        columns = {"image": self.images[self.rows[index]]}
        return columns if self.label is None else columns | {"label": self.label[index]}


@dataclass(frozen=True)
class Prepared:
    """What is known of all picture files before they are split."""

    entry: Entry
    images: Tensor
    """(N, C, H, W) uint8, in memory or mapped."""
    names: tuple[str, ...]
    """Of all picture files, good and bad: those that a file of labels must name."""
    duplicates: int
    key: str
    notes: tuple[str, ...]


@dataclass
class Tally:
    """What the good pictures' files were like."""

    sizes: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    colors: set[Color] = field(default_factory=set)

    def add(self, picture: Decoded) -> None:
        """Count one."""
        self.sizes[picture.size] += 1
        self.modes[picture.mode] += 1
        self.facts.update(picture.facts)
        self.colors.add(picture.color)

    def color(self) -> Color:
        """The least that shows all of them whole."""
        return max(self.colors, key=lambda name: CHANNELS[name], default="rgb")


# -- the two entries -------------------------------------------------------------------------------------


def open_pictures(path: Path, settings: Data) -> dict[str, Source]:
    """`train` and `test` of a folder or zip: `image` uint8 (n, C, H, W), and `label` where there are classes.

    Sub-folders `train/` and `test/` are the splits where both exist; otherwise `settings.test` is held out.
    Files left out and other facts are in `about.notes`. Raises `UserError` when training is impossible.
    """
    prepared = _prepare(path, settings)
    check_enough(path, prepared)
    return _splits(path, settings, prepared, rows_and_labels(path, settings, prepared))


def _splits(path: Path, settings: Data, prepared: Prepared, split: _Split) -> dict[str, Source]:
    entry, (rows, labels, notes) = prepared.entry, split
    classes = labelling.ordered(labels) if labels else ()
    number = {name: index for index, name in enumerate(classes)}
    label = torch.tensor([number[name] for name in labels]) if labels else None
    about = About(
        name=settings.data,
        key="image",
        shape=entry.shape[1:],
        classes=classes,
        notes=(f"{len(entry.names)} pictures in {path}", *notes, *_notes(prepared), *_bad_notes(entry)),
    )
    return {split: _source(about, prepared, kept, label) for split, kept in rows.items()}


def pictures_of(paths: Iterable[Path], shape: tuple[int, ...], fit: str) -> Iterator[tuple[str, Tensor | str]]:
    """(name, (C, H, W) uint8) of files and of all in folders and zips; instead of a picture, why it is none.

    `fit` is crop, pad or stretch, or whole for the pictures' own sizes, whatever the shape's height and width are.
    `UserError` for a path that is not there.
    """
    channels, height, width = shape
    color = next(name for name, count in CHANNELS.items() if count == channels)
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} is not there")
        with contextlib.ExitStack() as stack:
            if path.is_dir() or path.suffix.lower() == ".zip":
                listing = stack.enter_context(opened(path))
                files, bad = listing.files, listing.bad
            else:
                files, bad = [single(path)], []
            yield from bad
            for file in files:
                try:
                    pixels = torch.from_numpy(decode(file.read(), height, width, fit).pixels.copy())
                except UnreadableError as error:
                    yield file.name, str(error)
                    continue
                yield file.name, recolored(pixels[None], color)[0]


def inspect_pictures(path: Path, settings: Data) -> Report:
    """Decode everything and tell what was found. Raises `UserError` only when there is nothing to look at."""
    prepared = _prepare(path, settings)
    entry = prepared.entry
    split, problems = _tried_split(path, settings, prepared)
    return Report(
        good=len(entry.names),
        bad=entry.bad,
        sizes=entry.sizes,
        modes=entry.modes,
        duplicates=prepared.duplicates,
        notes=(*problems, *(split[2] if split else ()), *_notes(prepared)),
        splits=_splits(path, settings, prepared, split) if split else {},
        names={name: tuple(entry.names[i] for i in rows.tolist()) for name, rows in split[0].items()} if split else {},
    )


def _tried_split(path: Path, settings: Data, prepared: Prepared) -> tuple[_Split | None, tuple[str, ...]]:
    """How training would split and label, and what would stop it. Wrong labels still leave pictures to look at."""
    if len(prepared.entry.names) < FEWEST:
        return None, (f"cannot be trained on: at least {FEWEST} pictures are needed",)
    problems: tuple[str, ...] = ()
    for attempt in (settings, replace(settings, labels=None)) if settings.labels else (settings,):
        try:
            return rows_and_labels(path, attempt, prepared), problems
        except UserError as error:  # what would stop training is a finding here, beside the others
            problems = (*problems, f"cannot be trained on: {error}")
    return None, problems


def _notes(prepared: Prepared) -> tuple[str, ...]:
    facts = [f"{count} pictures: {fact}" for fact, count in prepared.entry.facts.items()]
    clear = prepared.entry.facts.get("has clear parts", 0)
    if clear and prepared.entry.color != "rgba":
        facts.append(f"clear parts are shown on white in {clear} pictures; --color rgba keeps them clear")
    if prepared.duplicates:
        facts.append(f"{prepared.duplicates} pictures are copies of others, byte for byte")
    return (*prepared.notes, *facts)


def _bad_notes(entry: Entry) -> list[str]:
    return [f"left out: {name}: {reason}" for name, reason in entry.bad]


def check_enough(path: Path, prepared: Prepared) -> None:
    """At least 2 pictures to train on and 1 to judge by; otherwise every reason, and the fix."""
    good, bad = len(prepared.entry.names), prepared.entry.bad
    if good >= FEWEST:
        return
    reasons = [f"  {name}: {reason}" for name, reason in bad[:20]]
    more = [f"  ... and {len(bad) - 20} more"] if len(bad) > 20 else []
    usable = "none can be used" if good == 0 else f"only {good} can be used"
    raise UserError(
        "\n".join(
            [
                f"data={path}: of {good + len(bad)} picture files {usable}; at least {FEWEST} are needed, "
                f"2 to train on and 1 to judge by. Add pictures or mend these files.",
                *reasons,
                *more,
            ]
        )
    )


# -- splits and labels -----------------------------------------------------------------------------------


def rows_and_labels(path: Path, settings: Data, prepared: Prepared) -> _Split:
    """As `_Split` says; rows in no split are named too."""
    root = labelling.common_folder(prepared.entry.names)
    inner = [name.removeprefix(root) for name in prepared.entry.names]
    rows, notes = _split_rows(path, inner, settings.test)
    if settings.labels:
        given = labelling.parsed(_labels_text(path, settings.labels), settings.labels)
        by_name = dict(zip(prepared.names, labelling.matched(given, prepared.names, settings.labels), strict=True))
        return rows, [by_name[name] for name in prepared.entry.names], notes
    if _has_splits(inner):  # classes are the folders below train/ and test/
        inner = [name.partition("/")[2] for name in inner]
    used = torch.cat(list(rows.values())).tolist()
    found, note = labelling.from_folders([inner[row] for row in used])
    notes = (*notes, note) if note else notes
    if found is None:
        return rows, None, notes
    by_row = dict(zip(used, found, strict=True))
    return rows, [by_row.get(row, found[0]) for row in range(len(inner))], notes


def _has_splits(inner: Sequence[str]) -> bool:
    return {"train", "test"} <= {name.partition("/")[0] for name in inner if "/" in name}


def _split_rows(path: Path, inner: Sequence[str], test: float) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    if not _has_splits(inner):
        if not 0 < test < 1:
            raise UserError(f"test={test} is not a share between 0 and 1; write 0.1 to hold out a tenth")
        everything = torch.arange(len(inner))
        numbers = TensorSource(About(name=str(path), key="row", shape=()), {"row": everything})
        train, held_out = carve(numbers, test, seed=0)
        return {
            "train": train[everything[: len(train)]]["row"],
            "test": held_out[everything[: len(held_out)]]["row"],
        }, ()
    tops = [name.partition("/")[0] if "/" in name else "" for name in inner]
    rows = {split: torch.tensor([i for i, top in enumerate(tops) if top == split]) for split in ("train", "test")}
    if len(rows["train"]) < 2:
        raise UserError(f"data={path}: train/ holds 1 picture that can be used; at least 2 are needed to train on")
    unused = len(inner) - sum(len(kept) for kept in rows.values())
    return rows, (f"{unused} pictures are in neither train/ nor test/ and are not used",) if unused else ()


def _source(about: About, prepared: Prepared, rows: Tensor, label: Tensor | None) -> Source:
    """One split: in memory, or, for a large set, rows of the mapped file under a hash of what made them."""
    chosen = None if label is None else label[rows]
    root = labelling.common_folder(prepared.entry.names)
    names = tuple(prepared.entry.names[row].removeprefix(root) for row in rows.tolist())
    if prepared.images.numel() <= IN_MEMORY:
        columns = {"image": prepared.images[rows]} | ({} if chosen is None else {"label": chosen})
        return tensor_source(about, columns, names)
    digest = hashlib.sha256(prepared.key.encode())
    for column in (rows, chosen):
        digest.update(b"" if column is None else column.numpy().tobytes())
    prior = class_prior(chosen, len(about.classes)) if chosen is not None else ()
    return MappedSource(replace(about, sha256=digest.hexdigest(), prior=prior), prepared.images, rows, chosen, names)


def _labels_text(path: Path, given: str) -> str:
    """The text of a file of labels: as a path, or within the folder or zip of pictures."""
    data: bytes | None = None
    for candidate in (Path(given).expanduser(), path / given):
        if data is None and candidate.is_file():
            data = candidate.read_bytes()
    if data is None and path.is_file():
        with zipfile.ZipFile(path) as archive:
            if given in archive.namelist():
                data = _labels_member(archive, given)
    if data is None:
        raise UserError(f"labels={given}: there is no such file, neither here nor in {path}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"labels={given} is not UTF-8 text ({error}); save it as CSV in UTF-8") from None


def _labels_member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return member_bytes(archive, archive.getinfo(name))
    except UnreadableError as error:
        raise UserError(f"labels={name} within the zip {error}") from None


# -- decoding everything once ----------------------------------------------------------------------------


def _prepare(path: Path, settings: Data) -> Prepared:
    """All pictures at their target size, from the cache when the same content was decoded before."""
    height, width = height_and_width(settings.size or DEFAULT_SIZE)
    with opened(path) as listing, warnings.catch_warnings():
        # Pillow warns of large pictures and odd metadata, which is checked here; set before any thread starts
        warnings.simplefilter("ignore")
        digests = _digests(listing.files)
        unread = [
            (file.name, str(d))
            for file, d in zip(listing.files, digests, strict=True)
            if isinstance(d, UnreadableError)
        ]
        files = [(f, d) for f, d in zip(listing.files, digests, strict=True) if isinstance(d, str)]
        bad = sorted(listing.bad + unread)
        key = _key([FORMAT, height, width, settings.fit, settings.color, [[f.name, d] for f, d in files], bad])
        found = load(key)
        entry, images, notes = (*found, ()) if found else _decoded(files, bad, key, settings)
    names = tuple(sorted([file.name for file in listing.files] + [name for name, _ in listing.bad]))
    distinct = len({digest for _, digest in files})
    return Prepared(entry, images, names, len(files) - distinct, key, (*_skipped_note(listing), *notes))


def _key(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _skipped_note(listing: Listing) -> tuple[str, ...]:
    if not listing.skipped:
        return ()
    kinds = ", ".join(f"{count} {ending}" for ending, count in listing.skipped.most_common(5))
    return (f"{listing.skipped.total()} files that are not pictures were skipped ({kinds})",)


def _digests(files: Sequence[File]) -> list[str | UnreadableError]:
    def digest(file: File) -> str | UnreadableError:
        try:
            return hashlib.sha256(file.read()).hexdigest()
        except UnreadableError as error:
            return error

    return list(progress(in_order(digest, files), "Reading", len(files)))


def _decoded(
    files: Sequence[tuple[File, str]], unread: Sequence[tuple[str, str]], key: str, settings: Data
) -> tuple[Entry, Tensor, tuple[str, ...]]:
    """Decode all files, in parallel and in order, and store the result."""
    height, width = height_and_width(settings.size or DEFAULT_SIZE)
    work = partial(_decode_file, height=height, width=width, fit=settings.fit)
    names: list[str] = []
    bad = list(unread)
    tally = Tally()
    with contextlib.closing(Spool(cache_dir())) as spool:
        results = progress(in_order(work, files), "Decoding", len(files))
        for (file, _), result in zip(files, results, strict=True):
            if isinstance(result, UnreadableError):
                bad.append((file.name, str(result)))
                continue
            names.append(file.name)
            spool.add(result.pixels)
            tally.add(result)
        color = tally.color() if settings.color == "auto" else settings.color
        entry = Entry(
            names=tuple(names),
            bad=tuple(sorted(bad)),
            color=color,
            sizes=dict(tally.sizes),
            modes=dict(tally.modes),
            facts=dict(tally.facts),
            shape=(len(names), CHANNELS[color], height, width),
        )
        return stored(key, spool, entry)


def _decode_file(item: tuple[File, str], height: int, width: int, fit: str) -> Decoded | UnreadableError:
    file, digest = item
    try:
        data = file.read()
    except UnreadableError as error:
        raise UserError(f"data: {file.name} could be read once, and then not: {error}; start again") from None
    # what is cached under a hash must be that content
    if hashlib.sha256(data).hexdigest() != digest:
        raise UserError(f"data: {file.name} changed while it was being read; start again when it is complete")
    try:
        return decode(data, height, width, fit)
    except UnreadableError as error:
        return error
