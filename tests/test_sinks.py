"""Sinks are told what the run's folder is told, and no sink's failure touches a training."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import sparring
from sparring import UserError, cli, sinks
from sparring.runs import read_events
from sparring.sinks import Sinks

SHORT = {"rounds": 30, "threads": 1, "snapshots": 2, "evaluate": False, "batch": 16}
ARGUMENTS = ["--rounds", "30", "--batch", "16", "--threads", "1", "--snapshots", "2", "--no-evaluate"]


def trained(folder: Path, *names: str, **more: Any) -> Path:
    settings = SHORT | {"data": "digits", "runs": str(folder), "name": "run", "sink": list(names)} | more
    return sparring.train("cdcgan", quiet=True, **settings).path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_holds_what_the_run_has_written_down(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = trained(tmp_path, "tensorboard")
    found = EventAccumulator(str(run / "tensorboard"))
    found.Reload()
    for kind in ("losses", "probe"):
        events = [event for event in read_events(run) if event["event"] == kind]
        assert events
        for name in events[0]["values"]:
            told = {scalar.step: scalar.value for scalar in found.Scalars(f"{kind}/{name}")}
            wanted = {e["round"]: e["values"][name] for e in events if e["values"].get(name) is not None}
            assert told == pytest.approx(wanted, rel=1e-5), name
    drawn = [event["round"] for event in read_events(run) if event["event"] == "samples"]
    assert [image.step for image in found.Images("samples")] == drawn
    assert found.Images("samples")[0].encoded_image_string[:4] == b"\x89PNG"
    findings = [event for event in read_events(run) if event["event"] == "finding"]
    assert ("doctor/text_summary" in found.Tags()["tensors"]) == bool(findings)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_curve_of_tensorboard_does_not_double_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for begin, value in ((None, 1.0), (2, 2.0)):  # rounds 1 to 5, then from round 2 on again
        sinks = Sinks(["tensorboard"], tmp_path, {}, pytest.fail)
        if begin is not None:
            sinks.event({"event": "resume", "round": begin})
        for number in range((begin or 0) + 1, 5 if begin else 6):
            sinks.event({"event": "losses", "round": number, "values": {"x": value}})
        sinks.close()
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    told = [(scalar.step, scalar.value) for scalar in found.Scalars("losses/x")]
    assert told == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


class Listening:
    """Stands in for trackio and wandb, neither of which is here: takes the calls that their documentation names."""

    def __init__(self, breaks_at: int = -1) -> None:
        self.begun: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished, self.breaks_at = False, breaks_at

    def init(self, **settings: Any) -> "Listening":
        self.begun = settings
        return self

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        assert step is not None
        if step == self.breaks_at:
            raise ConnectionError("the line is dead")
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True

    def Image(self, file: str) -> tuple[str, bytes]:  # noqa: N802  (their name)
        return "image", Path(file).read_bytes()[:4]


def standing(monkeypatch: pytest.MonkeyPatch, name: str, listening: Listening) -> None:
    module = types.ModuleType(name)
    module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
    vars(module).update(init=listening.init, Image=listening.Image)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_others_are_told_each_round_and_how_it_ends(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Listening()
    standing(monkeypatch, name, there)
    run = trained(tmp_path, name)
    assert there.finished
    assert (there.begun["project"], there.begun["name"], there.begun["resume"]) == ("sparring", "run", "allow")
    assert there.begun["config"]["model"]["rounds"] == 30
    losses = [event for event in read_events(run) if event["event"] == "losses"]
    told = {step: values for step, values in there.logged if any(key.startswith("losses/") for key in values)}
    assert list(told) == [event["round"] for event in losses]
    wanted = losses[-1]["values"]["generator/objective"]
    assert told[30]["losses/generator/objective"] == wanted
    assert ("image", b"\x89PNG") in [values.get("samples") for _, values in there.logged]


def test_a_sink_that_fails_is_left_alone_and_the_training_ends_as_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = Listening(breaks_at=20)
    standing(monkeypatch, "trackio", there)
    monkeypatch.chdir(tmp_path)
    more = ["--sink", "trackio", "--sink", "tensorboard", "--name", "told"]
    assert cli.main(["train", "cdcgan", *ARGUMENTS, *more]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("sink=trackio failed, and is left out from now on: ConnectionError: the line is dead") == 1
    assert [step for step, _ in there.logged if step > 20] == []
    told, alone = Path("runs/told"), trained(tmp_path / "alone")
    assert list(told.glob("tensorboard/*tfevents*")), "the other sink goes on"
    one, other = (max((run / "checkpoints").iterdir()).name for run in (told, alone))
    assert one == other, "the last checkpoint's name holds its hash: not a bit is different"
    assert json.loads((told / "config.json").read_text())["how"]["sink"] == ["trackio", "tensorboard"]


def test_several_sinks_may_be_named_in_any_way() -> None:
    for words in (["--sink", "a", "b"], ["--sink=a", "--name", "x", "--sink", "b"], ["--sink", "a", "--sink", "b"]):
        assert cli.parsed_plan("mlp", words).how.sink == ("a", "b")
    for words in (["--sink"], ["--sink", "--name", "x"]):
        with pytest.raises(UserError, match="--sink needs a value"):
            cli.parsed_plan("mlp", words)


def test_a_sink_that_cannot_be_opened_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setitem(sys.modules, "wandb", None)  # its import fails
    opened = Sinks(["wandb"], tmp_path, {}, said.append)
    opened.event({"event": "losses", "round": 1, "values": {"a": 1.0}})
    opened.close()
    [only] = said
    assert only.startswith("sink=wandb failed, and is left out")


def test_missing_packages_and_wrong_names_are_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="sink=wandb needs the package wandb:  pip install wandb"):
        trained(tmp_path, "wandb")
    with pytest.raises(UserError, match=r"sink=tensorbord is not one of .*did you mean 'tensorboard'"):
        trained(tmp_path, "tensorbord")
    assert not (tmp_path / "run").exists()
