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

import torch
from torch import Tensor, nn

from sparring.average import Average
from sparring.config import UserError, Withheld, resolve
from sparring.data.clusters import clustered
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Latent, Loss, Player
from sparring.metrics.likelihood import gaussian_kl
from sparring.nn.autoencoder import ConvEncoder, drawn, posterior
from sparring.nn.image import ConvDiscriminator, ConvGenerator
from sparring.nn.residual import picture_shape
from sparring.objectives import OBJECTIVES, Objective
from sparring.optimizers import Adam, steered
from sparring.schedules import Number, ever


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


@dataclass(frozen=True)
class _Turns:
    """The losses of algorithm 1, over the networks that they read."""

    encoder: nn.Module
    decoder: nn.Module
    discriminator: ConvDiscriminator
    latent: Latent
    objective: Objective
    config: Config

    def judged(self, x: Tensor) -> tuple[Tensor, Tensor]:
        layers, cut = self.discriminator.layers, 2 * self.config.level
        features = layers[:cut](x)
        score = self.discriminator.head(layers[cut:](features).flatten(1), None)
        return features.float().flatten(1), score.float()

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:  # of the batch, then as many of the prior
        return torch.cat([drawn(*posterior(self.encoder, x))[:, 0], self.latent.noise(len(x), x.device)])

    def discriminator_loss(self, batch: Batch) -> Loss:
        x = batch["image"]
        with torch.no_grad():
            fake = self.decoder(self.codes(x))
        real, rebuilt, made = self.judged(torch.cat([x, fake]))[1].chunk(3)
        both = self.objective.discriminator(real, rebuilt).mean() + self.objective.discriminator(real, made).mean()
        watch = {"real score": real, "fake score": made, "rebuilt score": rebuilt, "real sign": real.sign()}
        return Loss({"objective": both / 2}, {name: value.detach().mean() for name, value in watch.items()})

    def decoder_loss(self, batch: Batch) -> Loss:
        x = batch["image"]
        with torch.no_grad():
            real, score = self.judged(x)
        features, scores = self.judged(self.decoder(self.codes(x)))
        error = 0.5 * (features[: len(x)] - real).square().sum(1).mean()
        verdict = self.objective.generator(torch.cat([score, score]), scores).mean()
        return Loss({"objective": verdict, "fidelity": self.config.fidelity * error})

    def encoder_loss(self, batch: Batch) -> Loss:
        x = batch["image"]
        mean, log_variance = posterior(self.encoder, x)
        with torch.no_grad():
            real, _ = self.judged(x)
        features, _ = self.judged(self.decoder(drawn(mean, log_variance)[:, 0]))
        error = 0.5 * (features - real).square().sum(1).mean()
        kl = gaussian_kl(mean, log_variance).mean()
        return Loss({"reconstruction": self.config.weight * error, "divergence": kl})


def build(config: Config, about: About) -> Game:
    """Encoder, decoder and discriminator, in turns."""
    shape, objective = picture_shape(about), resolve(config.objective, OBJECTIVES, "objective")
    encoder = ConvEncoder(shape, config.width, 2 * config.latent)
    decoder = ConvGenerator(config.latent, shape, config.width)
    discriminator = ConvDiscriminator(shape, config.discriminator_width)
    if not 1 <= config.level <= len(discriminator.layers) // 2:
        raise UserError(f"level={config.level} is not from 1 to {len(discriminator.layers) // 2}, the convolutions")
    if not isinstance(objective, Withheld) and objective.paired:
        raise UserError(f"objective={config.objective} is of pairs, and reconstructions have no partner; use hinge")
    turns = _Turns(encoder, decoder, discriminator, Latent(config.latent), objective, config)
    players = {
        "discriminator": (config.discriminator, discriminator, turns.discriminator_loss),
        "generator": (config.generator, decoder, turns.decoder_loss),
        "encoder": (config.encoder, encoder, turns.encoder_loss),
    }
    made = {name: adam.over(module.parameters()) for name, (adam, module, _) in players.items()}
    rates = steered(((adam, made[name]) for name, (adam, _, _) in players.items()), config.decay, config.decay_to)
    return Game(
        modules={"discriminator": discriminator, "decoder": decoder, "encoder": encoder},
        players=[Player(name, loss, made[name]) for name, (_, _, loss) in players.items()],
        product=("decoder", "encoder"),
        draw=turns.latent,
        sample=lambda modules, batch: modules["decoder"](batch["latent"]),
        average=Average(config.average) if ever(config.average) else None,
        score=lambda x, label: turns.judged(x)[1],
        reconstruct=lambda modules, x: modules["decoder"](posterior(modules["encoder"], x)[0]),
        on_round=rates,
    )
