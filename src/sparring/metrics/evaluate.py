"""One pass over samples, many scores, each with its standard error and beside its floor: what real samples score.

A score means something only beside what it was made with. `Stamp` says that; `differences` refuses to compare what was
made differently, and says which of the rest is larger than its errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sparring.metrics.classes import class_coverage, class_kl, confidence, inception
from sparring.metrics.copying import copying
from sparring.metrics.diversity import vendi
from sparring.metrics.errors import Estimate
from sparring.metrics.features import Features
from sparring.metrics.frechet import frechet
from sparring.metrics.kernel import kernel
from sparring.metrics.neighbours import neighbours

VERSION = 2
"""Counts changes of what any metric gives for the same features."""
BETTER: Mapping[str, str] = {
    "frechet distance": "lower",
    "kernel distance": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "vendi score": "higher",
    "inception score": "higher",
    "confidence": "higher",
    "class kl": "lower",
    "copying z": "nearer 0",
    "authentic share": "higher",
    "reconstruction error": "lower",
    "mean difference": "lower",
    "spectral distance": "lower",
    "nll": "lower",
    "elbo": "higher",
    "bleu": "higher",
    "self-bleu": "lower",
    "duplicate share": "lower",
    "copied share": "lower",
    "nearest training text": "lower",
}
"""By name, or by its first word: `nll (bernoulli, 100 weights)`."""
OF_CLASSES = ("inception score", "confidence", "class kl")
SIGNIFICANT = 3.0
"""Standard errors from which two values are told apart: with a dozen metrics, 2 would be passed by chance."""


class StampError(ValueError):
    """Two scores were made with different things; the message names them."""


@dataclass(frozen=True)
class Stamp:
    """What a score depends on beside the samples themselves. Values of different stamps are not to be compared."""

    extractor: str
    """sha256 of its weights or definition."""
    protocol: str
    """How pictures were brought to the extractor's size and range."""
    quantiser: str
    dtype: str
    reference: str
    """sha256 of the data."""
    split: str
    reference_count: int
    samples: int
    prior: bool
    """Samples were drawn by the model's own prior (not as files that somebody chose)."""
    version: int = VERSION


def scores(fake: Features, reference: Features, prior: Sequence[float] = ()) -> dict[str, Estimate]:
    """All scores of `fake` against `reference` that their features allow; `prior`: the classes' shares in the data."""
    k = min(5, len(fake) - 1, len(reference) - 1)
    found = {
        "frechet distance": frechet(fake.features, reference.features),
        "kernel distance": kernel(fake.features, reference.features),
        **neighbours(reference.features, fake.features, k),
    }
    if bool((fake.features != 0).any(1).all()):
        found["vendi score"] = vendi(fake.features)
    if fake.logits is not None:
        found["inception score"] = inception(fake.logits)
        found["confidence"] = confidence(fake.logits)
        if len(prior) == fake.logits.shape[1]:
            found["class kl"] = class_kl(fake.logits.argmax(1), len(prior), prior)
    return found


def with_floor(
    fake: Features, floor: Features, reference: Features, train: Features | None = None, prior: Sequence[float] = ()
) -> dict[str, dict[str, Any]]:
    """Every score of `fake` with that of `floor`, real samples of the same number as `fake`.

    With the training samples, also whether `fake` copies them: there the floor is that of the reference.
    """
    values, floors = scores(fake, reference, prior), scores(floor, reference, prior)
    if reference.logits is not None:
        # of pictures that the judge has not learnt from: it is surer of those it has
        floors["inception score"] = inception(reference.logits)
        floors["confidence"] = confidence(reference.logits)
    if train is not None:
        copied = copying(fake.features, train.features, reference.features)
        values |= {"copying z": copied.z, "authentic share": copied.authentic}
        floors |= {"copying z": Estimate(0.0, 1.0), "authentic share": copied.authentic_held_out}
    return {name: row(name, value, floors[name]) for name, value in values.items()}


def row(name: str, value: Estimate, floor: Estimate | None = None) -> dict[str, Any]:
    """A score as it is written down."""
    made: dict[str, Any] = {**value.as_json(), "better": BETTER.get(name, BETTER.get(name.partition(" ")[0], "higher"))}
    if floor is not None:
        made["floor"] = floor.value
        if floor.se is not None:
            made["floor_se"] = floor.se
        if name == "frechet distance" and floor.value > 0:
            made["times_floor"] = value.value / floor.value
    return made


def class_shares(fake: Features, names: Sequence[str], prior: Sequence[float]) -> dict[str, Any] | None:
    """Which classes occur among samples drawn by the model's own prior, in the extractor's eyes."""
    if fake.logits is None:
        return None
    found = class_coverage(fake.logits.argmax(1), len(names), prior)
    return {"names": list(names), "present": found.present, "shares": list(found.shares), "kl": found.kl}


@dataclass(frozen=True)
class Difference:
    """One metric of two results."""

    name: str
    first: float
    second: float
    se: float | None
    """Of the difference."""
    verdict: str
    """`first`, `second`: which is better, beyond `SIGNIFICANT` errors; `neither`; or `unknown` without errors."""

    @property
    def errors(self) -> float:
        """The difference in standard errors; NaN without any."""
        if self.se is None:
            return math.nan
        away = self.second - self.first
        return away / self.se if self.se > 0 else math.copysign(math.inf, away) if away else 0.0


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Every metric that two results share. `StampError` where they were made with different things."""
    one, other = first.get("stamp"), second.get("stamp")
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        raise StampError("a result has no stamp of what it was made with; evaluate it again")
    if unlike := [key for key in {**one, **other} if one.get(key) != other.get(key)]:
        told = "; ".join(f"{key}: {one.get(key)} and {other.get(key)}" for key in unlike)
        raise StampError(f"not comparable, made with different things: {told}")
    shared = [name for name in first["metrics"] if name in second["metrics"]]
    return [_difference(name, first["metrics"][name], second["metrics"][name]) for name in shared]


def _difference(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Difference:
    errors = a.get("se"), b.get("se")
    if None in errors:
        return Difference(name, a["value"], b["value"], None, "unknown")
    se = math.hypot(*errors)  # type: ignore[arg-type]
    found = Difference(name, a["value"], b["value"], se, "neither")
    if not abs(found.errors) > SIGNIFICANT:
        return found
    if a["better"] == "nearer 0":
        second_better = abs(b["value"]) < abs(a["value"])
    else:
        second_better = (b["value"] > a["value"]) == (a["better"] == "higher")
    return Difference(name, a["value"], b["value"], se, "second" if second_better else "first")


def stamp_json(stamp: Stamp) -> dict[str, Any]:
    """As it is written beside the scores."""
    return asdict(stamp)
