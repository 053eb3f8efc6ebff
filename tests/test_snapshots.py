"""What runs of each kind show: files in the run folder, in the report, and from `sparring sample`."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring import cli, trained
from sparring.cli_use import save
from sparring.data.kinds import KINDS, ready
from sparring.data.source import About
from sparring.report import write_report
from sparring.runs import Events
from sparring.snapshots import of_samples

TEXT = About("poems", "text", (4,), vocabulary=("<b>", "moon", "tide"))
SOUND = About("tones", "sound", (1, 2000), rate=8000.0)
CLIP = About("films", "clip", (1, 6, 8, 8), rate=5.0)


def tones() -> torch.Tensor:
    """(2, 1, 2000) int16: 500 and 2,000 Hz."""
    time = torch.arange(2000) / 8000
    waves = [torch.sin(2 * torch.pi * hertz * time) for hertz in (500.0, 2000.0)]
    return KINDS["sound"].finished(torch.stack(waves)[:, None])


def test_sounds_show_their_pitch_and_can_be_heard() -> None:
    shown = of_samples(tones(), SOUND, columns=2, rows=1)
    assert shown.sheet is not None
    pixels = torch.tensor(list(shown.sheet.tobytes())).view(shown.sheet.height, shown.sheet.width).float()
    low, high = pixels[:, :64].mean(1).argmax(), pixels[:, -64:].mean(1).argmax()
    assert abs(int(low) - 64 * (1 - 500 / 4000)) <= 2  # row 0 is 4,000 Hz
    assert abs(int(high) - 64 * (1 - 2000 / 4000)) <= 2
    with wave.open(io.BytesIO(shown.beside["wav"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 2 * (2000 + 250))


def test_waves_and_pictures_survive_the_trip_to_floats() -> None:
    every = torch.arange(-32767, 32768, dtype=torch.int16)[:, None, None]
    assert (KINDS["sound"].finished(ready(every)).int() - every.int()).abs().max() <= 1
    clips = torch.randint(256, (2, 3, 4, 8, 8), dtype=torch.uint8)
    assert torch.equal(KINDS["clip"].finished(ready(clips)), clips)


def test_clips_are_strips_and_move() -> None:
    clips = torch.zeros(2, 1, 6, 8, 8, dtype=torch.uint8)
    for moment in range(6):
        clips[:, :, moment, :, moment] = 255
    shown = of_samples(clips, CLIP, columns=2, rows=1)
    assert (shown.columns, shown.rows) == (6, 2)
    with Image.open(io.BytesIO(shown.beside["gif"])) as moving:
        assert moving.n_frames == 6
        assert moving.info["duration"] == 200


def test_the_report_shows_texts_escaped_and_sounds_that_play(tmp_path: Path) -> None:
    texts = of_samples(torch.tensor([[2, 3, 0, 0], [1, 4, 4, 0]]), TEXT, 1, 2)
    assert texts.text == "<b> moon\n\N{REPLACEMENT CHARACTER} tide tide"
    heard = of_samples(tones(), SOUND, 2, 1)
    for name, suffix in (("texts", "txt"), ("sounds", "png")):
        run = tmp_path / name
        (run / "samples").mkdir(parents=True)
        (run / "config.json").write_text("{}")
        beside = {}
        if suffix == "txt":
            (run / "samples/0.txt").write_text(texts.text)
        else:
            assert heard.sheet is not None
            heard.sheet.save(run / "samples/0.png")
            (run / "samples/0.wav").write_bytes(heard.beside["wav"])
            beside = {"beside": {"wav": "samples/0.wav", "gif": "../../outside.gif"}}
        events = Events(run)
        events.write("samples", round=3, images=30, file=f"samples/0.{suffix}", columns=2, rows=1, **beside)
        events.close()
        page = write_report(run).read_text()
        assert ("&lt;b&gt; moon" in page) == (suffix == "txt")
        assert ('src="data:audio/wav;base64,' in page) == (suffix == "png")
        assert "<b> moon" not in page
        assert "image/gif" not in page
        assert (run / "grid.png").exists() == (suffix == "png")


@pytest.mark.parametrize(("about", "ending"), [(TEXT, "txt"), (SOUND, "wav"), (CLIP, "gif")])
def test_samples_of_every_kind_become_a_file(about: About, ending: str, tmp_path: Path) -> None:
    made = {"txt": torch.tensor([[2, 3, 4, 0]]), "wav": tones(), "gif": torch.zeros(2, 1, 6, 8, 8, dtype=torch.uint8)}
    path = tmp_path / f"out.{ending}"
    save(made[ending], about, path, 1)
    assert path.stat().st_size > 10
    assert (path.read_text() == "<b> moon tide\n") if ending == "txt" else path.read_bytes()[:4] in (b"RIFF", b"GIF8")


def test_a_video_is_trained_sampled_and_judged_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for part in range(4):
        folder = tmp_path / "films" / f"{part}"
        folder.mkdir(parents=True)
        for i in range(9):
            Image.new("L", (16, 16), 20 * i + part).save(folder / f"{i}.png")
    told = ["--frames", "3", "--size", "16", "--rounds", "3", "--batch", "4", "--threads", "1", "--test", "0.25"]
    cli.main(["train", "video", "--data", "films", *told, "--no-evaluate"])
    run = trained.load("runs/video-films-1")
    assert run.sample(2).shape == (2, 1, 3, 16, 16)
    assert {path.suffix for path in (run.path / "samples").iterdir()} == {".png", ".gif"}
    assert "image/gif" in (run.path / "report.html").read_text()
    cli.main(["sample", "runs/video-films-1", "--n", "4"])
    assert Path(capsys.readouterr().out.strip().splitlines()[-1]).suffix == ".gif"
