"""The only training loop in the package. It does not know what a GAN is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from sparring.average import follow, shadow
from sparring.distributed import WHOLE, Shards, check_alike, stream
from sparring.game import Batch, Game, Loss, Player
from sparring.seeds import mix

Precision = Literal["float32", "bfloat16"]


class NonFiniteLossError(Exception):
    """A loss became NaN or infinite; says which term of which player, when, and what to try."""


@dataclass(frozen=True)
class Train:
    """How long and how precisely; what is learnt is the game's affair."""

    rounds: int
    seed: int = 0
    precision: Precision = "float32"
    check_every: int = 10
    """Rounds between looks at the losses. Each look waits for the device, so it is not done every round."""
    shards: Shards = WHOLE
    """Parts of a batch; with 1, all randomness of a round comes from one stream."""


@dataclass
class State:
    """What training adds to the modules and optimizers: with it, a run goes on as if it had never stopped."""

    round: int = 0
    """Rounds done."""
    drawn: int = 0
    """Batches taken from the source."""
    averages: dict[str, nn.Module] = field(default_factory=dict)


@dataclass(frozen=True)
class Losses:
    """Means of every term over the rounds since the last look, by `player/term`."""

    values: Mapping[str, float]


@dataclass(frozen=True)
class Round:
    """Handed out after each round."""

    state: State
    losses: Losses | None
    """Every `check_every` rounds and after the last one."""


def device_of(game: Game) -> torch.device:
    """Where the game's first parameter lives."""
    return next(p.device for module in game.modules.values() for p in module.parameters())


def start(game: Game, state: State | None = None) -> State:
    """A state for a new game, or the given one with all averages: they begin as copies of the live modules."""
    state = state or State()
    for name in game.product if game.average is not None else ():
        if name not in state.averages:
            state.averages[name] = shadow(game.modules[name])
    return state


@dataclass(frozen=True)
class Reach:
    """What a player may move, and what it may not: walked once, not in every turn."""

    owned: Sequence[Tensor]
    others: Sequence[Tensor]


def reach(game: Game, player: Player) -> Reach:
    """`owned` are the optimizer's parameters, `others` all other parameters of the game that learn at all."""
    owned = [p for group in player.optimizer.param_groups for p in group["params"]]
    ids = {id(p) for p in owned}
    others = [p for m in game.modules.values() for p in m.parameters() if id(p) not in ids and p.requires_grad]
    return Reach(owned, others)


@contextlib.contextmanager
def frozen(others: Sequence[Tensor]) -> Iterator[None]:
    """No work is spent on what may not move."""
    for p in others:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in others:
            p.requires_grad_(True)


def update(
    game: Game,
    player: Player,
    batch: Batch,
    precision: Precision = "float32",
    within: Reach | None = None,
    measure: bool = False,
) -> Loss:
    """One turn: differentiate the sum of the player's terms with respect to what it owns, and step.

    `measure` also watches `gradient norm`, `update ratio` (the length of the step over that of the weights),
    `weight size` (the root mean square of a weight) and `dead share` (of its weights, in layers without a gradient).
    """
    within = within or reach(game, player)
    return step(game, player, differentiated(game, player, batch, precision, within), within, measure)


def differentiated(game: Game, player: Player, batch: Batch, precision: Precision, within: Reach) -> Loss:
    """The player's loss; what it owns has the gradient."""
    with frozen(within.others):
        loss = loss_of(game, player, batch, precision)
        # backward, not grad: it lays gradients out like their parameters, which the fused optimizers rely on
        torch.autograd.backward(sum_of(loss.terms, player.name), inputs=within.owned)
    return loss


def loss_of(game: Game, player: Player, batch: Batch, precision: Precision) -> Loss:
    """The player's loss, in the precision of products that is asked for."""
    with autocast(game, precision):
        return player.loss(batch)


def step(game: Game, player: Player, loss: Loss, within: Reach, measure: bool) -> Loss:
    """Move what the player owns by the gradients that are there."""
    moved = Moved(within.owned) if measure else None
    player.optimizer.step()
    player.optimizer.zero_grad(set_to_none=True)
    if moved is not None:
        loss = replace(loss, watch={**loss.watch, **moved.by()})
    if player.after is not None:
        with torch.no_grad():
            player.after(loss)
    return loss


