"""Ways to break a duel on purpose. Each is a setup, the doctor's name for it, and when it must have said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sick:
    """A setup that fails, reliably and soon."""

    set: str
    settings: Mapping[str, Any]
    """Where they differ from the usual ones."""
    kind: str
    """What the doctor calls it."""


FREE = {"penalty.r1": 0.0, "penalty.r2": 0.0}
SICK: Mapping[str, Sick] = {
}
