"""Clips: a world whose motion is known, and films from files of every kind that Pillow reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring.config import UserError
from sparring.data import Data, open_data
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
    """A folder of pictures, a strip and a GIF in each of two classes; frame numbers without leading zeros."""
    for kind in ("up", "down"):
        (folder / kind / "single").mkdir(parents=True)
        for i in range(12):
            frame(i).save(folder / kind / "single" / f"frame{i}.png")
        strip = Image.new("L", (16 * 12, 16))
        for i in range(12):
            strip.paste(frame(i), (16 * i, 0))
        strip.save(folder / kind / "strip.png")
        first, *others = [frame(i) for i in range(12)]
        first.save(folder / kind / "moving.gif", save_all=True, append_images=others, duration=100)


def test_folders_strips_and_gifs_are_films_with_classes(tmp_path: Path) -> None:
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
    every_other = open_data(Data(data=str(tmp_path), frames=4, frame_step=2, size=16, test=0.34))["train"]
    corners = [int((picture > 128).nonzero()[0, 0]) for picture in every_other[torch.arange(1)]["clip"][0, 0]]
    assert corners == [0, 2, 4, 6]


def test_what_gives_no_clips_is_told(tmp_path: Path) -> None:
    films(tmp_path)
    (tmp_path / "up" / "broken.gif").write_bytes(b"GIF89a, or so it says")
    with pytest.raises(UserError, match=r"0 films of at least 20 pictures.*12 pictures, and clips have 20"):
        open_data(Data(data=str(tmp_path), frames=20, size=16))
    source = open_data(Data(data=str(tmp_path), frames=12, size=16, test=0.34))["train"]
    assert any("broken.gif" in note for note in source.about.notes)
    with pytest.raises(UserError, match="frames=1"):
        open_data(Data(data=str(tmp_path), frames=1))
    with pytest.raises(UserError, match="size=32: moving-digits"):
        open_data(Data(data="moving-digits", size=32))


def test_videos_need_the_library_that_reads_them(tmp_path: Path) -> None:
    film = tmp_path / f"film{VIDEOS[0]}"
    film.write_bytes(b"no video at all")
    with pytest.raises(UserError, match=r"pip install 'sparring\[video\]'|0 films"):
        open_data(Data(data=str(film), frames=4))
