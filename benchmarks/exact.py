"""Whether it is exact: one hash on any number of processes and of loader's workers, and however often it is killed.

    python benchmarks/exact.py                 everything; a quarter of an hour
    python benchmarks/exact.py worlds          1, 2 and 4 processes with --reproducible, 200 rounds
    python benchmarks/exact.py workers         0, 1 and 2 workers that read pictures from tar shards, 200 rounds
    python benchmarks/exact.py kills           30 times kill -9, half of them while a checkpoint is written
    python benchmarks/exact.py stall           how long a checkpoint of 200 MB keeps the loop waiting
    python benchmarks/exact.py render          the table of docs/performance.md, from docs/performance/exact.json

Ends with 1 where a hash differs from that of the run that nothing happened to.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sparring import checkpoint
from sparring.config import UserError
from sparring.engine import start
from sparring.testing import toy_game

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "performance" / "exact.json"
PAGE = ROOT / "docs" / "performance.md"
ROUNDS, KILLS = 200, 30
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
QUIETLY = ["--save-every", "0", "--no-evaluate", "--snapshots", "2"]
TRAIN = ["train", "cdcgan", "--data", "digits", "--reproducible", *QUIETLY]


def sparring(*words: str, processes: int = 1) -> None:
    """A command, in so many processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    command = [sys.executable, *(launcher if processes > 1 else ["-m"]), "sparring", *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command)}\n{done.stderr[-2000:]}")


def last(run: Path) -> str:
    """Round and hash of the newest checkpoint."""
    found = checkpoint.listed(run / "checkpoints")
    return found[-1].stem if found else ""


def worlds(folder: Path) -> dict[str, Any]:
    hashes = {}
    for processes in (1, 2, 4):
        name = f"world-{processes}"
        sparring(*TRAIN, "--rounds", str(ROUNDS), "--runs", str(folder), "--name", name, processes=processes)
        hashes[f"{processes} processes" if processes > 1 else "1 process"] = last(folder / name)
    return {"what": f"cdcgan on digits, --reproducible, {ROUNDS} rounds", "hashes": hashes}


