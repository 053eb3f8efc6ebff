"""The convolutional pair that `tuned` presets use, for pictures of any size."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sparring.config import UserError
from sparring.nn.layers import Projection, spectral_norm, unchanged, with_label


def ladder(height: int, width: int, smallest: int) -> int:
    """How often the larger side must be halved (rounding up) until it is at most `smallest`."""
    side, steps = max(height, width), 0
    while side > smallest:
        side, steps = math.ceil(side / 2), steps + 1
    return steps


class ConvGenerator(nn.Module):
    """(N, latent) [, (N,) labels] -> (N, C, H, W) in [-1, 1].

    A dense layer makes a small map (at most 7 pixels a side); 4x4 transposed convolutions double it, halving the
    channels, down to `width` at full size; batch norm (unless `norm` is off) and leaky ReLU in between; 3x3 convolution
    and tanh.
    """

    def __init__(
        self, latent: int, shape: tuple[int, int, int], width: int = 16, classes: int = 0, norm: bool = True
    ) -> None:
        super().__init__()
        normal = nn.BatchNorm2d if norm else nn.Identity
        channels, self.height, self.width = shape
        self.classes = classes
        steps = ladder(self.height, self.width, 7)
        top = min(max(64, width << steps), 512)
        low = (math.ceil(self.height / 2**steps), math.ceil(self.width / 2**steps))
        self.base = (top, *low)
        self.dense = nn.Linear(latent + classes, top * low[0] * low[1])
        self.first = nn.Sequential(normal(top), nn.LeakyReLU(0.2))
        blocks: list[nn.Module] = []
        now = top
        for _ in range(steps):
            after = max(now // 2, width)
            up = nn.ConvTranspose2d(now, after, 4, 2, 1, bias=False)
            blocks += [up, normal(after), nn.LeakyReLU(0.2)]
            now = after
        self.blocks = nn.Sequential(*blocks)
        self.out = nn.Conv2d(now, channels, 3, 1, 1)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        x = self.dense(with_label(latent, label, self.classes)).unflatten(1, self.base)
        x = self.blocks(self.first(x.contiguous(memory_format=torch.channels_last)))
        return torch.tanh(self.out(x))[..., : self.height, : self.width]


class ConvDiscriminator(nn.Module):
    """(N, C, H, W) [, (N,) labels] -> (N,) scores.

    4x4 convolutions of stride 2 double the channels from `width` until the map is at most 7 pixels a side, then
    one 3x3 of stride 2; leaky ReLU; flat features to a linear score plus, with labels, a projection. No batch
    norm, so penalties are sound, and real and fake go through in one pass.
    """

    def __init__(self, shape: tuple[int, int, int], width: int = 32, classes: int = 0, spectral: bool = True) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else unchanged
        channels, height, across = shape
        steps = ladder(height, across, 7)
        if min(height, across) >> steps == 0:
            raise UserError(f"size={height}x{across} is too elongated for this network; its sides may differ 7-fold")
        layers: list[nn.Module] = []
        for step in range(steps):
            after = min(width << step, 512)
            layers += [wrap(nn.Conv2d(channels, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
            channels, height, across = after, height // 2, across // 2
        after = min(width << steps, 512)
        layers += [wrap(nn.Conv2d(channels, after, 3, 2, 1)), nn.LeakyReLU(0.2)]
        height, across = math.ceil(height / 2), math.ceil(across / 2)
        self.layers = nn.Sequential(*layers)
        self.head = Projection(after * height * across, classes, wrap)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        score: Tensor = self.head(self.layers(x).flatten(1), label)
        return score


class LabelChannels(nn.Module):
    """(N, C, H, W), (N,) labels -> (N,) scores: the label as constant one-hot channels. Mirza and Osindero 2014."""

    def __init__(self, shape: tuple[int, int, int], width: int, classes: int) -> None:
        super().__init__()
        channels, height, across = shape
        self.classes = classes
        self.discriminator = ConvDiscriminator((channels + classes, height, across), width)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        if label is None:
            raise ValueError("this discriminator is conditional: it needs `label`, (N,) int64")
        planes = one_hot(label, self.classes).to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        score: Tensor = self.discriminator(torch.cat([x, planes], dim=1))
        return score


class LabelReader(ConvDiscriminator):
    """(N, C, H, W) -> (N,) scores that see no label, and `logits` (N, classes) of it. Odena et al. 2017."""

    def __init__(self, shape: tuple[int, int, int], width: int, classes: int) -> None:
        super().__init__(shape, width)
        self.classifier = spectral_norm(nn.Linear(self.head.features, classes))

    def logits(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.classifier(self.layers(x).flatten(1))
        return out


FEATURES = 96
LARGEST = 64
"""Pixels a side that an encoder looks at; the cost grows with their square."""
LEAST_SPREAD = 1e-4


def conv_features(shape: tuple[int, int, int], width: int = 16) -> nn.Sequential:
    """(N, C, H, W) in [-1, 1] -> (N, 96), none below 0.

    5x5 and 3x3 convolutions with batch norm and ReLU, max pooling while a side is above 7 pixels; a dense layer.
    """
    channels, height, across = shape
    layers: list[nn.Module] = []
    now, kernel = channels, 5
    for step in range(ladder(height, across, 7)):
        after = min(width << step, 128)
        layers += [conv_relu(now, after, kernel), nn.MaxPool2d(2, ceil_mode=True)]
        now, kernel, height, across = after, 3, math.ceil(height / 2), math.ceil(across / 2)
    layers += [conv_relu(now, 64, 3), conv_relu(64, 64, 3)]
    dense = nn.Linear(64 * height * across, FEATURES, bias=False)
    return nn.Sequential(*layers, nn.Flatten(), dense, nn.BatchNorm1d(FEATURES), nn.ReLU())


class ConvClassifier(nn.Module):
    """(N, C, H, W) in [-1, 1] -> class logits (N, classes); `features` gives the (N, 96) that they are made from."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 16) -> None:
        super().__init__()
        self.layers = conv_features(shape, width)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 96), after the last ReLU."""
        h: Tensor = self.layers(x)
        return h

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        logits: Tensor = self.head(self.features(x))
        return logits


class ConvEncoder(nn.Module):
    """(N, C, H, W) in [-1, 1] -> (N, 96), which training compares by; `features` gives what judges look at.

    Pictures of more than `LARGEST` pixels a side are averaged down by a whole number first.
    """

    spread: Tensor

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, *sides = shape
        self.shrink = math.ceil(max(sides) / LARGEST)
        self.layers = conv_features((channels, sides[0] // self.shrink, sides[1] // self.shrink), width)
        maps = sum(conv.out_channels for conv in self.layers.modules() if isinstance(conv, nn.Conv2d))
        self.register_buffer("spread", torch.ones(maps + FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.layers(self.shrunk(x))
        return out

    def shrunk(self, x: Tensor) -> Tensor:
        """At most `LARGEST` pixels a side."""
        return F.avg_pool2d(x, self.shrink) if self.shrink > 1 else x

    def features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, d): the means of all maps after each convolution, and the output; over `spread`.

        The early maps see texture, the late ones what a thing is; alone, the output forgets what views differ in.
        """
        x, parts = self.shrunk(x), []
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.Sequential):
                parts.append(x.mean((2, 3)))
        return torch.cat([*parts, x], 1) / self.spread

    @torch.no_grad()
    def even_out(self, pictures: Tensor) -> None:
        """Give every feature the standard deviation 1 over (N, C, H, W) pictures; one that stays constant, as it is."""
        deviations = torch.cat([self.features(part) for part in torch.split(pictures, 250)]).std(0)
        self.spread *= torch.where(deviations > LEAST_SPREAD, deviations, 1.0)


def conv_relu(channels: int, after: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, ReLU."""
    conv = nn.Conv2d(channels, after, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())