@dataclass
class Turns:
    """The turns of one round, on this process's shards of every batch."""

    game: Game
    settings: Train
    round: int
    number: int = 0
    """Turns so far: each shard has a stream of random numbers in every turn."""

    def seed(self, shard: int) -> None:
        """The stream of this process's n-th shard; that of `after` is the one past all shards."""
        shards = self.settings.shards
        if shards.count > 1:  # else the round's own stream goes on
            seed(stream(mix(self.settings.seed, self.round), self.number, shard), device_of(self.game))

    def prepared(self, parts: Sequence[Batch]) -> list[Batch]:
        """The shards with what players share added."""
        self.number += 1

        def work(n: int) -> Batch:
            self.seed(self.settings.shards.mine[n])
            return prepared(self.game, parts[n], self.settings.precision)

        made = self.settings.shards.each(self.game.modules.values(), work)
        self.settings.shards.settle(self.game.modules.values())
        return made

    def turn(self, player: Player, parts: Sequence[Batch], within: Reach, measure: bool) -> Loss:
        """One step of a player by the mean of all shards' losses."""
        shards, precision = self.settings.shards, self.settings.precision
        self.number += 1
        if shards.count == 1:
            return update(self.game, player, parts[0], precision, within, measure)

        def work(n: int) -> tuple[Loss, list[bool], Tensor]:
            self.seed(shards.mine[n])
            loss = loss_of(self.game, player, parts[n], precision)
            # not backward: shards that are worked on at the same time must not add to the same gradients
            gradients = torch.autograd.grad(sum_of(loss.terms, player.name), list(within.owned), allow_unused=True)
            names = Loss(*({name: v.detach() for name, v in each.items()} for each in (loss.terms, loss.watch)))
            return names, [g is not None for g in gradients], flat(loss, gradients, within.owned)

        with frozen(within.others):
            found = shards.each(self.game.modules.values(), work)
        there = [any(each) for each in zip(*(flags for _, flags, _ in found), strict=True)]
        loss = spread(shards.mean([vector for _, _, vector in found]), found[0][0], within.owned, there)
        self.seed(shards.count)
        loss = step(self.game, player, loss, within, measure)
        shards.settle(self.game.modules.values())
        return loss


def flat(loss: Loss, gradients: Sequence[Tensor | None], owned: Sequence[Tensor]) -> Tensor:
    """(all numbers,) gradients, which of them there are, terms, and what is watched: in the parameters' precision."""
    kind, device = owned[0].dtype, owned[0].device
    parts = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, owned, strict=True)]
    there = torch.tensor([float(g is not None) for g in gradients]).to(device, non_blocking=True)
    values = [there, *loss.terms.values(), *loss.watch.values()]
    return torch.cat([v.detach().reshape(-1).to(kind) for v in [*parts, *values]])


def spread(vector: Tensor, like: Loss, owned: Sequence[Tensor], here: Sequence[bool]) -> Loss:
    """The reverse of `flat`: sets the gradients that are there, laid out like their parameters.

    `here` are those that this process's shards have; only for others does it wait for the device to tell whether
    another process's have them.
    """
    names = [*like.terms, *like.watch]
    *gradients, flags, values = torch.split(vector, [*(p.numel() for p in owned), len(owned), len(names)])
    there = here if all(here) else (flags > 0).tolist()
    for parameter, gradient, has in zip(owned, gradients, there, strict=True):
        if has:
            parameter.grad = torch.empty_like(parameter).copy_(gradient.view(parameter.shape))
    means = list(values.unbind())
    terms = dict(zip(like.terms, means[: len(like.terms)], strict=True))
    return Loss(terms, dict(zip(like.watch, means[len(like.terms) :], strict=True)))


class Moved:
    """Weights and gradients before a step, on the device: how far did it go?"""

    def __init__(self, owned: Sequence[Tensor]) -> None:
        self.owned = owned
        self.before = [p.detach().clone() for p in owned]
        gradients = [p.grad for p in owned if p.grad is not None]
        sizes = torch.tensor([float(g.numel()) for g in gradients], device=owned[0].device)
        norms = torch.stack(torch._foreach_norm(gradients))
        self.gradients, self.dead = norms.norm(), ((norms == 0) * sizes).sum() / sizes.sum()

    @torch.no_grad()
    def by(self) -> dict[str, Tensor]:
        """After the step."""
        steps = torch._foreach_sub([p.detach() for p in self.owned], self.before)
        length, count = _length(self.before), sum(p.numel() for p in self.owned)
        ratio = _length(steps) / length.clamp(min=1e-12)
        size = length / count**0.5
        return {"gradient norm": self.gradients, "update ratio": ratio, "weight size": size, "dead share": self.dead}


MEASURED = ("gradient norm", "update ratio", "weight size", "dead share")
"""Watched in one round of each look."""


def _length(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm(list(tensors))).norm() if tensors else torch.zeros(())


