"""An autoencoder whose errors are measured in a discriminator's features. Larsen et al. 2016, algorithm 1.

    sparring train vae_gan --data mnist

Three players. The discriminator tells data from both samples and reconstructions. The decoder fools it with both, and
brings reconstructions near to their originals in the features of the discriminator's layer `level`. The encoder lowers
that same error plus KL(q(z | x) | N(0, 1)); it does not feel the discriminator's verdict. Errors are summed over
features, as the logarithm of a Gaussian of unit width would be. Differences: spectral norm instead of batch norm in the
discriminator and the hinge loss (any objective that is not of pairs will do), and so no gate that rests players
that win. A likelihood of pixels no longer exists, so there is no bound to report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sparring.average import Average
from sparring.config import UserError, resolve
from sparring.data.clusters import clustered
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Latent, Loss, Player
from sparring.metrics.likelihood import gaussian_kl
from sparring.nn.autoencoder import ConvEncoder, drawn, posterior
from sparring.nn.image import ConvDiscriminator, ConvGenerator
from sparring.nn.residual import picture_shape
from sparring.objectives import OBJECTIVES
from sparring.optimizers import Adam
from sparring.schedules import Number, ever, falling


@dataclass(frozen=True)
class Config:
    """Numbers of the VAE-GAN."""

    rounds: int = 1200
    """Rounds, each one step of every player."""
    batch: int = 64
    """Samples per step."""
    latent: int = 32
    """Size of the code."""
    objective: str = "hinge"
    """Of discriminator and decoder: see sparring train dcgan --help; not one of pairs."""
    level: int = 2
    """The discriminator's convolution whose features compare reconstructions, from 1."""
    weight: float = 1.0
    """Of the error in features for the encoder, against the divergence."""
    fidelity: float = 0.01
    """Of that error for the decoder, against the discriminator's verdict (gamma of the paper)."""
    width: int = 16
    """Channels of encoder and decoder at full size, doubling towards the small maps."""
    discriminator_width: int = 32
    """Channels of the discriminator's first layer."""
    encoder: Adam = field(default_factory=lambda: Adam(1e-3, 0.5, 0.99))
    """The encoder's optimizer."""
    generator: Adam = field(default_factory=lambda: Adam(2e-3, 0.0, 0.99))
    """The decoder's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(4e-3, 0.0, 0.99))
    """The discriminator's optimizer."""
    decay: float = 0.4
    """Progress from which the learning rates fall, on a line."""
    decay_to: float = 0.02
    """What is left of them at the end."""
    average: Number = 0.998
    """Fraction of the averaged encoder and decoder kept per round; 0 averages nothing."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the pictures."""


PRESETS: Mapping[str, Config] = {"tuned": Config()}


def data(config: Config, source: Source) -> Source:
    """Unlabelled."""
    return clustered(source, 0)


def build(config: Config, about: About) -> Game:
    """Encoder, decoder and discriminator, in the turns of algorithm 1."""
    shape, objective = picture_shape(about), resolve(config.objective, OBJECTIVES, "objective")
    encoder = ConvEncoder(shape, config.width, 2 * config.latent)
    decoder = ConvGenerator(config.latent, shape, config.width)
    discriminator = ConvDiscriminator(shape, config.discriminator_width)
    if not 1 <= config.level <= len(discriminator.layers) // 2:
        raise UserError(f"level={config.level} is not from 1 to {len(discriminator.layers) // 2}, the convolutions")
    if getattr(objective, "paired", False):
        raise UserError(f"objective={config.objective} is of pairs, and reconstructions have no partner; use hinge")
    latent, cut = Latent(config.latent), 2 * config.level
    settings = (config.discriminator, config.generator, config.encoder)
    optimizers = [
        adam.over(m.parameters()) for adam, m in zip(settings, (discriminator, decoder, encoder), strict=True)
    ]

    def judged(x: Tensor) -> tuple[Tensor, Tensor]:
        features = discriminator.layers[:cut](x)
        score = discriminator.head(discriminator.layers[cut:](features).flatten(1), None)
        return features.float().flatten(1), score.float()

    def error(real: Tensor, rebuilt: Tensor) -> Tensor:
        return 0.5 * (rebuilt - real.detach()).square().sum(1).mean()

    def discriminator_loss(batch: Batch) -> Loss:
        x = batch["image"]
        with torch.no_grad():
            fake = decoder(torch.cat([drawn(*posterior(encoder, x))[:, 0], latent.noise(len(x), x.device)]))
        _, score = judged(torch.cat([x, fake]))
        real, rebuilt, made = score.chunk(3)
        both = objective.discriminator(real, rebuilt).mean() + objective.discriminator(real, made).mean()
        watch = {"real score": real, "fake score": made, "rebuilt score": rebuilt, "real sign": real.sign()}
        return Loss({"objective": both / 2}, {name: value.detach().mean() for name, value in watch.items()})

    def decoder_loss(batch: Batch) -> Loss:
        x = batch["image"]
        with torch.no_grad():
            code = drawn(*posterior(encoder, x))[:, 0]
            real, real_score = judged(x)
        features, score = judged(decoder(torch.cat([code, latent.noise(len(x), x.device)])))
        verdict = objective.generator(torch.cat([real_score, real_score]), score).mean()
        return Loss({"objective": verdict, "fidelity": config.fidelity * error(real, features[: len(x)])})

    def encoder_loss(batch: Batch) -> Loss:
        x = batch["image"]
        mean, log_variance = posterior(encoder, x)
        with torch.no_grad():
            real, _ = judged(x)
        features, _ = judged(decoder(drawn(mean, log_variance)[:, 0]))
        kl = gaussian_kl(mean, log_variance).mean()
        return Loss({"reconstruction": config.weight * error(real, features), "divergence": kl})

    def score(x: Tensor, label: Tensor | None) -> Tensor:
        return judged(x)[1]

    def reconstruct(modules: Mapping[str, Any], x: Tensor) -> Tensor:
        out: Tensor = modules["decoder"](posterior(modules["encoder"], x)[0])
        return out

    def on_round(progress: float) -> None:
        for adam, optimizer in zip(settings, optimizers, strict=True):
            adam.steer(optimizer, progress, falling(progress, config.decay, config.decay_to))

    return Game(
        modules={"discriminator": discriminator, "decoder": decoder, "encoder": encoder},
        players=[
            Player("discriminator", discriminator_loss, optimizers[0]),
            Player("generator", decoder_loss, optimizers[1]),
            Player("encoder", encoder_loss, optimizers[2]),
        ],
        product=("decoder", "encoder"),
        draw=latent,
        sample=lambda modules, batch: modules["decoder"](batch["latent"]),
        average=Average(config.average) if ever(config.average) else None,
        score=score,
        reconstruct=reconstruct,
        on_round=on_round,
    )
