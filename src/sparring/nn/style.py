"""Networks that rewrite a text in another style: an editor of single words, and a critic of words in their places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize, pad

from sparring.data.words import FIRST
from sparring.nn.layers import spectral_norm

SCALE = 3.0
"""Length of the vectors by which a critic knows words: with 1 its bounded layers tell hardly anything apart."""


@dataclass(frozen=True, eq=False)
class Rewritten:
    """Texts of which some words were replaced, by chance.

    Forward every word is a whole one; the slope is that of the chances (straight-through: Bengio et al. 2013; of the
    Gumbel-softmax for keeping, Jang et al. 2017).
    """

    text: Tensor
    """(N, L) int64 numbers of words (`data.words`), as they were."""
    places: Tensor
    """(N, L) whether there is a word; M of them."""
    kept: Tensor
    """(M,) 1 where it was kept and 0 where it was replaced."""
    number: Tensor
    """(M,) of the word that stands in its place if it was replaced."""
    chances: Tensor
    """(M, words) of which the slope is."""

    def vectors(self, table: Tensor) -> Tensor:
        """(words + FIRST, D) -> (N, L, D): what a network reads."""
        old, slope = table[self.text], self.chances @ table[FIRST:].detach()
        new = table[self.number] + (slope - slope.detach())
        return old.masked_scatter(self.places[..., None], torch.lerp(new, old[self.places], self.kept[:, None]))


class Editor(nn.Module):
    """Of each word of a text, by what stands before it, behind it, itself, and a style: keep it, or what to write.

    A recurrent layer reads both ways; at each place are taken the state before it and the one behind it, neither of
    which has seen its word. So every word of a text can be foretold at once, as by a language model both ways.
    """

    def __init__(self, words: int, styles: int, length: int, width: int, hidden: int) -> None:
        super().__init__()
        self.length = length
        self.table = nn.Parameter(0.3 * torch.randn(words + FIRST, width))
        self.style = nn.Embedding(styles, width)
        self.body = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.around, self.own = nn.Linear(2 * hidden + width, width), nn.Linear(width, width, bias=False)
        self.gate = nn.Sequential(nn.Linear(2 * hidden + 2 * width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))
        self.bias = nn.Parameter(torch.zeros(words))
        nn.init.zeros_(self.own.weight)  # what is foretold begins as a language model, which sees no word itself

    def beside(self, vectors: Tensor, style: Tensor) -> Tensor:
        """(N, L, D) vectors of words, (N,) -> (N, L, 2 H + D): the states before and behind each, and the style."""
        before, behind = self.body(vectors)[0].chunk(2, 2)
        states = [pad(before[:, :-1], (0, 0, 1, 0)), pad(behind[:, 1:], (0, 0, 0, 1))]
        return torch.cat([*states, self.style(style)[:, None].expand_as(vectors)], 2)

    def keep(self, beside: Tensor, own: Tensor) -> Tensor:
        """(..., 2 H + D), (..., D) the words' own vectors -> (...) logits of leaving each as it is."""
        out: Tensor = self.gate(torch.cat([beside, own], -1))[..., 0]
        return out.float()

    def write(self, beside: Tensor, own: Tensor | None) -> Tensor:
        """(M, 2 H + D), (M, D) -> (M, words) logits of what to write; without `own`, not knowing what is there."""
        seen = self.around(beside) if own is None else self.around(beside) + self.own(own)
        return torch.addmm(self.bias, leaky_relu(seen, 0.2), self.table[FIRST:].T).float()

    def rewrite(self, text: Tensor, style: Tensor) -> Rewritten:
        """(N, L), (N,) -> each word kept or replaced, both drawn by their chances."""
        own, places = self.table[text], text > 0
        beside = self.beside(own, style)[places]
        keep = self.keep(beside, own[places])
        soft = (keep + _logistic(keep)).sigmoid()
        kept = (soft > 0.5).float() + (soft - soft.detach())
        chances = self.write(beside, own[places]).softmax(1)
        return Rewritten(text, places, kept, _drawn(chances.detach()) + FIRST, chances)

    @torch.no_grad()
    def draw(self, text: Tensor, style: Tensor) -> Tensor:
        """(N, L), (N,) -> (N, L) int64: the same without a slope, and so at the cost of what is replaced alone."""
        own = self.table[text]
        beside = self.beside(own, style)
        keep = self.keep(beside, own)
        change = (keep + _logistic(keep) < 0) & (text > 0)
        return text.masked_scatter(change, _drawn(self.write(beside[change], own[change]).softmax(1)) + FIRST)

    def forward(self, text: Tensor, style: Tensor) -> Tensor:
        """(N, L), (N,) -> (N, L): the likeliest, without chance."""
        whole = pad(text, (0, max(0, self.length - text.shape[1])))  # it learnt to read on behind the end
        own = self.table[whole]
        beside = self.beside(own, style)
        change = (self.keep(beside, own) < 0) & (whole > 0)
        made = whole.masked_scatter(change, self.write(beside[change], own[change]).argmax(1) + FIRST)
        return made[:, : text.shape[1]]


def _logistic(like: Tensor) -> Tensor:
    """Noise: a logit and this are above 0 as often as the logit says."""
    return torch.empty_like(like).exponential_().log_() - torch.empty_like(like).exponential_().log_()


def _drawn(chances: Tensor) -> Tensor:
    """(M, S) -> (M,) the number of one, by the inverse of its distribution function."""
    below = chances.cumsum(1)
    point = torch.rand_like(below[:, :1]) * below[:, -1:]  # whose last may miss 1 by rounding
    return torch.searchsorted(below, point, right=True)[:, 0].clamp(max=chances.shape[1] - 1)


class StyleCritic(nn.Module):
    """(texts, styles (N,)) -> (N, L): how much each place, `layers` words to either side, looks like the style.

    Every layer is bounded, the vectors of words by being of length 1. Where there is no word the score is 0.
    """

    def __init__(self, words: int, styles: int, width: int, layers: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(words + FIRST, width))
        self.body = nn.ModuleList(spectral_norm(nn.Conv1d(width, width, 3, padding=1)) for _ in range(layers))
        self.head = spectral_norm(nn.Conv1d(width, styles, 1))

    def forward(self, text: Tensor | Rewritten, style: Tensor) -> Tensor:
        """As the class says."""
        table = SCALE * normalize(self.table, dim=1)
        numbers, vectors = (text, table[text]) if isinstance(text, Tensor) else (text.text, text.vectors(table))
        there = (numbers > 0).float()
        h = (vectors * there[..., None]).mT
        for layer in self.body:
            h = leaky_relu(layer(h), 0.2)
        scores: Tensor = self.head(h)
        return scores[torch.arange(len(style), device=style.device), style].float() * there
