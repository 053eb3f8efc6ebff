"""Translation without pairs, read one way by a classifier of the domain that it leads to."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring import judge, session
from sparring.data import Data, open_data, tensor_source
from sparring.data.kinds import to_float, to_uint8
from sparring.data.views import inverted
from sparring.machine import find_machine
from sparring.metrics.features import Extractor, extract
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of
from sparring.runs import How

SIZE = "16"
NETWORKS: Mapping[str, Any] = {"width": 16, "blocks": 2, "critic_width": 16, "critic_layers": 2, "batch": 64}
LONGER = "cyclegan, longer"
CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "cyclegan": ("cyclegan", {"rounds": 330}),
    LONGER: ("cyclegan", {"rounds": 1500, "identity": 5.0, "skip": True, "augment": {"shift": 1}}),
    "cyclegan, no pool": ("cyclegan", {"rounds": 330, "pool": 0}),
    "discogan": ("cyclegan", {"rounds": 330, "preset": "discogan"}),
    "dualgan": ("cyclegan", {"rounds": 330, "preset": "dualgan"}),
    "cut": ("cut", {"rounds": 500, "places": 64, "features": 64}),
    "cut, without its contrast: the adversary alone": (
        "cut",
        {"rounds": 500, "contrast": 0.0, "places": 64, "features": 64},
    ),
    "stargan": ("stargan", {"rounds": 400}),
}
"""(recipe, settings): rounds that take about a minute, but for the longer one."""
OTHERS = ("cut", "cut, without its contrast: the adversary alone", "stargan")
LEAST = (0.95, 0.94)
LEAST_OF_HANDS = 0.75


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


@dataclass(frozen=True)
class Domains:
    """Two sets of digits, and who reads each."""

    settings: Mapping[str, Any]
    """Of the data."""
    images: Tensor
    image_labels: Tensor
    sources: Tensor
    source_labels: Tensor
    of_images: Extractor
    of_sources: Extractor


def unpaired(seeds: int, effort: Effort) -> Result:
    """MNIST to and from MNIST inverted, with no pairs and no labels."""
    splits = open_data(Data(data="mnist", size=SIZE))
    train, test = (splits[name][torch.arange(len(splits[name]))] for name in ("train", "test"))
    x, labels, about = test["image"], test["label"], splits["train"].about
    by = (reader(view, train["label"], about) for view in (train["image"], inverted(train["image"])))
    sets = Domains({"data": "mnist", "source": "inverted"}, x, labels, inverted(x), labels, *by)
    claims = floors(sets, LEAST)
    for name in [name for name in CASES if name != LONGER]:
        claims += case(name, sets, seeds, effort, LEAST if name == "cyclegan" else None)
    text = (
        "16x16 pictures; translators of 47,000 and critics of 28,000 weights; about a minute of training for each. "
        "Digits of the test set are translated one way, and a classifier of the other domain reads them. Untranslated "
        "digits are the control. The round trip is read by the classifier of the domain where it ends. cut learns one "
        "way only."
    )
    return of_claims("unpaired", 210, "Translation without pairs: digits and inverted digits", text, claims)


def hands(seeds: int, effort: Effort) -> Result:
    """MNIST to and from the digits of UCI: other hands, another scanner, an eighth of the pixels."""
    mnist, uci = open_data(Data(data="mnist", size=SIZE)), open_data(Data(data="digits", size=SIZE))
    columns = [splits[name][torch.arange(len(splits[name]))] for splits in (mnist, uci) for name in ("train", "test")]
    by = (reader(c["image"], c["label"], s["train"].about) for c, s in ((columns[0], mnist), (columns[2], uci)))
    seen, other = columns[1], {name: torch.cat([columns[2][name], columns[3][name]]) for name in ("image", "label")}
    settings = {"data": "mnist", "source": "digits"}
    sets = Domains(settings, seen["image"], seen["label"], other["image"], other["label"], *by)
    least = (LEAST_OF_HANDS, LEAST_OF_HANDS)
    claims = [*floors(sets, least), *case(LONGER, sets, seeds, effort, least)]
    claims += [claim for name in ("cyclegan", *OTHERS) for claim in case(name, sets, seeds, effort, None)]
    text = (
        "16x16 pictures: MNIST, and the 1,797 digits of UCI, which have 8x8. As above; the sources are all of UCI's, "
        "of which nine tenths were seen in training, without labels and without pairs. The longer training has 1,500 "
        "rounds, translators that add to what they are given, an identity term of 5, and shifts of a pixel."
    )
    return of_claims("hands", 211, "Translation without pairs: digits of two collections", text, claims)


def floors(sets: Domains, least: tuple[float, float]) -> list[Claim]:
    """What each classifier reads in its own domain, and in the other untranslated."""
    ceilings = (
        read(sets.of_images, sets.images, sets.image_labels),
        read(sets.of_sources, sets.sources, sets.source_labels),
    )
    plain = (
        read(sets.of_images, sets.sources, sets.source_labels),
        read(sets.of_sources, sets.images, sets.image_labels),
    )
    return [
        *(Claim("real", f"{way}: ceiling", [value], reference=True) for way, value in zip(WAYS, ceilings, strict=True)),
        *(
            Claim("not translated", way, [value], low, 1, "must fail", True)
            for way, value, low in zip(WAYS, plain, least, strict=True)
        ),
    ]


WAYS = ("to images", "to sources")


def case(name: str, sets: Domains, seeds: int, effort: Effort, least: tuple[float, float] | None) -> list[Claim]:
    """One system over all seeds; held to `least` where that is given."""
    found = [_played(name, sets, seed, effort) for seed in seeds_of(seeds)]
    claims = []
    for figure in found[0]:
        values, held = [each[figure] for each in found], least is not None and figure in WAYS
        low = least[WAYS.index(figure)] if least is not None and held else 0.0
        target = f"at least {low:g} on every seed" if held else ""
        claims.append(Claim(name, figure, values, low, 1, target, reference=not held))
    return claims


def _played(name: str, sets: Domains, seed: int, effort: Effort) -> dict[str, float]:
    """Share that is read rightly one way, the other, and there and back; and CPU seconds."""
    recipe, settings = CASES[name]
    short = {} if effort == "full" else {"rounds": 20}
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        run = session.train(
            recipe, runs=folder, size=SIZE, threads=1, seed=seed, snapshots=2, evaluate=False, quiet=True,
            **{**NETWORKS, **sets.settings, **settings, **short},
        )  # fmt: skip
        spent, modules = time.process_time() - begin, run.model.modules
    if recipe == "cyclegan":
        ways: list[Any] = [modules["to image"], modules["to source"]]
    else:  # stargan's domains: 0 the images, 1 the sources
        known = () if recipe == "cut" else (torch.zeros, torch.ones)
        network = modules["generator"]
        ways = [lambda x, of=of: network(x, of(len(x), dtype=torch.int64)) for of in known] or [network]
    with torch.no_grad():
        made = [to_uint8(way(to_float(x))) for way, x in zip(ways, (sets.sources, sets.images), strict=False)]
        found = {WAYS[0]: read(sets.of_images, made[0], sets.source_labels)}
        if len(made) == 2:
            found[WAYS[1]] = read(sets.of_sources, made[1], sets.image_labels)
            back = to_uint8(ways[0](to_float(made[1])))
            found["round trip, which proves nothing"] = read(sets.of_images, back, sets.image_labels)
    return {**found, "CPU seconds": spent}


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
