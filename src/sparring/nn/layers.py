"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot
from torch.nn.utils.parametrize import register_parametrization


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
