"""Networks between symbols: a translator that is a table, a critic of texts, and how a drawn symbol has a slope."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gumbel_softmax, leaky_relu, normalize, one_hot

from sparring.data.words import FIRST
from sparring.nn.layers import spectral_norm


def spelled(words: Tensor, symbols: int) -> Tensor:
    """(N, L) int64 numbers of words -> (N, L, symbols) one-hot; nothing where there is no word, or an unknown one."""
    return one_hot(words, symbols + FIRST)[..., FIRST:].float()


def read(symbols: Tensor, words: Tensor) -> Tensor:
    """(N, L, symbols) numbers of what each word is made -> (N, L) the greatest; what was no word stays what it was."""
    return torch.where(words < FIRST, words, symbols.argmax(2) + FIRST)


def chosen(logits: Tensor, there: Tensor, hard: bool = True, temperature: float = 1.0) -> Tensor:
    """(N, L, symbols) -> the same shape: a symbol at each place, drawn by its probability; none where none was `there`.

    One-hot in the forward pass, its slope that of the softmax of what was drawn by: straight-through Gumbel-softmax
    (Jang et al. 2017). Not `hard`: the probabilities themselves, which a critic tells from symbols at a glance.
    """
    made = gumbel_softmax(logits, temperature, hard=True) if hard else (logits / temperature).softmax(2)
    return made * there


class Tables(nn.Module):
    """(N, L, before) one-hot -> (N, L, after) logits: for each phase of a key a row of numbers per symbol.

    The place's number modulo `period` is its phase. Rows begin nearly equal, so that no symbol has a meaning yet, and
    logits are linear in what is given: the slope of a loss that is linear in them is that of its expectation. They are
    `SCALE` times what is learnt, so that a rate that suits networks moves them as fast as chances must move.
    """

    SCALE = 20.0

    def __init__(self, before: int, after: int, period: int = 1, spread: float = 0.01) -> None:
        super().__init__()
        self.rows = nn.Parameter(spread / self.SCALE * torch.randn(period, before, after))

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        rows = self.SCALE * self.rows
        if len(rows) == 1:
            return x @ rows[0]
        phase = torch.arange(x.shape[1], device=x.device) % len(rows)
        return torch.einsum("nla,lab->nlb", x, rows[phase])


class TextCritic(nn.Module):
    """(N, L, symbols) -> (N, L): a score of every place by its neighbours, `layers` to each side; spectral norms.

    Every symbol is spelled by a vector of length `SPELLED`. With a spectral norm there, too, those of rare symbols stay
    small, and they are taken for others; with nothing to hold them, that of a rare one grows until all are it.

    With a `period` above 1 it knows the phase of each place: what a secret looks like hangs on it.
    """

    SPELLED = 2.0

    def __init__(self, symbols: int, width: int = 64, layers: int = 2, period: int = 1) -> None:
        super().__init__()
        self.period = period
        channels = symbols + (period if period > 1 else 0)
        body = (nn.Conv1d(width, width, 3, padding=1) for _ in range(layers))
        self.spelling = nn.Parameter(normalize(torch.randn(width, channels), dim=0))
        self.body = nn.ModuleList(spectral_norm(layer) for layer in body)
        self.head = spectral_norm(nn.Conv1d(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        if self.period > 1:
            phase = torch.arange(x.shape[1], device=x.device) % self.period
            x = torch.cat([x, one_hot(phase, self.period).to(x.dtype).expand(len(x), -1, -1)], 2)
        h = leaky_relu(x @ (self.SPELLED * normalize(self.spelling, dim=0)).mT, 0.2).mT
        for layer in self.body:
            h = leaky_relu(layer(h), 0.2)
        out: Tensor = self.head(h).squeeze(1)
        return out


def missed(logits: Tensor, words: Tensor) -> Tensor:
    """(N, L, symbols), (N, L) -> cross-entropy in nats per place; 0 where there is no symbol."""
    truth = torch.where(words < FIRST, -100, words - FIRST)
    return cross_entropy(logits.mT.float(), truth, reduction="none").mean()
