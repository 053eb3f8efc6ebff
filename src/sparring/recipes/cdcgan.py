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
from dataclasses import dataclass, field
from typing import Literal

from sparring.average import Average
from sparring.config import UserError, resolve
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Game, Latent, linear_decay, two_player
from sparring.nn.image import ConvDiscriminator, ConvGenerator, LabelChannels
from sparring.objectives import OBJECTIVES
from sparring.optimizers import Adam
from sparring.penalties import r1


@dataclass(frozen=True)
class Config:
    """Numbers of the conditional DCGAN."""

    rounds: int = 3000
    """Rounds, each one step of both players."""
    batch: int = 64
    """Real pictures per step."""
    condition: Literal["projection", "concatenation"] = "projection"
    """How the discriminator sees the label."""
    latent: int = 64
    """Random numbers that a picture is made from, beside its label."""
    width: int = 16
    """Channels of the generator at full size, doubling towards its small maps."""
    discriminator_width: int = 32
    """Channels of the discriminator's first layer."""
    objective: str = "hinge"
    """non-saturating, minimax, least-squares, hinge, or your own as `file.py:name`."""
    r1: float = 0.0
    """Weight gamma of the R1 penalty; 0 is off."""
    generator: Adam = field(default_factory=lambda: Adam(2e-3, 0.0, 0.99))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(4e-3, 0.0, 0.99))
    """The discriminator's optimizer."""
    decay: float = 0.4
    """Progress from which the learning rates fall, on a line, to 2 %; 1 keeps them."""
    average: float = 0.998
    """Fraction of the averaged generator kept per round; 0 averages nothing."""
    share_fakes: bool = True
    """Both players judge the same fakes in a round."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the real pictures."""


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
        raise UserError(f"--data {about.name} has points, not pictures; use the recipe mlp")
    channels, height, width = about.shape
    shape, classes = (channels, height, width), len(about.classes)
    generator = ConvGenerator(config.latent, shape, config.width, classes)
    discriminator = (
        ConvDiscriminator(shape, config.discriminator_width, classes)
        if config.condition == "projection"
        else LabelChannels(shape, config.discriminator_width, classes)
    )
    generator_optimizer = config.generator.over(generator.parameters())
    discriminator_optimizer = config.discriminator.over(discriminator.parameters())
    return two_player(
        generator,
        discriminator,
        latent=Latent(config.latent, about.prior),
        key=about.key,
        objective=resolve(config.objective, OBJECTIVES, "objective"),
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
        penalties={"r1": (config.r1, r1)} if config.r1 else {},
        share_fakes=config.share_fakes,
        average=Average(config.average) if config.average else None,
        on_round=linear_decay([generator_optimizer, discriminator_optimizer], config.decay, 0.02),
    )
