"""Resolution and missing parts given back to MNIST: how near to the truth, and can it still be read?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image, ImageDraw
from rich.console import Console
from torch import Tensor

from sparring import session, show
from sparring.data import Data, open_data
from sparring.data.views import small
from sparring.judge import judge_of
from sparring.machine import find_machine
from sparring.metrics.features import Extractor, Features, extract
from sparring.metrics.frechet import frechet_distance
from sparring.metrics.pairs import psnr
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of
from sparring.runs import How, read_events

SHOWN = 12


@dataclass(frozen=True)
class Task:
    """What is restored, and what it is held to."""

    recipe: str
    source: str
    rounds: int
    psnr: float
    """Least, in dB: the mean over pictures, each over all of its pixels."""
    accuracy: float
    """Least share of restored pictures that the judge reads rightly."""
    settings: Mapping[str, Any] = field(default_factory=dict)


UPSCALING = Task("superres", "reduced:4", 1000, 21.7, 0.92)
FILLING = Task("inpaint", "masked:14", 1000, 18.4, 0.81)


@dataclass(frozen=True, eq=False)
class Truth:
    """The test pictures, and who reads them."""

    source: Tensor
    image: Tensor
    label: Tensor
    judge: Extractor
    seen: Features


def truth_of(task: Task, effort: Effort) -> Truth:
    """All 10,000 test pictures, or 1,000 of them."""
    splits, plain = open_data(Data(data="mnist", source=task.source)), open_data(Data(data="mnist"))
    judge = judge_of(plain, find_machine(How(threads=1), "image"), Console(stderr=True))
    columns = splits["test"][torch.arange(len(splits["test"]) if effort == "full" else 1000)]
    return Truth(columns["source"], columns["image"], columns["label"], judge, extract(judge, columns["image"]))


def figures(made: Tensor, truth: Truth) -> tuple[float, float, float]:
    """(PSNR in dB, share read rightly, Fréchet distance to the true pictures in the judge's features)."""
    seen = extract(truth.judge, made)
    assert seen.logits is not None
    right = float((seen.logits.argmax(1) == truth.label).float().mean())
    near = float(psnr(made, truth.image).clamp(max=100).mean())
    return near, right, frechet_distance(seen.features, truth.seen.features)


def restored(task: Task, truth: Truth, preset: str, seed: int, effort: Effort) -> tuple[Tensor, float]:
    """(what a run makes of the test pictures, CPU seconds of its training)."""
    rounds = task.rounds if effort == "full" else 60
    with tempfile.TemporaryDirectory() as folder:
        run = session.train(
            task.recipe, preset=preset, runs=folder, data="mnist", source=task.source, threads=1, seed=seed,
            snapshots=1, rounds=rounds, evaluate=False, quiet=True, **task.settings,
        )  # fmt: skip
        if run.model.round < rounds:  # the run took Ctrl-C for itself
            raise KeyboardInterrupt
        spent = [event["cpu_seconds"] for event in read_events(run.path) if event["event"] == "losses"][-1]
        return run.translate(truth.source), spent


def sheet(rows: Mapping[str, Tensor]) -> Image.Image:
    """A row of pictures under each name; smaller ones are enlarged, pixel by pixel."""
    side, head, drawn = 56, 22, []
    for name, pictures in rows.items():
        larger = torch.nn.functional.interpolate(pictures[:SHOWN], (side, side), mode="nearest")
        line = show.grid(larger, SHOWN, gap=2)
        framed = Image.new("L", (line.width + 8, line.height + head), 255)
        framed.paste(line, (4, head - 2))
        ImageDraw.Draw(framed).text((4, 3), name, fill=0, font_size=13)
        drawn.append(framed)
    whole = Image.new("L", (drawn[0].width, sum(row.height for row in drawn) + 4), 255)
    for number, row in enumerate(drawn):
        whole.paste(row, (0, number * row.height))
    return whole


def proof(task: Task, untaught: Mapping[str, Tensor], truth: Truth, seeds: int, effort: Effort) -> tuple[Any, Any]:
    """(claims, pictures by name): the critic, the distance alone, and what needs no training as controls."""
    targets = (task.psnr, f"at least {task.psnr:g} on every seed"), (task.accuracy, f"at least {task.accuracy:g}")
    named = ("PSNR, dB", "read rightly")
    claims = [Claim("the truth", "read rightly", [figures(truth.image, truth)[1]], reference=True)]
    for name, made in untaught.items():
        found = figures(made, truth)
        claims += [
            Claim(name, figure, [value], low, target="must fail", control=True)
            for figure, value, (low, _) in zip(named, found, targets, strict=False)
        ]
        claims.append(Claim(name, "Fréchet distance", [found[2]], reference=True))
    every, pictures = dict[str, list[tuple[float, float, float]]](), dict(untaught)
    for name, preset in (("the distance alone", "distance"), ("with a critic", "tuned")):
        runs = [restored(task, truth, preset, seed, effort) for seed in seeds_of(seeds)]
        every[name], pictures[name] = [figures(made, truth) for made, _ in runs], runs[0][0]
        for index, (figure, (low, told)) in enumerate(zip(named, targets, strict=True)):
            values, held = [found[index] for found in every[name]], preset == "tuned"
            claims.append(Claim(name, figure, values, low, target=told if held else "", reference=not held))
        claims.append(Claim(name, "Fréchet distance", [found[2] for found in every[name]], reference=True))
        claims.append(Claim(name, "CPU seconds", [spent for _, spent in runs], reference=True))
    both = list(zip(*every.values(), strict=True))
    cost, share = [a[0] - c[0] for a, c in both], [c[2] / a[2] for a, c in both]
    claims.append(Claim("what the critic changes", "PSNR lost, dB", cost, 0.0, target="above 0: else a mistake"))
    claims.append(Claim("what the critic changes", "Fréchet distance, times", share, 0.0, 1.0, "below 1"))
    return claims, pictures | {"the truth": truth.image}


MEASURED = (
    "PSNR is the mean over the 10,000 test pictures, each over all of its 28x28 pixels in 8 bits. The judge is the "
    "project's own classifier, trained on the training pictures as they are; the Fréchet distance is that of the "
    "restored pictures to the true ones in its features. Both cases have the same network, rounds and batches. "
)


def superres(seeds: int, effort: Effort) -> Result:
    """28x28 from 7x7."""
    truth = truth_of(UPSCALING, effort)
    claims, rows = proof(UPSCALING, {"bicubic": small(truth.image, 4)}, truth, seeds, effort)
    text = f"MNIST from a quarter of its height and width (antialiased bicubic, 49 pixels instead of 784). {MEASURED}"
    pictures = {"superres": [sheet({"what is given": truth.source, **rows})]}
    return of_claims("superres", 206, "Super-resolution: 28x28 digits from 7x7", text, claims, pictures)


def inpaint(seeds: int, effort: Effort) -> Result:
    """A hole of 14x14 in 28x28."""
    truth = truth_of(FILLING, effort)
    hole, train = truth.source[:, 1:] > 0, open_data(Data(data="mnist"))["train"]
    mean = train[torch.arange(len(train))]["image"].float().mean(0).round().byte()
    untaught = {
        "black": truth.image.masked_fill(hole, 0),
        "the mean picture": torch.where(hole, mean, truth.image),
    }
    claims, rows = proof(FILLING, untaught, truth, seeds, effort)
    text = f"MNIST with the middle quarter missing, 14x14 pixels of 28x28; known pixels stay as they are. {MEASURED}"
    pictures = {"inpaint": [sheet({"what is given": truth.source[:, :1], **rows})]}
    return of_claims("inpaint", 207, "Inpainting: digits without their middle", text, claims, pictures)
