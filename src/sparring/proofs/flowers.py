"""Photographs of flowers given back what they have lost, beside what needs no training: what a critic costs and gives.

Daisies and sunflowers of one folder, and the layers of a network that learnt ImageNet; neither comes with the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sparring.data import Data, Source, open_data, tensor_source
from sparring.data.kinds import to_float
from sparring.data.loader import Augment
from sparring.machine import find_machine
from sparring.metrics.extractors import layers_named
from sparring.metrics.frechet import frechet_distance
from sparring.metrics.pairs import psnr, ssim
from sparring.metrics.perceptual import Layers, map_distance
from sparring.proofs.emoji import kept
from sparring.proofs.play import played
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of
from sparring.proofs.restore import sheet
from sparring.runs import How
from sparring.show import picture

KINDS = ("daisy", "sunflower")
SIZE = 64
HELD_OUT = 0.07
"""Share of the pictures that is never learnt from."""
SHOWN = 8
"""Columns of the sheets."""
SEEDS = 2
"""At most: each takes minutes."""
PARTS = 25
"""Pictures that a network's layers see at a time: their maps take 10 MB each."""
RADIUS = 3
"""Of the neighbourhood that OpenCV looks at, in pixels: that of its own examples."""
ENLARGEMENTS: Mapping[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS,
}  # fmt: skip


def opened(source: str, share: float = HELD_OUT) -> dict[str, Source]:
    """Both kinds, each cut into the same shares, as one set of splits."""
    sets = [
        open_data(Data(kept("flowers", f"flowers-{kind}.zip"), SIZE, "rgb", source=source, test=share))
        for kind in KINDS
    ]
    joined = dict[str, Source]()
    for split in sets[0]:
        parts = [found[split][torch.arange(len(found[split]))] for found in sets]
        columns = {name: torch.cat([part[name] for part in parts]) for name in ("image", "source")}
        joined[split] = tensor_source(sets[0][split].about, columns)
    return joined


Maps = Sequence[Tensor]
"""What layers make of some pictures."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Held-out pictures as they were, what is left of them, and who compares."""

    image: Tensor
    source: Tensor
    layers: Layers
    hole: Tensor | None = None
    """(N, 1, H, W) bool, where pictures have holes."""

    @cached_property
    def seen(self) -> list[Maps]:
        """What the layers make of the pictures, in parts; about 10 MB a picture."""
        return looked(self.layers, self.image)


def eyes() -> Layers:
    """SqueezeNet's layers."""
    return layers_named(f"squeezenet:{kept('featnets', 'squeezenet10_imagenet_bsd.safetensors')}")


@torch.no_grad()
def looked(layers: Layers, pictures: Tensor) -> list[Maps]:
    """(N, C, H, W) uint8 -> maps of every `PARTS` of them."""
    return [layers(to_float(part)) for part in torch.split(pictures, PARTS)]


def away(made: Sequence[Maps], truth: Sequence[Maps]) -> float:
    """The mean layer distance."""
    return float(torch.cat([map_distance(*both) for both in zip(made, truth, strict=True)]).mean())


def features(seen: Sequence[Maps]) -> Tensor:
    """(N, d): means of the last layer's maps."""
    return torch.cat([maps[-1].mean((2, 3)) for maps in seen])


def figures(made: Tensor, truth: Truth) -> dict[str, float]:
    """By name: how near to the truth, by pixels, by layers, and as a set."""
    found = {"PSNR, dB": float(psnr(made, truth.image).clamp(max=100).mean())}
    if truth.hole is not None:
        found["PSNR in the hole, dB"] = float(psnr_within(made, truth.image, truth.hole).mean())
    seen = looked(truth.layers, made)
    return found | {
        "SSIM": float(ssim(made, truth.image).mean()),
        "layer distance": away(seen, truth.seen),
        "Fréchet distance": frechet_distance(features(seen), features(truth.seen)),
    }


def psnr_within(made: Tensor, wanted: Tensor, hole: Tensor) -> Tensor:
    """(N, C, H, W) uint8, twice, and (N, 1, H, W) bool -> (N,) PSNR of the pixels of the hole alone, at most 100 dB."""
    squares = (made.double() - wanted.double()).square() * hole
    error = squares.sum((1, 2, 3)) / (made.shape[1] * hole.sum((1, 2, 3)))
    return (10 * torch.log10(255.0**2 / error)).clamp(max=100)


