"""Sounds by class, made as log-mel spectrograms by the networks of pictures, and heard through Griffin-Lim.

    sparring train melgan --data fsdd-recordings.zip --labels names --test-names '_[0-4]$'
    sparring sample runs/melgan-fsdd-recordings-1 --label 7         # a .png, and a .wav beside it

The class-conditional pair of cdcgan (Miyato and Koyama 2018: hinge loss, projection, spectral norm) on pictures of 32
bands and a column every 16 ms: Donahue et al. 2019 call this SpecGAN, which has no mel scale, no labels and a gradient
penalty. 8 bits a pixel are steps of .3 dB. What a spectrogram lacks is the phase; `nn.signal.inverted` finds one by
Griffin and Lim 1984, and of real spoken digits, sent there and back, a classifier reads as many as before.

Expected: of spoken digits at least .8 are read as what was asked for, .97 on the first seed, after two CPU minutes
(`sparring prove spoken-digits`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.kinds import KINDS, ready, to_uint8
from sparring.data.source import About, Source, tensor_source
from sparring.duel import Duel, duel
from sparring.game import Game
from sparring.nn.image import ConvDiscriminator, ConvGenerator
from sparring.nn.signal import LogMel, mel_of, parts

FEWEST = 16
"""Columns: with fewer the discriminator's last maps are one wide, whose gradients in bfloat16 torch 2.13 gets wrong."""


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the GAN of spectrograms."""

    bands: int = 32
    """Of the mel scale: the height of the pictures."""
    hop: int = 0
    """Samples between two columns; 0 takes about 16 ms."""
    width: int = 16
    """Channels of the generator at full size, doubling towards its small maps."""
    discriminator_width: int = 32
    """Channels of the discriminator's first layer."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
}


def data(config: Config, source: Source) -> Source:
    """Spectrograms of the sounds, as pictures, with their labels; what already is some stays as it is."""
    about = source.about
    if about.hop:
        return source
    if about.key != "sound":
        raise UserError(
            f"--data {about.name} has {KINDS[about.key].what}, and melgan makes sounds; give a folder of .wav files"
        )
    if config.bands < 8 or config.hop < 0:
        raise UserError(f"bands={config.bands} must be at least 8 and hop={config.hop} at least 0; try 32 and 0")
    mel = mel_of(about.rate, config.bands, config.hop)
    seen, frames = LogMel(mel), about.shape[1] // mel.hop
    if frames < FEWEST:
        raise UserError(
            f"hop={mel.hop} leaves {frames} columns of {about.shape[1]} samples, and {FEWEST} are needed; use a "
            "smaller --hop, or more --seconds"
        )
    found, labels = list[Tensor](), list[Tensor]()
    for rows in parts(len(source), about.shape[1]):
        some = source[rows]
        found.append(to_uint8(seen(ready(some["sound"][..., : frames * mel.hop]))))
        labels += [some["label"]] if about.classes else []
    columns = {"image": torch.cat(found)} | ({"label": torch.cat(labels)} if labels else {})
    seen_as = replace(about, key="image", shape=(1, mel.bands, frames), hop=mel.hop)
    return tensor_source(seen_as, columns)


def build(config: Config, about: About) -> Game:
    """A generator and a discriminator of spectrograms, both told the class where there are any."""
    if not about.hop:
        raise UserError(f"--data {about.name} has pictures that are no spectrograms; use the recipe cdcgan or dcgan")
    _, bands, frames = about.shape
    classes = len(about.classes)
    generator = ConvGenerator(config.latent, (1, bands, frames), config.width, classes)
    discriminator = ConvDiscriminator((1, bands, frames), config.discriminator_width, classes)
    return duel(config, about, generator, discriminator)
