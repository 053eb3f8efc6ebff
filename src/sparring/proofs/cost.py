"""What the judge and the doctor cost, in CPU seconds of this machine; run it with nothing else running."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sparring import recipes, sampling, session
from sparring.data import open_data
from sparring.engine import Train, rounds
from sparring.machine import find_machine, peak_memory
from sparring.metrics.copying import copying, memorisation_distance
from sparring.metrics.diversity import vendi
from sparring.metrics.frechet import frechet
from sparring.metrics.kernel import kernel
from sparring.metrics.neighbours import neighbours
from sparring.probes import PROBES, SAMPLES, Probes
from sparring.proofs.record import Claim, Effort, Result, of_claims
from sparring.training import assemble, stream

LENGTH = 3000
"""Rounds of the run whose looks are counted: half of what MNIST takes."""


def spent(work: Callable[[], Any], times: int = 1) -> float:
    """CPU seconds, the median of some times."""
    measured = []
    for _ in range(times):
        start = time.process_time()
        work()
        measured.append(time.process_time() - start)
    return statistics.median(measured)


def cost(seeds: int, effort: Effort) -> Result:
    """Looks at a DCGAN while it trains, and one evaluation of 10,000 x 2,048 features."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        claims = [*looks(effort), *evaluation(10_000 if effort == "full" else 1000)]
    finally:
        torch.set_num_threads(threads)
    text = (
        f"One thread. Looks: the recipe dcgan on MNIST, {PROBES} looks with {SAMPLES} samples in {LENGTH:,} rounds, as "
        "shares of the time of training. Evaluation: 10,000 generated, 10,000 reference and 10,000 training samples "
        "with 2,048 features in float32, with the errors of all scores; extracting features is not in it."
    )
    return of_claims("cost", 170, "What the judge and the doctor cost", text, claims)


def looks(effort: Effort) -> list[Claim]:
    """Each kind of look as a share of training."""
    plan = session.plan_of("dcgan", None, {"data": "mnist", "threads": 1})
    splits = open_data(plan.data)
    source = recipes.find("dcgan").data(plan.model, splits["train"])
    machine = find_machine(plan.how, source.about.key)
    game = assemble(plan, source.about, machine)
    plain, watched, state = list[float](), list[float](), None
    length = 400 if effort == "full" else 40
    start = time.process_time()
    for number, done in enumerate(rounds(game, stream(plan, source, machine, 0), Train(length, 0, machine.precision))):
        now = time.process_time()
        if number >= 10:
            (plain if done.losses is None else watched).append(now - start)
        state, start = done.state, now
    assert state is not None
    assert game.score is not None
    a_round = statistics.mean(plain)
    probes = Probes(game, source, splits.get("test"), precision=machine.precision)
    drawn, score = sampling.draw(game, SAMPLES, 0), game.score
    real, label = probes.real.batch, probes.real.label
    with torch.no_grad():
        for module in game.modules.values():
            module.eval()
        making = spent(lambda: probes.made(dict(game.modules), drawn), 5)
        telling = spent(lambda: score(real, label), 5) * (3 if probes.held is not None else 2)
    whole = spent(lambda: probes(state), 5)
    part = PROBES / LENGTH / a_round
    shares = {
        "samples of the live and the averaged generator": 2 * making * part,
        "scores of the discriminator": telling * part,
        "all else: spread, distance, coverage, copies": max(0.0, whole - 2 * making - telling) * part,
        "gradients and steps, every tenth round": max(0.0, statistics.mean(watched) - a_round) / 10 / a_round,
    }
    claims = [Claim("look", name, [100 * share], 0, 1, "at most 1 %") for name, share in shares.items()]
    return [*claims, Claim("look", "together", [100 * sum(shares.values())], 0, 3, "at most 3 %")]


def evaluation(count: int) -> list[Claim]:
    """Seconds for every score."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(64, 2048, generator=generator) / 8

    def features() -> Tensor:
        noise = torch.randn(count, 2048, generator=generator)
        return (torch.randn(count, 64, generator=generator) @ mixing + 0.3 * noise).relu()

    fake, reference, train = features(), features(), features()
    work: Mapping[str, Callable[[], Any]] = {
        "Fréchet distance": lambda: frechet(fake, reference),
        "kernel distance": lambda: kernel(fake, reference),
        "precision, recall, density, coverage": lambda: neighbours(reference, fake),
        "copying: C_T, authentic share": lambda: copying(fake, train, reference),
        "Vendi score": lambda: vendi(fake),
        "memorisation distance of MiFID": lambda: memorisation_distance(fake, train),
    }
    seconds = {name: spent(score) for name, score in work.items()}
    claims = [Claim("evaluation", name, [taken], reference=True) for name, taken in seconds.items()]
    gigabytes = peak_memory(torch.device("cpu")) / 2**30
    return [
        *claims,
        Claim("evaluation", "all, CPU seconds", [sum(seconds.values())], 0, 60, "at most 60"),
        Claim("evaluation", "peak memory, GiB", [gigabytes], reference=True),
    ]
