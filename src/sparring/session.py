"""A run from beginning to end, from Python: the command line calls these and nothing else.

run = sparring.train("dcgan", data="mnist")
sparring.load("runs/dcgan-mnist-1").sample(64)
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sparring import checkpoint, recipes, sinks, training
from sparring.config import (
    UserError,
    check_limits,
    did_you_mean,
    from_json,
    is_outside,
    printable,
    read_json,
    to_json,
)
from sparring.data import NAMED, Data, Source, Splits, open_data
from sparring.data.ciphers import CIPHER
from sparring.data.counts import class_counts, too_few_to_judge, too_few_to_train, unbalanced
from sparring.data.shards import is_shards
from sparring.data.vectors import TURNED
from sparring.data.views import HALF, asks_itself, view_named
from sparring.distributed import Shards, World, joined
from sparring.engine import start
from sparring.judging import FEWEST, default_split
from sparring.machine import Machine, find_machine, isolated
from sparring.metrics.evaluate import differences
from sparring.runs import (
    How,
    Plan,
    environment,
    forget_after,
    new_folder,
    only_one,
    read_config,
    read_events,
    writable,
    write_config,
    write_json,
)
from sparring.trained import Run, as_learnt, load, short, warner
from sparring.training import Job
from sparring.trial import announce, choose_threads, fit_to_time

EXACT = 4
"""Shards of a reproducible run: the most processes that may share it."""


def train(recipe: str, *, preset: str | None = None, quiet: bool = False, **settings: Any) -> Run:
    """Train `recipe` and return the run. `settings` are those of the command line: `data="mnist", rounds=500`.

    Numbers inside numbers go as mappings: `generator={"lr": 1e-3}`. Raises `UserError` for what cannot be.
    """
    return start_run(plan_of(recipe, preset, settings), Console(stderr=True, quiet=quiet))


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
    with isolated(), joined() as world:
        console = console if world.first else Console(quiet=True)
        begun = world.told(relaunched(Path(plan.how.runs)) if world.first else None)
        if begun is not None:
            return _resume(Path(begun), console, world)
        return _start_run(with_full_paths(plan), console, world)


def _start_run(plan: Plan, console: Console, world: World) -> Run:
    check_names(plan)
    with world.in_turn():
        splits: Splits = open_data(plan.data)
    check_limits(plan.model)
    shards = shards_of(plan.how, world)
    plan = fit_batch(plan, len(splits["train"]), console, shards.count)
    source = recipes.find(plan.recipe).data(plan.model, splits["train"])
    splits = as_learnt(splits, source.about, plan)
    checked(plan, source, shards)
    machine = find_machine(plan.how, source.about.key, world)
    yields = yielding(plan.how, machine, world)
    machine, measured = choose_threads(plan, source, machine, shards)
    facts: dict[str, Any] = {"seconds_per_round": measured.seconds_per_round, "samples": len(source)} | launch(world)
    facts |= {"yields": True} if yields else {}
    if plan.how.minutes is not None:
        facts["minutes"] = plan.how.minutes
    plan = fit_to_time(plan, measured)
    how = dataclasses.replace(
        plan.how,
        device=str(machine.device),
        precision=machine.precision,
        threads=machine.threads,
        shards=shards.count,
    )
    plan = dataclasses.replace(plan, how=how)
    folder = world.told(str(written_folder(plan, source, machine, facts)) if world.first else None)
    game = training.assemble(plan, source.about, machine)
    job = Job(Path(folder), plan, splits, source, machine, game, start(game), shards, yields=yields)
    announce(console, job, measured)
    warn_of(job, console)
    return finish(job, console)


def written_folder(plan: Plan, source: Source, machine: Machine, facts: Mapping[str, Any]) -> Path:
    """A new run's folder, with what the run is."""
    stem = plan.how.name or f"{plan.recipe.rpartition(':')[2]}-{short(plan.data.data)}"
    folder = new_folder(Path(plan.how.runs), stem, numbered=plan.how.name is None)
    with writable(folder):
        write_config(folder, plan, source.about, facts)
        write_json(folder / "environment.json", environment(f"{machine.device} ({machine.name})"))
    return folder


