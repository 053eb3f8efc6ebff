"""Waves from log-mel spectrograms: a vocoder. Kong et al. 2020 (HiFi-GAN).

    sparring train vocoder --data fsdd-recordings.zip
    sparring sample runs/vocoder-fsdd-recordings-1                   # held-out sounds, from their spectrograms alone
    sparring sample runs/melgan-fsdd-recordings-1 --vocoder runs/vocoder-fsdd-recordings-1

    discriminator     sum over its views of  E[(D(x) - 1)^2 + D(G(mel(x)))^2]
    generator         sum over the views of  E[(D(G) - 1)^2] + 2 |maps of x - maps of G|  +  45 |mel(x) - mel(G)|

A spectrogram says how loud, not when: many waves have it, and their mean has none of their overtones. A distance alone
finds that mean; each of the discriminator's views (every 2nd, 3rd, 5th sample, the sound averaged over 1, 2, 4) sees
another way in which it is no sound. Training sees segments; the network is convolutional, and makes any length.

`small` is V3 with a quarter of its channels, on spectrograms of 32 bands as melgan makes them. Differences of mel are
of the natural log of the amplitude, as in the paper. `paper` has its numbers for 22 kHz (`--rate 22050`), but bands up
to half the rate, and views of three layers where it has five.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from sparring.average import Average
from sparring.config import UserError
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Loss, Player
from sparring.nn.signal import RANGE, LogMel, mel_of
from sparring.nn.waves import Maps, Views, Vocoder, apart
from sparring.optimizers import Adam, steered


@dataclass(frozen=True)
class Config:
    """Numbers of the vocoder."""

    rounds: int = 1500
    """Rounds, each a step of both."""
    batch: int = 16
    """Segments per round."""
    segment: int = 2048
    """Samples of a segment; a shorter sound is taken whole."""
    bands: int = 32
    """Of the mel scale."""
    hop: int = 0
    """Samples between two columns, a power of two; 0 takes about 16 ms."""
    width: int = 64
    """Channels of the generator at the rate of columns, halving with every step up."""
    critic_width: int = 8
    """Channels of the first layer of every view."""
    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    """Views of every so many-th sample."""
    scales: tuple[int, ...] = (1, 2, 4)
    """Views of means over so many samples."""
    adversarial: float = 1.0
    """Weight of what the views say; 0, with matching 0, trains on the spectrogram alone."""
    matching: float = 2.0
    """Weight of the difference of the views' maps."""
    mel: float = 45.0
    """Weight of the mean difference of log-mel spectrograms, in natural logs of the amplitude."""
    generator: Adam = field(default_factory=lambda: Adam(1e-3, 0.8, 0.99))
    """Of the vocoder."""
    discriminator: Adam = field(default_factory=lambda: Adam(1e-3, 0.8, 0.99))
    """Of the views."""
    decay: float = 0.3
    """Share of the run after which learning rates fall to a twentieth."""
    average: float = 0.99
    """Fraction of the averaged vocoder kept per round; 0 is off."""


PRESETS: Mapping[str, Config] = {
    "small": Config(),
    "distance": Config(adversarial=0.0, matching=0.0),
    "paper": Config(
        rounds=2_500_000, segment=8192, bands=80, hop=256, width=256, critic_width=32, average=0.0,
        generator=Adam(2e-4, 0.8, 0.99), discriminator=Adam(2e-4, 0.8, 0.99),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class _Voice:
    """The losses of a vocoder and the views of its discriminator."""

    config: Config
    seen: LogMel
    generator: nn.Module
    views: nn.Module

    def segments(self, sound: Tensor) -> Tensor:
        """(N, 1, T) -> (N, 1, segment), each from a place of its own, in whole hops."""
        hop = self.seen.mel.hop
        length = min(self.config.segment, sound.shape[2]) // hop * hop
        first = torch.randint((sound.shape[2] - length) // hop + 1, (len(sound),), device=sound.device) * hop
        return sound.gather(2, (first[:, None] + torch.arange(length, device=sound.device))[:, None])

    def prepare(self, batch: Batch) -> dict[str, Tensor]:
        sound = self.segments(batch["sound"])
        picture = self.seen(sound)
        return {"sound": sound, "picture": picture, "fake": self.generator(picture).float()}

    def discriminator_loss(self, batch: Batch) -> Loss:
        real, fake = self.looked(batch["sound"]), self.looked(batch["fake"].detach())
        told = [(r[-1] - 1).square().mean() + f[-1].square().mean() for r, f in zip(real, fake, strict=True)]
        return Loss({"objective": torch.stack(told).sum()})

    def generator_loss(self, batch: Batch) -> Loss:
        config, nats = self.config, RANGE / 2
        terms = {"mel": config.mel * nats * l1_loss(self.seen(batch["fake"]), batch["picture"])}
        if config.adversarial or config.matching:
            with torch.no_grad():
                real = self.looked(batch["sound"])
            fake = self.looked(batch["fake"])
            fooled = torch.stack([(maps[-1] - 1).square().mean() for maps in fake]).sum()
            terms |= {"objective": config.adversarial * fooled, "matching": config.matching * apart(real, fake)}
        return Loss(terms)

    def looked(self, sound: Tensor) -> Maps:
        return [[each.float() for each in maps] for maps in self.views(sound)]

    def score(self, sound: Tensor, label: Tensor | None) -> Tensor:
        return torch.stack([maps[-1].flatten(1).mean(1) for maps in self.looked(sound)]).mean(0)


def data(config: Config, source: Source) -> Source:
    """Sounds; their labels are not looked at."""
    if source.about.key != "sound":
        raise UserError(f"--data {source.about.name} has {source.about.what}, and vocoder makes sounds of .wav files")
    return source


def build(config: Config, about: About) -> Game:
    """A vocoder, and a discriminator of several views where it is asked for."""
    mel = mel_of(about.rate, config.bands, config.hop)
    if min(config.segment, about.shape[1]) < 4 * mel.hop or about.shape[1] % mel.hop:
        raise UserError(
            f"segment={config.segment} and sounds of {about.shape[1]} samples: both must hold 4 hops of {mel.hop}, and "
            "sounds a whole number of them; use a smaller --hop, or more --seconds"
        )
    contested = bool(config.adversarial or config.matching)
    if contested and not config.periods and not config.scales:
        raise UserError("periods and scales are empty: a discriminator needs a view, such as --periods 2 3 5")
    generator = Vocoder(mel.bands, mel.hop, config.width)
    voice = _Voice(config, LogMel(mel), generator, Views(config.periods, config.scales, config.critic_width))
    adams, optimizers = (config.generator, config.discriminator), [config.generator.over(generator.parameters())]
    modules: dict[str, nn.Module] = {"generator": generator}
    players = [Player("generator", voice.generator_loss, optimizers[0])]
    if contested:
        modules["views"] = voice.views
        optimizers.append(config.discriminator.over(voice.views.parameters()))
        players.insert(0, Player("discriminator", voice.discriminator_loss, optimizers[1]))
    return Game(
        modules=modules,
        players=players,
        product=("generator",),
        given=("sound",),
        sample=lambda found, drawn: found["generator"](voice.seen(drawn["sound"])).float(),
        score=voice.score if "views" in modules else None,
        average=Average(config.average) if config.average else None,
        prepare=voice.prepare,
        on_round=steered(zip(adams, optimizers, strict=False), config.decay, 0.05),
    )
