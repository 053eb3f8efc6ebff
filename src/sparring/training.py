"""A run while it is trained: set up, tell what will happen, keep the user informed, save, stop cleanly."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from sparring import checkpoint, recipes, sampling, show
from sparring.average import batch_norms
from sparring.care import BEST, HEALTHY, Care, Trouble, care_for, forget_sick, treated
from sparring.checkpoint import Writer
from sparring.config import UserError, from_json, to_json
from sparring.data import About, Source, Splits
from sparring.data.kinds import KINDS
from sparring.data.loader import batches
from sparring.data.stores import ShardError
from sparring.distributed import ALONE, WHOLE, Shards, World
from sparring.doctor import Finding
from sparring.engine import MEASURED, NonFiniteLossError, Round, State, Train, rounds, start
from sparring.files import replacing
from sparring.game import Game
from sparring.machine import Machine
from sparring.pace import Pace
from sparring.runs import Events, Plan, now, only_one, read_config, write_config
from sparring.sinks import Sinks
from sparring.snapshots import shown


@dataclass
class Job:
    """All that a run consists of while it is in memory."""

    folder: Path
    plan: Plan
    splits: Splits
    source: Source
    """The training split as the recipe learns from it."""
    machine: Machine
    game: Game
    state: State
    shards: Shards = WHOLE
    seconds: float = 0.0
    """Spent in training so far, without drawing, saving and judging; `cpu_seconds` alike."""
    cpu_seconds: float = 0.0
    yields: bool = False
    """Whether threads are left out while other programs hold cores: where their number was not asked for."""

    @property
    def about(self) -> About:
        """Facts of the source."""
        return self.source.about

    @cached_property
    def pool(self) -> Source:
        """Held-out samples that others are made from, for games that do so."""
        held_out = self.splits.get("validation", self.splits.get("test", self.splits["train"]))
        return recipes.find(self.plan.recipe).data(self.plan.model, held_out) if self.game.given else held_out

    @property
    def settings(self) -> Train:
        """What the engine is told."""
        return Train(self.plan.model.rounds, self.plan.how.seed, self.machine.precision, shards=self.shards)

    @property
    def images(self) -> int:
        """Real samples seen so far."""
        return self.state.drawn * int(self.plan.model.batch)


def assemble(plan: Plan, about: About, machine: Machine) -> Game:
    """The game as it is before the first round: a function of plan, facts and seed."""
    torch.manual_seed(plan.how.seed)
    with machine.device:
        game = recipes.find(plan.recipe).build(plan.model, about)
    if getattr(plan.model, "batch", 2) == 1 and batch_norms(game.modules.values()):
        raise UserError("batch=1: batch norm, which these networks have, compares samples of a batch; use 2 or more")
    for module in game.modules.values():
        module.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return game


def stream(plan: Plan, source: Source, machine: Machine, first: int, world: World = ALONE) -> Iterator[Any]:
    """The batches from number `first` on, of them this process's part."""
    model = plan.model
    augment, dropped = getattr(model, "augment", None), getattr(model, "label_dropout", 0.0)
    part, workers = (world.rank, world.size), plan.data.workers
    return batches(source, model.batch, plan.how.seed, first, augment, machine.device, dropped, part, workers)


