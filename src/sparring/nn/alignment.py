"""Linear maps between two clouds of points: several at once, their critics, and what refines them in closed form."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, leaky_relu, normalize

NEIGHBOURS = 10
"""Of a point, whose mean closeness CSLS takes away."""
ROWS = 1024
"""Points whose closeness to all of the others is held at once."""


class Maps(nn.Module):
    """(N, D) -> (maps, N, D): the same points by each of several square matrices, which begin as random rotations."""

    def __init__(self, size: int, maps: int) -> None:
        super().__init__()
        q, r = torch.linalg.qr(torch.randn(maps, size, size))
        self.weight = nn.Parameter(q * r.diagonal(dim1=1, dim2=2).sign()[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return x @ self.weight

    @torch.no_grad()
    def straighten(self, beta: float) -> None:
        """A step towards the nearest rotation: W <- (1 + beta) W - beta W W' W. Conneau et al. 2018, equation 7."""
        w = self.weight
        w.copy_((1 + beta) * w - beta * w @ w.mT @ w)


class Critics(nn.Module):
    """(maps, N, D) -> (maps, N) scores: a critic for each map, with two hidden layers and dropout of what it sees."""

    def __init__(self, size: int, maps: int, width: int = 512, forget: float = 0.1) -> None:
        super().__init__()
        self.forget = forget
        widths = [size, width, width, 1]
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(torch.randn(maps, a, b) * (2 / a) ** 0.5 for a, b in pairs)
        self.biases = nn.ParameterList(torch.zeros(maps, 1, b) for _, b in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        h = dropout(x, self.forget, self.training)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, leaky_relu(h, 0.2) if layer else h, weight)
        return h.squeeze(2)


class Centre(nn.Module):
    """(N, D) -> (N, D): less the mean of all that was seen, and of length 1.

    Vectors of words have a mean, which is no word's: a critic that can tell by it looks at nothing else.
    """

    mean: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return normalize(x - self.mean)

    def see(self, x: Tensor) -> None:
        """(N, D) more."""
        self.count += len(x)
        self.mean += (x.mean(0) - self.mean) * (len(x) / self.count.double())  # no number that the device is waited for


class Memory(nn.Module):
    """The last points of both sides, each once, for what needs all of them. `seen` moves nothing, `keep` takes in."""

    points: Tensor
    sources: Tensor
    place: Tensor

    def __init__(self, size: int, most: int) -> None:
        super().__init__()
        self.register_buffer("points", torch.zeros(most, size))
        self.register_buffer("sources", torch.zeros(most, size))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))
        self._next: tuple[Tensor, Tensor] | None = None

    def seen(self, points: Tensor, sources: Tensor) -> None:
        """(N, D) of each side, to be kept after the step."""
        self._next = points.detach(), sources.detach()

    def keep(self) -> tuple[Tensor, Tensor]:
        """Over the oldest; (N, D) of each side, which were taken in."""
        assert self._next is not None, "keep follows seen"
        points, sources = self._next
        rows = (self.place + torch.arange(len(points), device=points.device)) % len(self.points)
        self.points[rows], self.sources[rows] = points, sources
        self.place += len(points)
        self._next = None
        return points, sources

    def both(self) -> tuple[Tensor, Tensor]:
        """Points and sources, (n, D) and (m, D), none of them twice."""
        filled = min(int(self.place), len(self.points))
        points, sources = (torch.unique(side[:filled], dim=0) for side in (self.points, self.sources))
        return points, sources


class Choice(nn.Module):
    """Which of the maps is used: the one whose nearness is greatest."""

    nearness: Tensor

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.register_buffer("nearness", torch.full((maps,), -1.0))


def csls(mapped: Tensor, points: Tensor, k: int = NEIGHBOURS) -> tuple[Tensor, Tensor]:
    """(m, D), (n, D) -> (m, n) closeness, and (m, n) cosines.

    Cross-domain similarity local scaling: twice the cosine less the mean cosines of either with its k nearest of the
    other side, so that nobody is near to all. Conneau et al. 2018, equation 3.
    """
    cosines = normalize(mapped.float()) @ normalize(points.float()).mT
    k = min(k, *cosines.shape)
    crowd = cosines.topk(k, 1).values.mean(1, keepdim=True), cosines.topk(k, 0).values.mean(0, keepdim=True)
    return 2 * cosines - crowd[0] - crowd[1], cosines


def dictionary(mapped: Tensor, points: Tensor) -> tuple[Tensor, Tensor, float]:
    """(m, D), (n, D) -> rows of either that are each other's nearest under CSLS, (k,) and (k,); and how near they are.

    The last is the mean cosine of every mapped point with its nearest under CSLS: what tells a right map from a wrong
    one where nobody knows a pair. Conneau et al. 2018, section 2.4.
    """
    x, y = normalize(mapped.float()), normalize(points.float())
    crowds = _crowd(x, y), _crowd(y, x)
    there, cosines = _nearest(x, y, *crowds)
    back, _ = _nearest(y, x, *crowds[::-1])
    here = torch.arange(len(mapped), device=mapped.device)
    mutual = back[there] == here
    return here[mutual], there[mutual], float(cosines.mean())


def _crowd(x: Tensor, y: Tensor) -> Tensor:
    """(m, D), (n, D) of length 1 -> (m,) mean cosine of each with its nearest of the others, by `ROWS` at a time."""
    k = min(NEIGHBOURS, len(x), len(y))
    return torch.cat([(part @ y.mT).topk(k, 1).values.mean(1) for part in torch.split(x, ROWS)])


def _nearest(x: Tensor, y: Tensor, crowd_x: Tensor, crowd_y: Tensor) -> tuple[Tensor, Tensor]:
    """(m, D), (n, D) of length 1 -> (m,) the nearest of the others under CSLS, and (m,) the cosine with it."""
    rows, found = list[Tensor](), list[Tensor]()
    for part, crowd in zip(torch.split(x, ROWS), torch.split(crowd_x, ROWS), strict=True):
        cosines = part @ y.mT
        rows.append((2 * cosines - crowd[:, None] - crowd_y).argmax(1))
        found.append(cosines.gather(1, rows[-1][:, None])[:, 0])
    return torch.cat(rows), torch.cat(found)


def procrustes(x: Tensor, y: Tensor) -> Tensor:
    """(k, D), (k, D) -> (D, D), the rotation W that brings x W nearest to y. Schonemann 1966."""
    u, _, v = torch.linalg.svd(x.double().mT @ y.double())
    turned: Tensor = (u @ v).to(x.dtype)
    return turned
