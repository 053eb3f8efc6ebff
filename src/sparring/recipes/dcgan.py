"""Deep convolutional GAN. Radford, Metz and Chintala 2016.

    sparring train dcgan --data mnist                              tuned, for any size and number of channels
    sparring train dcgan --data my_pictures --size 64
    sparring train dcgan --data mnist --preset classic             the Keras tutorials' 28x28 networks
    sparring train dcgan --data my_pictures --preset classic64     the TensorFlow tutorial's 64x64x3 networks
    sparring train dcgan --data my_pictures --preset radford       the paper's own

`tuned`: hinge loss, spectral norm instead of batch norm in D, Adam with beta1 0 and rates decaying linearly over
the last 60 %, averaged weights, and self-conditioning: clusters of the pictures serve as labels that need no
labelling. The classics keep their published numbers, with three of the tutorials' mistakes put right: an output
ReLU on data in [-1, 1] is tanh; networks without activations get ReLU and leaky ReLU; a sigmoid in front of a loss
that takes raw scores is left out. Initial weights and epsilons are PyTorch's, but for `radford`. Latents are drawn
anew for every step, never one fixed batch. The paper draws them uniformly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sparring.config import UserError
from sparring.data.clusters import clustered
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Game
from sparring.nn import classic
from sparring.nn.image import ConvDiscriminator, ConvGenerator
from sparring.optimizers import Adam


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the DCGAN."""

    networks: Literal["tuned", "classic28", "classic64", "radford"] = "tuned"
    """Whose layers; all but `tuned` have one size."""
    width: int = 16
    """Channels of the tuned generator at full size, doubling towards its small maps."""
    discriminator_width: int = 32
    """Channels of the tuned discriminator's first layer."""
    clusters: int = 100
    """Self-conditioning: k-means clusters of the pictures serve as labels. 0 is off."""


def published(networks: Literal["classic28", "classic64", "radford"], rounds: int, batch: int, uniform: bool) -> Config:
    """What all three classics share: Adam 2e-4 with beta1 .5, cross-entropy, nothing of what came later."""
    adam = Adam(2e-4, 0.5, 0.999)
    return Config(
        rounds=rounds,
        batch=batch,
        networks=networks,
        latent=100,
        uniform=uniform,
        objective="non-saturating",
        clusters=0,
        generator=adam,
        discriminator=adam,
        decay=1.0,
        average=0.0,
        share_fakes=False,
    )


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "classic": published("classic28", 2000, 32, uniform=False),
    "classic64": published("classic64", 2000, 32, uniform=False),
    "radford": published("radford", 2000, 128, uniform=True),
}


def data(config: Config, source: Source) -> Source:
    """Unlabelled, or labelled by cluster."""
    return clustered(source, config.clusters)


def networks(config: Config, about: About) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator that `config.networks` names."""
    shape = about.shape
    if len(shape) != 3:
        raise UserError(
            f"--data {about.name} has {about.what}, not pictures; use the recipe mlp, or wgan_gp, sngan, fgan, pacgan"
        )
    channels, height, width = shape
    wanted = {"classic28": (1, 28, 28), "classic64": (3, 64, 64), "radford": (channels, 64, 64)}
    if config.networks != "tuned" and shape != wanted[config.networks]:
        c, h, w = wanted[config.networks]
        raise UserError(
            f"networks={config.networks} takes pictures of {h}x{w} with {c} channel(s), and {about.name} gives "
            f"{height}x{width} with {channels}; use --size {h}x{w} --color {'gray' if c == 1 else 'rgb'}, "
            "or --preset tuned"
        )
    if config.networks != "tuned" and about.classes:
        raise UserError(f"networks={config.networks} is unconditional; use --clusters 0")
    match config.networks:
        case "classic28":
            return classic.upsampling_generator(config.latent), classic.dropout_discriminator()
        case "classic64":
            return classic.transposed_generator(config.latent), classic.strided_discriminator()
        case "radford":
            return classic.radford_generator(config.latent, channels), classic.radford_discriminator(channels)
        case "tuned":
            classes = len(about.classes)
            generator = ConvGenerator(config.latent, (channels, height, width), config.width, classes)
            return generator, ConvDiscriminator((channels, height, width), config.discriminator_width, classes)


def build(config: Config, about: About) -> Game:
    """Two convolutional networks and their game."""
    return duel(config, about, *networks(config, about))
