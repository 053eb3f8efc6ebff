"""Distributions in the plane with known densities: `ring`, `grid`, `lines` and `swiss-roll`.

What a picture hides a plane shows: which modes are missing, what lies between them, how far off a sample is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import Generator, Tensor

from sparring.config import UserError, did_you_mean
from sparring.data.settings import Data
from sparring.data.source import About, Source, tensor_source

TRAIN_POINTS = 100_000
TEST_POINTS = 10_000

Sample = Callable[[int, Generator], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, eq=False)
class Toy:
    """A distribution in the plane."""

    name: str
    sample: Sample
    """(n, generator) -> points float32 (n, 2), and the mode that each came from, int64 (n,), or None."""
    sigma: float
    """Standard deviation of the Gaussian noise, along each axis."""
    modes: int = 0
    """How many modes the labels count; 0 when there are no labels."""
    centres: Tensor | None = None
    """(modes, 2) where the modes are points."""
    log_density: Callable[[Tensor], Tensor] | None = None
    """Points (N, 2) -> exact log density, in nats, (N,); None where it has no closed form."""


def open_toy(name: str, settings: Data) -> dict[str, Source]:
    """`train` (100,000 points) and `test` (10,000 others): point float32 (N, 2), and label int64 (N,).

    `label` is the mode that a point was drawn from; swiss-roll has none.
    Raises `UserError` for an unknown name, and for settings that only pictures have.
    """
    if name not in TOYS:
        raise UserError(f"data: '{name}' is not one of {', '.join(TOYS)}{did_you_mean(name, list(TOYS))}")
    for setting, value, default in (("size", settings.size, None), ("color", settings.color, "auto")):
        if value != default:
            raise UserError(f"{setting}={value}: {name} is made of points, which have no {setting}; leave it out")
    toy = TOYS[name]
    return {"train": _split(toy, TRAIN_POINTS, seed=0), "test": _split(toy, TEST_POINTS, seed=1)}


def captured(points: Tensor, toy: Toy) -> tuple[int, float]:
    """(N, 2) -> (modes captured, share of samples of high quality, 0..1). Lin et al. 2018 (PacGAN).

    A sample is of high quality within 3 sigma of its nearest centre (a perfect generator: 98.9 %), and
    captures that mode. NaN and infinite points are of no quality.
    Raises ValueError for a toy without centres, and for no points.
    """
    if toy.centres is None:
        raise ValueError(f"the modes of {toy.name} are no points to be near to; use ring or grid")
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"points of shape {tuple(points.shape)}; (N, 2) with N of at least 1 is needed")
    # Without the matrix-product shortcut of cdist, which cancels digits next to a centre.
    centres = toy.centres.to(points)
    distance, nearest = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
    good = distance <= 3 * toy.sigma
    return len(torch.bincount(nearest[good]).nonzero()), good.double().mean().item()


def _split(toy: Toy, count: int, seed: int) -> Source:
    points, labels = toy.sample(count, torch.Generator().manual_seed(seed))
    columns = {"point": points} if labels is None else {"point": points, "label": labels}
    about = About(
        toy.name,
        "point",
        (2,),
        classes=tuple(str(mode) for mode in range(toy.modes)),
        notes=(f"{count:,} points drawn from a known distribution with seed {seed}.",),
    )
    return tensor_source(about, columns)


def gaussians(name: str, centres: Tensor, sigma: float) -> Toy:
    """An even mixture of round Gaussians at `centres` (K, 2)."""
    return Toy(
        name,
        sample=partial(_sample_gaussians, centres, sigma),
        sigma=sigma,
        modes=len(centres),
        centres=centres,
        log_density=partial(_gaussians_log_density, centres, sigma),
    )


def _sample_gaussians(centres: Tensor, sigma: float, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    labels = torch.randint(len(centres), (n,), generator=generator)
    return centres[labels] + sigma * torch.randn(n, 2, generator=generator), labels


def _gaussians_log_density(centres: Tensor, sigma: float, points: Tensor) -> Tensor:
    squared = (points[:, None] - centres.to(points)).square().sum(dim=-1)
    constant = math.log(len(centres) * 2 * math.pi * sigma**2)
    return torch.logsumexp(-squared / (2 * sigma**2), dim=1) - constant


def _ring() -> Toy:
    """Eight Gaussians on the unit circle. VEEGAN, Srivastava et al. 2017; sizes as in PacGAN."""
    angle = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return gaussians("ring", torch.stack([angle.cos(), angle.sin()], dim=1).float(), sigma=0.01)


def _grid() -> Toy:
    """Twenty-five Gaussians at {-4, -2, 0, 2, 4}^2. VEEGAN, Srivastava et al. 2017; sizes as in PacGAN."""
    ticks = torch.arange(-4.0, 5.0, 2.0)
    return gaussians("grid", torch.cartesian_prod(ticks, ticks), sigma=0.05)


_LINE_HEIGHTS = (-0.5, 0.5)
_LINE_REACH = 1.0
_LINE_SIGMA = 0.02


def _sample_lines(n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Two level segments, x in [-1, 1] at y = -0.5 and 0.5, blurred by a round Gaussian."""
    labels = torch.randint(2, (n,), generator=generator)
    along = _LINE_REACH * (2 * torch.rand(n, generator=generator) - 1)
    points = torch.stack([along, torch.tensor(_LINE_HEIGHTS)[labels]], dim=1)
    return points + _LINE_SIGMA * torch.randn(n, 2, generator=generator), labels


def _lines_log_density(points: Tensor) -> Tensor:
    """A blurred segment along: the normal distribution function; a mixture of two Gaussians across."""
    # Of the two ends only the nearer counts: the other is 50 sigma away or more, and takes less than e^-1250.
    nearer_end = (_LINE_REACH - points[:, 0].abs()) / _LINE_SIGMA
    along: Tensor = torch.special.log_ndtr(nearer_end) - math.log(2 * _LINE_REACH)
    heights = torch.tensor(_LINE_HEIGHTS).to(points)
    across = -(points[:, 1:] - heights).square() / (2 * _LINE_SIGMA**2)
    return along + torch.logsumexp(across, dim=1) - math.log(2 * math.sqrt(2 * math.pi) * _LINE_SIGMA)


_ROLL_SIGMA = 0.02


def _sample_swiss_roll(n: int, generator: Generator) -> tuple[Tensor, None]:
    """One and a half turns of a spiral, radius 1/3 to 1, blurred by a round Gaussian; even in angle."""
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=generator))
    spiral = torch.stack([angle.cos(), angle.sin()], dim=1) * (angle / (4.5 * math.pi))[:, None]
    return spiral + _ROLL_SIGMA * torch.randn(n, 2, generator=generator), None


TOYS: Mapping[str, Toy] = MappingProxyType(
    {
        "ring": _ring(),
        "grid": _grid(),
        "lines": Toy("lines", _sample_lines, _LINE_SIGMA, modes=2, log_density=_lines_log_density),
        "swiss-roll": Toy("swiss-roll", _sample_swiss_roll, _ROLL_SIGMA),
    }
)
