"""Requests in a bounded queue, and one thread that answers them: those that fit together in one forward pass."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from typing import Any

import torch
from torch import Tensor

from sparring.serve.asked import Refused

SMOOTHING = 0.2
"""Of the mean time of a pass, by which it is told when to come again."""


class Job:
    """Something to be computed: rows for the generator, or a piece of work of its own."""

    def __init__(self, key: Hashable, rows: Mapping[str, Tensor], work: Callable[[], Any] | None = None) -> None:
        self.key, self.rows, self.work = key, rows, work
        self.future: Future[Any] = Future()

    def __len__(self) -> int:
        return len(next(iter(self.rows.values()))) if self.rows else 1


class Desk:
    """Takes jobs from any thread; `generate` gets the rows of several jobs at once, and gives as many samples."""

    def __init__(
        self, generate: Callable[[Mapping[str, Tensor]], Tensor], waiting: int = 64, rows: int = 64, threads: int = 0
    ) -> None:
        self.generate, self.waiting, self.rows, self.threads = generate, waiting, rows, threads
        self.passes = self.answered = 0
        self._seconds = 0.05
        self._jobs: deque[Job] = deque()
        self._there, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self._thread.start()

    def ask(self, rows: Mapping[str, Tensor]) -> Future[Tensor]:
        """Samples of rows, made together with those of jobs of alike columns. `Refused` (503) when it is full."""
        key = tuple(sorted((name, column.dtype, column.shape[1:]) for name, column in rows.items()))
        return self._put(Job(key, rows))

    def do(self, work: Callable[[], Any]) -> Future[Any]:
        """The result of some work, by itself. `Refused` (503) when it is full."""
        return self._put(Job(None, {}, work))

    def _put(self, job: Job) -> Future[Any]:
        with self._there:
            if self._closed:
                raise Refused(503, "the service is closing", 1)
            if len(self._jobs) >= self.waiting:
                raise Refused(503, f"{len(self._jobs)} requests are waiting already; come again", self.wait())
            self._jobs.append(job)
            self._there.notify()
        return job.future

    def wait(self) -> int:
        """Seconds until those who wait now are served, about; at least 1."""
        return max(1, math.ceil(self._seconds * len(self._jobs)))

    def __len__(self) -> int:
        return len(self._jobs)

    def close(self) -> None:
        """Finish what runs; refuse the rest."""
        with self._there:
            self._closed = True
            for job in self._jobs:
                job.future.cancel()
            self._jobs.clear()
            self._there.notify()
        self._thread.join(timeout=10)

    def _take(self) -> list[Job]:
        """The job that has waited longest, and those that can go with it; empty at the end."""
        with self._there:
            while not self._jobs and not self._closed:
                self._there.wait()
            if self._closed:
                return []
            taken = [self._jobs.popleft()]
            count, left = len(taken[0]), deque[Job]()
            for job in self._jobs:
                if job.key is not None and job.key == taken[0].key and count + len(job) <= self.rows:
                    taken.append(job)
                    count += len(job)
                else:
                    left.append(job)
            self._jobs = left
        return taken

    def _work(self) -> None:
        if self.threads:
            torch.set_num_threads(self.threads)
        while taken := self._take():
            taken = [job for job in taken if job.future.set_running_or_notify_cancel()]
            if taken:
                self._answer(taken)

    def _answer(self, jobs: list[Job]) -> None:
        begun = time.perf_counter()
        try:
            if jobs[0].work is not None:
                jobs[0].future.set_result(jobs[0].work())
            else:
                rows = {name: torch.cat([job.rows[name] for job in jobs]) for name in jobs[0].rows}
                made = self.generate(rows)
                for job, part in zip(jobs, torch.split(made, [len(job) for job in jobs]), strict=True):
                    job.future.set_result(part)
        except BaseException as error:
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)
        self.passes, self.answered = self.passes + 1, self.answered + len(jobs)
        self._seconds += SMOOTHING * (time.perf_counter() - begun - self._seconds)
