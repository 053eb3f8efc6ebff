"""Is what was asked for drawn? Classes, read by a judge, and sentences, read exactly."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from sparring import judge, recipes, sampling, session, show, training
from sparring.data import Data, Source, open_data, shapes, subset
from sparring.data.loader import batches
from sparring.engine import Train, start, train
from sparring.machine import Machine, find_machine
from sparring.metrics.features import Extractor, extract
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of
from sparring.runs import How, Plan

CPU = Machine(torch.device("cpu"), "cpu", "float32", 1)
LEAST = {"mnist": 0.98, "fashion-mnist": 0.85}
CASES: Mapping[str, Mapping[str, Any]] = {
    "projection": {},
    "concatenation": {"condition": "concatenation"},
    "classifier": {"condition": "classifier"},
    "projection, a tenth of the labels dropped": {"label_dropout": 0.1},
}
ROUNDS = 2870
ASKED = 300
"""Pictures of each class."""


def diversity(features: Tensor, labels: Tensor) -> float:
    """(N, d), (N,) -> mean over the classes of the mean squared distance of two samples of one class."""
    found = [features[labels == label].var(0).sum() for label in torch.unique(labels)]
    return 2 * float(torch.stack(found).mean())


def asked(by: Extractor, run: session.Run, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """(features, what the judge reads, what was asked for) of `ASKED` samples of every class."""
    features, read = [], []
    for label in range(classes):
        found = extract(by, run.sample(ASKED, label, seed=label))
        assert found.logits is not None
        features.append(found.features)
        read.append(found.logits.argmax(1))
    return torch.cat(features), torch.cat(read), torch.arange(classes).repeat_interleave(ASKED)


def classes(seeds: int, effort: Effort) -> Result:
    """Digits and clothes by class, each way of telling the discriminator."""
    claims = []
    for data, least in LEAST.items():
        splits = open_data(Data(data=data))
        by = judge.judge_of(splits, find_machine(How(threads=1), "image"), Console(quiet=True))
        held_out = splits["test"][torch.arange(len(splits["test"]))]
        real = extract(by, held_out["image"])
        assert real.logits is not None
        spread = diversity(real.features, held_out["label"])
        right = float((real.logits.argmax(1) == held_out["label"]).float().mean())
        claims.append(Claim(f"{data}, real", "read as labelled", [right], reference=True))
        for name, settings in CASES.items() if data == "mnist" else [("projection", {})]:
            found = [_trained(data, settings, seed, effort, by) for seed in seeds_of(seeds)]
            first = name == "projection"
            case, target = f"{data}, {name}", f"at least {least:g} on every seed" if first else ""
            low = least if first else 0.0
            claims.append(Claim(case, "read as asked", [each[0] for each in found], low, 1, target, not first))
            wide = [each[1] / spread for each in found]
            claims.append(Claim(case, "spread within a class, of the real one", wide, reference=True))
            claims.append(Claim(case, "CPU seconds", [each[2] for each in found], reference=True))
            if first:
                other = [each[3] for each in found]
                claims.append(Claim(case, "read as the class after", other, least, 1, "must fail", control=True))
    text = (
        f"The recipe cdcgan, {ROUNDS:,} rounds of 64; {ASKED} pictures of every class, read by the judge, a classifier "
        "of the real pictures that no run sees. Spread: mean squared distance of two samples of one class in the "
        "judge's features, as a share of that of real ones."
    )
    return of_claims("classes", 190, "Pictures by class: is what was asked for drawn?", text, claims)


def _trained(
    data: str, settings: Mapping[str, Any], seed: int, effort: Effort, by: Extractor
) -> tuple[float, float, float, float]:
    """(read as asked, spread, CPU seconds, read as the next class)."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        run = session.train(
            "cdcgan", runs=folder, data=data, threads=1, seed=seed, snapshots=2, evaluate=False, quiet=True,
            rounds=ROUNDS if effort == "full" else 60, **settings,
        )  # fmt: skip
        spent = time.process_time() - begin
        count = len(run.about.classes)
        features, read, label = asked(by, run, count)
    agreed, shifted = ((read == other).float().mean() for other in (label, (label + 1) % count))
    return float(agreed), diversity(features, label), spent, float(shifted)


