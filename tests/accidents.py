"""Worked by test_accidents in a name space of its own: a disk that fills up while a run is trained, then read-only.

unshare --user --map-root-user --mount python tests/accidents.py FOLDER

FOLDER becomes a file system of 4 MiB. Prints what was told and left, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sparring
from sparring import checkpoint

SETTINGS: dict[str, Any] = {
    "preset": "smallest", "data": "digits", "threads": 1, "rounds": 500, "save_every": 0, "snapshots": 1,
    "on_trouble": "ignore", "evaluate": False, "quiet": True,
}  # fmt: skip


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def fill(runs: Path) -> None:
    """As soon as there is a checkpoint, all that is left of the disk."""
    while not checkpoint.listed(runs / "mlp" / "checkpoints"):
        time.sleep(0.001)
    with (runs / "filler").open("wb", buffering=0) as file:
        for size in (100_000, 1000, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def told(work: Callable[[], object]) -> str:
    try:
        work()
    except sparring.UserError as error:
        return str(error)
    return ""


def last(runs: Path) -> str:
    return checkpoint.listed(runs / "mlp" / "checkpoints")[-1].name


def main(disk: Path) -> None:
    whole = sparring.train("mlp", runs=str(disk.parent / "whole"), name="mlp", **SETTINGS)
    mount(disk, "size=4m")
    threading.Thread(target=fill, args=(disk,), daemon=True).start()
    found = {"full": told(lambda: sparring.train("mlp", runs=str(disk), name="mlp", **SETTINGS)), "left": last(disk)}
    found["still full"] = told(lambda: sparring.resume(disk / "mlp", quiet=True))
    mount(disk, "remount,ro")
    found["read-only"] = told(lambda: sparring.resume(disk / "mlp", quiet=True))
    found["read-only, new"] = told(lambda: sparring.train("mlp", runs=str(disk), **SETTINGS))
    mount(disk, "remount,rw")
    (disk / "filler").unlink()
    sparring.resume(disk / "mlp", quiet=True)
    found |= {"end": last(disk), "whole": last(whole.path.parent)}
    found["torn"] = [str(path) for path in disk.rglob("*.part")]
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
