"""BLEU and its kin against slow definitions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
import torch

from sparring.metrics.text import bleu, copied, nearest, repeated, self_bleu, text_scores


def rows(*texts: str) -> torch.Tensor:
    words = sorted({word for text in texts for word in text.split()})
    longest = max(len(text.split()) for text in texts)
    numbers = [[2 + words.index(word) for word in text.split()] for text in texts]
    return torch.tensor([row + [0] * (longest - len(row)) for row in numbers])


def grams(text: Sequence[int], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))


def slow(text: list[int], references: list[list[int]], order: int) -> float:
    """Papineni et al. 2002, as the definition reads, with smoothing method 1."""
    logs = []
    for n in range(1, order + 1):
        mine, most = grams(text, n), Counter[tuple[int, ...]]()
        for reference in references:
            most |= grams(reference, n)
        found = sum(min(count, most[gram]) for gram, count in mine.items())
        if n == 1 and found == 0:
            return 0.0
        logs.append(math.log((found or 0.1) / max(1, sum(mine.values()))))
    closest = min((len(r) for r in references), key=lambda length: (abs(length - len(text)), length))
    brevity = 0.0 if len(text) > closest else 1 - closest / len(text)
    return math.exp(sum(logs) / order + brevity)


def random_texts(n: int, length: int, words: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    texts = torch.randint(2, 2 + words, (n, length), generator=random)
    ends = torch.randint(1, length + 1, (n, 1), generator=random)
    return texts * (torch.arange(length) < ends)


def plain(texts: torch.Tensor) -> list[list[int]]:
    return [[word for word in row if word] for row in texts.tolist()]


def test_bleu_is_its_definition() -> None:
    made, references = random_texts(40, 9, 6, 0), random_texts(30, 12, 7, 1)
    found = bleu(made, references)
    assert set(found) == {2, 3, 4, 5}
    for order, each in found.items():
        wanted = [slow(text, plain(references), order) for text in plain(made)]
        assert each.tolist() == pytest.approx(wanted)


def test_self_bleu_leaves_each_text_itself_out() -> None:
    made = torch.cat([random_texts(30, 9, 6, 2), torch.tensor([[2, 3, 4, 2, 2, 5, 0, 0, 0]]).repeat(2, 1)])
    texts = plain(made)
    for order, each in self_bleu(made).items():
        wanted = [slow(text, texts[:i] + texts[i + 1 :], order) for i, text in enumerate(texts)]
        assert each.tolist() == pytest.approx(wanted)
    assert self_bleu(made)[3][-1] == pytest.approx(1.0)  # its twin is among the others


def test_a_sentence_of_the_paper() -> None:
    """Papineni et al. 2002, section 2.1: of seven `the`, two count."""
    every = rows("the the the the the the the", "the cat is on the mat", "there is a cat on the mat")
    (score,) = bleu(every[:1], every[1:], (2,))[2].tolist()
    assert score == pytest.approx(math.sqrt(2 / 7 * 0.1 / 6))


def test_copies_and_nearest_texts_are_found() -> None:
    every = rows("a b c d", "x y z", "a b c d", "a b q", "x y z d c", "q a b c")
    made, train = every[:4], every[4:]
    assert repeated(made).tolist() == [False, False, True, False]
    assert copied(made, torch.cat([train, every[1:2]])).tolist() == [False, True, False, False]
    share, which = nearest(made, train)
    assert share.tolist() == pytest.approx([2 / 3, 1.0, 2 / 3, 1 / 2])
    assert which.tolist() == [1, 0, 1, 1]


def test_scores_have_floors_and_errors() -> None:
    texts = random_texts(400, 9, 8, 5)
    made, real, reference, train = texts[:100], texts[100:200], texts[200:300], texts[100:]
    made = made[:50].repeat(2, 1)
    found = text_scores(made, real, reference, train)
    assert found["duplicate share"]["value"] >= 0.5
    assert found["self-bleu 5"]["value"] > found["self-bleu 5"]["floor"] + 3 * found["self-bleu 5"]["se"]
    assert found["bleu 2"]["better"] == "higher"
    assert found["self-bleu 2"]["better"] == "lower"
    assert all(math.isfinite(each["value"]) and each["se"] >= 0 for each in found.values())
