"""Threads that give way: what other programs take of the cores, and how many threads are right beside them.

The threads of a step wait for each other, so that all of them are as slow as the one whose core another program holds:
of two threads beside one busy core a quarter of the pace is left, of one thread more than half of it (measured by
`benchmarks/speed.py busy`). What others take is read from /proc/stat, and not guessed from the pace alone: a run in
which nobody interferes keeps its number of threads, and with it its last bits.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
WINDOW = 0.5
"""Seconds of training between two looks."""
SLOWER, TAKEN, LOOKS = 1.5, 0.5, 2
"""Times the best round, cores taken by others, and looks in a row at which that is so: then they have it."""
FREE, PATIENCE = 0.1, 10.0
"""Cores that others may take, and for how many seconds, until all threads are used again; twice as long each time."""


@dataclass(frozen=True)
class Spent:
    """Seconds, by the clock, and on our cores: by everybody, and by this process."""

    clock: float
    everybody: float
    ours: float


def spent() -> Spent | None:
    """Up to now. None where the system does not tell."""
    try:
        mine, lines = os.sched_getaffinity(0), STAT.read_text().splitlines()
        ticks = os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, ValueError):
        return None
    busy = 0
    for line in lines:
        name, *counts = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in mine:
            user, nice, system, _, _, irq, soft, *more = map(int, counts)
            busy += user + nice + system + irq + soft + sum(more[:1])  # of the rest, what another guest has taken
    return Spent(time.perf_counter(), busy / ticks, time.process_time())


class Pace:
    """Told of every round, it says how many threads are right from then on."""

    def __init__(self, threads: int) -> None:
        self.most = self.threads = threads
        self.best = math.inf
        """Seconds of a round, in the best window with all threads."""
        self.patience = PATIENCE
        self._since = spent()
        self._rounds, self._slow = 0, 0
        self._seconds, self._quiet = 0.0, 0.0

    def round(self, seconds: float) -> int | None:
        """A round took so many seconds. The number of threads where another one is right now."""
        self._rounds, self._seconds = self._rounds + 1, self._seconds + seconds
        if self._seconds < WINDOW:
            return None
        now, since, each = spent(), self._since, self._seconds / self._rounds
        length = self._seconds
        self._since, self._rounds, self._seconds = now, 0, 0.0
        if now is None or since is None:
            return None
        ours = now.ours - since.ours
        others = max(0.0, now.everybody - since.everybody - ours) / (now.clock - since.clock)
        right = self._less(each, others) if self.threads == self.most else self._again(length, others)
        if right is None or right == self.threads:
            return None
        self.threads, self._slow, self._quiet = right, 0, 0.0
        return right

    def _less(self, each: float, others: float) -> int | None:
        taken = each > SLOWER * self.best and others > TAKEN
        self._slow = self._slow + 1 if taken else 0
        self.best = min(self.best, each)
        return max(1, self.most - math.ceil(others - 0.25)) if self._slow >= LOOKS else None

    def _again(self, length: float, others: float) -> int | None:
        self._quiet = self._quiet + length if others < FREE else 0.0
        if self._quiet < self.patience:
            return None
        self.patience *= 2
        return self.most
