"""Emoji: the design of 2017 redrawn as that of today, and pictures by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring import show
from sparring.config import UserError
from sparring.data import Data, Source, open_data, subset
from sparring.data.kinds import to_float
from sparring.data.source import names_of
from sparring.metrics.extractors import layers_named
from sparring.metrics.pairs import pair_scores
from sparring.metrics.perceptual import layer_distance
from sparring.proofs.play import played
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of

ALONE = re.compile(r"emoji_u[0-9a-f]+\.png")
"""Emoji of one code point: those of another skin or sex are nearly the same picture."""


def kept(folder: str, file: str) -> str:
    """The path of a file of a set that is not downloaded; `UserError` where it is not there."""
    path = Path(os.environ.get("SPARRING_DATA", ".")).expanduser() / folder / file
    if not path.is_file():
        raise UserError(f"{path} is not there: set SPARRING_DATA to the folder that holds {folder}/{file}")
    return str(path)


def alone(source: Source) -> Source:
    """Only the emoji of one code point."""
    rows = [row for row, name in enumerate(names_of(source.base)) if ALONE.fullmatch(name)]  # type: ignore[attr-defined]
    return subset(source, torch.tensor(rows))


NETWORKS: Mapping[str, Any] = {"rounds": 1500, "batch": 16, "width": 24, "critic_width": 24, "critic_layers": 2}


def redrawn(seeds: int, effort: Effort) -> Result:
    """Emoji of 2017 drawn as today's, held-out ones against their own truth."""
    data = Data(
        data=kept("noto-emoji", "noto-emoji-png128.zip"), size=32, color="rgb", paired=True,
        source=kept("noto-emoji", "noto-emoji-blob2017-png128.zip"),
    )  # fmt: skip
    splits = {name: alone(split) for name, split in open_data(data).items()}
    held_out = splits["test"][torch.arange(len(splits["test"]))]
    source, truth = held_out["source"], held_out["image"]
    layers = layer_distance(layers_named(f"squeezenet:{kept('featnets', 'squeezenet10_imagenet_bsd.safetensors')}"))

    def scored(made: Tensor) -> dict[str, float]:
        with torch.no_grad():
            far = float(layers(to_float(made), to_float(truth)).mean())
        return {**{name: found.value for name, found in pair_scores(made, truth).items()}, "layer distance": far}

    as_it_is = scored(source)
    low, high = {"ssim": as_it_is["ssim"]}, {name: as_it_is[name] for name in ("l1", "layer distance")}
    claims = [Claim("2017, as it is", name, [value], reference=True) for name, value in as_it_is.items()]
    rows, shown = {}, [source[:16]]
    for preset in ("tuned", "distance"):
        found = []
        for seed in seeds_of(seeds):
            changes = NETWORKS if effort == "full" else {**NETWORKS, "rounds": 10}
            run = played("pix2pix", preset, changes, splits["train"], seed)
            made = run.made({"source": to_float(source)})
            found.append({**scored(made), "CPU seconds": run.cpu_seconds})
            if len(found) == 1:
                shown.append(made[:16])
        rows[preset] = found
    bars = {
        "tuned": {"l1": (0.0, high["l1"]), "layer distance": (0.0, high["layer distance"])},
        "distance": {"l1": (0.0, high["l1"]), "ssim": (low["ssim"], 1.0)},
    }
    for preset, found in rows.items():
        for name in found[0]:
            held = bars[preset].get(name)
            target = "better than as it is, on every seed" if held else ""
            values, (least, most) = [each[name] for each in found], held or (0.0, 1.0)
            case = "pix2pix" if preset == "tuned" else "the distance alone"
            claims.append(Claim(case, name, values, least, most, target, reference=held is None))
    text = (
        f"Emoji of one code point that both designs have, {len(splits['train'])} to learn from, {len(truth)} held out, "
        "32x32 on white. Mean absolute difference in grey levels, PSNR, SSIM, and the distance in the layers of "
        "SqueezeNet (unweighted; not LPIPS). In the picture: 2017, pix2pix, the distance alone, today."
    )
    sheet = show.enlarged(show.below_each_other([*shown, truth[:16]], 8))
    return of_claims("emoji", 207, "Translation with pairs: emoji of 2017 as today's", text, claims, {"emoji": [sheet]})