@dataclass(frozen=True)
class Task:
    """What is restored, and for how long."""

    recipe: str
    source: str
    rounds: Mapping[str, int]
    """By case; the distance alone, which is cheaper, gets more of them in the same CPU seconds."""
    near: str
    """The figure that the critic must cost something of."""
    worst: str
    """What needs no training and is the worst at that."""
    rival: str
    """What needs no training and is put in the critic's place, as a control."""
    preset: str = "tuned"
    changes: Mapping[str, Any] = field(default_factory=lambda: {"batch": 16, "augment": Augment(flip=True)})
    """Of the preset."""


ALONE, BOTH, NOTHING = "the distance alone", "with a critic", "the distance alone, from nothing"
CASES: Mapping[str, Mapping[str, Any]] = {
    ALONE: {"adversarial": 0.0}, BOTH: {}, NOTHING: {"adversarial": 0.0, "smooth": False},
}  # fmt: skip
"""Changes of a task's own; it plays those that it has rounds for."""
Found = Mapping[str, Sequence[Mapping[str, float]]]
"""Figures by case, of each seed; one for what needs no training."""


def restored(task: Task, truth: Truth, train: Source, seeds: int, effort: Effort) -> dict[str, list[Any]]:
    """(what each case makes of the held-out pictures, CPU seconds), of each seed."""
    machine, made = find_machine(How(device="cpu", threads=1), "image"), dict[str, list[Any]]()
    for case, rounds in task.rounds.items():
        changes = {**task.changes, **CASES[case], "rounds": rounds if effort == "full" else 6}
        runs = [played(task.recipe, task.preset, changes, train, seed, machine) for seed in seeds_of(min(seeds, SEEDS))]
        made[case] = [(run.made({"source": to_float(truth.source)}), run.cpu_seconds) for run in runs]
    return made


def measured(
    task: Task, untaught: Mapping[str, Tensor], truth: Truth, train: Source, seeds: int, effort: Effort
) -> tuple[Found, dict[str, Tensor]]:
    """(figures, pictures) by case."""
    runs = restored(task, truth, train, seeds, effort)
    found = {name: [figures(made, truth)] for name, made in untaught.items()}
    for case, each in runs.items():
        found[case] = [{**figures(made, truth), "CPU seconds": seconds} for made, seconds in each]
    return found, {**untaught, **{case: each[0][0] for case, each in runs.items()}, "the truth": truth.image}


def claims_of(task: Task, found: Found, before: str = "") -> list[Claim]:
    """Every figure for reference, and what is held: learning against none, and what a critic costs and gives.

    `before` is put in front of every case.
    """
    claims = [
        Claim(before + case, figure, [one[figure] for one in each], reference=True)
        for case, each in found.items() for figure in each[0]
    ]  # fmt: skip
    near, untaught = task.near, [case for case in found if case not in CASES]
    best = max(untaught, key=lambda case: found[case][0][near])
    for case in (ALONE, task.worst, *{NOTHING}.intersection(found)):
        gained, control = [one[near] - found[best][0][near] for one in found[case]], case != ALONE
        target = "must fail" if control else "above 0 on every seed"
        claims.append(Claim(before + case, f"gained on {best}: {near}", gained, 0.0, target=target, control=control))
    alone = found[ALONE]
    lost = [a[near] - b[near] for a, b in zip(alone, found[BOTH], strict=True)]
    claims.append(Claim(before + "what the critic changes", f"lost: {near}", lost, 0.0, target="above 0 on every seed"))
    for figure in ("layer distance", "Fréchet distance"):
        said = f"{figure}, times that of the distance alone"
        times = [b[figure] / a[figure] for a, b in zip(alone, found[BOTH], strict=True)]
        claims.append(Claim(before + "what the critic changes", said, times, 0.0, 1.0, "below 1 on every seed"))
        rival = [found[task.rival][0][figure] / a[figure] for a in alone]
        claims.append(Claim(f"{before}{task.rival} in the critic's place", said, rival, 0.0, 1.0, "must fail", True))
    return claims


def fillings(images: Tensor, hole: Tensor, mean: Tensor) -> dict[str, Tensor]:
    """What needs no training: (N, C, H, W) uint8 with holes filled, by name. OpenCV's only where it is installed."""
    found = {"black": images.masked_fill(hole, 0), "the mean picture": torch.where(hole, mean, images)}
    try:
        import cv2
    except ImportError:
        return found
    for name, way in (("Telea", cv2.INPAINT_TELEA), ("Navier-Stokes", cv2.INPAINT_NS)):
        made = [
            torch.from_numpy(cv2.inpaint(image.permute(1, 2, 0).contiguous().numpy(), one.byte().numpy(), RADIUS, way))
            for image, one in zip(images, hole[:, 0], strict=True)
        ]
        found[name] = torch.stack(made).permute(0, 3, 1, 2)
    return found


