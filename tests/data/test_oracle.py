"""Oracles: probabilities that sum to 1, draws that follow them, files that are refused."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.data.oracle import Oracle, Trigrams, read_oracle

WORDS, SIZE = 3, 4


def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"embedding": (WORDS, SIZE), "Wo": (SIZE, WORDS), "bo": (WORDS,)}
    for gate in ("i", "f", "og", "c"):
        shapes |= {f"W{gate}": (SIZE, SIZE), f"U{gate}": (SIZE, SIZE), f"b{gate}": (SIZE,)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def oracles(folder: Path) -> list[Oracle]:
    np.savez(folder / "small.npz", **arrays())
    letters = torch.randint(0, WORDS, (50,), generator=torch.Generator().manual_seed(1))
    return [read_oracle(folder / "small.npz"), Trigrams.of(letters, WORDS, 0.1)]


def test_probabilities_sum_to_one_and_draws_follow_them(tmp_path: Path) -> None:
    texts = torch.tensor(list(itertools.product(range(2, 2 + WORDS), repeat=4)))
    for oracle in oracles(tmp_path):
        share = (-4 * oracle.nll(texts)).exp()
        assert float(share.sum()) == pytest.approx(1.0, abs=1e-4)
        drawn = oracle.draw(20_000, 4, 0)
        found = (drawn[:, None] == texts).all(2).float().mean(0)
        torch.testing.assert_close(found, share, atol=0.012, rtol=0.0)
        assert torch.equal(drawn, oracle.draw(20_000, 4, 0))
        assert not torch.equal(drawn, oracle.draw(20_000, 4, 1))


def test_trigrams_are_counts(tmp_path: Path) -> None:
    oracle = Trigrams.of(torch.tensor([0, 1, 0, 1, 1]), 2, 0.0)
    torch.testing.assert_close(oracle.tables[2][0, 1].exp(), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(oracle.tables[1][0].exp(), torch.tensor([0.0, 1.0]))


def test_weights_in_a_file_are_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "small.npz", **arrays())
    splits = open_data(Data(data=str(tmp_path / "small.npz"), length=5))
    about = splits["train"].about
    assert (about.key, about.shape, about.whole, len(about.vocabulary)) == ("text", (5,), True, WORDS)
    assert len(splits["test"]) == 10_000
    assert splits["test"].about.sha256 != about.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bo": None}, "lacks the arrays bo"),
        ({"Ui": np.zeros((4, 5), np.float32)}, "Ui should have the shape"),
        ({"bo": np.array([{}, {}, {}], dtype=object)}, "cannot be read"),
    ],
)
def test_other_arrays_are_refused(changes: dict[str, np.ndarray | None], message: str, tmp_path: Path) -> None:
    made = {name: array for name, array in {**arrays(), **changes}.items() if array is not None}
    np.savez(tmp_path / "wrong.npz", **made)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message):
        open_data(Data(data=str(tmp_path / "wrong.npz")))


@pytest.mark.parametrize("setting", [{"unit": "letters"}, {"vocabulary": 9}, {"length": 1}, {"length": 0}])
def test_settings_that_an_oracle_does_not_follow_are_refused(setting: dict[str, object], tmp_path: Path) -> None:
    np.savez(tmp_path / "small.npz", **arrays())
    with pytest.raises(UserError, match=f"{next(iter(setting))}="):
        open_data(Data(data=str(tmp_path / "small.npz"), **setting))  # type: ignore[arg-type]


def test_the_oracle_of_seqgan_has_its_entropy() -> None:
    """5.750 is what tables print for real texts of 20 words."""
    path = Path(os.environ.get("SPARRING_DATA", "nowhere")) / "seqgan-oracle" / "oracle_lstm.npz"
    if not path.is_file():
        pytest.skip("SPARRING_DATA names no folder with seqgan-oracle")
    oracle = read_oracle(path)
    assert float(oracle.nll(oracle.draw(300, 20, 0)).mean()) == pytest.approx(5.757, abs=0.1)
