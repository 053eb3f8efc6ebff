"""Numbers that change while training runs: wherever a `Number` is asked for, a `Schedule` may stand.

On the command line `--generator.lr from=2e-3,to=2e-4,over=.5,shape=cosine`; in Python `Schedule(2e-3, 2e-4, 0.5)`;
in JSON `{"from": 2e-3, "to": 2e-4, "over": 0.5, "shape": "cosine"}`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """A ramp from one value to another over the first part of a run; constant after it."""

    start: float
    """At the first round; `from` in JSON and on the command line."""
    to: float
    over: float = 1.0
    """Fraction of the run that the ramp takes, in (0, 1]."""
    shape: Literal["linear", "cosine"] = "linear"
    after: float = 0.0
    """Fraction of the run after which the ramp begins."""

    def __post_init__(self) -> None:
        ends = 0 < self.over <= 1 and 0 <= self.after < 1 and self.after + self.over <= 1 + 1e-9
        if not (ends and math.isfinite(self.start) and math.isfinite(self.to)):
            raise ValueError(
                f"a schedule's ramp must lie within the run, and both its ends be finite: over in (0, 1], after in "
                f"[0, 1), after + over at most 1; not {written(self)}"
            )
        if self.shape not in ("linear", "cosine"):
            raise ValueError(f"shape={self.shape} is not linear or cosine")

    def at(self, progress: float) -> float:
        """The value at a progress in [0, 1]. A cosine ramp leaves and arrives level."""
        done = min(1.0, max(0.0, (progress - self.after) / self.over))
        share = done if self.shape == "linear" else 0.5 - 0.5 * math.cos(math.pi * done)
        return self.start + (self.to - self.start) * share


Number = float | Schedule
"""A constant, or a schedule."""


def at(number: Number, progress: float) -> float:
    """Its value at a progress in [0, 1]."""
    return number.at(progress) if isinstance(number, Schedule) else number


def falling(progress: float, start: float, end: float) -> float:
    """1 until progress `start`, then on a line to `end` at progress 1."""
    done = max(0.0, progress - start) / max(1e-9, 1 - start)
    return 1 - done * (1 - end)


def ever(number: Number) -> bool:
    """Whether it is anything but 0 at some time."""
    return number.start != 0 or number.to != 0 if isinstance(number, Schedule) else number != 0


def written(schedule: Schedule) -> str:
    """As the command line takes it."""
    text = f"from={schedule.start:g},to={schedule.to:g},over={schedule.over:g},shape={schedule.shape}"
    return f"{text},after={schedule.after:g}" if schedule.after else text


def parse(text: str) -> Number:
    """`0.1`, or `from=1,to=.1,over=.2,shape=cosine`. ValueError otherwise."""
    if "=" not in text:
        return float(text)
    pairs = [part.partition("=") for part in text.split(",")]
    parts = {key.strip(): value.strip() for key, _, value in pairs}
    if len(parts) < len(pairs):
        raise ValueError("a schedule names each of its parts once")
    if unknown := set(parts) - {"from", "to", "over", "shape", "after"}:
        raise ValueError(f"{sorted(unknown)} is not one of from, to, over, shape, after")
    if not {"from", "to"} <= set(parts):
        raise ValueError("a schedule needs from=... and to=...")
    shape = parts.pop("shape", "linear")
    if shape not in ("linear", "cosine"):
        raise ValueError(f"shape={shape} is not linear or cosine")
    kind: Literal["linear", "cosine"] = "cosine" if shape == "cosine" else "linear"
    try:
        numbers = {key: float(value) for key, value in parts.items()}
    except ValueError:
        raise ValueError(f"from, to, over and after must be numbers, not {parts}") from None
    after = numbers.get("after", 0.0)
    return Schedule(numbers["from"], numbers["to"], numbers.get("over", 1.0 - after), kind, after)
