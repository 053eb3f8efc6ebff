"""Texts from files: a line is a text, of words or of characters; or running text, cut into windows of letters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.members import path_problem
from sparring.data.settings import Data
from sparring.data.source import About, Source, carve, tensor_source
from sparring.data.words import FIRST, numbered

LARGEST = 2**26
"""Bytes of all files together."""
MOST = 2**29
"""Words of all texts, each as long as the longest."""
LONGEST = {"words": 40, "characters": 64}
WINDOW = 48
RUNNING = ("letters", "symbols")
"""Units of text without lines."""
LETTERS = "abcdefghijklmnopqrstuvwxyz "
SPLITS = ("train", "test")
SPACED = 0.2
"""Share of lines with a space in them from which on a file is taken to be of words."""


def open_texts(path: Path, settings: Data) -> dict[str, Source]:
    """`train` and `test`: text int64 (N, L) as `data.words` has them; label int64 where there are several files.

    `path` is a .txt file, or a folder of them: then the name of each file is the class of its lines. Empty lines and
    lines that are longer than `settings.length` are left out; words beyond the `settings.vocabulary` most frequent ones
    are unknown. `UserError` for what cannot be read.
    """
    _refuse_settings_of_pictures(settings)
    files = _files(path)
    texts = [read_text(file) for file in files.values()]
    unit = _unit(texts, settings)
    length, characters = _length(unit, settings), unit != "words"
    said = [_lines(text, unit, length) for text in texts]
    kept = [[line for line in lines if len(line) <= length] for lines in said]
    left = sum(map(len, said)) - sum(map(len, kept))
    _check_some(path, list(files.values()), said, kept, unit, length)
    every = [line for lines in kept for line in lines]
    longest = max(map(len, every))
    if len(every) * longest > MOST:
        raise UserError(f"data={path}: {len(every):,} texts as long as the longest, {longest}, are too many; --length")
    names = tuple(files) if len(files) > 1 else ()
    label = torch.repeat_interleave(torch.arange(len(kept)), torch.tensor([len(lines) for lines in kept]))
    rows = tensor_source(About("rows", "row", ()), {"row": torch.arange(len(every))})
    splits = {name: part.columns["row"] for name, part in zip(SPLITS, carve(rows, settings.test), strict=True)}  # type: ignore[attr-defined]
    counts = Counter(word for row in splits["train"].tolist() for word in every[row])
    vocabulary = sorted(word for word, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0]))[: settings.vocabulary])
    found = {name: numbered((every[i] for i in row.tolist()), vocabulary, longest) for name, row in splits.items()}
    about = About(
        path.stem, "text", (longest,), names, vocabulary=tuple(vocabulary), characters=characters,
        whole=all(bool((text >= FIRST).all()) for text in found.values()),
        notes=_notes(left, length, unit, len(counts) - len(vocabulary)),
    )  # fmt: skip
    labels = {name: {"label": label[row]} if names else {} for name, row in splits.items()}
    return {name: tensor_source(about, {"text": text, **labels[name]}) for name, text in found.items()}


def _check_some(
    path: Path, files: Sequence[Path], said: Sequence[Sequence[object]], kept: Sequence[Sequence[object]], unit: str,
    length: int,
) -> None:  # fmt: skip
    """`UserError` where fewer than two texts are left, or none of a file, which is then a class without texts."""
    few = f"are longer than {length} {unit}; use a larger --length"
    if sum(map(len, kept)) < 2 and unit in RUNNING:
        raise UserError(f"data={path} has no two windows of {length} {unit}; use a smaller --length, or a longer text")
    if sum(map(len, kept)) < 2:
        every = sum(map(len, said))
        told = (
            f"of its {every:,} texts all but {sum(map(len, kept))} {few}" if every > 1 else "it has fewer than 2 texts"
        )
        raise UserError(f"data={path}: {told}")
    for file, lines, short in zip(files, said, kept, strict=True):
        if not short:
            told = f"all of its {len(lines):,} texts {few}" if lines else "it has no texts"
            raise UserError(f"data={file}: {told}, or take it out of the folder")


def _files(path: Path) -> dict[str, Path]:
    """By name without ending: the file itself, or the text files of a folder, hidden ones left out."""
    if path.suffix.lower() == ".zip":
        raise UserError(f"data={path}: texts are read from files and folders; unpack it")
    if not path.is_dir():
        return {path.stem: path}
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".txt" and not p.name.startswith("."))
    for file in found:
        if problem := path_problem(file, path.resolve()):
            raise UserError(f"data={file}: {problem}")
    total = sum(file.stat().st_size for file in found)
    if total > LARGEST:
        raise UserError(f"data={path} has {total:,} bytes of text; at most {LARGEST:,} are read")
    return {file.relative_to(path).with_suffix("").as_posix(): file for file in found}


def parts_of(text: str, about: About, unit: str) -> list[list[str]]:
    """A text to be translated: the words of its lines, or windows of which the last may be shorter.

    `about` is that of the training data. `unit` is the one they were read by: `auto` is words or characters, as they
    were; a secret of letters is read as it stands.
    """
    unit = {"auto": "characters" if about.characters else "words", "letters": "symbols"}.get(unit, unit)
    return _lines(text, unit, about.source[0], rest=True)


def encoded(text: str, about: About, unit: str) -> list[Tensor]:
    """The same as rows of (1, L), numbers of the words of the sources that `about` has; an empty line is a 0."""
    return [numbered([line], about.source_vocabulary, max(1, len(line))) for line in parts_of(text, about, unit)]


def each_made(rows: Sequence[Tensor], made: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Of (1, L) texts of any lengths what `made` makes of (n, L) ones: those of a length together."""
    found = list(rows)
    for length in {row.shape[1] for row in rows}:
        places = [place for place, row in enumerate(rows) if row.shape[1] == length]
        together = made(torch.cat([rows[place] for place in places]))
        for place, row in zip(places, torch.split(together, 1), strict=True):
            found[place] = row
    return found


