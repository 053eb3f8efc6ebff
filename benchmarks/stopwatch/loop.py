"""A training that goes on for ever, and the clock on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Loop:
    """Whoever trains: each `next` of `steps` is one round of `batch` pictures."""

    steps: Generator[Any, None, None]
    sample: Callable[[], Tensor]
    batch: int
    modules: Mapping[str, nn.Module]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pace:
    """Of some seconds of training."""

    images_per_second: float
    """Real pictures of wall-clock."""
    images_per_cpu_second: float
    """Of all threads' time: what is left of it where other programs share the cores."""
    rounds: int


def timed(loop: Loop, seconds: float, warm_up: float = 0.0, least: int = 3) -> Pace:
    """Rounds for `seconds` after `warm_up` seconds, and at least so many rounds of either."""
    _rounds(loop, warm_up, least if warm_up else 0)
    wall, cpu = time.perf_counter(), time.process_time()
    done = _rounds(loop, seconds, least)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Pace(done * loop.batch / wall, done * loop.batch / cpu, done)


def _rounds(loop: Loop, seconds: float, least: int) -> int:
    done, begin = 0, time.perf_counter()
    while done < least or time.perf_counter() - begin < seconds:
        next(loop.steps)
        done += 1
    return done
