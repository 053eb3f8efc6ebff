"""Are generated samples worth training on? Classifiers of few labels, with and without them, each seed beside itself.

The trap: a generator that was trained on more labels than the classifier is given hands those labels on, and what looks
like a gain by generation is the gain of the labels. So every result says on how many the generator was trained.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from rich.console import Console
from torch import nn

from sparring import judge, sampling
from sparring.config import UserError
from sparring.data import Source, open_data, tensor_source
from sparring.data.few import evenly, labels_of
from sparring.data.loader import batches
from sparring.engine import Train, train
from sparring.machine import Machine, isolated
from sparring.recipes import classifier
from sparring.seeds import mix
from sparring.trained import Run

LEVEL = 0.05
"""Of error, over all comparisons together."""
BATCH = 50
FEWEST, STEP = 3, 1e-3
REAL, ALL = "real", "all real"


@dataclass(frozen=True)
class Comparison:
    """An arm beside the real pictures alone, seed by seed."""

    name: str
    difference: float
    """Mean accuracy more than with the real ones alone."""
    se: float
    p: float
    """Of so large a difference, in either direction, where there is none: a paired t-test."""
    verdict: str
    """helps, hurts or cannot be told."""


@dataclass(frozen=True)
class Worth:
    """What was measured."""

    labels: int
    learnt_from: int
    """Labels on which the generator was trained."""
    accuracies: Mapping[str, Sequence[float]]
    """By arm, one per seed: on the held-out split."""
    held_out: str = ""
    """Hash of that split."""

    @property
    def leaks(self) -> bool:
        """The generator knows labels that the classifier is not given."""
        return self.learnt_from > self.labels

    def comparisons(self) -> list[Comparison]:
        """Every ratio beside the real pictures alone; `LEVEL` is shared among them (Bonferroni)."""
        ratios = [name for name in self.accuracies if name not in (REAL, ALL)]
        return [compared(name, self.accuracies[REAL], self.accuracies[name], LEVEL / len(ratios)) for name in ratios]


def across(found: Sequence[Worth]) -> Worth:
    """Of several runs, each one's mean over its seeds counts as one: generators differ, too. One stays as it is."""
    if len(found) == 1:
        return found[0]
    if len({one.held_out for one in found}) > 1:
        raise UserError("these runs were trained on different data; compare those of one set at a time")
    means = {arm: [statistics.fmean(one.accuracies[arm]) for one in found] for arm in found[0].accuracies}
    return Worth(found[0].labels, max(one.learnt_from for one in found), means, found[0].held_out)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; of one value the error is unknown: NaN."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.fmean(values), error


def as_json(found: Worth) -> dict[str, Any]:
    """All of it, for programs."""
    return {**asdict(found), "leaks": found.leaks, "comparisons": [asdict(one) for one in found.comparisons()]}


def compared(name: str, base: Sequence[float], other: Sequence[float], level: float = LEVEL) -> Comparison:
    """A paired t-test of (n,) accuracies, n >= 2, without a verdict below 3. ValueError for lengths that differ.

    Accuracies move in steps, so that differences may agree by chance: their deviation counts as `STEP` at least.
    """
    if len(base) != len(other) or len(base) < 2:
        raise ValueError(f"{len(base)} and {len(other)} accuracies: a paired test needs as many of each, at least 2")
    differences = [b - a for a, b in zip(base, other, strict=True)]
    mean, n = statistics.fmean(differences), len(differences)
    se = max(statistics.stdev(differences) / math.sqrt(n), STEP / math.sqrt(n))
    p = two_sided(mean / se, n - 1)
    told = "cannot be told" if p > level or n < FEWEST else "helps" if mean > 0 else "hurts"
    return Comparison(name, mean, se, p, told)


