"""How far the fakes are from the real points: divergences of two clouds of points in the plane.

Each is what the sample says, so each has a floor: what other real points score, as many of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparring.data.toys import Toy, captured
from sparring.studio.lab.sets import VIEW

CELLS = 48
"""Along a side of the view."""
ELSEWHERE = 1e-4
"""Share of either cloud that is spread evenly over the view, so that KL is finite where one has nothing."""
DIRECTIONS = 32


def blur() -> Tensor:
    """(CELLS, CELLS): a Gaussian of one cell around each cell, rows summing to 1."""
    place = torch.arange(CELLS, dtype=torch.float32)
    return torch.softmax(-0.5 * (place[:, None] - place).square(), dim=1)


BLUR = blur()


def density(points: Tensor) -> Tensor:
    """(N, 2) -> (CELLS, CELLS) shares of the view's cells, y by x, blurred by one cell; what lies outside it counts
    in the cell at the border.
    """
    place = ((points + VIEW) * (CELLS / (2 * VIEW))).long().clamp(0, CELLS - 1)
    count = torch.bincount(place[:, 1] * CELLS + place[:, 0], minlength=CELLS**2).view(CELLS, CELLS)
    shares = BLUR.T @ (count / len(points)) @ BLUR
    return (1 - ELSEWHERE) * shares + ELSEWHERE / CELLS**2


def kl(p: Tensor, q: Tensor) -> float:
    """KL(p || q) of two tables of shares, nats."""
    return float(torch.xlogy(p, p / q).sum())


def sliced_wasserstein(a: Tensor, b: Tensor) -> float:
    """Two clouds (N, 2) -> mean over directions of the exact W1 of their projections, times pi / 2.

    So a shift by d measures d, whichever way. Rabin et al. 2011.
    """
    angle = torch.arange(DIRECTIONS) * (math.pi / DIRECTIONS)
    directions = torch.stack([angle.cos(), angle.sin()])
    sides = [(cloud @ directions).sort(dim=0).values for cloud in (a, b)]
    return float((sides[0] - sides[1]).abs().mean()) * math.pi / 2


def measured(real: Tensor, fake: Tensor, toy: Toy) -> dict[str, float]:
    """Clouds (N, 2) of one size -> kl and reverse kl (nats), js (nats, at most log 2), wasserstein (units of the view).

    Where the modes are points: how many of them are captured, and the share of fakes within 3 sigma of one.
    """
    p, q = density(real), density(fake)
    middle = (p + q) / 2
    found = {
        "kl": kl(p, q),
        "reverse kl": kl(q, p),
        "js": (kl(p, middle) + kl(q, middle)) / 2,
        "wasserstein": sliced_wasserstein(real, fake),
    }
    if toy.centres is not None:
        modes, quality = captured(fake, toy)
        found |= {"modes": float(modes), "quality": quality}
    return found