def check_source(source: Source) -> None:
    """`UserError` where the first samples are not what the source says: for sources of one's own."""
    about = source.about
    columns = source[torch.arange(min(8, len(source)))]
    if about.key not in KINDS:
        raise UserError(f"data={about.name}: About says key='{about.key}'; use one of {', '.join(KINDS)}")
    if about.key not in columns:
        raise UserError(f"data={about.name}: it has the columns {sorted(columns)}, and About says key='{about.key}'")
    column, kind = columns[about.key], KINDS[about.key]
    if column.dtype != kind.dtype or tuple(column.shape[1:]) != about.shape or len(about.shape) != kind.dims:
        raise UserError(
            f"data={about.name}: the column '{about.key}' is {column.dtype} of shape {tuple(column.shape[1:])} per "
            f"sample; {kind.dtype} of {about.shape} is expected: {kind.what} are {kind.shape}"
        )
    if column.is_floating_point() and not bool(torch.isfinite(column).all()):
        raise UserError(f"data={about.name}: the column '{about.key}' holds NaN or infinity")
    if about.classes:
        label = columns.get("label")
        if label is None or label.dtype != torch.int64 or not bool(((label >= 0) & (label < len(about.classes))).all()):
            raise UserError(
                f"data={about.name}: About has {len(about.classes)} classes, so a column 'label' of int64 from 0 to "
                f"{len(about.classes) - 1} is expected"
            )
        if len(about.prior) != len(about.classes):
            raise UserError(f"data={about.name}: About.prior must have a share per class; tensor_source fills it in")


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that a round is never cut in two; a second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Recorder:
    """Called after every round: counts time, writes events, draws samples, saves checkpoints."""

    def __init__(
        self, job: Job, events: Events, progress: Progress, task: TaskID, writer: Writer, care: Care | None = None
    ) -> None:
        self.job, self.events, self.progress, self.task, self.care = job, events, progress, task, care
        self.writer = writer
        self.looks = care.rounds if care is not None else set[int]()
        self.snapshots = snapshot_rounds(job.settings.rounds, job.plan.how.snapshots)
        self.saved = time.monotonic()
        self.due = False
        self.mark = (time.perf_counter(), time.process_time())

    def __call__(self, done: Round) -> None:
        """After each round."""
        wall, cpu = self.mark
        self.job.seconds += time.perf_counter() - wall
        self.job.cpu_seconds += time.process_time() - cpu
        self.writer.look()
        if done.losses is not None:
            self._losses(done.losses.values)
        if self.job.state.round in self.snapshots:
            snapshot(self.job, self.events)
        if self.care is not None and self.job.state.round in self.looks:
            self.care.look(self.job.state, self.events, self.progress.console)
        last = self.job.state.round == self.job.settings.rounds
        self.due |= time.monotonic() - self.saved > self.job.plan.how.save_every
        if last or (self.due and done.losses is not None):  # saved only when the losses were just seen to be finite
            self.save()
        if last:
            self.writer.wait()
        self.mark = (time.perf_counter(), time.process_time())

    def _losses(self, values: Mapping[str, float]) -> None:
        job = self.job
        if self.care is not None:
            self.care.losses(job.state.round, values)
        self.events.write(
            "losses",
            round=job.state.round,
            images=job.images,
            seconds=round(job.seconds, 3),
            cpu_seconds=round(job.cpu_seconds, 3),
            values={name: float(f"{value:.6g}") for name, value in values.items()},
        )
        pairs = [(name.split("/")[0], value) for name, value in values.items() if name.endswith("/objective")]
        words = "  ".join(f"{name[0].upper() if len(pairs) == 2 else name} {value:.3f}" for name, value in pairs)
        said = {name: value for name, value in values.items() if not name.endswith(MEASURED)}
        words = words or "  ".join(f"{name.split('/')[1]} {value:.3f}" for name, value in said.items())
        rate = job.images / max(job.seconds, 1e-9)
        self.progress.update(self.task, completed=job.state.round, losses=words, rate=f"{rate:,.0f} samples/s")

    def save(self) -> None:
        """A checkpoint of now; it is on disk a little later."""
        self.writer.save(self.job.folder / "checkpoints", self.job.game, self.job.state)
        self.saved, self.due = time.monotonic(), False


def snapshot_rounds(total: int, count: int) -> set[int]:
    """Round 0, the last, and `count` between that lie closer together early on, when most happens."""
    return {0, total} | {round(total * (i / count) ** 1.5) for i in range(1, count)}


def snapshot(job: Job, events: Events) -> None:
    """Write down what samples are like now."""
    if job.game.sample is None:
        return
    modules = sampling.for_sampling(job.game, job.state, latents=256, pool=job.pool)
    seen = shown(job.game, modules, job.about, job.pool, job.source)
    if seen is None:
        return
    stem = f"samples/{job.state.round:08d}"
    name = f"{stem}.png" if seen.sheet else f"{stem}.txt"
    beside = {suffix: f"{stem}.{suffix}" for suffix in seen.beside}
    for suffix, data in seen.beside.items():
        with replacing(job.folder / beside[suffix]) as file:
            file.write(data)
    if seen.sheet:
        show.save_png(seen.sheet, job.folder / name)
    else:
        with replacing(job.folder / name) as file:
            file.write(seen.text.encode())
    facts: dict[str, Any] = {"columns": seen.columns, "rows": seen.rows} | ({"beside": beside} if beside else {})
    events.write("samples", round=job.state.round, images=job.images, file=name, **facts)


@dataclass
class Lead:
    """The first process's words to the others; between two stretches of rounds they wait for one."""

    world: World
    waiting: bool = True
    """Whether they wait for the word that begins a stretch, or ends all; else they are in a round."""

    def say(self, word: str) -> None:
        """To all: `on` or `back` begins a stretch, `trouble` and `stop` end it, `over` ends all."""
        self.world.told(word)
        self.waiting = word == "trouble"


