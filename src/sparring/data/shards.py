"""Sets larger than memory or disk: tar shards as webdataset names their members, read by offset, never unpacked.

A sample is the members that share a name up to its first dot: one picture, and `cls`, the number of its class, where
there are classes. An index tells where each begins, so that any sample can be read by its number: order, parts of
processes and resuming are those of every other source. Members are checked against their checksum as they are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tarfile
import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from sparring.config import UserError, check_contact, from_json, read_json, to_json
from sparring.data.ahead import in_order, progress
from sparring.data.cache import cache_dir
from sparring.data.decode import UnreadableError, decode
from sparring.data.labels import is_picture
from sparring.data.members import MAX_FILE, hidden
from sparring.data.pictures import DEFAULT_SIZE
from sparring.data.settings import Data
from sparring.data.source import About, Source, carve, class_prior
from sparring.data.stores import ShardError, Store, Wanted, checked
from sparring.data.tensors import CHANNELS, Color, height_and_width, recolored
from sparring.files import replacing

INDEX = "index.safetensors"
MOST_CLASSES = 100_000
MOST_SHARDS = 1_000_000
CONTAINERS = ("abfs", "abfss")
"""Addresses in which what stands before the host is no user, but a container."""
LOOKERS = 16
"""Threads that ask how shards elsewhere are."""
LOOKED = 64
"""Samples that tell whether shards made elsewhere are gray or coloured."""
_FORMAT = 1
_NUMBERS = ("offset", "size", "crc32", "label")


@dataclass(frozen=True)
class Shard:
    """One tar."""

    name: str
    size: int
    sha256: str
    samples: int
    split: str = "train"

    @property
    def wanted(self) -> Wanted:
        """As a store reads it."""
        return Wanted(self.name, self.size, self.sha256)


@dataclass(frozen=True)
class Facts:
    """What an index says beside its numbers."""

    shards: tuple[Shard, ...]
    classes: tuple[str, ...] = ()
    color: str = "auto"
    """What all of them need; auto where nobody has looked."""
    format: int = _FORMAT


@dataclass(frozen=True, eq=False)
class Index:
    """Where every sample lies, in the order of the shards: N numbers each, about 28 bytes a sample in all."""

    facts: Facts
    offset: Tensor
    """(N,) int64 first byte of the picture within its shard."""
    size: Tensor
    """(N,) int32 its bytes."""
    crc32: Tensor
    """(N,) int64 of these bytes."""
    label: Tensor
    """(N,) int64; -1 where there is none."""
    files: Tensor = field(init=False)
    """(N,) int32 number of the shard."""

    def __post_init__(self) -> None:
        counts = torch.tensor([shard.samples for shard in self.facts.shards])
        numbers = torch.repeat_interleave(torch.arange(len(counts), dtype=torch.int32), counts)
        object.__setattr__(self, "files", numbers)

    def rows(self, split: str) -> Tensor:
        """(n,) numbers of the samples of a split."""
        within = torch.tensor([shard.split == split for shard in self.facts.shards])
        return within[self.files.long()].nonzero().squeeze(1)


# -- the index -------------------------------------------------------------------------------------------


def written(index: Index) -> bytes:
    """The index as a file."""
    tensors = {name: getattr(index, name).contiguous() for name in _NUMBERS}
    return serialise(tensors, {"sparring": json.dumps(to_json(index.facts))})


def parsed(path: Path, where: str) -> Index:
    """What `written` wrote. `UserError` for anything else."""
    try:
        with safe_open(path, "pt") as file:
            facts = from_json(Facts, json.loads((file.metadata() or {})["sparring"]), "index")
            numbers = [file.get_tensor(name).clone() for name in _NUMBERS]  # else they are the file's own pages
        if facts.format != _FORMAT:
            raise ValueError(f"format {facts.format}, and this version reads {_FORMAT}")
        counts = [shard.samples for shard in facts.shards]
        if min(counts, default=-1) < 0 or {len(column) for column in numbers} != {sum(counts)}:
            raise ValueError("its numbers differ in length")
        if any(PurePosixPath(shard.name).name != shard.name for shard in facts.shards):
            raise ValueError("a shard's name points elsewhere")
        offset, size, _, label = numbers
        if bool((offset < 0).any() | (size < 1).any() | (size > MAX_FILE).any()):
            raise ValueError("sizes that no picture has")
        if facts.classes and bool((label < 0).any() | (label >= len(facts.classes)).any()):
            raise ValueError("labels without a class")
        return Index(facts, *numbers)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError, UserError) as error:
        raise UserError(f"data: {where} is not a sound index ({error}); copy or make it again") from None


def indexed(path: Path, where: str) -> tuple[list[tuple[int, int, int, int]], str]:
    """(offset, size, crc32, label) of every sample of one tar, read from beginning to end, and the tar's sha256."""
    found: dict[str, list[int]] = {}
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(-min(1024, path.stat().st_size), 2)
            if file.read().strip(b"\0"):
                raise ShardError(f"data: {where} ends too early, or is compressed; copy it again, or unpack it")
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else every header is kept
                _add(found, tar, member, where)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise ShardError(f"data: {where} is not a sound tar ({error}); fetch it again") from None
    samples = [(offset, size, crc, label) for offset, size, crc, label in found.values() if size]
    return samples, sha256


