"""Translation without a parallel text: one half of a set as it is, beside the other half, enciphered.

No sentence is ever seen in both forms. `cipher:substitution` writes every symbol as another one; `cipher:vigenere:3`
shifts the symbol at place i by the (i mod 3)-th number of a key. A further number, `cipher:substitution:7`, chooses
another key. Held-out texts lie beside their own secrets, so that what is made of these can be counted right or wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from sparring.config import UserError
from sparring.data.source import About, Source, Splits, subset, tensor_source
from sparring.data.words import FIRST
from sparring.seeds import mix

CIPHER = "cipher"
KINDS_OF = f"{CIPHER}:substitution or {CIPHER}:vigenere:3"


def is_cipher(said: str) -> bool:
    """Whether `--source` names one."""
    return said.partition(":")[0] == CIPHER


def key_of(said: str, symbols: int) -> Tensor:
    """(period, symbols) int64: at a place whose number is p modulo the period, symbol s is written as key[p, s]."""
    kind, *numbers = said.split(":")[1:] or [""]
    most = 1 if kind == "substitution" else 2
    if kind not in ("substitution", "vigenere") or len(numbers) > most or not all(n.isdecimal() for n in numbers):
        raise UserError(f"source={said} is no cipher; use {KINDS_OF}, and one more number for another key")
    if kind == "substitution":
        random = torch.Generator().manual_seed(mix(1, int(numbers[0]) if numbers else 0))
        return torch.randperm(symbols, generator=random)[None]
    period = int(numbers[0]) if numbers else 3
    if not 1 <= period < symbols:
        raise UserError(f"source={said}: a key of {period} for {symbols} symbols; use 1 to {symbols - 1}")
    random = torch.Generator().manual_seed(mix(2, int(numbers[1]) if len(numbers) > 1 else 0))
    shifts = 1 + torch.randperm(symbols - 1, generator=random)[:period]
    return (torch.arange(symbols) + shifts[:, None]) % symbols


def enciphered(texts: Tensor, key: Tensor) -> Tensor:
    """(N, L) numbers of words -> the same shape; what is no word, or an unknown one, stays what it is."""
    phase = torch.arange(texts.shape[1]) % len(key)
    secret = key[phase, (texts - FIRST).clamp(min=0)] + FIRST
    return torch.where(texts < FIRST, texts, secret)


@dataclass(frozen=True, eq=False)
class Enciphered:
    """Texts, each beside what is written in secret: itself, or a text of the other half."""

    about: About
    plain: Source
    secret: Source
    key: Tensor

    def __len__(self) -> int:
        return len(self.plain)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return {**self.plain[index], "source": enciphered(self.secret[index]["text"], self.key)}


def with_ciphers(splits: Splits, said: str) -> Splits:
    """Texts beside secrets: two halves in training, pairs where they are held out."""
    found = {}
    for name, split in splits.items():
        about = split.about
        key = key_of(said, len(about.vocabulary))
        if about.shape[0] % len(key):
            raise UserError(
                f"source={said}: texts of {about.shape[0]} symbols, and the key has {len(key)}: the second text would "
                f"begin within the key; use --length {about.shape[0] // len(key) * len(key)}"
            )
        sha256 = hashlib.sha256(f"{about.sha256} {said}".encode()).hexdigest() if about.sha256 else ""
        whole = name != "train"
        about = replace(
            about, source=about.shape, source_vocabulary=about.vocabulary, paired=whole, sha256=sha256
        )  # fmt: skip
        half = len(split) // 2
        parts = (
            (split, split) if whole else (subset(split, torch.arange(half)), subset(split, half + torch.arange(half)))
        )
        found[name] = Enciphered(about, *parts, key)
    return found


def as_long(splits: Splits, others: Splits) -> tuple[Splits, Splits]:
    """Two sets of texts, the shorter ones filled up with no words."""
    longest = max(split.about.shape[0] for split in (*splits.values(), *others.values()))
    first, second = ({name: _filled(split, longest) for name, split in each.items()} for each in (splits, others))
    return first, second


def _filled(split: Source, length: int) -> Source:
    if split.about.shape[0] == length:
        return split
    columns = split[torch.arange(len(split))]
    columns["text"] = pad(columns["text"], (0, length - split.about.shape[0]))
    return tensor_source(replace(split.about, shape=(length,)), columns)
