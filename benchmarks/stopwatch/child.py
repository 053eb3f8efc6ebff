"""What one measuring process does; it prints one line of JSON and ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sparring import recipes
from sparring.data import Data, open_data
from sparring.data.kinds import to_uint8
from sparring.judge import judge_of
from sparring.machine import find_machine, peak_memory
from sparring.metrics.evaluate import scores
from sparring.metrics.features import extract
from sparring.runs import How, processor
from stopwatch.cases import Case, parameters, plan_for, source_of
from stopwatch.loop import Loop, timed
from stopwatch.measure import busy_core
from stopwatch.ours import arithmetic_alone, engine_alone, ours
from stopwatch.plain import plain


def loop_of(side: str, case: Case) -> Loop:
    """`ours` or `plain`."""
    source = source_of(case)
    return ours(case, source) if side == "ours" else plain(case, source)


def quality(case: Case, side: str, images: int, seed: int, samples: int) -> dict[str, Any]:
    """What so many pictures of MNIST taught it: scores of its samples by the project's own judge, on one thread."""
    torch.set_num_threads(1)
    splits = open_data(Data(data="mnist", size=str(case.shape[1])))
    source = recipes.find(case.recipe).data(plan_for(case).model, splits["train"])
    loop = ours(case, source, 1, seed) if side == "ours" else plain(case, source, seed)
    torch.manual_seed(seed)  # of the plain loop's order and latents; ours seeds its own
    begin = time.process_time()
    for _ in range(images // case.batch):
        next(loop.steps)
    spent = time.process_time() - begin
    loop.steps.close()
    generator = loop.modules["generator"].eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        made = [generator(torch.randn(250, plan_for(case).model.latent), None).float() for _ in range(samples // 250)]
    judge = judge_of(splits, find_machine(How(threads=1), "image"), Console(stderr=True))
    held_out = splits["test"][torch.arange(len(splits["test"]))]["image"]
    found = scores(extract(judge, to_uint8(torch.cat(made))), extract(judge, held_out))
    wanted = ("frechet distance", "kernel distance", "precision", "recall")
    return {"cpu_seconds": spent, **{name: found[name].value for name in wanted if name in found}}


def most_memory() -> int:
    """Bytes this process held at the most. (`getrusage` may tell those of the process that started it.)"""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return peak_memory(torch.device("cpu"))


def race(case: Case, side: str, seconds: float, born: float, disturbed: bool = False) -> dict[str, Any]:
    """One side of a pair: first image, pace, memory; `disturbed`: the pace once more beside a busy core."""
    loop = loop_of(side, case)
    next(loop.steps)
    with torch.no_grad():
        loop.sample()
    first = time.time() - born
    found = {
        "first_image_seconds": first,
        **asdict(timed(loop, seconds, warm_up=seconds / 4)),
        "memory": most_memory(),
        "parameters": parameters(loop.modules),
        "torch_threads": torch.get_num_threads(),
        **loop.facts,
    }
    if disturbed:
        with busy_core():
            found["disturbed"] = asdict(timed(loop, seconds, warm_up=seconds / 4))
    loop.steps.close()
    return found


def overhead(case: Case, seconds: float, threads: int, blocks: int) -> dict[str, Any]:
    """Engine, then the arithmetic alone, in turns of a few rounds in one process; ratio of times per turn."""
    source = source_of(case)
    sides = {"recorded": ours(case, source, threads), "engine": engine_alone(case, source, threads)}
    sides["arithmetic"] = arithmetic_alone(case, source, threads)
    for loop in sides.values():
        timed(loop, 0.2)
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(blocks):
        for name, loop in sides.items():
            spent[name].append(1 / timed(loop, seconds).images_per_cpu_second)
    for loop in sides.values():
        loop.steps.close()
    ratios = {
        name: [one / least for one, least in zip(spent[name], spent["arithmetic"], strict=True)]
        for name in ("engine", "recorded")
    }
    return {"ratios": ratios, "cpu_seconds_per_image": {name: min(all_) for name, all_ in spent.items()}}


def once(work: Callable[[], object], seconds: float) -> float:
    """The least time of a call, in seconds."""
    work()
    times, begin = list[float](), time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        mark = time.perf_counter()
        work()
        times.append(time.perf_counter() - mark)
    return min(times)


def convolution(dtype: torch.dtype, channels: int, side: int, batch: int) -> tuple[Callable[[], Tensor], float]:
    """A 3x3 convolution, channels last, and its floating-point operations."""
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(dtype).to(memory_format=torch.channels_last)
    x = torch.randn(batch, channels, side, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    return lambda: layer(x), 2.0 * 9 * channels**2 * side**2 * batch


def matrix(dtype: torch.dtype, n: int) -> tuple[Callable[[], Tensor], float]:
    """A square product."""
    a, b = torch.randn(n, n, dtype=dtype), torch.randn(n, n, dtype=dtype)
    return lambda: a @ b, 2.0 * n**3


@torch.no_grad()
def peak(seconds: float, threads: int | None = None, quick: bool = False) -> dict[str, Any]:
    """The most operations a second of each kind and precision over a sweep of sizes, and the size that gave it."""
    if threads is not None:
        torch.set_num_threads(threads)
    best: dict[str, Any] = {"threads": torch.get_num_threads()}
    convolutions = [(64, 16, 16)] if quick else list(product((64, 128, 256), (16, 32), (16, 64)))
    products = [(256,)] if quick else [(512,), (1024,), (2048,)]
    for dtype in (torch.float32, torch.bfloat16):
        for kind, make, sizes in (("convolution", convolution, convolutions), ("matrix", matrix, products)):
            found = []
            for size in sizes:
                work, operations = make(dtype, *size)
                found.append((operations / once(work, seconds), size))
            rate, size = max(found)
            best[f"{kind} {str(dtype).removeprefix('torch.')}"] = {"flops": rate, "size": size}
    return best


KINDS: Mapping[str, tuple[str, ...]] = {
    "convolutions and products": ("conv", "mm", "linear", "matmul", "bmm"),
    "normalisation": ("batch_norm", "instance_norm", "group_norm", "layer_norm"),
    "copies and layout": ("copy", "to_copy", "contiguous", "cat", "clone", "fill", "zero", "pad", "permute"),
    "optimizer": ("adam", "foreach", "lerp"),
}
"""Operators by words in their names; what is left is activations, losses, reductions and random numbers."""


def kind_of(operator: str) -> str:
    """Of what an operator of the profile is a part."""
    name = operator.lower()
    for kind in ("normalisation", "optimizer", "convolutions and products", "copies and layout"):
        if any(word in name for word in KINDS[kind]):
            return kind
    return "activations, losses and the rest"


def profile(case: Case, rounds: int, threads: int | None = None) -> dict[str, Any]:
    """Operators of a round by their share of the time, and the operations of one round as torch counts them."""
    source = source_of(case)
    loop = ours(case, source, threads)
    for _ in range(5):
        next(loop.steps)
    with FlopCounterMode(display=False) as counter:
        next(loop.steps)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        for _ in range(rounds):
            next(loop.steps)
    loop.steps.close()
    spent = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    whole = sum(spent.values())
    shares = sorted(((time / whole, name) for name, time in spent.items()), reverse=True)
    kinds: dict[str, float] = {}
    for share, name in shares:
        kinds[kind_of(name)] = kinds.get(kind_of(name), 0.0) + share
    return {
        "flops_per_round": float(counter.get_total_flops()),
        "batch": loop.batch,
        "operators": [[name, share] for share, name in shares[:12]],
        "kinds": kinds,
        **loop.facts,
    }


def environment() -> dict[str, Any]:
    """The machine."""
    return {"processor": processor(), "torch": torch.__version__, "threads": torch.get_num_threads()}


TASKS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "race": race,
    "quality": quality,
    "overhead": overhead,
    "peak": peak,
    "profile": profile,
    "environment": environment,
}
