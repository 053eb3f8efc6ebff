"""Translation without pairs, read one way by a classifier of the domain that it leads to."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sparring import judge, session
from sparring.data import Data, open_data, tensor_source
from sparring.data.loader import to_float, to_uint8
from sparring.data.views import inverted
from sparring.machine import find_machine
from sparring.metrics.features import Extractor, extract
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of
from sparring.runs import How

SIZE = "16"
NETWORKS: Mapping[str, Any] = {"width": 16, "blocks": 2, "critic_width": 16, "critic_layers": 2, "batch": 64}
CASES: Mapping[str, Mapping[str, Any]] = {
    "cyclegan": {},
    "cyclegan, no pool": {"pool": 0},
    "discogan": {"preset": "discogan"},
    "dualgan": {"preset": "dualgan"},
}
ROUNDS = 330
LEAST = (0.95, 0.94)


def reader(images: Tensor, labels: Tensor, like: Any) -> Extractor:
    """A classifier of these pictures."""
    source = tensor_source(like, {"image": images, "label": labels})
    config = replace(judge.numbers(source, source.about), rounds=1200)
    machine = find_machine(How(threads=1), "image")
    network = judge.trained(config, source, machine)
    return judge.extractor_of(network.eval().requires_grad_(False), source.about, machine.device)


def read(by: Extractor, images: Tensor, labels: Tensor) -> float:
    """Share of the pictures whose label is read rightly."""
    logits = extract(by, images).logits
    assert logits is not None
    return float((logits.argmax(1) == labels).float().mean())


def unpaired(seeds: int, effort: Effort) -> Result:
    """MNIST to and from MNIST inverted, with no pairs and no labels."""
    splits = open_data(Data(data="mnist", size=SIZE))
    train, test = (splits[name][torch.arange(len(splits[name]))] for name in ("train", "test"))
    x, labels = test["image"], test["label"]
    about = splits["train"].about
    digits, negatives = (reader(view, train["label"], about) for view in (train["image"], inverted(train["image"])))
    claims = [
        Claim("real", "to digits: ceiling", [read(digits, x, labels)], reference=True),
        Claim("real", "to inverted: ceiling", [read(negatives, inverted(x), labels)], reference=True),
        Claim("not translated", "to digits", [read(digits, inverted(x), labels)], LEAST[0], 1, "must fail", True),
        Claim("not translated", "to inverted", [read(negatives, x, labels)], LEAST[1], 1, "must fail", True),
    ]
    for name, settings in CASES.items():
        found = [_played(settings, seed, effort, (digits, negatives), x, labels) for seed in seeds_of(seeds)]
        first = name == next(iter(CASES))
        for index, figure in enumerate(("to digits", "to inverted")):
            low = LEAST[index]
            target = f"at least {low:g} on every seed" if first else ""
            values = [each[index] for each in found]
            claims.append(Claim(name, figure, values, low if first else 0.0, 1, target, reference=not first))
        claims.append(Claim(name, "round trip, which proves nothing", [each[2] for each in found], reference=True))
        claims.append(Claim(name, "CPU seconds", [each[3] for each in found], reference=True))
    text = (
        "16x16 pictures; translators of 47,000 and critics of 28,000 weights; the same rounds for each. Digits of the "
        "test set are translated one way, and a classifier of the other domain reads them. Untranslated digits are the "
        "control. The round trip is read by the classifier of the domain where it ends."
    )
    return of_claims("unpaired", 210, "Translation without pairs: digits and inverted digits", text, claims)


def _played(
    settings: Mapping[str, Any], seed: int, effort: Effort, by: tuple[Extractor, Extractor], x: Tensor, labels: Tensor
) -> tuple[float, float, float, float]:
    """(to digits, to inverted, round trip, CPU seconds)."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        run = session.train(
            "cyclegan", runs=folder, data="mnist", source="inverted", size=SIZE, threads=1, seed=seed, snapshots=2,
            rounds=ROUNDS if effort == "full" else 20, evaluate=False, quiet=True, **{**NETWORKS, **settings},
        )  # fmt: skip
        spent, modules = time.process_time() - begin, run.model.modules
    with torch.no_grad():
        made = to_uint8(modules["to image"](to_float(inverted(x))))
        turned = to_uint8(modules["to source"](to_float(x)))
        back = to_uint8(modules["to image"](to_float(turned)))
    return read(by[0], made, labels), read(by[1], turned, labels), read(by[0], back, labels), spent


def paired(seeds: int, effort: Effort) -> Result:
    """Digits from their edges, each held against its own truth."""
    settings = {"data": "mnist", "source": "edges", "size": SIZE}
    source = open_data(Data(data="mnist", source="edges", size=SIZE))["test"]
    columns = source[torch.arange(2000)]
    image, edges = columns["image"], columns["source"]

    def away(made: Tensor) -> float:
        return float((made.float() - image.float()).abs().mean() / 255)

    untouched = away(edges)
    most = 0.6 * untouched
    claims = [Claim("the edges as they are", "mean difference", [untouched], 0, most, "must fail", True)]
    for name, preset in (("pix2pix", "tuned"), ("the distance alone", "distance")):
        found = []
        for seed in seeds_of(seeds):
            with tempfile.TemporaryDirectory() as folder:
                run = session.train(
                    "pix2pix", preset=preset, runs=folder, threads=1, seed=seed, snapshots=2, evaluate=False,
                    quiet=True, width=16, critic_width=16, critic_layers=2, batch=32,
                    rounds=400 if effort == "full" else 10, **settings,
                )  # fmt: skip
                found.append(away(run.translate(edges)))
        target = "at most .6 of that" if preset == "tuned" else ""
        claims.append(Claim(name, "mean difference", found, 0, most, target, reference=preset != "tuned"))
    text = (
        "16x16 digits of MNIST from their Sobel edges, 2,000 of the test set, mean absolute difference to the truth as "
        "a share of the range. The adversary costs some of it: see what each looks like."
    )
    return of_claims("paired", 205, "Translation with pairs: digits from their edges", text, claims)