def _refuse_settings_of_pictures(settings: Data) -> None:
    for name in ("size", "labels", "captions"):
        if getattr(settings, name) is not None:
            raise UserError(f"{name}={getattr(settings, name)}: texts have no {name}; leave it out")
    if settings.length is not None and settings.length < 2:
        raise UserError(f"length={settings.length} must be at least 2")
    if settings.vocabulary < 2:
        raise UserError(f"vocabulary={settings.vocabulary} must be at least 2")


def read_text(file: Path) -> str:
    """What a file of text holds. `UserError` for one that is too large, no UTF-8, or cannot be read."""
    try:
        if not file.is_file() or file.stat().st_size > LARGEST:
            raise UserError(f"data={file} is no regular file of at most {LARGEST:,} bytes")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"data={file} is not UTF-8 text: {error}; convert it, e.g. with iconv") from None
    except OSError as error:
        raise UserError(f"data={file} cannot be read: {error}") from None


def _unit(texts: Sequence[str], settings: Data) -> str:
    if settings.unit != "auto":
        return settings.unit
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    return "words" if sum(" " in line for line in lines) >= SPACED * max(1, len(lines)) else "characters"


def _length(unit: str, settings: Data) -> int:
    return settings.length or (WINDOW if unit in RUNNING else LONGEST[unit])


def _lines(text: str, unit: str, length: int, rest: bool = False) -> list[list[str]]:
    """What is one text each, as a list of its words; with `rest`, also empty lines, and the last window, not full."""
    if unit in RUNNING:
        letters = re.sub("[^a-z]+", " ", text.lower()).strip() if unit == "letters" else re.sub("[\r\n]", "", text)
        end = len(letters) if rest else len(letters) - length + 1
        return [list(letters[i : i + length]) for i in range(0, end, length)]
    lines = [line.split() if unit == "words" else list(line.strip()) for line in text.splitlines()]
    return [line for line in lines if line or rest]


def _notes(left: int, longest: int, unit: str, unknown: int) -> tuple[str, ...]:
    found = [f"{left:,} lines longer than {longest} {unit} are left out"] if left else []
    return (*found, *([f"{unknown:,} rarer {unit} are read as unknown"] if unknown else []))
