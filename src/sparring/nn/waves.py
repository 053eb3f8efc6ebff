"""Networks that read and write waves: WaveGAN's pair, HiFi-GAN's generator and views, a classifier of sounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.nn.utils.parametrizations import weight_norm

from sparring.config import UserError
from sparring.nn.image import FEATURES, conv_features
from sparring.nn.layers import Projection, Wrap, spectral_norm, unchanged, with_label
from sparring.nn.signal import LogMel, mel_of

LEAK = 0.2
SMALLEST = 16
"""Samples at the small end of WaveGAN's networks, at least."""


class SoundClassifier(nn.Module):
    """(N, 1, T) waves in [-1, 1] -> class logits (N, classes): as `ConvClassifier` of the log-mel spectrogram.

    `features` gives the (N, 96) that they are made from.
    """

    def __init__(self, length: int, rate: float, classes: int, width: int = 16, bands: int = 40) -> None:
        super().__init__()
        mel = mel_of(rate, bands)
        self.length = -(-length // mel.hop) * mel.hop
        self.spectrogram = LogMel(mel)
        self.layers = conv_features((1, bands, self.length // mel.hop), width)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """(N, 1, T) -> (N, 96), after the last ReLU."""
        whole = F.pad(x, (0, self.length - x.shape[2]))
        h: Tensor = self.layers(self.spectrogram(whole))
        return h

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        logits: Tensor = self.head(self.features(x))
        return logits


def quarters(length: int) -> int:
    """How often a length can be quartered and stay whole and at least `SMALLEST`; `UserError` where it cannot."""
    count = 0
    while length % 4 == 0 and length // 4 >= SMALLEST:
        length, count = length // 4, count + 1
    if count == 0 or length > 16 * SMALLEST:
        raise UserError(
            f"sounds of {length * 4**count} samples cannot be quartered down to {SMALLEST} to {16 * SMALLEST}; choose "
            "--seconds that give a multiple of 4,096 samples, or fewer"
        )
    return count


class WaveGenerator(nn.Module):
    """(N, latent) [, (N,) labels] -> (N, 1, T) in [-1, 1]. Donahue et al. 2019 (WaveGAN), table 3.

    A dense layer, then transposed convolutions of 25 and stride 4, which halve the channels down to `width` before the
    last; ReLU in between, tanh at the end, no normalisation. T = 16,384 and width 64 are the paper's network.
    """

    def __init__(self, latent: int, length: int, width: int = 64, classes: int = 0) -> None:
        super().__init__()
        steps, self.classes = quarters(length), classes
        channels = [width << step for step in reversed(range(steps))]
        self.base = (channels[0], length >> 2 * steps)
        self.dense = nn.Linear(latent + classes, channels[0] * self.base[1])
        ups = [nn.ConvTranspose1d(a, b, 25, 4, 11, 1) for a, b in zip(channels, [*channels[1:], 1], strict=True)]
        self.ups = nn.ModuleList(ups)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        x: Tensor = self.dense(with_label(latent, label, self.classes)).unflatten(1, self.base)
        for up in self.ups:
            x = up(F.relu(x))
        return torch.tanh(x)


class PhaseShuffle(nn.Module):
    """(N, C, T) -> the same, moved by up to `radius` samples and mirrored at the edge; in training only.

    Donahue et al. 2019, section 3.3: so that the critic cannot tell fakes by the phase of the pattern that strided
    transposed convolutions leave. As in their code, one move for a whole batch; it comes from torch's random stream.
    """

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        if not self.training or not self.radius:
            return x
        by = int(torch.randint(-self.radius, self.radius + 1, (), device="cpu"))
        padded = F.pad(x, (max(by, 0), max(-by, 0)), mode="reflect")
        return padded[..., max(-by, 0) : max(-by, 0) + x.shape[2]]


class WaveDiscriminator(nn.Module):
    """(N, 1, T) [, (N,) labels] -> (N,) scores: the generator in reverse. Donahue et al. 2019, table 4.

    Leaky ReLU .2; phase shuffle after each layer but the last; a projection where there are labels; no normalisation.
    """

    def __init__(self, length: int, width: int = 64, classes: int = 0, shuffle: int = 2) -> None:
        super().__init__()
        steps = quarters(length)
        widths = [1, *(width << step for step in range(steps))]
        layers: list[nn.Module] = []
        for step, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv1d(before, after, 25, 4, 11), nn.LeakyReLU(LEAK)]
            layers += [PhaseShuffle(shuffle)] if step < steps - 1 else []
        self.layers = nn.Sequential(*layers)
        self.head = Projection(widths[-1] * (length >> 2 * steps), classes, unchanged)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        score: Tensor = self.head(self.layers(x).flatten(1), label)
        return score


class _Dilated(nn.Module):
    """(N, C, T) -> (N, C, T): x plus a dilated convolution of it, twice. HiFi-GAN's residual block 2."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel // 2))) for d in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        for convolution in self.convolutions:
            x = x + convolution(F.leaky_relu(x, 0.1))
        return x


FIELDS = ((3, (1, 2)), (5, (2, 6)), (7, (3, 12)))
"""Kernels and dilations of the blocks whose mean is taken at each rate: V3 of HiFi-GAN."""


class _Fields(nn.Module):
    """(N, C, T) -> (N, C, T): the mean of blocks that see different lengths of time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Dilated(channels, kernel, dilations) for kernel, dilations in FIELDS)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return torch.stack([block(x) for block in self.blocks]).mean(0)


class Vocoder(nn.Module):
    """(N, 1, bands, frames) log-mel -> (N, 1, frames x hop) in [-1, 1]. Kong et al. 2020 (HiFi-GAN), V3.

    A convolution over the bands; transposed convolutions by factors of at most 8 halve the channels, after each the
    mean of residual blocks that see different lengths of time; leaky ReLU .1, weight normalisation, tanh. The hop must
    be a power of two, at least 4.
    """

    def __init__(self, bands: int, hop: int, width: int = 256) -> None:
        super().__init__()
        factors = factors_of(hop)
        if width % 2 ** len(factors):
            raise UserError(f"width={width} must be a multiple of {2 ** len(factors)}")
        self.first = weight_norm(nn.Conv1d(bands, width, 7, padding=3))
        ups, blocks = list[nn.Module](), list[nn.Module]()
        for factor in factors:
            up = nn.ConvTranspose1d(width, width // 2, 2 * factor, factor, factor // 2 + factor % 2, factor % 2)
            width //= 2
            ups.append(weight_norm(up))
            blocks.append(_Fields(width))
        self.ups, self.blocks = nn.ModuleList(ups), nn.ModuleList(blocks)
        self.last = weight_norm(nn.Conv1d(width, 1, 7, padding=3))

    def forward(self, picture: Tensor) -> Tensor:
        """As the class says."""
        x: Tensor = self.first(picture[:, 0])
        for up, blocks in zip(self.ups, self.blocks, strict=True):
            x = blocks(up(F.leaky_relu(x, 0.1)))
        return torch.tanh(self.last(F.leaky_relu(x)))


def factors_of(hop: int) -> tuple[int, ...]:
    """Of a power of two: 128 -> (8, 4, 4), 256 -> (8, 8, 4). `UserError` for other numbers, and below 4."""
    if hop < 4 or hop & (hop - 1):
        raise UserError(f"hop={hop} must be a power of two, at least 4")
    exponent = hop.bit_length() - 1
    count = -(-exponent // 3)
    return tuple(2 ** (exponent // count + (place < exponent % count)) for place in range(count))


class _Period(nn.Module):
    """A view of every p-th sample: (N, 1, T) -> maps of (T / p, p). Kong et al. 2020, section 2.3."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(weight_norm(nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0))) for a, b in pairwise(widths))
        self.head = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The map after each layer; the last one are the scores."""
        padded = F.pad(x, (0, -x.shape[2] % self.period), mode="reflect")
        return _through(padded.reshape(len(x), 1, -1, self.period), self.layers, self.head)


class _Scale(nn.Module):
    """A view of the sound as it is, or averaged over 2 or 4 samples. Kumar et al. 2019 (MelGAN), section 2.2."""

    def __init__(self, pool: int, width: int, wrap: Wrap) -> None:
        super().__init__()
        self.pool = pool
        widths = [width, 2 * width, 4 * width]
        if any(before % max(1, before // 4) for before in widths[:2]):
            raise UserError(f"critic_width={width}: views at scales have groups of 4 channels; use a multiple of 4")
        layers: list[nn.Module] = [nn.Conv1d(1, width, 15, padding=7)]
        for before, after in pairwise(widths):
            layers.append(nn.Conv1d(before, after, 21, 4, 10, groups=max(1, before // 4)))
        self.layers = nn.ModuleList(map(wrap, layers))
        self.head = wrap(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The map after each layer; the last one are the scores."""
        return _through(F.avg_pool1d(x, self.pool) if self.pool > 1 else x, self.layers, self.head)


def _through(x: Tensor, layers: nn.ModuleList, head: nn.Module) -> list[Tensor]:
    maps = []
    for layer in layers:
        x = F.leaky_relu(layer(x), 0.1)
        maps.append(x)
    return [*maps, head(x)]


class Views(nn.Module):
    """(N, 1, T) -> the maps of each view, its scores last: by periods, and at several scales.

    HiFi-GAN: periods 2, 3, 5, 7, 11, scales 1, 2, 4; the first scale has spectral, all others weight normalisation.
    """

    def __init__(self, periods: Sequence[int], scales: Sequence[int], width: int) -> None:
        super().__init__()
        by_period = [_Period(period, width) for period in periods]
        by_scale = [_Scale(scale, width, weight_norm if place else spectral_norm) for place, scale in enumerate(scales)]
        self.views = nn.ModuleList([*by_period, *by_scale])

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """As the class says."""
        return [view(x) for view in self.views]


Maps = Sequence[Sequence[Tensor]]
"""Of every view, what each layer makes, the scores last."""


def apart(real: Maps, fake: Maps) -> Tensor:
    """The sum over all maps but the scores of their mean absolute difference. Kumar et al. 2019 (MelGAN)."""
    pairs = [(r, f) for each, other in zip(real, fake, strict=True) for r, f in zip(each[:-1], other[:-1], strict=True)]
    return torch.stack([l1_loss(f, r) for r, f in pairs]).sum()
