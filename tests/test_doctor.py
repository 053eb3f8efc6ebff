"""The doctor: checks on written records, foreign logs, and what it does while a run is trained."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import sparring
from sparring import checkpoint
from sparring.care import Care, treated
from sparring.cli import main
from sparring.config import UserError
from sparring.data import open_data
from sparring.data.settings import Data
from sparring.doctor import CHECKS, Change, diagnose, record_of
from sparring.doctor.foreign import diagnose_log, read_log
from sparring.duel import Duel
from sparring.engine import Moved, State, start
from sparring.judge import kept_judge
from sparring.probes import Probes, probe_rounds
from sparring.runs import read_events
from sparring.testing import toy_game

GOOD = {
    "finite": 1.0, "told apart": 0.7, "score gap": 0.8, "distance": 2.0, "live distance": 2.0, "spread": 0.97,
    "nearest": 0.95, "coverage": 0.9, "drift": 0.1, "outside": 0.0, "real scale": 0.6, "copying z": 2.0,
    "train over held-out": 0.52, "label effect": 1.0, "generator/gradient norm": 1.0,
    "generator/update ratio": 0.01, "discriminator/update ratio": 0.01,
}  # fmt: skip


def events(count: int = 40, total: int = 1000, **bad: float) -> list[dict[str, Any]]:
    values = {**GOOD, **{name.replace("__", "/").replace("_", " "): value for name, value in bad.items()}}
    return [{"event": "probe", "round": total * (i + 1) // count, "values": values} for i in range(count)]


def kinds(found: Any) -> list[str]:
    return [finding.kind for finding in found]


def test_a_good_record_is_healthy_at_every_length() -> None:
    for length in range(41):
        assert diagnose(record_of(events()[:length], 1000, 5000)) == []


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("divergence", {"finite": 0.0}),
        ("divergence", {"generator__update_ratio": 0.9}),
        ("divergence", {"score_gap": 5000.0}),
        ("divergence", {"discriminator__weight_size": 0.6, "distance": 20.0, "live_distance": 20.0}),
        ("wrong range", {"real_scale": 0.004}),
        ("wrong range", {"outside": 0.5}),
        ("not learning", {"discriminator__update_ratio": 1e-9}),
        ("average lags", {"distance": 40.0}),
        ("memorising", {"copying_z": -15.0}),
        ("memorising", {"train_over_held-out": 0.9}),
        ("mode collapse", {"spread": 0.02, "nearest": 0.0, "coverage": 0.02}),
        ("discriminator winning", {"told_apart": 1.0, "distance": 30.0, "live_distance": 30.0}),
        ("discriminator losing", {"told_apart": 0.5, "distance": 30.0, "live_distance": 30.0}),
        ("oscillation", {"drift": 1.2, "distance": 8.0, "live_distance": 8.0}),
        ("mode dropping", {"coverage": 0.1, "distance": 8.0, "live_distance": 8.0}),
        ("labels ignored", {"label_effect": 0.01}),
        ("mode dropping", {"classes": 0.5}),
        ("dead layers", {"generator__dead_share": 0.4}),
    ],
)
def test_each_illness_is_named_first_and_before_half_of_the_run(kind: str, bad: dict[str, float]) -> None:
    sick = events(**bad)
    found = diagnose(record_of(sick[:20], 1000, 5000))
    assert kinds(found)[0] == kind
    assert found[0].since <= 500
    assert found[0].evidence
    assert found[0].remedy
    assert json.dumps(found[0].as_json())


def test_a_small_set_learnt_by_heart_is_named_for_its_size() -> None:
    assert kinds(diagnose(record_of(events(**{"train_over_held-out": 0.9}), 1000, 60))) == ["data too small"]


def test_a_vanished_gradient_is_told_from_a_discriminator_that_wins() -> None:
    record = events(told_apart=1.0, distance=30.0, live_distance=30.0)
    for index, event in enumerate(record):
        if index > 5:
            event["values"] = {**event["values"], "generator/gradient norm": 1e-9}
    assert kinds(diagnose(record_of(record, 1000, 5000)))[0] == "vanishing gradient"


def test_a_player_is_not_called_still_where_its_gradient_has_gone() -> None:
    """A sure discriminator, and a generator that hears nothing from it, would move: another finding tells why not."""
    for player in ("discriminator", "generator"):
        for norms, said in (([0.1, *[1e-4] * 8], []), ([0.1] * 9, ["not learning"])):
            rows = [{f"{player}/gradient norm": norm, f"{player}/update ratio": 1e-7} for norm in norms]
            told = [{"event": "losses", "round": 10 * i, "values": row} for i, row in enumerate(rows, start=1)]
            assert kinds(diagnose(record_of(told, 1000))) == said


def test_getting_worse_names_the_best_round() -> None:
    record = events()
    for index, event in enumerate(record):
        distance = 8.0 - index / 4 if index < 25 else 2.0 + 2 * (index - 25)
        event["values"] = {**event["values"], "distance": distance, "live distance": distance, "told apart": 0.85}
    [found] = diagnose(record_of(record, 1000, 5000))
    assert found.kind == "worse after the best"
    assert 550 <= found.since <= 700


def test_a_plateau_is_told_only_where_nothing_else_explains_it_and_samples_are_bad() -> None:
    far = {"distance": 20.0, "live_distance": 20.0, "told_apart": 0.85}
    assert kinds(diagnose(record_of(events(**far), 1000, 5000))) == ["plateau"]
    assert kinds(diagnose(record_of(events(**(far | {"coverage": 0.1})), 1000, 5000))) == ["mode dropping"]
    assert not diagnose(record_of(events(**(far | {"distance": 2.0, "live_distance": 2.0})), 1000, 5000))
    falling = events(**far)
    for index, event in enumerate(falling):
        event["values"] = {**event["values"], "distance": 60.0 - index}
    assert not diagnose(record_of(falling, 1000, 5000))
    late = events(**far)
    for event in late[-4:]:  # it has begun to come nearer
        event["values"] = {**event["values"], "distance": 16.0}
    assert not diagnose(record_of(late, 1000, 5000))
    assert not diagnose(record_of(events(**far), 60, 5000))  # of so few rounds nothing can be said


def test_a_judge_that_is_there_counts_the_classes(tmp_path: Path) -> None:
    run = sparring.train("cdcgan", runs=str(tmp_path), rounds=40, quiet=True)  # judged at the end: now there is one
    assert kept_judge(open_data(Data())["train"], run.machine) is not None
    again = sparring.train("cdcgan", runs=str(tmp_path), rounds=40, quiet=True, evaluate=False)
    assert 0 < probe_values(again.path)["classes"] <= 1.1


def probe_values(run: Path) -> dict[str, float]:
    return [event["values"] for event in read_events(run) if event["event"] == "probe"][-1]


def test_a_layer_that_no_gradient_reaches_is_counted() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    torch.nn.init.constant_(network[0].bias, -100.0)
    network(torch.randn(5, 3)).sum().backward()
    assert float(Moved(list(network.parameters())).dead) == pytest.approx((12 + 4 + 4) / 21)


def test_a_rollback_takes_back_what_came_after() -> None:
    sick = [*events(20), *events(20, 1000, **{"finite": 0.0})]
    assert diagnose(record_of(sick, 1000))
    assert diagnose(record_of([*sick, {"event": "rollback", "round": 0}], 1000)) == []


def test_every_kind_that_a_check_hides_is_a_kind() -> None:
    known = {*CHECKS, "memorising"}
    assert {kind for _, hidden in CHECKS.values() for kind in hidden} <= known


def test_probes_see_real_samples_as_real_and_a_constant_as_collapsed() -> None:
    from sparring import recipes, sampling, training
    from sparring.machine import Machine
    from sparring.recipes import preset
    from sparring.runs import How, Plan

    splits = open_data(Data())
    recipe = recipes.find("dcgan")
    plan = Plan("dcgan", "tuned", preset(recipe, None)[1], Data(), How())
    source = recipe.data(plan.model, splits["train"])
    game = training.assemble(plan, source.about, Machine(torch.device("cpu"), "cpu", "float32", 1))
    probes = Probes(game, source, splits["test"])
    before = {name: value.clone() for module in game.modules.values() for name, value in module.state_dict().items()}
    found = probes(start(game))
    for module in game.modules.values():
        assert module.training
        for name, value in module.state_dict().items():
            assert torch.equal(before[name], value), name
    assert found["finite"] == 1.0
    assert found["spread"] < 0.7
    assert found["coverage"] < 0.6
    held = splits["test"][torch.arange(len(splits["test"]))]["image"].float() / 127.5 - 1
    real = probes._samples(held, held)
    assert real["coverage"] > 0.8
    assert real["distance"] < 3
    assert 0.9 < real["spread"] < 1.1
    train = source[torch.arange(256)]["image"].float() / 127.5 - 1
    assert probes._samples(train, train)["copying z"] < -15
    same = held[:1].expand(len(held), -1, -1, -1)
    assert probes._samples(same, same)["spread"] < 1e-3
    drawn = sampling.draw(game, len(train), 0)
    label = source[torch.arange(256)]["label"][: len(train)]
    apart = probes._seeking(train, {**drawn, "label": label})["mode seeking"]
    assert 0.8 < apart < 1.25  # real samples beside latents that differ as usual
    assert probes._seeking(train[:1].expand(len(train), -1, -1, -1), drawn)["mode seeking"] < 1e-6
    mixed = probes._seeking(train, {**drawn, "label": label[torch.randperm(len(label))]})["mode seeking"]
    assert mixed > apart  # samples of different classes lie farther apart: only those of one label are compared


def test_probe_rounds_end_with_the_last() -> None:
    assert max(probe_rounds(1000)) == 1000
    assert len(probe_rounds(1000)) == 40
    assert probe_rounds(3) == {1, 2, 3}


def test_remedies_change_what_is_there_and_pass_over_the_rest() -> None:
    changes = [Change("discriminator.lr", factor=0.5), Change("clusters", value=3)]
    changed, done = treated(Duel(), Duel(), changes, "test")
    assert changed.discriminator.lr == Duel().discriminator.lr / 2
    assert len(done) == 1
    odd = replace(Duel(), discriminator=replace(Duel().discriminator, lr=5.0))
    assert treated(odd, Duel(), changes, "test")[0] == Duel()  # what the user changed goes back first


# --- at the bedside -------------------------------------------------------------------------------------------------


def sick(tmp_path: Path, **settings: Any) -> Any:
    return sparring.train(
        "dcgan", runs=str(tmp_path), data="digits", rounds=200, threads=1, snapshots=2, evaluate=False, quiet=True,
        discriminator={"lr": 1e-9}, clusters=0, **settings,
    )  # fmt: skip


def test_a_finding_is_told_once_and_written(tmp_path: Path, capsys: Any) -> None:
    run = sick(tmp_path)
    found = [event for event in read_events(run.path) if event["event"] == "finding"]
    assert [event["kind"] for event in found] == ["not learning"]
    assert main(["diagnose", str(run.path)]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)[0]["kind"] == "not learning"
    assert "higher learning rate" in told.err
    page = run.report().read_text()
    assert page.count("samples of round") == 1  # what it looked like, beside the numbers


def test_stop_saves_and_stops(tmp_path: Path) -> None:
    run = sick(tmp_path, on_trouble="stop")
    last = [event for event in read_events(run.path) if event["event"] in ("stop", "done")][-1]
    assert last["event"] == "stop"
    assert last["round"] < 150
    assert run.sample(2).shape == (2, 1, 8, 8)


def test_rollback_applies_the_remedy_and_goes_on_to_the_end(tmp_path: Path) -> None:
    run = sick(tmp_path, on_trouble="rollback", rollbacks=1)
    happened = [event["event"] for event in read_events(run.path)]
    assert "rollback" in happened
    assert happened[-1] == "done"
    written = json.loads((run.path / "config.json").read_text())
    assert written["model"]["discriminator"]["lr"] == pytest.approx(4e-3)
    assert written["facts"]["remedies"][0]["for"] == "not learning"


def test_a_run_that_is_watched_has_the_bits_of_one_that_is_not(tmp_path: Path) -> None:
    watched, alone = sick(tmp_path), sick(tmp_path, on_trouble="ignore")
    tensors = [checkpoint.read(checkpoint.listed(run.path / "checkpoints")[-1])[0] for run in (watched, alone)]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_a_worse_checkpoint_does_not_take_the_best_ones_place_while_that_is_being_written(tmp_path: Path) -> None:
    asked = list[int]()
    save = lambda folder, game, state, keep: asked.append(state.round)  # noqa: E731  (nothing is on disk yet)
    care = Care(tmp_path, None, toy_game(), None, 100, save=save)  # type: ignore[arg-type]
    for number, distance in enumerate([5.0, 5.0, 5.0, 9.0, 9.0, 4.0, 4.0], start=1):
        care.history.append({"event": "probe", "round": number, "values": {"distance": distance}})
        care._keep_best(State(number))
    assert asked == [3, 7]


def test_nobody_looks_where_it_is_not_wanted(tmp_path: Path) -> None:
    run = sick(tmp_path, on_trouble="ignore")
    assert not [event for event in read_events(run.path) if event["event"] in ("probe", "finding")]


# --- logs of others -------------------------------------------------------------------------------------------------


def csv(path: Path, rows: list[tuple[float, ...]], head: str) -> Path:
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]))
    return path


def test_a_foreign_log_that_is_behind_its_best(tmp_path: Path) -> None:
    rows = [(i, 1.0, 1.0, 50 - i if i < 30 else i) for i in range(60)]
    record, chosen = read_log(
        csv(tmp_path / "log.csv", [tuple(map(float, r)) for r in rows], "step,d_loss,g_loss,FID50k")
    )
    assert chosen == {"round": "step", "discriminator loss": "d_loss", "generator loss": "g_loss", "score": "FID50k"}
    [found] = diagnose_log(record)
    assert found.kind == "worse after the best"
    assert found.since == 29


def test_a_foreign_log_whose_discriminator_won_and_one_that_broke(tmp_path: Path) -> None:
    lines = [json.dumps({"iter": i, "Loss/D": 1.2 * math.exp(-i / 8), "Loss/G": 1 + i / 10}) for i in range(100)]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(lines))
    assert kinds(diagnose_log(read_log(path)[0])) == ["discriminator winning"]
    path.write_text("\n".join([*lines[:20], '{"iter": 20, "Loss/D": NaN, "Loss/G": 1.0}']))
    assert kinds(diagnose_log(read_log(path)[0])) == ["divergence"]


def test_a_healthy_foreign_log_and_an_unreadable_one(tmp_path: Path, capsys: Any) -> None:
    rows = [(float(i), 1.3, 0.9) for i in range(50)]
    assert diagnose_log(read_log(csv(tmp_path / "a.csv", rows, "epoch,lossD,lossG"))[0]) == []
    with pytest.raises(UserError, match="none of its columns"):
        read_log(csv(tmp_path / "b.csv", rows, "x,y,z"))
    with pytest.raises(UserError, match="no column 'lossQ' for the discriminator loss"):
        read_log(tmp_path / "a.csv", {"discriminator loss": "lossQ"})
    assert main(["diagnose", str(tmp_path / "none")]) == 2
    assert "is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "step,d_loss\nnan,1\ninf,2\n1,3",
        '{"iter": 1, "d_loss": ' + "9" * 400 + '}\n{"iter": 2, "d_loss": 1}',
        "step,d_loss,note\n1,2," + "x" * 200_000,
        "\x00\x01\x02",
    ],
)
def test_odd_logs_end_in_a_message_and_not_in_a_traceback(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    assert main(["diagnose", str(path)]) in (0, 2)


def test_scores_that_are_not_taken_in_every_row_or_pass_below_zero_alarm_nobody(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"{i % 5},{i},{0.1 - i / 200 if i % 5 == 0 else 'nan'}" for i in range(40)]
    path.write_text("\n".join(["batch,epoch,kid", *rows]))
    record, chosen = read_log(path)
    assert chosen["round"] == "epoch"
    assert diagnose_log(record) == []


def test_a_broken_run_never_says_that_it_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparring import engine

    def broken(*_: Any) -> Any:
        raise engine.NonFiniteLossError(
            "the term 'objective' of player 'generator' became nan in round 9. Usual causes"
        )

    monkeypatch.setattr(engine, "summarise", broken)
    with pytest.raises(UserError, match="No checkpoint had been written yet"):
        sick(tmp_path, on_trouble="stop")
    events_of_it = read_events(next(tmp_path.iterdir()))
    assert [event["kind"] for event in events_of_it if event["event"] == "finding"] == ["divergence"]


def test_a_remedy_that_cannot_be_applied_ends_in_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparring.doctor import Finding, checks

    def always(record: Any) -> Finding | None:
        late = record.of("told apart")
        return (
            Finding("x", 50, "what", {"a": 1.0}, "try", (Change("nothing.here", value=1),)) if len(late) > 3 else None
        )

    monkeypatch.setattr(checks, "CHECKS", {"x": (always, ())})
    run = sparring.train(
        "dcgan", runs=str(tmp_path), data="digits", rounds=80, threads=1, snapshots=2, evaluate=False, quiet=True,
        on_trouble="rollback",
    )  # fmt: skip
    happened = [event["event"] for event in read_events(run.path)]
    assert "rollback" not in happened
    assert happened[-1] == "done"


def test_a_rollback_survives_a_kill_right_after_it(tmp_path: Path) -> None:
    run = sick(tmp_path, on_trouble="rollback", rollbacks=1)
    whole = {path.name for path in (run.path / "checkpoints").iterdir()}
    assert whole
    resumed = sparring.resume(run.path, quiet=True)
    assert resumed.plan.model.discriminator.lr == pytest.approx(4e-3)


def test_a_game_that_was_won_from_the_first_row_on_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step;D loss;G loss\n" + "".join(f"{i};0.001;12\n" for i in range(100)))
    record, _ = read_log(log)
    [found] = diagnose_log(record)
    assert (found.kind, found.since) == ("discriminator winning", 0)
    log.write_text("step;D loss;G loss\n" + "".join(f"{i};0.6;1.1\n" for i in range(100)))
    assert diagnose_log(read_log(log)[0]) == []


def test_a_remedy_says_which_of_its_settings_a_recipe_lacks() -> None:
    from sparring import recipes
    from sparring.care import lacking

    advice = "relativistic (--objective relativistic --penalty.r1 1), or (the recipe pacgan with --preset pictures)"
    assert lacking(advice, recipes.preset(recipes.find("pix2pix"), None)[1]) == " (this recipe has no --penalty.r1)"
    assert lacking(advice, recipes.preset(recipes.find("dcgan"), None)[1]) == ""


def test_nothing_is_said_of_samples_before_anything_was_learnt() -> None:
    events = [
        {"event": "probe", "round": r, "values": {"spread": 0.01, "nearest": 0.01, "coverage": 0.01}}
        for r in range(1, 41)
    ]
    assert diagnose(record_of(events, 40, 1000)) == []
    later = [{**event, "round": event["round"] * 10} for event in events]
    assert [found.kind for found in diagnose(record_of(later, 400, 1000))] == ["mode collapse"]
