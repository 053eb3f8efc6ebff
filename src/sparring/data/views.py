"""Two pictures per sample: `image`, which is to be made, and `source`, from which it is made.

The source is a view of the picture itself (its edges, itself inverted, smaller, with a hole), the left half of a
picture whose right half is the image, or a picture of another set: the one that belongs to it, or any.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.config import UserError, did_you_mean
from sparring.data.ciphers import CIPHER, as_long, is_cipher, with_ciphers
from sparring.data.holes import MASKED, free, square, with_hole
from sparring.data.kinds import KINDS
from sparring.data.settings import Data
from sparring.data.source import About, Rows, Source, Splits, files_of, names_of, subset
from sparring.data.tensors import height_and_width, recolored
from sparring.data.vectors import TURNED, Turned, with_turned

View = Callable[[Tensor], Tensor]


def inverted(images: Tensor) -> Tensor:
    """(N, C, H, W) uint8 -> 255 minus it."""
    return 255 - images


def gray(images: Tensor) -> Tensor:
    """(N, C, H, W) uint8 -> (N, 1, H, W), its luma."""
    return recolored(images, "gray")


def edges(images: Tensor) -> Tensor:
    """(N, C, H, W) uint8 -> (N, 1, H, W): how steep it is (Sobel), white on black."""
    flat = gray(images).float() if images.shape[1] > 1 else images.float()
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    both = F.conv2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), torch.stack([across, across.T])[:, None] / 4)
    return both.square().sum(1, keepdim=True).sqrt().round().clamp(0, 255).byte()


def small(images: Tensor, factor: int = 4) -> Tensor:
    """(N, C, H, W) uint8 -> the same size, of what is left at a `factor`-th of it: antialiased bicubic, down and up."""
    size = (images.shape[2] // factor, images.shape[3] // factor)
    if min(size) < 1:
        raise UserError(f"source=small:{factor}: pictures of {images.shape[2]}x{images.shape[3]} are too small for it")
    reduced = F.interpolate(images.float(), size, mode="bicubic", antialias=True).round().clamp(0, 255)
    return F.interpolate(reduced, images.shape[2:], mode="bicubic").round().clamp(0, 255).byte()


def reduced(images: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) uint8 -> (N, C, H / factor, W / factor): antialiased bicubic, as `small`, and left at that size."""
    height, width = images.shape[2:]
    if height % factor or width % factor:
        raise UserError(
            f"source=reduced:{factor}: {height}x{width} is no multiple of {factor}; choose a --size that is"
        )
    size = (height // factor, width // factor)
    return F.interpolate(images.float(), size, mode="bicubic", antialias=True).round().clamp(0, 255).byte()


def masked(images: Tensor, side: int | None = None) -> Tensor:
    """(N, C, H, W) uint8 -> (N, C + 1, H, W): a square hole in the middle, by default half as high and wide."""
    hole = square(images.shape[2], images.shape[3], side)
    return with_hole(images, hole.expand(len(images), -1, -1, -1))


def masked_freely(images: Tensor) -> Tensor:
    """(N, C, H, W) uint8 -> (N, C + 1, H, W): a hole of strokes, another for every picture."""
    return with_hole(images, free(images))


VIEWS: Mapping[str, View] = {
    "inverted": inverted,
    "gray": gray,
    "edges": edges,
    "small:2": partial(small, factor=2),
    "small:4": small,
    "reduced:2": partial(reduced, factor=2),
    "reduced:4": partial(reduced, factor=4),
    MASKED: masked,
    f"{MASKED}:free": masked_freely,
}
"""And `masked:N`, a hole of N x N."""
HALF = "left"
"""The image is the right half of each picture, and its left half is what it is made from."""


def view_named(name: str) -> View | None:
    """The view of that name; None where there is none."""
    kind, _, side = name.partition(":")
    if kind == MASKED and side.isdecimal():
        return partial(masked, side=int(side))
    return VIEWS.get(name)


@dataclass(frozen=True, eq=False)
class Viewed:
    """A source of pictures with a view of each beside it, or its right halves beside its left ones."""

    about: About
    base: Source
    view: View | None

    @property
    def files(self) -> Tensor | None:
        """As `files_of` says."""
        return files_of(self.base)

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        columns = self.base[index]
        images = columns["image"]
        if self.view is not None:
            return {**columns, "source": self.view(images)}
        half = images.shape[3] // 2
        return {**columns, "image": images[..., half:], "source": images[..., :half]}


def pictures_alone(source: Source) -> Source:
    """The same images and labels, without what they are made from: as they were before there was a view."""
    if isinstance(source, Viewed) and source.view is not None:
        return source.base
    if isinstance(source, Rows):
        return subset(pictures_alone(source.source), source.rows)
    return _Changed(source, _without_source) if source.about.source else source


@dataclass(frozen=True, eq=False)
class _Changed:
    """A source whose columns are told otherwise."""

    base: Source
    told: Callable[[dict[str, Tensor]], dict[str, Tensor]]

    @property
    def about(self) -> About:
        return self.base.about

    @property
    def files(self) -> Tensor | None:
        """As `files_of` says."""
        return files_of(self.base)

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return self.told(self.base[index])


def _without_source(columns: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: column for name, column in columns.items() if name != "source"}


def _source_alone(columns: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"image": columns["source"]}


def only_pictures(source: Source, recipe: str) -> None:
    """`UserError` for texts and points that are to be translated by a recipe for pictures."""
    key = source.about.key
    if key != "image":
        other = {"text": "text_translation", "point": "word_translation"}.get(key)
        hint = f"; use the recipe {other}" if other else ""
        raise UserError(f"--data {source.about.name} has {KINDS[key].what}, and {recipe} translates pictures{hint}")


@dataclass(frozen=True, eq=False)
class Together:
    """A source of pictures beside those of another: the one of the same number, or any.

    As long as the longer of the two; those of the shorter come again.
    """

    about: About
    base: Source
    other: Source
    order: Tensor
    """(n,) numbers of the other's pictures."""

    @property
    def files(self) -> Tensor | None:
        """As `files_of` says, of the pictures; those of the other source are read wherever they lie."""
        files = files_of(self.base)
        return None if files is None else files[torch.arange(len(self)) % len(self.base)]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        other = self.other[self.order[index]][self.other.about.key]
        return {**self.base[index % len(self.base)], "source": other}


def unpaired(source: Source, seed: int = 0) -> Source:
    """The same images, each beside the source of another one."""
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    return Together(
        _described(source.about, source.about.source, "unpaired", False), source, _Changed(source, _source_alone), order
    )


def words_of(split: Source) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The vectors of a split's points, and of what lies beside them, by word; empty where the rows have no names."""
    columns, key = split[torch.arange(len(split))], split.about.key
    if isinstance(split, Together):
        rows = torch.arange(len(split)) % len(split.base), split.order
        names = names_of(split.base), names_of(split.other)
    elif isinstance(split, Turned):
        rows, names = (torch.arange(len(split)), split.order), (split.names, split.names)
    else:
        return {}, {}
    found = [
        {names[side][row]: vector for row, vector in zip(rows[side].tolist(), columns[column], strict=True)}
        if names[side]
        else {}
        for side, column in enumerate((key, "source"))
    ]
    return found[0], found[1]


def domains(source: Source, seed: int = 0) -> Source:
    """Pictures or texts of several classes, each beside another one of any class to be translated from."""
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    about = _described(source.about, source.about.shape, "domains", False)
    return Together(replace(about, source_vocabulary=about.vocabulary), source, source, order)


def half_asked(pool: Source) -> Source:
    """What `domains` gives, without every other source, so that real samples are left to judge by; others as they are.

    Else samples would be judged by what they were made from, and those that change nothing be the best.
    """
    return Rows(pool.about, pool, torch.arange(len(pool) // 2)) if asks_itself(pool) else pool


def asks_itself(source: Source) -> bool:
    """Whether its samples are each other's sources, as `domains` gives them."""
    return isinstance(source, Together) and source.base is source.other


def whole_of(half: Source) -> Source | None:
    """The samples of which `half_asked` has taken half for sources; None for other sources."""
    return half.source.base if isinstance(half, Rows) and asks_itself(half.source) else None  # type: ignore[attr-defined]


def others_of(half: Source, held_out: Source) -> Source:
    """Of held-out samples those that are no source of `half_asked`; all of them where that is of other ones."""
    whole = whole_of(half)
    if whole is None or whole.about.sha256 != held_out.about.sha256:
        return held_out
    return subset(held_out, half.source.order[len(half) :].sort().values)  # type: ignore[attr-defined]


def with_sources(settings: Data, opened: Callable[[Data], Splits]) -> Splits:
    """The splits of `settings.data`, each picture beside what `settings.source` says."""
    said = settings.source
    assert said is not None
    if said == HALF:
        height, width = height_and_width(settings.size or 64)
        whole = replace(settings, source=None, size=f"{height}x{2 * width}", fit="stretch")
        return {name: _halved(split) for name, split in opened(whole).items()}
    splits = opened(replace(settings, source=None))
    if splits["train"].about.key == "text":
        return _of_texts(splits, settings, opened)
    if splits["train"].about.key == "point":
        return _of_points(splits, settings, opened)
    splits = {name: _pictures(split) for name, split in splits.items()}
    view = view_named(said)
    if view is not None:
        return {name: _viewed(split, said, view) for name, split in splits.items()}
    others = _others(settings, opened, [*VIEWS, HALF])
    if settings.paired and all(names_of(split) for split in (*splits.values(), *others.values())):
        return _by_names(splits, {name: _pictures(other) for name, other in others.items()})
    return {name: _beside(split, _pictures(others[name]), settings.paired) for name, split in splits.items()}


def _others(settings: Data, opened: Callable[[Data], Splits], views: list[str]) -> Splits:
    """The data that `--source` names."""
    assert settings.source is not None
    try:
        return opened(replace(settings, data=settings.source, source=None, labels=None))
    except UserError as error:
        hint = did_you_mean(settings.source, views)
        raise UserError(
            f"source={settings.source}: neither one of {', '.join(views)} nor data: {error}{hint}"
        ) from None


def _of_texts(splits: Splits, settings: Data, opened: Callable[[Data], Splits]) -> Splits:
    """Texts beside their ciphers, or beside those of another file."""
    said = settings.source or ""
    _refuse_what_pictures_have(settings, splits["train"].about)
    if is_cipher(said):
        return with_ciphers(splits, said)
    # a secret has symbols of its own, which nobody may take for letters
    unit = "symbols" if settings.unit == "letters" else settings.unit
    others = _others(replace(settings, unit=unit), opened, [f"{CIPHER}:substitution", f"{CIPHER}:vigenere:3"])
    if others["train"].about.key != "text":
        raise UserError(f"source={said} has {KINDS[others['train'].about.key].what}, and --data has texts")
    splits, others = as_long(splits, others)
    return {
        name: _with_words(_beside(split, others[name], False), others[name].about.vocabulary)
        for name, split in splits.items()
    }


def _with_words(split: Source, vocabulary: tuple[str, ...]) -> Source:
    assert isinstance(split, Together)
    return replace(split, about=replace(split.about, source_vocabulary=vocabulary))


def _of_points(splits: Splits, settings: Data, opened: Callable[[Data], Splits]) -> Splits:
    """Points beside themselves, turned and in another order, or beside those of another file."""
    said = settings.source or ""
    _refuse_what_pictures_have(settings, splits["train"].about)
    if said.partition(":")[0] == TURNED:
        return with_turned(splits, said)
    others = _others(settings, opened, [TURNED])
    if others["train"].about.key != "point":
        raise UserError(f"source={said} has {KINDS[others['train'].about.key].what}, and --data has points")
    return {name: _beside(split, others[name], False) for name, split in splits.items()}


def _refuse_what_pictures_have(settings: Data, about: About) -> None:
    what, said = KINDS[about.key].what, settings.source or ""
    if settings.paired:
        raise UserError(f"paired: {what} are translated without pairs; leave --paired out")
    if said == HALF or view_named(said) is not None:
        raise UserError(f"source={said} is a view of pictures, and {about.name} has {what}; name other {what}")


def _by_names(splits: Splits, others: Splits) -> Splits:
    """Each picture beside the one of the other set whose file has its name, in whatever split that lies."""
    here, there = _alike(_names(splits), _names(others))
    place = {key: row for row, key in enumerate(there)}
    if not any(key in place for key in here):
        raise UserError(
            f"paired: no file of the one set has the name of one of the other: {here[0]} is not in the second, which "
            f"begins with {there[0]}; leave --paired out for sets without pairs"
        )
    joined, begin, found = Joined(next(iter(others.values())).about, tuple(others.values())), 0, {}
    for name, split in splits.items():
        keys = here[begin : begin + len(split)]
        begin += len(split)
        kept = [row for row, key in enumerate(keys) if key in place]
        if not kept:
            raise UserError(f"paired: none of the {len(split):,} pictures of {name} has a partner of its name")
        base = split if len(kept) == len(split) else subset(split, torch.tensor(kept))
        order = torch.tensor([place[keys[row]] for row in kept])
        key = " ".join([*(other.about.sha256 for other in others.values()), str(order.tolist())])
        about, left = _described(base.about, joined.about.shape, key, True), len(split) - len(kept)
        note = (f"{left} pictures of {name} have no partner of their name and are left out",) if left else ()
        found[name] = Together(replace(about, notes=(*about.notes, *note)), base, joined, order)
    return found


def _names(splits: Splits) -> list[str]:
    return [name for split in splits.values() for name in names_of(split)]


def _alike(*sets: list[str]) -> list[list[str]]:
    """Names without their endings, but for those that would then be another's in either set: a.png beside a.jpg."""
    bare = [[str(PurePosixPath(name).with_suffix("")) for name in names] for names in sets]
    shared = {key for keys in bare for key, count in Counter(keys).items() if count > 1}
    return [
        [name if key in shared else key for name, key in zip(names, keys, strict=True)]
        for names, keys in zip(sets, bare, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Joined:
    """Several sources, one behind the other."""

    about: About
    parts: tuple[Source, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        made, places, begin = list[dict[str, Tensor]](), list[Tensor](), 0
        for part in self.parts:
            mine = ((index >= begin) & (index < begin + len(part))).nonzero().squeeze(1)
            if len(mine):
                made.append(part[index[mine] - begin])
                places.append(mine)
            begin += len(part)
        order = torch.cat(places).argsort()
        return {name: torch.cat([columns[name] for columns in made])[order] for name in made[0]}


def _pictures(split: Source) -> Source:
    if split.about.key != "image":
        raise UserError(f"source: {split.about.name} has {split.about.what}, and only pictures are made from pictures")
    return split


def _viewed(split: Source, name: str, view: View) -> Source:
    shape = tuple(view(split[torch.arange(1)]["image"]).shape[1:])
    about = replace(_described(split.about, shape, name, True), masked=name.partition(":")[0] == MASKED)
    return Viewed(about, split, view)


def _halved(split: Source) -> Source:
    channels, height, width = _pictures(split).about.shape
    shape = (channels, height, width // 2)
    return Viewed(replace(_described(split.about, shape, HALF, True), shape=shape), split, None)


def _beside(split: Source, other: Source, paired: bool) -> Source:
    if paired and len(split) != len(other):
        raise UserError(
            f"paired: {split.about.name} has {len(split):,} pictures and {other.about.name} has {len(other):,}; "
            "pairs need one for one, in the order of their file names; leave --paired out for sets without pairs"
        )
    order = torch.arange(len(split))
    if not paired:
        mixed = torch.randperm(len(other), generator=torch.Generator().manual_seed(0))
        most = max(len(split), len(other))
        order = mixed.repeat(-(-most // len(other)))[:most]
    key = f"{other.about.sha256} {paired}"
    return Together(_described(split.about, other.about.shape, key, paired), split, other, order)


def _described(about: About, shape: tuple[int, ...], what: str, paired: bool) -> About:
    # data without a hash could be any other, with a view too
    sha256 = hashlib.sha256(f"{about.sha256} {what}".encode()).hexdigest() if about.sha256 else ""
    return replace(about, source=tuple(shape), paired=paired, sha256=sha256)