def autocast(game: Game, precision: Precision) -> torch.autocast:
    """The precision of products and convolutions; weights, squares of penalties and losses stay in float32."""
    return torch.autocast(device_of(game).type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def sum_of(terms: Mapping[str, Tensor], player: str) -> Tensor:
    """The scalar that is differentiated. ValueError for a loss without terms, or a term that is no scalar."""
    for name, term in terms.items():
        if term.ndim != 0:
            raise ValueError(f"the term '{name}' of player '{player}' has shape {tuple(term.shape)}; take its mean")
    if not terms:
        raise ValueError(f"the loss of player '{player}' has no terms")
    return torch.stack([term.float() for term in terms.values()]).sum()


def rounds(game: Game, batches: Iterator[Batch], settings: Train, state: State | None = None) -> Iterator[Round]:
    """Train from `state` to `settings.rounds`, handing out each round as it is done.

    `batches` begins with batch number `state.drawn`, of this process's rows. All randomness of a round comes from
    (seed, round), and from the turn and the shard where there are several, so stopping between rounds and going on
    later changes nothing, and neither does the number of processes.
    """
    state = start(game, state)
    for module in game.modules.values():
        module.train()
    reaches = {player.name: reach(game, player) for player in game.players}
    device, recent = device_of(game), list[dict[str, Tensor]]()
    while state.round < settings.rounds:
        seed(mix(settings.seed, state.round), device)
        if game.on_round is not None:
            game.on_round(state.round / settings.rounds)
        look = (state.round + 1) % settings.check_every == 0 or state.round + 1 == settings.rounds
        recent.append(one_round(game, batches, settings, state, reaches, look))
        if game.average is not None:
            for name, average in state.averages.items():
                follow(average, game.modules[name], game.average.at(state.round, state.round / settings.rounds))
        state.round += 1
        losses = summarise(recent, state.round) if look else None
        if look:
            recent = []
            if state.round // settings.check_every % 10 == 0:
                check_alike((p for module in game.modules.values() for p in module.parameters()), settings.shards.world)
        yield Round(state, losses)


def seed(number: int, device: torch.device) -> None:
    """Seed the CPU's stream and the device's. (`torch.manual_seed` costs ten times as much, every round.)"""
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)


def one_round(
    game: Game,
    batches: Iterator[Batch],
    settings: Train,
    state: State,
    reaches: Mapping[str, Reach],
    measure: bool = False,
) -> dict[str, Tensor]:
    """Every player's turns; returns detached terms and watched values by `player/term`, means over its turns."""
    shared: list[Sequence[Batch]] = []
    record: dict[str, Tensor] = {}
    round_of = Turns(game, settings, state.round)
    for player in game.players:
        if not player.acts(state.round):
            continue
        turns: list[Loss] = []
        for turn in range(player.repeat):
            if player.shares and turn == len(shared):
                shared.append(settings.shards.cut(take(batches, state)))
                if turn == 0 and game.prepare is not None:
                    shared[0] = round_of.prepared(shared[0])
            parts = shared[turn] if player.shares else settings.shards.cut(take(batches, state))
            turns.append(round_of.turn(player, parts, reaches[player.name], measure))
        for name in {**turns[0].terms, **turns[0].watch}:
            values = [{**loss.terms, **loss.watch}[name].detach() for loss in turns]
            record[f"{player.name}/{name}"] = values[0] if len(values) == 1 else torch.stack(values).mean()
    return record


def take(batches: Iterator[Batch], state: State) -> Batch:
    """The next batch, counted."""
    state.drawn += 1
    return next(batches)


def prepared(game: Game, batch: Batch, precision: Precision) -> Batch:
    """The batch with what players share added."""
    assert game.prepare is not None
    with autocast(game, precision):
        return game.prepare(batch)


def summarise(recent: Sequence[Mapping[str, Tensor]], last_round: int) -> Losses:
    """Means by name; raises `NonFiniteLossError` naming the first bad term. Waits for the device once."""
    names = sorted({name for row in recent for name in row})
    if not names:  # nobody had a turn
        return Losses({})
    filled = [[row.get(name) for name in names] for row in recent]
    flat = [value.float() for row in filled for value in row if value is not None]
    values = iter(torch.stack(flat).tolist())
    table = [[None if value is None else next(values) for value in row] for row in filled]
    for offset, row in enumerate(table):
        for name, number in zip(names, row, strict=True):
            if number is not None and not math.isfinite(number):
                raise NonFiniteLossError(_explain(name, number, last_round - len(recent) + offset))
    columns = ([n for n in column if n is not None] for column in zip(*table, strict=True))
    return Losses({name: sum(c) / len(c) for name, c in zip(names, columns, strict=True)})


def _explain(name: str, value: float, round_number: int) -> str:
    player, _, term = name.partition("/")
    return (
        f"the term '{term}' of player '{player}' became {value} in round {round_number}. "
        f"Usual causes: a learning rate that is too high (try half), an objective whose loss is unbounded, "
        f"or a penalty that overflows (try precision=float32). The last good checkpoint is kept"
    )


def train(
    game: Game,
    batches: Iterator[Batch],
    settings: Train,
    state: State | None = None,
    record: Callable[[Round], bool | None] | None = None,
) -> State:
    """Run `rounds` to their end, or until `record` returns True."""
    state = start(game, state)
    for done in rounds(game, batches, settings, state):
        if record is not None and record(done):
            break
    return state
