"""What the doctor sees, and what it says."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Change:
    """A setting to change: to what the preset says, where it differs from that; else to a value, or by a factor."""

    setting: str
    """Dotted, as on the command line: `discriminator.lr`."""
    value: Any = None
    factor: float | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    since: int
    """Round from which on it holds."""
    what: str
    """A sentence for people."""
    evidence: Mapping[str, float]
    remedy: str
    changes: Sequence[Change] = ()

    def as_json(self) -> dict[str, Any]:
        """For events.jsonl."""
        changes = [{"setting": c.setting, "value": c.value, "factor": c.factor} for c in self.changes]
        return {
            "kind": self.kind,
            "since": self.since,
            "what": self.what,
            "evidence": dict(self.evidence),
            "remedy": self.remedy,
            "changes": changes,
        }


@dataclass(frozen=True)
class Series:
    """A value over rounds."""

    rounds: Sequence[int]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.values)

    def last(self, count: int) -> Series:
        """The newest."""
        return Series(self.rounds[-count:], self.values[-count:])

    def after(self, number: int) -> Series:
        """From a round on."""
        kept = [i for i, r in enumerate(self.rounds) if r >= number]
        return Series([self.rounds[i] for i in kept], [self.values[i] for i in kept])

    @property
    def median(self) -> float:
        """NaN when empty."""
        return statistics.median(self.values) if self.values else math.nan


@dataclass(frozen=True)
class Record:
    """A training as far as it was written down."""

    total: int
    """Rounds that are planned; 0 where nobody knows."""
    samples: int = 0
    """In the training set; 0 where nobody knows."""
    series: Mapping[str, Series] = field(default_factory=dict)
    """By name: `discriminator/objective`, `told apart`."""
    broken: tuple[int, str] | None = None
    """(round, message) of what ended it: a loss that became NaN."""

    def of(self, name: str) -> Series:
        """A value over time, empty where it was not written."""
        return self.series.get(name, Series((), ()))


def record_of(events: Iterable[Mapping[str, Any]], total: int = 0, samples: int = 0) -> Record:
    """From the events of a run: `losses` and `probe` carry `round` and `values`."""
    rows: dict[str, dict[int, float]] = {}
    broken: tuple[int, str] | None = None
    for event in events:
        number = event.get("round")
        if not isinstance(number, int):
            continue
        if event.get("event") == "broken":
            broken = (number, str(event.get("message", "")))
        if event.get("event") in ("resume", "rollback"):  # what came after will happen again
            for values in rows.values():
                for late in [r for r in values if r > number]:
                    del values[late]
            broken = None
        values_now = event.get("values") if event.get("event") in ("losses", "probe") else None
        for name, value in values_now.items() if isinstance(values_now, Mapping) else ():
            if isinstance(value, int | float) and math.isfinite(value):
                rows.setdefault(name, {})[number] = float(value)
    series = {}
    for name, values in rows.items():
        order = sorted(values)
        series[name] = Series(order, [values[r] for r in order])
    return Record(total, samples, series, broken)
