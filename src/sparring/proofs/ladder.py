"""MNIST as a ladder: how good after how many CPU seconds of one thread, for every recipe of pictures."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sparring import session
from sparring.proofs.record import Effort, Result
from sparring.runs import read_events

COLUMNS = ("seed", "CPU s", "Fréchet distance", "x floor", "confidence", "least class", "largest class")


@dataclass(frozen=True)
class Rung:
    """A recipe, its settings, and what it is held to."""

    recipe: str
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    cpu_seconds: float = 102
    """At most, training alone."""
    target: float | None = None
    """Fréchet distance as a multiple of the floor, at most."""
    strict: bool = False
    """Confidence at least .99 and every class 8.5 to 11.5 %, too."""


SHORT = {"generator": {"lr": 4e-3}, "discriminator": {"lr": 8e-3}}  # twice the default: better for short runs
RUNGS: Mapping[str, Rung] = {
    "mlp-classic": Rung("mlp", "the tutorials' MLP GAN, 2,000 rounds of 32: the reference", {"preset": "classic"}, 60),
    "mlp": Rung("mlp", "the same networks, tuned", {"rounds": 6000}),
    "dcgan-classic": Rung("dcgan", "the tutorials' DCGAN, 700 rounds of 32", {"preset": "classic", "rounds": 700}),
    "dcgan-plain": Rung("dcgan", "no labels, no clusters", {"rounds": 2350, "clusters": 0}, 102, 36),
    "dcgan-30": Rung(
        "dcgan", "no labels; 40 clusters, 30 CPU seconds", {"rounds": 820, "clusters": 40, **SHORT}, 30, 33
    ),
    "dcgan": Rung("dcgan", "no labels; the default, 100 clusters", {"rounds": 2350}, 102, 33),
    "cdcgan-51": Rung("cdcgan", "labels, 51 CPU seconds", {"rounds": 1430}, 51, 4.7),
    "cdcgan": Rung("cdcgan", "labels, 102 CPU seconds", {"rounds": 2870}, 102, 2.4),
    "cdcgan-204": Rung("cdcgan", "labels, 204 CPU seconds", {"rounds": 5740}, 204, 2.1, strict=True),
    "wgan": Rung("wgan", "clipped weights, the quick preset", {"preset": "quick", "rounds": 600}),
    "ae": Rung("ae", "codes, and a Gaussian over them", {"rounds": 1000}),
    "vae": Rung("vae", "convolutional; the bound itself", {"rounds": 1500}),
    "vqvae": Rung("vqvae", "discrete codes, and the prior that writes them", {"rounds": 2000}, 180),
    "vae-gan": Rung("vae_gan", "errors in a discriminator's features", {"rounds": 600}),
}


def as_flags(key: str, value: Any) -> list[str]:
    """A setting as the command line takes it."""
    if isinstance(value, Mapping):
        return [flag for inner, number in value.items() for flag in as_flags(f"{key}.{inner}", number)]
    return [f"--{key} {value}"]


def judged(recipe: str, settings: Mapping[str, Any], seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(evaluation, last losses) of a run on one thread that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        run = session.train(
            recipe, runs=folder, data="mnist", seed=seed, threads=1, snapshots=2, quiet=True, **settings
        )
        if not (run.path / "evaluation.json").exists():  # the run took Ctrl-C for itself
            raise KeyboardInterrupt
        last = [event for event in read_events(run.path) if event["event"] == "losses"][-1]
        return json.loads((run.path / "evaluation.json").read_text()), last


def line(seed: int, found: Mapping[str, Any], last: Mapping[str, Any]) -> list[Any]:
    """One seed, rounded."""
    shares, distance = found["classes"]["shares"], found["metrics"]["frechet distance"]
    confidence = found["metrics"]["confidence"]["value"]
    figures = (distance["value"], distance["times_floor"], confidence, min(shares), max(shares))
    places = (4, 2, 4, 4, 4)
    return [
        seed, round(last["cpu_seconds"], 1), *(round(f, p) for f, p in zip(figures, places, strict=True))
    ]  # fmt: skip


def measured(name: str, seeds: int, effort: Effort) -> Result:
    """One rung of the ladder. `quick` trains a tenth as long, and holds nothing to it."""
    rung = RUNGS[name]
    settings = dict(rung.settings)
    if effort == "quick":
        settings["rounds"] = max(100, settings.get("rounds", 2000) // 10)
    runs = [judged(rung.recipe, settings, seed) for seed in range(seeds)]
    rows = [line(seed, *run) for seed, run in enumerate(runs)]
    passed = None
    if rung.target is not None and effort == "full":
        passed = all(row[3] <= rung.target and row[1] <= rung.cpu_seconds for row in rows)
        if rung.strict:
            passed = passed and all(row[4] >= 0.99 and row[5] >= 0.085 and row[6] <= 0.115 for row in rows)
    told = f"Target: at most {rung.target} x floor within {rung.cpu_seconds:g} CPU seconds" if rung.target else ""
    told += "; confidence at least .99, every class 8.5 to 11.5 %." if rung.strict else "." if told else ""
    flags = "".join(f" {flag}" for key, value in rung.settings.items() for flag in as_flags(key, value))
    first = runs[0][0]
    return Result(
        f"mnist-{name}",
        20 + list(RUNGS).index(name),
        f"MNIST: {rung.recipe}, {rung.what}",
        told,
        f"sparring train {rung.recipe} --data mnist --threads 1 --snapshots 2{flags}",
        COLUMNS,
        rows,
        passed,
        {
            "recipe": rung.recipe,
            "floor": first["metrics"]["frechet distance"]["floor"],
            "samples": first["samples"],
            "extractor": first["extractor"],
        },
    )


mlp_classic = partial(measured, "mlp-classic")
mlp = partial(measured, "mlp")
wgan = partial(measured, "wgan")
dcgan_classic = partial(measured, "dcgan-classic")
dcgan_plain = partial(measured, "dcgan-plain")
dcgan_30 = partial(measured, "dcgan-30")
dcgan = partial(measured, "dcgan")
cdcgan_51 = partial(measured, "cdcgan-51")
cdcgan = partial(measured, "cdcgan")
cdcgan_204 = partial(measured, "cdcgan-204")
ae = partial(measured, "ae")
vae = partial(measured, "vae")
vqvae = partial(measured, "vqvae")
vae_gan = partial(measured, "vae-gan")


def classifier(seeds: int, effort: Effort) -> Result:
    """The judge: at least 99.2 % on MNIST's test set."""
    settings = {"rounds": 300} if effort == "quick" else {}
    runs = [judged("classifier", settings, seed) for seed in range(seeds)]
    rows = [
        [seed, round(last["cpu_seconds"], 1), found["metrics"]["accuracy"]["value"]]
        for seed, (found, last) in enumerate(runs)
    ]
    return Result(
        "classifier",
        15,
        "The classifier, which is the judge",
        "Target: at least 0.992 of MNIST's test set.",
        "sparring train classifier --data mnist --threads 1",
        ("seed", "CPU s", "accuracy"),
        rows,
        all(row[2] >= 0.992 for row in rows) if effort == "full" else None,
        {"recipe": "classifier"},
    )
