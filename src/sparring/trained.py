"""A run that was trained: sample from it, translate with it, judge it, report it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from rich.console import Console
from torch import Tensor, nn

from sparring import checkpoint, recipes, sampling, training, weights
from sparring.average import batch_norms
from sparring.care import BEST, smoothed
from sparring.config import UserError, from_json, no_outside_code
from sparring.data import About, Data, Source, Splits, open_data
from sparring.data.captions import tokens
from sparring.data.holes import with_hole
from sparring.data.kinds import KINDS, ready, to_int16
from sparring.data.texts import RUNNING, each_made, encoded, parts_of
from sparring.data.views import half_asked, others_of, whole_of, words_of
from sparring.data.words import FIRST, written
from sparring.distributed import ALONE, World
from sparring.game import Game
from sparring.judge import extractor_of, judge_named, named_rightly
from sparring.judging import (
    FEWEST,
    MOST_SAMPLES,
    accuracy_row,
    as_asked,
    check_alike,
    check_enough,
    checked_split,
    default_split,
    elsewhere,
    held_out_rows,
    judged,
    of_pairs,
    spectral_row,
)
from sparring.machine import Machine, find_machine, isolated
from sparring.metrics.extractors import DEFAULT_PROTOCOL, Protocol
from sparring.metrics.features import Extractor, extract
from sparring.nn.alignment import csls
from sparring.nn.signal import mel_of, parts
from sparring.report import write_report
from sparring.runs import How, Plan, Written, now, read_config, read_events, write_json
from sparring.tiles import by_tiles, tile_for

CLASSIFIER = "classifier"
"""The module that names classes, in recipes that learn one."""
VOCODER = "vocoder"
"""The recipe whose runs make waves of spectrograms."""
CLEARLY = 0.8
"""Share of the last looks' distance below which an earlier one's is worth judging."""


def load(
    path: str | Path, trust: bool = False, device: str | None = None, checkpoint: Literal["final", "best"] = "final"
) -> Run:
    """A run that was trained before: its folder, or the model file that was exported of it.

    Nothing that it names is executed unless you `trust` it.
    Trust is needed only where the recipe, the data or an objective to go on training with is a file of your own.
    `device` is where to sample and judge: as for training; none is where it was trained, or the best that is here.
    `checkpoint` best is the one whose samples lay nearest to the data while it was trained.
    """
    return Run(Path(path), trust, device, checkpoint)


def evaluate_pictures(
    path: str | Path,
    against: Data,
    split: str | None = None,
    judge: str = "auto",
    protocol: Protocol = DEFAULT_PROTOCOL,
    seed: int = 1,
    console: Console | None = None,
) -> dict[str, Any]:
    """Judge pictures that any program made: a folder, a zip or an .npz, against a split of some data.

    `UserError` for what cannot be read or judged. Shares of classes are not judged: nobody knows how these were drawn.
    """
    console = console or Console(stderr=True)
    if not 0 <= seed < 2**63:
        raise UserError(f"seed={seed} must be a whole number from 0 to 2^63 - 1")
    with isolated():
        splits = open_data(against)
        split = checked_split(splits, split)
        made = elsewhere(Path(path), splits["train"].about)
        machine = find_machine(How(), splits["train"].about.key)
        check_enough(min(len(made), len(splits["train"])), splits, split)
        extractor = judge_named(judge, splits, machine, console, protocol)
        return {"source": str(path), "time": now(), **judged(made, splits, split, extractor, seed, prior=False)}


def as_learnt(splits: Splits, about: About, plan: Plan) -> Splits:
    """The splits; all as the recipe takes them where it models another kind of samples than they are."""
    if splits["train"].about.key == about.key:
        return splits
    recipe = recipes.find(plan.recipe)
    return {name: recipe.data(plan.model, split) for name, split in splits.items()}


def warner(console: Console) -> Callable[[str], None]:
    """Tells of what is wrong and passed over."""
    return lambda text: console.print(text, style="bold red", markup=False)


def short(data: str) -> str:
    """A folder's or file's own name, for the name of the run."""
    name = data.partition("://")[2] or data.partition(":")[0]
    return re.sub(r"[ {}?&=]+", "-", Path(name).stem.lower()).strip("-") or "data"


class Model(NamedTuple):
    """A trained model, ready to sample."""

    game: Game
    modules: dict[str, nn.Module]
    round: int
    averaged: bool


class Run:
    """A run folder: sample from it, judge it, report it, go on with it; or a model file, which can be used alone."""

    def __init__(
        self,
        path: Path,
        trust: bool = False,
        device: str | None = None,
        checkpoint: Literal["final", "best"] = "final",
    ) -> None:
        if checkpoint not in ("final", "best"):
            raise UserError(f"checkpoint={checkpoint} must be final or best")
        self.path = path
        self.trust = trust
        self.device = device
        self.checkpoint = checkpoint
        self.world = ALONE
        """Who makes samples that are to be judged: the first process of one asks the others."""
        self.shipped = weights.read(path) if path.is_file() else None
        """What a model file holds, where this is one and no folder."""
        if self.shipped is not None and checkpoint != "final":
            raise UserError(f"checkpoint={checkpoint}: {path} holds one model; leave it out")
        self.written: Written = self.shipped[1].run if self.shipped is not None else read_config(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def about(self) -> About:
        """Facts of the data as the recipe learnt from them."""
        return self.written.about

    def guard(self, asked: str = "") -> contextlib.AbstractContextManager[None]:
        """What must surround everything that resolves a name which the run gives. `asked`: the user's own `data`."""
        return contextlib.nullcontext() if self.trust else no_outside_code(asked)

    @cached_property
    def plan(self) -> Plan:
        """All settings of the run."""
        w = self.written
        with self.guard():
            config = recipes.find(w.recipe).Config
        model = from_json(config, w.model, f"{self.path / 'config.json'}: model")
        return Plan(w.recipe, w.preset, model, w.data, w.how)

    @cached_property
    def machine(self) -> Machine:
        """Where it samples and judges."""
        how = self.plan.how
        if self.device is not None:
            return find_machine(dataclasses.replace(how, device=self.device), self.about.key)
        try:
            return find_machine(how, self.about.key)
        except UserError:  # trained on a device that is not here
            return find_machine(dataclasses.replace(how, device="auto"), self.about.key)

    @cached_property
    def model(self) -> Model:
        """What samples are made by, from the last good checkpoint, or from the best."""
        if self.shipped is not None:
            return self._from_file(*self.shipped)
        folder = self.path / ("checkpoints" if self.checkpoint == "final" else BEST)
        if not checkpoint.listed(folder):
            if self.checkpoint == "best" and checkpoint.listed(self.path / "checkpoints"):
                raise UserError(f"{self.path} has no best checkpoint: nobody looked while it was trained; use final")
            raise UserError(f"{self.path} has no checkpoint yet; train it first: sparring resume {self.path}")
        with isolated(), self.guard():
            game = training.assemble(self.plan, self.about, self.machine)
            state = checkpoint.restore_newest(game, folder, warner(Console(stderr=True)))
            pool = self.pool if game.given and batch_norms(game.modules.values()) else None
            return Model(game, sampling.for_sampling(game, state, pool=pool), state.round, bool(state.averages))

    def _from_file(self, tensors: Mapping[str, Tensor], facts: weights.Facts) -> Model:
        weights.check(self.plan.model, self.path)
        with isolated(), self.guard():
            try:
                game = training.assemble(self.plan, self.about, self.machine)
            except UserError:
                raise
            except Exception as error:  # settings that no run would have written
                raise weights.BadModelError(f"{self.path}: its settings make no network: {error}") from None
            modules = {name: game.modules[name].requires_grad_(False).eval() for name in game.product}
            weights.fill(modules, tensors, self.path)
            return Model(game, modules, facts.round, facts.averaged)

    @property
    def place(self) -> Path:
        """The folder for what is made with it: its own, or for a model file one beside it of the same name."""
        return self.path if self.shipped is None else self.path.with_suffix("")

    def folder(self, what: str) -> Path:
        """The run's own folder. `UserError` for a model file, which has none; `what` one cannot do with it."""
        if self.shipped is not None:
            raise UserError(
                f"{self.path} is a model file, without data and record: {what} the run it was exported from"
            )
        return self.path

    @cached_property
    def pool(self) -> Source:
        """Held-out samples of the data, as the recipe takes them: what those of translators are made from."""
        if self.shipped is not None:
            takes = ", ".join(self.model.game.given)
            give = "--caption" if self.about.caption else f"sparring translate {self.path} FILES, upscale or inpaint"
            raise UserError(
                f"{self.path} is a model file, without the data whose {takes} samples are made from; give your own: "
                f"{give}"
            )
        with self.guard():
            splits = open_data(self.plan.data)
            return half_asked(recipes.find(self.plan.recipe).data(self.plan.model, splits[default_split(splits)]))

    @property
    def factor(self) -> int:
        """How many times larger than its sources its images are; 1 where they are alike, or there are no sources."""
        return self.about.shape[1] // self.about.source[1] if len(self.about.source) == 3 else 1

    def translate(self, pictures: Tensor, seed: int = 0, label: str | int | None = None, whole: bool = False) -> Tensor:
        """(N, C, H, W) uint8 sources -> (N, D, H, W) uint8 images. `UserError` for recipes that do not translate.

        Texts are int64 (N, L), numbers of the words of `about.source_vocabulary`, of any length; points float32 (N, D).
        `label`: the domain to go to, by name or number, where a model has several. `whole`: pictures of any size, by
        tiles of the size that the run was trained at, blended where they overlap.
        """
        self._refuse_unless_translating()
        if label is None and self.about.classes:
            raise UserError(f"label: {self.path} translates to any of {', '.join(self.about.classes)}; say which")
        number = None if label is None else sampling.label_number(self.about, label)
        return self._made(pictures, seed, self.about.source[1:] if whole else None, number)

    def translate_text(self, text: str, label: str | int | None = None) -> str:
        """A text of the language, or in the cipher, that `--source` named in training; by lines where those were lines.

        `label`: the style to write in, by name or number, where a model has several. Words that the run does not know,
        and leaves as they are, stay the user's. `UserError` for runs that translate no texts, and where most of its
        words are none that the run knows.
        """
        self._refuse_unless_translating()
        if self.about.key != "text":
            raise UserError(f"{self.path} translates {KINDS[self.about.key].what}, not texts; use text_translation")
        unit = self.plan.data.unit
        said, rows = parts_of(text, self.about, unit), encoded(text, self.about, unit)
        every = torch.cat([row[row > 0] for row in rows]) if rows else torch.zeros(0)
        if not len(every) or float((every >= FIRST).float().mean()) < 0.5:
            known = " ".join(self.about.source_vocabulary[:40])
            raise UserError(f"most of it is not written in what this run was trained to read: {known!r} ...")
        every_row = each_made(rows, lambda texts: self.translate(texts, label=label))
        made = [written(row, self.about, instead=words)[0] for row, words in zip(every_row, said, strict=True)]
        return "".join(made) if unit in RUNNING else "\n".join(made)

    def dictionary(self, words: Sequence[str], most: int = 3) -> dict[str, list[str]]:
        """For each word of the language that `--source` named in training, its nearest ones of the other, best first.

        Nearest under CSLS among all the words of either set. Words without a vector are left out. `UserError` for runs
        that map no vectors of words.
        """
        if self.about.key != "point" or self.model.game.given != ("source",):
            raise UserError(
                f"{self.path}: the recipe {self.plan.recipe} maps no vectors of words; use word_translation"
            )
        self.folder("ask")
        with self.guard():
            sides = [words_of(split) for split in open_data(self.plan.data).values()]
        points, sources = ({name: row for side in sides for name, row in side[i].items()} for i in (0, 1))
        if not points or not sources:
            raise UserError(f"{self.path}: its vectors have no names; train it with .vec files")
        middle = self.model.modules["centre of points"]
        made = middle(self.translate(torch.stack(list(sources.values()))))
        close, _ = csls(made, middle(torch.stack(list(points.values()))))
        place, names = {name: row for row, name in enumerate(sources)}, list(points)
        best = close.topk(min(most, len(names)), 1).indices.tolist()
        return {word: [names[number] for number in best[place[word]]] for word in words if word in place}

    def upscale(self, pictures: Tensor) -> Tensor:
        """(N, C, h, w) uint8 of any size -> (N, C, s h, s w), s = `factor`.

        `UserError` for runs whose sources are not smaller than their images.
        """
        if self.factor < 2:
            raise UserError(f"{self.path}: the recipe {self.written.recipe} does not enlarge; use superres")
        return self._made(pictures, 0, tile_for(self.about.source[1:]))

    def inpaint(self, pictures: Tensor, hole: Tensor) -> Tensor:
        """(N, C, H, W) uint8 of any size, and where they are missing, (N or 1, 1, H, W) bool -> the same, filled.

        Known pixels stay as they are. What is filled is made from what lies within a tile: one as large as the pictures
        of training, or a multiple of it. `UserError` for runs that were not trained on holes.
        """
        if not self.about.masked:
            raise UserError(f"{self.path}: the recipe {self.plan.recipe} fills no holes; use inpaint")
        if pictures.ndim != 4 or hole.dtype != torch.bool or hole.ndim != 4 or len(hole) not in (1, len(pictures)):
            raise UserError(
                f"pictures of shape {tuple(pictures.shape)} and a hole of {hole.dtype} {tuple(hole.shape)}; "
                "uint8 (N, C, H, W) and bool (N or 1, 1, H, W) are expected"
            )
        if hole.shape[1:] != (1, *pictures.shape[2:]):
            raise UserError(f"the hole is {tuple(hole.shape[1:])} and pictures are {tuple(pictures.shape[1:])}")
        hole = hole.expand(len(pictures), -1, -1, -1)
        made = self._made(with_hole(pictures, hole), 0, tile_for(self.about.source[1:]))
        return torch.where(hole, made, pictures)

    def _refuse_unless_translating(self) -> None:
        if self.model.game.given != ("source",):
            raise UserError(f"{self.path}: the recipe {self.plan.recipe} does not translate; use pix2pix or cyclegan")

    def _made(self, sources: Tensor, seed: int, tile: Sequence[int] | None, label: int | None = None) -> Tensor:
        """Images of (N, C, H, W) uint8 sources, all at once or by tiles."""
        self._refuse_unless_translating()
        game, modules = self.model.game, self.model.modules
        self._check_sources(sources, any_size=tile is not None)

        def made(x: Tensor) -> Tensor:
            to = {} if label is None else {"label": torch.full((len(x),), label)}
            return sampling.generate(game, modules, {"source": x, **to})

        with isolated():
            torch.manual_seed(seed)
            x = ready(sources)
            out = made(x) if tile is None else by_tiles(made, x, tile, self.factor)
            return sampling.finished(out, self.about)

    def _check_sources(self, sources: Tensor, any_size: bool) -> None:
        kind, (first, *_) = KINDS[self.about.key], self.about.source
        wanted = {"image": f"(N, {first}, H, W)", "text": "(N, L)", "point": f"(N, {first})"}[self.about.key]
        fits = self.about.key == "text" or sources.shape[1:2] == (first,)
        if sources.dtype != kind.dtype or sources.ndim != kind.dims + 1 or not fits or not len(sources):
            dtype = str(kind.dtype).removeprefix("torch.")
            raise UserError(
                f"{kind.what} are {sources.dtype} of shape {tuple(sources.shape)}; {dtype} {wanted} is expected"
            )
        if self.about.key == "image" and not any_size and sources.shape[1:] != torch.Size(self.about.source):
            given, learnt = ("x".join(map(str, size)) for size in (sources.shape[2:], self.about.source[1:]))
            raise UserError(
                f"pictures are {given}, and {self.path} was trained at {learnt}; whole=True goes over any by tiles; "
                "sparring translate RUN FILES brings files to that size, or with --fit whole keeps theirs"
            )
        known = len(self.about.source_vocabulary) + FIRST
        if self.about.key == "text" and not bool(((sources >= 0) & (sources < known)).all()):
            raise UserError(f"texts hold numbers of words beyond 0 to {known - 1}, which this run knows")

    def _classifier(self) -> nn.Module:
        if CLASSIFIER not in self.model.modules:
            raise UserError(
                f"{self.path}: the recipe {self.plan.recipe} learns no classifier; use classifier or semi_supervised"
            )
        return self.model.modules[CLASSIFIER]

    def classify(self, samples: Tensor) -> Tensor:
        """Samples as the data store them, pictures uint8 (N, C, H, W) -> (N, classes) float32 probabilities.

        In the order of `about.classes`. `UserError` for recipes that learn no classifier, and for samples of another
        kind or shape.
        """
        network = self._classifier()
        self._check_samples(samples)
        with isolated():
            logits = extract(extractor_of(network, self.about, self.machine.device), samples).logits
            assert logits is not None
            return logits.softmax(1)

    def _check_samples(self, samples: Tensor) -> None:
        """`UserError` for samples of another kind or shape than the run's."""
        kind, shape = KINDS[self.about.key], self.about.shape
        if samples.dtype != kind.dtype or tuple(samples.shape[1:]) != shape:
            raise UserError(
                f"{kind.what} are {samples.dtype} of shape {tuple(samples.shape)}; "
                f"{str(kind.dtype).removeprefix('torch.')} (N, {', '.join(map(str, shape))}) is expected"
            )

    def voiced(self, pictures: Tensor, about: About) -> Tensor:
        """(N, 1, bands, frames) uint8 spectrograms as `about` tells of them -> (N, 1, T) int16, by a run of vocoder.

        `UserError` for runs of other recipes, and for spectrograms that are made otherwise than those it has learnt.
        """
        if self.written.recipe != VOCODER:
            raise UserError(
                f"{self.path}: the recipe {self.written.recipe} makes no waves of spectrograms; use {VOCODER}"
            )
        learnt = mel_of(self.about.rate, self.plan.model.bands, self.plan.model.hop)
        given = mel_of(about.rate, about.shape[1], about.hop)
        if not about.hop or given != learnt:
            told = f"{given}" if about.hop else f"{about.name}, which are no spectrograms"
            raise UserError(f"{self.path} learnt {learnt}, and this is {told}; train both with the same numbers")
        generator, device = self.model.modules["generator"], self.machine.device
        with isolated(), torch.no_grad():
            every = parts(len(pictures), pictures.shape[3] * given.hop)
            return to_int16(torch.cat([generator(ready(pictures[rows], device)).float().cpu() for rows in every]))

    def had_better(self) -> bool:
        """Whether looks while training say that an earlier round was clearly better than the end."""
        seen, kept = smoothed(read_events(self.path)), checkpoint.listed(self.path / BEST)
        if not seen or not kept:
            return False
        number = int(kept[-1].stem.partition("-")[0])
        return dict(seen).get(number, math.inf) < CLEARLY * seen[-1][1]

    def reconstruct(self, samples: Tensor) -> Tensor:
        """Samples as the data store them -> what is left of them after their code, stored alike.

        `UserError` for recipes without a code, and for samples of another kind or shape.
        """
        game = self.model.game
        if game.reconstruct is None:
            raise UserError(f"{self.path}: the recipe {self.plan.recipe} has no codes; use ae, vae, vqvae or vae_gan")
        self._check_samples(samples)
        with isolated(), torch.no_grad():
            torch.manual_seed(0)
            parts = [ready(part, self.machine.device) for part in torch.split(samples, sampling.CHUNK)]
            made = torch.cat([game.reconstruct(self.model.modules, part).cpu() for part in parts])
            return sampling.finished(made, self.about)

    def sample(
        self,
        n: int = 64,
        label: str | int | None = None,
        seed: int = 0,
        caption: str | None = None,
        temperature: float | None = None,
    ) -> Tensor:
        """`n` samples of the averaged model as the data store them: uint8 (n, C, H, W) pictures, float32 (n, D) points.

        Texts are int64 (n, L) numbers of words (`data.words.written` spells them), sounds int16 (n, 1, T), clips uint8
        (n, C, T, H, W).

        The same arguments give the same samples. `label` is a class's name or number, or none for models
        of label_dropout; `caption` what they are to
        show, for models that were trained with captions (none: captions of held-out pictures). Below `temperature` 1
        likely texts are likelier, for models of texts (none: as they were trained).
        """
        if temperature is not None and not self.model.game.tempered:
            raise UserError(f"temperature={temperature}: this recipe's samples have none; only those of sequence do")
        if temperature is not None and not 0 < temperature < math.inf:
            raise UserError(f"temperature={temperature} must be above 0; 1 is as it was trained")
        if not isinstance(n, int) or not 1 <= n <= 10**7:
            raise UserError(f"n={n} must be a whole number from 1 to 10,000,000")
        if not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise UserError(f"seed={seed} must be a whole number from 0 to 2^63 - 1")
        number = None if label is None else self._number(label)
        if caption is not None and not self.about.caption:
            raise UserError(f"caption={caption}: this model was trained without captions; train text_to_image")
        own = {} if caption is None else {"caption": tokens([caption], self.about, strict=True).expand(n, -1)}
        with isolated():
            pool = self.pool if set(self.model.game.given) - set(own) else None
            drawn = sampling.draw(self.model.game, n, seed, number, pool, own)
            if temperature is not None:
                drawn["temperature"] = torch.full((n, 1), temperature)
            made = sampling.generate(self.model.game, self.model.modules, drawn, seed)
            return sampling.finished(made, self.about)

    def _shared_sample(self, n: int, seed: int) -> Tensor:
        """`sample`, to which each process of the world gives its part; the first one's call asks the others."""
        if self.world.first:
            self.world.told([self.checkpoint, n, seed])
        with isolated():
            drawn = sampling.draw(self.model.game, n, seed, pool=self.pool if self.model.game.given else None)
            made = sampling.generate(self.model.game, self.model.modules, drawn, seed, self.world)
            return sampling.finished(made, self.about)

    def assist(self, world: World) -> None:
        """Give this process's part of every sample that the first one asks for, until it needs no more."""
        while (asked := world.told()) is not None:
            which, n, seed = asked
            run = load(self.path, self.trust, self.device, which)
            run.world = world
            run._shared_sample(n, seed)

    def _number(self, label: str | int) -> int:
        """Of a class; `none` for models that were trained without labels too."""
        if label == "none" and getattr(self.plan.model, "label_dropout", 0.0) > 0:
            return len(self.about.classes)
        return sampling.label_number(self.about, label)

    def evaluate(
        self,
        split: str | None = None,
        samples: int = MOST_SAMPLES,
        seed: int = 1,
        against: Data | None = None,
        splits: Splits | None = None,
        console: Console | None = None,
        judge: str = "auto",
        protocol: Protocol = DEFAULT_PROTOCOL,
    ) -> dict[str, Any]:
        """Judge `samples` samples against a held-out split; written to evaluation.json and returned.

        `split` is test or validation; none is validation where the run set one aside, else test. At most as many
        samples are drawn as there are training samples, so that the floor (real training samples against the same
        reference) has the same number. Other splits, other judges (see `metrics.extractors`) and
        data other than the run's (`against`) are written beside.
        """
        console = console or Console(stderr=True)
        self.folder("judge")
        if splits is None:
            with self.guard("" if against is None else against.data):
                splits = as_learnt(open_data(against or self.plan.data), self.about, self.plan)
        usual, split = default_split(splits), checked_split(splits, split)
        with isolated():
            if self.model.game.sample is None:
                if judge != "auto":
                    raise UserError(f"judge={judge}: a classifier is judged by its accuracy; leave --judge out")
                scored = self._classified(splits[split], split)
            else:
                check_alike(self.about, splits["train"].about)
                check_enough(samples, splits, split)
                scored = self._judged(splits, split, samples, seed, self._judge(splits, judge, protocol, console))
                if CLASSIFIER in self.model.modules and splits[split].about.classes:
                    scored["metrics"] |= self._classified(splits[split], split)["metrics"]
        weights = "average" if self.model.averaged else "live"
        result = {"round": self.model.round, "weights": weights, "seed": seed, "time": now(), **scored}
        own = against is None and split == usual and samples == MOST_SAMPLES and judge == "auto" and seed == 1
        beside = f"evaluation-{split}-{short(splits[split].about.name)}-{scored.get('samples', 0)}"
        if judge != "auto":
            beside += f"-{short(judge)}-{protocol}-{scored['stamp']['extractor'][:8]}"
        if seed != 1:
            beside += f"-seed{seed}"
        name = ("evaluation" if own else beside) + ("-best" if self.checkpoint == "best" else "")
        write_json(self.path / f"{name}.json", result)
        return result

    def _judge(self, splits: Splits, name: str, protocol: Protocol, console: Console) -> Extractor:
        with self.guard():
            if self.plan.data.limit is not None:  # a judge of the few would make scores that compare with no other's
                whole = open_data(dataclasses.replace(self.plan.data, limit=None))
                splits = {**splits, "train": as_learnt(whole, self.about, self.plan)["train"]}
            return judge_named(name, splits, self.machine, console, protocol)

    def _judged(self, splits: Splits, split: str, samples: int, seed: int, extractor: Extractor) -> dict[str, Any]:
        about = splits["train"].about
        if samples < FEWEST:
            raise UserError(f"samples={samples}: judging needs at least {FEWEST}")
        most = min(samples, len(splits["train"]), MOST_SAMPLES)
        if self.model.game.given:  # a source that comes twice says nothing new
            most = min(most, len(self.pool))
            splits = {**splits, split: others_of(self.pool, splits[split])}
        made = self.sample(most, seed=seed) if self.world.size == 1 else self._shared_sample(most, seed)
        scored = judged(made, splits, split, extractor, seed)
        if self.about.paired or (self.model.game.given and self.pool.about.paired):
            truth = self.pool[sampling.chosen(self.pool, most, seed)][about.key]
            scored = of_pairs(scored, made, truth)
        if self.model.game.given and whole_of(self.pool) is not None:
            asked = sampling.draw(self.model.game, most, seed, pool=self.pool)["label"]
            scored = as_asked(scored, extractor, made, asked)
        if self.model.game.given == ("sound",):
            wanted = self.pool[sampling.chosen(self.pool, most, seed)]["sound"]
            scored["metrics"]["spectral distance"] = spectral_row(made, wanted)
        scored["metrics"] |= held_out_rows(self.model.game, self.model.modules, splits[split], seed)
        return scored

    def _classified(self, held_out: Source, split: str) -> dict[str, Any]:
        learnt = self.about
        if (held_out.about.shape, held_out.about.classes) != (learnt.shape, learnt.classes):
            raise UserError(
                f"{held_out.about.name} has pictures of {held_out.about.shape} in {len(held_out.about.classes)} "
                f"classes, and this classifier knows {learnt.shape} in {len(learnt.classes)}, by those of {learnt.name}"
            )
        check_alike(learnt, held_out.about)
        right = named_rightly(extractor_of(self._classifier(), learnt, self.machine.device), held_out)
        about = held_out.about
        reference = {"data": about.name, "split": split, "sha256": about.sha256, "count": len(held_out)}
        stamp = {"reference": about.sha256, "split": split, "reference_count": len(held_out)}
        return {"reference": reference, "stamp": stamp, "metrics": {"accuracy": accuracy_row(right)}}

    def report(self) -> Path:
        """Write report.html, grid.png and learning.gif; returns the page."""
        return write_report(self.folder("report"))
