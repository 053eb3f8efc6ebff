"""The GAN of the first tutorials: two fully connected networks. Goodfellow et al. 2014.

    sparring train mlp --data mnist                        tuned
    sparring train mlp --data mnist --preset classic       the Keras tutorials' numbers
    sparring train mlp --data mnist --preset smallest      100-128-784 against 784-128-1
    sparring train mlp --data ring                         points in the plane

`classic`: G 100-256-512-1024-784, leaky ReLU .2, then batch norm that keeps .8 of its old statistics, tanh;
D 784-512-256-1, leaky ReLU .2; Adam 2e-4, beta1 .5; 2,000 rounds of 32. `smallest`: one hidden layer of 128 each,
ReLU, Adam with its usual betas. Where the tutorials are wrong, this does what is right: `smallest` scales its
pictures to [-1, 1] and ends in tanh where the tutorial has [0, 1] and a sigmoid (the same family of functions);
its one fixed batch of latents and its real data that are never loaded are not repeated; and under Keras 3 the
tutorials' "compile, then set untrainable" idiom leaves a discriminator that never learns, while ours does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparring.average import Average
from sparring.config import resolve
from sparring.data.clusters import clustered
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Game, Latent, linear_decay, two_player
from sparring.nn.dense import DenseDiscriminator, DenseGenerator
from sparring.objectives import OBJECTIVES
from sparring.optimizers import Adam
from sparring.penalties import r1


@dataclass(frozen=True)
class Config:
    """Numbers of the MLP GAN."""

    rounds: int = 10_000
    """Rounds, each one step of both players."""
    batch: int = 64
    """Real samples per step."""
    latent: int = 64
    """Random numbers that a sample is made from."""
    hidden: tuple[int, ...] = (256, 512, 1024)
    """Widths of the generator's hidden layers."""
    discriminator_hidden: tuple[int, ...] = (512, 256)
    """Widths of the discriminator's hidden layers."""
    slope: float = 0.2
    """Of the leaky ReLU; 0 is ReLU."""
    batch_norm: bool = True
    """In the generator."""
    spectral_norm: bool = True
    """In the discriminator."""
    objective: str = "hinge"
    """non-saturating, minimax, least-squares, hinge, or your own as `file.py:name`."""
    r1: float = 0.0
    """Weight gamma of the R1 penalty; 0 is off."""
    clusters: int = 100
    """Self-conditioning: k-means clusters of the data serve as labels. 0 is off."""
    generator: Adam = field(default_factory=lambda: Adam(1e-3, 0.0, 0.99))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(2e-3, 0.0, 0.99))
    """The discriminator's optimizer."""
    decay: float = 0.4
    """Progress from which the learning rates fall, on a line, to 2 %; 1 keeps them."""
    average: float = 0.998
    """Fraction of the averaged generator kept per round; 0 averages nothing."""
    share_fakes: bool = True
    """Both players judge the same fakes in a round."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the real pictures."""


CLASSIC = Config(
    rounds=2000,
    batch=32,
    latent=100,
    spectral_norm=False,
    objective="non-saturating",
    clusters=0,
    generator=Adam(2e-4, 0.5, 0.999),
    discriminator=Adam(2e-4, 0.5, 0.999),
    decay=1.0,
    average=0.0,
    share_fakes=False,
)
SMALLEST = Config(
    rounds=2000,
    batch=64,
    latent=100,
    hidden=(128,),
    discriminator_hidden=(128,),
    slope=0.0,
    batch_norm=False,
    spectral_norm=False,
    objective="non-saturating",
    clusters=0,
    generator=Adam(2e-4, 0.9, 0.999),
    discriminator=Adam(2e-4, 0.9, 0.999),
    decay=1.0,
    average=0.0,
    share_fakes=False,
)
PRESETS: Mapping[str, Config] = {"tuned": Config(), "classic": CLASSIC, "smallest": SMALLEST}


def data(config: Config, source: Source) -> Source:
    """Unlabelled, or labelled by cluster."""
    return clustered(source, config.clusters)


def build(config: Config, about: About) -> Game:
    """Two dense networks and their game."""
    classes = len(about.classes)
    generator = DenseGenerator(
        config.latent, about.shape, config.hidden, classes, config.slope, config.batch_norm, about.key == "image"
    )
    discriminator = DenseDiscriminator(
        about.shape, config.discriminator_hidden, classes, config.slope, config.spectral_norm
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
