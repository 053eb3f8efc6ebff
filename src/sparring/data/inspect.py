"""What is wrong with a set before anything is trained on it: findings with numbers, and what to change.

Facts of files come from `pictures.Report`, everything else from the samples themselves, so that it works on whatever
can be trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.copies import Look, Watch, unwatched
from sparring.data.counts import class_counts, of_files, of_numbers
from sparring.data.finding import Finding
from sparring.data.kinds import KINDS
from sparring.data.pictures import Report
from sparring.data.scan import of_pictures, of_points
from sparring.data.settings import Data
from sparring.data.source import About, Splits


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in a set."""

    about: About
    lengths: Mapping[str, int]
    """Samples in each split."""
    classes: Mapping[str, int]
    """Training samples of each class; empty where there are no labels."""
    findings: tuple[Finding, ...]
    names: Mapping[str, tuple[str, ...]]
    """Of the files of each split, where it is made of files."""

    def name_of(self, number: int) -> str:
        """Of a sample: its file, else its split and its number there."""
        for split, length in self.lengths.items():
            if number < length:
                return self.names[split][number] if split in self.names else f"{split} {number}"
            number -= length
        raise IndexError(number)

    def as_json(self) -> dict[str, Any]:
        """All of it, with names for numbers."""
        return {
            "data": self.about.name,
            "splits": dict(self.lengths),
            "shape": list(self.about.shape),
            "classes": dict(self.classes),
            "findings": [
                {
                    "kind": finding.kind,
                    "what": finding.what,
                    "evidence": dict(finding.evidence),
                    "remedy": finding.remedy,
                    "samples": [[self.name_of(number) for number in group] for group in finding.groups],
                }
                for finding in self.findings
            ],
        }


def inspected(
    splits: Splits, settings: Data, report: Report | None, fewest: int, watch: Watch = unwatched
) -> Inspection:
    """Everything that is found wrong, the gravest first. `fewest` held-out samples are needed to be judged.

    Raises `UserError` for samples that are neither uint8 pictures nor points.
    """
    about = splits["train"].about
    lengths = {split: len(source) for split, source in splits.items()}
    look = together(splits)
    found = [*(of_files(report, settings) if report else []), *of_numbers(splits, fewest)]
    found += of_pictures(look, about.shape[0], lengths, watch) if about.key == "image" else of_points(look, lengths)
    return Inspection(about, lengths, class_counts(splits), tuple(found), report.names if report else {})


def together(splits: Splits) -> Look:
    """All splits after one another, as one function from numbers to what they model."""
    sources = list(splits.values())
    starts = torch.tensor([0, *(len(source) for source in sources)]).cumsum(0)
    about = sources[0].about
    if about.key not in ("image", "point"):
        raise UserError(f"data={about.name} has {KINDS[about.key].what}, and data inspect looks at pictures and points")
    probe = sources[0][torch.arange(1)].get(about.key)
    wanted = torch.uint8 if about.key == "image" else torch.float32
    if probe is None or probe.dtype != wanted or tuple(probe.shape[1:]) != about.shape:
        told = "missing" if probe is None else f"{probe.dtype} of shape {tuple(probe.shape[1:])}"
        raise UserError(f"data={about.name}: the column '{about.key}' is {told}; {wanted} of {about.shape} is expected")

    def look(rows: Tensor) -> Tensor:
        out = torch.empty((len(rows), *about.shape), dtype=wanted)
        for number, source in enumerate(sources):
            here = (rows >= starts[number]) & (rows < starts[number + 1])
            if bool(here.any()):
                out[here] = source[rows[here] - starts[number]][about.key]
        return out

    return look
