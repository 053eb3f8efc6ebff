"""The doctor at the bedside: looks while a run is trained, tells what it finds, and acts where it was asked to."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from sparring import checkpoint, recipes
from sparring.config import check_limits, from_json, to_json
from sparring.data.source import Source, Splits
from sparring.doctor import Change, Finding, diagnose, record_of
from sparring.engine import State
from sparring.game import Game
from sparring.judge import kept_judge
from sparring.machine import Machine
from sparring.probes import Probes, probe_rounds
from sparring.runs import Events, Plan, read_events

HEALTHY = "healthy"
"""Folder of the newest checkpoints of which nothing bad was known."""
KEPT = 12
BEST = "best"
"""Folder of the checkpoint whose samples lay nearest to the data."""
LOOKS = 3
"""Whose median counts: one look sees few samples."""


class Trouble(Exception):  # noqa: N818  (not an error of the program)
    """Training is to be stopped, or rolled back, because of a finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


@dataclass(eq=False)
class Care:
    """Watches one run."""

    folder: Path
    plan: Plan
    game: Game
    probes: Probes
    samples: int
    history: list[Mapping[str, Any]] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    seconds: float = 0.0
    """Spent in looking."""
    save: Callable[[Path, Game, State, int], object] = checkpoint.save
    """How a checkpoint is written."""
    kept: bool = False
    """Whether a best checkpoint has been asked for, which may not be on disk yet."""

    @property
    def rounds(self) -> set[int]:
        """When to look."""
        return probe_rounds(self.plan.model.rounds)

    def losses(self, number: int, values: Mapping[str, float]) -> None:
        """What the engine reports goes into the record too."""
        self.history.append({"event": "losses", "round": number, "values": values})

    def look(self, state: State, events: Events, console: Console) -> None:
        """Probe, diagnose, and tell what is new. Raises `Trouble` where the run is to be stopped for it."""
        begin = time.perf_counter()
        values = self.probes(state)
        spent = time.perf_counter() - begin
        self.seconds += spent
        events.write("probe", round=state.round, values=values, seconds=round(spent, 4))
        self.history.append({"event": "probe", "round": state.round, "values": values})
        self._keep_best(state)
        self.tell(self.findings(), events, console, act=state.round < self.plan.model.rounds)
        if not self.told and self.may_act() and self.plan.how.on_trouble == "rollback":
            # several: what is found to be wrong began some looks before
            self.save(self.folder / HEALTHY, self.game, state, KEPT)

    def _keep_best(self, state: State) -> None:
        distances = [distance for _, distance in smoothed(self.history)]
        # strictly lower: the median after a first bad look may equal the one before it
        better = bool(distances) and distances[-1] < min(distances[:-1], default=math.inf)
        known = self.kept or checkpoint.listed(self.folder / BEST)
        if better or (distances and math.isfinite(distances[-1]) and not known):
            self.kept = True
            self.save(self.folder / BEST, self.game, state, 1)

    def findings(self) -> list[Finding]:
        """Of all that is known."""
        return diagnose(record_of(self.history, self.plan.model.rounds, self.samples))

    def broken(self, number: int, message: str, events: Events, console: Console) -> None:
        """A loss is no longer a number."""
        event = {"round": number, "message": message}
        events.write("broken", **event)
        self.history.append({"event": "broken", **event})
        self.tell(self.findings(), events, console, act=self.plan.how.on_trouble == "rollback")

    def tell(self, found: Sequence[Finding], events: Events, console: Console, act: bool = True) -> None:
        """Each kind once a run; raises `Trouble` where it is to be acted on."""
        for finding in found:
            if finding.kind in self.told:
                continue
            self.told.add(finding.kind)
            finding = replace(finding, remedy=finding.remedy + lacking(finding.remedy, self.plan.model))
            events.write("finding", round=finding.since, **finding.as_json())
            console.print(
                f"doctor: {finding.kind}. {finding.what}. Try: {finding.remedy}", style="yellow", markup=False
            )
            if act and self.may_act():
                raise Trouble(finding)

    def may_act(self) -> bool:
        """Stop, or roll back as long as that is allowed."""
        how, done = self.plan.how, sum(event["event"] == "rollback" for event in self.history)
        return how.on_trouble == "stop" or (how.on_trouble == "rollback" and done < how.rollbacks)


