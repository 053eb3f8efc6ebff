"""Variational autoencoder. Kingma and Welling 2014; Higgins et al. 2017 (beta); Burda et al. 2016 (IWAE).

    sparring train vae --data mnist                                   convolutional
    sparring train vae --data mnist --preset mnist                    784-200-200-50, tanh: what papers quote nats of
    sparring train vae --data mnist --beta from=0,to=1,over=.3        the divergence comes in slowly
    sparring train vae --data mnist --preset mnist --importance 5     trained on the importance-weighted bound
    sparring train vae --data ring --preset points

The loss is minus the evidence lower bound in nats per sample: -log p(x | z), summed over pixels, plus beta times
KL(q(z | x) | N(0, 1)) in closed form. `likelihood` says what x is: `bernoulli`, bits drawn anew from grey values
each time (dynamic binarisation); `logistic`, the 256 values; `gaussian`, a density. With `importance` k > 1 the loss
is minus the bound of k weights. Samples are drawn from the prior; shown is the likelihood's mean, not a draw from it.
`sparring evaluate` gives the bound and the importance-weighted NLL of held-out samples beside the other scores.

Expected, `mnist`: test bound at least -104 nats after 10 epochs, NLL at most 92 after 4 CPU-minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from sparring.average import Average
from sparring.config import UserError
from sparring.data.clusters import clustered
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.duel import Dial
from sparring.game import Batch, Bound, Game, Latent, Loss, Player
from sparring.metrics.likelihood import gaussian_kl, importance_bound, normal_log_density
from sparring.nn.autoencoder import Activation, Decoder, drawn, pair, posterior
from sparring.nn.likelihoods import Name, likelihood_of
from sparring.optimizers import Adam
from sparring.schedules import Number, at, ever, falling


@dataclass(frozen=True)
class Config:
    """Numbers of the VAE."""

    rounds: int = 1500
    """Updates."""
    batch: int = 64
    """Samples per update."""
    latent: int = 16
    """Size of the code."""
    networks: Literal["conv", "dense"] = "conv"
    """Convolutional, for pictures; or fully connected, for points too."""
    width: int = 16
    """Convolutional: channels at full size, doubling towards the small maps."""
    hidden: tuple[int, ...] = (200, 200)
    """Dense: widths of the encoder's hidden layers; the decoder has them in reverse."""
    activation: Activation = "tanh"
    """Dense: between the layers."""
    likelihood: Name = "bernoulli"
    """What is modelled: bits drawn from grey values, the 256 values, or a density."""
    scale: float = 0.0
    """Of the logistic and the Gaussian, in the data's unit; 0 learns it."""
    beta: Number = 1.0
    """Weight of the divergence from the prior; 1 is the bound itself."""
    importance: int = 1
    """Weights in the bound that is trained on; more than 1 is IWAE, without beta."""
    optimizer: Adam = field(default_factory=lambda: Adam(2e-3, 0.9, 0.999, 1e-4))
    """Of both networks."""
    decay: float = 0.5
    """Progress from which the learning rate falls, on a line."""
    decay_to: float = 0.1
    """What is left of it at the end."""
    average: Number = 0.998
    """Fraction of the averaged networks kept per round; 0 averages nothing."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the pictures."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "mnist": Config(
        rounds=6000, batch=100, latent=50, networks="dense", average=0.0, optimizer=Adam(1e-3, 0.9, 0.999, 1e-4)
    ),
    "points": Config(latent=2, networks="dense", hidden=(128, 128), activation="relu", likelihood="gaussian"),
}


def data(config: Config, source: Source) -> Source:
    """Unlabelled."""
    return clustered(source, 0)


def log_weights(encoder: nn.Module, decoder: Decoder, observed: Tensor, k: int) -> Tensor:
    """(N, k): log p(x | z) + log p(z) - log q(z | x)."""
    mean, log_variance = posterior(encoder, observed)
    z = drawn(mean, log_variance, k)
    ratio = normal_log_density(z) - normal_log_density(z, mean[:, None], log_variance[:, None])
    return decoder.log_prob(z, observed) + ratio


def losses(encoder: nn.Module, decoder: Decoder, beta: Dial, k: int) -> Callable[[Batch], Loss]:
    """Minus the bound of a batch of `observed` samples."""

    def loss(batch: Batch) -> Loss:
        x = batch["observed"]
        if k > 1:
            bound = importance_bound(log_weights(encoder, decoder, x, k)).mean()
            return Loss({"bound": -bound})
        mean, log_variance = posterior(encoder, x)
        fit = decoder.log_prob(drawn(mean, log_variance, 1), x).mean()
        kl = gaussian_kl(mean, log_variance).mean()
        watch = {"elbo": (fit - kl).detach(), "kl": kl.detach()}
        return Loss({"reconstruction": -fit, "divergence": beta.value * kl}, watch)

    return loss


def build(config: Config, about: About) -> Game:
    """One player that raises the bound with both networks."""
    if config.importance > 1 and config.beta != 1:
        raise UserError(f"importance={config.importance} has no divergence for beta={config.beta} to weigh; use beta=1")
    if about.key != "image" and config.likelihood != "gaussian":
        raise UserError(
            f"likelihood={config.likelihood} is of pixels, and {about.name} has {about.what}; use --preset points"
        )
    likelihood = likelihood_of(config.likelihood, config.scale, about.key == "image")
    sizes = (2 * config.latent, config.latent)
    encoder, decoder = pair(config.networks, about, sizes, config.width, config.hidden, config.activation, likelihood)
    optimizer = config.optimizer.over(p for m in (encoder, decoder) for p in m.parameters() if p.requires_grad)
    beta = Dial(config.beta)

    def prepare(batch: Batch) -> dict[str, Tensor]:
        observed = likelihood.observe(batch[about.key])
        decoder.meet(observed)
        return {**batch, "observed": observed}

    def on_round(progress: float) -> None:
        config.optimizer.steer(optimizer, progress, falling(progress, config.decay, config.decay_to))
        beta.value = at(beta.number, progress)

    def weights(modules: Mapping[str, Any], x: Tensor, k: int) -> Tensor:
        return log_weights(modules["encoder"], modules["decoder"], likelihood.observe(x), k)

    def reconstruct(modules: Mapping[str, Any], x: Tensor) -> Tensor:
        mean, _ = posterior(modules["encoder"], likelihood.observe(x))
        out: Tensor = modules["decoder"].mean(mean)
        return out

    return Game(
        modules={"encoder": encoder, "decoder": decoder},
        players=[Player("autoencoder", losses(encoder, decoder, beta, config.importance), optimizer)],
        product=("encoder", "decoder"),
        draw=Latent(config.latent),
        sample=lambda modules, batch: modules["decoder"].mean(batch["latent"]),
        average=Average(config.average) if ever(config.average) else None,
        bound=Bound(likelihood.name, weights),
        reconstruct=reconstruct,
        prepare=prepare,
        on_round=on_round,
    )
