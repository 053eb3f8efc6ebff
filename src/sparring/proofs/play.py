"""A training without a run folder, for proofs on sources of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sparring import recipes, sampling, training
from sparring.data import About, Data, Source
from sparring.data.loader import batches
from sparring.engine import Round, Train, start, train
from sparring.game import Game
from sparring.machine import Machine
from sparring.runs import How, Plan

CPU = Machine(torch.device("cpu"), "cpu", "float32", 1)
FAST = Machine(torch.device("cpu"), "cpu", "bfloat16", 1)


@dataclass(frozen=True, eq=False)
class Played:
    """A trained game."""

    game: Game
    modules: Mapping[str, Any]
    """For sampling."""
    about: About
    cpu_seconds: float

    def made(self, drawn: Mapping[str, Tensor]) -> Tensor:
        """uint8 pictures of what is drawn."""
        return sampling.finished(sampling.generate(self.game, self.modules, drawn), self.about)


def played(
    recipe: str,
    preset: str | None,
    changes: Mapping[str, Any],
    source: Source,
    seed: int,
    machine: Machine = CPU,
    other: Callable[[Game], Game] = lambda game: game,
    watch: Callable[[Game, Round], None] | None = None,
) -> Played:
    """The recipe's game on the source, with `changes` of the preset, on one thread.

    For controls, made `other`; `watch` sees every round.
    """
    module = recipes.find(recipe)
    name, config = recipes.preset(module, preset)
    config = replace(config, **changes)
    learnt = module.data(config, source)
    game = other(training.assemble(Plan(recipe, name, config, Data(), How(seed=seed)), learnt.about, machine))
    stream = batches(learnt, config.batch, seed, augment=getattr(config, "augment", None))
    settings = Train(config.rounds, seed, machine.precision, check_every=500)
    begin, record = time.process_time(), None if watch is None else partial(watch, game)
    state = train(game, stream, settings, start(game), record)
    spent = time.process_time() - begin
    return Played(game, sampling.for_sampling(game, state, latents=1000, pool=learnt), learnt.about, spent)
