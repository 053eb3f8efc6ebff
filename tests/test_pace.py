"""Threads give way to other programs, and to nothing else."""

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
import torch

import sparring
from sparring import pace
from sparring.machine import isolated
from sparring.pace import LOOKS, Pace, Spent
from sparring.runs import read_events

ALONE, BESIDE = 0.0, 1.0


def told(monkeypatch: pytest.MonkeyPatch, others: Iterator[float]) -> None:
    """What the system says, window by window: ours is two cores' time, and so many cores are taken by others."""
    now = [Spent(0.0, 0.0, 0.0)]

    def spent() -> Spent:
        before = now[0]
        now[0] = Spent(before.clock + 1, before.everybody + 2 + next(others), before.ours + 2)
        return before

    monkeypatch.setattr(pace, "spent", spent)


def after(seconds: list[float]) -> list[int | None]:
    """What is said to windows of one round each."""
    watch = Pace(4)
    return [watch.round(each) for each in seconds]


def test_threads_are_left_out_while_others_hold_cores_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, chain([ALONE] * 2, [BESIDE] * 6, repeat(ALONE)))
    found = after([0.6] * 2 + [2.0] * 2 + [0.8] * 4 + [0.8] * 20)
    assert found[: 2 + LOOKS] == [None, None, None, 3]
    first = next(i for i, threads in enumerate(found[4:], 4) if threads)
    assert found[first] == 4
    assert sum(0.8 for _ in found[8 : first + 1]) >= pace.PATIENCE


@pytest.mark.parametrize(("others", "later"), [(ALONE, 3.0), (BESIDE, 0.6)])
def test_neither_slow_rounds_alone_nor_a_harmless_neighbour_change_anything(
    others: float, later: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, repeat(others))
    assert after([0.6] * 3 + [later] * 10) == [None] * 13


def test_where_the_system_does_not_tell_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "spent", lambda: None)
    assert after([0.6, 6.0, 6.0, 6.0]) == [None] * 4


def test_what_this_system_tells_adds_up() -> None:
    before = pace.spent()
    if before is None:
        pytest.skip("this system has no /proc/stat")
    x = torch.randn(300, 300)
    while (now := pace.spent()) is not None and now.clock - before.clock < 0.5:
        x = (x @ x).tanh()
    assert now is not None
    assert now.ours > before.ours
    assert now.everybody - before.everybody > 0.8 * (now.ours - before.ours)  # ticks are of a hundredth of a second


@pytest.mark.parametrize("asked", [None, 2])
def test_a_run_says_and_writes_down_that_it_gives_way(
    asked: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, chain([ALONE], repeat(BESIDE)))
    monkeypatch.setattr(pace, "WINDOW", 0.0)
    monkeypatch.setattr(pace, "SLOWER", 0.0)
    monkeypatch.setattr("sparring.session.choose_threads", chosen)
    with isolated():
        torch.set_num_threads(2)
        run = sparring.train(
            "mlp", data="ring", rounds=12, threads=asked, snapshots=1, evaluate=False, quiet=True, runs=str(tmp_path)
        )
    events = [event for event in read_events(run.path) if event["event"] == "threads"]
    assert [event["threads"] for event in events] == ([] if asked else [1])


def chosen(plan, source, machine, shards):  # type: ignore[no-untyped-def]
    """Both threads, whatever this machine is doing."""
    from sparring.trial import Trial

    return machine, Trial(0.01, 0, {})
