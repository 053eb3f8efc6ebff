"""Translation with pairs: a U-Net, a critic of patches that sees both pictures, and the distance. Isola et al. 2017.

    sparring train pix2pix --data pictures --source edges
    sparring translate runs/pix2pix-pictures-1 drawings/*.png --out made

    discriminator     the objective on D(source, image) and D(source, G(source)), halved
    generator         the objective  +  distance |image - G(source)|

The distance alone gives the mean of all that the source may mean, which is blurred; the critic wants what could be one
of them. Dropout is the only noise, also when samples are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from sparring.config import UserError
from sparring.data.clusters import unlabelled
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Loss, Player
from sparring.nn.translate import NORMS, Kept, PatchCritic, Translator, UNet
from sparring.objectives import Objective
from sparring.optimizers import Adam
from sparring.translating import Translating, any_objective, translation


@dataclass(frozen=True)
class Config(Translating):
    """Numbers of the translator and its critic."""

    rounds: int = 1500
    """Rounds, each a step of both."""
    network: Literal["unet", "residual"] = "unet"
    """Of the generator. Both pictures have one size."""
    blocks: int = 6
    """Of the residual generator."""
    fine: bool = False
    """The U-Net has maps of full size too: for things that are a few pixels large."""
    keep: bool = False
    """The generator also says how much of each pixel is new, and keeps the rest of the source: for few pairs of
    pictures that are much alike."""
    norm: Literal["instance", "batch", "none"] = "instance"
    """Of the U-Net and the critic: of a picture by itself; or over the batch, for small things on plain ground, whose
    share of a picture must be seen."""
    dropout: float = 0.5
    """In the innermost layers up of the U-Net."""
    objective: str = "non-saturating"
    """Any objective; least-squares in later work."""
    adversarial: float = 1.0
    """Weight of the objective in the generator's loss; 0 trains on the distance alone."""
    begin: float = 0.0
    """Share of the run in which the generator learns by the distance alone; then the critic joins."""
    distance: float = 100.0
    """Weight of the mean absolute difference, in units of the data's range of [-1, 1]."""
    squares: bool = False
    """Squared differences instead: small things of many colours on plain ground have that ground as their median."""
    generator: Adam = field(default_factory=lambda: Adam(2e-4, 0.5, 0.999))
    """Of the generator."""
    discriminator: Adam = field(default_factory=lambda: Adam(2e-4, 0.5, 0.999))
    """Of the critic."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "paper": Config(batch=1, width=64, critic_width=64, average=0.0, augment=Augment(flip=True)),
    "distance": Config(adversarial=0.0),
}


@dataclass(frozen=True)
class _Pair:
    """The losses of a translator and a critic of pairs."""

    config: Config
    objective: Objective
    generator: nn.Module
    critic: nn.Module

    def scores(self, source: Tensor, image: Tensor) -> Tensor:
        out: Tensor = self.critic(torch.cat([source, image], 1)).float()
        return out

    def critic_loss(self, batch: Batch) -> Loss:
        source = batch["source"]
        with torch.no_grad():
            made = self.generator(source).float()
        told = self.objective.discriminator(self.scores(source, batch["image"]), self.scores(source, made))
        return Loss({"objective": 0.5 * told.mean()})

    def distance(self, made: Tensor, image: Tensor) -> Tensor:
        return self.config.distance * (mse_loss if self.config.squares else l1_loss)(made, image)

    def distance_loss(self, batch: Batch) -> Loss:
        return Loss({"distance": self.distance(self.generator(batch["source"]).float(), batch["image"])})

    def generator_loss(self, batch: Batch) -> Loss:
        source, image = batch["source"], batch["image"]
        made = self.generator(source).float()
        fake = self.scores(source, made)
        real = self.scores(source, image) if self.objective.paired else torch.full_like(fake, torch.nan)
        told = self.config.adversarial * self.objective.generator(real, fake).mean()
        return Loss({"distance": self.distance(made, image), "objective": told})


def data(config: Config, source: Source) -> Source:
    """Pairs are required."""
    if not source.about.source or not source.about.paired:
        raise UserError(
            f"--data {source.about.name} has no pairs, and pix2pix needs them: --source edges (or another view), "
            "--source left for pictures side by side, --source FOLDER --paired; else the recipe cyclegan"
        )
    return unlabelled(source)


def _translator(config: Config, source: Sequence[int], image: Sequence[int]) -> nn.Module:
    if config.keep and source[0] != image[0]:
        raise UserError(f"keep: sources of {source[0]} channels are no part of images of {image[0]}; leave it out")
    if config.fine and config.network != "unet":
        raise UserError("fine: only the U-Net leaves out maps of full size; use --network unet, or leave it out")
    made = (image[0] + config.keep, *image[1:])
    if config.network == "unet":
        body: UNet | Translator = UNet(source, made, config.width, config.dropout, NORMS[config.norm], config.fine)
    else:
        body = Translator(source, made, config.width, config.blocks)
    return Kept(body) if config.keep else body


def build(config: Config, about: About) -> Game:
    """A translator, and a critic of source and image together."""
    image, source = about.shape, about.source
    if image[1:] != source[1:]:
        raise UserError(
            f"sources of {source[1]}x{source[2]} and images of {image[1]}x{image[2]} are not of one size; use "
            "--size for both, or the recipe superres"
        )
    if not 0 <= config.begin < 1 or (config.begin and not config.adversarial):
        raise UserError(f"begin={config.begin}: the critic joins at a share of the run in [0, 1), if there is a critic")
    objective = any_objective(config.objective)
    generator = _translator(config, source, image)
    both, normal = (source[0] + image[0], *image[1:]), NORMS[config.norm]
    critic = PatchCritic(both, config.critic_width, config.critic_layers, normal=normal)
    pair = _Pair(config, objective, generator, critic)
    optimizers = config.generator.over(generator.parameters()), config.discriminator.over(critic.parameters())
    if not config.adversarial:
        alone = [Player("generator", pair.distance_loss, optimizers[0])]
        return translation(config, {"generator": generator}, alone, optimizers[:1])
    begin = min(round(config.begin * config.rounds), config.rounds - 1)  # it joins, however few rounds there are
    before = [Player("distance", pair.distance_loss, optimizers[0], stop=begin)] if begin else []
    duel = [
        Player("discriminator", pair.critic_loss, optimizers[1], start=begin),
        Player("generator", pair.generator_loss, optimizers[0], start=begin),
    ]
    return translation(config, {"generator": generator, "critic": critic}, [*before, *duel], optimizers)