def lacking(remedy: str, model: Any) -> str:
    """The settings that a remedy names and a recipe does not have, in brackets behind it."""
    flags = dict.fromkeys(re.findall(r"--([a-z][a-z0-9_.]*)", remedy))
    missing = [f"--{flag}" for flag in flags if flag != "preset" and _holder(to_json(model), flag)[0] is None]
    return f" (this recipe has no {', '.join(missing)})" if missing else ""


def smoothed(events: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """(round, median distance of the last looks), without what was rolled back: what tells the best checkpoint."""
    found: list[tuple[int, float]] = []
    for event in events:
        if event["event"] == "rollback":
            found = [(number, distance) for number, distance in found if number <= event["round"]]
        if event["event"] == "probe":
            found.append((int(event["round"]), float(event["values"].get("distance", math.inf))))
    ends = range(LOOKS, len(found) + 1)
    return [(found[end - 1][0], statistics.median(d for _, d in found[end - LOOKS : end])) for end in ends]


def care_for(
    folder: Path,
    plan: Plan,
    game: Game,
    source: Source,
    splits: Splits,
    machine: Machine,
    save: Callable[[Path, Game, State, int], object] = checkpoint.save,
) -> Care | None:
    """None for games that make no samples, and where nobody is to look.

    What is held out is the validation split where there is one, else the test split.
    """
    if game.sample is None or plan.how.on_trouble == "ignore":
        return None
    held_out, about = splits.get("validation", splits.get("test")), splits["train"].about
    if held_out is not None and game.given:  # what samples are made from is a matter of the recipe
        held_out = recipes.find(plan.recipe).data(plan.model, held_out)
    judge = kept_judge(splits["train"], machine)
    probes = Probes(game, source, held_out, judge, about.prior, machine.precision)
    care = Care(folder, plan, game, probes, len(source), save=save)
    for event in read_events(folder):
        if event["event"] in ("losses", "probe", "broken", "resume", "rollback"):
            care.history.append(event)
        if event["event"] == "finding":
            care.told.add(str(event.get("kind")))
        if event["event"] == "rollback":
            care.told.clear()
    return care


def treated(model: Any, usual: Any, changes: Sequence[Change], where: str) -> tuple[Any, list[str]]:
    """A recipe's numbers with a remedy applied, and what was changed; what a recipe does not have is passed over.

    `usual`: the preset that it began from. A number that the user changed goes back to it first, if that is the way
    that the remedy goes.
    """
    done = []
    for change in changes:
        values = to_json(model)
        holder, inner = _holder(values, change.setting)
        if holder is None:
            continue
        old, known = holder[inner], _holder(to_json(usual), change.setting)[0]
        if change.factor is None:
            holder[inner] = change.value
        elif isinstance(old, bool) or not isinstance(old, int | float):
            continue  # a schedule: whoever wrote it knows better
        else:
            wanted = None if known is None else known[inner]
            further = isinstance(wanted, int | float) and wanted != old and (wanted < old) == (change.factor < 1)
            holder[inner] = wanted if further else old * change.factor
        if holder[inner] == old:
            continue
        fresh = from_json(type(model), values, where)
        check_limits(fresh)
        model = fresh
        done.append(f"{change.setting}: {old} -> {holder[inner]}")
    return model, done


def _holder(values: Any, setting: str) -> tuple[dict[str, Any] | None, str]:
    """The mapping that holds a dotted setting, and its last name; None where there is none."""
    *outer, inner = setting.split(".")
    for name in outer:
        values = values.get(name) if isinstance(values, dict) else None
    return (values if isinstance(values, dict) and inner in values else None), inner


def forget_sick(folder: Path, number: int) -> None:
    """Drop checkpoints of rounds after `number`: a resume must not go on from them."""
    for path in checkpoint.listed(folder):
        if int(path.stem.partition("-")[0]) > number:
            path.unlink()
