"""A duel in the plane that can be stopped, stepped, looked at and changed. The engine plays it, the doctor looks on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from sparring import training
from sparring.care import treated
from sparring.config import UserError
from sparring.data.loader import batches
from sparring.data.settings import Data
from sparring.data.source import About
from sparring.data.toys import Toy
from sparring.doctor import Finding, diagnose, record_of
from sparring.engine import NonFiniteLossError, Round, State, Train, rounds
from sparring.game import Game
from sparring.machine import Machine
from sparring.objectives import OBJECTIVES
from sparring.probes import Probes, probe_rounds, resting
from sparring.recipes import mlp
from sparring.runs import How, Plan
from sparring.studio.lab.measures import measured
from sparring.studio.lab.numbers import USUAL, changed
from sparring.studio.lab.sets import HELD_OUT, VIEW, find_set, sources
from sparring.studio.lab.sick import Sick

CPU = Machine(torch.device("cpu"), "cpu", "float32", 1)
ENDLESS = 10**7
"""Rounds; nobody plays so long."""
LOOK = min(probe_rounds(USUAL.rounds))
"""Rounds between two looks of the doctor, as often as in any run."""
REMEMBERED = 3000
"""Events that the doctor reads."""
SHOWN, ARROWS, HEAT, LINES, ALONG = 400, 48, 40, 13, 49
"""Fakes, those with an arrow, cells along the heat map's side, lines of the manifold each way, points on a line."""
WHO: Mapping[str, tuple[str, ...]] = {
    "both": ("discriminator", "penalty", "generator"),
    "discriminator": ("discriminator", "penalty"),
    "generator": ("generator",),
}


@dataclass(frozen=True)
class Setup:
    """Everything that a lab is a function of."""

    set: str = "ring"
    points: Sequence[Sequence[float]] = ()
    """Of the set `drawn`."""
    config: mlp.Config = USUAL
    seed: int = 0


