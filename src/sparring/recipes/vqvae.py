"""Vector-quantised autoencoder, and a prior that writes its codes. Van den Oord, Vinyals and Kavukcuoglu 2017.

    sparring train vqvae --data mnist

First `autoencoder` learns: squared error relative to the data's variance, straight-through gradients, commitment .25,
codes as moving averages (appendix A.1), dead ones revived. At progress `phase` it stops, and `prior` learns to write
the map of codes place by place; samples are drawn by it and decoded. The paper's prior is a PixelCNN; this one is a
small causal transformer, which draws a map in as many steps as it has places, each of them cheap. Before `phase`
samples are of codes drawn at random, and look it. Watched: `perplexity`, in effect the number of codes in a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sparring.average import Average
from sparring.config import UserError
from sparring.data.clusters import clustered
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Latent, Loss, Player
from sparring.nn.autoencoder import Codebook, CodePrior, ConvDown, ConvUp
from sparring.nn.residual import picture_shape
from sparring.optimizers import Adam
from sparring.schedules import Number, ever, falling


@dataclass(frozen=True)
class Config:
    """Numbers of the VQ-VAE."""

    rounds: int = 2000
    """Updates, of both phases together."""
    batch: int = 64
    """Samples per update."""
    phase: float = 0.3
    """Progress at which the autoencoder stops and the prior begins, in (0, 1)."""
    codes: int = 64
    """In the codebook."""
    code_width: int = 16
    """Numbers in each."""
    keep: float = 0.99
    """Fraction of a code's old mean kept per update."""
    commitment: float = 0.25
    """Weight of what holds the encoder to its codes."""
    width: int = 16
    """Channels at full size, doubling towards the map of codes."""
    prior_width: int = 64
    """Of the transformer; a multiple of 4, its heads."""
    prior_blocks: int = 2
    """Layers of the transformer."""
    optimizer: Adam = field(default_factory=lambda: Adam(2e-3, 0.9, 0.99))
    """Of the autoencoder."""
    prior: Adam = field(default_factory=lambda: Adam(4e-3, 0.9, 0.99))
    """Of the transformer."""
    decay: float = 0.3
    """Progress of each phase from which its learning rate falls, on a line."""
    decay_to: float = 0.02
    """What is left of it at the end."""
    average: Number = 0.99
    """Fraction of the averaged networks kept per round; 0 averages nothing."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the pictures."""


PRESETS: Mapping[str, Config] = {"tuned": Config()}


def data(config: Config, source: Source) -> Source:
    """Unlabelled."""
    return clustered(source, 0)


def perplexity(index: Tensor, codes: int) -> Tensor:
    """How many codes are in use, in effect: the exponential of their entropy, in [1, codes]."""
    share = torch.bincount(index.flatten(), minlength=codes) / index.numel()
    return torch.exp(-torch.xlogy(share, share).sum())


def build(config: Config, about: About) -> Game:
    """Two players, one after the other: the autoencoder, then the prior over its codes."""
    if not 0 < config.phase < 1 or config.prior_width % 4:
        raise UserError(
            f"phase={config.phase} must lie between 0 and 1, and prior_width={config.prior_width} be a multiple of 4"
        )
    shape = picture_shape(about)
    encoder = ConvDown(shape, config.width, config.code_width)
    decoder = ConvUp(config.code_width, config.width, shape)
    codebook, side = Codebook(config.codes, config.code_width, config.keep), encoder.side
    prior = CodePrior(config.codes, side[0] * side[1], config.prior_width, config.prior_blocks)
    optimizer = config.optimizer.over([*encoder.parameters(), *decoder.parameters()])
    writer, turn = config.prior.over(prior.parameters()), max(1, round(config.phase * config.rounds))

    def autoencoder_loss(batch: Batch) -> Loss:
        x = batch["image"]
        z = encoder(x).float()
        quantised, index = codebook(z)
        error = (decoder(quantised).float() - x).square().mean() / x.var()
        commitment = config.commitment * (z - quantised.detach()).square().mean()
        watch = {"perplexity": perplexity(index, config.codes)}
        return Loss({"reconstruction": error, "commitment": commitment}, watch)

    def prior_loss(batch: Batch) -> Loss:
        with torch.no_grad():
            index = codebook.nearest(encoder(batch["image"])).flatten(1)
        logits = prior(index).float()
        return Loss({"nats per code": cross_entropy(logits.flatten(0, 1), index.flatten())})

    def sample(modules: Mapping[str, Any], batch: Batch) -> Tensor:
        index = modules["prior"].draw((batch["latent"] + 1) / 2).unflatten(1, side)
        out: Tensor = modules["decoder"](modules["codebook"].look_up(index)).clamp(-1, 1)
        return out

    def reconstruct(modules: Mapping[str, Any], x: Tensor) -> Tensor:
        index = modules["codebook"].nearest(modules["encoder"](x))
        out: Tensor = modules["decoder"](modules["codebook"].look_up(index)).clamp(-1, 1)
        return out

    def on_round(progress: float) -> None:
        first, second = progress / config.phase, (progress - config.phase) / (1 - config.phase)
        config.optimizer.steer(optimizer, progress, falling(min(1.0, first), config.decay, config.decay_to))
        config.prior.steer(writer, progress, falling(max(0.0, second), config.decay, config.decay_to))

    return Game(
        modules={"encoder": encoder, "codebook": codebook, "decoder": decoder, "prior": prior},
        players=[
            Player("autoencoder", autoencoder_loss, optimizer, stop=turn),
            Player("prior", prior_loss, writer, start=turn),
        ],
        product=("encoder", "codebook", "decoder", "prior"),
        draw=Latent(side[0] * side[1], uniform=True),
        sample=sample,
        average=Average(config.average) if ever(config.average) else None,
        reconstruct=reconstruct,
        on_round=on_round,
    )
