"""A library of runs made sick on purpose, and of healthy ones: what does the doctor say, and when?"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparring import recipes, session, training
from sparring.config import UserError, from_json, to_json
from sparring.data import Data, open_data
from sparring.data.loader import batches
from sparring.data.source import Source, subset, tensor_source
from sparring.doctor import diagnose, record_of
from sparring.engine import NonFiniteLossError, Round, Train, start, train
from sparring.game import Game
from sparring.machine import Machine
from sparring.probes import PROBES, Probes, probe_rounds
from sparring.proofs.record import Effort, Result
from sparring.recipes import preset
from sparring.runs import How, Plan

CPU = Machine(torch.device("cpu"), "cpu", "float32", 1)
HEALTHY = "healthy"
Hack = Callable[[Game, int], None]
"""(game, round): a fault put in, at the round where it begins."""


@dataclass(frozen=True)
class Case:
    """One way to train, and what the doctor should say."""

    name: str
    recipe: str
    data: str
    rounds: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    names: tuple[str, ...] = ()
    """Kinds of finding that are right; none for a healthy run."""
    source: Callable[[Source], Source] | None = None
    hack: Hack | None = None


@dataclass(frozen=True)
class Told:
    """What the doctor said of a run."""

    case: Case
    seed: int
    first: str
    """The kind that was reported first, or `healthy`."""
    at: float
    """When, as a share of the run; 1 for nothing."""
    seconds: float

    @property
    def right(self) -> bool:
        """The right name, before half of the run; or silence about a healthy one."""
        return self.first == HEALTHY if not self.case.names else self.first in self.case.names and self.at <= 0.5


def watched(case: Case, seed: int) -> Told:
    """Train a case under the doctor's eyes, until it speaks."""
    begin, game, source, held_out, total = time.process_time(), *_set_up(case, seed)
    if case.hack is not None:
        case.hack(game, 0)  # before the averages are copied
    state, events = start(game), list[dict[str, Any]]()
    probes = Probes(game, source, held_out)
    looks = probe_rounds(total, PROBES)
    said: list[tuple[str, float]] = []

    def look(done: Round) -> bool:
        number = done.state.round
        if case.hack is not None:
            case.hack(game, number)
        if done.losses is not None:
            events.append({"event": "losses", "round": number, "values": done.losses.values})
        if number in looks:
            events.append({"event": "probe", "round": number, "values": probes(done.state)})
            said.extend((found.kind, number / total) for found in _said(events, total, len(source))[:1])
        return bool(said)

    try:
        train(game, batches(source, game_batch(case, source), seed), Train(total, seed), state, look)
    except NonFiniteLossError as error:
        events.append({"event": "broken", "round": state.round, "message": str(error)})
        said.extend((f.kind, state.round / total) for f in _said(events, total, len(source))[:1])
    first, at = said[0] if said else (HEALTHY, 1.0)
    return Told(case, seed, first, at, time.process_time() - begin)


def _said(events: Sequence[Mapping[str, Any]], total: int, samples: int) -> Any:
    return diagnose(record_of(events, total, samples))


def config_of(case: Case) -> Any:
    """Its settings over those of the preset."""
    name, model = preset(recipes.find(case.recipe), case.preset)
    values = to_json(model)
    for key, value in {"rounds": case.rounds, **case.settings}.items():
        values[key] = (
            {**values[key], **value} if isinstance(value, Mapping) and isinstance(values[key], dict) else value
        )
    return from_json(type(model), values, name)


def game_batch(case: Case, source: Source) -> int:
    """Its batch, or fewer where the data are few."""
    return int(min(config_of(case).batch, len(source)))


def _set_up(case: Case, seed: int) -> tuple[Game, Source, Source, int]:
    config = config_of(case)
    splits = open_data(Data(data=case.data))
    spoil = case.source or (lambda source: source)
    recipe = recipes.find(case.recipe)
    source = recipe.data(config, spoil(splits["train"]))
    plan = Plan(case.recipe, "proof", config, Data(data=case.data), How(seed=seed))
    return training.assemble(plan, source.about, CPU), source, spoil(splits["test"]), config.rounds


# --- faults ---------------------------------------------------------------------------------------------------------


def broken(game: Game, number: int) -> None:
    """A weight becomes NaN in round 200."""
    if number == 200:
        with torch.no_grad():
            next(game.modules["generator"].parameters()).view(-1)[0] = float("nan")


