"""Wasserstein GAN: the critic's weights are clipped so that its slope is bounded. Arjovsky et al. 2017.

    sparring train wgan --data mnist
    sparring train wgan --data ring --penalty.clip 0.1

Algorithm 1: five critic steps per generator step, weights within +-.01, RMSProp 5e-5 (here Adam with beta1 0, which
is RMSProp with its start corrected), batch 64; our critic has no batch norm. Kept because the idea starts here:
clipping makes critics of low capacity and is slow, and `wgan_gp`, `sngan` and `r3` do better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparring.data.clusters import clustered
from sparring.data.source import About, Source
from sparring.duel import Duel, Penalties, duel
from sparring.game import Game
from sparring.nn.pairs import Sizes, discriminator_for, generator_for
from sparring.optimizers import Adam
from sparring.schedules import Number


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the WGAN."""

    objective: str = "wasserstein"
    """The difference of mean scores; see sparring train dcgan --help for the others."""
    penalty: Penalties = field(default_factory=lambda: Penalties(clip=0.01))
    """What keeps the critic smooth."""
    discriminator_steps: int = 5
    """Steps of the critic per round."""
    latent: int = 100
    """Random numbers that a sample is made from."""
    generator: Adam = field(default_factory=lambda: Adam(5e-5, 0.0, 0.99))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(5e-5, 0.0, 0.99))
    """The critic's optimizer."""
    decay: float = 1.0
    """Progress from which the learning rates fall; 1 keeps them."""
    average: Number = 0.0
    """Fraction of the averaged generator kept per round; 0 averages nothing."""
    share_fakes: bool = False
    """Both players judge the same fakes in a round."""
    sizes: Sizes = field(default_factory=Sizes)
    """Of the networks."""


PRESETS: Mapping[str, Config] = {
    "classic": Config(),
    # the same game at a pace that two cores can follow
    "quick": Config(generator=Adam(1e-3, 0.0, 0.99), discriminator=Adam(1e-3, 0.0, 0.99), average=0.99, decay=0.5),
}


def data(config: Config, source: Source) -> Source:
    """Unlabelled."""
    return clustered(source, 0)


def build(config: Config, about: About) -> Game:
    """A generator and a critic."""
    generator = generator_for(about.shape, config.latent, config.sizes)
    return duel(config, about, generator, discriminator_for(about.shape, config.sizes, spectral=False))
