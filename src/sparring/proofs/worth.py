"""Whether generated digits help a classifier of few labels, and what a generator that knew more would pretend."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from sparring import session, worth
from sparring.proofs.record import Effort, Result, seeds_of
from sparring.trained import Run

LABELS = 100
RATIOS = (1, 10)
SETS = 2
"""Of labels per seed: label sets are what the test is over, so they are many and classifiers few."""
FEW: Mapping[str, Any] = {"limit": LABELS, "rounds": 500, "discriminator_augment": {"diffaugment": ("translation",)}}
ALL: Mapping[str, Any] = {"rounds": 500}
"""The generator that is the trap: trained on all 60,000 labels."""
COLUMNS = ("generator trained on", "classifier trained on", "accuracy", "each label set", "more than real alone", "p")


def augment(seeds: int, effort: Effort) -> Result:
    """MNIST with 100 labels: generators of the same 100, each label set with its own, and one of all labels."""
    rounds, games = (400, {}) if effort == "full" else (20, {"rounds": 10})
    quiet, honest, leaky = Console(quiet=True), list[worth.Worth](), list[worth.Worth]()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        knowing = trained(folder, seeds_of(1)[0], {**ALL, **games})
        for seed in seeds_of(SETS * seeds):
            own = trained(folder, seed, {**FEW, "limit_seed": seed, **games})
            honest.append(worth.measure(own, LABELS, RATIOS, [seed], rounds, True, quiet))
            leaky.append(worth.measure(knowing, LABELS, RATIOS[-1:], [seed], rounds, False, quiet))
    rows = [*rows_of(honest), *rows_of(leaky)]
    text = (
        f"Accuracy on the 10,000 test digits, mean +- standard error over label sets. Each set has {LABELS} labelled "
        "digits and a cdcgan of its own that was trained on these alone, with DiffAugment; one classifier per arm and "
        "set, all with the same updates and the same shifts of up to two pixels. p: paired t-test over label sets; two "
        "ratios share a level of .05. The last rows are the trap: a generator that was trained on all 60,000 labels, "
        "beside a classifier of 100, hands those labels on. No target: the answer is what is measured."
    )
    title = "Do generated digits help a classifier of 100 labels?"
    return Result("augment", 222, title, text, "sparring prove augment --full", COLUMNS, rows, None)


def trained(folder: str, seed: int, settings: Mapping[str, Any]) -> Run:
    """A cdcgan of MNIST."""
    return session.train(
        "cdcgan", runs=str(Path(folder)), data="mnist", seed=seed, threads=1, snapshots=2, evaluate=False, quiet=True,
        **settings,
    )  # fmt: skip


def rows_of(found: list[worth.Worth]) -> list[list[Any]]:
    """The arms of one kind of generator."""
    told = worth.across(found)
    beside = {one.name: one for one in told.comparisons()}
    rows = []
    for name, values in told.accuracies.items():
        mean, se = worth.mean_and_error(values)
        one, each = beside.get(name), ", ".join(f"{value:.4f}" for value in values)
        more = f"{one.difference:+.4f} +- {one.se:.4f}: {one.verdict}" if one else ""
        real = f"{told.labels:,} real" if name == worth.REAL else name
        rows.append(
            [f"{told.learnt_from:,}", real, f"{mean:.4f} +- {se:.4f}", each, more, f"{one.p:.2g}" if one else ""]
        )
    return rows
