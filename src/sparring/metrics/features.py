"""Extractors: samples in, features (and class scores) out. A score is named after its extractor, never plain FID."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.data.kinds import KINDS, ready

CHUNK = 500


@dataclass(frozen=True, eq=False)
class Extractor:
    """How pictures become features, and what exactly did it."""

    name: str
    sha256: str
    """Hash of weights or definition: values of different hashes are not to be compared."""
    run: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    """(n, C, H, W) uint8 -> ((n, d) float32 features, (n, K) logits or None)."""
    accuracy: float | None = None
    """Of its logits on the held-out split."""
    names_classes: bool = False
    """Its logits are those of the data's own classes, in their order."""
    fixed: bool = True
    """The hash covers all that it does, so that its features may be kept; not so for code of one's own."""
    protocol: str = "native"
    """How pictures are brought to the size and range that it wants; `native`: as they are."""


@dataclass(frozen=True, eq=False)
class Features:
    """What an extractor saw in a set of pictures."""

    features: Tensor
    logits: Tensor | None

    def __len__(self) -> int:
        return len(self.features)


@torch.no_grad()
def extract(extractor: Extractor, images: Tensor) -> Features:
    """(N, C, H, W) uint8 -> features of all of them, a chunk at a time."""
    parts = [extractor.run(images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)]
    logits = [part for _, part in parts if part is not None]
    return Features(torch.cat([f for f, _ in parts]), torch.cat(logits) if logits else None)


def pixels(side: int = 8) -> Extractor:
    """Pictures averaged down to at most `side` x `side` in [0, 1]: no knowledge, but there for every set."""

    def run(images: Tensor) -> tuple[Tensor, None]:
        height, width = images.shape[2:]
        size = (min(side, height), min(side, width))
        return torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, size).flatten(1), None

    definition = f"pixels {side}x{side} adaptive average, /255"
    return Extractor(f"pixels {side}x{side}", hashlib.sha256(definition.encode()).hexdigest(), run)


def coordinates() -> Extractor:
    """Points as they are."""
    digest = hashlib.sha256(b"coordinates").hexdigest()
    return Extractor("coordinates", digest, lambda points: (points.float().flatten(1), None))


def from_afar(key: str) -> Extractor:
    """Samples of a kind by `Kind.coarse`: no knowledge, but there for every set."""
    kind = KINDS[key]
    digest = hashlib.sha256(f"{key} from afar, 1".encode()).hexdigest()
    return Extractor(f"{kind.what} from afar", digest, lambda samples: (kind.coarse(ready(samples)), None))


def weights_hash(module: nn.Module) -> str:
    """sha256 over the names and bytes of all tensors of a network."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