def yielding(how: How, machine: Machine, world: World) -> bool:
    """Whether threads may be left out for other programs: where nobody asked for a number, or for the same bits."""
    return machine.device.type == "cpu" and how.threads is None and not how.reproducible and world.size == 1


def shards_of(how: How, world: World) -> Shards:
    """The parts of a batch. `UserError` where processes cannot share them."""
    count = how.shards if how.shards is not None else max(EXACT, world.size) if how.reproducible else world.size
    if how.reproducible and count & (count - 1):
        raise UserError(f"shards={count} with reproducible must be 2, 4, 8, ...: sums are made in pairs")
    return Shards(count, world, how.sync_norm)


def launch(world: World) -> dict[str, str]:
    """Who started these processes: `torchrun` starts all of them again when one has died."""
    return {"launch": launcher()} if world.size > 1 else {}


def launcher() -> str:
    """`torchrun`'s process, and what tells it from those that had its number before, as in containers.

    A run's id is one of its own with --standalone, else what the user gave; when the process began is told by Linux.
    """
    parent, began = os.getppid(), ""
    with contextlib.suppress(OSError, IndexError):
        began = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    return ":".join([socket.gethostname(), str(parent), os.environ.get("TORCHELASTIC_RUN_ID", ""), began])


def relaunched(runs: Path) -> str | None:
    """The run that these processes had begun before one of them died, if so."""
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) == 0:
        return None
    mine, found = launcher(), list[Path]()
    for file in runs.glob("*/config.json"):
        with contextlib.suppress(UserError, OSError):
            if read_config(file.parent).facts.get("launch") == mine:
                found.append(file)
    return str(max(found, key=lambda file: file.stat().st_mtime).parent) if found else None


def resume(path: str | Path, quiet: bool = False) -> Run:
    """Go on with a run from its last good checkpoint, bitwise as if it had never stopped.

    Code that the run names (an objective, a recipe or data of your own) is executed: resume only what you trust.
    """
    with isolated(), joined() as world:
        # as in `start_run`: on one machine of several the launcher may have begun anew, with other words
        begun = world.told(str(path))
        if begun is None:
            raise UserError(f"the first process began a new run, and this one is to resume {path}")
        return _resume(Path(begun), Console(stderr=True, quiet=quiet or not world.first), world)


def _resume(path: Path, console: Console, world: World) -> Run:
    run = Run(path, trust=True)
    run.folder("resume")
    plan = run.plan
    with world.in_turn():
        splits: Splits = open_data(plan.data)
    source = recipes.find(plan.recipe).data(plan.model, splits["train"])
    splits = as_learnt(splits, source.about, plan)
    if source.about.sha256 != run.about.sha256:
        raise UserError(
            f"data={plan.data.data} has changed since {path} began, or is clustered otherwise by this machine "
            f"(sha256 {source.about.sha256[:12]}, it was {run.about.sha256[:12]}); restore it, or start "
            f"a new run with --config {path}/config.json"
        )
    shards = shards_of(dataclasses.replace(plan.how, shards=plan.how.shards or 1), world)
    machine = find_machine(plan.how, source.about.key, world)
    game = training.assemble(plan, source.about, machine)
    state = checkpoint.restore_newest(game, run.path / "checkpoints", warner(console))
    played = state.round >= plan.model.rounds
    unjudged = plan.how.evaluate and not (run.path / "evaluation.json").is_file()
    if played and not world.told(unjudged if world.first else None):
        console.print(f"{path} is complete: {state.round:,} rounds; nothing is left to do")
        return run
    if world.first and not played:
        with only_one(run.path), writable(run.path):  # else another process's events would be dropped
            forget_after(run.path, state.round)
    yields = bool(run.written.facts.get("yields")) and world.size == 1
    job = Job(run.path, plan, splits, source, machine, game, state, shards, yields=yields)
    if played:
        console.print(f"{path} has all its {state.round:,} rounds and no scores yet", markup=False)
        return conclude(job, console)
    for event in read_events(run.path):
        spent = event.get("seconds"), event.get("cpu_seconds")
        if event["event"] == "losses" and all(isinstance(number, float) for number in spent):
            job.seconds, job.cpu_seconds = spent  # type: ignore[assignment]
    tell_of_changes(run.path, machine, console)
    begun = f"resuming {run.path} at round {state.round:,} of {plan.model.rounds:,} on {machine}"
    console.print(begun, markup=False)
    return finish(job, console)


