"""Values with standard errors: the delete-a-group jackknife, and checks that every metric shares.

A standard error here is that of drawing the judged samples again, the reference staying as it is: what must be known
to say that one model is better than another against the same reference. The groups are consecutive rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

GROUPS = 20


@dataclass(frozen=True)
class Estimate:
    """A measured number."""

    value: float
    se: float | None = None
    """Standard error of `value` over fresh samples; None where it is unknown."""
    corrected: float | None = None
    """Without most of the bias that a finite number of samples brings, where there is one."""

    def as_json(self) -> dict[str, float]:
        """What is known of it."""
        parts = {"value": self.value, "se": self.se, "corrected": self.corrected}
        return {name: value for name, value in parts.items() if value is not None}


def edges(count: int, groups: int) -> list[int]:
    """Where `groups` consecutive groups of `count` rows begin and end: groups + 1 numbers."""
    return [i * count // groups for i in range(groups + 1)]


def slices(count: int, groups: int) -> list[slice]:
    """The rows of every group."""
    return [slice(first, last) for first, last in pairwise(edges(count, groups))]


def group_numbers(count: int, groups: int) -> Tensor:
    """(count,) the group of every row."""
    sizes = torch.tensor(edges(count, groups)).diff()
    return torch.arange(groups).repeat_interleave(sizes)


def jackknife(value: float, deleted: Sequence[float]) -> Estimate:
    """From the value of all rows and those without each group. Efron and Stein 1981; Shao and Tu 1995, section 2.3.

    se^2 = (G - 1) / G sum (v_i - mean v)^2, and the corrected value is G v - (G - 1) mean v.
    """
    groups = len(deleted)
    mean = math.fsum(deleted) / groups
    spread = math.fsum((v - mean) ** 2 for v in deleted)
    return Estimate(value, math.sqrt((groups - 1) / groups * spread), groups * value - (groups - 1) * mean)


def of_mean(values: Tensor) -> Estimate:
    """The mean of (N,) independent values, N >= 2."""
    exact = values.double()
    return Estimate(float(exact.mean()), float(exact.std()) / math.sqrt(len(exact)))


def uncorrected(found: Estimate) -> Estimate:
    """For scores that have no bias, or one that the jackknife does not see well."""
    return Estimate(found.value, found.se)


def checked(features: Tensor, name: str) -> Tensor:
    """Features that are (N >= 2, d >= 1) and finite, without their graph and where float64 exists."""
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"{name} has shape {tuple(features.shape)}; flatten to (N, d) with d >= 1")
    if len(features) < 2:
        raise ValueError(f"{name} has {len(features)} rows; use at least 2 samples")
    if bad := int((~features.isfinite()).any(1).sum()):
        raise ValueError(
            f"{name} has NaN or infinity in {bad} of {len(features)} rows; check the samples or the extractor"
        )
    features = features.detach()
    return features.cpu() if features.device.type == "mps" else features  # Metal has no float64


def checked_pair(a: Tensor, b: Tensor, a_name: str, b_name: str) -> tuple[Tensor, Tensor]:
    """Two sets of features of one extractor."""
    a, b = checked(a, a_name), checked(b, b_name)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{a_name} has {a.shape[1]} features and {b_name} has {b.shape[1]}; use one extractor for both"
        )
    return a, b.to(a.device)


def checked_groups(groups: int, rows: int) -> int:
    """As many groups as were asked for, or fewer where there are too few rows. ValueError below 2."""
    if groups < 2 or rows < 4:
        raise ValueError(f"groups={groups} of {rows} rows; use at least 2 groups and 4 rows")
    return min(groups, rows // 2)
