"""R3GAN: a relativistic loss with R1 and R2, and networks without normalisation. Huang et al. 2024.

    sparring train r3 --data mnist                       tiny: for two cores
    sparring train r3 --data my_pictures --size 64 --preset small
    sparring train r3 --data stacked-mnist --preset paper

Which of a pair is the real one (softplus of the difference of scores), both gradient penalties in every step, residual
networks with grouped convolutions and Fixup initialisation, no tanh; learning rate, gamma, beta2 and the half-life of
the average follow cosine ramps over the burn-in. `paper`: table 9, Stacked MNIST (batch 512, widths of 768, 10 million
samples); `small` and `tiny` have fewer channels, larger steps and a burn-in that fits their length. Differences: both
players see the same reals and fakes in a round (`--no-share-fakes` draws fakes anew), and the paper's augmentation is
left to `--discriminator-augment.p from=0,to=.3,over=.1,shape=cosine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparring.config import UserError
from sparring.data.clusters import clustered
from sparring.data.source import About, Source
from sparring.duel import Duel, Penalties, duel
from sparring.game import Game
from sparring.nn.image import ladder
from sparring.nn.r3 import R3Discriminator, R3Generator
from sparring.nn.residual import picture_shape
from sparring.optimizers import Adam
from sparring.schedules import Number, Schedule


def cosine(start: float, to: float, over: float) -> Schedule:
    """The paper's ramps."""
    return Schedule(start, to, over, "cosine")


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of R3GAN."""

    objective: str = "relativistic"
    """Other objectives make another system: see sparring train dcgan --help."""
    penalty: Penalties = field(default_factory=lambda: Penalties(r1=cosine(1.0, 0.1, 0.5), r2=cosine(1.0, 0.1, 0.5)))
    """What keeps the discriminator smooth; gamma spans .05 to 150 over data sets."""
    generator: Adam = field(default_factory=lambda: Adam(cosine(2e-3, 5e-4, 0.8), 0.0, cosine(0.9, 0.99, 0.3)))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(cosine(2e-3, 5e-4, 0.8), 0.0, cosine(0.9, 0.99, 0.3)))
    """The discriminator's optimizer."""
    decay: float = 1.0
    """Progress from which the learning rates fall further; 1 leaves them to their schedules."""
    half_life: Number = field(default_factory=lambda: cosine(0.0, 10_000.0, 0.3))
    """Samples after which an old weight counts half in the average."""
    average: Number = 0.0
    """Fraction of the averaged generator kept per round; not beside half_life."""
    width: int = 16
    """Channels at full size, doubling towards the smallest map up to `top`."""
    top: int = 64
    """Channels of the smallest map, at most."""
    blocks: int = 1
    """Residual blocks per size."""
    conditional: bool = False
    """Use the labels, where there are any."""


PAPER = Config(
    rounds=19_531,
    batch=512,
    width=768,
    top=768,
    blocks=2,
    penalty=Penalties(r1=cosine(1.0, 0.1, 0.2), r2=cosine(1.0, 0.1, 0.2)),
    generator=Adam(2e-4, 0.0, cosine(0.9, 0.99, 0.2)),
    discriminator=Adam(2e-4, 0.0, cosine(0.9, 0.99, 0.2)),
    half_life=cosine(0.0, 500_000.0, 0.2),
    share_fakes=False,
)
PRESETS: Mapping[str, Config] = {
    "tiny": Config(),
    "small": Config(rounds=20_000, width=64, top=256),
    "paper": PAPER,
}


def data(config: Config, source: Source) -> Source:
    """With labels only where they are wanted."""
    return source if config.conditional else clustered(source, 0)


def build(config: Config, about: About) -> Game:
    """Two residual networks and their game."""
    shape = picture_shape(about)
    if config.width % 8 or config.top % 8:
        raise UserError(f"width={config.width} and top={config.top} must be multiples of 8: groups have 16 channels")
    steps = ladder(shape[1], shape[2], 7)
    widths = [min(config.top, config.width << step) for step in range(steps, -1, -1)]
    classes = len(about.classes)
    generator = R3Generator(config.latent, shape, widths, config.blocks, classes)
    return duel(config, about, generator, R3Discriminator(shape, widths, config.blocks, classes))
