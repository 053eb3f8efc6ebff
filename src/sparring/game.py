"""A game: modules, and players who learn from each other. The engine plays it without knowing what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from sparring.average import Average, HalfLife
from sparring.config import UserError, did_you_mean
from sparring.nn.layers import packed
from sparring.objectives import Objective
from sparring.penalties import Judged, Penalty
from sparring.schedules import falling

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Loss:
    """What a player's loss function returns. All values are scalars."""

    terms: Mapping[str, Tensor]
    """Summed and differentiated; recorded by name."""
    watch: Mapping[str, Tensor] = field(default_factory=dict)
    """Recorded only."""


@dataclass(frozen=True)
class Player:
    """Who learns, from what, and when."""

    name: str
    loss: Callable[[Batch], Loss]
    """Pure: reads the batch and the modules, moves nothing."""
    optimizer: torch.optim.Optimizer
    """Owns what this player may move; everything else is frozen in its turn. Two players may share one."""
    repeat: int = 1
    """Turns per round."""
    every: int = 1
    """Acts in every so many-th round."""
    start: int = 0
    stop: int | None = None
    """Acts in rounds start <= round < stop."""
    shares: bool = True
    """Its turn number t looks at the round's batch number t, as those of other players do; else it draws its own."""
    after: Callable[[Loss], None] | None = None
    """After each of its steps, without gradients: a projection (weight clipping) or a rule that moves a buffer."""

    def __post_init__(self) -> None:
        if self.repeat < 1 or self.every < 1:
            raise ValueError(f"player '{self.name}': repeat={self.repeat} and every={self.every} must be at least 1")

    def acts(self, round_number: int) -> bool:
        """Whether it has a turn in this round."""
        inside = self.start <= round_number and (self.stop is None or round_number < self.stop)
        return inside and (round_number - self.start) % self.every == 0


@dataclass(frozen=True)
class Bound:
    """How probable held-out samples are under a game that has a likelihood, from below."""

    of: str
    """What the probabilities are of: those of drawn bits, of 8-bit values and densities are not comparable."""
    log_weights: Callable[[Mapping[str, Any], Tensor, int], Tensor]
    """(the product's modules, samples (N, ...) in the data's range, k) -> (N, k) log p(x, z) - log q(z | x) in nats
    per sample, z from q. Draws z, and bits where samples are probabilities, from torch's own random stream."""
    exact: bool = False
    """There is no z: one weight is log p(x) itself."""


@dataclass(frozen=True)
class Game:
    """Everything that is trained, by whom, and how samples are made of it."""

    modules: Mapping[str, nn.Module]
    """ALL state that must survive: an image pool or an adaptive probability is a buffer of a module."""
    players: Sequence[Player]
    product: Sequence[str] = ()
    """Names of the modules that training is for: averaged, if `average` says so, and all that `sample` may read."""
    draw: Callable[[int, torch.Generator | None], dict[str, Tensor]] | None = None
    """(n, random numbers) -> what n samples are made from, e.g. `latent` (n, d) and `label` (n,)."""
    given: Sequence[str] = ()
    """Columns of the data that a sample is made from besides, such as `source`."""
    sample: Callable[[Mapping[str, Any], Batch], Tensor] | None = None
    """(the product's modules, what `draw` gives and what is `given`) -> samples, in the data's range of [-1, 1]."""
    tempered: bool = False
    """`sample` follows a column `temperature` (N, 1), where there is one: below 1 likely samples are likelier."""
    average: Average | HalfLife | None = None
    score: Callable[[Tensor, Tensor | None], Tensor] | None = None
    """(samples (N, ...), labels) -> (N,) scores of the discriminator, for those who watch it."""
    bound: Bound | None = None
    reconstruct: Callable[[Mapping[str, Any], Tensor], Tensor] | None = None
    """(the product's modules, samples (N, ...) in the data's range) -> what is left of them after their code."""
    prepare: Callable[[Batch], dict[str, Tensor]] | None = None
    """Runs once a round, with gradients, on the batch of the players' first turns: what they share. Its graph serves
    one of them; the others detach."""
    on_round: Callable[[float], None] | None = None
    """Progress in [0, 1), before each round: schedules."""
    notes: Sequence[str] = ()
    """Sentences for who trains it: what is known to fail."""

    def __post_init__(self) -> None:
        names = [player.name for player in self.players]
        if len(set(names)) < len(names):
            raise ValueError(f"players must have different names, these do not: {names}")
        if missing := set(self.product) - set(self.modules):
            raise ValueError(f"product names {sorted(missing)}, but the modules are {list(self.modules)}")

    def player(self, name: str) -> Player:
        """The player of that name."""
        for player in self.players:
            if player.name == name:
                return player
        names = [player.name for player in self.players]
        raise UserError(f"no player named '{name}'; this game has {names}{did_you_mean(name, names)}")

    def plus(self, player: Player) -> Game:
        """The same game with one player more, e.g. a penalty that acts every 16 rounds with another's optimizer."""
        return replace(self, players=[*self.players, player])

    def with_player(self, name: str, **changes: Any) -> Game:
        """The same game, one player changed: `game.with_player("discriminator", every=4)`."""
        changed = replace(self.player(name), **changes)
        return replace(self, players=[changed if p.name == name else p for p in self.players])


