"""Clips: a world whose motion is known, and films from files of every kind that Pillow reads."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring.config import UserError
from sparring.data import Data, clips, open_data
from sparring.data.clips import VIDEOS
from sparring.data.moving import DIRECTIONS, centres, motion


def test_digits_move_as_their_column_says_and_shuffled_ones_do_not() -> None:
    test = open_data(Data(data="moving-digits"))["test"]
    columns = test[torch.arange(200)]
    clips = columns["clip"]
    assert (clips.dtype, tuple(clips.shape[1:])) == (torch.uint8, (1, 8, 16, 16))
    assert torch.equal(motion(clips), columns["label"])
    steps = centres(clips).diff(dim=1)
    torch.testing.assert_close(steps, DIRECTIONS[columns["label"]].float()[:, None].expand_as(steps), atol=1e-4, rtol=0)
    sums = clips.flatten(3).int().sum(3)
    assert (sums == sums[..., :1]).all()  # nothing is cut at the border
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    assert (motion(clips[:, :, order]) < 0).all()
    assert (motion(torch.zeros_like(clips)) < 0).all()


def frame(number: int, side: int = 16) -> Image.Image:
    picture = Image.new("L", (side, side), 20)
    picture.paste(220, (number, number, number + 4, number + 4))
    return picture


def films(folder: Path) -> None:
    """Two folders of pictures and a GIF in each of two classes; frame numbers without leading zeros."""
    for kind in ("up", "down"):
        for name in ("one", "other"):
            (folder / kind / name).mkdir(parents=True)
            for i in range(12):
                frame(i).save(folder / kind / name / f"frame{i}.png")
        first, *others = [frame(i) for i in range(12)]
        first.save(folder / kind / "moving.gif", save_all=True, append_images=others, duration=100)


def test_folders_and_gifs_are_films_with_classes(tmp_path: Path) -> None:
    films(tmp_path)
    splits = open_data(Data(data=str(tmp_path), frames=4, size=16, test=0.34))
    train, test = splits["train"], splits["test"]
    assert (len(train), len(test)) == (12, 6)  # six films of three clips each
    assert train.about.shape == (1, 4, 16, 16)
    assert train.about.classes == ("down", "up")
    columns = train[torch.arange(12)]
    clips = columns["clip"]
    assert set(columns["label"].tolist()) == {0, 1}
    starts = set()
    for clip in clips:  # every clip shows four steps in order, from a multiple of four on
        corners = [int((picture > 128).nonzero()[0, 0]) for picture in clip[0]]
        assert corners == list(range(corners[0], corners[0] + 4))
        starts.add(corners[0])
    assert starts == {0, 4, 8}
    assert not set(columns["film"].tolist()) & set(test[torch.arange(6)]["film"].tolist())
    three = open_data(Data(data=str(tmp_path), frames=4, size=16, test=0.34, validation=0.3))
    seen = {name: set(split[torch.arange(len(split))]["film"].tolist()) for name, split in three.items()}
    assert not seen["train"] & seen["validation"]
    assert seen["train"] | seen["validation"] == set(columns["film"].tolist())
    every_other = open_data(Data(data=str(tmp_path), frames=4, frame_step=2, size=16, test=0.34))["train"]
    corners = [int((picture > 128).nonzero()[0, 0]) for picture in every_other[torch.arange(1)]["clip"][0, 0]]
    assert corners == [0, 2, 4, 6]


def test_only_pictures_that_are_taken_are_decoded_and_what_is_cut_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(12):
        frame(i).save(tmp_path / f"{i}.png")
        if i % 3:
            whole = (tmp_path / f"{i}.png").read_bytes()
            (tmp_path / f"{i}.png").write_bytes(whole[:45] + bytes(len(whole) - 45))  # its header can be read
    train = open_data(Data(data=str(tmp_path), frames=2, frame_step=3, size=16, test=0.5))["train"]
    assert not [note for note in train.about.notes if "left out" in note]
    monkeypatch.setattr(clips, "LONGEST", 10)
    first, *others = [frame(i) for i in range(12)]
    for name in "ab":
        first.save(tmp_path / f"{name}.gif", save_all=True, append_images=others)
    train = open_data(Data(data=str(tmp_path), frames=2, frame_step=3, size=16, test=0.5))["train"]
    assert "left out: a.gif: what comes after its first 10 pictures" in train.about.notes


def test_strips_are_films_and_pictures_twice_as_wide_are_not_unless_asked_for(tmp_path: Path) -> None:
    for number in range(3):
        strip = Image.new("L", (16 * 4, 16))
        for i in range(4):
            strip.paste(frame(i + number), (16 * i, 0))
        strip.save(tmp_path / f"{number}.png")
    source = open_data(Data(data=str(tmp_path), frames=4, strips=True, size=16, test=0.34))["train"]
    assert source.about.shape == (1, 4, 16, 16)
    frame(0).save(tmp_path / "square.png")
    noted = open_data(Data(data=str(tmp_path), frames=4, strips=True, size=16, test=0.34))["train"]
    assert any("square.png: 16x16 is no strip" in note for note in noted.about.notes)
    (tmp_path / "square.png").unlink()
    with pytest.raises(UserError, match="fewer than 2 clips of 2 pictures in 1 films"):
        open_data(Data(data=str(tmp_path), frames=2, size=16))  # three pictures of one film, each 16 wide by cropping


def test_gray_is_gray_and_other_colours_are_refused(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("RGB", (16, 16), (0, 200, 0)).save(tmp_path / name / f"{i}.png")
    gray = open_data(Data(data=str(tmp_path), frames=2, size=16, color="gray"))["train"]
    assert gray[torch.arange(1)]["clip"].unique().tolist() == [117]  # .587 of 200
    with pytest.raises(UserError, match="color=rgba"):
        open_data(Data(data=str(tmp_path), frames=2, color="rgba"))
    with pytest.raises(UserError, match=r"labels=x\.csv"):
        open_data(Data(data=str(tmp_path), frames=2, labels="x.csv"))


def test_what_gives_no_clips_is_told(tmp_path: Path) -> None:
    films(tmp_path)
    (tmp_path / "up" / "broken.gif").write_bytes(b"GIF89a, or so it says")
    with pytest.raises(UserError, match=r"clips of 20 pictures in 0 films.*12 pictures, and clips have 20"):
        open_data(Data(data=str(tmp_path), frames=20, size=16))
    source = open_data(Data(data=str(tmp_path), frames=12, size=16, test=0.34))["train"]
    assert any("broken.gif" in note for note in source.about.notes)
    with pytest.raises(UserError, match="frames=1"):
        open_data(Data(data=str(tmp_path), frames=1))
    for name, value in {"size": 32, "frames": 4, "frame_step": 2, "strips": True}.items():
        with pytest.raises(UserError, match=f"{name}={value}: moving-digits"):
            open_data(Data(data="moving-digits", **{name: value}))  # type: ignore[arg-type]


def test_damaged_animations_are_left_out_and_never_taken_for_pictures(tmp_path: Path) -> None:
    films(tmp_path)
    whole = (tmp_path / "up" / "moving.gif").read_bytes()
    generator = torch.Generator().manual_seed(0)
    for number in range(40):
        damaged = bytearray(whole[: len(whole) - 40 * (number % 2)])
        for place in torch.randint(len(damaged), (6,), generator=generator).tolist():
            damaged[place] ^= 0xFF
        (tmp_path / "up" / f"damaged{number}.gif").write_bytes(damaged)
    source = open_data(Data(data=str(tmp_path), frames=12, size=16, test=0.34))["train"]
    assert sum("damaged" in note for note in source.about.notes) >= 5


def test_videos_are_read_by_their_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}{VIDEOS[0]}").write_bytes(b"no video at all")
    if importlib.util.find_spec("av") is None:
        with pytest.raises(UserError, match=r"pip install 'sparring\[video\]'"):
            open_data(Data(data=str(tmp_path), frames=4))
    else:
        with pytest.raises(UserError, match="cannot be decoded"):
            open_data(Data(data=str(tmp_path), frames=4))
    with pytest.raises(UserError, match="--frames 16"):
        open_data(Data(data=str(tmp_path / "a.mp4")))

    def decoded(name: str, path: Path, reading: clips.Reading) -> clips.Film:
        pictures = (torch.full((1, 3, 20, 20), 10 * i, dtype=torch.uint8) for i in range(12))
        return reading.film(name, reading.chosen(name, pictures), 24.0)

    monkeypatch.setattr(clips, "_video", decoded)
    folder = open_data(Data(data=str(tmp_path), frames=4, size=16, frame_step=2))["train"]
    assert (len(folder), folder.about.rate) == (1, 12.0)
    alone = open_data(Data(data=str(tmp_path / "a.mp4"), frames=4, size=16))
    assert (len(alone["train"]), len(alone["test"])) == (2, 1)
    assert int(alone["test"][torch.arange(1)]["clip"].max()) == 110  # its end


@pytest.mark.parametrize(("name", "value"), [("frames", 4), ("strips", True), ("unit", "words"), ("length", 9)])
def test_settings_of_other_kinds_of_data_are_refused(name: str, value: int | str) -> None:
    with pytest.raises(UserError, match=f"{name}={value} is for"):
        open_data(Data(data="digits", **{name: value}))  # type: ignore[arg-type]
