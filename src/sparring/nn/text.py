"""Networks that read a caption: numbers of words, as `sparring.data.captions` makes them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from sparring.nn.image import FEATURES, ConvDiscriminator, conv_features, ladder
from sparring.nn.layers import spectral_norm, unchanged

_WORD = 64
_LOG_VARIANCES = (-8.0, 4.0)


class TextEncoder(nn.Module):
    """(N, L) int64 -> (N, features) of length 1: a convolution over three vectors of words, summed; one layer more.

    The convolution tells `top left` from `left, top`; 0 is no word and counts for nothing. Nothing is cut off before
    the sum: what all captions say would grow by it, and what they differ in be drowned.
    """

    def __init__(self, vocabulary: int, features: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary + 2, _WORD, padding_idx=0)
        self.convolution = nn.Conv1d(_WORD, features, 3, padding=1)
        self.norm = nn.LayerNorm(features)
        self.together = nn.Linear(features, features)

    def forward(self, caption: Tensor) -> Tensor:
        """As the class says."""
        there = (caption > 0).to(self.embedding.weight.dtype)[:, None]
        h = self.norm((self.convolution(self.embedding(caption).transpose(1, 2)) * there).sum(2))
        return normalize(h + self.together(torch.relu(h)), dim=1)


class Told(nn.Module):
    """(N, C, H, W), (N, d) -> the same: batch norm whose gain and bias the conditions say; leaky ReLU.

    De Vries et al. 2017; for captions in a generator, Tao et al. 2022 (DF-GAN), section 3.4.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.said = nn.Linear(condition, 2 * channels)
        nn.init.normal_(self.said.weight, 0.0, 0.3 / math.sqrt(condition))
        nn.init.zeros_(self.said.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """As the class says."""
        gain, bias = self.said(condition)[:, :, None, None].chunk(2, 1)
        return leaky_relu(self.norm(x) * (1 + gain) + bias, 0.2)


class TextGenerator(nn.Module):
    """(N, latent), (N, L) captions -> (N, C, H, W) in [-1, 1]: every layer is told latent and caption (`Told`).

    A dense layer makes a map of at most 7 pixels a side; 4x4 transposed convolutions double it, each followed by a 3x3
    one, halving the channels, down to `width` at full size; 3x3 convolution and tanh.
    """

    def __init__(
        self,
        latent: int,
        shape: tuple[int, int, int],
        width: int,
        vocabulary: int,
        features: int,
        encodes: bool = False,
    ) -> None:
        """`encodes`: with an encoder of pictures, for `latents`."""
        super().__init__()
        channels, self.height, self.width = shape
        steps, condition = ladder(self.height, self.width, 7), latent + features
        now = min(width << steps, 512)
        self.encoder = TextEncoder(vocabulary, features)
        self.scale = features**0.5
        """Brings a feature to the size of a normal latent."""
        self.base = (now, math.ceil(self.height / 2**steps), math.ceil(self.width / 2**steps))
        self.dense = nn.Linear(condition, math.prod(self.base))
        told, layers = [Told(now, condition)], list[nn.Module]()
        for _ in range(steps):
            before, now = now, max(now // 2, width)
            layers += [nn.ConvTranspose2d(before, now, 4, 2, 1, bias=False), nn.Conv2d(now, now, 3, 1, 1, bias=False)]
            told += [Told(now, condition), Told(now, condition)]
        self.told, self.layers = nn.ModuleList(told), nn.ModuleList(layers)
        self.out = nn.Conv2d(now, channels, 3, 1, 1)
        self.picture = nn.Sequential(conv_features(shape), nn.Linear(FEATURES, 2 * latent)) if encodes else None

    def latents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> mean and log-variance, (N, latent) each, of the latents that might have made x."""
        assert self.picture is not None
        mean, log_variance = self.picture(x).float().chunk(2, 1)
        return mean, log_variance.clamp(*_LOG_VARIANCES)

    def forward(self, latent: Tensor, caption: Tensor) -> Tensor:
        """As the class says."""
        condition = torch.cat([latent, self.scale * self.encoder(caption)], 1)
        x = self.dense(condition).unflatten(1, self.base).contiguous(memory_format=torch.channels_last)
        first, *told = self.told
        x = first(x, condition)
        for layer, tell in zip(self.layers, told, strict=True):
            x = tell(layer(x), condition)
        return torch.tanh(self.out(x))[..., : self.height, : self.width]


class TextDiscriminator(ConvDiscriminator):
    """(N, C, H, W), (N, L) captions -> (N,): linear(h) + <W features of the caption, h>.

    Projection as in Miyato and Koyama 2018, equation 3.
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int, vocabulary: int, features: int, spectral: bool = True
    ) -> None:
        super().__init__(shape, width, spectral=spectral)
        wrap = spectral_norm if spectral else unchanged
        self.encoder = TextEncoder(vocabulary, features)
        self.joined = wrap(nn.Linear(features, self.head.features, bias=False))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        if label is None:
            raise ValueError("this discriminator reads captions: it needs them, (N, L) int64")
        h = self.layers(x).flatten(1)
        score: Tensor = self.head(h, None) + (self.joined(self.encoder(label)) * h).sum(1)
        return score