@dataclass(frozen=True)
class Latent:
    """Where samples come from: normal (or uniform in [-1, 1]) latents, and labels by their share."""

    size: int
    prior: Sequence[float] = ()
    """Share of each class; empty for no labels."""
    uniform: bool = False

    def noise(self, n: int, device: torch.device | None = None, generator: torch.Generator | None = None) -> Tensor:
        """(n, size) float32, made on `device` from its own random stream or from `generator`."""
        if self.uniform:
            return torch.rand(n, self.size, device=device, generator=generator) * 2 - 1
        return torch.randn(n, self.size, device=device, generator=generator)

    def __call__(self, n: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """`latent` (n, size), and `label` (n,) int64 when there is a prior; on the CPU, so alike everywhere.

        Labels are drawn systematically: each follows the prior, and together they keep to its shares.
        """
        cpu = torch.device("cpu")
        latent = self.noise(n, cpu, generator)
        if not self.prior:
            return {"latent": latent}
        edges = torch.tensor(self.prior, dtype=torch.float64, device=cpu).cumsum(0)
        offset = torch.rand(1, dtype=torch.float64, device=cpu, generator=generator)
        points = (torch.arange(n, dtype=torch.float64, device=cpu) + offset) / n * edges[-1]
        label = torch.searchsorted(edges, points, right=True).clamp_(max=len(self.prior) - 1)
        return {"latent": latent, "label": label[torch.randperm(n, generator=generator, device=cpu)]}


def linear_decay(optimizers: Sequence[torch.optim.Optimizer], start: float, end: float) -> Callable[[float], None]:
    """Learning rates constant until progress `start`, then on a line to `end` times themselves at progress 1.

    For rates that are plain numbers; `optimizers.steered` follows schedules too.
    """
    initial = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]

    def on_round(progress: float) -> None:
        scale = falling(progress, start, end)
        for optimizer, rates in zip(optimizers, initial, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * scale

    return on_round


@dataclass(frozen=True)
class _TwoPlayer:
    """The losses of the common game, over the networks they read."""

    generator: nn.Module
    discriminator: nn.Module
    latent: Latent
    key: str
    objective: Objective
    penalties: Mapping[str, tuple[float, Penalty]]
    lazy: int
    """The penalties act in every so many-th round only, as a player of their own, and weigh so much more."""
    steps: int
    """Turns of the discriminator per round."""
    pack: int
    """Samples that are judged together."""
    together: bool
    """Real and fake go through the discriminator in one pass."""
    generator_batch: int
    """Fakes in the generator's turn, as a multiple of the reals in the discriminator's."""
    condition: str
    """The column that both networks are told, where the batch has it."""

    def fakes(self, batch: Batch, multiple: int = 1) -> tuple[Tensor, Tensor | None]:
        """As many fakes as there are reals, times `multiple`, and their labels: those of the reals."""
        real, label = batch[self.key], batch.get(self.condition)
        if label is not None and multiple > 1:
            label = torch.cat([label] * multiple)
        return self.generator(self.latent.noise(multiple * len(real), real.device), label), label

    def prepare(self, batch: Batch) -> dict[str, Tensor]:
        return {**batch, "fake": self.fakes(batch)[0]}

    def scores(self, real: Tensor, fake: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        if not self.together:
            return self.discriminator(real, label).float(), self.discriminator(fake, label).float()
        both = None if label is None else torch.cat([label, label])
        out: Tensor = self.discriminator(torch.cat([real, fake]), both).float()
        return out[: len(real)], out[len(real) :]

    def discriminator_loss(self, batch: Batch) -> Loss:
        real, fake, label = self.seen(batch)
        judged = self.judged(len(real), label)
        slopes = self.penalty_terms(judged, real, fake) if self.lazy == 1 else {}
        if judged.knows(real) or judged.knows(fake):  # a penalty needed scores of them by themselves
            real_scores, fake_scores = (judged.at(x)[1].float() for x in (real, fake))
        else:
            real_scores, fake_scores = self.scores(real, fake, label)
        terms = {"objective": self.objective.discriminator(real_scores, fake_scores).mean(), **slopes}
        watch = {"real score": real_scores.detach().mean(), "fake score": fake_scores.detach().mean()}
        # how often it believes in real samples; where scores have no zero, more than in the fakes beside them
        boundary = self.objective.boundary
        sure = real_scores - (fake_scores if boundary is None else boundary)
        return Loss(terms, {**watch, "real sign": sure.detach().sign().mean()})

    def seen(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Real and fake as the discriminator sees them (a score is of a pack, and so is its slope), and labels."""
        fake = (batch["fake"] if "fake" in batch else self.fakes(batch)[0]).detach()
        return packed(batch[self.key], self.pack), packed(fake, self.pack), batch.get(self.condition)

    def judged(self, n: int, label: Tensor | None) -> Judged:
        """The discriminator for penalties, which may look at several versions of all `n` samples at once."""

        def score(x: Tensor) -> Tensor:
            repeated = None if label is None else torch.cat([label] * (len(x) // n))
            out: Tensor = self.discriminator(x, repeated)
            return out

        return Judged(score)

    def penalty_terms(self, judged: Judged, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        often = 1 if self.lazy == 1 else self.lazy * self.steps
        return {
            name: often * weight * penalty(judged, real, fake).mean()
            for name, (weight, penalty) in self.penalties.items()
        }

    def score(self, x: Tensor, label: Tensor | None) -> Tensor:
        whole = len(x) // self.pack * self.pack
        out: Tensor = self.discriminator(packed(x[:whole], self.pack), label).float()
        return out

    def penalty_loss(self, batch: Batch) -> Loss:
        real, fake, label = self.seen(batch)
        return Loss(self.penalty_terms(self.judged(len(real), label), real, fake))

    def generator_loss(self, batch: Batch) -> Loss:
        real, label = batch[self.key], batch.get(self.condition)
        fake, label = (batch["fake"], label) if "fake" in batch else self.fakes(batch, self.generator_batch)
        if self.objective.paired:
            real_scores, fake_scores = self.scores(packed(real, self.pack), packed(fake, self.pack), label)
        else:
            fake_scores = self.discriminator(packed(fake, self.pack), label).float()
            real_scores = torch.full_like(fake_scores, torch.nan)
        return Loss({"objective": self.objective.generator(real_scores, fake_scores).mean()})

    def sample(self, modules: Mapping[str, Any], drawn: Batch) -> Tensor:
        out: Tensor = modules["generator"](drawn["latent"], drawn.get(self.condition))
        return out.float()


def _refuse_what_is_known_to_fail(
    objective: Objective, penalties: Sequence[str], lazy: int, has_batch_norm: bool
) -> None:
    if penalties and has_batch_norm:
        raise UserError(
            f"{', '.join(penalties)}: a gradient penalty assumes that a score depends on its own sample alone, and "
            "this discriminator has batch norm (Gulrajani et al. 2017, section 4); use a network without it"
        )
    if penalties and lazy > 1:
        refuse_lazy_pairs(objective, lazy)


def refuse_lazy_pairs(objective: Objective, lazy: int) -> None:
    """`UserError` for lazy penalties under an objective of pairs."""
    if objective.paired:
        raise UserError(
            f"every={lazy}: lazy penalties make an objective of pairs (relativistic) fail altogether on Stacked MNIST "
            "and points, and train worse elsewhere (Huang et al. 2024, appendix E); use every=1"
        )


def _refuse_what_does_not_fit(
    objective: Objective, latent: Latent, generator_batch: int, share_fakes: bool, pack: int
) -> None:
    if generator_batch != 1 and (share_fakes or objective.paired):
        raise UserError(
            f"generator_batch={generator_batch} needs fakes of its own (--no-share-fakes) and an objective that is "
            "not of pairs; use 1"
        )
    if pack > 1 and latent.prior:
        raise UserError(f"pack={pack}: a pack of samples has no label; use data without labels, or pack=1")


def two_player(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent: Latent,
    key: str,
    objective: Objective,
    generator_optimizer: torch.optim.Optimizer,
    discriminator_optimizer: torch.optim.Optimizer,
    penalties: Mapping[str, tuple[float, Penalty]] | None = None,
    lazy: int = 1,
    pack: int = 1,
    after: Callable[[Loss], None] | None = None,
    discriminator_steps: int = 1,
    generator_batch: int = 1,
    share_fakes: bool = True,
    together: bool | None = None,
    average: Average | HalfLife | None = None,
    on_round: Callable[[float], None] | None = None,
    condition: str = "label",
) -> Game:
    """The common game. `generator(latent, label)` and `discriminator(x, label)`; label None when unconditional.

    `key` is the column of the batch that is modelled. `penalties` maps a name to (weight, penalty). `share_fakes` lets
    both players' first turn of a round judge the same fakes, which saves one pass of the generator; labels of fakes
    are those of the reals beside them. `generator_batch` fakes per real are made in the generator's turn (only where
    fakes are not shared). `together` sends real and fake through the discriminator in one pass; None does so unless it
    has batch norm. `lazy` > 1 gives the penalties turns of their own, every so many rounds, weighing so much more
    (Karras et al. 2020, appendix B). `pack` samples are stacked on their channels and judged as one, unlabelled.
    `after` follows each step that moves the discriminator. `condition` is the column for `label`. Raises `UserError`
    for a gradient penalty on a discriminator with batch norm, and for lazy penalties under an objective of pairs.
    """
    has_batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in discriminator.modules())
    _refuse_what_is_known_to_fail(objective, list(penalties or ()), lazy, has_batch_norm)
    _refuse_what_does_not_fit(objective, latent, generator_batch, share_fakes, pack)
    # with batch norm, real and fake must not share statistics (Radford et al. 2016, section 3), so two passes
    mixes = has_batch_norm or any(getattr(m, "mixes_batch", False) for m in discriminator.modules())
    together = not mixes if together is None else together
    pair = _TwoPlayer(
        generator, discriminator, latent, key, objective, dict(penalties or {}), lazy, discriminator_steps, pack,
        together, generator_batch, condition,
    )  # fmt: skip
    players = [
        Player("discriminator", pair.discriminator_loss, discriminator_optimizer, discriminator_steps, after=after)
    ]
    if penalties and lazy > 1:
        players.append(Player("penalty", pair.penalty_loss, discriminator_optimizer, every=lazy, after=after))
    return Game(
        modules={"generator": generator, "discriminator": discriminator},
        players=[*players, Player("generator", pair.generator_loss, generator_optimizer)],
        product=("generator",),
        draw=latent,
        sample=pair.sample,
        average=average,
        score=pair.score,
        prepare=pair.prepare if share_fakes else None,
        on_round=on_round,
    )
