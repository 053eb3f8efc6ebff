"""What is said of a set that has something wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a set."""

    kind: str
    what: str
    """A sentence for people."""
    evidence: Mapping[str, float]
    remedy: str
    groups: tuple[tuple[int, ...], ...] = ()
    """Which samples, numbered through all splits in their order; those of a group belong together."""


def counted(number: int, noun: str) -> str:
    """`1 picture`, `2,000 pictures`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
