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


def written(rows: Tensor, about: About) -> list[str]:
    """(n, L) int64 -> n texts as a person writes them."""
    between = "" if about.characters else " "
    words = ["", STRANGE, *about.vocabulary]
    return [between.join(words[i] for i in row if i) for row in rows.tolist()]
