"""`digits`: 1,797 real scans of handwritten digits, 8x8, inside the package: real data with no download."""

from __future__ import annotations

import io
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from sparring.data.settings import Data
from sparring.data.source import About, Source, subset, tensor_source
from sparring.data.tensors import brought_to

_NOTES = (
    "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak 1998, "
    "UCI Machine Learning Repository, doi 10.24432/C50P49, licence CC BY 4.0.",
    "These are the 1,797 scans of UCI's test part (13 writers); counts of 0..16 are shown as 0..255.",
    "The same writers are in train and test: the split is by scan, in equal shares of every digit.",
)


def open_digits(settings: Data) -> dict[str, Source]:
    """`train` and `test`: image uint8 (N, 1, 8, 8), or as `settings` wants them, and label int64 (N,).

    The share `settings.test` (0 < test < 1) of every class is the test split, always the same scans.
    """
    counts, labels = _stored()
    images = (counts.to(torch.int32) * 255 + 8).div(16, rounding_mode="floor").to(torch.uint8)
    images = brought_to(images, settings)
    names = tuple(str(digit) for digit in range(10))
    about = About("digits", "image", tuple(images.shape[1:]), names, notes=_NOTES)
    full = tensor_source(about, {"image": images, "label": labels})
    held_out = _share_of_each(labels, settings.test)
    return {
        "train": subset(full, (~held_out).nonzero()[:, 0]),
        "test": subset(full, held_out.nonzero()[:, 0]),
    }


def _stored() -> tuple[Tensor, Tensor]:
    """Counts uint8 (1797, 1, 8, 8) in 0..16 and labels int64 (1797,), as in UCI's file and in its order."""
    packed = files("sparring.data").joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return torch.from_numpy(arrays["images"])[:, None], torch.from_numpy(arrays["labels"]).long()


def _share_of_each(labels: Tensor, fraction: float) -> Tensor:
    """(N,) bool, True on a random `fraction` of the rows of each class, at least one and never all."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        rows = order[labels[order] == label]
        chosen[rows[: min(max(round(len(rows) * fraction), 1), len(rows) - 1)]] = True
    return chosen
