"""Looks at a game while it trains: a few hundred samples, what the discriminator makes of them, how they spread.

Every value is a number that says something without its unit: a ratio to the same number of real samples wherever that
is possible. The doctor reads them from the run folder; nothing here judges.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sparring import sampling
from sparring.average import batch_norms
from sparring.data.kinds import KINDS, ready
from sparring.data.source import Source, shuffled
from sparring.engine import Precision, State, autocast, device_of
from sparring.game import Game
from sparring.metrics.copying import mann_whitney
from sparring.metrics.features import Extractor
from sparring.metrics.frechet import frechet_distance

SAMPLES = 128
LEARNT = 2000
"""Training samples among which copies are looked for."""
DIMENSIONS = 16
LEAST_FLOOR, LEAST_REACH = 0.02, 0.1
"""Of the data's variance, and of the mean distance of two samples."""
PROBES = 40
"""Per run."""
SEED = 7


@dataclass(frozen=True, eq=False)
class Known:
    """Real samples and what is measured on them once."""

    batch: Tensor
    """(n, ...) in the game's range."""
    label: Tensor | None
    few: Tensor
    """(n, k) in the low-dimensional view."""
    spread: float
    nearest: float


@dataclass(eq=False)
class Probes:
    """Made once a run; called every now and then. Changes no weights and no state."""

    game: Game
    source: Source
    held_out: Source | None
    judge: Extractor | None = None
    """Names the classes of the data, where it has any."""
    prior: Sequence[float] = ()
    """Their shares."""
    precision: Precision = "float32"
    view: View = field(init=False)
    real: Known = field(init=False)
    held: Known | None = field(init=False)
    _before: Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        columns = self._columns(self.source, LEARNT)
        self.learnt = columns[self.source.about.key]
        self.view = View(self.learnt, self.source.about.key)
        self.pixels = self.view.coarse(self.learnt)
        n = min(SAMPLES, len(self.learnt))
        label = columns.get("label")
        self.real = self._known(self.learnt[:n], None if label is None else label[:n])
        self.reference = self.view(self.learnt)
        self.held = None
        usable = self.held_out is not None and len(self.held_out) >= 32
        if usable and self.held_out is not None:
            other = self._columns(self.held_out, SAMPLES)
            same = bool(self.source.about.classes) == bool(self.held_out.about.classes)
            invented = self.source.about.invented or not same
            self.held = self._known(other[self.source.about.key], None if invented else other.get("label"))
        beside = self.held.few if self.held is not None else self.reference[-n:]
        # of narrow modes neither a distance nor a ball is to be measured by their width, which no sample meets early
        variance = float(self.reference.var(0).sum())
        self.floor = max(frechet_distance(beside, self.reference), LEAST_FLOOR * variance, 1e-12)
        self.reach = _reach(self.real.few).clamp(min=LEAST_REACH * self.real.spread)
        self.covered = max(_covered(self.real.few, self.reach, beside), 0.05)

    def _columns(self, source: Source, most: int) -> dict[str, Tensor]:
        order = shuffled(source, SEED)[:most]
        return {name: ready(column, device_of(self.game)) for name, column in source[order].items()}

    def _known(self, batch: Tensor, label: Tensor | None) -> Known:
        few = self.view(batch)
        return Known(batch, label, few, _spread(few), _nearest(few))

    @torch.no_grad()
    def __call__(self, state: State) -> dict[str, float]:
        """Everything that can be seen now."""
        if self.game.sample is None:
            return {}
        many = self.held_out is not None and len(self.held_out) >= len(self.real.batch)
        pool = self.held_out if many else self.source  # sources that come twice would look like a collapse
        drawn = sampling.draw(self.game, len(self.real.batch), SEED, pool=pool)
        with resting(self.game):
            live = self.made({name: self.game.modules[name] for name in self.game.product}, drawn)
            kept = live
            if state.averages:
                averaged = {name: state.averages.get(name, self.game.modules[name]) for name in self.game.product}
                with by_batch(averaged.values()):
                    kept = self.made(averaged, drawn)
            if not bool(live.isfinite().all()) or not bool(kept.isfinite().all()):
                return {"finite": 0.0}
            found = {"finite": 1.0, **self._scores(live, drawn.get("label"))}
            found |= self._samples(live, kept) | self._labels(drawn) | self._seeking(live, drawn)
        return {name: float(f"{value:.5g}") for name, value in found.items() if math.isfinite(value)}

    def made(self, modules: dict[str, nn.Module], drawn: dict[str, Tensor]) -> Tensor:
        """Samples of these modules."""
        with autocast(self.game, self.precision):
            return sampling.generate(self.game, modules, drawn).to(device_of(self.game))

    def _score(self, x: Tensor, label: Tensor | None) -> Tensor:
        assert self.game.score is not None
        with autocast(self.game, self.precision):
            return self.game.score(x, label)

    def _scores(self, fake: Tensor, label: Tensor | None) -> dict[str, float]:
        """How well the discriminator tells, and whether it knows the training samples by heart."""
        if self.game.score is None:
            return {}
        device, score = fake.device, self._score
        fakes = score(fake, None if label is None else label.to(device))
        reals = score(self.real.batch, self.real.label)
        found = {"told apart": mann_whitney_share(reals, fakes), "score gap": float(reals.mean() - fakes.mean())}
        if self.held is not None and (self.real.label is None) == (self.held.label is None):
            others = score(self.held.batch, self.held.label)
            found["held-out told apart"] = mann_whitney_share(others, fakes)
            found["train over held-out"] = mann_whitney_share(reals, others)
        return found

    def _samples(self, live: Tensor, kept: Tensor) -> dict[str, float]:
        """How they lie beside real ones."""
        few, now = self.view(kept), self.view(live)
        middle = now.mean(0)
        before, self._before = self._before, middle
        scale = float(self.reference.std(0).norm()) + 1e-12
        made, coarse = self.real.few, self.view.coarse(kept)
        found = {
            "distance": frechet_distance(few, self.reference) / self.floor,
            "live distance": frechet_distance(now, self.reference) / self.floor,
            "spread": _spread(few) / max(self.real.spread, 1e-12),
            "nearest": _nearest(few) / max(self.real.nearest, 1e-12),
            "coverage": _covered(made, self.reach, few) / self.covered,
        }
        if self.learnt.is_floating_point():  # numbers of words have no scale
            found["real scale"] = float(self.learnt.std())
        if before is not None:
            found["drift"] = float((middle - before).norm()) / scale
        if self.view.bounded:
            found["outside"] = _outside(kept, self.learnt)
        if self.held is not None:
            others = self.view.coarse(self.held.batch)
            found["copying z"] = mann_whitney(_to_nearest(coarse, self.pixels), _to_nearest(others, self.pixels))
        if self.judge is not None and len(self.prior) <= SAMPLES // 5:  # rare ones are missed by chance
            found |= self._classes(kept)
        return found

    def _classes(self, kept: Tensor) -> dict[str, float]:
        """Of the classes that as many real samples would show, how many occur."""
        assert self.judge is not None
        _, logits = self.judge.run(sampling.finished(kept.cpu(), self.source.about))
        if logits is None:
            return {}
        prior = torch.tensor(self.prior, dtype=torch.float64)
        seen = torch.bincount(logits.argmax(1), minlength=len(prior)) > 0
        return {"classes": float(seen.sum() / (1 - (1 - prior) ** len(logits)).sum())}

    def _labels(self, drawn: dict[str, Tensor]) -> dict[str, float]:
        """Does another label change a sample as much as another latent does?"""
        if "label" not in drawn or len(self.source.about.classes) < 2 or self.source.about.invented:
            return {}
        n, classes = min(64, len(drawn["label"])), len(self.source.about.classes)
        part = {name: column[:n] for name, column in drawn.items()}
        other = {**part, "label": (part["label"] + 1) % classes}
        another = {**part, **{name: value.flip(0) for name, value in part.items() if name != "label"}}
        modules = {name: self.game.modules[name] for name in self.game.product}
        base, labelled, latent = (self.view(self.made(modules, d)) for d in (part, other, another))
        change = (base - latent).norm(dim=1).mean().clamp(min=1e-9)
        return {"label effect": float((base - labelled).norm(dim=1).mean() / change)}

    def _seeking(self, live: Tensor, drawn: dict[str, Tensor]) -> dict[str, float]:
        """How far samples of one label move when their latents do, beside real ones of one. Mao et al. 2019, eq. 2.

        The distances of samples over those of their latents, times the mean distance of latents; 0 where the latent is
        ignored.
        """
        if "latent" not in drawn:
            return {}
        few, latent, label = self.view(live), drawn["latent"].to(live.device), drawn.get("label")
        here, there = _neighbours_of_a_label(label, len(few))
        apart = (latent[here] - latent[there]).flatten(1).norm(dim=1).clamp(min=1e-9)
        moved = ((few[here] - few[there]).norm(dim=1) / apart).mean() * apart.mean()
        one, other = _neighbours_of_a_label(self.real.label if label is not None else None, len(self.real.few))
        real = (self.real.few[one] - self.real.few[other]).norm(dim=1).mean().clamp(min=1e-9)
        return {"mode seeking": float(moved / real)}


