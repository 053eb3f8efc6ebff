"""Generator and discriminator for whatever the data are: dense for points, convolutional for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from sparring.nn.dense import DenseDiscriminator, DenseGenerator
from sparring.nn.image import ConvDiscriminator, ConvGenerator


@dataclass(frozen=True)
class Sizes:
    """Of the networks; those of the other kind of data are not read."""

    width: int = 16
    """Pictures: channels of the generator at full size, doubling towards its small maps."""
    discriminator_width: int = 32
    """Pictures: channels of the discriminator's first layer."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Points: widths of the hidden layers of both."""
    generator_norm: bool = True
    """Pictures: batch norm in the generator."""


def generator_for(shape: Sequence[int], latent: int, sizes: Sizes, classes: int = 0) -> nn.Module:
    """(N, latent) [, (N,) labels] -> (N, *shape), with batch norm unless it is off."""
    if len(shape) == 3:
        return ConvGenerator(latent, (shape[0], shape[1], shape[2]), sizes.width, classes, sizes.generator_norm)
    return DenseGenerator(latent, shape, sizes.hidden, classes, bounded=False)


def discriminator_for(shape: Sequence[int], sizes: Sizes, spectral: bool, classes: int = 0) -> nn.Module:
    """(N, *shape) [, (N,) labels] -> (N,) scores, without batch norm."""
    if len(shape) == 3:
        return ConvDiscriminator((shape[0], shape[1], shape[2]), sizes.discriminator_width, classes, spectral)
    return DenseDiscriminator(shape, sizes.hidden, classes, spectral=spectral)
