"""The training pictures nearest to a sample, exactly, fast enough to follow a slider."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.data.source import Source
from sparring.serve import wire

SEARCHED = 50_000
"""Training pictures that are looked through, at most."""
SIDE = 8
"""Of the thumbnails that a search begins with."""
AT_ONCE = 64
"""Pictures that are then compared in full, at a time."""


class Neighbours:
    """Thumbnails of the training pictures in memory; the pictures themselves are read when they are near."""

    def __init__(self, source: Source) -> None:
        self.source, self.count = source, min(len(source), SEARCHED)
        height, width = source.about.shape[1:]
        self.size = (_divisor(height), _divisor(width))
        self.pixels = (height // self.size[0]) * (width // self.size[1])
        rows = torch.split(torch.arange(self.count), 1000)
        self.thumbs = torch.cat([self.thumbnails(source[part]["image"]) for part in rows])

    def thumbnails(self, pictures: Tensor) -> Tensor:
        """(n, C, H, W) uint8 -> (n, d) float32 means of blocks."""
        return F.adaptive_avg_pool2d(pictures.float(), self.size).flatten(1)

    def nearest(self, samples: Tensor, count: int) -> list[list[dict[str, Any]]]:
        """(n, C, H, W) uint8 -> for each its nearest training pictures by root mean square difference of pixels.

        Exact: blocks' means differ at most as much as the pixels do, so that a picture whose thumbnail is farther than
        the nearest found cannot be nearer, and is not read.
        """
        count = min(count, self.count)
        return [self._nearest(sample, count) for sample in samples]

    def _nearest(self, sample: Tensor, count: int) -> list[dict[str, Any]]:
        least = (self.thumbs - self.thumbnails(sample[None])).square().sum(1) * self.pixels
        order = least.argsort()
        best: list[tuple[float, int]] = []
        for first in range(0, len(order), AT_ONCE):
            rows = order[first : first + AT_ONCE]
            if len(best) == count and float(least[rows[0]]) > best[-1][0]:
                break
            away = (self.source[rows]["image"].float() - sample.float()).square().flatten(1).sum(1)
            best = sorted([*best, *zip(away.tolist(), rows.tolist(), strict=True)])[:count]
        shown = self.source[torch.tensor([row for _, row in best])]["image"]
        return [
            {"number": row, "distance": round((away / sample.numel()) ** 0.5, 2), "picture": wire.as_url(picture)}
            for (away, row), picture in zip(best, shown, strict=True)
        ]


def _divisor(side: int) -> int:
    """The largest size of a thumbnail that cuts the side into equal blocks."""
    return next(size for size in range(min(SIDE, side), 0, -1) if side % size == 0)
