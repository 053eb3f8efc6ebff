"""A sentence beside every picture: the column `caption`, numbers of the words in it."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from sparring.config import UserError, did_you_mean
from sparring.data import shapes
from sparring.data.few import labels_of
from sparring.data.labels import is_picture, parsed
from sparring.data.settings import Data
from sparring.data.source import About, Source, Splits, files_of, names_of, subset
from sparring.data.words import numbered

MOST_WORDS = 32
"""Of a sentence; later ones are not read."""
_WORD = re.compile(r"[^\W_]+")


def words(sentence: str) -> list[str]:
    """What a sentence is read as: its runs of letters and digits, in small letters."""
    return _WORD.findall(sentence.lower())


def tokens(sentences: Iterable[str], about: About, strict: bool = False) -> Tensor:
    """Of n sentences (n, L) int64: 0 is no word, 1 one that training did not show, 2 the first of the vocabulary.

    `strict`: such a word is a `UserError` that names it.
    """
    sentences = list(sentences)
    said = {sentence: words(sentence) for sentence in sentences}
    for sentence, read in said.items() if strict else ():
        if not read:
            raise UserError(f"caption='{sentence}' has no words")
        if unknown := [word for word in read[: about.caption] if word not in about.vocabulary]:
            hint = did_you_mean(unknown[0], list(about.vocabulary))
            raise UserError(f"caption='{sentence}': training never showed the word '{unknown[0]}'{hint}")
    return numbered((said[sentence] for sentence in sentences), about.vocabulary, about.caption)


@dataclass(frozen=True, eq=False)
class Captioned:
    """A source with the column `caption`."""

    about: About
    base: Source
    caption: Tensor
    """(n, L) as `tokens` gives."""

    @property
    def files(self) -> Tensor | None:
        """As `files_of` says."""
        return files_of(self.base)

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return {**self.base[index], "caption": self.caption[index]}


def with_captions(splits: Splits, settings: Data) -> Splits:
    """The splits with what `settings.captions` says of each picture; those of which it says nothing are left out.

    The vocabulary is that of the training split, as it is trained on.
    """
    said = {name: _sentences(split, settings) for name, split in splits.items()}
    kept = {name: [i for i, text in enumerate(texts) if words(text)] for name, texts in said.items()}
    for name, rows in kept.items():
        if not rows:
            raise UserError(f"captions={settings.captions} says nothing of the {len(splits[name])} pictures of {name}")
    texts = {name: [said[name][row] for row in rows] for name, rows in kept.items()}
    counts = Counter(word for text in texts["train"] for word in words(text))
    length = min(MOST_WORDS, max(len(words(text)) for text in texts["train"]))
    found = {}
    for name, split in splits.items():
        rows = kept[name]
        base = split if len(rows) == len(split) else subset(split, torch.tensor(rows))
        about = replace(base.about, vocabulary=tuple(sorted(counts)), caption=length)
        column = tokens(texts[name], about)
        content = " ".join([about.sha256, "captions", *about.vocabulary]).encode() + column.numpy().tobytes()
        sha256 = hashlib.sha256(content).hexdigest()
        left = len(split) - len(rows)
        note = (f"{left} pictures of {name} have no caption and are left out",) if left else ()
        about = replace(about, sha256=sha256 if about.sha256 else "", notes=(*about.notes, *note))
        found[name] = Captioned(about, base, column)
    return found


def _sentences(split: Source, settings: Data) -> list[str]:
    """One for each sample; empty where there is none."""
    said, about = settings.captions, split.about
    assert said is not None
    if said == "own":
        columns = split[torch.arange(1)]
        if "factors" not in columns:
            raise UserError(f"captions=own: {about.name} has no sentences of its own; only shapes has")
        return shapes.captions(split[torch.arange(len(split))]["factors"])
    if said == "classes":
        if not about.classes:
            raise UserError(f"captions=classes: {about.name} has no classes")
        return [about.classes[label] for label in labels_of(split).tolist()]
    names = names_of(split)
    if not names:
        raise UserError(f"captions={said}: {about.name} has no files; use own for shapes, or classes")
    if said == "names":
        return [PurePosixPath(name).stem for name in names]
    return _matched(_read(said), names, said)


def _read(path: str) -> Mapping[str, str]:
    """File name -> sentence of a CSV, TSV or JSON file; further columns of a table are not read."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"captions={path}: neither names, classes, own nor a file that can be read: {error}") from None
    if path.lower().endswith(".json"):
        return parsed(text, path, "captions")
    tabs = "\t" in text.partition("\n")[0]
    try:
        form: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {}
        rows = [row for row in csv.reader(io.StringIO(text), **form) if row]
    except csv.Error as error:
        raise UserError(f"captions={path} is not a valid table: {error}") from None
    header = bool(rows) and not is_picture(rows[0][0].strip())
    rows = rows[1:] if header else rows
    if any(len(row) < 2 for row in rows):
        raise UserError(f"captions={path}: each line needs a file's name and, after a comma or tab, a sentence")
    if not header and not tabs:  # no header names further columns, so that all after the name is the sentence
        rows = [[row[0], ",".join(row[1:])] for row in rows]
    said: dict[str, str] = {}
    for name, sentence in ((row[0].strip().replace("\\", "/").removeprefix("./"), row[1].strip()) for row in rows):
        if said.setdefault(name, sentence) != sentence:
            raise UserError(f"captions={path}: {name} has two sentences, '{said[name]}' and '{sentence}'; keep one")
    return said


def _matched(given: Mapping[str, str], names: Sequence[str], where: str) -> list[str]:
    """By the whole name, or by the bare one."""
    found = [given.get(name, given.get(PurePosixPath(name).name, "")) for name in names]
    if not any(found):
        raise UserError(
            f"captions={where} names none of the pictures: it begins with {next(iter(given), 'nothing')}, the pictures "
            f"with {names[0]}"
        )
    return found
