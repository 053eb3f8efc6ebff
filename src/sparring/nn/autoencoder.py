"""Encoders, decoders, codes: what the recipes ae, vae, vqvae and vae_gan are made of. No batch norm.

Statistics of a batch would make the bound of one sample depend on others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, scaled_dot_product_attention

from sparring.config import UserError
from sparring.data.source import About
from sparring.nn.image import ladder
from sparring.nn.layers import ConvTranspose2d
from sparring.nn.likelihoods import Likelihood
from sparring.nn.residual import picture_shape

Activation = Literal["tanh", "relu", "silu"]
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}
LEARNING_BATCHES = 100
"""In which a decoder gets to know the mean of the data."""


def dense(widths: Sequence[int], activation: Activation) -> nn.Sequential:
    """(N, widths[0]) -> (N, widths[-1]), an activation between any two layers. Glorot and Bengio 2010 to begin with."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        linear = nn.Linear(before, after)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


class DenseEncoder(nn.Module):
    """(N, *shape) -> (N, outputs)."""

    def __init__(
        self, shape: Sequence[int], hidden: Sequence[int], outputs: int, activation: Activation = "tanh"
    ) -> None:
        super().__init__()
        self.layers = dense([math.prod(shape), *hidden, outputs], activation)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.layers(x.contiguous(memory_format=torch.contiguous_format).flatten(1))
        return out


