"""The GAN of the first tutorials: two fully connected networks. Goodfellow et al. 2014.

    sparring train mlp --data mnist                        tuned
    sparring train mlp --data mnist --preset classic       the Keras tutorials' numbers
    sparring train mlp --data mnist --preset smallest      100-128-784 against 784-128-1
    sparring train mlp --data ring                         points in the plane

`classic`: G 100-256-512-1024-784, leaky ReLU .2, then batch norm that keeps .8 of its old statistics, tanh; D
784-512-256-1, leaky ReLU .2; Adam 2e-4, beta1 .5; 2,000 rounds of 32: half real and half fake for D, 32 fakes for
G. `smallest`: one hidden layer of 128 each, ReLU, Adam with its usual betas, 1,000 rounds of 50. Initial weights
and the epsilons of Adam and batch norm are PyTorch's, where the tutorials have Keras'. Where the tutorials are
wrong, this does what is right: `smallest` scales its pictures to [-1, 1] and ends in tanh where the tutorial has
[0, 1] and a sigmoid (the same family of functions); its one fixed batch of latents and its real data that are
never loaded are not repeated; and under Keras 3 the tutorials' "compile, then set untrainable" idiom leaves a
discriminator that never learns, while ours does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sparring.data.clusters import clustered
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Game
from sparring.nn.dense import DenseDiscriminator, DenseGenerator
from sparring.optimizers import Adam


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the MLP GAN."""

    rounds: int = 10_000
    """Rounds, each one step of both players."""
    hidden: tuple[int, ...] = (256, 512, 1024)
    """Widths of the generator's hidden layers."""
    discriminator_hidden: tuple[int, ...] = (512, 256)
    """Widths of the discriminator's hidden layers."""
    slope: float = 0.2
    """Of the leaky ReLU; 0 is ReLU."""
    fourier: int = 0
    """Points: random waves that the discriminator sees beside the coordinates; 0 is none."""
    frequency: float = 2.0
    """Of these waves (angular, standard deviation): about 1 / width of what is to be told apart."""
    batch_norm: bool = True
    """In the generator."""
    norm_first: bool = False
    """Batch norm before the activation instead of after it."""
    spectral_norm: bool = True
    """In the discriminator."""
    clusters: int = 100
    """Self-conditioning: k-means clusters of the data serve as labels. 0 is off."""
    generator: Adam = field(default_factory=lambda: Adam(1e-3, 0.0, 0.99))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(2e-3, 0.0, 0.99))
    """The discriminator's optimizer."""


CLASSIC = Config(
    rounds=2000,
    batch=16,
    generator_batch=2,
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
SMALLEST = replace(
    CLASSIC,
    rounds=1000,
    batch=50,
    generator_batch=1,
    hidden=(128,),
    discriminator_hidden=(128,),
    slope=0.0,
    batch_norm=False,
    generator=Adam(2e-4, 0.9, 0.999),
    discriminator=Adam(2e-4, 0.9, 0.999),
)
PRESETS: Mapping[str, Config] = {"tuned": Config(), "classic": CLASSIC, "smallest": SMALLEST}


def data(config: Config, source: Source) -> Source:
    """Unlabelled, or labelled by cluster."""
    return clustered(source, config.clusters)


def build(config: Config, about: About) -> Game:
    """Two dense networks and their game."""
    classes = len(about.classes)
    generator = DenseGenerator(
        config.latent,
        about.shape,
        config.hidden,
        classes,
        config.slope,
        config.batch_norm,
        about.key == "image",
        config.norm_first,
    )
    discriminator = DenseDiscriminator(
        about.shape,
        config.discriminator_hidden,
        classes,
        config.slope,
        config.spectral_norm,
        config.fourier,
        config.frequency,
    )
    return duel(config, about, generator, discriminator)
