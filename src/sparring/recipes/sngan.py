"""Spectrally normalised GAN: every layer of the discriminator has slope at most 1. Miyato et al. 2018.

    sparring train sngan --data mnist                   tuned
    sparring train sngan --data my_pictures --size 32 --preset resnet

Hinge loss, one power iteration per pass, Adam with beta1 0. `resnet` is the paper's CIFAR-10 setting: G of 256 and D
of 128 channels with sum pooling, five D steps, 2e-4, rates falling to 0 on a line, 128 fakes per G step (without the
code's uniform noise on real pixels). `tuned`: plain convolutions, one step each, rates of 2e-3 and 4e-3, averages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparring.data.clusters import clustered
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Game
from sparring.nn.pairs import Sizes, discriminator_for, generator_for
from sparring.nn.residual import ResNetDiscriminator, ResNetGenerator, picture_shape
from sparring.optimizers import Adam


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the SNGAN."""

    residual: int = 0
    """Channels of the residual discriminator, twice as many in the generator; 0 takes plain convolutions."""
    sizes: Sizes = field(default_factory=Sizes)
    """Of the plain networks."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "resnet": Config(
        rounds=50_000,
        residual=128,
        latent=128,
        discriminator_steps=5,
        generator=Adam(2e-4, 0.0, 0.9),
        discriminator=Adam(2e-4, 0.0, 0.9),
        decay=0.0,
        decay_to=0.0,
        average=0.0,
        share_fakes=False,
        generator_batch=2,
    ),
}


def data(config: Config, source: Source) -> Source:
    """Unlabelled."""
    return clustered(source, 0)


def build(config: Config, about: About) -> Game:
    """A generator and a normalised discriminator."""
    if config.residual:
        shape = picture_shape(about)
        generator = ResNetGenerator(config.latent, shape, 2 * config.residual)
        return duel(config, about, generator, ResNetDiscriminator(shape, config.residual, spectral=True))
    plain = generator_for(about.shape, config.latent, config.sizes)
    return duel(config, about, plain, discriminator_for(about.shape, config.sizes, spectral=True))
