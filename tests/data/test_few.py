"""Few labels and few samples: even, nested, by seed, and nothing leaks."""

from dataclasses import replace

import pytest
import torch

from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.data.few import LABELLED, evenly, few_labels, labels_of
from sparring.data.loader import batches


def test_an_even_choice_is_even_nested_and_by_seed() -> None:
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 20)
    chosen = evenly(labels, 9, seed=5)
    assert torch.bincount(labels[chosen]).tolist() == [3, 3, 3]
    assert len(chosen.unique()) == 9
    assert torch.equal(evenly(labels, 4, seed=5), chosen[:4])
    assert torch.equal(evenly(labels, 9, seed=5), chosen)
    assert not torch.equal(evenly(labels, 9, seed=6), chosen)
    assert torch.bincount(labels[evenly(labels, 15, 0)]).tolist() == [6, 3, 6]  # a class that is used up
    assert evenly(labels, len(labels), 0).sort().values.tolist() == list(range(len(labels)))
    with pytest.raises(ValueError, match="count=74"):
        evenly(labels, 74)


def test_a_limit_leaves_held_out_samples_alone() -> None:
    whole = open_data(Data(data="digits", validation=0.1))
    few, other = (open_data(Data(data="digits", validation=0.1, limit=50, limit_seed=seed)) for seed in (0, 1))
    assert torch.bincount(labels_of(few["train"])).tolist() == [5] * 10
    for name in ("test", "validation"):
        assert few[name].about.sha256 == whole[name].about.sha256
    assert len({splits["train"].about.sha256 for splits in (whole, few, other)}) == 3
    inside = whole["train"][torch.arange(len(whole["train"]))]["image"].flatten(1)
    for picture in few["train"][torch.arange(50)]["image"].flatten(1):
        assert (inside == picture).all(1).any()
    assert len(open_data(Data(data="ring", limit=7))["train"]) == 7  # no labels: any
    for limit in (1, 10**6):
        with pytest.raises(UserError, match=f"limit={limit}"):
            open_data(Data(data="digits", limit=limit))


def test_only_the_labels_that_are_left_can_be_seen() -> None:
    source = open_data(Data(data="digits"))["train"]
    few = few_labels(source, 20, seed=3)
    index = torch.arange(len(source))
    columns, truth = few[index], source[index]
    assert set(columns) == {"image", LABELLED, "label"}
    assert torch.equal(columns["image"], truth["image"])
    pairs = {
        (picture.numpy().tobytes(), int(label))
        for picture, label in zip(columns[LABELLED], columns["label"], strict=True)
    }
    assert len(pairs) == 20
    known = {
        (picture.numpy().tobytes(), int(label)) for picture, label in zip(truth["image"], truth["label"], strict=True)
    }
    assert pairs <= known
    assert torch.bincount(columns["label"]).tolist() == pytest.approx([len(source) / 10] * 10, abs=2)
    assert float((columns["label"] == truth["label"]).float().mean()) < 0.2  # beside, not of
    assert few.about.prior == (0.1,) * 10
    assert len({few.about.sha256, source.about.sha256, few_labels(source, 20, seed=4).about.sha256}) == 3
    # what a row holds depends on its number alone
    some = torch.tensor([900, 3, 77])
    assert all(torch.equal(few[some][name], columns[name][some]) for name in columns)
    unhashed = replace(source, about=replace(source.about, sha256=""))  # type: ignore[type-var]
    assert few_labels(unhashed, 20, 3).about.sha256 == ""
    for labelled in (9, len(source) + 1):
        with pytest.raises(UserError, match=f"labelled={labelled}"):
            few_labels(source, labelled, 0)


def test_labelled_pictures_become_floats_in_a_batch() -> None:
    batch = next(batches(few_labels(open_data(Data(data="digits"))["train"], 20, 0), 8, seed=0))
    assert batch[LABELLED].dtype == torch.float32
    assert -1 <= float(batch[LABELLED].min()) < float(batch[LABELLED].max()) <= 1
