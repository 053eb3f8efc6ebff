"""Networks over texts: a recurrent one that writes them word by word, and convolutions that read them.

A text is a row of numbers of words (`data.words`). Networks count symbols: numbers of words less `first`, which is 0
where texts end in zeros, and 2 where all are whole and have no unknown words, so that neither can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, leaky_relu, normalize, one_hot

from sparring.config import UserError
from sparring.nn.layers import spectral_norm, unchanged

Cell = Literal["lstm", "gru"]
State = tuple[Tensor, ...]
Choose = Callable[[int, Tensor], Tensor]
"""(place, logits (N, S)) -> the symbol there: (N,) int64, or (N, S) of sum 1."""


class TokenGenerator(nn.Module):
    """Writes texts of `length` words, each from those before it: embedding, a recurrent layer, logits.

    With `places` it is told how far it is: the vector of a word has that of the place added that it leads to.
    """

    def __init__(
        self, symbols: int, first: int, length: int, embedding: int, hidden: int, cell: Cell, places: bool = False
    ) -> None:
        super().__init__()
        self.symbols, self.first, self.length = symbols, first, length
        self.embedding = nn.Embedding(symbols + 1, embedding)  # the last one stands before the first word
        body = nn.LSTM if cell == "lstm" else nn.GRU
        self.body = body(embedding, hidden, batch_first=True)
        self.out = nn.Linear(hidden, symbols)
        self.place = nn.Parameter(0.1 * torch.randn(length, embedding)) if places else None

    def at(self, x: Tensor, place: slice | int) -> Tensor:
        """Vectors of words, (N, E) or (N, L, E), as they are at a place or at several."""
        return x if self.place is None else x + self.place[place]

    @property
    def ends(self) -> bool:
        """Whether symbol 0 ends a text."""
        return self.first == 0

    def log_prob(self, text: Tensor, temperature: float = 1.0) -> Tensor:
        """(N, L) int64 -> (N, L) nats of each word given those before it; 0 behind the end, which counts itself."""
        index = text - self.first
        before = torch.cat([torch.full_like(index[:, :1], self.symbols), index[:, :-1]], 1)
        logits = self.out(self.body(self.at(self.embedding(before), slice(before.shape[1])))[0]).float()
        logits = logits if temperature == 1 else logits / temperature  # a copy costs much with many words
        found = -cross_entropy(logits.flatten(0, 1), index.flatten(), reduction="none").view(index.shape)
        return found * self.counted(text)

    def counted(self, text: Tensor) -> Tensor:
        """(N, L) -> 1 for words and the end of a text, 0 behind it."""
        started = torch.ones_like(text[:, :1])
        return torch.cat([started, (text[:, :-1] > 0).long()], 1).float()

    def draw(self, uniform: Tensor, temperature: float | Tensor = 1.0, given: Tensor | None = None) -> Tensor:
        """(N, L) numbers in [0, 1) -> (N, L) int64 texts, each word by the inverse of its distribution function.

        Below `temperature` 1, or (N, 1) of them, likely words are likelier. `given`: (N, l) int64 words that the texts
        begin with.
        """

        def choose(place: int, logits: Tensor) -> Tensor:
            below = (logits.float() / temperature).softmax(1).cumsum(1)
            point = uniform[:, place, None] * below[:, -1:]  # whose last may miss 1 by rounding
            return torch.searchsorted(below, point, right=True)[:, 0].clamp(max=self.symbols - 1)

        with torch.no_grad():
            begun = () if given is None else (given - self.first).unbind(1)
            return torch.stack(self._written(len(uniform), choose, begun), 1) + self.first

    def relaxed(self, n: int, temperature: float) -> Tensor:
        """(n, L, S) texts as one-hot rows whose gradient is that of the Gumbel-softmax. Jang et al. 2017, section 2.2.

        Forward each row is a draw from the network, whatever the temperature, and what is fed back is that draw.
        """

        def choose(place: int, logits: Tensor) -> Tensor:
            noisy = logits.float() - torch.empty_like(logits).exponential_().log()
            soft = (noisy / temperature).softmax(1)
            hard = torch.zeros_like(soft).scatter_(1, noisy.argmax(1, keepdim=True), 1.0)
            return hard + (soft - soft.detach())  # in brackets, so that the row stays exactly one-hot

        return torch.stack(self._written(n, choose), 1)

    def _written(self, n: int, choose: Choose, begun: Sequence[Tensor] = ()) -> list[Tensor]:
        """What is chosen at every place behind those of `begun`; after an end there are only ends."""
        size, device = self.body.hidden_size, self.out.weight.device
        state: State = tuple(torch.zeros(n, size, device=device) for _ in range(1 + isinstance(self.body, nn.LSTM)))
        x = self.embedding.weight[-1].expand(n, -1)
        chosen: list[Tensor] = []
        for place in range(self.length):
            state = self._stepped(self.at(x, place), state)
            now = begun[place] if place < len(begun) else choose(place, self.out(state[0]))
            if self.ends and chosen:
                now = _after_end(chosen[-1], now)
            chosen.append(now)
            x = self.embedding(now) if now.ndim == 1 else now @ self.embedding.weight[:-1]
        return chosen

    def _stepped(self, x: Tensor, state: State) -> State:
        """One place further, with the weights that the fused layer has."""
        weights = self.body.all_weights[0]
        if isinstance(self.body, nn.LSTM):
            return torch.lstm_cell(x, state, *weights)
        return (torch.gru_cell(x, state[0], *weights),)


def _after_end(before: Tensor, now: Tensor) -> Tensor:
    """The choice, or the end where the one before it was the end."""
    if now.ndim == 1:
        return now * (before > 0)
    ended = before[:, :1].detach().round()
    end = one_hot(torch.zeros(len(now), dtype=torch.int64, device=now.device), now.shape[1])
    return now * (1 - ended) + end * ended


class TextFeatures(nn.Module):
    """(N, L, S) rows of sum 1, or (N, L) symbols -> (N, widths x maps): convolutions, largest over places. Kim 2014.

    `places`: vectors of words get one of their place added, for texts in which it matters. `spectral`: every layer is
    bounded, the vectors by being of length 1.
    """

    def __init__(
        self, symbols: int, length: int, embedding: int, widths: Sequence[int], maps: int, spectral: bool
    ) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else unchanged
        self.symbols, self.spectral = symbols, spectral
        self.embedding = nn.Parameter(torch.randn(symbols, embedding))
        self.place = nn.Parameter(0.1 * torch.randn(length, embedding))
        fitting = [width for width in widths if width <= length]
        self.convolutions = nn.ModuleList(wrap(nn.Conv1d(embedding, maps, width)) for width in fitting)
        self.size = maps * len(fitting)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        table = normalize(self.embedding, dim=1) if self.spectral else self.embedding
        vectors = table[x] if x.ndim == 2 else x @ table
        vectors = (vectors + self.place).transpose(1, 2)
        return torch.cat([leaky_relu(layer(vectors), 0.2).amax(2) for layer in self.convolutions], 1)


class TextCritic(nn.Module):
    """(N, L, S) rows of sum 1, or (N, L) symbols -> (N,) scores. `UserError` where no convolution fits into a text."""

    def __init__(
        self, symbols: int, length: int, embedding: int, widths: Sequence[int], maps: int, spectral: bool
    ) -> None:
        super().__init__()
        if not any(1 <= width <= length for width in widths):
            raise UserError(
                f"critic_widths={tuple(widths)}: one at least must be from 1 to {length}, the words of the longest "
                f"text; use --critic-widths 1{' 2' if length > 1 else ''}, or train without a critic: --likelihood 1"
            )
        wrap = spectral_norm if spectral else unchanged
        self.features = TextFeatures(symbols, length, embedding, widths, maps, spectral)
        self.hidden = wrap(nn.Linear(self.features.size, self.features.size))
        self.head = wrap(nn.Linear(self.features.size, 1))

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        h = leaky_relu(self.hidden(self.features(x)), 0.2)
        out: Tensor = self.head(h)[:, 0]
        return out


class TextClassifier(nn.Module):
    """(N, L) int64 texts -> (N, classes) logits; `features` (N, d) are what the last layer reads. Kim 2014."""

    def __init__(self, words: int, length: int, classes: int, width: int) -> None:
        super().__init__()
        self.body = TextFeatures(words + 2, length, 4 * width, (1, 2, 3), 4 * width, spectral=False)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(self.body.size, classes)

    def features(self, text: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.body(text)
        return out

    def forward(self, text: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.head(self.dropout(self.features(text)))
        return out


class RecurrentClassifier(nn.Module):
    """The same of a recurrent layer that reads both ways: the mean and the largest of its states over all words."""

    def __init__(self, words: int, classes: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words + 2, 4 * width, padding_idx=0)
        self.body = nn.GRU(4 * width, 4 * width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(16 * width, classes)

    def features(self, text: Tensor) -> Tensor:
        """As the class says."""
        states, there = self.body(self.dropout(self.embedding(text)))[0], (text > 0)[..., None]
        mean = (states * there).sum(1) / there.sum(1).clamp(min=1)
        return torch.cat([mean, states.masked_fill(~there, -1.0).amax(1)], 1)

    def forward(self, text: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.head(self.dropout(self.features(text)))
        return out


class Baseline(nn.Module):
    """What reward is usual at each place: a moving average, which draws nothing from the reward's gradient."""

    mean: Tensor
    seen: Tensor

    def __init__(self, length: int, keep: float) -> None:
        super().__init__()
        self.keep = keep
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("seen", torch.zeros(()))

    @torch.no_grad()
    def forward(self, reward: Tensor) -> Tensor:
        """(N, L) rewards -> those less what was usual before these; in training they move it."""
        usual = self.mean / self.seen.clamp(min=1e-8)  # as Adam corrects its averages for their beginning at 0
        known = self.seen > 0
        if self.training:
            self.mean.lerp_(reward.mean(0), 1 - self.keep)
            self.seen.lerp_(torch.ones_like(self.seen), 1 - self.keep)
        return reward - torch.where(known, usual, reward.mean(0))