def _neighbours_of_a_label(label: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """Numbers of samples, and for each of another with the same label; of any where there is none."""
    if label is None:
        return torch.arange(count - 1), torch.arange(1, count)
    order = label.cpu().argsort(stable=True)
    same = label.cpu()[order][1:] == label.cpu()[order][:-1]
    return order[:-1][same], order[1:][same]


class View:
    """(n, ...) samples -> (n, k) few numbers each: seen from afar, as their kind is, and projected."""

    def __init__(self, real: Tensor, key: str) -> None:
        self.coarse, self.bounded = KINDS[key].coarse, KINDS[key].dtype == torch.uint8
        coarse = self.coarse(real)
        self.middle, self.basis = coarse.mean(0), None
        if coarse.shape[1] > DIMENSIONS:  # the directions in which real samples differ most
            _, _, right = torch.linalg.svd((coarse - self.middle)[:LEARNT], full_matrices=False)
            self.basis = right[:DIMENSIONS].T

    def __call__(self, x: Tensor) -> Tensor:
        """As the class says."""
        coarse = self.coarse(x) - self.middle
        return coarse if self.basis is None else coarse @ self.basis


@contextmanager
def by_batch(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Batch norm takes the statistics of the batch at hand, and keeps none.

    Those that came with averaged weights belong to others.
    """
    layers = [(layer, layer.running_mean, layer.running_var) for layer in batch_norms(modules)]
    for layer, _, _ in layers:
        layer.running_mean = layer.running_var = None
    try:
        yield
    finally:
        for layer, mean, variance in layers:
            layer.running_mean, layer.running_var = mean, variance


@contextmanager
def resting(game: Game) -> Iterator[None]:
    """All modules in evaluation mode, and back."""
    training = [module for root in game.modules.values() for module in root.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def mann_whitney_share(a: Tensor, b: Tensor) -> float:
    """P(a > b), ties half: .5 for the same distribution, 1 when all of a lie above b."""
    a, b = a.float().flatten(), b.float().flatten()
    above = (a[:, None] > b).float() + 0.5 * (a[:, None] == b).float()
    return float(above.mean())


def _spread(few: Tensor) -> float:
    """Mean distance of two samples."""
    return float(torch.pdist(few).mean()) if len(few) > 1 else 0.0


def _nearest(few: Tensor) -> float:
    """Median distance to the nearest other sample."""
    distance = torch.cdist(few, few)
    distance.fill_diagonal_(math.inf)
    return float(distance.min(1).values.median())


def _to_nearest(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y).min(1).values


def _reach(few: Tensor, k: int = 5) -> Tensor:
    """(n,) distance of each to its k-th neighbour."""
    return torch.cdist(few, few).kthvalue(min(k + 1, len(few)), dim=1).values


def _covered(real: Tensor, reach: Tensor, few: Tensor) -> float:
    """Share of reals with a sample in their ball."""
    return float((torch.cdist(real, few).min(1).values <= reach).float().mean())


def _outside(made: Tensor, real: Tensor) -> float:
    """Share of generated values beyond the range of the real ones, with a hundredth of it to spare."""
    low, high = real.min(), real.max()
    spare = 0.01 * (high - low)
    return float(((made < low - spare) | (made > high + spare)).float().mean())


def probe_rounds(total: int, probes: int = PROBES) -> set[int]:
    """When to look: evenly, and at the end."""
    return {math.ceil(total * i / probes) for i in range(1, probes + 1)}
