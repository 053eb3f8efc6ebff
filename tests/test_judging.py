"""Pictures of other programs, stamps and comparisons, from the command line too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sparring
from sparring.care import smoothed
from sparring.cli import main
from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.judging import elsewhere, features_of
from sparring.metrics.features import Extractor
from sparring.runs import read_events
from sparring.show import picture, save_png


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    source = open_data(Data())["train"]
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))  # they are sorted by writer
    return source[order[:300]]["image"]


def test_an_npz_and_a_folder_of_the_same_pictures_are_the_same(digits: torch.Tensor, tmp_path: Path) -> None:
    about = open_data(Data())["train"].about
    np.savez(tmp_path / "made.npz", digits.permute(0, 2, 3, 1).numpy())
    for index, image in enumerate(digits):
        save_png(picture(image), tmp_path / "folder" / f"{index:04d}.png")
    assert torch.equal(elsewhere(tmp_path / "made.npz", about), digits)
    from_folder = elsewhere(tmp_path / "folder", about)
    assert sorted(from_folder.flatten(1).sum(1).tolist()) == sorted(digits.flatten(1).sum(1).tolist())
    np.savez(tmp_path / "large.npz", np.zeros((5, 16, 16, 3), np.uint8))
    assert elsewhere(tmp_path / "large.npz", about).shape == (5, 1, 8, 8)


def test_arrays_that_are_no_pictures_are_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    about = open_data(Data())["train"].about
    np.savez(tmp_path / "float.npz", np.zeros((5, 8, 8)))
    np.savez(tmp_path / "object.npz", np.array([{"a": 1}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    for name, message in (("float", "float64"), ("object", "cannot be read"), ("text", "cannot be read")):
        with pytest.raises(UserError, match=message):
            elsewhere(tmp_path / f"{name}.npz", about)


def test_real_pictures_of_a_folder_score_like_the_floor_and_noise_does_not(
    digits: torch.Tensor, tmp_path: Path, capsys: Any
) -> None:
    np.savez(tmp_path / "real.npz", digits.permute(0, 2, 3, 1).numpy())
    noise = torch.randint(0, 256, (300, 8, 8, 1), generator=torch.Generator().manual_seed(0)).byte()
    np.savez(tmp_path / "noise.npz", noise.numpy())
    results = {}
    for name in ("real", "noise"):
        assert main(["evaluate", str(tmp_path / f"{name}.npz"), "--against", "digits", "--judge", "pixels"]) == 0
        results[name] = json.loads(capsys.readouterr().out)
        (tmp_path / f"{name}.json").write_text(json.dumps(results[name]))
    real, bad = (results[name]["metrics"] for name in ("real", "noise"))
    assert real["frechet distance"]["times_floor"] < 1.6
    assert bad["frechet distance"]["times_floor"] > 20
    assert real["copying z"]["value"] < -5  # they are training pictures
    assert all("se" in row for row in real.values())
    assert main(["compare", str(tmp_path / "real.json"), str(tmp_path / "noise.json")]) == 0
    told = json.loads(capsys.readouterr().out)["differences"][str(tmp_path / "noise.json")]
    verdicts = {row["name"]: row["verdict"] for row in told}
    assert verdicts["frechet distance"] == verdicts["precision"] == "first"
    assert main(["evaluate", str(tmp_path / "real.npz"), "--against", "digits"]) == 0
    (tmp_path / "other.json").write_text(capsys.readouterr().out)
    assert main(["compare", str(tmp_path / "real.json"), str(tmp_path / "other.json")]) == 2
    assert "not comparable, made with different things: extractor" in capsys.readouterr().err.replace("\n", " ")
    assert main(["evaluate", str(tmp_path / "real.npz")]) == 2
    assert "say against what" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "real.json")]) == 2


def test_features_are_kept_by_content_and_never_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    source, calls = open_data(Data())["train"], list[int]()

    def counting(images: torch.Tensor) -> tuple[torch.Tensor, None]:
        calls.append(len(images))
        return images.float().flatten(1), None

    first = features_of(Extractor("same name", "a", counting), source, 100, 0)
    again = features_of(Extractor("same name", "a", counting), source, 100, 0)
    assert calls == [100]
    assert torch.equal(first.features, again.features)
    features_of(Extractor("same name", "b", counting), source, 100, 0)
    features_of(Extractor("same name", "a", counting), source, 100, 1)
    assert calls == [100, 100, 100]
    [kept, *_] = (tmp_path / "features").iterdir()
    for file in (tmp_path / "features").iterdir():
        file.write_bytes(kept.read_bytes()[:50])  # damaged: made again, not believed
    assert torch.equal(features_of(Extractor("same name", "a", counting), source, 100, 0).features, first.features)


def test_another_judge_is_written_beside_and_compared_by_run(tmp_path: Path, capsys: Any) -> None:
    runs = [
        sparring.train("cdcgan", runs=str(tmp_path), rounds=rounds, threads=1, snapshots=2, quiet=True)
        for rounds in (5, 150)
    ]
    assert main(["compare", *(str(run.path) for run in runs)]) == 0
    capsys.readouterr()
    runs[0].evaluate(judge="pixels")
    assert [path.name for path in runs[0].path.glob("evaluation-*pixels*")]
    own = json.loads((runs[0].path / "evaluation.json").read_text())
    assert own["extractor"]["name"] == "judge of digits"
    assert own["stamp"]["extractor"] == own["extractor"]["sha256"]


def test_the_best_round_is_kept_judged_and_drawn_from(tmp_path: Path, capsys: Any) -> None:
    spoilt = {"generator": {"lr": {"from": 1e-3, "to": 0.3, "over": 1.0}}, "average": 0.0}
    run = sparring.train("mlp", runs=str(tmp_path), data="ring", rounds=600, quiet=True, **spoilt)  # fmt: skip
    looks = smoothed(read_events(run.path))
    final, best = (json.loads((run.path / f"evaluation{which}.json").read_text()) for which in ("", "-best"))
    assert best["round"] == min(looks, key=lambda look: (look[1], look[0]))[0] < final["round"] == 600
    assert best["metrics"]["frechet distance"]["value"] < final["metrics"]["frechet distance"]["value"]
    kept = sparring.load(run.path, checkpoint="best")
    assert kept.model.round == best["round"]
    assert not torch.equal(kept.sample(8), run.sample(8))
    assert "The best while training" in (run.report()).read_text()
    assert main(["sample", str(run.path), "--checkpoint", "best"]) == 0
    assert (run.path / "samples-seed0-best.png").exists() or capsys.readouterr().out


def test_looks_are_smoothed_and_those_rolled_back_are_forgotten() -> None:
    def look(number: int, distance: float | None) -> dict[str, Any]:
        return {"event": "probe", "round": number, "values": {} if distance is None else {"distance": distance}}

    events = [look(1, 9.0), look(2, 1.0), look(3, 5.0), look(4, 4.0), look(5, None)]
    assert smoothed(events) == [(3, 5.0), (4, 4.0), (5, 5.0)]
    assert smoothed([*events, {"event": "rollback", "round": 3}, look(4, 2.0)]) == [(3, 5.0), (4, 2.0)]
