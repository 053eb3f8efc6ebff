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
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sparring.average import Average
from sparring.config import UserError, resolve
from sparring.data.clusters import unlabelled
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.data.views import only_pictures, unpaired
from sparring.game import Batch, Game, Loss, Player, linear_decay
from sparring.nn.translate import PatchContrast, PatchCritic, Translator
from sparring.objectives import OBJECTIVES, Objective, check_objective
from sparring.optimizers import Adam


@dataclass(frozen=True)
class Config:
    """Numbers of the translator, its critic and the contrast."""

    rounds: int = 1600
    """Rounds; in each both networks make a step."""
    batch: int = 16
    """Pictures of each domain per round."""
    width: int = 32
    """Channels of the translator at full size."""
    blocks: int = 3
    """Residual blocks of the translator."""
    skip: bool = False
    """The translator adds to its input, which suits domains that differ in colours and not in shapes."""
    critic_width: int = 32
    """Channels of the critic's first layer."""
    critic_layers: int = 3
    """Strided convolutions of the critic: patches of 16, 34, 70 pixels for 1, 2, 3."""
    objective: str = "least-squares"
    """Any objective that looks at single scores."""
    contrast: float = 1.0
    """Weight of the contrast."""
    identity: bool = True
    """Pictures of the target domain must stay what they are, by the same contrast; else only sources are compared."""
    places: int = 256
    """Of each map that are compared."""
    features: int = 256
    """Numbers that a place is compared by."""
    generator: Adam = field(default_factory=lambda: Adam(4e-4, 0.5, 0.999))
    """Of the translator and the networks that compare."""
    discriminator: Adam = field(default_factory=lambda: Adam(4e-4, 0.5, 0.999))
    """Of the critic."""
    decay: float = 0.5
    """Share of the run after which learning rates fall to 0."""
    average: float = 0.99
    """Fraction of the averaged translator kept per round; 0 is off."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the pictures."""


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
        told = self.critic(made[: len(x)]).float()
        fooled = self.objective.generator(torch.full_like(told, torch.nan), told).mean()
        _, again = self.generator.looked(made, made=False)
        return Loss({"objective": fooled, "contrast": config.contrast * self.contrast(again, maps)})

    def critic_loss(self, batch: Batch) -> Loss:
        x, y = batch["source"], batch["image"]
        with torch.no_grad():
            made = self.generator(x).float()
        told = self.objective.discriminator(self.critic(y).float(), self.critic(made).float())
        return Loss({"objective": told.mean()})

    def score(self, pictures: Tensor, label: Tensor | None) -> Tensor:
        out: Tensor = self.critic(pictures).float().flatten(1).mean(1)
        return out


def data(config: Config, source: Source) -> Source:
    """Images beside sources, without pairs where there were some."""
    only_pictures(source, "cut")
    if not source.about.source:
        raise UserError(f"--data {source.about.name} has one domain, and cut translates from another: name --source")
    return unlabelled(unpaired(source) if source.about.paired else source)


def build(config: Config, about: About) -> Game:
    """A translator, a critic of the images, and the networks that compare places."""
    image, source = about.shape, about.source
    if image != source:
        raise UserError(f"cut compares sources {source} and images {image} by one network; use --size and --color")
    objective = resolve(config.objective, OBJECTIVES, "objective")
    check_objective(objective)
    if objective.paired:
        raise UserError(f"objective={config.objective} compares pairs, and there are none; use least-squares or hinge")
    generator = Translator(source, image, config.width, config.blocks, config.skip)
    critic = PatchCritic(image, config.critic_width, config.critic_layers)
    contrast = PatchContrast(generator.widths, config.features, config.places)
    losses = _Contrasted(config, objective, generator, critic, contrast)
    translator = config.generator.over([*generator.parameters(), *contrast.parameters()])
    judge = config.discriminator.over(critic.parameters())
    return Game(
        modules={"generator": generator, "critic": critic, "contrast": contrast},
        players=[
            Player("discriminator", losses.critic_loss, judge),
            Player("generator", losses.generator_loss, translator),
        ],
        product=("generator",),
        given=("source",),
        sample=lambda found, drawn: found["generator"](drawn["source"]).float(),
        score=losses.score,
        average=Average(config.average) if config.average else None,
        on_round=linear_decay([translator, judge], config.decay, 0.0),
    )
