"""Networks that read a caption: numbers of words, as `sparring.data.captions` makes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from sparring.nn.image import ConvDiscriminator, ConvGenerator
from sparring.nn.layers import spectral_norm, unchanged

_WORD = 64


class TextEncoder(nn.Module):
    """(N, L) int64 -> (N, features) of length 1. Vectors of words, a convolution over three of them, their mean.

    The convolution tells `top left` from `left, top`; 0 is no word and counts for nothing.
    """

    def __init__(self, vocabulary: int, features: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary + 2, _WORD, padding_idx=0)
        self.convolution = nn.Conv1d(_WORD, features, 3, padding=1)
        self.out = nn.Linear(features, features)

    def forward(self, caption: Tensor) -> Tensor:
        """As the class says."""
        there = (caption > 0).to(self.embedding.weight.dtype)[:, None]
        h = torch.relu(self.convolution(self.embedding(caption).mT)) * there
        return normalize(self.out(h.sum(2) / there.sum(2).clamp(min=1)), dim=1)


class TextGenerator(nn.Module):
    """(N, latent), (N, L) captions -> (N, C, H, W) in [-1, 1]: the caption's features join the latent."""

    def __init__(self, latent: int, shape: tuple[int, int, int], width: int, vocabulary: int, features: int) -> None:
        super().__init__()
        self.encoder = TextEncoder(vocabulary, features)
        self.body = ConvGenerator(latent + features, shape, width)
        self.scale = features**0.5
        """Brings a feature to the size of a normal latent."""

    def forward(self, latent: Tensor, caption: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.body(torch.cat([latent, self.scale * self.encoder(caption)], 1))
        return out


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
