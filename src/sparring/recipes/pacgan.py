"""PacGAN: the discriminator judges packs of samples, so that missing modes show. Lin et al. 2018.

    sparring train pacgan --data ring                  points: the paper's networks
    sparring train pacgan --data grid --pack 4
    sparring train pacgan --data mnist --preset pictures

Points: G of four layers of 400 with batch norm and ReLU, D of three maxout layers of 200 with five pieces, weights
N(0, .02), latents N(0, I_2), Adam 1e-4 with beta1 .8; the paper has 100 packs a step. Pictures: the convolutional pair
with DCGAN's numbers. `pack` 1 is the plain GAN. The batch counts samples, not packs. One step of each in turn, where
the paper moves both at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparring.config import UserError
from sparring.data.clusters import clustered
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Game
from sparring.nn.dense import DenseGenerator, MaxoutDiscriminator
from sparring.nn.layers import normal_init, packed_shape
from sparring.nn.pairs import Sizes, discriminator_for, generator_for
from sparring.optimizers import Adam
from sparring.schedules import Number


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the PacGAN."""

    pack: int = 2
    """Samples that are judged together."""
    batch: int = 200
    """Real samples per step, a multiple of pack."""
    rounds: int = 20_000
    """Rounds, each one step of both players."""
    latent: int = 2
    """Random numbers that a sample is made from."""
    objective: str = "non-saturating"
    """See sparring train dcgan --help."""
    maxout: tuple[int, ...] = (200, 200, 200)
    """Points: widths of the discriminator's layers."""
    pieces: int = 5
    """Points: linear maps per maxout unit; 1 is leaky ReLU."""
    fourier: int = 0
    """Points: random waves that the discriminator sees beside the coordinates; 0 is none."""
    hidden: tuple[int, ...] = (400, 400, 400, 400)
    """Points: widths of the generator's layers."""
    batch_norm: bool = True
    """Points: in the generator."""
    spectral: bool = False
    """Points: spectral norm in the discriminator."""
    generator: Adam = field(default_factory=lambda: Adam(1e-4, 0.8, 0.999))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(1e-4, 0.8, 0.999))
    """The discriminator's optimizer."""
    decay: float = 1.0
    """Progress from which the learning rates fall; 1 keeps them."""
    average: Number = 0.0
    """Fraction of the averaged generator kept per round; 0 averages nothing."""
    share_fakes: bool = False
    """Both players judge the same fakes in a round."""
    sizes: Sizes = field(default_factory=Sizes)
    """Pictures: of the networks."""


PRESETS: Mapping[str, Config] = {
    "points": Config(),
    "pictures": Config(
        rounds=3000,
        batch=128,
        latent=100,
        uniform=True,
        generator=Adam(2e-4, 0.5, 0.999),
        discriminator=Adam(2e-4, 0.5, 0.999),
    ),
}


def data(config: Config, source: Source) -> Source:
    """Unlabelled: a pack has no label."""
    if config.batch % config.pack:
        raise UserError(f"batch={config.batch} cannot be packed by {config.pack}; use a multiple of {config.pack}")
    return clustered(source, 0)


def build(config: Config, about: About) -> Game:
    """A generator, and a discriminator of packs."""
    shape = packed_shape(about.shape, config.pack)
    if len(about.shape) == 3:
        if config.latent < 8:
            raise UserError(f"latent={config.latent} is for points; for pictures use --preset pictures")
        if config.spectral or config.fourier:
            raise UserError("spectral and fourier are for points; for pictures use the recipe sngan")
        generator = generator_for(about.shape, config.latent, config.sizes)
        judge = discriminator_for(shape, config.sizes, spectral=False)
    else:
        generator = DenseGenerator(
            config.latent, about.shape, config.hidden, 0, 0.0, config.batch_norm, bounded=False, norm_first=True
        )
        judge = MaxoutDiscriminator(shape, config.maxout, config.pieces, config.fourier, config.spectral)
        if config.pieces > 1:  # as published
            generator.apply(normal_init(0.02))
            judge.apply(normal_init(0.02))
    return duel(config, about, generator, judge, config.pack)
