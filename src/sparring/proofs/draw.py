"""The pictures of docs/divergences.md, drawn from what the proofs measured.

Curves need matplotlib (`pip install 'sparring[pictures]'`); without it proofs leave their tables alone.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sparring import show
from sparring.objectives import OBJECTIVES

COLOURS = ("#de631a", "#2563a8", "#3a8f4d", "#8a4fbf", "#b8860b", "#c2185b", "#00838f")


def where_possible(make: Callable[[], Mapping[str, Sequence[Image.Image]]]) -> Mapping[str, Sequence[Image.Image]]:
    """What `make` draws; nothing where matplotlib is missing: no figure is lost for want of a picture."""
    return make() if importlib.util.find_spec("matplotlib") else {}


def axes(title: str, across: str, up: str, count: int = 1) -> tuple[Any, list[Any]]:
    """A figure with so many plots beside each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * count, 3.6), dpi=110, layout="constrained")
    plots = [figure.add_subplot(1, count, i + 1) for i in range(count)]
    for plot in plots:
        plot.grid(alpha=0.25)
        plot.spines[["top", "right"]].set_visible(False)
        plot.set_xlabel(across)
        plot.set_ylabel(up)
    figure.suptitle(title, fontsize=11)
    return figure, plots


def drawn(figure: Any) -> Image.Image:
    """The figure as a picture."""
    held = io.BytesIO()
    figure.savefig(held, format="png")
    return Image.open(io.BytesIO(held.getvalue())).convert("RGB")


def lines(distances: Sequence[float], values: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Image.Image:
    """(estimates, gradients) by divergence against the distance of two lines."""
    figure, (left, right) = axes("Two lines that do not overlap", "distance", "", 2)
    for colour, (name, (estimates, slopes)) in zip(COLOURS, values.items(), strict=False):
        left.plot(distances, estimates, "o-", color=colour, label=name)
        right.plot(distances, slopes, "o-", color=colour, label=name)
    left.set_ylabel("what the critic measures")
    right.set_ylabel("gradient that the generator feels")
    right.set_yscale("log")
    left.legend(frameon=False)
    return drawn(figure)


def pulls(names: Sequence[str]) -> Image.Image:
    """Each generator's loss by the score of a fake, and how hard it pulls."""
    figure, (left, right) = axes("What a fake sample costs its maker", "score of the fake (real scores: 2)", "", 2)
    for colour, name in zip(COLOURS, names, strict=False):
        fake = torch.linspace(-6, 4, 201, requires_grad=True)
        objective = OBJECTIVES[name]
        real = torch.full_like(fake, 2.0 if objective.paired else float("nan"))
        loss = objective.generator(real, fake)
        (slope,) = torch.autograd.grad(loss.sum(), fake)
        left.plot(fake.detach(), loss.detach(), color=colour, label=name)
        right.plot(fake.detach(), -slope, color=colour, label=name)
    left.set_ylim(-6, 8)
    right.set_ylim(-0.05, 2.2)
    left.set_ylabel("loss")
    right.set_ylabel("pull towards higher scores")
    left.legend(frameon=False, fontsize=8)
    return drawn(figure)


def fits(x: Tensor, target: Tensor, models: Mapping[str, Tensor]) -> Image.Image:
    """Densities on the line: the target, and the Gaussian that each divergence prefers."""
    figure, (plot,) = axes("One Gaussian fitted to two", "x", "density")
    plot.fill_between(x, target, color="#c9ced6", label="data")
    for colour, (name, density) in zip(COLOURS, models.items(), strict=False):
        plot.plot(x, density, color=colour, label=name)
    plot.set_xlim(-5, 7)
    plot.legend(frameon=False, fontsize=8)
    return drawn(figure)


def duel(real: Tensor, frames: Mapping[str, Sequence[Tensor]], rounds: Sequence[int]) -> list[Image.Image]:
    """Samples over time, a panel per method: the frames of an animation."""
    side, gap, head = 300, 8, 44
    shown = []
    for index, number in enumerate(rounds):
        sheet = Image.new("RGB", (len(frames) * (side + gap) - gap, side + head), "white")
        pen = ImageDraw.Draw(sheet)
        for column, (name, points) in enumerate(frames.items()):
            panel = show.scatter(real, points[index]).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(panel, (column * (side + gap), head))
            pen.text((column * (side + gap) + 6, 6), name, fill="black", font_size=15)
        pen.text((6, 25), f"round {number:,}", fill="#666666", font_size=13)
        shown.append(sheet)
    return shown
