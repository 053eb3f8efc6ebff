"""Sounds as networks look at them: the log-mel spectrogram, and the way back from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.data.kinds import to_float, to_int16
from sparring.data.source import About

FLOOR = 1e-7
"""Power of a band from which on it counts as silent: 70 dB below a sine of amplitude 1."""
RANGE = -math.log(FLOOR) / 2
"""Natural log of the amplitude from silence to a sine of amplitude 1."""
LOWEST = 20.0
"""Hz, of the first band."""
AT_ONCE = 2**22
"""Samples that are looked at or made at once, of all sounds together."""


@dataclass(frozen=True)
class Mel:
    """What a log-mel spectrogram is made with: alike wherever one is made or read, or nothing fits."""

    rate: int
    """Samples a second."""
    hop: int
    """Samples from one column to the next."""
    bands: int

    @property
    def size(self) -> int:
        """Samples that a column sees: four hops, of which overlap-add needs at least two."""
        return 4 * self.hop


def mel_of(rate: float, bands: int, hop: int = 0) -> Mel:
    """With a hop of 0 a column every 16 ms or so: a power of two, 128 at 8 kHz and 256 at 16 and 22 kHz."""
    return Mel(round(rate), hop or 2 ** max(3, round(math.log2(max(rate, 500) / 64))), bands)


def mel_filters(mel: Mel) -> Tensor:
    """(bands, size / 2 + 1) float32: triangles of height 1 that are evenly spaced on the mel scale to rate / 2.

    mel(f) = 2595 log10(1 + f / 700) (O'Shaughnessy 1987). A low band may be narrower than the distance of two
    frequencies; it takes part in the nearest one, so that none is empty.
    """
    top, bottom = (2595 * math.log10(1 + f / 700) for f in (mel.rate / 2, LOWEST))
    edges = 700 * (10 ** (torch.linspace(bottom, top, mel.bands + 2, dtype=torch.float64) / 2595) - 1)
    at = torch.linspace(0, mel.rate / 2, mel.size // 2 + 1, dtype=torch.float64)
    width = torch.maximum(edges.diff(), at[1] * torch.ones(1, dtype=torch.float64))
    middle = edges[1:-1, None]
    rising, falling = 1 - (middle - at) / width[:-1, None], 1 - (at - middle) / width[1:, None]
    return torch.minimum(rising, falling).clamp(0, 1).float()


class LogMel(nn.Module):
    """(N, 1, T) waves in [-1, 1] -> (N, 1, bands, T / hop) in [-1, 1]: silent to loud, high bands above low ones.

    Linear in the log of the amplitude: 1 is that of a sine of amplitude 1, and 70 dB below it and less are -1.
    Differentiable, and in float32 whatever the precision of training. T must be a multiple of the hop.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, mel: Mel) -> None:
        super().__init__()
        self.mel = mel
        self.register_buffer("filters", mel_filters(mel), persistent=False)
        self.register_buffer("window", torch.hann_window(mel.size), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """As the class says."""
        if wave.shape[2] % self.mel.hop:
            raise ValueError(f"{wave.shape[2]} samples are no multiple of the hop of {self.mel.hop}")
        with torch.autocast(wave.device.type, enabled=False):
            power = self.filters @ transformed(wave[:, 0].float(), self.window)[..., :-1].abs().square()
            # the offset, not a clamp: where it is silent the slope is small, not zero
            return (((power + FLOOR).log() / (2 * RANGE) + 1) * 2 - 1).flip(1)[:, None]

    def amplitude(self, picture: Tensor) -> Tensor:
        """(N, 1, bands, frames) in [-1, 1] -> (N, size / 2 + 1, frames) of which it is the spectrogram, nearly.

        Non-negative least squares by multiplicative updates (Lee and Seung 2001): a band says nothing of how its power
        is spread over its frequencies.
        """
        wanted = (((picture[:, 0].flip(1).float() - 1) * RANGE).exp() - FLOOR).clamp(min=0)
        filters = self.filters
        found = (filters.T @ wanted) / filters.sum(0).clamp(min=1e-3)[:, None]
        for _ in range(30):
            found = found * (filters.T @ wanted) / (filters.T @ (filters @ found)).clamp(min=1e-12)
        return found.clamp(min=0).sqrt()


def transformed(wave: Tensor, window: Tensor) -> Tensor:
    """(N, T) -> complex (N, size / 2 + 1, 1 + T / hop); a sine of amplitude 1 has the modulus 1."""
    size, scale = len(window), 2 / float(window.sum())
    return scale * torch.stft(wave, size, size // 4, window=window, return_complex=True)


def griffin_lim(amplitude: Tensor, window: Tensor, length: int, rounds: int = 32, momentum: float = 0.99) -> Tensor:
    """(N, size / 2 + 1, 1 + T / hop) -> (N, T) whose transform has nearly these moduli.

    Griffin and Lim 1984, with the momentum of Perraudin et al. 2013. Phases begin at random, the same for the same
    number of samples.
    """
    size, scale = len(window), 2 / float(window.sum())
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(amplitude.shape[1:], generator=generator).to(amplitude.device)
    phase = torch.polar(torch.ones_like(start), 2 * math.pi * start)
    before, wave = torch.zeros((), dtype=phase.dtype, device=phase.device), amplitude[:, 0, 0]
    for _ in range(rounds):
        wave = torch.istft(amplitude * phase / scale, size, size // 4, window=window, length=length)
        now = transformed(wave, window)
        ahead = now + momentum * (now - before)
        phase, before = ahead / ahead.abs().clamp(min=1e-12), now
    return torch.istft(amplitude * phase / scale, size, size // 4, window=window, length=length)


def inverted(picture: Tensor, mel: Mel, rounds: int = 32) -> Tensor:
    """(N, 1, bands, frames) in [-1, 1] -> (N, 1, frames x hop): waves that sound like it."""
    log_mel = LogMel(mel).to(picture.device)
    amplitude = log_mel.amplitude(picture)
    amplitude = torch.cat([amplitude, amplitude[..., -1:]], 2)  # the transform of T samples has a column more
    return griffin_lim(amplitude, log_mel.window, picture.shape[3] * mel.hop, rounds)[:, None]


def parts(count: int, length: int) -> Sequence[Tensor]:
    """Numbers of `count` sounds of `length` samples, by as many as are looked at at once."""
    return torch.split(torch.arange(count), max(1, AT_ONCE // length))


def heard(pictures: Tensor, about: About) -> Tensor:
    """(N, 1, bands, frames) uint8 spectrograms as `about` tells of them -> (N, 1, frames x hop) int16 sounds."""
    mel = mel_of(about.rate, about.shape[1], about.hop)
    every = parts(len(pictures), pictures.shape[3] * mel.hop)
    return torch.cat([to_int16(inverted(to_float(pictures[rows]), mel)) for rows in every])