def play(job: Job, console: Console) -> bool:
    """Train to the end: True; or until Ctrl-C or trouble, saved: False. Raises `UserError` when it cannot go on."""
    job.state = start(job.game, job.state)
    every = [*job.game.modules.values(), *job.state.averages.values()]
    job.shards.world.copied(value for module in every for value in module.state_dict().values())
    if not job.shards.world.first:
        return follow(job)
    lead = Lead(job.shards.world)
    try:
        with only_one(job.folder):
            for name in ("checkpoints", HEALTHY, BEST):
                checkpoint.forget_torn(job.folder / name)
            return _lead(job, console, lead)
    except BaseException:
        if lead.waiting:  # whatever it was, they need not wait any longer
            with contextlib.suppress(UserError):
                lead.say("over")
        raise


def _lead(job: Job, console: Console, lead: Lead) -> bool:
    word = "on"
    while True:
        try:
            return _play(job, console, lead, word)
        except Trouble as trouble:
            if job.plan.how.on_trouble == "stop":
                lead.say("over")
                return False
            back = roll_back(job, trouble.finding, console)
            if not back:
                console.print("nothing that could be changed by itself: going on", style="yellow", markup=False)
                job.plan = replace(job.plan, how=replace(job.plan.how, on_trouble="warn"))
            word = "back" if back else "on"


def follow(job: Job) -> bool:
    """What every process but the first does: the same rounds, and what the first one says. It writes nothing."""
    world = job.shards.world
    with interruptible():  # Ctrl-C reaches all processes; the first one decides
        while (word := world.told()) != "over":
            if word == "back":
                reload(job)
            try:
                for _ in rounds(job.game, stream_of(job), job.settings, job.state):
                    word = world.told()
                    if word == "stop":
                        return False
                    if word == "trouble":
                        break
                else:
                    return True
            except NonFiniteLossError:  # all processes see it in the same round, and the first one knows what to do
                continue
    return False


def reload(job: Job) -> None:
    """The run as the first process has just written it."""
    written = read_config(job.folder)
    model = from_json(type(job.plan.model), written.model, job.plan.recipe)
    job.plan = replace(job.plan, model=model)
    job.game = assemble(job.plan, job.about, job.machine)
    job.state = checkpoint.restore_newest(job.game, job.folder / "checkpoints", lambda told: None)


def stream_of(job: Job) -> Iterator[Any]:
    """The batches that come next."""
    return stream(job.plan, job.source, job.machine, job.state.drawn, job.shards.world)


def roll_back(job: Job, finding: Finding, console: Console) -> bool:
    """Back to a checkpoint from before the finding, or to the beginning, with the remedy applied and written down.

    False where there is no remedy that could be applied; then nothing is changed.
    """
    usual = recipes.preset(recipes.find(job.plan.recipe), job.plan.preset)[1]
    try:
        model, done = treated(job.plan.model, usual, finding.changes, f"the remedy for {finding.kind}")
        plan = replace(job.plan, model=model)
        game, state = restored(plan, job, finding.since)
    except UserError:
        return False
    if not done:
        return False
    before = job.plan
    job.plan, job.game, job.state = plan, game, state
    # in this order: a kill between any two of them leaves a run that can go on
    checkpoint.save(job.folder / "checkpoints", game, state)
    facts = dict(read_config(job.folder).facts)
    facts.setdefault("first", to_json(before.model))
    facts["remedies"] = [*facts.get("remedies", []), {"for": finding.kind, "round": state.round, "changed": done}]
    write_config(job.folder, plan, job.about, facts)
    events = Events(job.folder)
    events.write("rollback", round=state.round, kind=finding.kind, changed=done, time=now())
    events.close()
    for folder in ("checkpoints", HEALTHY, BEST):
        forget_sick(job.folder / folder, state.round)
    told = f"rolled back to round {state.round:,}: {'; '.join(done)}"
    console.print(told, style="yellow", markup=False)
    return True


def restored(plan: Plan, job: Job, sick_since: int) -> tuple[Game, State]:
    """A game under a plan, at the newest healthy checkpoint before a round that fits it; else at its beginning."""
    found = [path for path in checkpoint.listed(job.folder / HEALTHY) if int(path.stem.partition("-")[0]) < sick_since]
    for path in reversed(found):
        game = assemble(plan, job.about, job.machine)
        state, rates = start(game), rates_of(game)
        try:
            checkpoint.restore(game, state, *checkpoint.read(path))
        except (UserError, KeyError, RuntimeError, ValueError, IndexError):  # damaged, or of other networks
            continue
        for name, optimizer in checkpoint.optimizers(game).items():  # those of the remedy, not of the checkpoint
            for group, numbers in zip(optimizer.param_groups, rates[name], strict=True):
                group.update(numbers)
        return game, state
    game = assemble(plan, job.about, job.machine)
    return game, start(game)


