"""A few rounds before the first one: how long it will take, how much memory, with how many threads."""

from __future__ import annotations

import contextlib
import statistics
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sparring.average import batch_norms
from sparring.config import UserError, printable
from sparring.data import Source
from sparring.distributed import WHOLE, Shards
from sparring.engine import NonFiniteLossError, Train, rounds, start
from sparring.game import Game
from sparring.machine import Machine, cores_each, peak_memory
from sparring.runs import Plan, duration
from sparring.training import Job, assemble, stream

MANY = 20
"""Rounds whose median is sure enough."""


@dataclass(frozen=True)
class Trial:
    """What a few rounds on a copy showed."""

    seconds_per_round: float
    memory: int
    parameters: dict[str, int] = field(default_factory=dict)
    otherwise: float | None = None
    """Seconds of a round as it would be without `reproducible`, where that was asked for."""


def trial(plan: Plan, source: Source, machine: Machine, seconds: float = 1.0, shards: Shards = WHOLE) -> Trial:
    """Play a few rounds of a game of its own, so that time and memory are measured and not guessed.

    Where players come in later, or leave, each stretch of the run counts by its share. All processes play it together.
    """
    game = assemble(plan, source.about, machine)
    check_norm(game, plan, machine, shards)
    total = plan.model.rounds
    turns = {turn for player in game.players for turn in (player.start, player.stop) if turn and turn < total}
    marks = [0, *sorted(turns), total]
    stretches = [(begin, end - begin) for begin, end in pairwise(marks)]
    spent = [pace(game, plan, source, machine, begin, seconds / len(stretches), shards) for begin, _ in stretches]
    mean = sum(each * length for each, (_, length) in zip(spent, stretches, strict=True)) / total
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in game.modules.items()}
    return Trial(mean, peak_memory(machine.device), counts)


def check_norm(game: Game, plan: Plan, machine: Machine, shards: Shards) -> None:
    """`UserError` where batch norm cannot work on these shards."""
    if not batch_norms(game.modules.values()):
        return
    if shards.together and machine.device.type != "cpu" and len(shards.mine) > 1:
        raise UserError(
            f"sync_norm with {shards.count} shards for {shards.world.size} processes: on {machine.device.type} a "
            f"process can synchronise one shard only; start {shards.count} processes, or leave --sync-norm out"
        )
    if plan.model.batch == shards.count > 1 and not shards.together:
        raise UserError(
            f"batch={plan.model.batch} cut into {shards.count} shards: batch norm, which these networks have, compares "
            f"samples of a shard; use {2 * shards.count} or more"
        )


def pace(game: Game, plan: Plan, source: Source, machine: Machine, begin: int, seconds: float, shards: Shards) -> float:
    """Seconds of a round from round `begin` on."""
    length = plan.model.rounds if begin else 10_000  # progress says who plays; from the start on it must not run out
    settings = Train(length, plan.how.seed, machine.precision, check_every=1, shards=shards)
    state, times, since = start(game), list[float](), time.perf_counter()
    state.round = begin
    mark = since
    with contextlib.suppress(NonFiniteLossError):  # the run itself will tell of it
        ours = stream(plan, source, machine, 0, shards.world)
        for _ in rounds(game, ours, settings, state):  # check_every=1 waits for the device
            times.append(time.perf_counter() - mark)
            mark = time.perf_counter()
            spent = mark - since
            if shards.world.told((spent > seconds and len(times) >= 3) or (spent > seconds / 4 and len(times) >= MANY)):
                break
    return float(shards.world.told(statistics.median(times[2:] or times or [0.001])))


def choose_threads(plan: Plan, source: Source, machine: Machine, shards: Shards = WHOLE) -> tuple[Machine, Trial]:
    """One thread or all, whichever is faster on this machine now, and the trial with it.

    Small networks gain little from a second thread, and lose more than tenfold by it while another program holds a
    core: the threads wait for each other. What is chosen is written down, because sums in another order differ in
    their last bits. Several processes share the cores, and a reproducible run has one thread in each.
    """
    many = trial(plan, source, machine, shards=shards)
    if plan.how.reproducible and plan.how.shards is None:  # who wants more of them may not have the memory for fewer
        many = replace(many, otherwise=freely(plan, source, machine, shards))
    settled = plan.how.threads is not None or plan.how.reproducible or shards.world.size > 1
    if machine.device.type != "cpu" or settled or machine.threads == 1:
        return machine, many
    torch.set_num_threads(1)
    one = trial(plan, source, machine, shards=shards)
    if many.seconds_per_round < 0.9 * one.seconds_per_round:
        torch.set_num_threads(machine.threads)
        return machine, many
    return replace(machine, threads=1), one


def freely(plan: Plan, source: Source, machine: Machine, shards: Shards) -> float | None:
    """Seconds of a round in one shard per process, with one thread or its share of the cores, whichever is faster.

    None where a GPU has no memory for that.
    """
    whole = Shards(shards.world.size, shards.world, shards.together)
    try:
        paces = [trial(plan, source, machine, 0.3, whole).seconds_per_round]
    except torch.OutOfMemoryError:
        if shards.world.size > 1:  # others may have had enough, and wait
            raise
        return None
    if machine.device.type == "cpu" and plan.how.threads is None:
        torch.set_num_threads(cores_each())
        paces.append(trial(plan, source, machine, 0.3, whole).seconds_per_round)
        torch.set_num_threads(machine.threads)
    return min(paces)


def fit_to_time(plan: Plan, measured: Trial) -> Plan:
    """With `--minutes`: the number of rounds that fits, chosen once and written down."""
    if plan.how.minutes is None:
        return plan
    if plan.how.minutes <= 0:
        raise UserError(f"minutes={plan.how.minutes} must be more than 0")
    fitting = max(1, int(0.95 * 60 * plan.how.minutes / measured.seconds_per_round))  # 5 % for drawing and saving
    return replace(plan, model=replace(plan.model, rounds=fitting), how=replace(plan.how, minutes=None))


def announce(console: Console, job: Job, measured: Trial) -> None:
    """Before the first step: what was found, what will happen, where it goes."""
    about, plan = job.about, job.plan
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    shape = "x".join(map(str, about.shape))
    counts = ", ".join(f"{len(source):,} {split}" for split, source in job.splits.items())
    labels = f"; {len(about.classes)} {'clusters (made up)' if about.invented else 'classes'}" if about.classes else ""
    table.add_row("data", escape(f"{about.name}: {counts}; {shape}{labels}"))
    for note in about.notes:
        table.add_row("", f"[dim]{escape(printable(note))}[/dim]")
    table.add_row("recipe", escape(f"{plan.recipe}, preset {plan.preset}"))
    table.add_row(
        "networks", ", ".join(f"{name} {count:,}" for name, count in measured.parameters.items()) + " parameters"
    )
    table.add_row("device", str(job.machine))
    left = plan.model.rounds - job.state.round
    table.add_row(
        "length", f"{left:,} rounds of {plan.model.batch}, about {duration(left * measured.seconds_per_round)}"
    )
    if measured.otherwise is not None:
        times = measured.seconds_per_round / measured.otherwise
        ours, without = (f"{1000 * pace:,.1f} ms" for pace in (measured.seconds_per_round, measured.otherwise))
        table.add_row("reproducible", f"costs {times:.1f} x the time: {ours} a round, {without} without")
    table.add_row("memory", f"about {measured.memory / 2**30:.1f} GiB")
    table.add_row("results", escape(f"{job.folder}  (Ctrl-C stops and saves)"))
    console.print(table)
