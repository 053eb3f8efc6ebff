"""Sounds from files: rates, depths, lengths, names, splits, and what is refused."""

from __future__ import annotations

import io
import math
import struct
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.data.inspect import together
from sparring.data.sounds import MOST, evened, resampled
from sparring.data.source import names_of


def tone(seconds: float = 0.1, rate: int = 8000, pitch: float = 440.0) -> torch.Tensor:
    return torch.sin(2 * math.pi * pitch * torch.arange(round(seconds * rate)) / rate)


def file_of(sound: torch.Tensor, rate: int = 8000, width: int = 2, channels: int = 1) -> bytes:
    out = io.BytesIO()
    scaled = (0.5 * sound.double().numpy() * 2 ** (8 * width - 1)).round().astype(np.int64)
    raw = (scaled + (128 if width == 1 else 0)).astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(raw[:, None], channels, 1).tobytes())
    return out.getvalue()


def digits(folder: Path, count: int = 6) -> Path:
    for digit in range(3):
        for index in range(count):
            name = f"{digit}_ann_{index}.wav"
            (folder / name).write_bytes(file_of(tone(0.1 + 0.01 * index, pitch=200.0 * (digit + 1))))
    return folder


def test_names_label_and_a_rule_for_names_splits(tmp_path: Path) -> None:
    splits = open_data(Data(data=str(digits(tmp_path)), labels="names", test_names="_[01]$"))
    train, test = splits["train"], splits["test"]
    assert (len(train), len(test)) == (12, 6)
    assert (train.about.key, train.about.shape, train.about.rate) == ("sound", (1, 2048), 8000.0)
    assert train.about.classes == ("0", "1", "2")
    assert all(
        int(name[0]) == label for name, label in zip(names_of(test), test[torch.arange(6)]["label"], strict=True)
    )
    assert {name[-5] for name in names_of(test)} == {"0", "1"}
    sounds = train[torch.arange(12)]["sound"]
    assert sounds.dtype == torch.int16
    assert sounds.amax((1, 2)).tolist() == pytest.approx([0.95 * 32767] * 12, rel=1e-3)
    assert not bool(sounds[:, :, 1200:].any())  # silence behind the end
    by_speaker = Data(data=str(tmp_path), labels="names:3", test_names="^0")
    assert open_data(by_speaker)["train"].about.classes == tuple("012345")


def test_a_zip_with_sub_folders_is_read_alike_and_long_sounds_become_pieces(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "music.zip", "w") as archive:
        for kind, pitch in (("low", 100.0), ("high", 900.0)):
            for index in range(4):
                archive.writestr(f"set/{kind}/{index}.wav", file_of(tone(0.5, pitch=pitch)))
        archive.writestr("set/README.md", "not a sound")
    settings = Data(data=str(tmp_path / "music.zip"), seconds=0.128, cut="pieces", test=0.25)
    splits = open_data(settings)
    assert splits["train"].about.classes == ("high", "low")
    assert (len(splits["train"]), len(splits["test"])) == (24, 8)  # pieces of a file stay together
    assert not set(names_of(splits["train"])) & set(names_of(splits["test"]))
    whole = open_data(Data(data=str(tmp_path / "music.zip"), seconds=0.128))
    assert len(whole["train"]) + len(whole["test"]) == 8
    assert "8 of 8 sounds are cut to 0.13 seconds" in whole["train"].about.notes


def test_pieces_of_a_recording_are_never_on_both_sides(tmp_path: Path) -> None:
    for index in range(4):
        (tmp_path / f"{index}.wav").write_bytes(file_of(tone(0.5, pitch=100.0 + 100 * index)))
    splits = open_data(Data(data=str(tmp_path), seconds=0.128, cut="pieces", test=0.25, validation=0.3))
    assert {name: len(split) for name, split in splits.items()} == {"train": 8, "validation": 4, "test": 4}
    assert not set(names_of(splits["train"])) & set(names_of(splits["validation"]))


def test_of_a_single_recording_the_end_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "one.wav").write_bytes(file_of(torch.linspace(-1, 1, 8192)))
    splits = open_data(Data(data=str(tmp_path / "one.wav"), seconds=0.128, cut="pieces", test=0.25, validation=0.2))
    means = {name: split[torch.arange(len(split))]["sound"].float().mean((1, 2)) for name, split in splits.items()}
    assert [len(means[name]) for name in ("train", "validation", "test")] == [5, 1, 2]
    assert means["train"].max() < means["validation"].min() < means["test"].min()
    assert "there is one file: its end is held out" in splits["train"].about.notes


