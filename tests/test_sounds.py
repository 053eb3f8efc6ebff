"""Runs on sounds from beginning to end: what they show, what they are judged by, what can be heard of them."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
import torch
from rich.console import Console

import sparring
from sparring import cli, show
from sparring.config import UserError
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


def test_spectrograms_are_judged_by_spectrograms_and_heard(sounds: Path, tmp_path: Path) -> None:
    run = sparring.load(trained("melgan", sounds, tmp_path).path)
    assert (run.about.key, run.about.shape, run.about.hop, run.about.rate) == ("image", (1, 32, 16), 128, 8000.0)
    result = run.evaluate()
    assert result["extractor"]["name"] == "pixels 8x8"
    assert result["samples"] == 24
    assert cli.main(["sample", str(run.path), "--n", "3", "--out", str(tmp_path / "three.png")]) == 0
    with wave.open(str(tmp_path / "three.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 3 * (2048 + 256))
        assert any(file.readframes(2048))
    shown = [event for event in read_events(run.path) if event["event"] == "samples"]
    assert all((run.path / event["beside"]["wav"]).is_file() for event in shown)
    assert "audio/wav" in (run.path / "report.html").read_text()


def test_a_vocoder_makes_held_out_sounds_again(sounds: Path, tmp_path: Path) -> None:
    run = trained("vocoder", sounds, tmp_path, evaluate=False)
    made = run.sample(5, seed=3)
    assert (made.dtype, made.shape) == (torch.int16, (5, 1, 2048))
    assert torch.equal(made, run.sample(5, seed=3))
    assert not torch.equal(made, run.sample(5, seed=4))  # of other sounds
    shown = [event for event in read_events(run.path) if event["event"] == "samples"]
    assert shown[-1]["rows"] == 2  # what it makes, and the truth


def test_sounds_without_labels_are_judged_from_afar_and_are_no_pictures(sounds: Path) -> None:
    splits = open_data(Data(data=str(sounds), test=0.4))
    assert splits["train"].about.classes == ()
    by = judge_of(splits, find_machine(How(threads=1), "sound"), Console(quiet=True))
    assert by.name == "sounds from afar"
    with pytest.raises(UserError, match="not pictures"):
        sparring.train("dcgan", data=str(sounds), rounds=2, quiet=True)