def tell_of_changes(run: Path, machine: Machine, console: Console) -> None:
    """Bitwise is a promise for one machine: say so where torch or the processor is another than at the start."""
    try:
        before = dict(read_json(run / "environment.json"))
    except (UserError, TypeError, ValueError):  # only informs
        return
    now_here = environment(f"{machine.device} ({machine.name})")
    for key in ("torch", "device"):
        if before.get(key) != now_here[key]:
            console.print(f"note: {key} is {now_here[key]}, it was {before.get(key)}; last bits will differ")


def warn_of(job: Job, console: Console) -> None:
    """What is wrong with the data by their numbers alone, a line each: told now, not when the work is done."""
    little, unjudged = hasattr(job.plan.model, "discriminator_augment"), job.plan.how.evaluate
    found = [
        too_few_to_train(job.splits) if little else None,
        too_few_to_judge(job.splits, default_split(job.splits), fewest(job)) if unjudged else None,
        unbalanced(class_counts(job.splits)),
    ]
    for note in job.game.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    for finding in found:
        if finding is not None:
            told = f"{finding.kind}: {finding.what}; try: {finding.remedy}"
            console.print(printable(told), style="yellow", markup=False, soft_wrap=True)


def finish(job: Job, console: Console) -> Run:
    """Play to the end; then judge and report."""
    if training.play(job, console):
        return conclude(job, console)
    if job.shards.world.first:
        at = f"at round {job.state.round:,} of {job.settings.rounds:,}"
        console.print(
            f"stopped and saved {at}. Go on with:  sparring resume {job.folder}", markup=False, soft_wrap=True
        )
    return Run(job.folder, trust=True)


def conclude(job: Job, console: Console) -> Run:
    """Judge and report what was played to the end."""
    run, world = Run(job.folder, trust=True), job.shards.world
    if not world.first:
        if job.plan.how.evaluate:
            run.assist(world)
        return run
    if job.plan.how.evaluate:
        run.world = world
        judge(run, job, console)
        world.told(None)  # the others are needed no more
    console.print(f"report:  {run.report()}", markup=False)
    return run


def fewest(job: Job) -> int:
    """Held-out samples that judging needs: twice as many where half of them are what others are made from."""
    return 2 * FEWEST if asks_itself(job.source) else FEWEST


def judge(run: Run, job: Job, console: Console) -> None:
    """The end of a run, and its best checkpoint where that seems to be better."""
    lacking = too_few_to_judge(job.splits, default_split(job.splits), fewest(job))
    if lacking is not None:
        console.print(f"not judged: {lacking.what}: {lacking.remedy}", soft_wrap=True)
        return
    final = run.evaluate(splits=job.splits, console=console)
    console.print(summary(final), markup=False)
    if "sources" not in final and run.had_better():
        tell_of_best(run, final, job.splits, console)


def tell_of_best(run: Run, final: Mapping[str, Any], splits: Splits, console: Console) -> None:
    """Judge the best checkpoint too, and say which of the two to use."""
    best = load(run.path, trust=run.trust, device=run.device, checkpoint="best")
    best.world = run.world
    result = best.evaluate(splits=splits, console=console)
    told = next((d for d in differences(final, result) if d.name == "frechet distance"), None)
    console.print(f"round {result['round']:,}, the best while training: {summary(result)}", markup=False)
    if told is not None and told.verdict == "second":
        use = f"sparring sample {run.path} --checkpoint best"
        console.print(f"it is better than the end by {-told.errors:.0f} standard errors: {use}", markup=False)


