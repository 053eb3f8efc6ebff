"""Stacked MNIST: three digits on the three channels, so 1,000 modes that a classifier of digits can count.

Metz et al. 2017 (unrolled GANs). There is no one build; this one is 128,000 random triples of MNIST's 60,000 training
digits, and 26,000 of its 10,000 test digits, drawn once and evenly, 32x32 by two dark pixels on every side (28x28 with
--size 28). The mode of a triple is its number: 0 to 999, red digit first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.config import UserError
from sparring.data.idx import open_idx
from sparring.data.settings import Data
from sparring.data.source import About, Source, class_prior

NAME = "stacked-mnist"
TRIPLES = {"train": 128_000, "test": 26_000}
MARGIN = 2
SIDE = 28


@dataclass(frozen=True, eq=False)
class Triples:
    """Rows of three digits each, put together when they are asked for."""

    about: About
    digits: Tensor
    """(n, 1, H, W) uint8."""
    rows: Tensor
    """(N, 3) which digits."""
    labels: Tensor
    """(N,) 0..999."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        return {"image": self.digits[self.rows[index], 0], "label": self.labels[index]}


def open_stacked(settings: Data) -> dict[str, Source]:
    """`train` and `test`: image uint8 (N, 3, 32, 32), label int64 (N,). `UserError` as for `mnist`."""
    if str(settings.size) not in ("None", "32", "28", "32x32", "28x28") or settings.color not in ("auto", "rgb"):
        raise UserError(f"size={settings.size} color={settings.color}: {NAME} is 32 or 28 pixels wide, in rgb")
    margin = 0 if str(settings.size).startswith("28") else MARGIN
    digits = open_idx("mnist", replace(settings, data="mnist", size=None, color="auto"))
    return {split: _triples(digits[split], split, margin) for split in TRIPLES}


def _triples(source: Source, split: str, margin: int) -> Triples:
    columns = source[torch.arange(len(source))]
    generator = torch.Generator().manual_seed(list(TRIPLES).index(split))
    rows = torch.randint(len(source), (TRIPLES[split], 3), generator=generator)
    digits = F.pad(columns["image"], (margin,) * 4)
    labels = (columns["label"][rows] * torch.tensor([100, 10, 1])).sum(1)
    about = About(
        NAME,
        "image",
        (3, *digits.shape[2:]),
        classes=tuple(f"{number:03d}" for number in range(1000)),
        prior=class_prior(labels, 1000),
        sha256=hashlib.sha256(f"{source.about.sha256} {split} {TRIPLES[split]} {margin} 1".encode()).hexdigest(),
        notes=(f"{TRIPLES[split]:,} random triples of MNIST's {split} digits, {digits.shape[2]}x{digits.shape[3]}.",),
    )
    return Triples(about, digits, rows, labels)


def single_digits(images: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> (3 N, 1, 28, 28): the channels of each picture, without the margin, as MNIST has them."""
    top, left = (images.shape[2] - SIDE) // 2, (images.shape[3] - SIDE) // 2
    return images[:, :, top : top + SIDE, left : left + SIDE].reshape(-1, 1, SIDE, SIDE)
