"""Small experiments with a figure to be held to: `sparring prove`.

The table is plain text, so that listing it costs no import of torch; a proof is imported when it is run. Each is a
function (seeds, effort) -> Result.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sparring.config import UserError, did_you_mean

if TYPE_CHECKING:
    from sparring.proofs.record import Effort, Result


class Entry(NamedTuple):
    """A line of `sparring prove --list`."""

    home: str
    """Module and function."""
    what: str
    recipes: tuple[str, ...]
    """The systems it proves."""
    cost: str
    """On one thread, three seeds, with --full."""
    needs: tuple[str, ...] = ()
    """Data that do not come with the package."""


_MNIST = ("mnist",)
_CLOTHES = ("mnist", "fashion-mnist")
_FLOWERS = ("flowers", "featnets")
_SPEECH = ("fsdd",)
_RACE = ("dcgan", "wgan_gp", "sngan", "r3")
PROOFS: Mapping[str, Entry] = {
    "mnist-mlp-classic": Entry("ladder:mlp_classic", "MNIST, the tutorials' MLP GAN", ("mlp",), "3 min", _MNIST),
    "mnist-mlp": Entry("ladder:mlp", "MNIST, the same networks tuned", ("mlp",), "5 min", _MNIST),
    "mnist-dcgan-classic": Entry("ladder:dcgan_classic", "MNIST, the tutorials' DCGAN", ("dcgan",), "7 min", _MNIST),
    "mnist-dcgan-plain": Entry("ladder:dcgan_plain", "MNIST without labels or clusters", ("dcgan",), "7 min", _MNIST),
    "mnist-dcgan-30": Entry("ladder:dcgan_30", "MNIST by 40 clusters in 30 CPU seconds", ("dcgan",), "4 min", _MNIST),
    "mnist-dcgan": Entry("ladder:dcgan", "MNIST by 100 clusters", ("dcgan",), "7 min", _MNIST),
    "mnist-cdcgan-51": Entry("ladder:cdcgan_51", "MNIST by label in 51 CPU seconds", ("cdcgan",), "4 min", _MNIST),
    "mnist-cdcgan": Entry("ladder:cdcgan", "MNIST by label in 102 CPU seconds", ("cdcgan",), "7 min", _MNIST),
    "mnist-cdcgan-204": Entry("ladder:cdcgan_204", "MNIST by label in 204 CPU seconds", ("cdcgan",), "12 min", _MNIST),
    "mnist-ae": Entry("ladder:ae", "MNIST, an autoencoder and a Gaussian over its codes", ("ae",), "4 min", _MNIST),
    "mnist-vae": Entry("ladder:vae", "MNIST, a convolutional VAE", ("vae",), "5 min", _MNIST),
    "mnist-vqvae": Entry("ladder:vqvae", "MNIST, discrete codes and their prior", ("vqvae",), "8 min", _MNIST),
    "mnist-vae-gan": Entry("ladder:vae_gan", "MNIST, errors in features", ("vae_gan",), "6 min", _MNIST),
    "mnist-wgan": Entry("ladder:wgan", "MNIST by the earth mover's distance", ("wgan",), "5 min", _MNIST),
    "race-60": Entry("race:minute", "MNIST without labels in a minute by the clock", _RACE, "25 min", _MNIST),
    "race-300": Entry("race:five_minutes", "MNIST without labels in five minutes", _RACE, "90 min", _MNIST),
    "classifier": Entry("ladder:classifier", "99.2 % of MNIST's test set", ("classifier",), "4 min", _MNIST),
    "vae": Entry("autoencode:vae", "bound and NLL of binarised MNIST in nats", ("vae",), "40 min", _MNIST),
    "vae-long": Entry("autoencode:vae_long", "the published NLL, nearly", ("vae",), "70 min", _MNIST),
    "stacked": Entry("stacked:stacked", "Stacked MNIST, what keeps 1000 modes", ("wgan_gp",), "60 min", _MNIST),
    "objectives": Entry("theory:objectives", "every f-divergence against its exact value", ("fgan",), "8 min"),
    "lines": Entry("theory:lines", "two lines: Jensen-Shannon is blind, Wasserstein is not", ("wgan_gp",), "3 min"),
    "fgan": Entry("fgan:fgan", "the f-GAN table of Nowozin et al. 2016", ("fgan",), "9 min"),
    "modes-ring": Entry("modes:ring", "the ring of 8 by PacGAN's measure", ("pacgan", "mlp"), "40 min"),
    "agreement": Entry("judge:agreement", "metrics beside torchmetrics, prdc and closed forms", (), "2 min"),
    "jackknife": Entry("judge:honesty", "stated errors against the true spread", (), "5 min"),
    "cost": Entry("cost:cost", "what looks and an evaluation cost", (), "3 min", _MNIST),
    "scenarios": Entry("judge:scenarios", "which metric names which sickness", ("cdcgan",), "6 min", _MNIST),
    "self-judge": Entry("self_judge:proof", "the judge that reads no labels", ("dcgan", "cdcgan"), "9 min", _MNIST),
    "doctor": Entry("doctor:doctor", "90 runs, sick and healthy, under the doctor's eyes", (), "25 min", _MNIST),
    "rescue": Entry("doctor:rescue", "sick runs that go back to health by themselves", (), "15 min"),
    "classes": Entry("conditional:classes", "pictures by class, read by a judge", ("cdcgan",), "16 min", _CLOTHES),
    "sentences": Entry("conditional:sentences", "sentences never shown, drawn", ("text_to_image",), "30 min"),
    "paired": Entry("translate:paired", "digits from their edges, by pairs", ("pix2pix",), "4 min", _MNIST),
    "filled": Entry("filled:filled", "shapes from their outlines, by pairs", ("pix2pix",), "12 min"),
    "superres": Entry("restore:superres", "28x28 digits from 7x7", ("superres",), "8 min", _MNIST),
    "inpaint": Entry("restore:inpaint", "digits without their middle", ("inpaint",), "8 min", _MNIST),
    "semi-supervised": Entry(
        "semi:semi_supervised", "a classifier from 100 labels of MNIST", ("semi_supervised",), "6 min", _MNIST
    ),
    "linear-probe": Entry(
        "semi:linear_probe", "what a discriminator has learnt, read linearly", ("dcgan",), "3 min", _MNIST
    ),
    "augment": Entry(
        "worth:augment", "whether generated digits help a classifier of 100 labels", ("cdcgan",), "8 min", _MNIST
    ),
    "hands": Entry("translate:hands", "digits of MNIST and UCI without pairs", ("cyclegan",), "6 min", _MNIST),
    "emoji": Entry(
        "emoji:redrawn", "emoji of 2017 as today's, by pairs", ("pix2pix",), "12 min", ("noto-emoji", "featnets")
    ),
    "flowers-holes": Entry("flowers:holes", "photographs with holes, filled", ("inpaint",), "8 min", _FLOWERS),
    "flowers-upscale": Entry("flowers:upscale", "photographs, enlarged", ("superres",), "5 min", _FLOWERS),
    "daisies": Entry(
        "daisies:proof", "photographs of daisies and sunflowers without pairs", ("cyclegan",), "8 min", _FLOWERS
    ),
    "emoji-names": Entry("emoji:named", "emoji drawn by name", ("text_to_image",), "8 min", ("noto-emoji",)),
    "unpaired": Entry(
        "translate:unpaired",
        "digits to inverted digits without pairs",
        ("cyclegan", "cut", "stargan"),
        "20 min",
        _MNIST,
    ),
    "moving": Entry("moving:moving", "clips of digits that move, read exactly", ("video",), "25 min"),
    "bleu": Entry("sequences:bleu", "BLEU of real captions", (), "2 min", ("texygen-text",)),
    "oracle": Entry("sequences:oracle", "SeqGAN's oracle, 20 words", ("sequence",), "3 h", ("seqgan-oracle",)),
    "quatrains": Entry("sequences:quatrains", "poems of the Tang", ("sequence",), "6 min", ("chinese-poetry",)),
    "trigrams": Entry("sequences:trigrams", "letters of an exact oracle", ("sequence",), "5 min", ("brown",)),
    "substitution": Entry(
        "languages:substitution", "a substitution cipher without its key", ("text_translation",), "16 min", ("brown",)
    ),
    "vigenere": Entry(
        "languages:vigenere", "a Vigenere cipher without its key", ("text_translation",), "20 min", ("brown",)
    ),
    "rotation": Entry(
        "languages:rotation", "words whose vectors were turned", ("word_translation",), "3 min", ("brown",)
    ),
    "sentiment": Entry(
        "style:sentiment", "reviews rewritten in the other sentiment", ("text_style",), "8 min", ("yelp-sentiment",)
    ),
    "spoken-digits": Entry(
        "speech:spoken_digits", "spoken digits by class, heard by a judge", ("melgan",), "12 min", _SPEECH
    ),
    "vocoder": Entry("speech:vocoder", "waves from spectrograms, beside Griffin-Lim", ("vocoder",), "12 min", _SPEECH),
    "wavegan": Entry("speech:wavegan", "tones of twelve pitches straight from noise", ("wavegan",), "6 min"),
    "modes-grid": Entry("modes:grid", "the grid of 25 by PacGAN's measure", ("pacgan", "mlp"), "40 min"),
}


def check(name: str) -> None:
    """`UserError` unless there is a proof of that name."""
    if name not in PROOFS:
        raise UserError(f"there is no proof '{name}'{did_you_mean(name, list(PROOFS))}; see sparring prove --list")


def find(name: str) -> Callable[[int, Effort], Result]:
    """The proof of that name."""
    check(name)
    module, _, function = PROOFS[name].home.partition(":")
    found: Callable[[int, Effort], Result] = getattr(importlib.import_module(f"sparring.proofs.{module}"), function)
    return found
