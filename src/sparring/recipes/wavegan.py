"""Waves straight from noise, sample by sample. Donahue et al. 2019 (WaveGAN).

    sparring train wavegan --data fsdd-recordings.zip --labels names --test-names '_[0-4]$'
    sparring sample runs/wavegan-fsdd-recordings-1                   # a .wav

DCGAN stretched to one dimension: kernels of 25 and stride 4 where pictures have 5x5 and 2x2, no normalisation, the
Wasserstein distance with a gradient penalty. Phase shuffle moves the critic's maps by up to 2 samples, because strided
transposed convolutions leave a pattern of constant phase by which fakes could be told. Labels are used where there are
any, which the paper does not.

Learning waves is harder than learning spectrograms: the paper trains for four days on a GPU, and listeners understand
its spectrograms better. `sparring prove wavegan` asks for tones of twelve pitches; for speech in minutes take melgan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparring.config import UserError
from sparring.data.clusters import unlabelled
from sparring.data.kinds import KINDS
from sparring.data.source import About, Source
from sparring.duel import Duel, Penalties, duel
from sparring.game import Game
from sparring.nn.waves import WaveDiscriminator, WaveGenerator
from sparring.optimizers import Adam
from sparring.schedules import Number


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the WaveGAN."""

    rounds: int = 2000
    """Rounds, each one step of the generator."""
    batch: int = 32
    """Real sounds per step."""
    objective: str = "wasserstein"
    """The difference of mean scores; see sparring train dcgan --help for the others."""
    penalty: Penalties = field(default_factory=lambda: Penalties(gradient=10.0))
    """What keeps the critic smooth."""
    uniform: bool = True
    """Latents uniform in [-1, 1] instead of normal."""
    discriminator_steps: int = 2
    """Steps of the critic per round."""
    generator: Adam = field(default_factory=lambda: Adam(4e-4, 0.5, 0.9))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(4e-4, 0.5, 0.9))
    """The critic's optimizer."""
    average: Number = 0.99
    """Fraction of the averaged generator kept per round; 0 averages nothing."""
    conditional: bool = True
    """Both networks are told the class, where there is one."""
    width: int = 16
    """Channels of the last layer but one of the generator, and of the first of the critic."""
    shuffle: int = 2
    """Samples by which the critic's maps are moved at most; 0 is no phase shuffle."""


PRESETS: Mapping[str, Config] = {
    "small": Config(),
    "paper": Config(
        rounds=200_000, batch=64, latent=100, discriminator_steps=5, generator=Adam(1e-4, 0.5, 0.9),
        discriminator=Adam(1e-4, 0.5, 0.9), decay=1.0, average=0.0, share_fakes=False, conditional=False, width=64,
    ),
}  # fmt: skip


def data(config: Config, source: Source) -> Source:
    """Sounds, with or without their labels."""
    if source.about.key != "sound":
        what = KINDS[source.about.key].what
        raise UserError(f"--data {source.about.name} has {what}, and wavegan makes sounds; give a folder of .wav files")
    return source if config.conditional else unlabelled(source)


def build(config: Config, about: About) -> Game:
    """A generator of waves and a critic of them."""
    length, classes = about.shape[1], len(about.classes)
    generator = WaveGenerator(config.latent, length, config.width, classes)
    return duel(config, about, generator, WaveDiscriminator(length, config.width, classes, config.shuffle))
