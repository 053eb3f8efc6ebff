"""What a proof leaves: a table with a verdict, as JSON, and the page that is made of all of them."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image

from sparring.config import UserError, read_json
from sparring.runs import processor

Effort = Literal["quick", "full"]
VERDICTS = {True: "**holds**", False: "**falls short**", None: "for reference"}


@dataclass(frozen=True)
class Result:
    """One table of measured figures, each beside what it is held to."""

    name: str
    """Of the file, e.g. `fgan`."""
    order: int
    """Place on the page."""
    title: str
    text: str
    """What was done, the source of the targets, floor, ceiling and control."""
    command: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    passed: bool | None
    """None: there is no target."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """For programs."""
    pictures: Mapping[str, Sequence[Image.Image]] = field(default_factory=dict)
    """By name; several frames make an animation."""


@dataclass(frozen=True)
class Claim:
    """A figure over several seeds, held to a range; a control must lie outside of it."""

    case: str
    figure: str
    values: Sequence[float]
    low: float = float("-inf")
    high: float = float("inf")
    target: str = ""
    control: bool = False
    reference: bool = False
    """Only for comparison."""

    @property
    def held(self) -> bool:
        """Every seed inside, or, for a control, every seed outside."""
        if self.reference:
            return True
        inside = [self.low <= value <= self.high for value in self.values]
        return not any(inside) and all(map(math.isfinite, self.values)) if self.control else all(inside)

    def row(self) -> list[Any]:
        """As a line of a table."""
        spread = f" +- {statistics.stdev(self.values):.2g}" if len(self.values) > 1 else ""
        verdict = {True: "holds", False: "falls short"}[self.held]
        verdict = {True: "fails, as it must", False: "does not fail"}[self.held] if self.control else verdict
        said = f"{statistics.fmean(self.values):.4g}{spread}"
        each = ", ".join(f"{value:.4g}" for value in self.values)
        return [self.case, self.figure, said, each, self.target, "" if self.reference else verdict]


FIRST_SEED = 1000
"""Of proofs on toys: others were used while settings were chosen."""


def seeds_of(count: int) -> range:
    """The seeds that a proof of so many runs."""
    return range(FIRST_SEED, FIRST_SEED + count)


CLAIM_COLUMNS = ("case", "figure", "mean +- sd", "each seed", "target", "verdict")


def of_claims(
    name: str,
    order: int,
    title: str,
    text: str,
    claims: Sequence[Claim],
    pictures: Mapping[str, Sequence[Image.Image]] | None = None,
) -> Result:
    """The table of these claims."""
    passed = all(claim.held for claim in claims)
    rows, command = [claim.row() for claim in claims], f"sparring prove {name} --full"
    return Result(name, order, title, text, command, CLAIM_COLUMNS, rows, passed, pictures=pictures or {})


def quick_look(result: Result) -> Result:
    """What a shortened proof leaves: another name, and no verdict, so that it never stands for the whole one."""
    pictures = {f"{name}-quick": frames for name, frames in result.pictures.items()}
    return replace(
        result,
        name=f"{result.name}-quick",
        title=f"{result.title} (quick look)",
        text=f"Shortened; nothing is held to its target. {result.text}",
        command=result.command.removesuffix(" --full"),
        passed=None,
        pictures=pictures,
    )


def write(result: Result, folder: Path, seconds: float | None = None) -> Path:
    """The result as `folder/NAME.json`, its pictures beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frames in result.pictures.items():
        if len(frames) == 1:
            frames[0].save(folder / f"{name}.png", optimize=True)
            continue
        few = [frame.quantize(64) for frame in frames]
        few[0].save(folder / f"{name}.gif", save_all=True, append_images=few[1:], duration=250, loop=0, optimize=True)
    found = {
        "order": result.order,
        "title": result.title,
        "text": result.text,
        "command": result.command,
        "columns": list(result.columns),
        "rows": [list(row) for row in result.rows],
        "passed": result.passed,
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        **({"seconds": round(seconds)} if seconds is not None else {}),
        **result.more,
    }
    path = folder / f"{result.name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> dict[str, Any]:
    """A result on file. `UserError` for anything else."""
    found = read_json(path)
    needed = {"order", "title", "text", "command", "columns", "rows", "passed", "machine", "torch", "date"}
    if not isinstance(found, dict) or not needed <= set(found):
        raise UserError(f"{path} is not the result of a proof; move it elsewhere")
    return found


def cell(value: Any) -> str:
    """A table cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def page(folder: Path) -> str:
    """All results in a folder as one page of Markdown."""
    found = sorted((read(path) for path in folder.glob("*.json")), key=lambda r: (r["order"], r["title"]))
    lines = [
        "# Proofs",
        "",
        "Generated by `sparring prove --render` from the files beside it; each command below measures again. CPU "
        "seconds are those of one thread, training alone. *x floor* is the Fréchet distance divided by that of as many "
        "real training pictures from the same test pictures. MNIST: learning rates, averages and clusters were chosen "
        "on a validation split, numbers of rounds by the time that they take. Toys: settings were chosen with seeds "
        "below 1,000, and are proven with those from 1,000 on.",
        "",
    ]
    for r in found:
        lines += [f"## {r['title']}", "", *([r["text"], ""] if r["text"] else [])]
        lines += [f"`{r['command']}`: {VERDICTS[r['passed']]}", ""]
        lines += ["| " + " | ".join(r["columns"]) + " |", "|" + "---|" * len(r["columns"])]
        lines += ["| " + " | ".join(map(cell, row)) + " |" for row in r["rows"]]
        lines += ["", note(r), ""]
    return "\n".join(lines)


def note(r: Mapping[str, Any]) -> str:
    """Where, when and against what."""
    told = f"{r['machine']}, torch {r['torch']}, {r['date']}."
    if "seconds" in r:
        told += f" Took {r['seconds']:,} s."
    if "extractor" in r:
        e = r["extractor"]
        told += (
            f" {r['samples']:,} samples against the 10,000 test pictures; {e['name']}, {e['features']} features, "
            f"accuracy {e['accuracy']:.4f}, sha256 {e['sha256'][:12]}; floor {r['floor']:.4f}."
        )
    if "two_core_seconds" in r:
        told += f" About {r['two_core_seconds']:g} s by the clock on two quiet cores."
    return told
