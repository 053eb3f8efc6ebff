"""Numbers of words: 0 is no word, 1 one that training did not show, 2 the first of the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sparring.data.source import About

UNKNOWN, FIRST = 1, 2
STRANGE = "\N{REPLACEMENT CHARACTER}"
"""What an unknown word is written as."""


def numbered(texts: Iterable[Sequence[str]], vocabulary: Sequence[str], length: int) -> Tensor:
    """Of n texts, each its words: (n, length) int64, cut where they are longer, 0 behind them."""
    number = {word: index + FIRST for index, word in enumerate(vocabulary)}
    rows = []
    for text in texts:
        row = [number.get(word, UNKNOWN) for word in text[:length]]
        rows.append(row + [0] * (length - len(row)))
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, length)


def written(rows: Tensor, about: About, instead: Sequence[str] = ()) -> list[str]:
    """(n, L) int64 -> n texts as a person writes them; unknown words are those of `instead`, place by place."""
    between = "" if about.characters else " "
    words = ["", STRANGE, *about.vocabulary]
    found = []
    for row in rows.tolist():
        strange = [*instead[: len(row)], *[STRANGE] * (len(row) - len(instead))]
        found.append(between.join(strange[k] if i == UNKNOWN else words[i] for k, i in enumerate(row) if i))
    return found
