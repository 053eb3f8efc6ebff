"""The systems by name. Each is one module: `Config`, `PRESETS`, `data(config, source)`, `build(config, about)`.

The table is plain text, so that listing it costs no import of torch; a recipe is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sparring.config import UserError, did_you_mean, is_outside, resolve

if TYPE_CHECKING:
    from sparring.data.source import About, Source
    from sparring.game import Game


class Entry(NamedTuple):
    """A line of `sparring recipes`."""

    paper: str
    purpose: str


RECIPES: Mapping[str, Entry] = {
    "mlp": Entry("Goodfellow et al. 2014", "the first GAN: two fully connected networks; pictures or points"),
    "dcgan": Entry("Radford et al. 2016", "pictures of any size, no labels needed"),
    "cdcgan": Entry("Mirza and Osindero 2014; Miyato and Koyama 2018", "pictures by class, on demand"),
    "wgan": Entry("Arjovsky et al. 2017", "the earth mover's distance with clipped weights; pictures or points"),
    "wgan_gp": Entry("Gulrajani et al. 2017", "the same with a gradient penalty; pictures or points"),
    "sngan": Entry("Miyato et al. 2018", "hinge loss and spectral normalisation; pictures or points"),
    "fgan": Entry("Nowozin et al. 2016", "any f-divergence, or your own convex f; pictures or points"),
    "pacgan": Entry("Lin et al. 2018", "judges packs of samples, against mode collapse; points or pictures"),
    "r3": Entry("Huang et al. 2024", "relativistic, R1 and R2, residual networks without normalisation; pictures"),
    "melgan": Entry("Donahue et al. 2019; Griffin and Lim 1984", "sounds by class, by way of their spectrograms"),
    "wavegan": Entry("Donahue et al. 2019", "waves straight from noise"),
    "vocoder": Entry("Kong et al. 2020", "waves from log-mel spectrograms (HiFi-GAN)"),
    "text_to_image": Entry("Reed et al. 2016; Miyato and Koyama 2018", "pictures of what a sentence says"),
    "pix2pix": Entry("Isola et al. 2017", "pictures from pictures, learnt from pairs"),
    "cyclegan": Entry("Zhu et al. 2017", "pictures from pictures without pairs; also DiscoGAN, DualGAN"),
    "cut": Entry("Park et al. 2020", "the same one way only, by comparing places; half the networks"),
    "stargan": Entry("Choi et al. 2018", "between any of many domains, by one translator"),
    "text_translation": Entry("Gomez et al. 2018", "deciphers texts, or translates symbol by symbol, without pairs"),
    "text_style": Entry("Shen et al. 2017; Wu et al. 2019", "sentences rewritten in another style, without pairs"),
    "word_translation": Entry("Conneau et al. 2018", "a dictionary from the vectors of words of two languages alone"),
    "superres": Entry("Ledig et al. 2017; Wang et al. 2018", "large pictures from small ones"),
    "inpaint": Entry("Pathak et al. 2016; Yu et al. 2019", "what is missing in a picture, made from the rest"),
    "ae": Entry("Hinton and Salakhutdinov 2006; Ghosh et al. 2020", "codes that samples can be rebuilt from"),
    "vae": Entry("Kingma and Welling 2014", "a likelihood in nats, beta, importance weights; pictures or points"),
    "vqvae": Entry("van den Oord et al. 2017", "discrete codes, and a causal transformer that writes them; pictures"),
    "vae_gan": Entry("Larsen et al. 2016", "an autoencoder whose errors a discriminator measures; pictures"),
    "sequence": Entry("Yu et al. 2017; Jang et al. 2017", "texts word by word: likelihood, then an adversary"),
    "semi_supervised": Entry("Salimans et al. 2016", "a classifier from few labels and many pictures without any"),
    "video": Entry("Tulyakov et al. 2018", "clips, by what stays, what moves, and critics of pictures and of all"),
    "classifier": Entry("LeCun et al. 1998", "what a sample shows; the judge of labelled sets"),
}


class Recipe(Protocol):
    """What a recipe module has. One of your own: `sparring train my_recipe.py:recipe`, any object with these."""

    Config: type[Any]
    PRESETS: Mapping[str, Any]

    def data(self, config: Any, source: Source) -> Source:
        """The source as this recipe learns from it, e.g. without labels."""
        ...

    def build(self, config: Any, about: About) -> Game:
        """Networks and players for samples like these."""
        ...


def find(name: str) -> Recipe:
    """The recipe of that name, or `module:name`, `file.py:name`."""
    if name in RECIPES:
        module: Any = importlib.import_module(f"sparring.recipes.{name}")
        return module  # type: ignore[no-any-return]
    if not is_outside(name, RECIPES):
        choices = ", ".join(RECIPES)
        raise UserError(f"there is no recipe '{name}'{did_you_mean(name, list(RECIPES))}; there are {choices}")
    recipe: Recipe = resolve(name, {}, "recipe")
    return recipe


def preset(recipe: Recipe, name: str | None) -> tuple[str, Any]:
    """(name, numbers) of a preset; the first one when no name is given."""
    if name is None:
        name = next(iter(recipe.PRESETS))
    if name not in recipe.PRESETS:
        choices = ", ".join(recipe.PRESETS)
        raise UserError(f"preset '{name}' is not one of {choices}{did_you_mean(name, list(recipe.PRESETS))}")
    return name, recipe.PRESETS[name]


def measured() -> dict[str, dict[str, str]]:
    """Cost and score of each recipe, as its proof measured them: recipe -> {"cost": ..., "score": ...}."""
    text = resources.files("sparring.recipes").joinpath("measured.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found
