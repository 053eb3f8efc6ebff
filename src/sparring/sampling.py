"""Samples of a game, from its averaged weights, without touching the state of training."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sparring.average import recalibrate
from sparring.config import UserError, did_you_mean
from sparring.data.kinds import KINDS, ready
from sparring.data.source import About, Source
from sparring.distributed import ALONE, World
from sparring.engine import State, device_of
from sparring.game import Game
from sparring.seeds import mix

CHUNK = 500


def for_sampling(
    game: Game, state: State, latents: int = 4 * CHUNK, pool: Source | None = None
) -> dict[str, nn.Module]:
    """Copies of the game's product: averaged where there are averages, frozen, in evaluation mode.

    Averaged weights get batch-norm statistics of their own, estimated on `latents` samples.
    """
    modules = {
        name: copy.deepcopy(state.averages.get(name, game.modules[name])).requires_grad_(False).eval()
        for name in game.product
    }
    if game.sample is not None and state.averages:
        recalibrate(modules.values(), lambda: generate(game, modules, draw(game, latents, seed=0, pool=pool)))
    return modules


def draw(
    game: Game,
    n: int,
    seed: int,
    label: int | None = None,
    pool: Source | None = None,
    own: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """What `n` samples are made from: a function of (n, seed, label, pool, own) alone, the same on every device.

    `pool`: samples of the data, for games that make theirs from columns of them; some come twice where they are few.
    `own`: such columns as the caller has, (n, ...) each.
    """
    own = own or {}
    if game.draw is None and not game.given:
        raise UserError("this recipe makes no samples")
    drawn = {} if game.draw is None else game.draw(n, torch.Generator().manual_seed(seed))
    if lacking := [name for name in game.given if name not in own]:
        if pool is None:
            raise UserError(f"this recipe makes samples from {', '.join(lacking)}: give it data that have them")
        columns = pool[chosen(pool, n, seed)]
        drawn |= {name: ready(columns[name]) for name in lacking}
    drawn |= own
    if label is not None:
        if "label" not in drawn:
            raise UserError(f"label={label}: this recipe's samples are not made by label; leave it out, or use cdcgan")
        drawn["label"] = torch.full((n,), label)
    return drawn


def chosen(pool: Source, n: int, seed: int) -> Tensor:
    """(n,) rows of a pool, each as often as any other."""
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    return order.repeat(-(-n // len(pool)))[:n]


def by_class(game: Game, classes: int, rows: int, seed: int) -> dict[str, Tensor]:
    """Latents for a grid of `rows`, one class per column; each row has one latent for all classes."""
    drawn = draw(game, rows, seed)
    latent = drawn["latent"].repeat_interleave(classes, dim=0)
    return {"latent": latent, "label": torch.arange(classes).repeat(rows)}


def generate(
    game: Game, modules: Mapping[str, Any], drawn: Mapping[str, Tensor], seed: int | None = None, world: World = ALONE
) -> Tensor:
    """Samples on the CPU, one per row of `drawn`: as networks give them.

    With a `seed` each part of `CHUNK` rows has random numbers of its own, for networks that make noise; then several
    processes may call this alike, work on other parts each, and have all of them.
    """
    n = len(next(iter(drawn.values())))
    count, made = -(-n // CHUNK), list[Tensor]()
    for first in range(0, count, world.size):
        number = min(first + world.rank, count - 1)  # at the end some do what others do
        part = {name: column[number * CHUNK : (number + 1) * CHUNK] for name, column in drawn.items()}
        mine = _part(game, modules, part, None if seed is None else mix(seed, number) if number else seed)
        if world.size == 1:
            made.append(mine)
            continue
        lacking = mine.new_zeros(min(CHUNK, n) - len(mine), *mine.shape[1:])
        made += world.gathered(torch.cat([mine, lacking]))
    return torch.cat(made)[:n]


@torch.no_grad()
def _part(game: Game, modules: Mapping[str, Any], part: Mapping[str, Tensor], seed: int | None) -> Tensor:
    assert game.sample is not None
    if seed is not None:
        torch.manual_seed(seed)
    device = device_of(game)
    return game.sample(modules, {name: column.to(device) for name, column in part.items()}).cpu()


def finished(samples: Tensor, about: About) -> Tensor:
    """As the data store them: pictures as uint8 (N, C, H, W), points as they are."""
    return KINDS[about.key].finished(samples)


def label_number(about: About, label: str | int) -> int:
    """The number of a class, given by name or number."""
    if not about.classes or about.invented:
        raise UserError(
            f"label={label}: this model was trained without labels; train the recipe cdcgan on a labelled set"
        )
    if str(label) in about.classes:
        return about.classes.index(str(label))
    if str(label).isdecimal() and int(label) < len(about.classes):
        return int(label)
    hint = did_you_mean(str(label), list(about.classes))
    raise UserError(f"label={label} is not one of {', '.join(about.classes)}{hint}")
