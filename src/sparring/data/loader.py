"""Batches by number. Order and augmentation are pure functions of (seed, epoch, index): no state to save."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.ahead import in_order
from sparring.data.kinds import ready
from sparring.data.source import Batch, Source, files_of, shuffled
from sparring.seeds import hashed, mix

USUAL_WORKERS = 2
"""Threads that read what is not in memory."""
PICTURES = ("image", "source", "labelled")
"""Columns that are mirrored and moved together."""


@dataclass(frozen=True)
class Augment:
    """Changes of pictures that keep their meaning."""

    flip: bool = False
    """Mirror every second picture."""
    shift: int = 0
    """Move by up to so many pixels each way; the border shows the darkest value of the data range."""


def batches(
    source: Source,
    batch: int,
    seed: int,
    start: int = 0,
    augment: Augment | None = None,
    device: torch.device | None = None,
    unlabelled: float = 0.0,
    part: tuple[int, int] = (0, 1),
    workers: int | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Endless batches from number `start` on, on `device`, as networks read them (`kinds.ready`).

    Each epoch is a new order of all samples; the last few that do not fill a batch wait for another epoch. A share of
    `unlabelled` labels becomes one more class, other ones in each epoch. `part` (i, n): only the i-th of n equal parts
    of every batch. `workers` threads read and decode the next batches meanwhile, none of them (0) where samples lie in
    memory; their number changes no batch.
    """
    n = len(source)
    if batch > n:
        raise UserError(f"batch={batch} is larger than the {n} samples of {source.about.name}; use --batch {n} or less")
    if batch < 1:
        raise UserError(f"batch={batch} must be at least 1")
    if batch % part[1]:
        raise UserError(f"batch={batch} cannot be cut into {part[1]} parts; use a multiple of {part[1]}")
    if workers is None:
        workers = 0 if files_of(source) is None else USUAL_WORKERS

    def read(place: tuple[int, Tensor]) -> tuple[int, Tensor, dict[str, Tensor]]:
        return *place, source[place[1]]

    places = _places(source, batch, seed, start, part)
    for epoch, index, columns in in_order(read, places, workers, ahead=2 * workers):
        if augment is not None and (augment.flip or augment.shift):
            _check_alike(columns, augment)
            keys = hashed(index, mix(seed + 1, epoch))  # a picture and its source are moved alike
            columns |= {name: augmented(columns[name], keys, augment) for name in PICTURES if name in columns}
        if unlabelled:
            keys = hashed(index, mix(mix(seed, 2), epoch)) >> 20 & 0xFFFFFF
            dropped = keys < unlabelled * 2**24
            columns["label"] = torch.where(dropped, len(source.about.classes), columns["label"])
        yield {name: ready(column, device) for name, column in columns.items()}


def _places(source: Source, batch: int, seed: int, start: int, part: tuple[int, int]) -> Iterator[tuple[int, Tensor]]:
    """(epoch, numbers of the samples) of this part of every batch, without end."""
    per_epoch, rows = len(source) // batch, batch // part[1]
    epoch, order = -1, torch.empty(0)
    for number in itertools.count(start):
        if number // per_epoch != epoch:
            epoch = number // per_epoch
            order = shuffled(source, mix(seed, epoch))
        first = number % per_epoch * batch + part[0] * rows
        yield epoch, order[first : first + rows]


def _check_alike(columns: Batch, augment: Augment) -> None:
    sizes = {tuple(columns[name].shape[2:]) for name in PICTURES if name in columns}
    if augment.shift and len(sizes) > 1:
        raise UserError(
            f"augment.shift={augment.shift} moves pictures by whole pixels, and sources are smaller here; use "
            "--augment.shift 0"
        )


def augmented(images: Tensor, keys: Tensor, augment: Augment) -> Tensor:
    """(n, C, H, W) uint8 -> the same, changed as (n,) `keys` say."""
    if augment.flip:
        images = torch.where((keys & 1).bool()[:, None, None, None], images.flip(3), images)
    if augment.shift:
        span = 2 * augment.shift + 1
        down, right = (keys >> 8 & 0xFFFF) % span, (keys >> 24 & 0xFFFF) % span
        n, _, height, width = images.shape
        padded = torch.nn.functional.pad(images, [augment.shift] * 4)
        rows = (down[:, None] + torch.arange(height))[:, None, :, None]
        columns = (right[:, None] + torch.arange(width))[:, None, None, :]
        channels = torch.arange(images.shape[1])[None, :, None, None]
        images = padded[torch.arange(n)[:, None, None, None], channels, rows, columns]
    return images
