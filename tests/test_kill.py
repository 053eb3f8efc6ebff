"""A run that is killed with -9, again and again, ends in bitwise the state of one that never was."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sparring import checkpoint

COMMAND = [sys.executable, "-c", "import sys; from sparring.cli import main; sys.exit(main())"]
TRAIN = [
    "train",
    "cdcgan",
    "--rounds",
    "600",
    "--threads",
    "1",
    "--save-every",
    "0",
    "--no-evaluate",
    "--snapshots",
    "2",
]


def finish(arguments: list[str], cwd: Path) -> None:
    done = subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def kill_at_a_random_moment(arguments: list[str], cwd: Path, folder: Path, chance: random.Random) -> None:
    """Start, wait until it trains, wait a little more, kill."""
    before = {p.name for p in checkpoint.listed(folder / "checkpoints")}
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if {p.name for p in checkpoint.listed(folder / "checkpoints")} - before:
                break
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.15))
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.long)])
def test_killed_runs_end_bitwise_like_the_others(tmp_path: Path, kills: int) -> None:
    finish([*TRAIN, "--name", "whole"], tmp_path)
    folder, chance, killed = tmp_path / "runs" / "killed", random.Random(kills), 0
    kill_at_a_random_moment([*TRAIN, "--name", "killed"], tmp_path, folder, chance)
    rounds = [int(checkpoint.listed(folder / "checkpoints")[-1].name[:8])]
    for _ in range(kills - 1):
        kill_at_a_random_moment(["resume", "runs/killed"], tmp_path, folder, chance)
        rounds.append(int(checkpoint.listed(folder / "checkpoints")[-1].name[:8]))
        killed += rounds[-1] < 400
    finish(["resume", "runs/killed"], tmp_path)
    ours, theirs = (
        checkpoint.read(checkpoint.listed(tmp_path / "runs" / name / "checkpoints")[-1]) for name in ("killed", "whole")
    )
    print(f"killed after rounds {rounds} of 400")
    assert killed >= kills // 2, "the kills came too late to prove anything"
    assert ours[1] == theirs[1]
    assert ours[0].keys() == theirs[0].keys()
    assert all(torch.equal(ours[0][name], theirs[0][name]) for name in ours[0])


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = [*TRAIN, "--rounds", "100000", "--save-every", "1000", "--name", "stopped"]
    process = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    events = tmp_path / "runs" / "stopped" / "events.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (events.exists() and '"losses"' in events.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 0, talk
    assert "sparring resume runs/stopped" in talk
    (saved,) = checkpoint.listed(tmp_path / "runs" / "stopped" / "checkpoints")
    assert checkpoint.read(saved)[1]["round"] > 0