@dataclass(eq=False)
class Lab:
    """One duel. `UserError` for a setup that cannot be."""

    setup: Setup
    game: Game = field(init=False)
    state: State = field(init=False)
    toy: Toy = field(init=False)
    losses: dict[str, float] = field(init=False)
    """The last look at them, by `player/term`."""
    findings: list[Finding] = field(init=False)
    looks: int = field(init=False)
    """How often the doctor has looked."""
    broken: str = field(init=False)
    """Why it cannot go on: a loss that is no longer a number."""

    def __post_init__(self) -> None:
        self.begin(self.setup)

    def begin(self, setup: Setup) -> None:
        """Anew, from the first round. Leaves everything as it was if the setup cannot be."""
        toy = find_set(setup.set, setup.points)
        source, held_out = sources(toy)
        game = self._assembled(setup, source.about)
        self.setup, self.toy, self.source, self.held_out, self.game = setup, toy, source, held_out, game
        self.real = held_out[torch.arange(HELD_OUT)]["point"]
        generator = torch.Generator().manual_seed(11)
        self.floor = measured(self.toy.sample(HELD_OUT, generator)[0], self.real, self.toy)
        self.state, self.losses, self.findings = State(), {}, []
        self.looks, self.broken, self._history = 0, "", list[dict[str, Any]]()
        self._ready()

    def change(self, config: mlp.Config) -> bool:
        """Go on with other numbers. False where the networks are others, so that it began anew."""
        setup = replace(self.setup, config=config)
        game = self._assembled(setup, self.source.about)
        if not carried(self.game, game):
            self.begin(setup)
            return False
        self.setup, self.game = setup, game
        self._ready()
        return True

    def _assembled(self, setup: Setup, about: About) -> Game:
        return training.assemble(Plan("mlp", "lab", setup.config, Data(), How(seed=setup.seed)), about, CPU)

    def _ready(self) -> None:
        """What is made of a game: a stream of rounds for each choice of players, and eyes on it."""
        self.probes = Probes(self.game, self.source, self.held_out)
        self.drawn = sample_of(self.game, HELD_OUT)
        settings = Train(ENDLESS, self.setup.seed)
        stream = batches(self.source, self.setup.config.batch, self.setup.seed, self.state.drawn)
        self._rounds: dict[str, Iterator[Round]] = {}
        for who, names in WHO.items():
            players = [player for player in self.game.players if player.name in names]
            self._rounds[who] = rounds(replace(self.game, players=players), stream, settings, self.state)

    def turn(self, who: str = "both") -> None:
        """One round of both players, or of one alone. `UserError` where training is broken."""
        if self.broken:
            raise UserError(self.broken)
        try:
            done = next(self._rounds[who])
        except NonFiniteLossError as error:
            self.broken = str(error)
            self._note({"event": "broken", "round": self.state.round, "message": self.broken})
            self.findings = self._diagnosed()
            return
        if done.losses is not None:
            self.losses = dict(done.losses.values)
            self._note({"event": "losses", "round": self.state.round, "values": self.losses})
        if self.state.round % LOOK == 0:
            self._note({"event": "probe", "round": self.state.round, "values": self.probes(self.state)})
            self.looks += 1
            self.findings = self._diagnosed()

    def _note(self, event: dict[str, Any]) -> None:
        if len(self._history) > 2 * REMEMBERED:
            del self._history[:REMEMBERED]
        self._history.append(event)

    def _diagnosed(self) -> list[Finding]:
        return diagnose(record_of(self._history, self.setup.config.rounds, len(self.source)))

    @property
    def boundary(self) -> float | None:
        """The score at which the discriminator is undecided, where scores have such a place."""
        return OBJECTIVES[self.setup.config.objective].boundary

    def cure_of(self, finding: Finding) -> tuple[mlp.Config, list[str]]:
        """The finding's remedy applied, as a rollback would; and what it changes."""
        return treated(self.setup.config, USUAL, finding.changes, "lab")

    @torch.no_grad()
    def fakes(self, count: int = HELD_OUT) -> Tensor:
        """(count, 2): always of the same latents."""
        assert self.game.sample is not None
        with resting(self.game):
            return self.game.sample(self.game.modules, {"latent": self.drawn[:count]})

    def measures(self) -> dict[str, float]:
        """How far the fakes are from the real points; nothing where they are no longer numbers."""
        fake = self.fakes()
        return measured(self.real, fake, self.toy) if bool(fake.isfinite().all()) else {}

    @torch.no_grad()
    def heat(self) -> Tensor:
        """(HEAT, HEAT) raw scores over the view, y by x."""
        assert self.game.score is not None
        place = (torch.arange(HEAT) + 0.5) * (2 * VIEW / HEAT) - VIEW
        y, x = torch.meshgrid(place, place, indexing="ij")
        with resting(self.game):
            return self.game.score(torch.stack([x, y], dim=-1).view(-1, 2), None).view(HEAT, HEAT)

    def pushes(self) -> Tensor:
        """(ARROWS, 2): where the generator's loss would move each of the first fakes, per sample."""
        assert self.game.score is not None
        objective = OBJECTIVES[self.setup.config.objective]
        fake = self.fakes(ARROWS).requires_grad_()
        with resting(self.game):
            scores = self.game.score(fake, None)
            real = self.game.score(self.real[:ARROWS], None) if objective.paired else torch.full_like(scores, math.nan)
            (gradient,) = torch.autograd.grad(objective.generator(real, scores).sum(), fake)
        return -gradient

    @torch.no_grad()
    def manifold(self) -> Tensor:
        """(2 LINES, ALONG, 2) what lines of latents become, each way at equal shares; (1, ALONG, 2) of one latent.

        Empty where there are more than two latents.
        """
        assert self.game.sample is not None
        latent = self.setup.config.latent
        if latent > 2:
            return torch.zeros(0, ALONG, 2)
        along, across = (self._quantiles(torch.linspace(0.02, 0.98, n)) for n in (ALONG, LINES))
        lines = along[None, :, None]
        if latent == 2:
            one = torch.stack(torch.meshgrid(across, along, indexing="ij"), dim=-1)
            lines = torch.cat([one, one.flip(-1)])
        with resting(self.game):
            made = self.game.sample(self.game.modules, {"latent": lines.reshape(-1, latent)})
        return made.view(len(lines), ALONG, 2)

    def _quantiles(self, share: Tensor) -> Tensor:
        return 2 * share - 1 if self.setup.config.uniform else torch.special.ndtri(share)


def sample_of(game: Game, count: int) -> Tensor:
    """(count, latent) latents that stay."""
    assert game.draw is not None
    return game.draw(count, torch.Generator().manual_seed(5))["latent"]


def carried(old: Game, new: Game) -> bool:
    """Weights and the optimizers' memory from one game to another of the same shape; False where it has another."""
    states = {name: module.state_dict() for name, module in old.modules.items()}
    for name, module in new.modules.items():
        mine = {key: value.shape for key, value in module.state_dict().items()}
        if mine != {key: value.shape for key, value in states[name].items()}:
            return False
    for name, module in new.modules.items():
        module.load_state_dict(states[name])
    for name in ("discriminator", "generator"):
        there, here = (game.player(name).optimizer for game in (old, new))
        here.load_state_dict({"state": there.state_dict()["state"], "param_groups": here.state_dict()["param_groups"]})
    return True


def setup_of_sick(sick: Sick) -> Setup:
    """A way to break it, over the usual settings."""
    return Setup(sick.set, (), changed(USUAL, sick.settings), sick.seed)


def setup_of(values: Mapping[str, Any], base: Setup) -> Setup:
    """A message's `set`, `points`, `settings` and `seed`, over those of `base`."""
    config = changed(base.config, values.get("settings", {}))
    name = values.get("set", base.set)
    return Setup(name, values.get("points", base.points), config, values.get("seed", base.seed))
