from importlib.resources import files

import pytest
import torch

from sparring.data.digits import open_digits
from sparring.data.settings import Data


def test_holds_all_scans_in_two_splits() -> None:
    splits = open_digits(Data())
    labels = torch.cat([split[torch.arange(len(split))]["label"] for split in splits.values()])
    # The counts of UCI's optdigits.tes, from its own description.
    assert torch.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_columns_and_about_agree() -> None:
    for split in open_digits(Data()).values():
        row = split[torch.tensor([0, 1])]
        assert row["image"].dtype == torch.uint8
        assert row["image"].shape == (2, *split.about.shape) == (2, 1, 8, 8)
        assert row["label"].dtype == torch.int64
        assert split.about.classes == tuple("0123456789")
        assert sum(split.about.prior) == pytest.approx(1)
        assert any("CC BY 4.0" in note for note in split.about.notes)


def test_counts_of_sixteen_become_the_full_range() -> None:
    train = open_digits(Data())["train"]
    values = set(train[torch.arange(len(train))]["image"].flatten().tolist())
    assert sorted(values) == [round(count * 255 / 16) for count in range(17)]


def test_first_scan_is_the_known_zero() -> None:
    train, test = open_digits(Data()).values()
    every = torch.cat([train[torch.arange(len(train))]["image"], test[torch.arange(len(test))]["image"]])
    first = torch.tensor([0, 0, 5, 13, 9, 1, 0, 0])  # top row of the first line of optdigits.tes
    second = torch.tensor([0, 0, 13, 15, 10, 15, 5, 0])
    wanted = torch.stack([first, second]).mul(255 / 16).round().to(torch.uint8)
    assert (every[:, 0, :2] == wanted).all(dim=2).all(dim=1).any()


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_split_is_even_over_classes_and_repeatable(share: float) -> None:
    first, again = open_digits(Data(test=share)), open_digits(Data(test=share))
    assert first["train"].about.sha256 == again["train"].about.sha256 != first["test"].about.sha256
    full = torch.tensor([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    held_out = torch.tensor(first["test"].about.prior) * len(first["test"])
    assert (held_out - full * share).abs().max() <= 0.51


def test_smallest_share_leaves_every_digit_in_test() -> None:
    assert len(open_digits(Data(test=1e-6))["test"]) == 10


def test_settings_bring_to_size_and_color() -> None:
    train = open_digits(Data(size="16x12", color="rgb", fit="stretch"))["train"]
    assert train.about.shape == train[torch.tensor([0])]["image"].shape[1:] == (3, 16, 12)


def test_attribution_lies_next_to_the_data() -> None:
    text = files("sparring.data").joinpath("digits-LICENSE.txt").read_text(encoding="utf-8")
    assert all(part in text for part in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"))