def rates_of(game: Game) -> dict[str, list[dict[str, Any]]]:
    """The numbers of every optimizer's groups."""
    every = checkpoint.optimizers(game).items()
    return {name: [{k: v for k, v in g.items() if k != "params"} for g in o.param_groups] for name, o in every}


def _play(job: Job, console: Console, lead: Lead, word: str) -> bool:
    config = {"recipe": job.plan.recipe, "preset": job.plan.preset, "model": to_json(job.plan.model)}
    sinks = Sinks(job.plan.how.sink, job.folder, config, lambda told: console.print(told, style="yellow", markup=False))
    events = Events(job.folder, sinks.event)
    events.write("start" if job.state.round == 0 else "resume", round=job.state.round, time=now())
    columns = (
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"), BarColumn(bar_width=10),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)), TextColumn("left"),
        TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[losses]}", table_column=Column(no_wrap=True)),
    )  # fmt: skip
    care: Care | None = None
    try:
        with Writer() as writer, Progress(*columns, console=console) as progress, interruptible() as asked:
            task = progress.add_task("", total=job.settings.rounds, completed=job.state.round, rate="", losses="")
            if job.state.round == 0:
                snapshot(job, events)
            care = care_for(job.folder, job.plan, job.game, job.source, job.splits, job.machine, writer.save)
            lead.say(word)
            pace = Pace(job.machine.threads) if job.yields and job.machine.threads > 1 else None
            finished = _rounds(job, Recorder(job, events, progress, task, writer, care), asked, lead, pace)
        events.write("done" if finished else "stop", round=job.state.round, time=now(), seconds=round(job.seconds, 3))
        return finished
    except (NonFiniteLossError, FloatingPointError) as error:
        if care is not None:
            care.broken(job.state.round, str(error), events, console)
        raise UserError(f"training stopped: {error}{_last_good(job)}") from None
    except ShardError as error:
        raise UserError(f"training stopped: {error}{_last_good(job)}") from None
    except OSError as error:
        raise UserError(
            f"training stopped: {error}; free some space or mend the path, then resume{_last_good(job)}"
        ) from None
    except Trouble:
        if job.plan.how.on_trouble == "stop":
            try:
                checkpoint.save(job.folder / "checkpoints", job.game, job.state)
            except (FloatingPointError, OSError) as error:
                raise UserError(f"training stopped: {error}{_last_good(job)}") from None
            events.write("stop", round=job.state.round, time=now(), seconds=round(job.seconds, 3))
        raise
    finally:
        sinks.close()
        with contextlib.suppress(OSError):
            events.close()


def _rounds(job: Job, record: Recorder, asked: threading.Event, lead: Lead, pace: Pace | None = None) -> bool:
    mark = time.perf_counter()
    try:
        for done in rounds(job.game, stream_of(job), job.settings, job.state):
            try:
                if pace is not None and (threads := pace.round(time.perf_counter() - mark)) is not None:
                    _use(threads, pace.most, job.state.round, record)
                record(done)
                stop = asked.is_set() and job.state.round < job.settings.rounds
                if stop:
                    record.save()
                    record.writer.wait()
            except BaseException:
                lead.say("trouble")
                raise
            lead.say("stop" if stop else "on")
            if stop:
                return False
            mark = time.perf_counter()
    except NonFiniteLossError:
        lead.waiting = True
        raise
    return True


def _use(threads: int, most: int, number: int, record: Recorder) -> None:
    """From this round on; said and written down, because sums in another order differ in their last bits."""
    torch.set_num_threads(threads)
    record.events.write("threads", round=number, threads=threads, time=now())
    less = "another program holds cores, so that threads would wait for each other"
    told = f"{less}: {threads} of {most} from here on" if threads < most else f"all {most} threads are used again"
    record.progress.console.print(f"round {number:,}: {told} (--threads keeps their number fixed)", markup=False)


def _last_good(job: Job) -> str:
    found = checkpoint.listed(job.folder / "checkpoints")
    return f". The last good checkpoint is {found[-1]}" if found else ". No checkpoint had been written yet"
