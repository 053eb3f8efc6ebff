"""Class-conditional DCGAN: pictures on demand. Mirza and Osindero 2014; Miyato and Koyama 2018.

    sparring train cdcgan --data mnist
    sparring sample runs/cdcgan-mnist-1 --label 7

`tuned`: the label joins the latent as a one-hot vector; the discriminator scores linear(h) + <embedding(label), h>
(projection); hinge loss; spectral norm on every layer of D; Adam with beta1 0, learning rates decaying linearly over
the last 60 %; averaged weights whose batch-norm statistics are estimated anew. `concatenation`: the older way, the
label as extra channels of the discriminator's input (Mirza and Osindero 2014).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sparring.config import UserError
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Game
from sparring.nn.image import ConvDiscriminator, ConvGenerator, LabelChannels


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the conditional DCGAN."""

    condition: Literal["projection", "concatenation"] = "projection"
    """How the discriminator sees the label."""
    width: int = 16
    """Channels of the generator at full size, doubling towards its small maps."""
    discriminator_width: int = 32
    """Channels of the discriminator's first layer."""


PRESETS: Mapping[str, Config] = {"tuned": Config(), "concatenation": Config(condition="concatenation")}


def data(config: Config, source: Source) -> Source:
    """Labels are required."""
    if not source.about.classes:
        raise UserError(
            f"--data {source.about.name} has no labels, and cdcgan makes pictures by label; put the pictures of each "
            "class into a sub-folder of its own, name a CSV file with --labels, or use the recipe dcgan"
        )
    return source


def build(config: Config, about: About) -> Game:
    """Two conditional networks and their game."""
    if len(about.shape) != 3:
        raise UserError(
            f"--data {about.name} has points, not pictures; use the recipe mlp, or wgan_gp, sngan, fgan, pacgan"
        )
    channels, height, width = about.shape
    shape, classes = (channels, height, width), len(about.classes)
    generator = ConvGenerator(config.latent, shape, config.width, classes)
    discriminator = (
        ConvDiscriminator(shape, config.discriminator_width, classes)
        if config.condition == "projection"
        else LabelChannels(shape, config.discriminator_width, classes)
    )
    return duel(config, about, generator, discriminator)
