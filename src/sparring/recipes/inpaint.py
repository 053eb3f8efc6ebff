"""Inpainting: what is missing made from what is left. Pathak et al. 2016, grown up by Yu et al. 2019.

    sparring train inpaint --data pictures --source masked:free
    sparring inpaint runs/inpaint-pictures-1 scratched.png --mask scratches.png

    discriminator     the objective on D(source, image) and D(source, G(source)), patch by patch
    generator         distance |image - G(source)|  +  adversarial x the objective  +  features |D's layers|

The source's last channel says where the hole is. Known pixels are handed through, so that every loss is about the hole
alone, and about how it joins. The distance alone (--preset distance) fills with the blurred mean of what could be.
Where that takes too long, `--smooth` begins with what the pixels around a hole say of it, and the network learns what
to add: the preset `photographs`, which `sparring prove flowers-holes` holds against methods that need no training.
Differences from Yu et al.: one network, without the coarse one before it and without attention to other places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparring.config import UserError
from sparring.data.clusters import unlabelled
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Game
from sparring.nn.restore import Filler
from sparring.optimizers import Adam
from sparring.restoring import Restoring, restoring


@dataclass(frozen=True)
class Config(Restoring):
    """Numbers of the filler and its critic."""

    generator: Adam = field(default_factory=lambda: Adam(2e-3, 0.9, 0.99))
    """Of the network."""
    width: int = 32
    """Channels of the network at half of the size, doubling with each halving."""
    blocks: int = 4
    """Dilated residuals at the smallest size."""
    smooth: bool = False
    """Begin from a smooth filling and add to it, which suits photographs; else holes are made from nothing."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "distance": Config(adversarial=0.0),
    "photographs": Config(batch=16, smooth=True, critic_after=0.6, augment=Augment(flip=True)),
}


def data(config: Config, source: Source) -> Source:
    """Pictures with holes are required."""
    if not source.about.masked:
        raise UserError(
            f"--data {source.about.name} has no holes: add --source masked (a square) or masked:free (strokes)"
        )
    return unlabelled(source)


def build(config: Config, about: About) -> Game:
    """A filler, and a critic of source and image together."""
    return restoring(config, about, Filler(about.shape, config.width, config.blocks, config.smooth))
