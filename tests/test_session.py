"""Runs from beginning to end, through the Python API, with real training of a few rounds."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import sparring
from sparring import UserError, checkpoint, recipes, session, trial
from sparring.data import Source, open_data
from sparring.distributed import Shards
from sparring.game import Game
from sparring.machine import Machine, find_machine
from sparring.runs import How, Plan, read_config, read_events

QUICK: dict[str, Any] = {"rounds": 30, "batch": 32, "threads": 1, "snapshots": 3, "save_every": 0.0}


def quick(tmp_path: Path, recipe: str = "cdcgan", **settings: Any) -> sparring.Run:
    return sparring.train(recipe, quiet=True, runs=str(tmp_path / "runs"), **{**QUICK, "evaluate": False, **settings})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    return quick(tmp_path_factory.mktemp("session"), evaluate=True)


def test_a_run_leaves_everything_that_it_promises(run: sparring.Run) -> None:
    names = {p.name for p in run.path.iterdir()}
    assert names >= {"config.json", "environment.json", "events.jsonl", "evaluation.json"}
    assert names >= {"report.html", "grid.png", "learning.gif", "samples", "checkpoints"}
    events = read_events(run.path)
    assert [e["event"] for e in events if e["event"] in ("start", "done")] == ["start", "done"]
    assert {e["round"] for e in events if e["event"] == "samples"} >= {0, 30}
    assert len(list((run.path / "checkpoints").iterdir())) == 2


def test_samples_follow_from_n_label_and_seed(run: sparring.Run) -> None:
    again = sparring.load(run.path)
    samples = again.sample(5, seed=3)
    assert samples.dtype == torch.uint8
    assert samples.shape == (5, 1, 8, 8)
    assert torch.equal(samples, run.sample(5, seed=3))
    assert not torch.equal(samples, run.sample(5, seed=4))
    assert torch.equal(run.sample(4, label="7"), run.sample(4, label=7))
    assert not torch.equal(run.sample(4, label=7), run.sample(4, label=1))
    with pytest.raises(UserError, match="label=ten"):
        run.sample(4, label="ten")
    with pytest.raises(UserError, match="n=0"):
        run.sample(0)


def test_scores_come_with_floor_counts_split_and_extractor(run: sparring.Run) -> None:
    found = json.loads((run.path / "evaluation.json").read_text())
    distance = found["metrics"]["frechet distance"]
    assert distance["value"] > distance["floor"] > 0
    assert distance["times_floor"] == pytest.approx(distance["value"] / distance["floor"])
    assert found["extractor"]["name"] == "judge of digits"
    assert found["extractor"]["accuracy"] > 0.95
    assert (found["reference"]["split"], found["reference"]["count"], found["samples"]) == ("test", 179, 1618)
    assert len(found["extractor"]["sha256"]) == 64
    assert "fid" not in {word for name in found["metrics"] for word in name.lower().split()}
    assert set(found["metrics"]) >= {"kernel distance", "inception score", "precision", "recall", "density", "coverage"}
    assert sum(found["classes"]["shares"]) == pytest.approx(1)


def test_judging_again_gives_the_same(run: sparring.Run) -> None:
    first, second = run.evaluate(), sparring.load(run.path).evaluate()
    assert first["metrics"] == second["metrics"]
    with pytest.raises(UserError, match="did you mean 'test'"):
        run.evaluate(split="tets")
    with pytest.raises(UserError, match="what was learnt from"):
        run.evaluate(split="train")


def test_real_data_score_their_own_floor() -> None:
    # the judge's verdict on real training pictures must be the floor itself: no other path, no other seed
    from sparring.data import Data, open_data
    from sparring.judge import judge_of
    from sparring.machine import Machine
    from sparring.metrics.evaluate import with_floor
    from sparring.metrics.features import extract

    splits = open_data(Data())
    machine = Machine(torch.device("cpu"), "test", "float32", 1)
    from rich.console import Console

    judge = judge_of(splits, machine, Console(quiet=True))
    train, test = (extract(judge, splits[s][torch.arange(len(splits[s]))]["image"]) for s in ("train", "test"))
    table = with_floor(train, train, test)
    assert table["frechet distance"]["times_floor"] == 1.0
    noise = torch.randint(0, 256, (500, 1, 8, 8), dtype=torch.uint8)
    assert with_floor(extract(judge, noise), train, test)["frechet distance"]["times_floor"] > 20


def test_a_run_that_was_stopped_while_it_was_judged_is_judged_by_resuming(
    run: sparring.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = tmp_path / "stopped"
    shutil.copytree(run.path, stopped)
    events = (stopped / "events.jsonl").read_bytes()
    for name in ("evaluation.json", "report.html"):
        (stopped / name).unlink()
    for said in ("rounds and no scores yet", "nothing is left to do"):
        sparring.resume(stopped)
        assert said in " ".join(capsys.readouterr().err.split())
    found, whole = (json.loads((path / "evaluation.json").read_text())["metrics"] for path in (stopped, run.path))
    assert found == whole
    assert (stopped / "report.html").is_file()
    assert (stopped / "events.jsonl").read_bytes() == events


def test_names_that_no_file_could_hold_are_refused_before_anything_is_written(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        above = tmp_path / os.fsdecode(b"\xff\xfe")
        shutil.copytree(pictures, above / "pictures")
    except OSError:
        pytest.skip("this file system has no such names")
    (tmp_path / "link").symlink_to(above / "pictures")
    monkeypatch.chdir(above)
    for settings, name in (
        ({"data": str(above / "pictures")}, "data"),
        ({"data": "pictures/"}, "data"),
        ({"data": str(tmp_path / "link")}, "data"),
        ({"runs": str(above / "runs")}, "runs"),
    ):
        with pytest.raises(UserError, match=rf"{name}=.*udcff.*is not UTF-8; rename"):
            sparring.train("dcgan", quiet=True, **{**QUICK, "runs": str(tmp_path / "runs"), **settings})
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(sys, "argv", ["sparring", str(above)])
    assert "sparring" in session.environment("cpu")["command"].encode().decode()


def test_a_second_run_never_overwrites_the_first(tmp_path: Path) -> None:
    paths = [quick(tmp_path, rounds=1, name=name).path for name in (None, None, "mine", "mine")]
    assert [p.name for p in paths] == ["cdcgan-digits-1", "cdcgan-digits-2", "mine", "mine-1"]


def test_the_same_settings_give_the_same_weights(tmp_path: Path) -> None:
    one, two, other = (quick(tmp_path, seed=seed) for seed in (0, 0, 1))
    tensors = [checkpoint.read(checkpoint.listed(r.path / "checkpoints")[-1])[0] for r in (one, two, other)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    assert any(not torch.equal(tensors[0][name], tensors[2][name]) for name in tensors[0])


def test_resume_goes_on_from_the_last_good_checkpoint_bitwise(tmp_path: Path, capsys: Any) -> None:
    whole = quick(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(whole.path, broken)
    before, last = checkpoint.listed(broken / "checkpoints")
    final, _ = checkpoint.read(last)
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(bytes(data))
    with (broken / "events.jsonl").open("a") as file:
        file.write('{"event": "torn')
    resumed = sparring.resume(broken)
    assert "damaged" in capsys.readouterr().err.replace("\n", "")
    tensors, meta = checkpoint.read(checkpoint.listed(broken / "checkpoints")[-1])
    assert meta["round"] == 30
    assert int(before.name[:8]) == 20
    assert all(torch.equal(final[name], tensors[name]) for name in final)
    rounds = [e["round"] for e in read_events(resumed.path) if e["event"] == "losses"]
    assert rounds == [10, 20, 30]


def test_a_finished_run_is_left_alone(run: sparring.Run, capsys: Any) -> None:
    sparring.resume(run.path)
    assert "complete" in capsys.readouterr().err


def test_resume_refuses_changed_data(tmp_path: Path) -> None:
    run = quick(tmp_path, rounds=1)
    config = json.loads((run.path / "config.json").read_text())
    config["about"]["sha256"] = "0" * 64
    config["model"]["rounds"] = 5
    (run.path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="has changed since"):
        sparring.resume(run.path)


def test_points_are_drawn_and_judged_by_their_modes(tmp_path: Path) -> None:
    run = quick(tmp_path, "mlp", data="ring", evaluate=True)
    assert run.sample(7).shape == (7, 2)
    found = json.loads((run.path / "evaluation.json").read_text())
    assert found["metrics"]["modes"]["floor"] == 8
    assert 0 <= found["metrics"]["modes"]["value"] <= 8
    assert found["metrics"]["high quality share"]["floor"] == pytest.approx(0.989, abs=0.01)
    assert found["extractor"]["name"] == "coordinates"
    assert (run.path / "samples" / "00000030.png").exists()


def test_an_unlabelled_folder_is_judged_by_pixels_and_says_so(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(110):
        Image.new("RGB", (20 + i, 30), (2 * i, 255 - 2 * i, 9)).save(folder / f"{i}.png")
    run = quick(tmp_path, "dcgan", data=str(folder), size=16, batch=8, evaluate=True)
    found = json.loads((run.path / "evaluation.json").read_text())
    assert found["extractor"]["name"] == "pixels 8x8"
    assert "inception score" not in found["metrics"]
    assert run.sample(2).shape == (2, 3, 16, 16)
    with pytest.raises(UserError, match="without labels"):
        run.sample(2, label=0)


def test_minutes_choose_the_rounds_and_the_choice_is_recorded(tmp_path: Path) -> None:
    run = quick(tmp_path, rounds=10**6, minutes=0.05)
    written = read_config(run.path)
    assert 1 <= written.model["rounds"] < 10**5
    assert written.how.minutes is None
    assert written.facts["minutes"] == 0.05
    seconds = max(e["seconds"] for e in read_events(run.path) if e["event"] == "losses")
    assert seconds < 12  # 3 s were asked for; a busy machine may take longer


def test_a_classifier_run_reports_its_accuracy(tmp_path: Path) -> None:
    run = quick(tmp_path, "classifier", rounds=300, evaluate=True)
    found = json.loads((run.path / "evaluation.json").read_text())
    assert found["metrics"]["accuracy"]["value"] > 0.9
    assert sparring.load(run.path).evaluate()["metrics"] == found["metrics"]
    with pytest.raises(UserError, match="no samples"):
        run.sample(1)


@pytest.mark.parametrize("data", ["lines", "swiss-roll"])
def test_points_without_centres_have_distances_and_no_modes(tmp_path: Path, data: str) -> None:
    found = json.loads((quick(tmp_path, "mlp", data=data, evaluate=True).path / "evaluation.json").read_text())
    assert "modes" not in found["metrics"]
    assert found["metrics"]["frechet distance"]["value"] > found["metrics"]["frechet distance"]["floor"]


def test_ten_pictures_train_and_say_why_they_are_not_judged(tmp_path: Path, capsys: Any) -> None:
    from PIL import Image

    (tmp_path / "few").mkdir()
    for i in range(10):
        Image.new("L", (16, 16), 25 * i).save(tmp_path / "few" / f"{i}.png")
    settings = {**QUICK, "batch": 4, "data": str(tmp_path / "few"), "size": 16, "runs": str(tmp_path / "runs")}
    run = sparring.train("dcgan", **settings)
    told = capsys.readouterr().err.replace("\n", " ")
    assert "not judged: 1 sample held out, and 10 are needed to judge a result: more samples: 20 or more" in told
    begin = told.index("cannot be judged: 1 sample held out, and 10 are needed")
    assert begin < told.index("not judged")  # at the start, not when the work is done
    assert "few pictures: 9 pictures to train on" in told
    assert (run.path / "report.html").exists()


def test_a_carved_validation_split_is_what_judges(tmp_path: Path) -> None:
    run = quick(tmp_path, validation=0.25, evaluate=True)
    found = json.loads((run.path / "evaluation.json").read_text())
    assert (found["reference"]["split"], found["reference"]["count"], found["samples"]) == ("validation", 404, 1214)
    run.evaluate(split="test")
    assert (run.path / "evaluation-test-digits-1214.json").exists()
    assert json.loads((run.path / "evaluation.json").read_text()) == found


def test_live_weights_are_called_live_and_keep_their_statistics(tmp_path: Path) -> None:
    run = quick(tmp_path, "mlp", preset="classic", evaluate=True)
    assert json.loads((run.path / "evaluation.json").read_text())["weights"] == "live"
    tensors, _ = checkpoint.read(checkpoint.listed(run.path / "checkpoints")[-1])
    trained = run.model.modules["generator"].state_dict()
    assert all(torch.equal(tensors[f"modules/generator/{name}"], value) for name, value in trained.items())


def test_the_callers_seed_and_threads_are_left_alone(run: sparring.Run, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    before = torch.get_num_threads()
    sparring.load(run.path).sample(2)
    quick(tmp_path, rounds=2, threads=2)
    assert torch.rand(1) == expected
    assert torch.get_num_threads() == before


def test_a_run_of_another_device_is_sampled_here_and_its_resume_says_what_is_missing(tmp_path: Path) -> None:
    run = quick(tmp_path, rounds=2)
    config = json.loads((run.path / "config.json").read_text())
    assert config["how"]["device"] == "cpu"
    config["how"]["device"] = "cuda:7"
    (run.path / "config.json").write_text(json.dumps(config))
    assert sparring.load(run.path).sample(2).shape == (2, 1, 8, 8)
    with pytest.raises(UserError, match="device=cuda:7"):
        sparring.resume(run.path)


def test_a_set_is_not_hidden_by_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert quick(tmp_path, rounds=1).about.name == "digits"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bathc": 3}, "no setting 'bathc' .did you mean 'batch'"),
        ({"batch": "many"}, "batch: .*integer.*'many'"),
        ({"generator": {"lrr": 1.0}}, "generator.lrr.*did you mean 'lr'"),
        ({"batch": 5000}, "batch=5000 is larger than the 1618"),
        ({"batch": 1}, "batch=1: batch norm"),
        ({"rounds": 0}, "rounds=0 is out of range"),
        ({"average": 1.5}, "average=1.5 is out of range"),
        ({"average": float("nan")}, "average=nan is out of range"),
        ({"generator": {"lr": -1.0}}, r"generator\.lr=-1.0 is out of range"),
        ({"augment": {"shift": -3}}, r"augment\.shift=-3"),
        ({"seed": 10**30}, "seed=1"),
        ({"data": " "}, "data is empty"),
        ({"data": "mnits"}, "did you mean 'mnist'"),
        ({"device": "cuda:99"}, "device=cuda:99"),
        ({"device": "quantum"}, "device=quantum"),
        ({"threads": 0}, "threads=0"),
        ({"minutes": -1.0}, "minutes=-1"),
        ({"objective": "hing"}, "did you mean 'hinge'"),
        ({"objective": "nowhere.py:x"}, "there is no file"),
        ({"test": 1.5}, "test=1.5"),
        ({"validation": -0.1}, "validation=-0.1"),
        ({"name": "../x"}, "name='../x'"),
        ({"color": "blue"}, "color"),
    ],
)
def test_mistakes_are_named_with_value_and_fix_and_leave_no_run(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        quick(tmp_path, **settings)
    assert not list((tmp_path / "runs").glob("*"))


def test_a_nan_loss_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from sparring import Objective\ncalls = []\n"
        "def nan_later(real, fake):\n"
        "    calls.append(1)\n"
        "    return -fake if len(calls) < 60 else fake * float('nan')\n"
        "objective = Objective(lambda r, f: (1 - r).relu() + (1 + f).relu(), nan_later)\n"
    )
    with pytest.raises(UserError, match=r"'objective' of player 'generator' became nan.*last good checkpoint is"):
        quick(tmp_path, rounds=400, objective=f"{mine}:objective")
    (folder,) = (tmp_path / "runs").iterdir()
    tensors, meta = checkpoint.read(checkpoint.listed(folder / "checkpoints")[-1])
    assert 0 < meta["round"] <= 60
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


def test_loading_a_run_executes_nothing_of_it(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    flag = tmp_path / "executed"
    mine.write_text(
        "import pathlib\nfrom sparring.objectives import hinge as objective\n"
        f"pathlib.Path({str(flag)!r}).write_text('')\n"
    )
    run = quick(tmp_path, objective=f"{mine}:objective")
    assert flag.exists()
    flag.unlink()
    assert sparring.load(run.path).sample(2).shape == (2, 1, 8, 8)
    last = checkpoint.listed(run.path / "checkpoints")[-1]
    last.write_bytes(last.read_bytes()[:-1])  # the way past a damaged checkpoint is guarded too
    assert sparring.load(run.path).sample(2).shape == (2, 1, 8, 8)
    config = json.loads((run.path / "config.json").read_text())
    config["data"]["data"] = f"{mine}:objective"
    (run.path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="trust=True"):
        sparring.load(run.path).evaluate()
    config["recipe"] = f"{mine}:objective"
    (run.path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="trust=True"):
        sparring.load(run.path).sample(2)
    assert not flag.exists()


def test_a_run_whose_checkpoints_are_all_damaged_never_passes_for_trained(tmp_path: Path) -> None:
    run = quick(tmp_path)
    for path in checkpoint.listed(run.path / "checkpoints"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="none of its 2 checkpoint"):
        sparring.load(run.path).sample(2)
    events = (run.path / "events.jsonl").read_text()
    with pytest.raises(UserError, match="none of its 2 checkpoint"):
        sparring.resume(run.path)
    assert (run.path / "events.jsonl").read_text() == events


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "lambda r, f: (f[:, None] - r[None]).relu(), lambda r, f: -f",
            r"loss of 5 scores is \(5, 5\)",
        ),
        ("lambda r, f: f - r, lambda r, f: r - f", "reads real scores; say paired=True"),
        ("lambda r, f: 1 / 0, lambda r, f: -f", "ZeroDivisionError"),
        ("lambda r, f: 0.5, lambda r, f: -f", "scores is float"),
        ("lambda r, f: r - f, lambda r, f: -f", "does not want real scores to rise"),
    ],
)
def test_a_broken_objective_of_ones_own_is_named_before_training(tmp_path: Path, body: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(f"from sparring import Objective\nobjective = Objective({body})\n")
    with pytest.raises(UserError, match=message):
        quick(tmp_path, objective=f"{tmp_path / 'mine.py'}:objective")
    assert not list((tmp_path / "runs").glob("*"))


def test_a_divergence_is_not_an_objective_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from sparring import of_convex\nmine = of_convex(lambda u: (u - 1) ** 2)\n")
    with pytest.raises(UserError, match=r"is a Divergence.*add .objective"):
        quick(tmp_path, objective=f"{tmp_path / 'mine.py'}:mine")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("torch.rand(40, 1, 8, 8)", "torch.uint8 of"),
        ("torch.zeros(40, 3, 8, 8, dtype=torch.uint8)", "shape .3, 8, 8."),
    ],
)
def test_a_source_of_ones_own_is_checked_before_training(tmp_path: Path, image: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom sparring.data import About, TensorSource\n"
        f"def data(_):\n    source = TensorSource(About('mine', 'image', (1, 8, 8)), {{'image': {image}}})\n"
        "    return {'train': source, 'test': source}\n"
    )
    with pytest.raises(UserError, match=message):
        quick(tmp_path, "dcgan", data=f"{tmp_path / 'mine.py'}:data", clusters=0)


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    from sparring.runs import only_one

    run = quick(tmp_path)
    config = json.loads((run.path / "config.json").read_text())
    config["model"]["rounds"] = 40
    (run.path / "config.json").write_text(json.dumps(config))
    events = (run.path / "events.jsonl").read_text()
    with only_one(run.path), pytest.raises(UserError, match="by another process"):
        sparring.resume(run.path)
    assert (run.path / "events.jsonl").read_text() == events
    for file in checkpoint.listed(run.path / "checkpoints")[1:]:
        file.unlink()  # the other process has not got further yet, and its events must stay
    with only_one(run.path), pytest.raises(UserError, match="by another process"):
        sparring.resume(run.path)
    assert (run.path / "events.jsonl").read_text() == events
    sparring.resume(run.path)


def test_a_small_set_gets_a_smaller_batch_by_itself(tmp_path: Path, capsys: Any) -> None:
    from PIL import Image

    (tmp_path / "few").mkdir()
    for i in range(30):
        Image.new("L", (16, 16), 8 * i).save(tmp_path / "few" / f"{i}.png")
    settings = {"rounds": 5, "threads": 1, "data": str(tmp_path / "few"), "size": 16, "evaluate": False}
    run = sparring.train("dcgan", runs=str(tmp_path / "runs"), **settings)
    assert run.plan.model.batch == 13
    assert "batch 13" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, run: sparring.Run) -> None:
    with pytest.raises(UserError, match=r"not a run: it has no config\.json; there are"):
        sparring.load(run.path.parent / "nothing")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        sparring.load(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 99}')
    with pytest.raises(UserError, match="can read"):
        sparring.load(tmp_path)
    shutil.copy(run.path / "config.json", tmp_path / "config.json")
    with pytest.raises(UserError, match="no checkpoint yet"):
        sparring.load(tmp_path).sample(1)


def test_the_estimate_counts_players_that_come_in_later(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = session.plan_of("superres", None, {"data": "digits", "source": "reduced:2", "rounds": 40})
    source = recipes.find("superres").data(plan.model, open_data(plan.data)["train"])
    begun = list[int]()

    def pace(
        game: Game, plan: Plan, source: Source, machine: Machine, begin: int, seconds: float, shards: Shards
    ) -> float:
        begun.append(begin)
        return 0.1 if begin == 0 else 0.3

    monkeypatch.setattr(trial, "pace", pace)
    found = trial.trial(plan, source, find_machine(How(), "image"))
    assert begun == [0, 20]  # the critic comes in at half of the run
    assert found.seconds_per_round == pytest.approx(0.2)


def test_translators_between_classes_are_watched_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = quick(tmp_path, "stargan", size=16, rounds=60, batch=8, evaluate=True, width=8, critic_width=8, blocks=1)
    probes = [event for event in read_events(run.path) if event["event"] == "probe"]
    assert len(probes) > 10
    assert "distance" in probes[-1]["values"]
    assert (run.path / "evaluation.json").exists()
    pictures = open_data(run.plan.data)["test"][torch.arange(3)]["image"]
    made = [run.translate(pictures, label=label) for label in ("3", "7")]
    assert made[0].shape == pictures.shape
    assert not torch.equal(*made)
    with pytest.raises(UserError, match="say which"):
        run.translate(pictures)
