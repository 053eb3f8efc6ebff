"""Processes, one after the other and the sides in turn; what they print, as JSON on file."""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from stopwatch.cases import CASES, Case, grown

SPEED = Path(__file__).parent.parent / "speed.py"
SPARRING = [sys.executable, "-m", "sparring"]
SIDES = ("plain", "ours")


@dataclass(frozen=True)
class Effort:
    """How long it all takes."""

    pairs: int = 5
    seconds: float = 6.0
    """Of each measurement, after a quarter of it as warm-up."""
    blocks: int = 40
    """Turns of the engine and of the arithmetic alone."""
    sweep: float = 0.3
    """Seconds for each size of the peak."""
    starts: int = 7
    cases: Sequence[str] = tuple(CASES)
    quick: bool = False


QUICK = Effort(2, 0.5, 3, 0.02, 2, ("mlp", "dcgan-28"), True)


def child(task: str, case: Case | None = None, **told: Any) -> dict[str, Any]:
    """What a fresh process measures. RuntimeError with what it said where it fails."""
    words = {"task": task, "case": asdict(case) if case is not None else None, "told": told, "born": time.time()}
    done = subprocess.run([sys.executable, str(SPEED), "child", json.dumps(words)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{task} of {case.name if case else 'the machine'}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def settled(values: Sequence[float], draws: int = 2000) -> dict[str, Any]:
    """Middle of many values, and the range that holds it in 90 % of draws from them (the bootstrap)."""
    random, count = Random(0), len(values)
    middles = sorted(statistics.median(random.choices(values, k=count)) for _ in range(draws))
    return spread(values) | {"least": middles[draws // 20], "most": middles[-draws // 20]}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Middle and range of a few values."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "all": list(values)}


def pairs(case: Case, effort: Effort, count: int | None = None, **told: Any) -> dict[str, Any]:
    """Plain, ours, plain, ours, ...: the ratio of each pair, and the middle of what else was measured."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for n in range(count or effort.pairs):
        for side in SIDES if n % 2 == 0 else reversed(SIDES):  # so that neither always comes after the other
            runs[side].append(child("race", case, side=side, seconds=effort.seconds, **told))
    of_both = list(zip(runs["ours"], runs["plain"], strict=True))
    found: dict[str, Any] = {"case": asdict(case)}
    for key in ("images_per_second", "images_per_cpu_second"):
        found[f"ratio {key}"] = spread([a[key] / b[key] for a, b in of_both])
    for side in SIDES:
        numbers = ("images_per_second", "images_per_cpu_second", "first_image_seconds", "memory", "rounds")
        found[side] = {key: statistics.median(run[key] for run in runs[side]) for key in numbers}
        facts = ("precision", "parameters", "torch_threads", "threads", "trial_seconds")
        found[side] |= {key: [run[key] for run in runs[side]] for key in facts if key in runs[side][0]}
        if "disturbed" in runs[side][0]:
            kept = [run["disturbed"]["images_per_second"] / run["images_per_second"] for run in runs[side]]
            found[side]["kept when disturbed"] = spread(kept)
    return found


def race(effort: Effort) -> dict[str, Any]:
    """Every case."""
    return {name: said(name, pairs(CASES[name], effort)) for name in effort.cases}


LEARNT = {"dcgan-28": (28, 96_000), "dcgan-28-tuned": (28, 96_000), "r3-32": (16, 64_000)}
"""Side of MNIST's pictures, and how many of them each side learns from."""


def quality(effort: Effort) -> dict[str, Any]:
    """Both sides after as many pictures of MNIST, over seeds: nothing may have been bought with quality."""
    found: dict[str, Any] = {}
    for name in [name for name in LEARNT if name in effort.cases]:
        side, images = LEARNT[name]
        case = replace(CASES[name], shape=(1, side, side))
        told = {"images": 640, "samples": 500} if effort.quick else {"images": images, "samples": 5000}
        seeds = range(2 if effort.quick else 3)
        runs = {who: [child("quality", case, side=who, seed=seed, **told) for seed in seeds] for who in SIDES}
        found[name] = {"side": side, **told, "seeds": len(seeds)}
        for key in runs["ours"][0]:
            of = {who: [run[key] for run in runs[who]] for who in SIDES}
            error = sum(statistics.variance(values) / len(values) for values in of.values()) ** 0.5
            apart = statistics.mean(of["ours"]) - statistics.mean(of["plain"])
            found[name][key] = {**of, "difference": apart, "standard error": error}
        said(name, found[name])
    return found


def overhead(effort: Effort) -> dict[str, Any]:
    """What the engine costs beside the networks' own arithmetic, on one thread: CPU time of turns in one process."""
    names = [name for name in effort.cases if name.startswith("dcgan") and not name.endswith("apart")]
    found = {}
    for name in names:
        told = child("overhead", CASES[name], seconds=effort.seconds / 15, threads=1, blocks=effort.blocks)
        found[name] = {key: settled([ratio - 1 for ratio in values]) for key, values in told["ratios"].items()}
        found[name]["cpu_seconds_per_image"] = told["cpu_seconds_per_image"]
    return found


def growth(effort: Effort) -> dict[str, Any]:
    """Time and memory of a picture as batch, resolution and set grow, on both sides."""
    base = CASES["dcgan-28-tuned"]
    wanted = {
        "batch": [grown(base, batch=n) for n in (16, 64, 256)],
        "resolution": [grown(base, side=n) for n in (16, 32, 64)],
        "pictures in the set": [grown(base, samples=n) for n in (1_000, 10_000, 60_000)],
    }
    if effort.quick:
        wanted = {what: cases[:2] for what, cases in wanted.items()}
    count = max(2, effort.pairs - 2)
    return {
        what: [said(f"{what} {case.batch} {case.shape} {case.samples}", pairs(case, effort, count)) for case in cases]
        for what, cases in wanted.items()
    }


def peak(effort: Effort) -> dict[str, Any]:
    """Measured peak, and the share of it that a round of ours reaches, with the threads that ours chose."""
    found: dict[str, Any] = {"peaks": {}, "cases": {}}
    for threads in sorted({1, child("environment")["threads"]}):  # torch's own choice: ours takes one or all
        found["peaks"][str(threads)] = child("peak", seconds=effort.sweep, threads=threads, quick=effort.quick)
    for name in [name for name in effort.cases if name.startswith("dcgan") and not name.endswith("apart")]:
        runs = [
            child("race", CASES[name], side="ours", seconds=effort.seconds) for _ in range(max(2, effort.pairs // 2))
        ]
        counted = child("profile", CASES[name], rounds=1, threads=1)
        per_image = counted["flops_per_round"] / counted["batch"]
        shares = []
        for run in runs:
            most = found["peaks"][str(run["torch_threads"])][f"convolution {run['precision']}"]["flops"]
            shares.append(per_image * run["images_per_second"] / most)
        found["cases"][name] = {
            "flops_per_image": per_image,
            "share": spread(shares),
            "threads": [run["torch_threads"] for run in runs],
            "precision": runs[0]["precision"],
        }
    return found


def profile(effort: Effort) -> dict[str, Any]:
    """What a round of the DCGANs is spent on, on one thread."""
    names = [name for name in effort.cases if name in ("dcgan-28", "dcgan-64", "dcgan-28-tuned")]
    return {name: child("profile", CASES[name], rounds=2 if effort.quick else 20, threads=1) for name in names}


@contextmanager
def busy_core() -> Iterator[None]:
    """One core is kept busy within it."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def busy(effort: Effort) -> dict[str, Any]:
    """Share of the undisturbed pace that is left beside a busy core: there from the start, or coming later."""
    found: dict[str, Any] = {}
    for name in [name for name in ("dcgan-28", "dcgan-28-tuned", "mlp") if name in effort.cases]:
        case, kept = CASES[name], {side: list[float]() for side in SIDES}
        for _ in range(max(2, effort.pairs - 2)):
            for side in SIDES:
                alone = child("race", case, side=side, seconds=effort.seconds)
                with busy_core():
                    beside = child("race", case, side=side, seconds=effort.seconds)
                kept[side].append(beside["images_per_second"] / alone["images_per_second"])
        later = pairs(case, effort, max(2, effort.pairs - 2), disturbed=True)
        found[name] = {
            side: {"from the start": spread(kept[side]), "later": later[side]["kept when disturbed"]} for side in SIDES
        }
        said(name, found[name])
    return found


def seconds_of(command: Sequence[str]) -> float:
    """Wall-clock of a program."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def first_step(arguments: Sequence[str], watch: float = 0.005) -> float:
    """Seconds from the start of `sparring train` to the losses of its first round on file; import included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*SPARRING, "train", *arguments, "--rounds", "1", "--no-evaluate", "--runs", folder, "--name", "run"]
        begin, events = time.perf_counter(), Path(folder) / "run" / "events.jsonl"
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
            while not (events.is_file() and '"losses"' in events.read_text()):
                if running.poll() is not None and not events.is_file():
                    raise RuntimeError(f"{' '.join(command)}: {running.stderr.read() if running.stderr else ''}")
                time.sleep(watch)
            taken = time.perf_counter() - begin
            running.communicate()
        return taken


STARTS = {
    "sparring train dcgan --data digits": ("dcgan", "--data", "digits"),
    "sparring train mlp --data ring": ("mlp", "--data", "ring"),
}


def start(effort: Effort) -> dict[str, Any]:
    """Import to first step with warm caches, `--help`, and Python alone beside them."""
    measured: dict[str, Callable[[], float]] = {
        "sparring --help": lambda: seconds_of([*SPARRING, "--help"]),
        "python -c pass": lambda: seconds_of([sys.executable, "-c", "pass"]),
        "python -c 'import torch'": lambda: seconds_of([sys.executable, "-c", "import torch"]),
    }
    for name, arguments in STARTS.items():
        measured[name] = lambda arguments=arguments: first_step(arguments)  # type: ignore[misc]
    times: dict[str, list[float]] = {name: [] for name in measured}
    for n in range(effort.starts + 1):
        for name, take in measured.items():
            taken = take()
            if n:  # the first time warms the caches
                times[name].append(taken)
    return {name: spread(values) for name, values in times.items()}


MODES: Mapping[str, Callable[[Effort], dict[str, Any]]] = {
    "race": race,
    "quality": quality,
    "overhead": overhead,
    "growth": growth,
    "peak": peak,
    "profile": profile,
    "busy": busy,
    "start": start,
}


def said(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The same; who waits sees that something happens."""
    ratio = found.get("ratio images_per_second")
    print(
        f"  {name}" + (f": {ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['most']:.2f})" if ratio else ""),
        flush=True,
    )
    return found


def flags_of(effort: Effort) -> str:
    """The words of the command line that made it so."""
    plain = QUICK if effort.quick else Effort()
    pairs = f" --pairs {effort.pairs}" if effort.pairs != plain.pairs else ""
    cases = f" --cases {' '.join(effort.cases)}" if tuple(effort.cases) != tuple(plain.cases) else ""
    return " --quick" * effort.quick + pairs + cases


def run(mode: str, effort: Effort, into: Path) -> Path:
    """Measure, and write `<into>/<mode>.json` with the machine, the date and the command."""
    print(mode, flush=True)
    before, begin = os.getloadavg()[0], time.perf_counter()
    if before > 0.5:
        print(f"  note: the load is {before:.1f} already; ratios of wall-clock want quiet cores", flush=True)
    found = MODES[mode](effort)
    written = {
        "mode": mode,
        "command": f"python benchmarks/speed.py {mode}{flags_of(effort)}",
        "date": time.strftime("%Y-%m-%d"),
        "machine": child("environment") | {"cores": os.cpu_count(), "python": sys.version.split()[0]},
        "sparring": importlib.metadata.version("sparring"),
        "load_before": round(before, 2),
        "seconds": round(time.perf_counter() - begin),
        "effort": asdict(effort),
        "found": found,
    }
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{mode}.json"
    path.write_text(json.dumps(written, indent=1) + "\n")
    return path