def summary(result: Mapping[str, Any]) -> str:
    """The scores in a line."""
    words = []
    for name, row in result["metrics"].items():
        if name == "frechet distance" and "sources" in result:  # least for what leaves them as they are
            continue
        times = f" ({row['times_floor']:.2f} x that of real data)" if "times_floor" in row else ""
        if name in (
            "frechet distance",
            "precision",
            "recall",
            "accuracy",
            "modes",
            "high quality share",
            "words right",
            "class right",
            "cosine",
        ) or name.startswith(("elbo", "nll")):
            words.append(f"{name} {row['value']:.4g}{times}")
    return f"judged: {', '.join(words)}"


def fit_batch(plan: Plan, samples: int, console: Console, shards: int = 1) -> Plan:
    """A recipe's own batch is lowered for a small set, to what shards can share; one that the user chose is kept."""
    batch = getattr(plan.model, "batch", 0)
    if batch <= samples or batch != recipes.preset(recipes.find(plan.recipe), plan.preset)[1].batch or samples < 4:
        return plan
    least = shards * getattr(plan.model, "pack", 1)
    fitting = max(least, samples // 2 // least * least)
    console.print(f"batch {fitting}, because there are only {samples} samples to train on")
    return dataclasses.replace(plan, model=dataclasses.replace(plan.model, batch=fitting))


def checked(plan: Plan, source: Source, shards: Shards) -> None:
    """Mistakes that are better found before the work begins."""
    for settings in (plan.model, plan.how):
        check_limits(settings)
    sinks.check(plan.how.sink)
    training.check_source(source)
    for name in ("rounds", "batch"):
        if not isinstance(getattr(plan.model, name, None), int):
            raise UserError(f"recipe={plan.recipe}: its Config needs a whole number called {name}")
    if plan.model.batch > len(source):
        raise UserError(
            f"batch={plan.model.batch} is larger than the {len(source)} samples of {source.about.name}; "
            f"use --batch {max(1, len(source) // 2)} or less"
        )
    least = shards.count * getattr(plan.model, "pack", 1)
    if plan.model.batch % least:
        raise UserError(f"batch={plan.model.batch} cannot be cut into {shards.count} shards; use a multiple of {least}")


def check_names(plan: Plan) -> None:
    """`UserError` for a setting that could not be written down: a folder above the data whose name is no UTF-8, say."""
    for settings in (plan.data, plan.how, plan.model):
        for name, value in to_json(settings).items():
            try:
                str(value).encode()
            except UnicodeEncodeError:
                raise UserError(f"{name}={value!a}: a name in it is not UTF-8; rename that folder or file") from None


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
    data, labels, other = plan.data.data, plan.data.labels, plan.data.source
    made = other is not None and other.partition(":")[0] in (CIPHER, TURNED)
    named = other is None or made or other in {HALF, *NAMED} or view_named(other) is not None
    if other is not None and not named and Path(other).expanduser().exists():
        other = str(Path(other).expanduser().resolve())
    if labels is not None and Path(labels).expanduser().is_file():  # else it may lie inside the folder or zip
        labels = str(Path(labels).expanduser().absolute())
    captions = plan.data.captions
    if captions is not None and Path(captions).expanduser().is_file():
        captions = str(Path(captions).expanduser().absolute())
    path = Path(data).expanduser()
    if path.exists() and ("/" in data or "." in data or path.is_dir()) and data not in NAMED:
        data = str(path.resolve())
    elif is_shards(data) and "://" not in data:  # several tars: {000..099}.tar
        data = str(path.absolute())
    return dataclasses.replace(
        plan,
        recipe=full(plan.recipe),
        model=dataclasses.replace(plan.model, **changed),
        data=dataclasses.replace(plan.data, data=full(data), labels=labels, source=other, captions=captions),
    )
