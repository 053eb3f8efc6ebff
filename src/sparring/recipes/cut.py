"""Translation without pairs, one way: what is at a place must stay recognisable there. Park et al. 2020 (CUT).

    sparring train cut --data daisies --source sunflowers
    sparring translate runs/cut-daisies-1 sunflowers/*.jpg --out daisies

    discriminator     the objective on image and G(source), of patches
    generator         the objective  +  contrast  *  (contrast of G(x) with x  +  contrast of G(y) with y) / 2

No second translator and no way back: among all places of the source, the features of a place of G(x), taken by the
first half of G itself, must be nearest to those of the same place. Half as many networks as cyclegan, and cheaper.

One network sees both pictures, so that light stays light: where domains differ by inversion the contrast works against
the adversary, and digits become what is between them (`sparring prove unpaired` has the figures). Use cyclegan there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from sparring.config import UserError
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Loss, Player
from sparring.nn.translate import PatchContrast, PatchCritic, Translator
from sparring.objectives import Objective
from sparring.optimizers import Adam
from sparring.translating import Translating, fooled, mean_of, single_scores, translation, without_pairs


@dataclass(frozen=True)
class Config(Translating):
    """Numbers of the translator, its critic and the contrast."""

    skip: bool = False
    """The translator adds to its input, which suits domains that differ in colours and not in shapes."""
    contrast: float = 1.0
    """Weight of the contrast."""
    identity: bool = True
    """Pictures of the target domain must stay what they are, by the same contrast; else only sources are compared."""
    places: int = 256
    """Of each map that are compared."""
    features: int = 256
    """Numbers that a place is compared by."""


_PAPER = Config(
    batch=1, width=64, blocks=9, critic_width=64, contrast=0.5, average=0.0,
    generator=Adam(2e-4, 0.5, 0.999), discriminator=Adam(2e-4, 0.5, 0.999), augment=Augment(flip=True),
)  # fmt: skip
# the paper's least squares have no factor of 1/2, and ours do: half its weights of 1 and 10 are the same loss
PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "paper": _PAPER,
    "fast": Config(contrast=5.0, identity=False),
}


@dataclass(frozen=True)
class _Contrasted:
    """The losses. x are sources, y images."""

    config: Config
    objective: Objective
    generator: Translator
    critic: nn.Module
    contrast: PatchContrast

    def generator_loss(self, batch: Batch) -> Loss:
        x, y, config = batch["source"], batch["image"], self.config
        made, maps = self.generator.looked(torch.cat([x, y]) if config.identity else x)
        _, again = self.generator.looked(made, made=False)
        told = fooled(self.objective, self.critic(made[: len(x)]))
        return Loss({"objective": told, "contrast": config.contrast * self.contrast(again, maps)})

    def critic_loss(self, batch: Batch) -> Loss:
        x, y = batch["source"], batch["image"]
        with torch.no_grad():
            made = self.generator(x).float()
        told = self.objective.discriminator(self.critic(y).float(), self.critic(made).float())
        return Loss({"objective": told.mean()})


def data(config: Config, source: Source) -> Source:
    """Images beside sources, without pairs where there were some."""
    return without_pairs(source, "cut")


def build(config: Config, about: About) -> Game:
    """A translator, a critic of the images, and the networks that compare places."""
    image, source = about.shape, about.source
    if image != source:
        raise UserError(f"cut compares sources {source} and images {image} by one network; use --size and --color")
    objective = single_scores(config.objective)
    generator = Translator(source, image, config.width, config.blocks, config.skip)
    critic = PatchCritic(image, config.critic_width, config.critic_layers)
    contrast = PatchContrast(generator.widths, config.features, config.places)
    losses = _Contrasted(config, objective, generator, critic, contrast)
    translator = config.generator.over([*generator.parameters(), *contrast.parameters()])
    judge = config.discriminator.over(critic.parameters())
    modules = {"generator": generator, "critic": critic, "contrast": contrast}
    players = [
        Player("discriminator", losses.critic_loss, judge),
        Player("generator", losses.generator_loss, translator),
    ]
    return translation(config, modules, players, [translator, judge], score=mean_of(critic))