def two_sided(t: float, freedom: int) -> float:
    """P(|T| > |t|) of Student's t with `freedom` degrees, by quadrature over the angle atan(T / sqrt(freedom))."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    half = torch.linspace(0, math.pi / 2, 20_001, dtype=torch.float64)
    tail = torch.linspace(angle, math.pi / 2, 20_001, dtype=torch.float64)
    density = [torch.trapezoid(grid.cos().clamp(min=0) ** (freedom - 1), grid) for grid in (tail, half)]
    return float(density[0] / density[1])


def measure(
    run: Run, labels: int, ratios: Sequence[int], seeds: Sequence[int], rounds: int, ceiling: bool, console: Console
) -> Worth:
    """Train a classifier per seed on `labels` real pictures; on those and `ratio` times as many generated; on all.

    Each seed has pictures of its own, as far as the generator's own allow: where the run was trained with a limit, they
    are drawn from what it was trained on. All arms of a seed begin with the same weights and have the same number of
    updates and the same shifts of pictures. `UserError` for a run without labels, and for too many of them.
    """
    known, whole, held_out = sources(run, labels)
    numbers = tuned(rounds, whole)
    arms: dict[str, list[float]] = {REAL: [], **{f"+ {ratio} x generated": [] for ratio in ratios}}
    arms |= {ALL: []} if ceiling else {}
    for seed in seeds:
        few = known[evenly(labels_of(known), labels, seed)]
        real = {"image": few["image"], "label": few["label"]}
        trains: dict[str, Source] = {REAL: tensor_source(whole.about, real)}
        for ratio in ratios:
            made = generated(run, ratio * labels, seed)
            both = {name: torch.cat([real[name], made[name]]) for name in real}
            trains[f"+ {ratio} x generated"] = tensor_source(whole.about, both)
        if ceiling:
            trains[ALL] = whole
        for name, source in trains.items():
            arms[name].append(accuracy(numbers, source, held_out, seed, run.machine))
            console.print(f"seed {seed}, {name}: {arms[name][-1]:.4f}", markup=False)
    return Worth(labels, len(known), arms, held_out.about.sha256)


def sources(run: Run, labels: int) -> tuple[Source, Source, Source]:
    """(what the generator was trained on, all training samples, held-out ones)."""
    plan, about = run.plan, run.about
    if about.key != "image" or not about.classes or about.invented:
        raise UserError(f"{run.path}: augment needs pictures made by label; train cdcgan on a labelled set")
    if run.model.game.given or run.model.game.draw is None or "label" not in sampling.draw(run.model.game, 1, seed=0):
        raise UserError(f"{run.path}: the recipe {plan.recipe} makes nothing by label; use cdcgan")
    with run.guard():
        known = open_data(plan.data)["train"]
        splits = open_data(replace(plan.data, limit=None))
    if not len(about.classes) <= labels <= len(known):
        raise UserError(
            f"labels={labels}: the run was trained on {len(known):,} pictures of {len(about.classes)} classes; give at "
            "least one for each class, and no more than those"
        )
    return known, splits["train"], splits.get("validation", splits["test"])


def generated(run: Run, count: int, seed: int) -> dict[str, torch.Tensor]:
    """`count` samples, evenly of each class, with the labels that they were asked for."""
    classes = len(run.about.classes)
    each = [-(-count // classes)] * classes
    pictures = torch.cat([run.sample(n, label, mix(seed, label)) for label, n in enumerate(each)])
    labels = torch.arange(classes).repeat_interleave(each[0])
    kept = evenly(labels, count, seed)
    return {"image": pictures[kept], "label": labels[kept]}


def tuned(rounds: int, source: Source) -> classifier.Config:
    """The judge's classifier, with as many updates for every arm."""
    return replace(judge.numbers(source, source.about), rounds=rounds, batch=BATCH)


def accuracy(config: classifier.Config, source: Source, held_out: Source, seed: int, machine: Machine) -> float:
    """Share of the held-out samples that a fresh classifier names rightly."""
    with isolated():
        torch.manual_seed(seed)
        with machine.device:
            game = classifier.build(config, source.about)
        network: nn.Module = game.modules["classifier"]
        network.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        small = replace(config, batch=min(config.batch, len(source)))
        stream = batches(source, small.batch, seed, augment=config.augment, device=machine.device)
        state = train(game, stream, Train(config.rounds, seed, machine.precision))
        average = state.averages["classifier"].eval()
        return float(
            judge.named_rightly(judge.extractor_of(average, source.about, machine.device), held_out).double().mean()
        )