class DenseBody(nn.Module):
    """(N, latent) -> (N, *shape), without an activation at the end."""

    def __init__(
        self, latent: int, hidden: Sequence[int], shape: Sequence[int], activation: Activation = "tanh"
    ) -> None:
        super().__init__()
        self.shape, self.layers = tuple(shape), dense([latent, *hidden, math.prod(shape)], activation)

    def forward(self, latent: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.layers(latent)
        return out.view(-1, *self.shape)


def halvings(shape: tuple[int, int, int], smallest: int = 7) -> tuple[int, tuple[int, int]]:
    """How often a picture is halved until its sides are at most `smallest`, and the sides then."""
    _, height, across = shape
    steps = ladder(height, across, smallest)
    if min(height, across) >> steps == 0:
        raise UserError(f"size={height}x{across} is too elongated for this network; its sides may differ 7-fold")
    return steps, (math.ceil(height / 2**steps), math.ceil(across / 2**steps))


class ConvDown(nn.Module):
    """(N, C, H, W) -> (N, outputs, h, w) of at most 7 pixels a side: 4x4 convolutions of stride 2, doubling channels.

    Sides that do not halve evenly are padded with zeros at their ends.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, outputs: int) -> None:
        super().__init__()
        steps, self.side = halvings(shape)
        self.pad = (0, (self.side[1] << steps) - shape[2], 0, (self.side[0] << steps) - shape[1])
        channels = [shape[0], *(min(width << step, 512) for step in range(1, steps + 1))]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
        layers += [nn.Conv2d(channels[-1], outputs, 3, 1, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.layers(nn.functional.pad(x, self.pad) if any(self.pad) else x)
        return out


class ConvUp(nn.Module):
    """(N, inputs, h, w) -> (N, *shape), without an activation at the end: the reverse of `ConvDown`."""

    def __init__(self, inputs: int, width: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        steps, _ = halvings(shape)
        self.height, self.across = shape[1:]
        channels = [min(width << step, 512) for step in range(steps, -1, -1)]
        layers: list[nn.Module] = [nn.Conv2d(inputs, channels[0], 3, 1, 1), nn.SiLU()]
        for before, after in pairwise(channels):
            layers += [ConvTranspose2d(before, after, 4, 2, 1), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], shape[0], 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.layers(x)
        return out[..., : self.height, : self.across]


class ConvEncoder(nn.Module):
    """(N, C, H, W) -> (N, outputs)."""

    def __init__(self, shape: tuple[int, int, int], width: int, outputs: int) -> None:
        super().__init__()
        steps, (height, across) = halvings(shape)
        channels = min(width << steps, 512)
        self.down, self.activation = ConvDown(shape, width, channels), nn.SiLU()
        self.dense = nn.Linear(channels * height * across, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        out: Tensor = self.dense(self.activation(self.down(x)).flatten(1))
        return out


class ConvBody(nn.Module):
    """(N, latent) -> (N, *shape), without an activation at the end."""

    def __init__(self, latent: int, width: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        steps, side = halvings(shape)
        self.base = (min(width << steps, 512), *side)
        self.dense, self.activation = nn.Linear(latent, math.prod(self.base)), nn.SiLU()
        self.up = ConvUp(self.base[0], width, shape)

    def forward(self, latent: Tensor) -> Tensor:
        """As the class says."""
        x = self.activation(self.dense(latent)).unflatten(1, self.base)
        out: Tensor = self.up(x.contiguous(memory_format=torch.channels_last))
        return out


class Decoder(nn.Module):
    """p(x | z): a body whose output parametrises a likelihood, beginning at the mean of the data.

    The mean is a buffer that `meet` learns over the first batches, as batch norm learns its statistics: the bias of the
    output then need not travel the whole way from 0.
    """

    centre: Tensor
    met: Tensor

    def __init__(self, body: nn.Module, likelihood: Likelihood, shape: Sequence[int]) -> None:
        super().__init__()
        self.body, self.likelihood, self.shape = body, likelihood, tuple(shape)
        self.register_buffer("centre", torch.zeros(self.shape))
        self.register_buffer("met", torch.zeros(()))

    @torch.no_grad()
    def meet(self, x: Tensor) -> None:
        """Look at a batch (N, *shape) of what is observed; those after the first hundred change nothing."""
        share = torch.where(self.met < LEARNING_BATCHES, 1 / (self.met + 1), 0.0)
        self.centre.lerp_(x.mean(0), share)
        self.met.add_(1)

    def forward(self, latent: Tensor) -> Tensor:
        """(N, latent) -> the likelihood's parameters (N, *shape), float32."""
        out: Tensor = self.body(latent).float()
        return out + self.likelihood.offset(self.centre)

    def log_prob(self, latent: Tensor, x: Tensor) -> Tensor:
        """(N, k, latent), (N, *shape) observed -> (N, k) nats per sample, summed over its pixels."""
        n, k, _ = latent.shape
        out = self(latent.flatten(0, 1)).contiguous(memory_format=torch.contiguous_format)
        return self.likelihood.log_density(out.view(n, k, -1), x.flatten(1)[:, None]).sum(2)

    def mean(self, latent: Tensor) -> Tensor:
        """(N, latent) -> E[x | z], (N, *shape) in the data's range."""
        return self.likelihood.mean(self(latent))


def pair(
    networks: Literal["conv", "dense"],
    about: About,
    sizes: tuple[int, int],
    width: int,
    hidden: Sequence[int],
    activation: Activation,
    likelihood: Likelihood,
) -> tuple[nn.Module, Decoder]:
    """An encoder of `sizes[0]` outputs and a decoder of `sizes[1]` inputs. `UserError` for points in `conv`."""
    outputs, latent = sizes
    if networks == "conv":
        shape = picture_shape(about)
        return ConvEncoder(shape, width, outputs), Decoder(ConvBody(latent, width, shape), likelihood, shape)
    encoder = DenseEncoder(about.shape, hidden, outputs, activation)
    return encoder, Decoder(DenseBody(latent, hidden[::-1], about.shape, activation), likelihood, about.shape)


def posterior(encoder: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log-variances of q(z | x), (N, latent) each, by an encoder of twice as many outputs."""
    mean, log_variance = encoder(x).float().chunk(2, 1)
    return mean, log_variance


def drawn(mean: Tensor, log_variance: Tensor, k: int = 1) -> Tensor:
    """(N, k, latent) from q, differentiable in its moments. Kingma and Welling 2014, section 2.4."""
    noise = torch.randn(len(mean), k, mean.shape[1], device=mean.device)
    return mean[:, None] + (0.5 * log_variance).exp()[:, None] * noise


class CodeGaussian(nn.Module):
    """The Gaussian, of full covariance, that codes follow: moments that move with the batches. Not differentiated."""

    mean: Tensor
    square: Tensor

    def __init__(self, size: int, keep: float = 0.99) -> None:
        """`keep`: fraction of the old moments kept per batch."""
        super().__init__()
        self.keep = keep
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("square", torch.eye(size))

    @torch.no_grad()
    def meet(self, codes: Tensor) -> None:
        """Look at a batch (N, size)."""
        codes = codes.detach().float()
        with torch.autocast(codes.device.type, enabled=False):
            self.mean.lerp_(codes.mean(0), 1 - self.keep)
            self.square.lerp_(codes.T @ codes / len(codes), 1 - self.keep)

    def forward(self, noise: Tensor) -> Tensor:
        """(N, size) standard normal -> codes."""
        codes: Tensor = self.mean + noise @ self.root().to(noise)
        return codes

    def root(self) -> Tensor:
        """(size, size) float64 on the CPU: the symmetric root of the covariance."""
        values, vectors = torch.linalg.eigh((self.square - torch.outer(self.mean, self.mean)).double().cpu())
        root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T  # symmetric: signs do not matter
        return root

    def settled(self) -> nn.Module:
        """The same map with the root that it has now."""
        linear = nn.Linear(*self.square.shape)
        with torch.no_grad():
            linear.weight.copy_(self.root())  # symmetric
            linear.bias.copy_(self.mean)
        return linear


class Codebook(nn.Module):
    """(N, width, h, w) -> the nearest code at every place, the gradient passing straight through; and its number.

    Van den Oord et al. 2017. In training codes follow the means of what chose them (appendix A.1), and one that hardly
    anything chooses is put where a random input lies, so that none stays dead; the first batch places them all.
    """

    codes: Tensor
    counts: Tensor
    sums: Tensor
    DEAD = 0.1
    """Choices per batch, on average, below which a code is moved."""

    def __init__(self, size: int, width: int, keep: float = 0.99) -> None:
        """`keep`: fraction of the old means kept per batch."""
        super().__init__()
        self.keep = keep
        self.register_buffer("codes", torch.randn(size, width))
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros(size, width))

    def nearest(self, z: Tensor) -> Tensor:
        """(N, width, h, w) -> (N, h, w) int64."""
        flat = z.detach().float().movedim(1, -1)
        with torch.autocast(z.device.type, enabled=False):
            distance = self.codes.square().sum(1) - 2 * flat @ self.codes.T  # the input's own square orders nothing
        return distance.argmin(-1)

    def look_up(self, index: Tensor) -> Tensor:
        """(N, h, w) -> (N, width, h, w)."""
        return self.codes[index].movedim(index.ndim, 1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """As the class says."""
        index = self.nearest(z)
        chosen = self.look_up(index)  # before the codes move
        if self.training:
            self._follow(z.detach().float().movedim(1, -1).flatten(0, -2), index.flatten())
        return z + (chosen - z).detach(), index

    @torch.no_grad()
    def _follow(self, flat: Tensor, index: Tensor) -> None:
        chosen = one_hot(index, len(self.codes)).to(flat.dtype)
        self.counts.lerp_(chosen.sum(0), 1 - self.keep)
        with torch.autocast(flat.device.type, enabled=False):
            self.sums.lerp_(chosen.T @ flat, 1 - self.keep)
        dead = self.counts < self.DEAD
        others = flat[torch.randint(len(flat), (len(self.codes),), device=flat.device)]
        self.sums.copy_(torch.where(dead[:, None], others, self.sums))
        self.counts.masked_fill_(dead, 1.0)
        self.codes.copy_(self.sums / self.counts[:, None])


class Block(nn.Module):
    """(N, L, width) -> the same: causal attention and a dense layer, each beside the identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """With `past`, keys and values (2, N, heads, L, d) of all places before, x is one place. Gives all so far."""
        q, k, v = self.qkv(self.before(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        known = torch.stack([k, v])
        if past is not None:
            known = torch.cat([past, known], dim=3)
        seen = scaled_dot_product_attention(q, known[0], known[1], is_causal=past is None)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.dense(self.after(x)), known


class CodePrior(nn.Module):
    """(N, L) codes -> (N, L, codes) logits of each from those before it: a small causal transformer."""

    def __init__(self, codes: int, places: int, width: int, blocks: int, heads: int = 4) -> None:
        super().__init__()
        self.codes, self.places = codes, places
        self.embedding = nn.Embedding(codes + 1, width)  # the last one stands before the first
        self.place = nn.Parameter(0.02 * torch.randn(places, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, codes)

    def forward(self, index: Tensor) -> Tensor:
        """As the class says."""
        shifted = torch.cat([torch.full_like(index[:, :1], self.codes), index[:, :-1]], dim=1)
        x = self.embedding(shifted) + self.place
        for block in self.blocks:
            x, _ = block(x)
        out: Tensor = self.head(self.norm(x))
        return out

    def draw(self, uniform: Tensor) -> Tensor:
        """(N, L) numbers in [0, 1] -> (N, L) codes, each by the inverse of its distribution function."""
        now = torch.full((uniform.shape[0],), self.codes, dtype=torch.int64, device=uniform.device)
        pasts: list[Tensor | None] = [None] * len(self.blocks)
        drawn = []
        for place in range(self.places):
            x = (self.embedding(now) + self.place[place])[:, None]
            for number, block in enumerate(self.blocks):
                x, pasts[number] = block(x, pasts[number])
            below = self.head(self.norm(x[:, 0])).float().softmax(1).cumsum(1)
            now = (below < uniform[:, place, None]).sum(1).clamp(max=self.codes - 1)
            drawn.append(now)
        return torch.stack(drawn, dim=1)
