"""Networks of clips: pictures from what stays and what moves, and critics that each take a view of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sparring.nn.image import FEATURES, ConvDiscriminator, ConvGenerator, conv_features
from sparring.nn.layers import with_label

Shape = tuple[int, int, int, int]
"""(C, T, H, W)."""


class VideoGenerator(nn.Module):
    """(N, content + T motion) latents [, (N,) labels] -> (N, C, T, H, W) in [-1, 1]. Tulyakov et al. 2018, section 3.1.

    The first `content` numbers are the same for all pictures of a clip; the rest is noise, `motion` numbers a picture.
    A GRU of `path` numbers makes a path of the noise: it begins where the content says, and is told the label at every
    step. One convolutional generator makes each picture of the content, the place on the path and the label.
    """

    def __init__(self, content: int, motion: int, path: int, shape: Shape, width: int, classes: int = 0) -> None:
        super().__init__()
        channels, self.length, height, across = shape
        self.content, self.motion, self.classes = content, motion, classes
        self.first = nn.Linear(content, path)
        self.path = nn.GRU(motion + classes, path, batch_first=True)
        self.body = ConvGenerator(content + path, (channels, height, across), width, classes)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        stays, noise = latent[:, : self.content], latent[:, self.content :].reshape(-1, self.length, self.motion)
        labels = None if label is None else label.repeat_interleave(self.length)
        driven = with_label(noise.flatten(0, 1), labels, self.classes).reshape(-1, self.length, self.path.input_size)
        moves, _ = self.path(driven, torch.tanh(self.first(stays))[None].to(driven.dtype))
        each = torch.cat([stays[:, None].expand(-1, self.length, -1), moves.to(stays.dtype)], 2).flatten(0, 1)
        pictures: Tensor = self.body(each, labels)
        return pictures.reshape(-1, self.length, *pictures.shape[1:]).transpose(1, 2)


def stacked(clip: Tensor, first: Tensor, count: int) -> Tensor:
    """(N, C, T, H, W), (N,) -> (N, count C, H, W): `count` pictures from number `first` on, as channels."""
    rows = torch.arange(len(clip), device=clip.device)
    return torch.cat([clip[rows, :, first + i] for i in range(count)], 1)


class ClipDiscriminator(nn.Module):
    """(N, C, T, H, W) [, (N,) labels] -> (N, views): a score of each view.

    A view is a number of pictures in a row, taken at random: 1 sees what a picture shows, 2 a step, T how all of it
    moves. In evaluation it is the middle of the clip. Convolutions see the pictures as channels, which is as good as a
    third dimension where clips are short, and several times as fast on a CPU.
    """

    def __init__(self, shape: Shape, views: Sequence[int], width: int, classes: int = 0) -> None:
        super().__init__()
        channels, self.length, height, across = shape
        self.views = tuple(views)
        self.critics = nn.ModuleList(
            ConvDiscriminator((count * channels, height, across), width, classes) for count in self.views
        )

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """As the class says."""
        scores = []
        for count, critic in zip(self.views, self.critics, strict=True):
            last = self.length - count
            if self.training:
                first = torch.randint(last + 1, (len(x),), device=x.device)
            else:
                first = torch.full((len(x),), last // 2, device=x.device)
            scores.append(critic(stacked(x, first, count), label))
        return torch.stack(scores, 1)


class ClipClassifier(nn.Module):
    """(N, C, T, H, W) in [-1, 1] -> logits (N, classes), by the pictures as channels."""

    def __init__(self, shape: Shape, classes: int, width: int = 16) -> None:
        super().__init__()
        channels, length, height, across = shape
        self.layers = conv_features((channels * length, height, across), width)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) -> (N, 96)."""
        h: Tensor = self.layers(x.flatten(1, 2))
        return h

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        logits: Tensor = self.head(self.features(x))
        return logits
