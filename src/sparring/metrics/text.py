"""Scores of texts by the runs of words in them: BLEU, self-BLEU, duplicates, and what training texts they come from.

Texts are rows of numbers, 0 behind their end. BLEU is that of Papineni et al. 2002 for single sentences, averaged, with
smoothing method 1 of Chen and Cherry 2014 (a tenth where nothing matches) and the reference of the closest length; all
texts are references. Zhu et al. 2018 (Texygen) score against the whole test file so, and each sample against all
others (self-BLEU). Fewer references give lower values: only those of as many compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparring.metrics.errors import Estimate, jackknife, of_mean, slices
from sparring.metrics.evaluate import row

ORDERS = (2, 3, 4, 5)
SMOOTHED = 0.1
"""Counted as found where a text has no run of words in common with any reference."""
JACKKNIFE = 10
"""Groups of the errors of self-BLEU."""
NEAREST = 1000
"""Samples whose nearest training text is looked for."""
AT_ONCE = 256
"""Training texts that are compared at a time."""


class Runs(NamedTuple):
    """How often each run of so many words occurs in each text: three columns."""

    text: Tensor
    run: Tensor
    times: Tensor
    kinds: int
    """Of runs."""


def runs(texts: Tensor, most: int) -> list[Runs]:
    """(N, L) -> of the runs of 1, 2, ... `most` words."""
    base, numbers = int(texts.max()) + 1, torch.zeros_like(texts)
    owner = torch.arange(len(texts))[:, None]
    found = []
    for order in range(1, most + 1):
        there = texts[:, order - 1 :] > 0
        code = numbers[:, : there.shape[1]] * base + texts[:, order - 1 :]
        kinds, number = torch.unique(code[there], return_inverse=True)
        numbers = torch.zeros_like(code).masked_scatter_(there, number)
        pair = owner.expand_as(code)[there] * len(kinds) + number
        both, count = torch.unique(pair, return_counts=True)
        size = max(1, len(kinds))
        found.append(Runs(both // size, both % size, count, size))
    return found


def bleu(made: Tensor, references: Tensor, orders: Sequence[int] = ORDERS) -> dict[int, Tensor]:
    """(N, L), (M, K) -> by order, (N,) float64 in [0, 1]: each text against all references."""
    width = max(made.shape[1], references.shape[1])
    both = torch.cat([_widened(made, width), _widened(references, width)])
    n, shares = len(made), []
    for found in runs(both, min(max(orders), width)):
        ours = found.text < n
        most = torch.zeros(found.kinds, dtype=torch.int64)
        most.scatter_reduce_(0, found.run[~ours], found.times[~ours], "amax")
        shares.append(_share(found.text[ours], found.times[ours], most[found.run[ours]], n))
    lengths, of_references = (made > 0).sum(1), torch.bincount((references > 0).sum(1), minlength=width + 1)
    closest = torch.tensor([_closest(length, of_references) for length in range(width + 1)])
    return _scores(shares, lengths, closest[lengths], orders)


def bleu_of_pairs(made: Tensor, truth: Tensor, order: int = 4) -> float:
    """(N, L), (N, K) -> BLEU in [0, 1] of all texts together, each against its own. Papineni et al. 2002, section 2.3.

    Counts are summed over the texts before they are divided, so short ones need no smoothing.
    """
    n, width, logs = len(made), max(made.shape[1], truth.shape[1]), []
    for found in runs(torch.cat([_widened(made, width), _widened(truth, width)]), order):
        pairs, place = torch.unique(found.text % n * found.kinds + found.run, return_inverse=True)
        times = torch.zeros(len(pairs), 2, dtype=torch.float64)
        times[place, (found.text < n).long()] = found.times.double()
        logs.append((times.amin(1).sum() / times[:, 1].sum().clamp(min=1)).log())
    short = 1 - (truth > 0).sum() / (made > 0).sum()
    return float((torch.stack(logs).mean() + short.clamp(max=0)).exp())


def self_bleu(made: Tensor, orders: Sequence[int] = ORDERS) -> dict[int, Tensor]:
    """(N, L) -> by order, (N,) float64 in [0, 1]: each text against all others."""
    shares, n = [], len(made)
    for found in runs(made, min(max(orders), made.shape[1])):
        text, run, count, kinds = found
        most = torch.zeros(kinds, dtype=torch.int64).scatter_reduce_(0, run, count, "amax")
        first = count == most[run]
        alone = torch.bincount(run[first], minlength=kinds) == 1
        second = torch.zeros(kinds, dtype=torch.int64).scatter_reduce_(0, run[~first], count[~first], "amax")
        shares.append(_share(text, count, torch.where(first & alone[run], second[run], most[run]), n))
    lengths = (made > 0).sum(1)
    there = torch.bincount(lengths, minlength=made.shape[1] + 1)
    others = [there - (torch.arange(len(there)) == length).long() for length in range(len(there))]
    closest = torch.tensor([_closest(length, left) for length, left in enumerate(others)])
    return _scores(shares, lengths, closest[lengths], orders)


def _widened(texts: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(texts, (0, width - texts.shape[1]))


def _share(text: Tensor, count: Tensor, most: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """(N,) runs that references have as well, each as often as the one that has it most often; and all."""
    found = torch.zeros(n, dtype=torch.float64).index_add_(0, text, torch.minimum(count, most).double())
    return found, torch.zeros(n, dtype=torch.float64).index_add_(0, text, count.double())


def _closest(length: int, there: Tensor) -> int:
    """Of the lengths that occur, the one nearest to `length`; the shorter one of two."""
    candidates = there.nonzero()[:, 0].tolist()
    return min(candidates, key=lambda other: (abs(other - length), other), default=0)


def _scores(
    shares: Sequence[tuple[Tensor, Tensor]], lengths: Tensor, closest: Tensor, orders: Sequence[int]
) -> dict[int, Tensor]:
    """BLEU from the share of each order and the lengths."""
    precision = [torch.where(found > 0, found, SMOOTHED) / every.clamp(min=1) for found, every in shares]
    logs = torch.stack(precision).log()
    length, other = lengths.double(), closest.double()
    short = torch.where(length > other, 0.0, 1 - other / length.clamp(min=1))
    some = shares[0][0] > 0  # a text that shares no word at all scores nothing, whatever is smoothed
    can = [order for order in orders if order <= len(logs)]
    return {order: torch.where(some, (logs[:order].mean(0) + short).exp(), 0.0) for order in can}


def copied(made: Tensor, train: Tensor) -> Tensor:
    """(N, L), (M, K) -> (N,) whether each is a training text, word by word."""
    width = max(made.shape[1], train.shape[1])
    both = torch.cat([_widened(made, width), _widened(train, width)])
    _, number = torch.unique(both, dim=0, return_inverse=True)
    return torch.isin(number[: len(made)], number[len(made) :])


def repeated(made: Tensor) -> Tensor:
    """(N, L) -> (N,) whether each was there before."""
    _, number, count = torch.unique(made, dim=0, return_inverse=True, return_counts=True)
    order = number.argsort(stable=True)
    first = torch.cat([torch.zeros(1, dtype=torch.int64), count.cumsum(0)[:-1]])
    again = torch.ones(len(made), dtype=torch.bool)
    again[order[first]] = False
    return again


def nearest(made: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """(N, L), (M, K) -> (N,) in [0, 1] and (N,): the training text that has most of a text's pairs of words, and which.

    A pair is two words side by side; the share is that of different pairs. A text of one word has none, and 0.
    """
    n, width = len(made), max(made.shape[1], train.shape[1])
    _, found = runs(torch.cat([_widened(made, width), _widened(train, width)]), 2)
    ours = found.text < n
    shared, number = torch.unique(found.run[ours], return_inverse=True)  # no others can be found
    place = torch.stack([found.text[ours], number])
    mine = torch.sparse_coo_tensor(place, torch.ones(place.shape[1]), (n, len(shared)), check_invariants=False)
    renamed = torch.full((found.kinds,), -1).index_copy_(0, shared, torch.arange(len(shared)))
    every = torch.bincount(found.text[ours], minlength=n).clamp(min=1)
    best, which = torch.full((n,), -1.0), torch.zeros(n, dtype=torch.int64)
    text, run = found.text[~ours] - n, renamed[found.run[~ours]]
    for first in range(0, len(train), AT_ONCE):
        here = (text >= first) & (text < first + AT_ONCE) & (run >= 0)
        theirs = torch.zeros(len(shared), min(AT_ONCE, len(train) - first))
        theirs[run[here], text[here] - first] = 1
        most, row_of = torch.sparse.mm(mine, theirs).max(1)
        better = most > best
        best, which = torch.where(better, most, best), torch.where(better, row_of + first, which)
    return best / every, which


def text_scores(made: Tensor, real: Tensor, reference: Tensor, train: Tensor) -> dict[str, dict[str, Any]]:
    """Every score of (N, L) texts with its floor: that of `real`, as many training texts, against the same reference.

    Of copies the floor is that of the reference.
    """
    found = {name: (value, floor) for (name, value), floor in zip(
        _against(made, reference).items(), _against(real, reference).values(), strict=True
    )}  # fmt: skip
    held_out, few = reference[: len(made)], (made[:NEAREST], reference[:NEAREST])
    found["duplicate share"] = of_mean(repeated(made).double()), of_mean(repeated(real).double())
    found["copied share"] = of_mean(copied(made, train).double()), of_mean(copied(held_out, train).double())
    shares = (of_mean(nearest(texts, train)[0]) for texts in few)
    found["nearest training text"] = next(shares), next(shares)
    return {name: row(name, value, floor) for name, (value, floor) in found.items()}


def _against(texts: Tensor, reference: Tensor) -> dict[str, Estimate]:
    found = {f"bleu {order}": of_mean(each) for order, each in bleu(texts, reference).items()}
    whole = {order: float(each.mean()) for order, each in self_bleu(texts).items()}
    without = [self_bleu(_without(texts, group)) for group in slices(len(texts), min(JACKKNIFE, len(texts) // 2))]
    for order, value in whole.items():
        deleted = [float(each[order].mean()) for each in without]
        found[f"self-bleu {order}"] = Estimate(value, jackknife(value, deleted).se)
    return found


def _without(texts: Tensor, group: slice) -> Tensor:
    return torch.cat([texts[: group.start], texts[group.stop :]])
