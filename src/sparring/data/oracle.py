"""Texts whose true probability is known: an LSTM of fixed weights, and trigrams of letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.settings import Data
from sparring.data.source import About, Source, tensor_source
from sparring.data.words import FIRST

SAMPLES = 10_000
"""Texts of each split, as SeqGAN has them."""
LENGTH, LONGEST = 20, 1000
SEED = 0
_GATES = ("i", "f", "og", "c")
_NEEDED = {"embedding", "Wo", "bo", *(f"{kind}{gate}" for gate in _GATES for kind in "WUb")}


class Oracle(Protocol):
    """A distribution of texts that is known."""

    def draw(self, n: int, length: int, seed: int) -> Tensor:
        """(n, length) int64 texts, a function of the arguments alone."""
        ...

    def nll(self, text: Tensor) -> Tensor:
        """(N, L) texts -> (N,) nats per word."""
        ...


@dataclass(frozen=True, eq=False)
class Recurrent:
    """An LSTM of fixed random weights over V words: SeqGAN's oracle. Yu et al. 2017, section 5."""

    weights: Mapping[str, Tensor]
    """embedding (V, d); W, U (d, d) and b (d,) of the gates i, f, og and of the candidate c; Wo (d, V), bo (V,)."""

    @property
    def words(self) -> int:
        """V."""
        return len(self.weights["bo"])

    @torch.no_grad()
    def draw(self, n: int, length: int, seed: int) -> Tensor:
        """As `Oracle` says; word number 0 of the weights, which stands before the first, may occur."""
        random = torch.Generator().manual_seed(seed)
        now, state, drawn = torch.zeros(n, dtype=torch.int64), self._begin(n), list[Tensor]()
        for _ in range(length):
            logits, state = self._step(now, state)
            below = logits.softmax(1).cumsum(1)
            point = torch.rand(n, 1, generator=random) * below[:, -1:]
            now = torch.searchsorted(below, point, right=True)[:, 0].clamp(max=self.words - 1)
            drawn.append(now)
        return torch.stack(drawn, 1) + FIRST

    @torch.no_grad()
    def nll(self, text: Tensor) -> Tensor:
        """As `Oracle` says."""
        parts = []
        for part in torch.split(text - FIRST, 500):
            now, state, total = torch.zeros(len(part), dtype=torch.int64), self._begin(len(part)), torch.zeros(())
            for place in range(part.shape[1]):
                logits, state = self._step(now, state)
                now = part[:, place]
                total = total - logits.log_softmax(1).gather(1, now[:, None])[:, 0]
            parts.append(total / part.shape[1])
        return torch.cat(parts)

    def _begin(self, n: int) -> tuple[Tensor, Tensor]:
        zeros = torch.zeros(n, self.weights["Wi"].shape[0])
        return zeros, zeros

    def _step(self, now: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        w, (h, c) = self.weights, state
        x = w["embedding"][now]
        gate = {g: x @ w[f"W{g}"] + h @ w[f"U{g}"] + w[f"b{g}"] for g in _GATES}
        c = gate["f"].sigmoid() * c + gate["i"].sigmoid() * gate["c"].tanh()
        h = gate["og"].sigmoid() * c.tanh()
        return h @ w["Wo"] + w["bo"], (h, c)


def read_oracle(path: Path) -> Recurrent:
    """The weights of an oracle from an .npz of float arrays, by name. `UserError` for others; nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in _NEEDED & set(arrays.files)}
    except Exception as error:  # a forged archive fails in many ways, each with an exception of its own
        raise UserError(f"data={path} cannot be read as .npz: {type(error).__name__}: {str(error)[:200]}") from None
    if missing := sorted(_NEEDED - set(found)):
        raise UserError(f"data={path} is not an oracle's weights: it lacks the arrays {', '.join(missing)}")
    words, size = found["embedding"].shape if found["embedding"].ndim == 2 else (0, 0)
    shapes = {"embedding": (words, size), "Wo": (size, words), "bo": (words,)}
    shapes |= {f"{kind}{gate}": (size, size) if kind in "WU" else (size,) for gate in _GATES for kind in "WUb"}
    if wrong := [name for name, shape in shapes.items() if tuple(found[name].shape) != shape]:
        raise UserError(f"data={path}: of an oracle's weights, {wrong[0]} should have the shape {shapes[wrong[0]]}")
    return Recurrent(found)


def open_oracle(path: Path, settings: Data) -> dict[str, Source]:
    """`train` and `test`: 10,000 texts of `settings.length` (20) words each, drawn from the weights in `path`.

    `UserError` for what no oracle is, for settings of files of texts, and for texts without end.
    """
    for name in ("unit", "vocabulary", "size", "labels", "captions"):
        if (value := getattr(settings, name)) != getattr(Data(), name):
            raise UserError(f"{name}={value}: {path.name} holds an oracle, which has its own words; leave it out")
    if settings.length is not None and not 2 <= settings.length <= LONGEST:
        raise UserError(f"length={settings.length}: an oracle writes texts of 2 to {LONGEST} words")
    oracle, length = read_oracle(path), settings.length or LENGTH
    vocabulary = tuple(map(str, range(oracle.words)))
    about = About(path.stem, "text", (length,), vocabulary=vocabulary, whole=True)
    return {
        name: tensor_source(about, {"text": oracle.draw(SAMPLES, length, SEED + number)})
        for number, name in enumerate(("train", "test"))
    }


@dataclass(frozen=True, eq=False)
class Trigrams:
    """Each letter by the two before it, from counts of running text."""

    tables: tuple[Tensor, Tensor, Tensor]
    """(K,), (K, K), (K, K, K) log-probabilities of the first letter, the second and all others."""

    @classmethod
    def of(cls, letters: Tensor, count: int, more: float) -> Trigrams:
        """From (n,) int64 letters 0..count-1 of a running text; `more` is added to every count."""
        code, tables = letters, list[Tensor]()
        for order in range(3):
            found = torch.bincount(code, minlength=count ** (order + 1)).double() + more
            tables.append(found.view([count] * (order + 1)).log())
            if order < 2:
                code = code[:-1] * count + letters[order + 1 :]
        first, second, third = (table.log_softmax(-1).float() for table in tables)
        return cls((first, second, third))

    @torch.no_grad()
    def draw(self, n: int, length: int, seed: int) -> Tensor:
        """As `Oracle` says."""
        random, drawn = torch.Generator().manual_seed(seed), list[Tensor]()
        for place in range(length):
            share = self._given(drawn, place).exp().expand(n, -1)
            drawn.append(torch.multinomial(share, 1, generator=random)[:, 0])
        return torch.stack(drawn, 1) + FIRST

    def nll(self, text: Tensor) -> Tensor:
        """As `Oracle` says."""
        letters = list((text - FIRST).unbind(1))
        found = [self._given(letters, place).expand(len(text), -1) for place in range(len(letters))]
        each = [table.gather(1, letter[:, None])[:, 0] for table, letter in zip(found, letters, strict=True)]
        return -torch.stack(each).mean(0)

    def _given(self, letters: list[Tensor], place: int) -> Tensor:
        """(K,) or (N, K) log-probabilities of the letter at a place."""
        if place < 2:
            return self.tables[0] if place == 0 else self.tables[1][letters[0]]
        return self.tables[2][letters[place - 2], letters[place - 1]]
