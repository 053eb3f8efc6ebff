import os

import pytest
import torch

from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.data.stacked import TRIPLES, single_digits

needs_mnist = pytest.mark.skipif(not os.environ.get("SPARRING_DATA"), reason="SPARRING_DATA names no folder with mnist")


@needs_mnist
def test_a_triple_is_three_digits_of_mnist_and_its_number() -> None:
    splits, digits = open_data(Data(data="stacked-mnist")), open_data(Data(data="mnist"))
    assert {split: len(source) for split, source in splits.items()} == TRIPLES
    for split in ("train", "test"):
        columns = splits[split][torch.tensor([5, 77, 12_345])]
        assert columns["image"].shape == (3, 3, 32, 32)
        rows = splits[split].rows[torch.tensor([5, 77, 12_345])]  # type: ignore[attr-defined]
        single = digits[split][rows.flatten()]
        assert torch.equal(single_digits(columns["image"]), single["image"])
        number = (single["label"].view(3, 3) * torch.tensor([100, 10, 1])).sum(1)
        assert torch.equal(columns["label"], number)
    about = splits["train"].about
    assert len(about.classes) == 1000
    assert min(about.prior) > 0
    assert splits["train"].about.sha256 != splits["test"].about.sha256
    assert open_data(Data(data="stacked-mnist", size=28))["test"].about.shape == (3, 28, 28)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="32 or 28 pixels wide"):
        open_data(Data(data="stacked-mnist", size=64))
