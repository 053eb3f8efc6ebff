"""Runs on sounds from beginning to end: what they show, what they are judged by, what can be heard of them."""

from __future__ import annotations

import dataclasses
import wave
from pathlib import Path

import pytest
import torch
from rich.console import Console

import sparring
from sparring import cli, show
from sparring.config import UserError, read_json
from sparring.data import Data, open_data
from sparring.judge import judge_of
from sparring.machine import find_machine
from sparring.runs import How, read_events


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hums")
    for i in range(40):
        tone = torch.sin(torch.arange(2048) * (0.05 + 0.01 * i))
        (folder / f"{i}.wav").write_bytes(show.wave_file((9000 * tone).to(torch.int16), 8000))
    return folder


def trained(recipe: str, sounds: Path, runs: Path, **settings: object) -> sparring.Run:
    return sparring.train(
        recipe, data=str(sounds), test=0.4, rounds=2, batch=8, threads=1, snapshots=1, quiet=True, runs=str(runs),
        **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def speaker(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    return trained("melgan", sounds, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def voice(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    return trained("vocoder", sounds, tmp_path_factory.mktemp("runs"), evaluate=False)


def test_spectrograms_are_judged_by_spectrograms_and_heard(speaker: sparring.Run, tmp_path: Path) -> None:
    run = sparring.load(speaker.path)
    assert (run.about.key, run.about.shape, run.about.hop, run.about.rate) == ("image", (1, 32, 16), 128, 8000.0)
    result = read_json(run.path / "evaluation.json")
    assert result["extractor"]["name"] == "pixels 8x8"
    assert result["samples"] == 24
    assert cli.main(["sample", str(run.path), "--n", "3", "--out", str(tmp_path / "three.png")]) == 0
    with wave.open(str(tmp_path / "three.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 3 * (2048 + 256))
        assert any(file.readframes(2048))
    shown = [event for event in read_events(run.path) if event["event"] == "samples"]
    assert all((run.path / event["beside"]["wav"]).is_file() for event in shown)
    assert "audio/wav" in (run.path / "report.html").read_text()


def test_a_vocoder_makes_held_out_sounds_again(voice: sparring.Run) -> None:
    run = voice
    made = run.sample(5, seed=3)
    assert (made.dtype, made.shape) == (torch.int16, (5, 1, 2048))
    assert torch.equal(made, run.sample(5, seed=3))
    assert not torch.equal(made, run.sample(5, seed=4))  # of other sounds
    shown = [event for event in read_events(run.path) if event["event"] == "samples"]
    assert shown[-1]["rows"] == 2  # what it makes, and the truth
    far = run.evaluate()["metrics"]["spectral distance"]
    assert far["better"] == "lower"
    assert 0 < far["se"] < far["value"] < 60


def test_spectrograms_are_heard_by_a_vocoder_that_learnt_the_same(
    speaker: sparring.Run, voice: sparring.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "vocoder.png", tmp_path / "phases.png"]
    for file, more in zip(files, (["--vocoder", str(voice.path)], []), strict=True):
        assert cli.main(["sample", str(speaker.path), "--n", "2", "--out", str(file), *more]) == 0
    one, other = (file.with_suffix(".wav").read_bytes() for file in files)
    assert len(one) == len(other)
    assert one != other
    assert cli.main(["sample", str(speaker.path), "--vocoder", str(speaker.path), "--out", str(files[0])]) == 2
    assert "makes no waves of spectrograms" in " ".join(capsys.readouterr().err.split())
    assert cli.main(["sample", str(voice.path), "--vocoder", str(voice.path)]) == 2
    assert "makes no spectrograms" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(UserError, match="train both with the same numbers"):
        voice.voiced(speaker.sample(1), dataclasses.replace(speaker.about, hop=64))


def test_sounds_of_another_rate_judge_no_samples(
    speaker: sparring.Run, voice: sparring.Run, sounds: Path, tmp_path: Path
) -> None:
    for run, length in ((voice, 2048), (speaker, 1024)):  # as many samples, and as many columns
        other = Data(data=str(sounds), test=0.4, rate=4000, seconds=length / 4000)
        with pytest.raises(UserError, match=r"4000 samples a second .* learnt 8000"):
            sparring.load(run.path).evaluate(against=other, judge="pixels")


def test_sounds_without_labels_are_judged_from_afar_and_are_no_pictures(sounds: Path) -> None:
    splits = open_data(Data(data=str(sounds), test=0.4))
    assert splits["train"].about.classes == ()
    by = judge_of(splits, find_machine(How(threads=1), "sound"), Console(quiet=True))
    assert by.name == "sounds from afar"
    with pytest.raises(UserError, match="models pictures or points"):
        sparring.train("dcgan", data=str(sounds), rounds=2, quiet=True)
