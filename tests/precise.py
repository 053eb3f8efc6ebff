"""A batch in shards against the whole batch, in float64 and with the same random numbers.

By design each shard has random numbers of its own. To compare the arithmetic alone, the whole batch is played first
and its draws are kept; then the shards are dealt their rows of them. Steps are those of plain gradient descent: Adam's
first ones are nearly signs, and would turn a last bit of a gradient that is nothing into a whole step.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sparring import engine, training
from sparring.data import Source
from sparring.distributed import WHOLE, Shards
from sparring.game import Batch, Game
from sparring.runs import Plan
from tests.cases import CPU

ROUNDS, RATE = 2, 1e-3


class Precise(TorchFunctionMode):
    """`.float()`, which lifts losses out of half precision and counts into numbers, gives float64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.float:
            return args[0].double()
        return func(*args, **(kwargs or {}))


class Tape(TorchDispatchMode):
    """Draws from torch's own stream: kept while the whole batch is played, dealt out by rows when shards are."""

    def __init__(self, rows: int, parts: int) -> None:
        super().__init__()
        self.rows, self.parts = rows, parts
        """Of the whole batch; into how many it will be cut."""
        self.kept: dict[tuple[int, int], list[Tensor]] = {}
        self.place, self.shard, self.number = (0, 0), -1, 0

    def at(self, place: tuple[int, int], shard: int) -> None:
        """What is drawn from now on is of this (round, turn); `shard` -1 is the whole batch."""
        self.place, self.shard, self.number = place, shard, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        drawn = func(*args, **kwargs)
        if func is torch.ops.aten.native_dropout.default:
            mask = self.heard(drawn[1])
            return args[0] * mask / (1 - args[1]), mask
        if not isinstance(drawn, Tensor):  # attention, which could drop out and does not
            return drawn
        value = self.order(len(drawn)) if "randperm" in func.name() else self.heard(drawn)
        return drawn.copy_(value) if func._schema.is_mutable else value

    def heard(self, drawn: Tensor) -> Tensor:
        """What the draw is to be instead."""
        if self.shard < 0:
            self.kept.setdefault(self.place, []).append(drawn.clone())
            return drawn
        whole = self.kept[self.place][self.number]
        self.number += 1
        unlike = [d for d in range(whole.ndim) if whole.shape[d] != drawn.shape[d]]
        if not unlike:
            return whole
        (along,) = unlike
        blocks = whole.shape[along] // self.rows or 1  # real and fake in one pass, say
        return whole.unflatten(along, (blocks, self.parts, -1)).select(along + 1, self.shard).flatten(along, along + 1)

    def order(self, count: int) -> Tensor:
        """(count,) an order of rows: in the whole batch within those of each shard, so that shards can follow it."""
        if self.shard < 0:
            places = torch.arange(count)
            if count % self.parts == 0:
                of_shards = places.view(count // self.rows or 1, self.parts, -1).transpose(0, 1).flatten(1).clone()
                orders = torch.stack([torch.randperm(of_shards.shape[1]) for _ in of_shards])
                places[of_shards] = of_shards.gather(1, orders)
                self.kept.setdefault(self.place, []).append(orders)
            self.kept.setdefault(self.place, []).append(places)
            return places
        orders, places = self.kept[self.place][self.number : self.number + 2]
        self.number += 2
        return places if len(places) == count else orders[self.shard]


@contextlib.contextmanager
def told(tape: Tape) -> Iterator[None]:
    """Within it the engine tells the tape whose turn it is."""
    turns = engine.Turns
    seed, turn = turns.seed, turns.turn

    def seeded(self: engine.Turns, shard: int) -> None:
        tape.at((self.round, self.number), shard if self.settings.shards.count > 1 else -1)
        seed(self, shard)

    def taken(self: engine.Turns, *given: Any) -> Any:
        tape.at((self.round, self.number + 1), -1)
        return turn(self, *given)

    turns.seed, turns.turn = seeded, taken  # type: ignore[method-assign]
    try:
        yield
    finally:
        turns.seed, turns.turn = seed, turn  # type: ignore[method-assign]


def in_doubles(plan: Plan, source: Source) -> Game:
    """The game in float64, without averages, and its players by plain gradient descent."""
    game = training.assemble(plan, source.about, CPU)
    plain: dict[int, torch.optim.Optimizer] = {}
    for player in game.players:
        owned = [p for group in player.optimizer.param_groups for p in group["params"]]
        plain.setdefault(id(player.optimizer), torch.optim.SGD(owned, RATE))
    players = [dataclasses.replace(player, optimizer=plain[id(player.optimizer)]) for player in game.players]
    return dataclasses.replace(game, players=players, average=None, on_round=None)


def doubled(batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        yield {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}


def played(plan: Plan, source: Source, shards: Shards, tape: Tape) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses of two rounds, the second with all players who begin later, and how far each weight went."""
    game = in_doubles(plan, source)
    before = {name: p.detach().clone() for name, p in weights(game)}
    state = engine.start(game)
    state.round = max(0, max(player.start for player in game.players) - 1)
    end, losses = state.round + ROUNDS, dict[str, float]()
    settings = engine.Train(plan.model.rounds, check_every=1, shards=shards)
    batches = doubled(training.stream(plan, source, CPU, 0, shards.world))
    with told(tape), tape:
        for done in engine.rounds(game, batches, settings, state):
            assert done.losses is not None
            losses |= {f"{done.state.round}/{name}": value for name, value in done.losses.values.items()}
            if done.state.round == end:
                break
    return losses, {name: p.detach() - before[name] for name, p in weights(game)}


def weights(game: Game) -> list[tuple[str, nn.Parameter]]:
    return [(f"{of}/{name}", p) for of, module in game.modules.items() for name, p in module.named_parameters()]


def apart(plan: Plan, source: Source, shards: Shards) -> dict[str, float]:
    """How far shards are from the whole batch: the largest difference of a term, and of a weight's way.

    Both in units of what they are of: terms where they are larger than 1, ways as shares of their tensor's longest.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        tape = Tape(plan.model.batch, shards.count)
        with Precise():
            losses, way = played(plan, source, WHOLE, tape)
            ours, our_way = played(plan, source, shards, tape)
    finally:
        torch.set_default_dtype(before)
    unsteady = ("sign", "accuracy", *engine.MEASURED)  # jump with the last bit; or tell the same as the weights' way
    terms = {name: abs(value - losses[name]) / max(1.0, abs(value)) for name, value in ours.items()}
    terms = {name: value for name, value in terms.items() if not name.endswith(unsteady)}
    longest = max(float(moved.abs().max()) for moved in way.values())
    ways = {name: float((our_way[name] - moved).abs().max()) for name, moved in way.items()}
    worst = max(ways, key=lambda name: ways[name])
    return {max(terms, key=lambda name: terms[name]): max(terms.values()), worst: ways[worst] / longest}