@pytest.mark.parametrize(
    ("kind", "bits", "sample", "message"),
    [(1, 64, b"\1" * 8, "64 bits; 8, 16, 24 or 32"), (3, 32, struct.pack("<f", float("nan")), "NaN or infinity")],
)
def test_a_strange_file_is_left_out_and_says_why(
    kind: int, bits: int, sample: bytes, message: str, tmp_path: Path
) -> None:
    for index in range(3):
        (tmp_path / f"{index}.wav").write_bytes(file_of(tone(pitch=200.0 + index)))
    if kind == 3:
        pytest.importorskip("soundfile")
    body, size = sample * 500, bits // 8
    form = struct.pack("<HHIIHH", kind, 1, 8000, 8000 * size, size, bits)
    (tmp_path / "odd.wav").write_bytes(
        struct.pack("<4sI4s4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16)
        + form + struct.pack("<4sI", b"data", len(body)) + body
    )  # fmt: skip
    notes = " ".join(open_data(Data(data=str(tmp_path)))["train"].about.notes)
    assert "odd.wav" in notes
    assert message in notes


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_depth_of_pcm_and_two_channels_say_the_same(width: int, tmp_path: Path) -> None:
    for index in range(4):
        (tmp_path / f"{index}.wav").write_bytes(file_of(tone(pitch=300.0 + index), width=width, channels=2))
    source = open_data(Data(data=str(tmp_path)))["train"]
    sound = source[torch.tensor([0])]["sound"][0, 0, :800].float() / 32767
    wanted = tone(pitch=300.0 + int(names_of(source)[0][0]))
    assert float((sound - 0.95 * wanted).abs().max()) < (0.03 if width == 1 else 0.002)


@pytest.mark.parametrize(("before", "after"), [(44_100, 8000), (8000, 22_050), (11_025, 16_000)])
def test_a_tone_keeps_its_pitch_at_another_rate(before: int, after: int) -> None:
    given, wanted = (tone(0.2, rate, 440.0) for rate in (before, after))
    found = resampled(given, before, after)
    assert abs(len(found) - len(wanted)) <= 1
    middle = slice(len(wanted) // 4, 3 * len(wanted) // 4)
    torch.testing.assert_close(found[middle], wanted[middle], atol=0.01, rtol=0)
    hiss = resampled(tone(0.2, 44_100, 9000.0), 44_100, 8000)  # above half the new rate: left out, not folded down
    assert float(hiss[200:-200].abs().max()) < 0.01
    assert float(evened(0.01 * given).abs().max()) == pytest.approx(0.95)


def test_inspection_says_what_it_looks_at(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has sounds, and data inspect looks at pictures"):
        together(open_data(Data(data=str(digits(tmp_path)))))


def test_bad_files_are_left_out_and_named(tmp_path: Path) -> None:
    digits(tmp_path)
    (tmp_path / "3_x_0.wav").write_bytes(b"RIFF nonsense")
    (tmp_path / "4_x_0.wav").write_bytes(file_of(torch.zeros(800)))
    forged = bytearray(file_of(tone()))
    forged[40:44] = struct.pack("<I", 2**32 - 1)  # says that it holds 4 GiB: what is there is read
    (tmp_path / "5_x_0.wav").write_bytes(bytes(forged))
    whole = bytearray(file_of(tone()))
    whole[24:28] = struct.pack("<I", 7)  # samples a second
    (tmp_path / "6_x_0.wav").write_bytes(bytes(whole))
    (tmp_path / "7_x_0.wav").write_bytes(b"")
    splits = open_data(Data(data=str(tmp_path)))
    assert sum(map(len, splits.values())) == 19
    [note] = [note for note in splits["train"].about.notes if "left out" in note]
    assert note.startswith("4 files are left out: ")


def test_flac_is_read_where_soundfile_is_there_and_told_where_not(tmp_path: Path) -> None:
    try:
        import soundfile
    except ModuleNotFoundError:
        (tmp_path / "a.flac").write_bytes(b"fLaC")
        with pytest.raises(UserError, match=r"pip install 'sparring\[sounds\]'"):
            open_data(Data(data=str(tmp_path)))
        return
    for index in range(3):
        soundfile.write(tmp_path / f"{index}.flac", tone(0.2).numpy(), 8000)
    soundfile.write(tmp_path / "3.wav", tone(0.2).numpy(), 8000, subtype="FLOAT")
    splits = open_data(Data(data=str(tmp_path)))
    assert sum(map(len, splits.values())) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 32}, "size=32: sounds have no size"),
        ({"rate": 10}, "rate=10 is not"),
        ({"seconds": 0.0}, "seconds=0.0 must be"),
        ({"labels": "some.csv"}, "--labels names"),
        ({"labels": "names:4"}, "fewer than 4 parts"),
        ({"labels": "names:2"}, "all names say ann"),
        ({"test_names": "("}, "no regular expression"),
        ({"test_names": "zebra"}, "found in none"),
        ({"test_names": "ann"}, "found in all"),
        ({"rate": 192_000, "seconds": 600.0}, f"at most {MOST:,} samples"),
    ],
)
def test_settings_that_cannot_be_are_told(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        open_data(Data(data=str(digits(tmp_path)), **settings))  # type: ignore[arg-type]
