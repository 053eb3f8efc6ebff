"""A run from beginning to end, from Python: the command line calls these and nothing else.

run = sparring.train("dcgan", data="mnist")
sparring.load("runs/dcgan-mnist-1").sample(64)
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from sparring import checkpoint, recipes, sampling, training
from sparring.config import UserError, did_you_mean, from_json, is_outside, no_outside_code, to_json
from sparring.data import About, Data, Source, Splits, open_data
from sparring.data.toys import TOYS, captured
from sparring.engine import State, start
from sparring.game import Game
from sparring.judge import judge_of
from sparring.machine import Machine, find_machine
from sparring.metrics.evaluate import class_shares, with_floor
from sparring.metrics.features import extract
from sparring.report import write_report
from sparring.runs import (
    How,
    Plan,
    Written,
    environment,
    forget_after,
    new_folder,
    now,
    read_config,
    read_events,
    write_config,
    write_json,
)
from sparring.training import Job

MOST_SAMPLES = 10_000


def train(recipe: str, *, preset: str | None = None, quiet: bool = False, **settings: Any) -> Run:
    """Train `recipe` and return the run. `settings` are those of the command line: `data="mnist", rounds=500`.

    Numbers inside numbers go as mappings: `generator={"lr": 1e-3}`. Raises `UserError` for what cannot be.
    """
    return start_run(plan_of(recipe, preset, settings), Console(stderr=True, quiet=quiet))


def load(path: str | Path, trust: bool = False) -> Run:
    """A run that was trained before. Nothing in it is executed unless you `trust` it.

    Trust is needed only where the recipe itself, or an objective to go on training with, is a file of your own.
    """
    return Run(Path(path), trust)


def plan_of(recipe: str, preset: str | None, settings: dict[str, Any]) -> Plan:
    """The plan that these settings make, each checked against its declaration."""
    name, model = recipes.preset(recipes.find(recipe), preset)
    parts: dict[str, Any] = {"model": model, "data": Data(), "how": How()}
    fields = {f.name: part for part, value in parts.items() for f in dataclasses.fields(value)}
    changed: dict[str, dict[str, Any]] = {part: to_json(value) for part, value in parts.items()}
    for key, value in settings.items():
        if key not in fields:
            raise UserError(f"there is no setting '{key}'{did_you_mean(key, list(fields))}")
        old = changed[fields[key]][key]
        new = to_json(value)
        changed[fields[key]][key] = {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
    made = {part: from_json(type(value), changed[part], recipe) for part, value in parts.items()}
    return Plan(recipe, name, made["model"], made["data"], made["how"])


def start_run(plan: Plan, console: Console) -> Run:
    """Everything that `sparring train` does."""
    plan = with_full_paths(plan)
    splits = open_data(plan.data)
    source = recipes.find(plan.recipe).data(plan.model, splits["train"])
    checked(plan, source)
    machine = find_machine(plan.how, source.about.key)
    machine, measured = training.choose_threads(plan, source, machine)
    facts: dict[str, Any] = {"seconds_per_round": measured.seconds_per_round}
    if plan.how.minutes is not None:
        facts["minutes"] = plan.how.minutes
    plan = training.fit_to_time(plan, measured)
    how = dataclasses.replace(plan.how, precision=machine.precision, threads=machine.threads)
    plan = dataclasses.replace(plan, how=how)
    stem = how.name or f"{plan.recipe.rpartition(':')[2]}-{short(plan.data.data)}"
    folder = new_folder(Path(how.runs), stem, numbered=how.name is None)
    write_config(folder, plan, source.about, facts)
    write_json(folder / "environment.json", environment(f"{machine.device} ({machine.name})"))
    game = training.assemble(plan, source.about, machine)
    job = Job(folder, plan, splits, source, machine, game, start(game))
    training.announce(console, job, measured)
    return finish(job, console)


def resume(path: str | Path, quiet: bool = False) -> Run:
    """Go on with a run from its last good checkpoint, bitwise as if it had never stopped."""
    console = Console(stderr=True, quiet=quiet)
    run = Run(Path(path), trust=True)
    plan, splits = run.plan, open_data(run.plan.data)
    source = recipes.find(plan.recipe).data(plan.model, splits["train"])
    if source.about.sha256 != run.about.sha256:
        raise UserError(
            f"data={plan.data.data} has changed since {path} began (sha256 {source.about.sha256[:12]}, it was "
            f"{run.about.sha256[:12]}); restore the data, or start a new run with --config {path}/config.json"
        )
    game, state = run.restored(console)
    if state.round >= plan.model.rounds:
        console.print(f"{path} is complete: {state.round:,} rounds; nothing is left to do")
        return run
    forget_after(run.path, state.round)
    job = Job(run.path, plan, splits, source, run.machine, game, state)
    for event in read_events(run.path):
        if event["event"] == "losses":
            job.seconds, job.cpu_seconds = float(event["seconds"]), float(event["cpu_seconds"])
    console.print(f"resuming {run.path} at round {state.round:,} of {plan.model.rounds:,} on {run.machine}")
    return finish(job, console)


def finish(job: Job, console: Console) -> Run:
    """Play to the end; then judge and report."""
    done = training.play(job, console)
    run = Run(job.folder, trust=True)
    if not done:
        console.print(f"stopped and saved. Go on with:  sparring resume {job.folder}")
        return run
    if job.plan.how.evaluate and job.game.sample is not None:
        run.evaluate(console=console, splits=job.splits if not job.plan.data.validation else None)
    elif job.plan.how.evaluate:
        run.test_classifier(console, job.splits["test"])
    page = run.report()
    console.print(f"report:  {page}")
    return run


def checked(plan: Plan, source: Source) -> None:
    """Mistakes that are better found before the work begins."""
    if plan.model.batch > len(source):
        raise UserError(
            f"batch={plan.model.batch} is larger than the {len(source)} samples of {source.about.name}; "
            f"use --batch {max(1, len(source) // 2)} or less"
        )
    for name in ("rounds", "batch"):
        if getattr(plan.model, name) < 1:
            raise UserError(f"{name}={getattr(plan.model, name)} must be at least 1")


def short(data: str) -> str:
    """A folder's or file's own name, for the name of the run."""
    return Path(data.partition(":")[0]).stem.lower().replace(" ", "-") or "data"


def with_full_paths(plan: Plan) -> Plan:
    """Settings that name a file get its full path, so that the run can be resumed from anywhere."""

    def full(text: Any) -> Any:
        if not isinstance(text, str) or not text:
            return text
        file, colon, name = text.rpartition(":")
        if is_outside(text, {}) and file.endswith(".py") and Path(file).expanduser().is_file():
            return f"{Path(file).expanduser().resolve()}{colon}{name}"
        return text

    changed = {f.name: full(getattr(plan.model, f.name)) for f in dataclasses.fields(plan.model)}
    data = plan.data.data
    path = Path(data).expanduser()
    if path.exists() and ("/" in data or "." in data or path.is_dir()) and data not in ("digits", "shapes"):
        data = str(path.resolve())
    return dataclasses.replace(
        plan,
        recipe=full(plan.recipe),
        model=dataclasses.replace(plan.model, **changed),
        data=dataclasses.replace(plan.data, data=full(data)),
    )


class Run:
    """A run folder: sample from it, judge it, report it, go on with it."""

    def __init__(self, path: Path, trust: bool = False) -> None:
        self.path = path
        self.trust = trust
        self.written: Written = read_config(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def about(self) -> About:
        """Facts of the data as the recipe learnt from them."""
        return self.written.about

    @cached_property
    def plan(self) -> Plan:
        """All settings of the run."""
        w = self.written
        if is_outside(w.recipe, recipes.RECIPES) and not self.trust:
            raise UserError(f"recipe={w.recipe} is code outside the package; load it with trust=True if it is yours")
        config = recipes.find(w.recipe).Config
        return Plan(
            w.recipe, w.preset, from_json(config, w.model, f"{self.path / 'config.json'}: model"), w.data, w.how
        )

    @cached_property
    def machine(self) -> Machine:
        """Where it computes now."""
        return find_machine(self.plan.how, self.about.key)

    def restored(self, console: Console | None = None) -> tuple[Game, State]:
        """The game and state of the last good checkpoint; damaged ones are told of and passed over."""
        if self.trust:
            game = training.assemble(self.plan, self.about, self.machine)
        else:
            with no_outside_code():
                game = training.assemble(self.plan, self.about, self.machine)
        state = start(game)
        folder = self.path / "checkpoints"
        for path in reversed(checkpoint.listed(folder)):
            try:
                tensors, meta = checkpoint.read(path)
                checkpoint.restore(game, state, tensors, meta)
                return game, state
            except checkpoint.CorruptCheckpointError as error:
                (console or Console(stderr=True)).print(
                    f"[bold red]{training.escaped(str(error))}[/]; trying the one before"
                )
                game = training.assemble(self.plan, self.about, self.machine)
                state = start(game)
        return game, state

    @cached_property
    def model(self) -> tuple[Game, dict[str, nn.Module], int]:
        """(game, modules to sample from, round of the checkpoint)."""
        if not checkpoint.listed(self.path / "checkpoints"):
            raise UserError(f"{self.path} has no checkpoint yet; train it first: sparring resume {self.path}")
        game, state = self.restored()
        return game, sampling.for_sampling(game, state), state.round

    def sample(self, n: int = 64, label: str | int | None = None, seed: int = 0) -> Tensor:
        """`n` samples of the averaged model: uint8 (n, C, H, W) pictures, or float32 (n, D) points.

        The same (n, label, seed) give the same samples. `label` is a class's name or number.
        """
        if n < 1:
            raise UserError(f"n={n} must be at least 1")
        game, modules, _ = self.model
        number = None if label is None else sampling.label_number(self.about, label)
        drawn = sampling.draw(game, n, seed, number)
        return sampling.finished(sampling.generate(game, modules, drawn), self.about)

    def evaluate(
        self,
        split: str = "test",
        samples: int = MOST_SAMPLES,
        seed: int = 1,
        against: Data | None = None,
        splits: Splits | None = None,
        console: Console | None = None,
    ) -> dict[str, Any]:
        """Judge `samples` samples against a held-out split; written to evaluation.json and returned.

        At most as many samples are drawn as there are training samples, so that the floor (real training samples
        against the same reference) has the same number.
        """
        console = console or Console(stderr=True)
        splits = splits or open_data(against or self.plan.data)
        if split not in splits:
            raise UserError(f"split={split} is not one of {', '.join(splits)}{did_you_mean(split, list(splits))}")
        n = min(samples, len(splits["train"]), MOST_SAMPLES)
        if splits["train"].about.key == "image":
            scored = self._judged(splits, split, n, seed, console)
        else:
            points = self.sample(n, seed=seed)
            modes, quality = captured(points, TOYS[self.about.name]) if self.about.name in TOYS else (0, 0.0)
            scored = {"modes": modes, "high quality share": quality}
        result = {"round": self.model[2], "weights": "average", "samples": n, "seed": seed, "time": now(), **scored}
        write_json(self.path / "evaluation.json", result)
        return result

    def _judged(self, splits: Splits, split: str, n: int, seed: int, console: Console) -> dict[str, Any]:
        train_set, held_out = splits["train"], splits[split]
        if train_set.about.shape != self.about.shape:
            raise UserError(f"data of shape {train_set.about.shape} cannot judge samples of shape {self.about.shape}")
        extractor = judge_of(splits, self.machine, console)
        reference = held_out[torch.arange(min(len(held_out), MOST_SAMPLES))]["image"]
        order = torch.randperm(len(train_set), generator=torch.Generator().manual_seed(seed))[:n].sort().values
        with console.status("judging ..."):
            fake = extract(extractor, self.sample(n, seed=seed))
            floor = extract(extractor, train_set[order]["image"])
            real = extract(extractor, reference)
            metrics = with_floor(fake, floor, real)
        about = train_set.about
        return {
            "reference": {"data": about.name, "split": split, "count": len(reference), "sha256": held_out.about.sha256},
            "floor": f"{n} real training samples against the same reference",
            "extractor": {
                "name": extractor.name,
                "sha256": extractor.sha256,
                "features": fake.features.shape[1],
                "accuracy": extractor.accuracy,
            },
            "quantiser": "round(127.5 (x + 1)), 8 bits",
            "metrics": metrics,
            "classes": class_shares(fake, about.classes, about.prior),
        }

    def test_classifier(self, console: Console, test: Source) -> float:
        """Accuracy of the averaged classifier on a held-out split; written to evaluation.json."""
        from sparring.judge import accuracy, extractor_of

        _, modules, round_number = self.model
        value = accuracy(extractor_of(modules["classifier"], self.about, self.machine.device), test)
        metrics = {"accuracy": {"value": value, "better": "higher"}}
        reference = {"data": self.about.name, "split": "test", "count": len(test), "sha256": test.about.sha256}
        result = {
            "round": round_number,
            "weights": "average",
            "reference": reference,
            "metrics": metrics,
            "time": now(),
        }
        write_json(self.path / "evaluation.json", result)
        return value

    def report(self) -> Path:
        """Write report.html, grid.png and learning.gif; returns the page."""
        return write_report(self.path)
