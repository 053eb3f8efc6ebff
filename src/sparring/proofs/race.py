"""Unconditional recipes on MNIST at equal wall-clock: what a minute, and five, buy on this machine."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from sparring import session
from sparring.proofs.record import Effort, Result
from sparring.runs import read_events
from sparring.trained import Run

ENTRANTS: Mapping[str, Mapping[str, Any]] = {"dcgan": {}, "wgan_gp": {}, "sngan": {}, "r3": {}}
TARGET = 8.0
FAVOURITE = "dcgan"
PACED = 30.0
"""Seconds by the clock that the pace is taken over."""


def trained(recipe: str, folder: str, **settings: Any) -> Run:
    """A run on MNIST without labels; KeyboardInterrupt where the run took it for itself."""
    run = session.train(recipe, runs=folder, data="mnist", snapshots=2, quiet=True, **settings)
    if ending(run)["event"] != "done":
        raise KeyboardInterrupt
    return run


def ending(run: Run) -> dict[str, Any]:
    """The last event of its training."""
    return [event for event in read_events(run.path) if event["event"] in ("done", "stop")][-1]


@cache
def pace(recipe: str) -> float:
    """Rounds per second of training by the clock, on a machine left alone: measured once, before anything is scored."""
    with tempfile.TemporaryDirectory() as folder:
        run = trained(recipe, folder, minutes=PACED / 60, evaluate=False)
        return int(run.plan.model.rounds) / float(ending(run)["seconds"])


def entered(recipe: str, rounds: int, seed: int) -> float:
    """Fréchet distance as a multiple of the floor after so many rounds."""
    with tempfile.TemporaryDirectory() as folder:
        run = trained(recipe, folder, seed=seed, rounds=rounds, threads=1)
        found = json.loads(Path(run.path / "evaluation.json").read_text())
        return float(found["metrics"]["frechet distance"]["times_floor"])


def race(seconds: int, seeds: int, effort: Effort) -> Result:
    """One table for one budget; the favourite, named beforehand, must reach `TARGET` in five minutes."""
    budget = seconds if effort == "full" else seconds / 10
    rounds = {name: int(budget * pace(name)) for name in ENTRANTS}
    runs = {name: [entered(name, rounds[name], seed) for seed in range(seeds)] for name in ENTRANTS}
    rows = [
        [name, round(statistics.median(of), 1), ", ".join(f"{times:.1f}" for times in of), f"{rounds[name]:,}"]
        for name, of in runs.items()
    ]
    held = max(runs[FAVOURITE]) <= TARGET
    text = (
        f"No labels. The pace of every recipe was taken once, over {PACED:.0f} s of training with nothing else "
        "running, on as many of the two cores as made it faster; every seed then trained for the rounds that fit the "
        "time, whatever else was running. Fréchet distance of 10,000 samples on the project's own judge of MNIST, "
        "divided by the floor."
    )
    if seconds == 300:
        text += f" Target: {FAVOURITE} within {TARGET:g} x floor on every seed."
    return Result(
        f"race-{seconds}",
        60 + seconds // 100,
        f"MNIST without labels in {seconds} seconds by the clock",
        text,
        f"sparring prove race-{seconds} --full",
        ("recipe", "x floor, median", "each seed", "rounds"),
        rows,
        held if seconds == 300 and effort == "full" else None,
    )


minute, five_minutes = partial(race, 60), partial(race, 300)
