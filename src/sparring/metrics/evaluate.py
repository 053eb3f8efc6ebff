"""One pass over samples, many scores, each beside its floor: what real pictures score at the same sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from sparring.metrics.features import Features
from sparring.metrics.image import class_coverage, frechet_distance, inception_score, kernel_distance, prdc

BETTER: Mapping[str, str] = {
    "frechet distance": "lower",
    "kernel distance": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "inception score": "higher",
    "confidence": "higher",
}


def scores(fake: Features, reference: Features) -> dict[str, float]:
    """All distances of `fake` from `reference` that their features allow."""
    k = min(5, len(fake) - 1, len(reference) - 1)
    neighbours = prdc(reference.features, fake.features, k)
    found = {
        "frechet distance": frechet_distance(fake.features, reference.features),
        "kernel distance": kernel_distance(fake.features, reference.features),
        "precision": neighbours.precision,
        "recall": neighbours.recall,
        "density": neighbours.density,
        "coverage": neighbours.coverage,
    }
    if fake.logits is not None:
        found["inception score"] = inception_score(fake.logits)[0]
        found["confidence"] = confidence(fake.logits)
    return found


def confidence(logits: Tensor) -> float:
    """Mean probability of the likeliest class of (N, K) logits."""
    return float(logits.softmax(1).max(1).values.mean())


def with_floor(fake: Features, floor: Features, reference: Features) -> dict[str, dict[str, Any]]:
    """Every score of `fake` with that of `floor`, real samples of the same number as `fake`."""
    values, floors = scores(fake, reference), scores(floor, reference)
    if reference.logits is not None:
        # of pictures that the judge has not learnt from: it is surer of those it has
        floors["inception score"] = inception_score(reference.logits)[0]
        floors["confidence"] = confidence(reference.logits)
    table: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        table[name] = {"value": value, "floor": floors[name], "better": BETTER[name]}
        if name == "frechet distance" and floors[name] > 0:
            table[name]["times_floor"] = value / floors[name]
    return table


def class_shares(fake: Features, names: Sequence[str], prior: Sequence[float]) -> dict[str, Any] | None:
    """Which classes occur among samples drawn by the model's own prior, in the extractor's eyes."""
    if fake.logits is None:
        return None
    found = class_coverage(fake.logits.argmax(1), len(names), prior)
    return {"names": list(names), "present": found.present, "shares": list(found.shares), "kl": found.kl}
