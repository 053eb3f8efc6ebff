"""Texts from files: what is one text, what is a word, what is left out, and what is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.data.kinds import GROUPS, word_groups
from sparring.data.words import STRANGE, numbered, written


def test_lines_of_words_come_back_as_they_were(tmp_path: Path) -> None:
    lines = [f"the {animal} sat on mat {i % 4}" for i in range(20) for animal in ("cat", "dog")]
    file = tmp_path / "animals.txt"
    file.write_text("\n".join([*lines, "", "   ", " ".join(["long"] * 41)]))
    splits = open_data(Data(data=str(file), test=0.25))
    train, test = splits["train"], splits["test"]
    assert (len(train), len(test), train.about.shape) == (30, 10, (6,))
    found = [line for s in (train, test) for line in written(s[torch.arange(len(s))]["text"], s.about)]
    assert sorted(found) == sorted(lines)
    assert train.about.notes == ("1 lines longer than 40 words are left out",)


def test_a_folder_of_files_has_classes_and_rare_words_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("so bad\n" * 8 + "so awful\n")
    (tmp_path / "good.txt").write_text("so good\n" * 8)
    source = open_data(Data(data=str(tmp_path), test=0.2, vocabulary=3))["train"]
    every = source[torch.arange(len(source))]
    assert source.about.classes == ("bad", "good")
    assert source.about.vocabulary == ("bad", "good", "so")
    for line, label in zip(written(every["text"], source.about), every["label"].tolist(), strict=True):
        assert line in (["so bad", f"so {STRANGE}"], ["so good"])[label]


def test_poems_are_characters_and_running_text_is_windows_of_letters(tmp_path: Path) -> None:
    poem = tmp_path / "poem.txt"
    poem.write_text("床前明月光\n疑是地上霜\n举头望明月\n低头思故乡\n", encoding="utf-8")
    source = open_data(Data(data=str(poem), test=0.25))["train"]
    assert (source.about.shape, source.about.characters) == ((5,), True)
    assert all(len(line) == 5 for line in written(source[torch.arange(3)]["text"], source.about))
    prose = tmp_path / "prose.txt"
    prose.write_text("It was 1 day; the NEXT one was not.\n" * 9)
    source = open_data(Data(data=str(prose), unit="letters", length=8))["train"]
    text = "it was day the next one was not " * 9
    assert {len(line) for line in written(source[torch.arange(len(source))]["text"], source.about)} == {8}
    assert all(line in text for line in written(source[torch.arange(len(source))]["text"], source.about))


def test_words_that_only_held_out_texts_have_are_unknown(tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text("\n".join(f"number {i}" for i in range(40)))
    splits = open_data(Data(data=str(file), test=0.25))
    assert len(splits["train"].about.vocabulary) == 31
    assert written(splits["test"][torch.arange(10)]["text"], splits["test"].about) == [f"number {STRANGE}"] * 10


def test_folders_are_read_as_pictures_are(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "A.TXT").write_text("one two\nthree four\n")
    (tmp_path / "._A.txt").write_bytes(b"\xff\xfe")
    assert len(open_data(Data(data=str(tmp_path), test=0.5))["train"]) == 1
    (tmp_path / "b.txt").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match="a link that leaves the folder"):
        open_data(Data(data=str(tmp_path)))
    (tmp_path / "b.txt").unlink()
    for i in range(3):  # a single picture, and texts are notes on pictures
        Image.new("L", (8, 8), i).save(tmp_path / f"{i}.png")
    assert open_data(Data(data=str(tmp_path), size=8, test=0.3))["train"].about.key == "image"
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        archive.writestr("a.txt", "one\ntwo\n")
    with pytest.raises(UserError, match="unpack it"):
        open_data(Data(data=str(tmp_path / "texts.zip")))


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"\xff\xfe\x00a", {}, "not UTF-8"),
        (b"one line\n", {}, "fewer than 2"),
        (b"a b\nc d\n", {"size": 32}, "size=32: texts have no size"),
        (b"a b\nc d\n", {"length": 1}, "length=1 must be"),
        (b"a b c\nc d e\n", {"length": 2}, "of its 2 texts all but 0 are longer than 2 words; use a larger --length"),
        (b"a b\nc d\n", {"vocabulary": 1}, "vocabulary=1"),
    ],
)
def test_what_cannot_be_read_is_told(content: bytes, settings: dict[str, int], message: str, tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_data(Data(data=str(file), **settings))  # type: ignore[arg-type]


def test_a_file_without_a_text_is_no_class(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("all is well\nit is fine\n" * 3)
    (tmp_path / "bad.txt").write_text("it went on and on\n" * 7)
    with pytest.raises(UserError, match=r"bad.txt: all of its 7 texts are longer than 4 words; use a larger --length"):
        open_data(Data(data=str(tmp_path), length=4))
    (tmp_path / "bad.txt").write_text("\n")
    with pytest.raises(UserError, match=r"bad.txt: it has no texts, or take it out"):
        open_data(Data(data=str(tmp_path)))
    (tmp_path / "bad.txt").write_text("bad")
    with pytest.raises(UserError, match="no two windows of 48 letters; use a smaller --length"):
        open_data(Data(data=str(tmp_path / "bad.txt"), unit="letters"))


def test_texts_of_the_same_words_lie_close_from_afar() -> None:
    said = ["a cat sat on a mat", "a cat sat on the mat", "where have all my shoes gone today"]
    words = [text.split() for text in said]
    rows = numbered(words, sorted({word for text in words for word in text}), 8)
    seen = word_groups(rows)
    assert seen.shape == (3, GROUPS)
    torch.testing.assert_close(seen.square().sum(1), torch.ones(3))
    apart = torch.cdist(seen, seen)
    assert apart[0, 1] < 0.7 * apart[0, 2]