def no_latent(game: Game, number: int) -> None:
    """The generator sees zeros for a latent, from the beginning."""
    if number == 0:

        def zeros(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return (inputs[0] * 0, *inputs[1:])

        game.modules["generator"].register_forward_pre_hook(zeros)


def few(count: int) -> Callable[[Source], Source]:
    """The first so many samples of the training split; held-out ones stay."""

    def some(source: Source) -> Source:
        order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
        return subset(source, order[:count]) if len(source) > 1000 else source

    return some


def changed(column: str, change: Callable[[Tensor], Tensor]) -> Callable[[Source], Source]:
    """A source with one column changed."""

    def other(source: Source) -> Source:
        columns = source[torch.arange(min(len(source), 20_000))]
        return tensor_source(source.about, {**columns, column: change(columns[column])})

    return other


def shuffled(labels: Tensor) -> Tensor:
    """The same labels on other samples."""
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


# --- the library ----------------------------------------------------------------------------------------------------

STRONG = {"objective": "minimax", "discriminator_steps": 5, "share_fakes": False, "spectral_norm": False,
          "discriminator": {"lr": 4e-3}, "generator": {"lr": 1e-4}}  # fmt: skip
BREAKS = ("divergence",)
ALIKE = ("mode collapse", "mode dropping")
LIBRARY: tuple[Case, ...] = (
    Case("mlp, digits", "mlp", "digits", 1000),
    Case("dcgan, digits", "dcgan", "digits", 700),
    Case("cdcgan, digits", "cdcgan", "digits", 700),
    Case("wgan_gp, digits", "wgan_gp", "digits", 700),
    Case("sngan, digits", "sngan", "digits", 700),
    Case("r3, digits", "r3", "digits", 700),
    Case("dcgan, fashion", "dcgan", "fashion-mnist", 500),
    Case("dcgan without clusters, mnist", "dcgan", "mnist", 600, {"clusters": 0}),
    Case("cdcgan, mnist", "cdcgan", "mnist", 500),
    Case("dcgan, relativistic, digits", "dcgan", "digits", 600,
         {"objective": "relativistic", "penalty": {"r1": 1.0, "r2": 1.0}}),
    Case("wgan_gp, grid", "wgan_gp", "grid", 1500),
    Case("dcgan, least squares, digits", "dcgan", "digits", 600, {"objective": "least-squares"}),
    Case("mlp, ring", "mlp", "ring", 1500),
    Case("sngan, grid", "sngan", "grid", 1500),
    Case("mlp, swiss roll", "mlp", "swiss-roll", 1500),
    Case("a weight becomes NaN", "cdcgan", "digits", 700, names=BREAKS, hack=broken),
    Case("rates x 30, no normalisation", "wgan_gp", "digits", 700,
         {"generator": {"lr": 0.03}, "discriminator": {"lr": 0.06}, "sizes": {"generator_norm": False}},
         names=(*BREAKS, "mode collapse")),
    Case("rates x 100, pictures", "dcgan", "digits", 700,
         {"generator": {"lr": 0.2}, "discriminator": {"lr": 0.4}, "clusters": 0}, names=(*BREAKS, "mode collapse")),
    Case("steps too long for narrow modes", "wgan_gp", "ring", 1500, names=("oscillation", "discriminator losing")),
    Case("no latent, pictures", "dcgan", "digits", 700, {"clusters": 0}, names=ALIKE[:1], hack=no_latent),
    Case("no latent, points", "wgan_gp", "ring", 1500, names=ALIKE[:1], hack=no_latent),
    Case("D stands still", "dcgan", "digits", 700, {"discriminator": {"lr": 1e-8}}, names=("not learning",)),
    Case("G stands still", "dcgan", "digits", 700, {"generator": {"lr": 1e-8}}, names=("not learning",)),
    Case("D too strong, saturating", "mlp", "digits", 1500, STRONG,
         names=("discriminator winning", "vanishing gradient")),
    Case("D much faster than G", "dcgan", "digits", 700, {"generator": {"lr": 2e-5}, "discriminator_steps": 4,
         "share_fakes": False, "clusters": 0}, names=("discriminator winning",)),
    Case("D too weak", "mlp", "grid", 1500, {"discriminator_hidden": [2]},
         names=("discriminator losing", *ALIKE, "oscillation")),
    Case("labels shuffled", "cdcgan", "digits", 700, source=changed("label", shuffled), names=("labels ignored",)),
    Case("40 pictures", "dcgan", "digits", 700, {"clusters": 0}, source=few(40),
         names=("data too small", "memorising")),
    Case("60 pictures", "dcgan", "digits", 700, {"clusters": 0}, source=few(60),
         names=("data too small", "memorising")),
    Case("pictures of 0 and 1", "dcgan", "digits", 400, source=changed("image", lambda x: (x > 127).byte()),
         names=("wrong range",)),
    Case("points x 100", "mlp", "ring", 1000, source=changed("point", lambda x: 100 * x), names=("wrong range",)),
    Case("average far too long", "dcgan", "digits", 700, {"average": 0.0, "half_life": 1e6}, names=("average lags",)),
)  # fmt: skip


def doctor(seeds: int, effort: Effort) -> Result:
    """Every case with several seeds: thresholds were tuned on even seeds, odd ones are proven."""
    tried = range(1, 2 * seeds, 2) if effort == "full" else range(1)
    return result_of([watched(case, seed) for case in LIBRARY for seed in tried], effort)


RESCUED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "rates x 30, no normalisation": ("wgan_gp", {"generator": {"lr": 0.03}, "discriminator": {"lr": 0.06},
                                                 "sizes": {"generator_norm": False}}),
    "D stands still": ("dcgan", {"discriminator": {"lr": 1e-8}}),
    "G stands still": ("cdcgan", {"generator": {"lr": 1e-8}}),
    "average far too long": ("dcgan", {"average": 0.0, "half_life": 1e6}),
}  # fmt: skip
"""Faults that a remedy can mend: (recipe, settings)."""
WITHIN = 1.5


