"""Super-resolution: a network at the small size, pixel shuffle, L1 and a critic. Ledig et al. 2017; Wang et al. 2018.

    sparring train superres --data pictures --source reduced:4
    sparring upscale runs/superres-pictures-1 small/*.png --out large

    discriminator     the objective on D(source, image) and D(source, G(source)), patch by patch
    generator         distance |image - G(source)|  +  adversarial x the objective  +  features |D's layers|

The distance alone (--preset distance) is best in PSNR and smooth: the mean of all that the source may show. The critic
costs some of that and gives what could be one of them. Differences from ESRGAN: the features compared are the critic's,
because no pretrained weights come with this package; the critic is of patches, with spectral norm, and sees the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparring.config import UserError
from sparring.data.clusters import unlabelled
from sparring.data.source import About, Source
from sparring.game import Game
from sparring.nn.restore import Upscaler, factor_of
from sparring.restoring import Restoring, restoring


@dataclass(frozen=True)
class Config(Restoring):
    """Numbers of the upscaler and its critic."""

    adversarial: float = 0.01
    """Weight of the objective in the network's loss; 0 trains without a critic."""
    width: int = 32
    """Channels of the network."""
    blocks: int = 1
    """Residuals in residuals, of three dense blocks each (ESRGAN: 23)."""
    growth: int = 16
    """Channels that each convolution of a dense block adds (ESRGAN: 32)."""


PRESETS: Mapping[str, Config] = {"tuned": Config(), "distance": Config(adversarial=0.0)}


def data(config: Config, source: Source) -> Source:
    """Pairs of a small picture and a large one are required."""
    about = source.about
    if not about.source or not about.paired:
        raise UserError(f"--data {about.name} has no small pictures beside it: add --source reduced:4 or reduced:2")
    factor_of(about.source, about.shape)
    return unlabelled(source)


def build(config: Config, about: About) -> Game:
    """An upscaler, and a critic of source and image together."""
    return restoring(config, about, Upscaler(about.source, about.shape, config.width, config.blocks, config.growth))
