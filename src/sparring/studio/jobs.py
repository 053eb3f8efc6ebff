"""Processes that the studio begins: trainings, looks at data. They go on when the studio is closed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sparring.studio.guard import Refused

MOST_AT_ONCE = 4
"""Processes; more would only slow each other down."""
TALK = 6_000
"""Characters of what a process said last that are shown."""
PATIENCE = 10.0
"""Seconds for a process to end by itself, once it was told to stop at once."""


@dataclass
class Job:
    """A process, and what it says."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    out: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        """Still at work."""
        return self.process.poll() is None

    @property
    def talk(self) -> str:
        """The end of what it said on stderr."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4 * TALK))
            said = file.read().decode("utf-8", "replace")[-TALK:]
            return "".join(c for c in said if c == "\n" or c.isprintable()).strip()
        return ""

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        code = self.process.poll()
        status = "starting" if code is None else "ended" if code == 0 else "failed"
        return {"name": self.name, "status": status, "talk": self.talk, "message": said_wrong(self.talk)}


def said_wrong(talk: str) -> str | None:
    """The message of a command that ended with one."""
    found = re.search(r"^error: (.*)", talk, re.MULTILINE | re.DOTALL)
    return found[1] if found else None


@dataclass
class Jobs:
    """All of them, by name: of a run, the name of its folder."""

    runs: Path
    where: Path
    """The folder that commands are given in: data are named from there."""
    found: dict[str, Job] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def kept(self) -> Path:
        """A folder for what they say; made with the first."""
        return Path(tempfile.mkdtemp(prefix="sparring-studio-"))

    def start(self, name: str, arguments: Sequence[str]) -> Job:
        """A command of `sparring` as a process of its own. `Refused` (429) while many are at work."""
        with self.lock:
            if sum(job.alive for job in self.found.values()) >= MOST_AT_ONCE:
                raise Refused(429, f"{MOST_AT_ONCE} are at work already; pause one, or wait")
            if name in self.found and self.found[name].alive:
                raise Refused(409, f"'{name}' is at work already")
            stem = self.kept / re.sub(r"[^\w.-]", "_", name)
            log, out = stem.with_name(f"{stem.name}.log"), stem.with_name(f"{stem.name}.out")
            # -P: a file called torch.py among the data would else be taken for the package
            words = [sys.executable, "-P", "-m", "sparring.studio.begin", *arguments]
            try:
                with log.open("wb") as told, out.open("wb") as results:
                    process = subprocess.Popen(
                        words, cwd=self.where, stdin=subprocess.DEVNULL, stdout=results, stderr=told,
                        start_new_session=True,
                    )  # fmt: skip
            except (OSError, ValueError) as error:  # a value with a NUL, or longer than the system bears
                raise Refused(400, f"this cannot be begun: {error}") from None
            self.found[name] = Job(name, process, log, out)
            return self.found[name]

    def close(self) -> None:
        """Forget what they said, unless one of them goes on, and may say more."""
        if self.found and not any(job.alive for job in self.found.values()):
            shutil.rmtree(self.kept, ignore_errors=True)

    def dismiss(self, name: str) -> None:
        """Forget one that has ended. `Refused` (404, 409)."""
        with self.lock:
            if name not in self.found:
                raise Refused(404, f"'{name}' was not begun here")
            if self.found[name].alive:
                raise Refused(409, f"'{name}' is at work; stop it first")
            del self.found[name]

    def alive(self, name: str) -> bool:
        """Whether a process of ours works under that name."""
        return name in self.found and self.found[name].alive

    def told(self, name: str) -> dict[str, Any] | None:
        """Of one that was begun here."""
        return self.found[name].as_json() if name in self.found else None

    def without_folder(self) -> list[dict[str, Any]]:
        """Trainings that have no folder yet, or never will."""
        none = [job for job in list(self.found.values()) if not (self.runs / job.name / "config.json").is_file()]
        return [job.as_json() for job in none if not job.name.startswith(".")]

    def signal(self, name: str, at_once: bool) -> None:
        """Tell a training to save and stop, or to stop at once. `Refused` (409) where nobody trains."""
        job, run = self.found.get(name), self.runs / name
        job = job if job is not None and job.alive else None  # one that has ended may go on from elsewhere
        process = job.process.pid if job is not None else trainer(run)
        if process is None:
            raise Refused(409, f"'{name}' is not being trained")
        _interrupt(process)
        if at_once:
            threading.Thread(target=_insist, args=(job, run, process), daemon=True).start()


def _interrupt(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, signal.SIGINT)


def _insist(job: Job | None, run: Path, process: int) -> None:
    """A second Ctrl-C ends a training within its round; a process that hangs is ended by the system."""

    def same() -> bool:
        return job.alive if job is not None else trainer(run) == process

    begin = time.monotonic()
    time.sleep(0.3)
    if same():
        _interrupt(process)
    while same():
        time.sleep(0.1)
        if time.monotonic() - begin > PATIENCE:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
            return


def trainer(run: Path) -> int | None:
    """The process that trains in a run's folder: it holds the lock there. None also where the system does not tell."""
    lock = run / ".lock"
    try:
        told = lock.lstat()
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    for line in locks.splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(told.st_ino):
            process = int(words[4])
            if _has_open(process, lock):
                return process
    return None


def _has_open(process: int, file: Path) -> bool:
    """The number of a file alone may be that of another disk's."""
    try:
        return any(os.readlink(entry) == str(file) for entry in Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return False
