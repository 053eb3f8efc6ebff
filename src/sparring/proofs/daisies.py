"""Daisies made sunflowers and back, from photographs without pairs, and how near they come to real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.data import Data, open_data
from sparring.data.kinds import to_float, to_uint8
from sparring.data.loader import Augment
from sparring.machine import find_machine
from sparring.metrics.frechet import frechet_distance
from sparring.metrics.kernel import kernel
from sparring.metrics.linear import Linear, fitted
from sparring.metrics.perceptual import Layers
from sparring.proofs.emoji import kept
from sparring.proofs.flowers import PARTS, SEEDS, SHOWN, SIZE, away, drawn, eyes, features, looked
from sparring.proofs.play import played
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of
from sparring.runs import How

HELD_OUT = 0.25
MOST = 0.5
"""Of the kernel distance of untouched pictures, at most what may be left."""
HELD = f"at most {MOST:g} on every seed"
LEARNT, COMPARED = 200, 50
"""Pictures of each kind that the reader learns from; of translations that are compared with their sources."""
CHANGES: Mapping[str, Any] = {
    "width": 24, "critic_width": 24, "skip": True, "resize": True, "batch": 2, "rounds": 550, "cycle": 5.0,
    "augment": Augment(flip=True),
}  # fmt: skip
KINDS = ("daisy", "sunflower")
SPLITS = ("train", "test")
SHEETS = ("daisies-to-sunflowers", "sunflowers-to-daisies")
WAYS = {"daisies to sunflowers": (0, 1), "sunflowers to daisies": (1, 0)}
"""From which kind to which."""


@dataclass(frozen=True, eq=False)
class Kinds:
    """Both kinds, learnt from and held out, and who looks at them."""

    train: Sequence[Tensor]
    test: Sequence[Tensor]
    seen: Sequence[Tensor]
    """(N, d) features of the held-out ones."""
    floor: Sequence[Tensor]
    """Those of as many that are learnt from."""
    reader: Linear
    """Tells one kind from the other, having learnt it from real pictures."""
    layers: Layers


def file_of(kind: str) -> str:
    """Where its pictures are."""
    return kept("flowers", f"flowers-{kind}.zip")


def both_kinds(layers: Layers) -> Kinds:
    """As the class says."""
    sets = [open_data(Data(file_of(kind), SIZE, "rgb", test=HELD_OUT)) for kind in KINDS]
    train, test = ([found[split][torch.arange(len(found[split]))]["image"] for found in sets] for split in SPLITS)
    learnt = [features(looked(layers, pictures[:LEARNT])) for pictures in train]
    labels = torch.arange(2).repeat_interleave(torch.tensor([len(each) for each in learnt]))
    seen = [features(looked(layers, pictures)) for pictures in test]
    floor = [each[: len(held)] for each, held in zip(learnt, seen, strict=True)]
    return Kinds(train, test, seen, floor, fitted(torch.cat(learnt), labels, 2), layers)


def figures(made: Tensor, to: int, kinds: Kinds) -> dict[str, float]:
    """By name: how near pictures are to real ones of a kind, as a set and each by itself."""
    seen = made if made.ndim == 2 else features(looked(kinds.layers, made))
    return {
        "kernel distance": kernel(seen, kinds.seen[to]).value,
        "Fréchet distance": frechet_distance(seen, kinds.seen[to]),
        "read as that kind": float((kinds.reader(seen) == to).float().mean()),
    }


def recoloured(pictures: Tensor, learnt: Tensor, wanted: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> the same, colours of a kind stretched to those of another. Reinhard et al. 2001, in RGB.

    Mean and deviation of each channel, over all pictures of `learnt` and of `wanted`.
    """
    parts = [kind.double().transpose(0, 1).flatten(1) for kind in (learnt, wanted)]
    mean, deviation = zip(*((p.mean(1).view(3, 1, 1), p.std(1).view(3, 1, 1)) for p in parts), strict=True)
    made: Tensor = (pictures.double() - mean[0]) / deviation[0] * deviation[1] + mean[1]
    return made.round().clamp(0, 255).byte()


