"""What a run folder says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.config import UserError, read_json
from sparring.runs import read_events


@dataclass(frozen=True)
class Run:
    """What a run folder says."""

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    best: Mapping[str, Any]
    """The evaluation of an earlier round that looked better; empty where there was none."""
    events: Sequence[Mapping[str, Any]]


def read_run(run: Path) -> Run:
    """Everything but the pictures; only config.json must be there."""
    if not (run / "config.json").is_file():
        raise UserError(f"{run} is not a run folder: it has no config.json")
    config, environment, evaluation, best = (
        _mapping(run / f"{name}.json") for name in ("config", "environment", "evaluation", "evaluation-best")
    )
    return Run(run, config, environment, evaluation, best, read_events(run))


def _mapping(path: Path) -> Mapping[str, Any]:
    """A JSON object, empty if there is no such file."""
    value = read_json(path) if path.is_file() else {}
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}; it should be a JSON object")
    return value


def history(events: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """One kind of event by rising round, without what a resume went back behind and did again."""
    kept: dict[int, Mapping[str, Any]] = {}
    for event in events:
        number = event.get("round")
        if not isinstance(number, int):
            continue
        if event.get("event") in ("resume", "rollback"):
            kept = {earlier: value for earlier, value in kept.items() if earlier <= number}
        elif event.get("event") == kind:
            kept[number] = event
    return [kept[number] for number in sorted(kept)]


def dig(values: Mapping[str, Any], *path: str) -> Any:
    """`values[a][b]...`, or None where something on the way is missing."""
    found: Any = values
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def finite(value: Any) -> float | None:
    """A number that JSON can carry, else None."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None
