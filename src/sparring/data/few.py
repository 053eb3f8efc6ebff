"""Few labels, few samples: an even choice by seed, and every picture beside one of the few whose label is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.source import About, Source, class_prior, files_of, subset
from sparring.data.source import labels_of as known_labels

LABELLED = "labelled"
"""The column of pictures whose labels `label` holds, where those of `image` are not to be seen."""


def evenly(labels: Tensor, count: int, seed: int = 0) -> Tensor:
    """(count,) of the rows of (N,) labels, as many of each class as can be: a function of labels, count and seed.

    In turns of one of each class, so that fewer are the first of more. ValueError for more than there are.
    """
    if not 1 <= count <= len(labels):
        raise ValueError(f"count={count} of {len(labels)} rows")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    turn = torch.empty_like(order)
    for number in range(int(labels.max()) + 1):
        members = order[labels[order] == number]
        turn[members] = torch.arange(len(members))
    turns = turn[order] * (int(labels.max()) + 1) + labels[order]
    return order[turns.argsort(stable=True)[:count]]


def labels_of(source: Source) -> Tensor:
    """(N,) int64 labels of all samples; zeros where there are none."""
    if not source.about.classes:
        return torch.zeros(len(source), dtype=torch.int64)
    return known_labels(source)


def limited(train: Source, limit: int, seed: int) -> Source:
    """`limit` samples, evenly of each class. `UserError` for fewer than 2 and for more than there are."""
    if not 2 <= limit <= len(train):
        raise UserError(
            f"limit={limit}: {train.about.name} has {len(train):,} samples to train on; give 2 to {len(train)}, or "
            "leave it out"
        )
    return subset(train, evenly(labels_of(train), limit, seed).sort().values)


@dataclass(frozen=True, eq=False)
class FewLabels:
    """Each sample without its label, and beside it, as `labelled` with its `label`, one of the few that keep theirs.

    Which one is a function of the sample's number alone, so no number of processes or workers changes it.
    """

    about: About
    source: Source
    rows: Tensor
    """(n,) the samples that keep their labels."""

    @property
    def files(self) -> Tensor | None:
        """As `files_of` says."""
        return files_of(self.source)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        few, key = self.source[self.rows[index % len(self.rows)]], self.about.key
        return {key: self.source[index][key], LABELLED: few[key], "label": few["label"]}


def few_labels(source: Source, labelled: int, seed: int) -> Source:
    """The source with so many labels left, evenly of each class. `UserError` where they are too few or too many."""
    about = source.about
    if not len(about.classes) <= labelled <= len(source):
        raise UserError(
            f"labelled={labelled}: {about.name} has {len(about.classes)} classes and {len(source):,} samples to train "
            "on; give at least one label per class, and no more than there are"
        )
    labels = labels_of(source)
    rows = evenly(labels, labelled, seed)
    # which labels are seen is part of the content: resuming must notice other ones
    sha256 = hashlib.sha256(f"{about.sha256} labelled".encode() + rows.numpy().tobytes()).hexdigest()
    prior = class_prior(labels[rows], len(about.classes))
    return FewLabels(replace(about, prior=prior, sha256=sha256 if about.sha256 else ""), source, rows)
