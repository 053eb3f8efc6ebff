"""Self-conditioning: labels invented by clustering the pictures, for sets that have none.

A conditional GAN is easier to train than an unconditional one, and the condition need not mean anything to a
person (Liu et al. 2020, "Diverse image generation via self-conditioned GANs", with clusters of discriminator
features; here principal components of pooled pixels, which cost half a second on MNIST). Sampling draws the
cluster by its share, so the model as a whole stays unconditional.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.source import About, Source, class_prior, files_of

MOST_READ = 100_000
"""Samples of a set in large files above which none are clustered: each start would read and decode all of them."""


@dataclass(frozen=True, eq=False)
class Relabelled:
    """The samples of a source under other labels, or under none."""

    about: About
    source: Source
    labels: Tensor | None

    @property
    def files(self) -> Tensor | None:
        """As `files_of` says."""
        return files_of(self.source)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        columns = {name: column for name, column in self.source[index].items() if name != "label"}
        return columns if self.labels is None else {**columns, "label": self.labels[index]}


def unlabelled(source: Source) -> Source:
    """The source without its labels: what an unconditional recipe learns from."""
    return (
        Relabelled(replace(source.about, classes=(), prior=(), invented=False), source, None)
        if source.about.classes
        else source
    )


def clustered(source: Source, clusters: int, seed: int = 0) -> Source:
    """The source with its k-means cluster for label. Small sets get fewer, so that 16 samples share one on average.

    0 clusters, or a set too small for two, gives the source without labels.
    """
    if source.about.key not in ("image", "point"):
        what = source.about.what
        raise UserError(f"--data {source.about.name} has {what}, and this recipe models pictures or points")
    count = min(clusters, len(source) // 16)
    if count < 2 or (files_of(source) is not None and len(source) > MOST_READ):
        return unlabelled(source)
    with one_thread():
        labels = kmeans(components(source), count, seed)
    names = tuple(f"cluster {i}" for i in range(count))
    # the labels are part of the content: another processor may cluster otherwise, and resuming must notice
    sha256 = hashlib.sha256(source.about.sha256.encode() + labels.numpy().tobytes()).hexdigest()
    prior = class_prior(labels, count)
    about = replace(source.about, classes=names, prior=prior, invented=True, sha256=sha256)
    return Relabelled(about, source, labels)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Eigenvectors differ with the number of threads, and with them clusters: one process would have others than two.

    Nor is anything lost: it is a matter of seconds, and with a busy neighbour two threads take many times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def components(source: Source, count: int = 32) -> Tensor:
    """(N, <= count) principal components of pictures pooled to at most 14 pixels a side, or of points as they are."""
    rows = []
    for first in range(0, len(source), 4096):
        x = source[torch.arange(first, min(first + 4096, len(source)))][source.about.key].float()
        if x.ndim == 4:
            x = torch.nn.functional.adaptive_avg_pool2d(x, (min(14, x.shape[2]), min(14, x.shape[3])))
        rows.append(x.flatten(1))
    data = torch.cat(rows)
    data = data - data.mean(0)
    vectors: Tensor = torch.linalg.eigh(data.T @ data).eigenvectors
    return data @ vectors[:, -count:]


def kmeans(data: Tensor, clusters: int, seed: int = 0, iterations: int = 30) -> Tensor:
    """(N, d) -> (N,) int64: Lloyd's algorithm from a k-means++ start; every cluster has a member."""
    generator = torch.Generator().manual_seed(seed)
    centres = spread(data, clusters, generator)
    labels = torch.empty(0, dtype=torch.int64)
    for _ in range(iterations):
        # the samples' own squares do not matter
        labels = torch.addmm(centres.square().sum(1), data, centres.T, alpha=-2).argmin(1)
        counts = torch.bincount(labels, minlength=clusters)
        sums = torch.zeros_like(centres).index_add_(0, labels, data)
        moved = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return filled(labels, clusters, generator)


def spread(data: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """(clusters, d) starting centres, drawn by squared distance to those before. Arthur and Vassilvitskii 2007.

    Of a few candidates each time, the one that leaves the least distance is taken (the greedy form of their section 5).
    """
    sample = data[torch.randperm(len(data), generator=generator)[:8192]]
    tries = 2 + clusters.bit_length()
    centres = [sample[0]]
    nearest = (sample - centres[0]).square().sum(1)
    for _ in range(clusters - 1):
        weights = nearest + 1e-12 * nearest.max() + 1e-30
        candidates = sample[torch.multinomial(weights, tries, replacement=True, generator=generator)]
        distances = torch.minimum(nearest, torch.cdist(candidates, sample).square())
        best = int(distances.sum(1).argmin())
        centres.append(candidates[best])
        nearest = distances[best]
    return torch.stack(centres)


def filled(labels: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Give each empty cluster (identical samples make them) one sample of the largest, so that every label occurs."""
    counts = torch.bincount(labels, minlength=clusters)
    for empty in (counts == 0).nonzero().flatten().tolist():
        largest = int(torch.bincount(labels, minlength=clusters).argmax())
        members = (labels == largest).nonzero().flatten()
        labels[members[int(torch.randint(len(members), (1,), generator=generator))]] = empty
    return labels
