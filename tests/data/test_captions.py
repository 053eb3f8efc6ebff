"""Sentences beside pictures: read as words, matched to files, and refused where they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring import session, trained
from sparring.config import UserError
from sparring.data import Data, open_data, shapes
from sparring.data.captions import tokens, words
from sparring.data.words import STRANGE, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(12):
        Image.new("RGB", (16, 16), (20 * i, 0, 0)).save(tmp_path / f"a Red-square_{i}.png")
    return tmp_path


def test_words_are_runs_of_letters_and_digits() -> None:
    assert words("A small, RED heart_2 (top-left)!") == ["a", "small", "red", "heart", "2", "top", "left"]
    assert words("字 \u00c9t\u00e9") == ["字", "\u00e9t\u00e9"]


def test_captions_of_shapes_say_what_is_drawn() -> None:
    splits = open_data(Data(data="shapes", captions="own"))
    train = splits["train"]
    index = torch.tensor([3, 1999, 7])
    columns = train[index]
    said = shapes.captions(columns["factors"])
    assert written(columns["caption"], train.about) == [" ".join(words(text)) for text in said]
    assert torch.equal(tokens(said, train.about), columns["caption"])
    assert splits["test"].about.vocabulary == train.about.vocabulary
    assert train.about.sha256 != open_data(Data(data="shapes"))["train"].about.sha256


def test_unknown_words_are_one_number_or_named() -> None:
    about = open_data(Data(data="shapes", captions="own"))["train"].about
    row = tokens(["a purpel heart"], about)[0]
    assert row[1] == 1
    assert written(row[None], about) == [f"a {STRANGE} heart"]
    with pytest.raises(UserError, match=r"'purpel' .did you mean 'purple'"):
        tokens(["a purpel heart"], about, strict=True)
    with pytest.raises(UserError, match="no words"):
        tokens(["..."], about, strict=True)


def test_names_tables_and_classes_are_captions(folder: Path, tmp_path: Path) -> None:
    named = open_data(Data(data=str(folder), captions="names", size=16))["train"]
    assert written(named[torch.tensor([0])]["caption"], named.about)[0].startswith("a red square ")
    table = tmp_path / "said.tsv"
    table.write_text("file\tname\tgroup\n" + "".join(f"a Red-square_{i}.png\tnumber {i}\tx\n" for i in range(11)))
    splits = open_data(Data(data=str(folder), captions=str(table), size=16))
    assert sum(len(split) for split in splits.values()) == 11
    assert any("1 pictures" in note for split in splits.values() for note in split.about.notes)
    for split in splits.values():
        columns = split[torch.arange(len(split))]
        for row, image in zip(columns["caption"], columns["image"], strict=True):
            told = written(row[None], split.about)[0].removeprefix("number ")
            assert told in (str(int(image[0, 0, 0]) // 20), STRANGE)  # a number that only the test split has is unknown
    digits = open_data(Data(captions="classes"))["train"]
    columns = digits[torch.arange(5)]
    assert written(columns["caption"], digits.about) == [str(int(c)) for c in columns["label"]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"captions": "own"}, "captions=own: digits"),
        ({"captions": "names"}, "has no files"),
        ({"data": "swiss-roll", "captions": "classes"}, "has no classes"),
        ({"captions": "own", "source": "edges"}, "pictures are made from one"),
    ],
)
def test_captions_that_are_not_there_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_data(Data(**settings))  # type: ignore[arg-type]


def test_tables_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "said.csv"
    for text, message in (
        ("b.png,one\n", "begins with b.png, the pictures with a Red"),
        ("a Red-square_0.png\n", "after a comma or tab"),
        ("", "begins with nothing"),
    ):
        table.write_text(text)
        with pytest.raises(UserError, match=message):
            open_data(Data(data=str(folder), captions=str(table), size=16))
    with pytest.raises(UserError, match="neither names, classes, own nor a file"):
        open_data(Data(data=str(folder), captions="nmaes", size=16))


def test_a_trained_run_draws_what_it_is_told(tmp_path: Path) -> None:
    run = session.train(
        "text_to_image", runs=str(tmp_path), data="shapes", captions="own", size=16, rounds=2, snapshots=1, quiet=True,
        evaluate=False,
    )  # fmt: skip
    first = run.sample(3, caption="a small red heart at the top left", seed=1)
    assert torch.equal(first, run.sample(3, caption="A small red HEART, at the top left.", seed=1))
    assert not torch.equal(first, run.sample(3, caption="a large blue circle at the right", seed=1))
    assert run.sample(3).shape == (3, 3, 16, 16)
    with pytest.raises(UserError, match="never showed the word 'pink'"):
        run.sample(1, caption="a pink heart")
    with pytest.raises(UserError, match="trained without labels"):
        run.sample(1, label=0)


def test_a_sentence_may_hold_commas_and_one_picture_has_one(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "said.csv"
    table.write_text("".join(f"a Red-square_{i}.png,red, and number {i}\n" for i in range(12)))
    train = open_data(Data(data=str(folder), captions=str(table), size=16))["train"]
    assert written(train[torch.tensor([0])]["caption"], train.about)[0].startswith("red and number")
    quoted = tmp_path / "said.tsv"
    quoted.write_text("file\tsaid\n" + "".join(f'a Red-square_{i}.png\ta 5" square\n' for i in range(12)))
    train = open_data(Data(data=str(folder), captions=str(quoted), size=16))["train"]
    assert written(train[torch.tensor([0])]["caption"], train.about) == ["a 5 square"]
    table.write_text("a Red-square_0.png,one\na Red-square_0.png,two\n")
    with pytest.raises(UserError, match="two sentences, 'one' and 'two'"):
        open_data(Data(data=str(folder), captions=str(table), size=16))


def test_the_vocabulary_is_what_training_sees_and_part_of_the_hash() -> None:
    few = open_data(Data(data="shapes", captions="own", limit=4))["train"].about
    every = open_data(Data(data="shapes", captions="own"))["train"].about
    assert len(few.vocabulary) < len(every.vocabulary)
    assert few.sha256 != every.sha256
    with pytest.raises(UserError, match="never showed the word"):
        tokens([" ".join(sorted(set(every.vocabulary) - set(few.vocabulary)))], few, strict=True)


def test_a_run_remembers_where_its_captions_are(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "said.csv").write_text("".join(f"a Red-square_{i}.png,number {i}\n" for i in range(12)))
    monkeypatch.chdir(tmp_path)
    run = session.train(
        "text_to_image", runs=str(tmp_path / "runs"), data=str(folder), captions="said.csv", size=16, rounds=1,
        snapshots=1, quiet=True, evaluate=False,
    )  # fmt: skip
    monkeypatch.chdir("/")
    assert (
        trained.load(run.path).sample(1, caption="number 1" if "1" in run.about.vocabulary else "number").shape[0] == 1
    )