def enlargements(small: Tensor, side: int = SIZE) -> dict[str, Tensor]:
    """(N, 3, h, w) uint8 -> (N, 3, side, side), by Pillow's filters."""

    def larger(image: Tensor, way: Image.Resampling) -> Tensor:
        drawn = picture(image).resize((side, side), way)
        return torch.frombuffer(bytearray(drawn.tobytes()), dtype=torch.uint8).view(side, side, 3).permute(2, 0, 1)

    return {name: torch.stack([larger(image, way) for image in small]) for name, way in ENLARGEMENTS.items()}


def drawn(given: Tensor, rows: Mapping[str, Tensor], step: int) -> Image.Image:
    """A sheet of every `step`-th picture, so that both kinds are there; 256 colours are enough to look at."""
    whole = {"what is given": given, **rows}
    return sheet({name: made[::step] for name, made in whole.items()}, 2 * SIZE, SHOWN).quantize(256)


FILLING = Task(
    "inpaint", "masked:free", {ALONE: 450, BOTH: 400, NOTHING: 450}, "PSNR in the hole, dB", "the mean picture",
    "Navier-Stokes", "photographs", {},
)  # fmt: skip
UPSCALING = tuple(
    Task("superres", f"reduced:{factor}", {ALONE: alone, BOTH: both}, "PSNR, dB", "nearest", "bicubic")
    for factor, alone, both in ((2, 125, 110), (4, 300, 270))
)
MEASURED = (
    "Figures are means over pictures; PSNR is over all pixels and channels of 8 bits. The layer distance is that of "
    "SqueezeNet's layers, unweighted (not LPIPS); the Fréchet distance, in the means of its last layer, is that of the "
    "restored pictures to the true ones: 0 for the truth itself, so that few pictures bias it little. The distance "
    "alone has the same network and batches, and more rounds, for about as many CPU seconds. Rounds and weights were "
    "chosen on a tenth of the pictures to learn from, and targets fixed before the held-out ones were looked at: a "
    "critic must cost PSNR and win in layers and as a set, and learning must beat all that needs none. "
)


def holes(seeds: int, effort: Effort) -> Result:
    """Free strokes filled in."""
    task, splits = FILLING, opened(FILLING.source)
    columns = splits["test"][torch.arange(len(splits["test"]))]
    hole = columns["source"][:, 3:] > 0
    truth = Truth(columns["image"], columns["source"], eyes(), hole)
    learnt = splits["train"][torch.arange(len(splits["train"]))]["image"]
    untaught = fillings(truth.image, hole, learnt.float().mean(0).round().byte())
    if task.rival not in untaught:  # OpenCV is not here
        task = replace(task, rival="the mean picture")
    found, rows = measured(task, untaught, truth, splits["train"], seeds, effort)
    claims = claims_of(task, found)
    if task is not FILLING:
        claims.append(Claim("Telea, Navier-Stokes", "not here: pip install sparring[peers]", [0.0], reference=True))
    text = (
        f"Photographs of daisies and sunflowers, {SIZE}x{SIZE}, {len(learnt):,} to learn from and {len(hole)} held "
        f"out, with holes of free strokes over {100 * float(hole.float().mean()):.0f} % of each on average. Telea and "
        f"Navier-Stokes are OpenCV's, radius {RADIUS}. {MEASURED}"
    )
    pictures = {"flowers-holes": [drawn(truth.source[:, :3], rows, len(hole) // SHOWN)]}
    return of_claims("flowers-holes", 208, "Inpainting photographs: flowers with holes", text, claims, pictures)


def upscale(seeds: int, effort: Effort) -> Result:
    """Twice and four times as high and wide."""
    claims, pictures, layers = [], {}, eyes()
    for task in UPSCALING:
        factor, splits = task.source[-1], opened(task.source)
        columns = splits["test"][torch.arange(len(splits["test"]))]
        truth = Truth(columns["image"], columns["source"], layers)
        found, rows = measured(task, enlargements(truth.source), truth, splits["train"], seeds, effort)
        claims += claims_of(task, found, f"x{factor}: ")
        pictures[f"flowers-x{factor}"] = [drawn(truth.source, rows, len(truth.image) // SHOWN)]
    text = (
        f"Photographs of daisies and sunflowers at {SIZE}x{SIZE} from a half and a quarter of their height and width "
        f"(antialiased bicubic), {len(splits['train']):,} to learn from and {len(truth.image)} held out; the "
        f"enlargements without training are Pillow's. {MEASURED}"
    )
    title = "Super-resolution of photographs: flowers twice and four times as large"
    return of_claims("flowers-upscale", 208, title, text, claims, pictures)