WORLD: Mapping[str, Any] = {"rounds": 5000}
ATTRIBUTES = shapes.FACTORS[:4]


def never_shown(factors: Tensor) -> Tensor:
    """(N, 5) -> (N,) whether shape and colour are one of the eight pairs that training never shows."""
    return (factors[:, 0] + factors[:, 1]) % 6 == 0


def sentences(seeds: int, effort: Effort) -> Result:
    """The world of shapes: sentences with pairs of shape and colour that training never showed."""
    splits = open_data(Data(data="shapes", captions="own"))
    every = {name: split[torch.arange(len(split))]["factors"] for name, split in splits.items()}
    known, new = (subset(splits["train"], rows) for rows in _rows(every["train"]))
    rows = never_shown(every["test"]).nonzero().squeeze(1)
    held_out = splits["test"][rows]
    found, sheet = [], None
    for seed in seeds_of(seeds):
        made, right, spent = _drawn(known, subset(splits["test"], rows), seed, effort)
        found.append((right, spent))
        if sheet is None:
            sheet = show.enlarged(show.below_each_other([held_out["image"][:16], made[:16]], 8))
    claims = [
        Claim("sentences never shown", name, [float(right[i]) for right, _ in found], 0.9, 1, "at least .9")
        for i, name in enumerate(ATTRIBUTES)
    ]
    chance = (held_out["factors"].roll(1, 0) == held_out["factors"]).float().mean(0)
    claims += [
        Claim("another's picture", name, [float(chance[i])], 0.9, 1, "must fail", control=True)
        for i, name in enumerate(ATTRIBUTES)
    ]
    claims.append(Claim("sentences never shown", "turn", [float(right[4]) for right, _ in found], reference=True))
    claims.append(Claim("sentences never shown", "CPU seconds", [spent for _, spent in found], reference=True))
    text = (
        f"The recipe text_to_image on the world of shapes, {len(known):,} pictures; {len(new):,} whose pair of shape "
        f"and colour is one of eight were taken out. {len(rows)} sentences of the test set with such pairs are drawn, "
        "and each attribute is read back from the pixels by the formula that draws the world. Above what was drawn, a "
        "picture of the same sentence."
    )
    assert sheet is not None
    title = "Pictures by sentence: pairs that were never shown"
    return of_claims("sentences", 195, title, text, claims, {"sentences": [sheet]})


def _rows(factors: Tensor) -> tuple[Tensor, Tensor]:
    new = never_shown(factors)
    return (~new).nonzero().squeeze(1), new.nonzero().squeeze(1)


def _drawn(known: Source, held_out: Source, seed: int, effort: Effort) -> tuple[Tensor, Tensor, float]:
    """(pictures of the held-out sentences, share that is right of each factor (5,), CPU seconds)."""
    module = recipes.find("text_to_image")
    name, config = recipes.preset(module, None)
    config = replace(config, **WORLD) if effort == "full" else replace(config, rounds=30)
    plan = Plan("text_to_image", name, config, Data(data="shapes", captions="own"), How(seed=seed))
    source = module.data(config, known)
    game, begin = training.assemble(plan, source.about, CPU), time.process_time()
    state = train(game, batches(source, config.batch, seed), Train(config.rounds, seed, check_every=500), start(game))
    spent, columns = time.process_time() - begin, held_out[torch.arange(len(held_out))]
    modules = sampling.for_sampling(game, state, latents=1000, pool=source)
    drawn = {**sampling.draw(game, len(held_out), seed, pool=held_out), "caption": columns["caption"]}
    made = sampling.finished(sampling.generate(game, modules, drawn), source.about)
    return made, (shapes.fit(made).factors == columns["factors"]).float().mean(0), spent
