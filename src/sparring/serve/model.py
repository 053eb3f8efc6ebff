"""A trained model behind a service: what it offers, and what its samples are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import ImageColor
from torch import Tensor

from sparring import sampling
from sparring.config import UserError
from sparring.data.captions import tokens
from sparring.data.kinds import KINDS, ready
from sparring.data.tensors import recolored
from sparring.machine import isolated
from sparring.nn.translate import AlwaysDropout
from sparring.serve import wire
from sparring.serve.asked import SEEDS, Parameter, Refused, refused
from sparring.trained import CLASSIFIER, Run

MOST = 64
"""Samples of a request, where they are small."""
NUMBERS = 2**23
"""Numbers in the samples of a request, at most."""
PIXELS = 2**24
"""Of an uploaded picture that is brought to the model's own size."""
WHOLE = 2**20
"""Pixels of one that keeps its size, and of what is made of it four times as many."""
CHARACTERS = 10_000
"""Of an uploaded text."""
MOST_SEEDS = 4
"""Between which one path leads."""


@dataclass(frozen=True)
class Limits:
    """What a service bears."""

    waiting: int = 64
    """Requests that wait; further ones are sent away with 503."""
    rows: int = 64
    """Samples of one forward pass."""
    upload: int = 8 * 2**20
    """Bytes of a body."""
    seconds: float = 30.0
    """For an answer, and for a body to arrive."""


