"""The run folder: one place for everything about one training run, readable without this package.

config.json        recipe, preset, all numbers, data and their facts: `--config` repeats the run
environment.json   versions, device, threads
events.jsonl       losses, samples, starts and stops, one JSON object a line
samples/           pictures of the same latents over time
checkpoints/       the state of training; the last two good ones
evaluation.json    scores, with the floor beside each
report.html        all of it on one page
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from sparring import __version__
from sparring.config import UserError, from_json, read_json, to_json
from sparring.data.settings import Data
from sparring.data.source import About
from sparring.files import replacing

FORMAT = 1


@dataclass(frozen=True)
class How:
    """How to run: everything that is neither data nor the recipe's own numbers."""

    seed: int = 0
    """All randomness follows from it."""
    minutes: float | None = None
    """Fit the number of rounds to this much training, judging not counted; the choice is recorded as `rounds`."""
    device: str = "auto"
    """cuda, cuda:1, mps or cpu; auto takes the best there is."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of products and convolutions; auto is bfloat16 where the processor is fast at it."""
    threads: int | None = None
    """CPU threads; none times a few rounds with one thread and with all, and takes the faster."""
    reproducible: bool = False
    """The same result, bitwise, on 1, 2 or 4 processes: batches are cut into 4 shards, each process has one thread.
    What that costs is measured and told at the start, unless you choose the shards."""
    shards: int | None = None
    """Parts of a batch, each with random numbers of its own, worked on by one process or several; more of them than
    processes need less memory at a time, and longer. None: one per process; 4 if reproducible."""
    sync_norm: bool = False
    """Batch norm by the mean and variance of the whole batch, not of each shard: as in an unsharded run."""
    name: str | None = None
    """Of the run's folder; none makes one of recipe, data and a number. A taken name gets a number too."""
    runs: str = "runs"
    """The folder that holds the runs."""
    snapshots: int = 40
    """How often samples are drawn while training."""
    save_every: float = 30.0
    """Seconds between checkpoints."""
    on_trouble: Literal["warn", "stop", "rollback", "ignore"] = "warn"
    """What to do when the doctor finds something: tell; stop and save; or go back to the last healthy checkpoint with
    the remedy applied. `ignore` does not look at all."""
    rollbacks: int = 2
    """How often at most; then it is only told."""
    sink: tuple[str, ...] = ()
    """Who is told besides the run's folder: tensorboard, trackio or wandb; give it again for another."""
    evaluate: bool = True
    """Judge the samples when training ends; the report is written in any case."""


@dataclass(frozen=True)
class Plan:
    """All that determines a run."""

    recipe: str
    preset: str
    model: Any
    data: Data
    how: How


@dataclass(frozen=True)
class Written:
    """config.json as it stands: the recipe's numbers are checked by the recipe."""

    format: int
    sparring: str
    recipe: str
    preset: str
    model: dict[str, Any]
    data: Data
    how: How
    about: About
    facts: dict[str, Any]


def new_folder(parent: Path, stem: str, numbered: bool) -> Path:
    """A folder that did not exist: `stem`, or `stem-1`, `stem-2`, ...; no run is ever overwritten."""
    if not stem or stem in (".", "..") or "/" in stem or "\\" in stem:
        raise UserError(f"name={stem!r} must be the name of one folder, without slashes")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = 1 if numbered else 0
        while True:
            path = parent / (f"{stem}-{number}" if number else stem)
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        raise UserError(f"runs={parent}: no folder can be made there: {error.strerror or error}") from None


def write_json(path: Path, value: Any) -> None:
    """Written whole or not at all."""
    with replacing(path) as file:
        file.write(json.dumps(to_json(value), indent=1, ensure_ascii=False).encode() + b"\n")


def write_config(path: Path, plan: Plan, about: About, facts: Mapping[str, Any]) -> None:
    """config.json of a new run. `facts` are findings such as the time per round that `minutes` measured."""
    written = Written(
        FORMAT, __version__, plan.recipe, plan.preset, to_json(plan.model), plan.data, plan.how, about, dict(facts)
    )
    write_json(path / "config.json", written)


def read_config(run: Path) -> Written:
    """config.json of a run. `UserError` when this is no run folder."""
    if not (run / "config.json").is_file():
        raise UserError(f"{run} is not a run: it has no config.json{_nearby(run)}")
    return read_written(run / "config.json")


def read_written(file: Path) -> Written:
    """The configuration in a file. `UserError` when it is none of ours."""
    values = read_json(file)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise UserError(f"{file}: not a configuration that sparring {__version__} can read")
    return from_json(Written, values, str(file))


def _nearby(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("runs")
    found = sorted(p.parent for p in folder.glob("*/config.json"))[:8] if folder.is_dir() else []
    return f"; there are {', '.join(map(str, found))}" if found else ""


def environment(device: str) -> dict[str, Any]:
    """What the results may depend on."""
    return {
        "sparring": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": device,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "command": " ".join(sys.argv).encode(errors="replace").decode(),  # names of files need not be UTF-8
    }


def processor() -> str:
    """The CPU's name, as well as it can be found."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@contextlib.contextmanager
def only_one(run: Path) -> Iterator[None]:
    """`UserError` while another process trains in this folder, or where nothing can be written.

    The lock goes with its process, however that ends.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        yield
        return
    try:
        file = (run / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{run} cannot be written: {error.strerror or error}; mend that, then resume") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{run} is being trained by another process; wait for it, or stop it") from None
        yield


@contextlib.contextmanager
def writable(run: Path) -> Iterator[None]:
    """`UserError` where something cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{run}: {error}; free some space or mend the path, then try again") from None


class Events:
    """Appends to events.jsonl; `also` gets each event too."""

    def __init__(self, run: Path, also: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        self._file, self._also = (run / "events.jsonl").open("a", encoding="utf-8"), also

    def write(self, event: str, **values: Any) -> None:
        """One line, visible to readers at once."""
        self._file.write(json.dumps({"event": event, **values}) + "\n")
        self._file.flush()
        if self._also is not None:
            self._also({"event": event, **values})

    def close(self) -> None:
        """No more."""
        self._file.close()


def lines_of(run: Path) -> Iterator[dict[str, Any]]:
    """The events so far. A torn last line, and anything else that is not an event, is passed over."""
    path = run / "events.jsonl"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):  # torn, or not written by us
                continue
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event


def read_events(run: Path) -> list[dict[str, Any]]:
    """All of `lines_of`."""
    return list(lines_of(run))


def forget_after(run: Path, round_number: int) -> None:
    """Drop events of rounds beyond a checkpoint: they will happen again."""
    kept = [e for e in lines_of(run) if isinstance(e.get("round"), int) and e["round"] <= round_number]
    with replacing(run / "events.jsonl") as file:
        file.write("".join(json.dumps(event) + "\n" for event in kept).encode())


def duration(seconds: float) -> str:
    """Such as `4.5 s`, `48 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def now() -> str:
    """Local time, to the second, with its offset."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
