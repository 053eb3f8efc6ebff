"""A case as `sparring train` runs it, and the least loop that does the same arithmetic, to see what the engine costs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from sparring.checkpoint import Writer
from sparring.data import Source
from sparring.engine import autocast, rounds, start
from sparring.game import Game
from sparring.machine import find_machine
from sparring.pace import Pace
from sparring.runs import Events
from sparring.training import Job, Recorder, assemble, stream, stream_of
from sparring.trial import choose_threads
from stopwatch.cases import Case, plan_for
from stopwatch.loop import Loop


def ours(case: Case, source: Source, threads: int | None = None, seed: int = 0) -> Loop:
    """The engine with its recorder: machine, precision and threads chosen by themselves, losses written down."""
    plan = plan_for(case, threads=threads, seed=seed)
    begin = time.perf_counter()
    machine, _ = choose_threads(plan, source, find_machine(plan.how, source.about.key))
    tried = time.perf_counter() - begin
    plan = replace(plan, how=replace(plan.how, threads=machine.threads))
    game = assemble(plan, source.about, machine)
    folder = tempfile.TemporaryDirectory(prefix="speed-")
    job = Job(Path(folder.name), plan, {"train": source}, source, machine, game, start(game))

    def steps() -> Generator[Any, None, None]:
        quiet = Console(quiet=True)
        with folder, Writer() as writer, Progress(console=quiet) as progress, closing(Events(job.folder)) as events:
            task = progress.add_task("", total=job.settings.rounds, rate="", losses="")
            record = Recorder(job, events, progress, task, writer)
            pace, mark = Pace(machine.threads) if threads is None and machine.threads > 1 else None, time.perf_counter()
            for done in rounds(job.game, stream_of(job), job.settings, job.state):
                if pace is not None and (right := pace.round(time.perf_counter() - mark)) is not None:
                    torch.set_num_threads(right)
                record(done)
                yield done
                mark = time.perf_counter()

    def sample() -> Tensor:
        drawn = {} if game.draw is None else game.draw(16, None)
        drawn |= {name: column / 127.5 - 1 for name, column in source[torch.arange(1)].items() if name in game.given}
        assert game.sample is not None
        return game.sample(game.modules, drawn)

    facts = {
        "precision": machine.precision, "threads": machine.threads, "device": machine.name, "trial_seconds": tried,
    }  # fmt: skip
    return Loop(steps(), sample, case.batch, dict(game.modules), facts)


def engine_alone(case: Case, source: Source, threads: int) -> Loop:
    """The engine and its loader, without a recorder."""
    plan = plan_for(case, threads=threads)
    machine = find_machine(plan.how, source.about.key)
    game = assemble(plan, source.about, machine)
    job = Job(Path(), plan, {"train": source}, source, machine, game, start(game))
    played = (done for done in rounds(game, stream_of(job), job.settings, job.state))
    return Loop(played, lambda: torch.empty(0), case.batch, game.modules)


def arithmetic_alone(case: Case, source: Source, threads: int) -> Loop:
    """The losses of a two-player game by hand, in the same precision, layout and order, on a batch that is ready.

    No loader, no seeds, no schedules, no records: what the networks themselves cost. Fakes are shared.
    """
    plan = plan_for(case, threads=threads)
    machine = find_machine(plan.how, source.about.key)
    game = assemble(plan, source.about, machine)
    real = next(stream(plan, source, machine, 0))[source.about.key]
    return Loop(_by_hand(game, plan.model, real, machine.precision), lambda: torch.empty(0), case.batch, game.modules)


def _by_hand(game: Game, config: Any, real: Tensor, precision: Any) -> Generator[None, None, None]:
    G, D = game.modules["generator"], game.modules["discriminator"]
    optimizer_d, optimizer_g = (game.player(name).optimizer for name in ("discriminator", "generator"))
    hinge, averages = config.objective == "hinge", start(game).averages
    apart = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in D.modules())
    softplus, relu = nn.functional.softplus, nn.functional.relu
    G.train()
    D.train()
    while True:
        with autocast(game, precision):
            fake = G(torch.randn(len(real), config.latent), None)
            if apart:
                on_real, on_fake = D(real, None).float(), D(fake.detach(), None).float()
            else:
                on_real, on_fake = D(torch.cat([real, fake.detach()]), None).float().chunk(2)
            if hinge:
                loss = (relu(1 - on_real) + relu(1 + on_fake)).mean()
            else:
                loss = (softplus(-on_real) + softplus(on_fake)).mean()
        loss.backward()
        optimizer_d.step()
        optimizer_d.zero_grad()
        for p in D.parameters():
            p.requires_grad_(False)
        with autocast(game, precision):
            scores = D(fake, None).float()
            loss = -scores.mean() if hinge else softplus(-scores).mean()
        loss.backward()
        optimizer_g.step()
        optimizer_g.zero_grad()
        for p in D.parameters():
            p.requires_grad_(True)
        for name, average in averages.items():
            torch._foreach_lerp_(list(average.parameters()), list(game.modules[name].parameters()), 0.002)
        yield