class Served:
    """A run or model file, opened. `UserError` where it makes nothing that could be served."""

    def __init__(self, run: Run) -> None:
        self.run, self.about = run, run.about
        self.game, self.modules = run.model.game, run.model.modules
        self.drawn: dict[str, Tensor] = {}
        if self.game.sample is not None and self.game.draw is not None:
            self.drawn = self.game.draw(64, torch.Generator().manual_seed(0))
        self.labels = self._labels()
        self.offers = self._offers()
        if not self.offers:
            raise UserError(
                f"{run.path}: the recipe {run.written.recipe} turns data into data that a request cannot carry "
                "(vectors of words, spectrograms); use it from Python"
            )
        self.noisy = any(isinstance(m, AlwaysDropout) for module in self.modules.values() for m in module.modules())
        """Samples of one request hang on random numbers that several would share: each is made by itself."""
        self.most = max(1, min(MOST, NUMBERS // math.prod(self.about.shape)))
        """Samples of a request."""

    def _labels(self) -> tuple[str, ...]:
        """Names of the classes that can be asked for; also `none` for models that were trained without labels too."""
        about = self.about
        if "label" not in self.drawn or not about.classes or about.invented:
            return ()
        without = getattr(self.run.plan.model, "label_dropout", 0.0) > 0 and "none" not in about.classes
        return (*about.classes, "none") if without else about.classes

    def _offers(self) -> tuple[str, ...]:
        about, found, given = self.about, list[str](), set(self.game.given)
        if self.game.sample is not None and self.drawn and not given - {"caption"}:
            found.append("samples")
            if "latent" in self.drawn and about.key in ("image", "point"):
                found.append("interpolation")
        if given == {"source"} and about.key in ("image", "text") and self.game.sample is not None:
            found.append("translation")
        if CLASSIFIER in self.modules and about.key == "image" and not about.hop:
            found.append("classification")
        return tuple(found)

    @property
    def latent(self) -> int:
        """Size of the latents; 0 where samples have none."""
        return int(self.drawn["latent"].shape[1]) if "latent" in self.drawn else 0

    @property
    def uniform(self) -> bool:
        """The latents are uniform in [-1, 1], not normal."""
        return bool(self.latent) and bool(self.drawn["latent"].abs().max() <= 1)

    def facts(self) -> dict[str, Any]:
        """What the model is, for who is about to ask."""
        about, model = self.about, self.run.model
        return {
            "recipe": self.run.written.recipe,
            "data": about.name,
            "round": model.round,
            "averaged": model.averaged,
            "makes": KINDS[about.key].what,
            "kind": about.key,
            "shape": list(about.shape),
            "rate": about.rate,
            "classes": list(self.labels),
            "clusters": len(about.classes) if about.invented and "label" in self.drawn else 0,
            "words": list(about.vocabulary) if about.caption else [],
            "latent": self.latent,
            "uniform": self.uniform,
            "source": list(about.source) if "translation" in self.offers and about.key == "image" else [],
            "offers": list(self.offers),
            "most": self.most,
        }

    # -- parameters --------------------------------------------------------------------------------------

    def shared(self) -> list[Parameter]:
        """Parameters of everything that is made from latents."""
        found = []
        if self.labels:
            told = "The class to show; without it as often as they occur."
            found.append(Parameter("label", "string", told, choices=self.labels))
        if self.about.caption:
            told = "What they are to show, in words that training has shown."
            found.append(Parameter("caption", "string", told, required=True))
        if self.latent:
            told = "Below 1 latents are drawn towards their middle: less variety, fewer odd samples."
            found.append(Parameter("truncation", "number", told, default=1.0, least=0, most=1))
        if self.game.tempered:
            told = "Below 1 likely samples are likelier."
            found.append(Parameter("temperature", "number", told, default=1.0, least=0.01, most=10))
        return found

    def seed(self, name: str = "seed", told: str = "The same seed gives the same samples.") -> Parameter:
        """The parameter that says which samples."""
        return Parameter(name, "integer", told, default=0, least=0, most=SEEDS - 1)

    def format(self, *more: str) -> Parameter:
        """The parameter that says in what form."""
        forms = (*wire.FORMATS[self.about.key], *more, *(("wav",) if self.about.hop else ()))
        return Parameter("format", "string", "Of the answer.", default=forms[0], choices=forms)

    # -- rows ----------------------------------------------------------------------------------------------

    def rows(self, n: int, seed: int, values: Mapping[str, Any]) -> dict[str, Tensor]:
        """What `n` samples are made from: those of `sparring sample` for the same values. `Refused` (400)."""
        label, caption, own = values.get("label"), values.get("caption"), dict[str, Tensor]()
        if caption is not None:
            own["caption"] = self.words(caption).expand(n, -1)
        drawn = sampling.draw(self.game, n, seed, None if label is None else self.number(label), None, own)
        return self.adjusted(drawn, values)

    def words(self, caption: str) -> Tensor:
        """(1, L) of a caption. `Refused` (400) for words that training never showed."""
        try:
            return tokens([caption], self.about, strict=True)
        except UserError as error:
            raise refused(error) from None

    def number(self, label: str) -> int:
        """Of a class."""
        return self.labels.index(label)

    def adjusted(self, drawn: dict[str, Tensor], values: Mapping[str, Any]) -> dict[str, Tensor]:
        """Truncation, and the temperature as a column."""
        truncation, temperature = values.get("truncation"), values.get("temperature")
        if truncation is not None and truncation < 1:
            drawn = {**drawn, "latent": drawn["latent"] * truncation}
        if temperature is not None and temperature != 1:
            drawn = {**drawn, "temperature": torch.full((len(next(iter(drawn.values()))), 1), temperature)}
        return drawn

    def path(self, seeds: Sequence[int], steps: int, values: Mapping[str, Any]) -> dict[str, Tensor]:
        """Rows from seed to seed, `steps` on each way, of one label or caption: the given one, or the first seed's."""
        ends = [self.rows(1, seed, values) for seed in seeds]
        weights = torch.zeros(steps * (len(seeds) - 1) + 1, len(seeds))
        for place in range(len(weights)):
            leg = min(place // steps, len(seeds) - 2)
            share = place / steps - leg
            weights[place, leg], weights[place, leg + 1] = 1 - share, share
        latent = mixed(torch.cat([end["latent"] for end in ends]), weights, self.uniform)
        same = {name: column.expand(len(weights), *column.shape[1:]) for name, column in ends[0].items()}
        return {**same, "latent": latent}

    # -- samples -------------------------------------------------------------------------------------------

    def generate(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Rows of columns -> samples as the data store them."""
        return sampling.finished(sampling.generate(self.game, self.modules, rows), self.about)

    def by_itself(self, rows: Mapping[str, Tensor], seed: int) -> Tensor:
        """The same for networks that make noise of their own, by `seed`."""
        with isolated():
            torch.manual_seed(seed)
            return self.generate(rows)

    # -- translation -------------------------------------------------------------------------------------------

    def translating(self) -> list[Parameter]:
        """Parameters of a translation."""
        about, found = self.about, list[Parameter]()
        if about.classes and "label" in self.drawn:
            told = "The domain, or the style, to go to."
            found.append(Parameter("label", "string", told, choices=about.classes, required=True))
        if about.key == "text":
            return found
        found.append(self.seed(told="Of noise, for networks that have any."))
        if about.masked:
            told = "What is missing: parts of the upload that are clear, or of this colour, such as magenta or #ff00ff."
            found.append(Parameter("hole", "string", told, default="clear"))
        elif self.run.factor < 2:
            told = "How another shape is brought to the size of training; whole keeps it, and goes over it by tiles."
            found.append(Parameter("fit", "string", told, default="crop", choices=("crop", "pad", "stretch", "whole")))
        return [*found, self.format()]

    def source_rows(self, data: bytes, values: Mapping[str, Any]) -> dict[str, Tensor]:
        """Rows of an uploaded picture at the size of training."""
        picture = wire.uploaded(data, self.about.source, values["fit"], PIXELS)
        label = values.get("label")
        rows = {"source": ready(picture[None])}
        return rows if label is None else {**rows, "label": torch.tensor([self.about.classes.index(label)])}

    def whole(self, data: bytes, values: Mapping[str, Any]) -> Tensor:
        """An uploaded picture of any size -> (1, C, H, W), by tiles: enlarged, filled, or translated. `Refused`."""
        about, factor = self.about, self.run.factor
        if about.masked:
            return self._filled(data, values["hole"])
        picture = wire.uploaded(data, about.source, "whole", WHOLE * 4 // max(4, factor**2))
        if factor > 1:
            return self.run.upscale(picture[None])
        return self.run.translate(picture[None], values["seed"], values.get("label"), whole=True)

    def _filled(self, data: bytes, colour: str) -> Tensor:
        picture = wire.uploaded(data, (4, 0, 0), "whole", WHOLE)
        hole = picture[3:] < 128
        if colour != "clear":
            try:
                wanted = torch.tensor(ImageColor.getrgb(colour)[:3])[:, None, None]
            except ValueError:
                raise Refused(400, f"hole={colour[:80]} is no colour; use clear, magenta or #ff00ff") from None
            hole = ((picture[:3].int() - wanted).abs() <= 8).all(0, keepdim=True)
        if not bool(hole.any()) or bool(hole.all()):
            found = "all" if bool(hole.any()) else "nothing"
            raise Refused(422, f"{found} of the picture is missing (hole={colour[:80]}); make what is missing clear")
        color = {1: "gray", 3: "rgb", 4: "rgba"}[self.about.shape[0]]
        known = recolored(picture[None, :3] if color != "rgba" else picture[None], color)
        return self.run.inpaint(known, hole[None])

    def text(self, text: str, values: Mapping[str, Any]) -> str:
        """A translated text. `Refused` (400) where it is in no language that the model knows."""
        try:
            return self.run.translate_text(text, values.get("label"))
        except UserError as error:
            raise refused(error) from None

    def classified(self, data: bytes, fit: str) -> dict[str, float]:
        """Of an uploaded picture, the probability of each class."""
        picture = wire.uploaded(data, self.about.shape, fit, PIXELS)
        found = self.run.classify(picture[None])[0].tolist()
        return dict(zip(self.about.classes, found, strict=True))


def mixed(latents: Tensor, weights: Tensor, uniform: bool) -> Tensor:
    """(k, d) latents, (n, k) weights that sum to 1 -> (n, d) between them.

    A weighted mean of normal latents is shorter than any of them, and of another distribution: divided by the length
    of its weights it is of the same again (White 2016 turns instead, which for two is nearly alike).
    """
    between = weights @ latents
    return between if uniform else between / weights.norm(dim=1, keepdim=True)
