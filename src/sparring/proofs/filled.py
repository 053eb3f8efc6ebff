"""The world of shapes from its outlines: every picture's truth is known, and what was made is read exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sparring import show
from sparring.data import Data, open_data, shapes
from sparring.data.kinds import to_float
from sparring.optimizers import Adam
from sparring.proofs.play import FAST, played
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of

NETWORKS: Mapping[str, Any] = {
    "rounds": 4000, "batch": 64, "width": 16, "critic_width": 16, "critic_layers": 2, "norm": "batch", "dropout": 0.0,
    "squares": True, "fine": True, "generator": Adam(2e-3, 0.9, 0.99), "discriminator": Adam(1e-3, 0.5, 0.99),
}  # fmt: skip
BEGIN = 0.75
"""Share of the run in which pix2pix too learns by the distance alone."""
TOLD = tuple(name for name in shapes.FACTORS if name != "colour")
"""What outlines say."""
AWAY = "away from the nearest picture of the world, grey levels"


def filled(seeds: int, effort: Effort) -> Result:
    """Outlines to pictures of the world, each held against its own truth."""
    splits = open_data(Data(data="shapes", source="edges"))
    held_out = splits["test"][torch.arange(len(splits["test"]) if effort == "full" else 200)]
    source, truth, factors = held_out["source"], held_out["image"], held_out["factors"]

    def read(made: Tensor) -> dict[str, float]:
        fit = shapes.fit(made)
        right = (fit.factors == factors).float().mean(0)
        found = {name: float(right[shapes.FACTORS.index(name)]) for name in shapes.FACTORS}
        off = (made.float() - truth.float()).abs().mean()
        return {**found, AWAY: float(fit.error.mean()), "mean difference, grey levels": float(off)}

    found, shown = {}, [source[:16]]
    cases: Mapping[str, tuple[str, Mapping[str, Any]]] = {
        "pix2pix": ("tuned", {"begin": BEGIN}), "the distance alone": ("distance", {})
    }  # fmt: skip
    for case, (preset, more) in cases.items():
        found[case] = list[dict[str, float]]()
        for seed in seeds_of(seeds):
            changes = {**NETWORKS, **more} if effort == "full" else {**NETWORKS, **more, "rounds": 10}
            run = played("pix2pix", preset, changes, splits["train"], seed, FAST)
            made = run.made({"source": to_float(source)})
            found[case].append({**read(made), "CPU seconds": run.cpu_seconds})
            if len(found[case]) == 1:
                shown.append(made[:16])
    outlines = read(source.expand_as(truth))
    claims = [Claim("the outlines as they are", name, [outlines[name]], 0.95, 1, "must fail", True) for name in TOLD]
    blurred = min(each[AWAY] for each in found["the distance alone"])
    for case, rows in found.items():
        for name in rows[0]:
            values, ours = [each[name] for each in rows], case == "pix2pix"
            if ours and name in TOLD:
                claims.append(Claim(case, name, values, 0.95, 1, "at least .95 on every seed"))
            elif ours and name == AWAY:
                claims.append(Claim(case, name, values, 0, blurred, "less than the distance alone, on every seed"))
            else:
                claims.append(Claim(case, name, values, reference=True))
    text = (
        f"The world of shapes, 32x32, from its Sobel outlines, grey, which say the colour by how strong they are; "
        f"{len(truth):,} pictures that training did not see, read back by the formula that draws the world. Squared "
        "differences: absolute ones are least where nothing is drawn, for the ground is the median of the colours, and "
        "stayed there for 2,500 rounds. A U-Net with maps at full size; the critic joins in the last quarter, for from "
        "the start it made everything worse. In the picture: outlines, pix2pix, the distance alone, the truth."
    )
    sheet = show.enlarged(show.below_each_other([*shown, truth[:16]], 8))
    return of_claims(
        "filled", 206, "Translation with pairs: shapes from their outlines", text, claims, {"filled": [sheet]}
    )