def rescue(seeds: int, effort: Effort) -> Result:
    """Sick runs under --on-trouble rollback, beside the same recipe in health."""
    rounds = 800 if effort == "full" else 200
    rows: list[list[Any]] = []
    for name, (recipe, settings) in RESCUED.items():
        well = [_ended(recipe, rounds, seed, {}) for seed in range(seeds)]
        left = [_ended(recipe, rounds, seed, {**settings, "on_trouble": "warn"}) for seed in range(seeds)]
        saved = [_ended(recipe, rounds, seed, {**settings, "on_trouble": "rollback"}) for seed in range(seeds)]
        held = all(mended <= WITHIN * healthy for mended, healthy in zip(saved, well, strict=True))
        each = (", ".join(f"{value:.3g}" for value in values) for values in (well, left, saved))
        rows.append([name, recipe, *each, "holds" if held else "falls short"])
    text = (
        f"{rounds:,} rounds on digits, 8x8; Fréchet distance in features of the judge, each seed. Healthy: the recipe "
        f"as it is. Target: within {WITHIN:g} times the healthy score on every seed, for at least three kinds of fault."
    )
    passed = sum(row[-1] == "holds" for row in rows) >= 3 if effort == "full" else None
    columns = ("fault", "recipe", "healthy", "left alone", "rolled back", "verdict")
    return Result("rescue", 151, "The doctor: rescues", text, "sparring prove rescue --full", columns, rows, passed)


def _ended(recipe: str, rounds: int, seed: int, settings: Mapping[str, Any]) -> float:
    """The distance at the end; infinite for a run that broke."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = session.train(recipe, runs=folder, data="digits", rounds=rounds, seed=seed, threads=1, snapshots=2,
                                quiet=True, **settings)  # fmt: skip
        except UserError:
            return math.inf
        found = json.loads((run.path / "evaluation.json").read_text())
        return float(found["metrics"]["frechet distance"]["value"])


def result_of(told: Sequence[Told], effort: Effort) -> Result:
    """The table and its verdict."""
    rows: list[list[Any]] = []
    for case in LIBRARY:
        of = [one for one in told if one.case is case]
        said = ", ".join(f"{one.first} at {one.at:.0%}" if one.first != HEALTHY else "nothing" for one in of)
        rows.append(
            [case.name, " or ".join(case.names) or "nothing", said, f"{sum(one.right for one in of)}/{len(of)}"]
        )
    sick, well = ([one for one in told if bool(one.case.names) is ill] for ill in (True, False))
    named, alarms = sum(one.right for one in sick) / len(sick), sum(not one.right for one in well) / len(well)
    for name, target, share, of, held in (
        ("all sick runs", "at least 90 % named", named, sick, named >= 0.9),
        ("all healthy runs", "at most 5 % alarms", alarms, well, alarms <= 0.05),
    ):
        rows.append([name, target, f"{share:.1%} of {len(of)}", "holds" if held else "falls short"])
    text = (
        "Runs made sick on purpose, and healthy ones, each with several seeds; the doctor looks 40 times a run, and "
        "its first finding counts: the right name before half of the run, and silence about the healthy. Thresholds "
        "were set on even seeds; these are the odd ones. Confusion: " + confusion(told) + "."
    )
    passed = named >= 0.9 and alarms <= 0.05 if effort == "full" else None
    columns = ("run", "should say", "said", "right")
    return Result("doctor", 150, "The doctor", text, "sparring prove doctor --full", columns, rows, passed)


def confusion(told: Sequence[Told]) -> str:
    """What was said instead, counted."""
    wrong = Counter((one.case.names[0] if one.case.names else HEALTHY, one.first) for one in told if not one.right)
    return "; ".join(f"{count} {should} called {said}" for (should, said), count in wrong.most_common()) or "none"
