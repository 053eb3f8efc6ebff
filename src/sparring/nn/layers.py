"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, normalize, one_hot
from torch.nn.utils.parametrize import register_parametrization

from sparring.config import UserError


class ConvTranspose2d(nn.ConvTranspose2d):
    """torch's own, quicker on a CPU in bfloat16: there the bias is added apart.

    Within a transposed convolution its gradient takes as long as that of the weights; a sum takes a thirtieth of it.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, in, H, W) -> (N, out, stride H, stride W), as torch's."""
        apart = x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and output_size is None
        if self.bias is None or not apart:
            return super().forward(x, output_size)
        padding = cast("tuple[int, ...]", self.padding)  # words are for convolutions that are not transposed
        more = self.stride, padding, self.output_padding, self.groups, self.dilation
        made = conv_transpose2d(x, self.weight, None, *more)
        return made + self.bias[:, None, None].to(made.dtype)


class SpectralNorm(nn.Module):
    """weight -> weight / its largest singular value, by one power iteration per forward pass in training.

    Miyato et al. 2018, algorithm 1. In float32 also under autocast: in bfloat16 the estimate is off by a percent.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", normalize(torch.randn(matrix.shape[0], device=matrix.device), dim=0, eps=1e-12))
        self.register_buffer("v", normalize(torch.randn(matrix.shape[1], device=matrix.device), dim=0, eps=1e-12))
        for _ in range(15):  # so that a fresh layer is normalised from its first pass on
            self._iterate(matrix)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.v.copy_(normalize(matrix.T @ self.u, dim=0, eps=1e-12))
        self.u.copy_(normalize(matrix @ self.v, dim=0, eps=1e-12))

    def forward(self, weight: Tensor) -> Tensor:
        """(out, ...) -> (out, ...) with spectral norm 1."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.float().flatten(1)
            if self.training:
                self._iterate(matrix)
            # clones, because the next pass moves u and v while this one still waits for its gradient
            sigma = torch.dot(self.u.clone(), torch.mv(matrix, self.v.clone()))
            return weight / sigma


def spectral_norm(module: nn.Module) -> nn.Module:
    """The same layer with its weight spectrally normalised."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    register_parametrization(module, "weight", SpectralNorm(weight))
    return module


def unchanged(module: nn.Module) -> nn.Module:
    """The same layer: for where normalisation is a choice."""
    return module


Wrap = Callable[[nn.Module], nn.Module]


def with_label(latent: Tensor, label: Tensor | None, classes: int) -> Tensor:
    """(N, d) latents and (N,) labels -> (N, d + classes): a one-hot label is appended."""
    if classes == 0:
        return latent
    if label is None:
        raise ValueError("this generator is conditional: it needs `label`, (N,) int64")
    return torch.cat([latent, one_hot(label, classes).to(latent.dtype)], dim=1)


class Projection(nn.Module):
    """Scores of flat features: linear(h) + <embedding(label), h>. Miyato and Koyama 2018, equation 3."""

    def __init__(self, features: int, classes: int, wrap: Wrap) -> None:
        super().__init__()
        self.features = features
        self.linear = wrap(nn.Linear(features, 1))
        # A linear map of the one-hot label rather than nn.Embedding: the same numbers, and it can be wrapped.
        self.embedding = wrap(nn.Linear(classes, features, bias=False)) if classes else None
        self.classes = classes

    def forward(self, h: Tensor, label: Tensor | None) -> Tensor:
        """(N, features), (N,) int64 -> (N,)."""
        score: Tensor = self.linear(h).squeeze(1)
        if self.embedding is None:
            return score
        if label is None:
            raise ValueError("this discriminator is conditional: it needs `label`, (N,) int64")
        embedded: Tensor = self.embedding(one_hot(label, self.classes).to(h.dtype))
        return score + (embedded * h).sum(1)


def packed(x: Tensor, size: int) -> Tensor:
    """(N, C, ...) -> (N / size, size C, ...): neighbours stacked on their channels. Lin et al. 2018 (PacGAN).

    A generator that lacks modes shows it in a pack sooner than in a sample. `UserError` unless N is a multiple.
    """
    if size == 1:
        return x
    if len(x) % size:
        raise UserError(f"batch={len(x)} cannot be packed by {size}; use a multiple of {size}")
    return x.reshape(-1, size * x.shape[1], *x.shape[2:])


def packed_shape(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """(C, ...) of a sample -> that of a pack."""
    return (size * shape[0], *shape[1:])


class MinibatchDeviation(nn.Module):
    """(N, C, H, W) -> (N, C + 1, H, W): how much the samples of a group differ, as one more channel.

    Karras et al. 2018, section 3: standard deviation over the group, averaged over channels and places. Groups are
    every N/group-th sample, so N must be a multiple of `group` or smaller than it. A score then depends on other
    samples: `two_player` sends real and fake through such a network apart.
    """

    mixes_batch = True

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        group = min(self.group, len(x))
        if len(x) % group:
            raise UserError(f"batch={len(x)} is not a multiple of the {group} that minibatch deviation compares")
        groups = x.view(group, -1, *x.shape[1:]).float()
        deviation = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
        return torch.cat([x, deviation.to(x.dtype).repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)


class FourierFeatures(nn.Module):
    """(N, D) -> (N, D + 2 count): sines and cosines of fixed random projections join the input.

    Tancik et al. 2020: without them a network of points learns what is fine, such as narrow modes, last.
    """

    waves: Tensor

    def __init__(self, size: int, count: int, scale: float = 2.0) -> None:
        """`scale`: standard deviation of the waves' angular frequencies, per unit of the data."""
        super().__init__()
        self.register_buffer("waves", torch.randn(size, count) * scale)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        angle = x @ self.waves
        return torch.cat([x, angle.sin(), angle.cos()], dim=1)


class Maxout(nn.Module):
    """(N, before) -> (N, after): the largest of `pieces` linear maps. Goodfellow et al. 2013."""

    def __init__(self, before: int, after: int, pieces: int) -> None:
        super().__init__()
        self.linear, self.pieces = nn.Linear(before, after * pieces), pieces

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.linear(x)
        return out.view(len(x), self.pieces, -1).amax(1)


def normal_init(std: float) -> Callable[[nn.Module], None]:
    """For `module.apply`: weights N(0, std), batch-norm gains N(1, std), biases 0. Radford et al. 2016, section 4."""

    def init(module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)

    return init
