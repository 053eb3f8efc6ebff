"""Autoencoder, and a sampler fitted to its codes. Hinton and Salakhutdinov 2006; Ghosh et al. 2020 (RAE).

    sparring train ae --data mnist
    sparring train ae --data mnist --latent 2 --networks dense       a map of the data in the plane

Half the squared error, summed over pixels, plus a small pull of the codes towards 0 (RAE-L2, equation 11). An
autoencoder is no generative model: nothing says where codes lie. Here a Gaussian of full covariance follows them as
they are learnt, and samples are decoded from it (Ghosh et al. fit it afterwards). Where codes are not Gaussian, samples
fall between the data: expect good reconstructions and samples that are worse than those of a VAE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from sparring.average import Average
from sparring.data.clusters import clustered
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Latent, Loss, Player
from sparring.nn.autoencoder import Activation, CodeGaussian, pair
from sparring.nn.likelihoods import Gaussian
from sparring.optimizers import Adam, steered
from sparring.schedules import Number, ever


@dataclass(frozen=True)
class Config:
    """Numbers of the autoencoder."""

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
    hidden: tuple[int, ...] = (400, 200)
    """Dense: widths of the encoder's hidden layers; the decoder has them in reverse."""
    activation: Activation = "silu"
    """Dense: between the layers."""
    pull: float = 0.01
    """Weight of half the squared length of the code."""
    optimizer: Adam = field(default_factory=lambda: Adam(2e-3, 0.9, 0.99))
    """Of both networks."""
    decay: float = 0.5
    """Progress from which the learning rate falls, on a line."""
    decay_to: float = 0.02
    """What is left of it at the end."""
    average: Number = 0.998
    """Fraction of the averaged networks kept per round; 0 averages nothing."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the pictures."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "dense": Config(networks="dense"),
    "points": Config(networks="dense", latent=1, hidden=(128, 128)),
}


def data(config: Config, source: Source) -> Source:
    """Unlabelled."""
    return clustered(source, 0)


def build(config: Config, about: About) -> Game:
    """One player that lowers the error with both networks; a Gaussian that follows the codes."""
    likelihood, sizes = Gaussian(1.0, about.key == "image"), (config.latent, config.latent)
    encoder, decoder = pair(config.networks, about, sizes, config.width, config.hidden, config.activation, likelihood)
    codes = CodeGaussian(config.latent)
    optimizer = config.optimizer.over(p for m in (encoder, decoder) for p in m.parameters() if p.requires_grad)

    def loss(batch: Batch) -> Loss:
        x = batch[about.key]
        decoder.meet(x)
        code = encoder(x).float()
        codes.meet(code)
        error = 0.5 * (decoder(code) - x).square().flatten(1).sum(1).mean()
        length = code.square().sum(1).mean()
        return Loss({"reconstruction": error, "pull": 0.5 * config.pull * length}, {"code length": length.detach()})

    def reconstruct(modules: Mapping[str, Any], x: Tensor) -> Tensor:
        out: Tensor = modules["decoder"].mean(modules["encoder"](x).float())
        return out

    return Game(
        modules={"encoder": encoder, "decoder": decoder, "codes": codes},
        players=[Player("autoencoder", loss, optimizer)],
        product=("encoder", "decoder", "codes"),
        draw=Latent(config.latent),
        sample=lambda modules, batch: modules["decoder"].mean(modules["codes"](batch["latent"])),
        average=Average(config.average) if ever(config.average) else None,
        reconstruct=reconstruct,
        on_round=steered([(config.optimizer, optimizer)], config.decay, config.decay_to),
    )