def translated(preset: Mapping[str, Any], kinds: Kinds, seed: int, effort: Effort) -> tuple[list[Tensor], float]:
    """(held-out daisies as sunflowers and sunflowers as daisies, CPU seconds of training)."""
    settings = Data(file_of(KINDS[1]), SIZE, "rgb", source=file_of(KINDS[0]), test=HELD_OUT)
    changes = dict(preset) if effort == "full" else {**preset, "rounds": 6}
    machine = find_machine(How(device="cpu", threads=1), "image")
    run = played("cyclegan", None, changes, open_data(settings)["train"], seed, machine)
    made = []
    for network, (here, _) in zip(("to image", "to source"), WAYS.values(), strict=True):
        with torch.no_grad():
            parts = [run.modules[network](to_float(part)) for part in torch.split(kinds.test[here], PARTS)]
        made.append(to_uint8(torch.cat(parts)))
    return made, run.cpu_seconds


def kept_by(made: Tensor, given: Tensor, layers: Layers) -> float:
    """Layer distance of pictures to what they were made from, times that to what others were made from."""
    given, seen = given[:COMPARED], looked(layers, made[:COMPARED])
    return away(seen, looked(layers, given)) / away(seen, looked(layers, given.roll(1, 0)))


def way_of(way: str, kinds: Kinds, runs: Sequence[Sequence[Tensor]]) -> list[Claim]:
    """One direction: the floor, what needs no training as controls, and the translators of every seed."""
    here, there = WAYS[way]
    number = list(WAYS).index(way)
    untouched = kinds.test[here]
    cases = {
        "real ones that were learnt from": [figures(kinds.floor[there], there, kinds)],
        "untouched": [figures(kinds.seen[here], there, kinds)],
        "recoloured": [figures(recoloured(untouched, kinds.train[here], kinds.train[there]), there, kinds)],
        "cyclegan": [
            {**figures(made[number], there, kinds), KEPT: kept_by(made[number], untouched, kinds.layers)}
            for made in runs
        ],
    }
    claims = [
        Claim(f"{way}: {case}", figure, [one[figure] for one in each], reference=True)
        for case, each in cases.items() for figure in each[0]
    ]  # fmt: skip
    plain = cases["untouched"][0]["kernel distance"]
    for case, target, control in (("cyclegan", HELD, False), ("recoloured", "must fail", True)):
        values = [one["kernel distance"] / plain for one in cases[case]]
        claims.append(Claim(f"{way}: {case}", NEARER, values, float("-inf"), MOST, target, control))
    return claims


def proof(seeds: int, effort: Effort) -> Result:
    """Daisies to sunflowers and back, without pairs."""
    kinds = both_kinds(eyes())
    runs = [translated(CHANGES, kinds, seed, effort) for seed in seeds_of(min(seeds, SEEDS))]
    claims = [claim for way in WAYS for claim in way_of(way, kinds, [made for made, _ in runs])]
    claims.append(Claim("cyclegan", "CPU seconds", [seconds for _, seconds in runs], reference=True))
    pictures = {
        name: [drawn(kinds.test[here], {"made": made, "and of the last seed": other}, len(made) // SHOWN)]
        for name, (here, _), made, other in zip(SHEETS, WAYS.values(), runs[0][0], runs[-1][0], strict=True)
    }
    learnt, held = (" and ".join(str(len(each)) for each in part) for part in (kinds.train, kinds.test))
    text = (
        f"Photographs of daisies and sunflowers at {SIZE}x{SIZE}: {learnt} to learn from, without pairs, {held} "
        "held out. Translations of held-out pictures of the one kind are compared with held-out ones of the other"
        " in the means of SqueezeNet's last layer, by the kernel distance (KID's, unbiased): a Fréchet distance "
        "of two hundred pictures in 512 dimensions is mostly bias, see its floor, and stands here for reference. "
        "The floor is that of as many real pictures that were learnt from. Untouched pictures say how far the "
        "kinds are apart, and those whose colours alone are brought to the mean and deviation of the other kind "
        "are the control. The reader is a linear classifier of the same features. Settings were chosen, and "
        "targets fixed, before held-out pictures were looked at."
    )
    return of_claims("daisies", 212, "Translation without pairs: daisies and sunflowers", text, claims, pictures)


KEPT = "layer distance to its own source, times that to another's"
NEARER = "kernel distance, times that of untouched ones"
