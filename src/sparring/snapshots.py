"""What a run shows of itself now and then: pictures, points, lines of text, spectrograms to be heard, clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from sparring import sampling, show
from sparring.data.source import About, Source
from sparring.data.words import written
from sparring.game import Game
from sparring.nn.signal import heard

MOST_DOMAINS = 10
"""Rows of a sheet of translations."""
SEED = 1
FEW = 16
"""Samples of kinds that take time to look at."""
HEARD = 2
"""Rows of spectrograms that are heard."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture, or lines of text."""

    sheet: Image | None = None
    columns: int = 1
    rows: int = 1
    text: str = ""
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Further files by suffix: what cannot be seen on a picture."""


def shown(game: Game, modules: Mapping[str, Any], about: About, pool: Source, source: Source) -> Shown | None:
    """Samples of latents that stay the same all through a run; None of what no picture could show.

    `pool`: held-out samples that others are made from; `source`: the training split.
    """
    if about.key == "point":
        if about.shape != (2,):
            return None
        fake = sampling.generate(game, modules, sampling.draw(game, 1000, SEED))
        return Shown(show.scatter(source[torch.arange(min(1000, len(source)))]["point"], fake))
    if game.given:
        return _translated(game, modules, about, pool)
    columns, rows, drawn = latents(game, about)
    made = sampling.finished(sampling.generate(game, modules, drawn), about)
    return of_samples(made, about, columns, rows)


def of_samples(made: Tensor, about: About, columns: int, rows: int) -> Shown:
    """Samples as the data store them, (N, ...), in rows of `columns`."""
    if about.key == "text":
        return Shown(text="\n".join(written(made, about)))
    if about.key == "sound":
        sheet = show.grid(show.spectrograms(made), columns, 2)
        return Shown(sheet, columns, rows, beside={"wav": show.wave_file(show.one_after_another(made), about.rate)})
    if about.key == "clip":
        sheet = show.grid(show.frames(made), made.shape[2])
        moving = show.moving(made, columns, about.rate)
        return Shown(sheet, made.shape[2], len(made), beside={"gif": moving})
    if about.hop:
        sound = show.one_after_another(heard(made[: HEARD * columns], about))
        return Shown(show.grid(made, columns), columns, rows, beside={"wav": show.wave_file(sound, about.rate)})
    return Shown(show.grid(made, columns), columns, rows)


def latents(game: Game, about: About) -> tuple[int, int, dict[str, Tensor]]:
    """(columns, rows, what to draw): a column per class where classes mean something and fit, else a square."""
    classes, many = len(about.classes), about.key == "image"
    by_label = "label" in sampling.draw(game, 1, SEED)
    if by_label and not about.invented and classes <= 16:
        rows = 8 if many else 2
        return classes, rows, sampling.by_class(game, classes, rows, SEED)
    return (8, 8, sampling.draw(game, 64, SEED)) if many else (4, 4, sampling.draw(game, FEW, SEED))


def _translated(game: Game, modules: Mapping[str, Any], about: About, pool: Source) -> Shown:
    """Held-out sources, below each what is made of it, and the truth where there is one.

    Where there are several domains to go to, a row for each.
    """
    columns = pool[sampling.chosen(pool, FEW, SEED)]
    drawn = sampling.draw(game, FEW, SEED, pool=pool)
    domains: Sequence[int | None] = range(min(len(about.classes), MOST_DOMAINS)) if "label" in drawn else [None]
    stacks = [_seen(columns["source"], about)] if "source" in columns else []
    for domain in domains:
        to = {} if domain is None else {"label": torch.full((FEW,), domain)}
        stacks.append(sampling.finished(sampling.generate(game, modules, {**drawn, **to}), about))
    if about.paired or about.caption or about.key in game.given or pool.about.paired:
        stacks.append(columns[about.key])
    if about.key == "text":
        told = [written(stack, about) for stack in stacks]
        if "source" in columns:
            told[0] = written(columns["source"], replace(about, vocabulary=about.source_vocabulary))
        return Shown(text="\n\n".join("\n".join(each) for each in zip(*told, strict=True)))
    if about.key in ("sound", "clip"):
        return of_samples(torch.cat(stacks), about, FEW, len(stacks))
    return Shown(show.below_each_other(stacks, 8), 8, len(stacks) * FEW // 8)


def _seen(source: Tensor, about: About) -> Tensor:
    """A source as a picture: a hole shows gray, so its mask is not needed."""
    return source[:, :-1] if about.masked else source