def _add(found: dict[str, list[int]], tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> None:
    """One member to its sample's [offset, size, crc32, label]."""
    if member.isdir() or hidden(member.name):
        return
    if not member.isreg() or member.issparse():
        raise ShardError(f"data: {where} holds {member.name!r}, which is no plain file; make it again without links")
    folder, _, name = member.name.rpartition("/")
    stem, _, ending = name.partition(".")
    label, picture = ending == "cls", is_picture(name)
    if not (label or picture) or stem.startswith("__"):
        return
    if member.size > (64 if label else MAX_FILE) or member.size == 0:
        raise ShardError(f"data: {where} holds {member.name!r} of {member.size} bytes; make it again without it")
    stream = tar.extractfile(member)
    assert stream is not None
    data = stream.read()
    sample = found.setdefault(f"{folder}/{stem}", [0, 0, 0, -1])
    if label:
        text = data.strip()
        if not text.isdigit() or int(text) >= MOST_CLASSES:
            raise ShardError(f"data: {where}: {member.name!r} holds {text!r}, not the number of a class; mend it")
        sample[3] = int(text)
        return
    if sample[1]:
        raise ShardError(
            f"data: {where} holds two pictures of the sample {stem!r}, the second {member.name!r}; make it again "
            "so that only one is called so up to its first dot"
        )
    sample[:3] = member.offset_data, member.size, zlib.crc32(data)


def index_of(
    shards: Iterable[tuple[str, Path, str]], total: int, facts: Facts | None = None, title: str = "Indexing"
) -> Index:
    """The index of (name, path, split) of tars, each read once. Without `facts`, classes have numbers for names."""
    found, rows = [], list[Tensor]()
    for name, path, split in progress(shards, title, total):
        samples, sha256 = indexed(path, name)
        found.append(Shard(name, path.stat().st_size, sha256, len(samples), split))
        rows.append(torch.tensor(samples, dtype=torch.int64).reshape(-1, 4))
    offset, size, crc32, label = torch.cat(rows).unbind(1)
    if facts is None:
        labelled = bool((label >= 0).all()) and len(label) > 0
        facts = Facts((), tuple(str(number) for number in range(int(label.max()) + 1)) if labelled else ())
    return Index(replace(facts, shards=tuple(found)), offset.clone(), size.int(), crc32.clone(), label.clone())


# -- the source ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ShardSource:
    """Samples of tars by number, decoded when they are asked for. Any number of threads may read."""

    about: About
    index: Index
    rows: Tensor
    """(n,) the index's numbers of these samples."""
    store: Store
    fit: str
    color: Color

    @property
    def files(self) -> Tensor:
        """(n,) number of the shard of each."""
        return self.index.files[self.rows]

    @property
    def labels(self) -> Tensor | None:
        """(n,) int64."""
        return self.index.label[self.rows] if self.about.classes else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        rows = self.rows[index]
        images = torch.empty((len(rows), *self.about.shape), dtype=torch.uint8)
        for place in rows.argsort(stable=True).tolist():  # shard after shard, and forwards within each
            images[place] = recolored(self._decoded(int(rows[place])), self.color)[0]
        return {"image": images} | ({"label": self.index.label[rows]} if self.about.classes else {})

    def _decoded(self, row: int) -> Tensor:
        data = read_sample(self.index, self.store, row)
        try:
            pixels = decode(data, self.about.shape[1], self.about.shape[2], self.fit).pixels
        except UnreadableError as error:
            raise ShardError(
                f"data: {place_of(self.index, self.store, row)}: {error}; make the shards again with sparring data "
                "shard, which leaves out what cannot be decoded"
            ) from None
        return torch.from_numpy(pixels)[None]


def place_of(index: Index, store: Store, row: int) -> str:
    """Where a sample lies, for messages."""
    shard = index.facts.shards[int(index.files[row])]
    return f"sample {row} ({store.where(shard.name)}, byte {int(index.offset[row])})"


def read_sample(index: Index, store: Store, row: int) -> bytes:
    """A picture's bytes after their checksum. Raises `ShardError`; a damaged copy from elsewhere is fetched again."""
    wanted = index.facts.shards[int(index.files[row])].wanted
    for _ in range(2):
        data = store.read(wanted, int(index.offset[row]), int(index.size[row]))
        if zlib.crc32(data) == int(index.crc32[row]):
            return data
        if not store.forget(wanted):
            break
    raise ShardError(
        f"data: {place_of(index, store, row)} is damaged: its checksum is not the index's; copy the shard again, then "
        "resume"
    )


# -- opening ---------------------------------------------------------------------------------------------


def is_shards(data: str) -> bool:
    """Whether `--data` names shards: an address, tars, or a folder with an index or tars."""
    if "://" in data or data.lower().endswith(".tar"):
        return True
    path = Path(data).expanduser()
    if not path.is_dir() or (path / INDEX).is_file():
        return path.is_dir()
    tars = next(path.glob("*.tar"), None) is not None
    return tars and not any(is_picture(file.name) for file in path.rglob("*"))  # else a tar beside one's pictures


def open_shards(settings: Data) -> dict[str, Source]:
    """`train` and `test`: `image` uint8 (n, C, H, W), and `label` where there are classes.

    Shards made by `sparring data shard` have their splits; of others the last ones are held out, `settings.test` of
    them. Raises `UserError` for what cannot be used.
    """
    # Pillow warns of odd metadata; the filter is the process's, and to set it within threads would not be safe
    warnings.filterwarnings("ignore", module="PIL")
    _check(settings)
    store, index = _found(settings)
    if not len(index.offset):
        raise UserError(f"data={settings.data} holds no pictures")
    height, width = height_and_width(settings.size or DEFAULT_SIZE)
    color = _color(index, store, settings)
    about = About(settings.data, "image", (CHANNELS[color], height, width), index.facts.classes)
    notes = (f"{len(index.offset)} pictures in {len(index.facts.shards)} shards at {store.base}",)
    train = _source(replace(about, notes=notes), index, index.rows("train"), store, settings.fit, color)
    rows = index.rows("test")
    if not len(rows):
        stay, aside = carve(train, settings.test)
        return {"train": stay, "test": aside}
    return {"train": train, "test": _source(about, index, rows, store, settings.fit, color)}


def _check(settings: Data) -> None:
    if settings.labels is not None:
        raise UserError(f"labels={settings.labels}: shards hold their labels; give it to sparring data shard instead")
    if settings.workers is not None and not 0 <= settings.workers <= 64:
        raise UserError(f"workers={settings.workers} is not a number of threads from 0 to 64; leave it out for 2")
    if not settings.shard_cache > 0:
        raise UserError(f"shard_cache={settings.shard_cache} must be above 0; it is in GB")


def _source(about: About, index: Index, rows: Tensor, store: Store, fit: str, color: Color) -> ShardSource:
    """One split, under a hash of its content and of how it is read."""
    digest = hashlib.sha256(repr((about.shape, about.classes, fit, color)).encode())
    for column in (index.crc32[rows], index.size[rows], index.label[rows]):
        digest.update(column.numpy().tobytes())
    digest.update("".join(shard.sha256 for shard in index.facts.shards).encode())
    prior = class_prior(index.label[rows], len(about.classes)) if about.classes else ()
    return ShardSource(replace(about, sha256=digest.hexdigest(), prior=prior), index, rows, store, fit, color)


def _color(index: Index, store: Store, settings: Data) -> Color:
    """As asked, as the index knows, or as the first samples need."""
    if settings.color != "auto":
        return settings.color
    for name in CHANNELS:
        if name == index.facts.color:
            return name  # type: ignore[return-value]
    some = range(min(LOOKED, len(index.offset)))
    try:
        seen = {decode(read_sample(index, store, row), 8, 8, "stretch").color for row in some}
    except UnreadableError as error:
        raise ShardError(f"data={settings.data}: one of the first {LOOKED} pictures: {error}; make it again") from None
    return max(seen, key=lambda name: CHANNELS[name])


def _found(settings: Data) -> tuple[Store, Index]:
    """The store and its index, which is made where there is none."""
    text, most = settings.data, int(settings.shard_cache * 1e9)
    if "://" in text:
        check_contact(text)
        parts = checked(text)
        if "@" in parts.netloc and parts.scheme not in CONTAINERS:
            raise UserError("data: an address with a user or password in it would be written down; use one without")
        named = parts.path.lower().endswith(".tar")
        base, _, last = text.rpartition("/") if named else (text.rstrip("/"), "", "")
    else:
        path = Path(text).expanduser().absolute()
        named = not path.is_dir()
        base, last = (str(path.parent), path.name) if named else (str(path), "")
    store = Store(base, most)
    if not named and store.away:
        store.forget(Wanted(INDEX))  # another set may lie there by now, which resuming must notice
        return store, parsed(store.local(Wanted(INDEX)), f"{base}/{INDEX}")
    if not named and (Path(base) / INDEX).is_file():
        return store, parsed(Path(base) / INDEX, f"{base}/{INDEX}")
    names = expanded(last) if named else sorted(path.name for path in Path(base).glob("*.tar"))
    return store, _index_made(store, names, settings.test)


def expanded(name: str) -> list[str]:
    """`{00..11}.tar` -> 12 names, with the zeros that the first number has; a name without braces is itself."""
    match = re.fullmatch(r"([^{}]*)\{([0-9]{1,9})\.\.([0-9]{1,9})\}([^{}]*)", name)
    if match is None:
        if set(name) & set("{}"):
            raise UserError(f"data: {name} is not read; braces are for numbers, once: {{000..099}}.tar")
        return [name]
    first, last = int(match[2]), int(match[3])
    if not 0 <= last - first < MOST_SHARDS:
        raise UserError(f"data: {name} names {last - first + 1} shards; from 1 to {MOST_SHARDS} are read")
    return [f"{match[1]}{number:0{len(match[2])}d}{match[4]}" for number in range(first, last + 1)]


def _index_made(store: Store, names: Sequence[str], test: float) -> Index:
    """The index of shards made elsewhere: all are read once, and it is kept in the cache folder."""
    seen: list[Any] = [[store.where(name) for name in names], test, _FORMAT]
    if not store.away:
        seen += [(status.st_size, status.st_mtime_ns) for name in names if (status := store.local(Wanted(name)).stat())]
    path = cache_dir() / "shards" / f"{hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:32]}.index"
    changed = store.away and _forgotten(store, names, path)
    if path.is_file():
        return parsed(path, str(path))
    last = len(names) - min(max(round(len(names) * test), 1), len(names) - 1)
    split = ["train" if number < last else "test" for number in range(len(names))]
    paths = (store.local(Wanted(name)) for name in names)
    title = "The set has changed: indexing again" if changed else "Indexing"
    index = index_of(zip(names, paths, split, strict=True), len(names), title=title)
    try:
        with replacing(path) as file:
            file.write(written(index))
    except OSError:  # only saves time
        pass
    return index


def _forgotten(store: Store, names: Sequence[str], index: Path) -> bool:
    """Whether shards elsewhere are others than when they were indexed; then the index and the copies of these go.

    What their store says of them lies beside the index. Where it says nothing, or nobody answers, they are as before.
    """
    note = index.with_suffix(".versions")
    versions = dict(zip(names, in_order(store.version, names, LOOKERS), strict=True)) if store.version(names[0]) else {}
    try:
        before = dict(read_json(note))
    except (UserError, TypeError, ValueError):  # the first time
        before = {}
    changed = [name for name in names if versions.get(name) and before.get(name, versions[name]) != versions[name]]
    for name in changed:
        store.forget(Wanted(name))
    with contextlib.suppress(OSError):  # the index goes first: with a new note beside it, it would pass for a new one
        if changed:
            index.unlink(missing_ok=True)
        with replacing(note) as file:
            file.write(json.dumps({**before, **versions}).encode())
    return bool(changed)
