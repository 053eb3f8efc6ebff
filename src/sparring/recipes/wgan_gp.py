"""WGAN with gradient penalty: the critic's slope is held at 1 between real and fake. Gulrajani et al. 2017.

    sparring train wgan_gp --data mnist                 tuned
    sparring train wgan_gp --data my_pictures --size 32 --preset resnet

Algorithm 1: lambda 10, five critic steps per generator step, Adam with beta1 0 and beta2 .9, one interpolation weight
per sample, no normalisation in the critic. `resnet` is the paper's CIFAR-10 network and numbers (appendix F), without
the code's uniform noise on real pixels.
`tuned` keeps the penalty and takes one critic step, higher rates and averaged weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sparring.data.clusters import clustered
from sparring.data.source import About, Source
from sparring.duel import Duel, Penalties, duel
from sparring.game import Game
from sparring.nn.pairs import Sizes, discriminator_for, generator_for
from sparring.nn.residual import ResNetDiscriminator, ResNetGenerator, picture_shape
from sparring.optimizers import Adam


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the WGAN-GP."""

    objective: str = "wasserstein"
    """The difference of mean scores; see sparring train dcgan --help for the others."""
    penalty: Penalties = field(default_factory=lambda: Penalties(gradient=10.0))
    """What keeps the critic smooth."""
    generator: Adam = field(default_factory=lambda: Adam(1e-3, 0.0, 0.9))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(2e-3, 0.0, 0.9))
    """The critic's optimizer."""
    residual: int = 0
    """Channels of residual networks; 0 takes plain convolutions (or dense layers, for points)."""
    sizes: Sizes = field(default_factory=Sizes)
    """Of the plain networks."""


CLASSIC = Config(
    discriminator_steps=5,
    latent=128,
    generator=Adam(1e-4, 0.0, 0.9),
    discriminator=Adam(1e-4, 0.0, 0.9),
    decay=1.0,
    average=0.0,
    share_fakes=False,
)
RESNET = replace(
    CLASSIC,
    rounds=100_000,
    residual=128,
    generator=Adam(2e-4, 0.0, 0.9),
    discriminator=Adam(2e-4, 0.0, 0.9),
    decay=0.0,
    decay_to=0.0,
    generator_batch=2,
)
PRESETS: Mapping[str, Config] = {"tuned": Config(), "classic": CLASSIC, "resnet": RESNET}


def data(config: Config, source: Source) -> Source:
    """Unlabelled."""
    return clustered(source, 0)


def build(config: Config, about: About) -> Game:
    """A generator and a critic."""
    if config.residual:
        shape = picture_shape(about)
        generator = ResNetGenerator(config.latent, shape, config.residual)
        return duel(config, about, generator, ResNetDiscriminator(shape, config.residual, spectral=False))
    plain = generator_for(about.shape, config.latent, config.sizes)
    return duel(config, about, plain, discriminator_for(about.shape, config.sizes, spectral=False))