def workers(folder: Path) -> dict[str, Any]:
    from PIL import Image

    pictures = folder / "pictures"
    pictures.mkdir()
    chance = torch.Generator().manual_seed(0)
    for number in range(240):
        pixels = torch.randint(256, (24, 24), generator=chance, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(pictures / f"{number}.png")
    sparring("data", "shard", str(pictures), "-o", str(folder / "shards"), "--bytes", "40KB")
    hashes = {}
    for number in (0, 1, 2):
        words = [
            "train",
            "dcgan",
            "--data",
            str(folder / "shards"),
            "--rounds",
            str(ROUNDS),
            "--threads",
            "1",
            *QUIETLY,
        ]
        sparring(*words, "--workers", str(number), "--runs", str(folder), "--name", f"workers-{number}")
        hashes[f"{number} worker{'s' * (number != 1)}"] = last(folder / f"workers-{number}")
    return {"what": f"dcgan on tar shards of 240 pictures, {ROUNDS} rounds", "hashes": hashes}


def killed(words: list[str], run: Path, chance: random.Random, writing: bool) -> bool:
    """Start, wait until it trains, kill: at a random moment, or when a checkpoint is begun. Whether one was torn."""
    events, folder = run / "events.jsonl", run / "checkpoints"
    before = events.stat().st_size if events.exists() else 0
    for torn in folder.glob(".*.part"):
        torn.unlink()
    with subprocess.Popen([sys.executable, "-m", "sparring", *words], env=ENVIRONMENT, stderr=-3, stdout=-3) as process:
        while process.poll() is None and not (events.exists() and events.stat().st_size > before):
            time.sleep(0.002)
        if writing:
            while process.poll() is None and not any(folder.glob(".*.part")):
                pass
        else:
            time.sleep(chance.uniform(0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
    return any(folder.glob(".*.part"))


def kills(folder: Path) -> dict[str, Any]:
    words = [*TRAIN, "--rounds", str(3 * ROUNDS), "--runs", str(folder)]
    sparring(*words, "--name", "whole")
    run, chance, torn, rounds = folder / "killed", random.Random(0), 0, list[int]()
    for number in range(KILLS):
        begin = ["resume", str(run)] if (run / "config.json").exists() else [*words, "--name", "killed"]
        torn += killed(begin, run, chance, writing=number % 2 == 1)
        rounds.append(int(last(run)[:8] or 0))
    sparring("resume", str(run))
    return {
        "what": f"cdcgan on digits, {3 * ROUNDS} rounds, a checkpoint every 10, {KILLS} times kill -9",
        "hashes": {"never killed": last(folder / "whole"), f"killed {KILLS} times": last(run)},
        "killed after rounds": rounds,
        "with a checkpoint half written": torn,
    }


def stall(folder: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    big = torch.nn.Sequential(*(torch.nn.Conv2d(512, 512, 3) for _ in range(21)))
    game = replace(toy_game(), modules={"big": big}, players=[], product=())
    state, at_once, handed, size = start(game), list[float](), list[float](), 0
    for number in range(5):
        state.round = number
        begin = time.perf_counter()
        size = checkpoint.save(folder / "at once", game, state).stat().st_size
        at_once.append(time.perf_counter() - begin)
        with checkpoint.Writer() as writer:
            begin = time.perf_counter()
            writer.save(folder / "by a thread", game, state)
            handed.append(time.perf_counter() - begin)
    return {
        "what": f"a game of {size / 1e6:.0f} MB, five times each in turn, one thread",
        "seconds": {
            name: [round(f(values), 3) for f in (statistics.median, min, max)]
            for name, values in (("written at once", at_once), ("handed to the thread", handed))
        },
    }


MODES: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "worlds": worlds, "workers": workers, "kills": kills, "stall": stall,
}  # fmt: skip


def table(found: Mapping[str, Any]) -> str:
    """What was found, for the page."""
    lines = ["| what | compared | result |", "|---|---|---|"]
    for result in (found[mode] for mode in MODES if mode in found):
        if "hashes" in result:
            alike = len(set(result["hashes"].values())) == 1
            told = f"one hash, `{next(iter(result['hashes'].values()))}`" if alike else "**they differ**"
            if "killed after rounds" in result:
                rounds = result["killed after rounds"]
                told += f"; last checkpoints before kills of rounds {rounds[0]} to {rounds[-1]}"
                told += f"; {result['with a checkpoint half written']} kills left one half written"
            lines.append(f"| {result['what']} | {', '.join(result['hashes'])} | {told} |")
        else:
            said = [f"{name} {low[0]:.2f} s ({low[1]:.2f} to {low[2]:.2f})" for name, low in result["seconds"].items()]
            lines.append(f"| {result['what']} | how long the loop stands still | {'; '.join(said)} |")
    return "\n".join(lines)


def render() -> None:
    """The table between its marks."""
    before, mark, rest = PAGE.read_text().partition("<!-- exact -->\n")
    _, end, after = rest.partition("<!-- /exact -->")
    PAGE.write_text(f"{before}{mark}{table(json.loads(RESULT.read_text()))}\n{end}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modes", nargs="*", metavar="mode", help=f"{', '.join(MODES)} or render; none is all")
    given = parser.parse_args()
    if unknown := set(given.modes) - {*MODES, "render"}:
        parser.error(f"there is no mode {', '.join(sorted(unknown))}; use {', '.join(MODES)} or render")
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for mode in given.modes or MODES:
        if mode != "render":
            with tempfile.TemporaryDirectory() as folder:
                found[mode] = MODES[mode](Path(folder))
            RESULT.parent.mkdir(exist_ok=True)
            RESULT.write_text(json.dumps(found, indent=1) + "\n")
            print(json.dumps(found[mode]))
    render()
    return int(any(len(set(result["hashes"].values())) > 1 for result in found.values() if "hashes" in result))


if __name__ == "__main__":
    sys.exit(main())
