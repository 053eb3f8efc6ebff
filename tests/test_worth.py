"""What generated pictures are worth: the test of it, what is refused, and that a leak is named."""

import json
from pathlib import Path

import pytest
import torch

import sparring
from sparring import cli, worth
from sparring.config import UserError

QUICK = {"rounds": 4, "batch": 16, "threads": 1, "snapshots": 2, "evaluate": False, "quiet": True}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    runs = tmp_path_factory.mktemp("runs")
    return sparring.train("cdcgan", runs=str(runs), name="few", data="digits", limit=40, **QUICK)


def test_a_paired_test_is_students() -> None:
    assert worth.two_sided(12.706, 1) == pytest.approx(0.05, abs=1e-4)  # tables
    assert worth.two_sided(-2.776, 4) == pytest.approx(0.05, abs=1e-4)
    assert worth.two_sided(2.045, 29) == pytest.approx(0.05, abs=1e-4)
    assert worth.two_sided(0.0, 3) == pytest.approx(1.0)
    found = worth.compared("x", [0.8, 0.7, 0.9, 0.85], [0.82, 0.73, 0.92, 0.86])
    assert (found.difference, found.verdict) == (pytest.approx(0.02), "helps")
    assert found.p == pytest.approx(0.0163, abs=2e-4)  # t = 4.899 on 3
    assert worth.compared("x", [0.82, 0.73, 0.92, 0.86], [0.8, 0.7, 0.9, 0.85]).verdict == "hurts"
    assert worth.compared("x", [0.8, 0.7, 0.9, 0.85], [0.9, 0.6, 0.95, 0.8]).verdict == "cannot be told"
    assert worth.compared("x", [0.8, 0.7], [0.8, 0.7]).p == 1.0
    with pytest.raises(ValueError, match="at least 2"):
        worth.compared("x", [0.8], [0.9])


def test_ratios_share_a_level_and_runs_count_as_one() -> None:
    arms = {worth.REAL: [0.8, 0.7, 0.9, 0.85], "+ 1 x generated": [0.82, 0.73, 0.92, 0.86]}
    alone = worth.Worth(100, 100, arms)
    assert [one.verdict for one in alone.comparisons()] == ["helps"]  # p = .016
    four = {**arms, **{f"+ {n} x generated": arms["+ 1 x generated"] for n in (2, 3, 4)}}
    assert {one.verdict for one in worth.Worth(100, 100, four).comparisons()} == {"cannot be told"}
    assert not alone.leaks
    both = worth.across([alone, worth.Worth(100, 60_000, arms)])
    assert both.leaks
    assert both.accuracies[worth.REAL] == pytest.approx([0.8125, 0.8125])
    assert worth.across([alone]) is alone


def test_samples_are_asked_for_evenly_by_label(limited: sparring.Run) -> None:
    made = worth.generated(limited, 25, seed=1)
    assert made["image"].shape == (25, 1, 8, 8)
    assert sorted(torch.bincount(made["label"]).tolist()) == [2] * 5 + [3] * 5
    again, other = worth.generated(limited, 25, seed=1), worth.generated(limited, 25, seed=2)
    assert torch.equal(made["image"], again["image"])
    assert not torch.equal(made["image"], other["image"])


def test_the_command_measures_and_says_what_the_generator_knew(
    limited: sparring.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--seeds", "2", "--rounds", "30", "--ratios", "1"]
    assert cli.main(["augment", str(limited.path), "--labels", "40", *short]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["labels"], found["learnt_from"], found["leaks"]) == (40, 40, False)
    assert set(found["accuracies"]) == {worth.REAL, "+ 1 x generated", worth.ALL}
    assert "the gain" not in told.err
    # the same pictures, weights and updates: more of the real ones can only come from there being more
    assert sum(found["accuracies"][worth.ALL]) > sum(found["accuracies"][worth.REAL])
    assert cli.main(["augment", str(limited.path), "--labels", "20", *short, "--no-ceiling"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["leaks"]
    assert "--limit 20" in " ".join(told.err.split())


def test_what_cannot_be_asked_is_refused(
    limited: sparring.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        (["--labels", "41"], "labels=41"),
        (["--labels", "9"], "labels=9"),
        (["--seeds", "1"], "two seeds or runs"),
        (["--ratios", "0"], "ratios"),
    ):
        assert cli.main(["augment", str(limited.path), *words]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    plain = sparring.train("dcgan", runs=str(tmp_path), data="digits", **QUICK)
    with pytest.raises(UserError, match="made by label"):
        worth.sources(plain, 40)


def test_two_values_and_differences_that_agree_by_chance_give_no_verdict() -> None:
    two = worth.compared("x", [0.9, 0.9], [0.9 + 1 / 180] * 2)
    assert (two.verdict, two.p > 0.05) == ("cannot be told", True)
    same = worth.compared("x", [0.9, 0.8944, 0.9], [0.9056, 0.9, 0.9056])
    assert same.se >= worth.STEP / 3**0.5
    apart = [worth.Worth(100, 100, {worth.REAL: [0.9], "x": [0.9]}, held_out=name) for name in ("a", "b")]
    with pytest.raises(UserError, match="different data"):
        worth.across(apart)
