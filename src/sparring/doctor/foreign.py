"""Logs that other programs wrote: CSV, JSON lines or TensorBoard scalars of losses and scores.

Much less can be said of them than of a run of our own: whether losses blow up or become NaN, whether the discriminator
has won, and whether the best score lies behind.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sparring.config import UserError, did_you_mean
from sparring.doctor.record import Finding, Record, Series

_LOSS = r"(loss|total|cost|err(or)?)"
ROLES: Mapping[str, str] = {
    "round": r"(global_?)?(step|steps|iter|iters|iteration|iterations|round|kimg|cur_nimg)",
    "discriminator loss": r"(loss[_/ .-]?)?(d|dis|disc|discriminator|critic|netd|errd)([_/ .-]?" + _LOSS + ")?",
    "generator loss": r"(loss[_/ .-]?)?(g|gen|generator|netg|errg)([_/ .-]?" + _LOSS + ")?",
    "score": r"(fid|kid|frechet|lpips|clean_fid|val_fid|best_fid)([_-]?(\d+k?|full|score|distance|test|val|train))*",
}
"""How columns are usually called; the whole name must match, whatever its case and what stands before a slash."""


def read_log(path: Path, columns: Mapping[str, str] | None = None) -> tuple[Record, dict[str, str]]:
    """A log -> (record, which column was taken for what). `UserError` where nothing can be read or recognised."""
    table = _table(path)
    names = list(dict.fromkeys(name for row in table for name in row))
    chosen = _chosen(names, dict(columns or {}), path)
    place = chosen.get("round")
    series = {}
    for role, name in chosen.items():
        if role == "round":
            continue
        kept = [(i if place is None else row.get(place), row.get(name)) for i, row in enumerate(table)]
        pairs = [
            (int(number), value)
            for number, value in kept
            if number is not None and value is not None and math.isfinite(number)
            and (math.isfinite(value) or role != "score")  # a score that was not computed in every row is left empty
        ]  # fmt: skip
        pairs.sort(key=lambda pair: pair[0])
        if pairs:
            series[role] = Series([number for number, _ in pairs], [value for _, value in pairs])
    if not series:
        raise UserError(f"{path}: none of its columns ({', '.join(names[:20])}) holds losses or scores; name them: "
                        "--d-loss NAME --g-loss NAME --score NAME")  # fmt: skip
    return Record(max(s.rounds[-1] for s in series.values()), series=series), chosen


def _chosen(names: list[str], given: dict[str, str], path: Path) -> dict[str, str]:
    for role, name in given.items():
        if name not in names:
            raise UserError(f"{path} has no column '{name}' for the {role}{did_you_mean(name, names)}")
    taken = set(given.values())
    for role, pattern in [*ROLES.items(), ("round", "epoch"), ("round", "batch")]:  # batches begin anew every epoch
        free = [name for name in names if name not in taken]
        found = [name for name in free if re.fullmatch(pattern, name.rpartition("/")[2].strip().lower())]
        if role not in given and found:
            given[role] = found[0]
            taken.add(found[0])
    return given


def _table(path: Path) -> list[dict[str, float]]:
    """Rows of numbers by column."""
    if path.name.startswith("events.out.tfevents") or path.is_dir():
        return _tensorboard(path)
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    if text.lstrip().startswith("{"):
        rows = [_object(line) for line in text.splitlines()]
        return [row for row in rows if row]
    try:
        dialect: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(text[:4096], ",;\t ")
    except csv.Error:
        dialect = csv.excel
    reader = csv.DictReader(text.splitlines(), dialect=dialect)
    try:
        return [_numbers((str(key).strip(), value) for key, value in row.items() if key) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path} cannot be read as a table: {error}") from None


def _object(line: str) -> dict[str, float]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    flat = {**found, **(found["values"] if isinstance(found.get("values"), dict) else {})}
    return _numbers((name, value) for name, value in flat.items())


def _numbers(pairs: Iterable[tuple[str, object]]) -> dict[str, float]:
    row = {}
    for name, value in pairs:
        try:
            row[name] = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            continue
    return row


def _tensorboard(path: Path) -> list[dict[str, float]]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise UserError(f"{path}: TensorBoard files need its package: pip install tensorboard") from None
    events = EventAccumulator(str(path), size_guidance={"scalars": 0})
    events.Reload()
    rows: dict[int, dict[str, float]] = {}
    for tag in events.Tags()["scalars"]:
        for scalar in events.Scalars(tag):
            rows.setdefault(scalar.step, {"step": float(scalar.step)})[tag] = float(scalar.value)
    if not rows:
        raise UserError(f"{path} has no TensorBoard scalars")
    return [rows[step] for step in sorted(rows)]


def diagnose_log(record: Record) -> list[Finding]:
    """What losses and scores alone can tell."""
    checks = (_not_finite, _blown_up, _won, _behind)
    return [finding for check in checks if (finding := check(record)) is not None]


def _not_finite(record: Record) -> Finding | None:
    for name, series in record.series.items():
        for number, value in zip(series.rounds, series.values, strict=True):
            if not math.isfinite(value):
                return Finding(
                    "divergence", number, f"the {name} became {value}", {"round": float(number)},
                    "go back before it, with lower learning rates",
                )  # fmt: skip
    return None


def _blown_up(record: Record) -> Finding | None:
    for name in ("generator loss", "discriminator loss"):
        series = record.of(name)
        if len(series) < 20:
            continue
        fifth = len(series) // 5
        early = Series(series.rounds[:fifth], [abs(v) for v in series.values[:fifth]]).median
        late = Series(series.rounds[-fifth:], [abs(v) for v in series.values[-fifth:]]).median
        if math.isfinite(late) and late > max(50 * early, 50.0):
            since = next(r for r, v in zip(series.rounds, series.values, strict=True) if abs(v) > max(10 * early, 10.0))
            return Finding(
                "divergence", since, f"the {name} grew from about {early:.3g} to {late:.3g}",
                {"early": early, "late": late}, "lower learning rates, or a gradient penalty",
            )  # fmt: skip
    return None


def _won(record: Record) -> Finding | None:
    """The discriminator's loss is nearly nothing, by a fall or from the start, and the generator's is high."""
    d, g = record.of("discriminator loss"), record.of("generator loss")
    if len(d) < 20 or len(g) < 20 or min(d.values) < 0:  # critics' losses have no zero
        return None
    fifth = len(d) // 5
    early, late = Series(d.rounds[:fifth], d.values[:fifth]).median, d.last(fifth).median
    sure, lost = g.last(fifth).median, Series(g.rounds[:fifth], g.values[:fifth]).median
    from_the_start = max(early, late) <= 0.02 and min(sure, lost) >= 4.0
    if not from_the_start and (late > 0.05 or late > 0.3 * early or sure < max(3.0, lost)):
        return None
    since = next(r for r, v in zip(d.rounds, d.values, strict=True) if v <= 0.05)
    return Finding(
        "discriminator winning", since,
        f"the discriminator's loss {'is' if from_the_start else 'fell to'} {late:.2g}, the generator's is {sure:.2g}",
        {"discriminator loss": late, "generator loss": sure},
        "a lower learning rate for the discriminator, or a gradient penalty (R1)",
    )  # fmt: skip


def _behind(record: Record) -> Finding | None:
    score = record.of("score")
    if len(score) < 3:
        return None
    best = min(range(len(score)), key=score.values.__getitem__)
    now, then = score.values[-1], score.values[best]
    if best == len(score) - 1 or then <= 0 or not now >= 1.5 * then:
        return None
    return Finding(
        "worse after the best", score.rounds[best],
        f"the best score was {then:.4g} in round {score.rounds[best]:,}; at the end it is {now / then:.1f} times that",
        {"best": then, "now": now}, "use the checkpoint of the best; stop there, or lower the learning rates after it",
    )  # fmt: skip
