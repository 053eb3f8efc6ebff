"""Sources beside images: views, halves, other sets, with pairs and without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.data.loader import Augment, batches
from sparring.data.views import domains, edges, pictures_alone, small, unpaired

ALL = torch.arange(20)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders whose pictures have the same names; the second is the first, inverted."""
    for i in range(12):
        colour = (20 * i, 200, 10)
        for name, shown in (("a", colour), ("b", tuple(255 - c for c in colour))):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (16, 16), shown).save(tmp_path / name / f"{i:02d}.png")
    return tmp_path / "a", tmp_path / "b"


def test_a_view_lies_beside_its_picture_and_changes_the_hash() -> None:
    plain, viewed = open_data(Data())["train"], open_data(Data(source="inverted"))["train"]
    columns = viewed[ALL]
    assert torch.equal(columns["image"], plain[ALL]["image"])
    assert torch.equal(columns["source"], 255 - columns["image"])
    assert viewed.about.source == plain.about.shape
    assert viewed.about.paired
    assert viewed.about.sha256 != plain.about.sha256


def test_edges_are_where_brightness_changes_and_small_is_smaller() -> None:
    picture = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    picture[..., 4:] = 200
    found = edges(picture)
    assert found.shape == (1, 1, 8, 8)
    assert bool((found[..., 3:5] == 200).all())
    assert not bool(found[..., :3].any())
    assert not bool(found[..., 5:].any())
    assert small(picture, 4).shape == picture.shape
    assert float((small(picture, 4).float() - picture).abs().max()) > 30  # what was sharp is not


def test_side_by_side_pictures_are_cut_in_the_middle(tmp_path: Path) -> None:
    for i in range(8):
        sheet = Image.new("RGB", (64, 32), (255, 0, 0))
        sheet.paste((0, 0, 30 * i), (32, 0, 64, 32))
        sheet.save(tmp_path / f"{i}.png")
    source = open_data(Data(data=str(tmp_path), source="left", size=32))["train"]
    columns = source[torch.arange(len(source))]
    assert columns["image"].shape == columns["source"].shape == (len(source), 3, 32, 32)
    assert source.about.shape == source.about.source == (3, 32, 32)
    assert bool((columns["source"][:, 0] == 255).all())
    assert not bool(columns["image"][:, :2].any())


def test_two_folders_with_pairs_and_without(folders: tuple[Path, Path]) -> None:
    first, second = map(str, folders)
    for paired in (True, False):
        source = open_data(Data(data=first, source=second, paired=paired, size=16))["train"]
        columns = source[torch.arange(len(source))]
        assert torch.equal(columns["image"], 255 - columns["source"]) is paired
        assert source.about.paired is paired


def test_pairs_of_unequal_numbers_are_refused_and_unknown_sources_named(folders: tuple[Path, Path]) -> None:
    first, second = map(str, folders)
    (folders[1] / "11.png").unlink()
    long = open_data(Data(data=second, source=first, size=16))["train"]
    assert len(long) == 11  # the longer of the two: no picture is never seen
    with pytest.raises(UserError, match=r"paired: digits has 1,618 pictures and .*a has 11"):
        open_data(Data(data="digits", source=first, paired=True, size=16))
    assert len(open_data(Data(data=first, source=second, size=16))["train"])
    with pytest.raises(UserError, match="source=edgs"):
        open_data(Data(source="edgs"))
    with pytest.raises(UserError, match="points"):
        open_data(Data(data="ring", source="edges"))
    with pytest.raises(UserError, match="too small"):
        open_data(Data(data=first, source="small:4", size=2))


def test_pairs_go_by_name_whatever_is_missing_or_in_another_split(folders: tuple[Path, Path]) -> None:
    first, second = folders
    (second / "03.png").unlink()
    (second / "05.png").rename(second / "05.bmp")  # another ending is the same name
    splits = open_data(Data(data=str(first), source=str(second), paired=True, size=16, test=0.4))
    assert sum(len(split) for split in splits.values()) == 11
    for split in splits.values():
        columns = split[torch.arange(len(split))]
        assert torch.equal(columns["image"], 255 - columns["source"])
    noted = [note for split in splits.values() for note in split.about.notes if "no partner" in note]
    assert len(noted) == 1
    assert noted[0].startswith("1 pictures of ")
    for file in second.iterdir():
        file.rename(file.with_stem(f"x{file.stem}"))
    with pytest.raises(UserError, match=r"no file of the one set has the name .*00 is not in the second"):
        open_data(Data(data=str(first), source=str(second), paired=True, size=16))


def test_domains_lie_beside_pictures_of_any_domain() -> None:
    plain = open_data(Data())["train"]
    mixed = domains(plain)
    assert (mixed.about.source, mixed.about.paired) == (plain.about.shape, False)
    everything = torch.arange(len(plain))
    columns = mixed[everything]
    assert torch.equal(columns["label"], plain[everything]["label"])
    totals = [columns[name].flatten(1).sum(1).sort().values for name in ("image", "source")]
    assert torch.equal(*totals)
    assert not torch.equal(columns["image"], columns["source"])


def test_unpairing_keeps_both_sets_and_no_pair() -> None:
    source = open_data(Data(source="inverted"))["train"]
    loose = unpaired(source)
    everything = torch.arange(len(source))
    before, after = source[everything], loose[everything]
    assert torch.equal(before["image"], after["image"])
    order = before["source"].flatten(1).sum(1).sort().values
    assert torch.equal(order, after["source"].flatten(1).sum(1).sort().values)
    same = (before["source"] == after["source"]).flatten(1).all(1).float().mean()
    assert float(same) < 0.02
    assert not loose.about.paired


def test_a_picture_and_its_source_are_moved_alike() -> None:
    source = open_data(Data(source="inverted"))["train"]
    batch = next(batches(source, 8, 0, augment=Augment(flip=True)))
    assert torch.allclose(batch["image"], -batch["source"], atol=1e-6)


def test_pictures_alone_are_those_of_before_so_that_one_judge_serves_every_view(tmp_path: Path) -> None:
    plain = open_data(Data(validation=0.2))
    for name in ("inverted", "reduced:2", "masked"):
        viewed = open_data(Data(source=name, validation=0.2))
        for split, source in viewed.items():
            alone = pictures_alone(source)
            assert alone.about == plain[split].about
            assert set(alone[ALL]) == {"image", "label"}
            assert torch.equal(alone[ALL]["image"], plain[split][ALL]["image"])
        assert viewed["train"].about.sha256 != plain["train"].about.sha256
    assert pictures_alone(plain["train"]) is plain["train"]
    for i in range(8):
        Image.new("RGB", (64, 32), (i, 0, 0)).save(tmp_path / f"{i}.png")
    halves = pictures_alone(open_data(Data(data=str(tmp_path), source="left", size=32))["train"])
    assert set(halves[torch.arange(2)]) == {"image"}


def test_a_stem_that_comes_twice_costs_no_other_pair(folders: tuple[Path, Path]) -> None:
    first, second = folders
    for file in second.iterdir():
        file.rename(file.with_suffix(".bmp"))
    Image.new("RGB", (16, 16), (0, 0, 0)).save(first / "00.bmp")
    Image.new("RGB", (16, 16), (255, 255, 255)).save(second / "00.png")
    splits = open_data(Data(data=str(first), source=str(second), paired=True, size=16, test=0.4))
    assert sum(len(split) for split in splits.values()) == 13  # 00.png and 00.bmp each beside their own
