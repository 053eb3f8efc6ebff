"""What there is to imitate in the lab: distributions in the plane, within the view of +-1.5, or drawn by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Generator, Tensor

from sparring.config import UserError, did_you_mean
from sparring.data.source import About, Source, tensor_source
from sparring.data.toys import TOYS, Toy, gaussians

VIEW = 1.5
"""Half the side of the square that is shown."""
LEARNT, HELD_OUT = 20_000, 2_000
DRAWN = "drawn"
PEN = 0.03
"""Standard deviation of the ink around a drawn point."""


def _ring() -> Toy:
    """Eight modes, wider than those of `sparring train --data ring`, so that they can be seen."""
    angle = torch.arange(8) * (math.pi / 4)
    return gaussians("ring", torch.stack([angle.cos(), angle.sin()], dim=1), sigma=0.06)


def _grid() -> Toy:
    ticks = torch.linspace(-1, 1, 5)
    return gaussians("grid", torch.cartesian_prod(ticks, ticks), sigma=0.04)


def _wall(n: int, generator: Generator) -> tuple[Tensor, None]:
    """A vertical line of length 1 at x = 1.2, blurred a little. Arjovsky et al. 2017, example 1."""
    points = torch.stack([torch.full((n,), 1.2), torch.rand(n, generator=generator) - 0.5], dim=1)
    return points + 0.02 * torch.randn(n, 2, generator=generator), None


SETS: Mapping[str, Toy] = MappingProxyType(
    {
        "one": gaussians("one", torch.tensor([[0.6, 0.4]]), sigma=0.15),
        "two": gaussians("two", torch.tensor([[-0.8, 0.0], [0.8, 0.0]]), sigma=0.1),
        "ring": _ring(),
        "grid": _grid(),
        "lines": TOYS["lines"],
        "swiss-roll": TOYS["swiss-roll"],
        "wall": Toy("wall", _wall, 0.02),
    }
)


def drawn(points: Sequence[Sequence[float]]) -> Toy:
    """A distribution of one's own: ink around each of the points, which lie within the view."""
    centres = torch.tensor(points, dtype=torch.float32).reshape(-1, 2)
    if not len(centres) or not bool((centres.abs() <= VIEW).all()):  # NaN is not <= anything
        raise UserError(f"points: draw at least one, all of them within +-{VIEW:g}")

    def sample(n: int, generator: Generator) -> tuple[Tensor, None]:
        chosen = centres[torch.randint(len(centres), (n,), generator=generator)]
        return chosen + PEN * torch.randn(n, 2, generator=generator), None

    return Toy(DRAWN, sample, PEN)


def find_set(name: str, points: Sequence[Sequence[float]]) -> Toy:
    """The set of that name; `drawn` is made of the points."""
    if name == DRAWN:
        return drawn(points)
    if name not in SETS:
        raise UserError(f"set: '{name}' is not one of {', '.join([*SETS, DRAWN])}{did_you_mean(name, list(SETS))}")
    return SETS[name]


def sources(toy: Toy) -> tuple[Source, Source]:
    """What is learnt from, and what is held out: points float32 (N, 2)."""
    about = About(toy.name, "point", (2,))

    def split(count: int, seed: int) -> Source:
        return tensor_source(about, {"point": toy.sample(count, torch.Generator().manual_seed(seed))[0]})

    return split(LEARNT, 0), split(HELD_OUT, 1)
