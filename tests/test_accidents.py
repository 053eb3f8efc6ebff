"""Accidents of disks, made to happen: a clear word, and nothing lost.

Shards that vanish and workers that die are in data/test_shards.py, killed processes in test_kill.py and
test_distributed.py.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


def may_mount(folder: Path) -> bool:
    """Whether this system lets us mount in a name space of our own."""
    command = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def test_a_disk_that_fills_up_or_is_read_only_stops_in_words_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not may_mount(disk):
        pytest.skip("no file system of one's own can be mounted here")
    command = [*UNSHARE, sys.executable, str(Path(__file__).parent / "accidents.py"), str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert "No space left" in found["full"]
    assert f"free some space or mend the path, then resume. The last good checkpoint is {disk}" in found["full"]
    assert 0 < int(found["left"][:8]) < 500
    assert "No space left" in found["still full"]
    assert "Read-only file system" in found["read-only"]
    assert "no folder can be made there: Read-only file system" in found["read-only, new"]
    assert found["end"] == found["whole"]
    assert found["torn"] == []
