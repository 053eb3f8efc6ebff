"""f-GAN: any f-divergence as a game. Nowozin, Cseke and Tomioka 2016.

    sparring train fgan --data mnist --objective kl
    sparring train fgan --data ring --objective pearson-alternative
    sparring train fgan --data ring --objective my_file.py:objective      your own convex f

Names: total-variation, kl, reverse-kl, pearson, neyman, squared-hellinger, jeffrey, jensen-shannon, gan. The generator
lowers the variational bound itself; `NAME-alternative` raises E_Q[T] instead, which does not saturate (section 3.2).
With `of_convex` your own f needs no conjugate. `classic`: section 4.2's sizes, G with two layers of 1,200, batch norm
and ReLU, V with two of 240, uniform latents, Adam 2e-4 with beta1 .5; pictures end in tanh, V has leaky ReLU where the
paper has ELU, and the batch is 256. `tuned` averages the generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparring.data.clusters import clustered
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Game
from sparring.nn.dense import DenseDiscriminator, DenseGenerator
from sparring.optimizers import Adam
from sparring.schedules import Number


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the f-GAN."""

    objective: str = "gan-alternative"
    """A divergence, or your own as `file.py:name`."""
    batch: int = 256
    """Real samples per step."""
    latent: int = 100
    """Random numbers that a sample is made from."""
    uniform: bool = True
    """Latents uniform in [-1, 1] instead of normal."""
    hidden: tuple[int, ...] = (1200, 1200)
    """Widths of the generator's hidden layers."""
    discriminator_hidden: tuple[int, ...] = (240, 240)
    """Widths of the variational function's hidden layers."""
    generator: Adam = field(default_factory=lambda: Adam(2e-4, 0.5, 0.999))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(2e-4, 0.5, 0.999))
    """The variational function's optimizer."""
    share_fakes: bool = False
    """Both players judge the same fakes in a round."""
    decay: float = 1.0
    """Progress from which the learning rates fall; 1 keeps them."""
    average: Number = 0.0
    """Fraction of the averaged generator kept per round; 0 averages nothing."""


PRESETS: Mapping[str, Config] = {"tuned": Config(share_fakes=True, average=0.995), "classic": Config()}


def data(config: Config, source: Source) -> Source:
    """Unlabelled."""
    return clustered(source, 0)


def build(config: Config, about: About) -> Game:
    """A generator and a variational function."""
    bounded = about.key == "image"
    generator = DenseGenerator(config.latent, about.shape, config.hidden, slope=0.0, bounded=bounded, norm_first=True)
    return duel(config, about, generator, DenseDiscriminator(about.shape, config.discriminator_hidden))
