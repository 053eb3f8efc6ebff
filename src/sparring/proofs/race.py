"""Unconditional recipes on MNIST at equal wall-clock: what a minute, and five, buy on this machine."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sparring import session
from sparring.proofs.record import Effort, Result

ENTRANTS: Mapping[str, Mapping[str, Any]] = {
    "dcgan": {},
    "dcgan, no clusters": {"clusters": 0},
    "wgan": {"preset": "quick"},
    "wgan_gp": {},
    "sngan": {},
    "r3": {},
}
TARGET = 8.0
FAVOURITE = "dcgan"


def entered(name: str, minutes: float, seed: int) -> tuple[float, int]:
    """(Fréchet distance as a multiple of the floor, rounds) after so many minutes of training."""
    recipe, settings = name.partition(",")[0], ENTRANTS[name]
    with tempfile.TemporaryDirectory() as folder:
        run = session.train(
            recipe, runs=folder, data="mnist", seed=seed, minutes=minutes, snapshots=2, quiet=True, **settings
        )
        if not (run.path / "evaluation.json").exists():  # the run took Ctrl-C for itself
            raise KeyboardInterrupt
        found = json.loads(Path(run.path / "evaluation.json").read_text())
        return float(found["metrics"]["frechet distance"]["times_floor"]), int(run.plan.model.rounds)


def race(seconds: int, seeds: int, effort: Effort) -> Result:
    """One table for one budget; the favourite, named beforehand, must reach `TARGET` in five minutes."""
    budget = seconds / 60 if effort == "full" else seconds / 600
    runs = {name: [entered(name, budget, seed) for seed in range(seeds)] for name in ENTRANTS}
    rows = [
        [
            name,
            round(statistics.median(times for times, _ in of), 1),
            ", ".join(f"{times:.1f}" for times, _ in of),
            ", ".join(f"{rounds:,}" for _, rounds in of),
        ]
        for name, of in runs.items()
    ]
    held = max(times for times, _ in runs[FAVOURITE]) <= TARGET
    text = (
        "No labels. Rounds are fitted to the time before training, on as many threads as are faster; training alone "
        "counts. Fréchet distance of 10,000 samples on the project's own judge of MNIST, divided by the floor."
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
