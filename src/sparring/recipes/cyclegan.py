"""Translation without pairs: two translators that undo each other, and a critic of each domain. Zhu et al. 2017.

    sparring train cyclegan --data daisies --source sunflowers
    sparring translate runs/cyclegan-daisies-1 sunflowers/*.jpg --out daisies

    critic losses     E[(D(real) - 1)^2 + D(fake)^2] / 2, of images and of sources
    translators       E[(D(fake) - 1)^2] / 2  +  cycle |F(G(x)) - x|  +  identity |G(y) - y|

The same design with other numbers is DiscoGAN (Kim et al. 2017: cross-entropy, squared reconstruction) and DualGAN (Yi
et al. 2017: Wasserstein with a bounded critic). Critics see half of their fakes from a pool of former ones, which is a
buffer and so is saved. That x comes back says nothing about what G(x) is: with permuted classes it comes back as well.
Judge the one way, by a classifier of the other domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from sparring.config import UserError
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Loss, Player
from sparring.nn.translate import PatchCritic, Pool, Translator
from sparring.objectives import Objective
from sparring.optimizers import Adam
from sparring.penalties import gradient_penalty
from sparring.translating import Translating, fooled, mean_of, single_scores, translation, without_pairs


@dataclass(frozen=True)
class Config(Translating):
    """Numbers of the two translators and their critics."""

    skip: bool = False
    """A translator adds to its input, which suits domains that differ in colours and not in shapes."""
    resize: bool = False
    """Translators go up by nearest neighbours and a convolution: no grid over photographs, and slower."""
    penalty: float = 0.0
    """Lambda of a gradient penalty on the critics; then they are not normalised."""
    cycle: float = 10.0
    """Weight of |F(G(x)) - x| and |G(F(y)) - y|."""
    distance: Literal["absolute", "squared"] = "absolute"
    """Of the cycle."""
    identity: float = 0.0
    """Weight of |G(y) - y|: keeps colours; only where both domains have as many channels."""
    pool: int = 50
    """Former fakes of each kind that are kept; 0 for none."""


_PAPER = Config(
    batch=1, width=64, blocks=9, critic_width=64, cycle=5.0, identity=2.5, average=0.0,
    generator=Adam(2e-4, 0.5, 0.999), discriminator=Adam(2e-4, 0.5, 0.999), augment=Augment(flip=True),
)  # fmt: skip
# the paper's least squares have no factor of 1/2, and ours do: half its weights of 10 and 5 are the same loss
PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "paper": _PAPER,
    "discogan": Config(objective="non-saturating", distance="squared", identity=0.0, pool=0),
    "dualgan": Config(objective="wasserstein", penalty=10.0, pool=0),
}


@dataclass(frozen=True)
class _Cycle:
    """The losses over the six modules. x are sources, y images."""

    config: Config
    objective: Objective
    to_image: nn.Module
    to_source: nn.Module
    of_images: nn.Module
    of_sources: nn.Module
    images: Pool
    sources: Pool

    def prepare(self, batch: Batch) -> dict[str, Tensor]:
        """What is made of each domain, for translators and critics; in the same pass, what is there already."""
        x, y = batch["source"], batch["image"]
        found: dict[str, Tensor] = {}
        for name, network, given, there in (("image", self.to_image, x, y), ("source", self.to_source, y, x)):
            if self.config.identity:
                found[f"made {name}"], found[f"kept {name}"] = network(torch.cat([given, there])).chunk(2)
            else:
                found[f"made {name}"] = network(given)
        return {**batch, **found}

    def translators(self, batch: Batch) -> Loss:
        batch = batch if "made image" in batch else self.prepare(batch)  # a further turn of the round
        x, y, config = batch["source"], batch["image"], self.config
        made_y, made_x = batch["made image"], batch["made source"]
        norm = l1_loss if config.distance == "absolute" else mse_loss
        terms = {
            "objective": fooled(self.objective, self.of_images(made_y))
            + fooled(self.objective, self.of_sources(made_x)),
            "cycle": config.cycle * (norm(self.to_source(made_y), x) + norm(self.to_image(made_x), y)),
        }
        if config.identity:
            kept = l1_loss(batch["kept image"], y) + l1_loss(batch["kept source"], x)
            terms["identity"] = config.identity * kept
        return Loss(terms)

    def critics(self, batch: Batch) -> Loss:
        batch = batch if "made image" in batch else self.prepare(batch)
        x, y = batch["source"], batch["image"]
        made_y, made_x = batch["made image"].detach().float(), batch["made source"].detach().float()
        terms = {"objective": torch.zeros((), device=x.device)}
        for critic, real, made in (
            (self.of_images, y, self.images.mixed(made_y)), (self.of_sources, x, self.sources.mixed(made_x))
        ):  # fmt: skip
            scores = critic(torch.cat([real, made])).float().chunk(2)
            terms["objective"] = terms["objective"] + self.objective.discriminator(*scores).mean()
            if self.config.penalty:
                slope = gradient_penalty(mean_of(critic), real, made).mean()
                terms["gradient penalty"] = terms.get("gradient penalty", 0.0) + self.config.penalty * slope
        return Loss(terms)

    def keep(self, loss: Loss) -> None:
        self.images.keep()
        self.sources.keep()


def data(config: Config, source: Source) -> Source:
    """Images beside sources, without pairs where there were some."""
    return without_pairs(source, "cyclegan")


def build(config: Config, about: About) -> Game:
    """Translators both ways, critics of both, pools of both."""
    image, source = about.shape, about.source
    if config.identity and image[0] != source[0]:
        raise UserError(f"identity={config.identity}: {source[0]} and {image[0]} channels differ; use --identity 0")
    if image[1:] != source[1:]:
        raise UserError(
            f"sources of {source[1]}x{source[2]} and images of {image[1]}x{image[2]} are not of one size; use "
            "--size for both, or a --source such as small:2"
        )
    objective = single_scores(config.objective)
    plain, pools = config.penalty == 0, (Pool(image, config.pool), Pool(source, config.pool))
    modules: dict[str, nn.Module] = {
        "to image": Translator(source, image, config.width, config.blocks, config.skip, config.resize),
        "to source": Translator(image, source, config.width, config.blocks, config.skip, config.resize),
        "critic of images": PatchCritic(image, config.critic_width, config.critic_layers, plain),
        "critic of sources": PatchCritic(source, config.critic_width, config.critic_layers, plain),
    }
    if config.pool:
        modules |= {"pool of images": pools[0], "pool of sources": pools[1]}
    to_image, to_source, of_images, of_sources = list(modules.values())[:4]
    both = _Cycle(config, objective, to_image, to_source, of_images, of_sources, pools[0], pools[1])
    translators = config.generator.over([*both.to_image.parameters(), *both.to_source.parameters()])
    critics = config.discriminator.over([*both.of_images.parameters(), *both.of_sources.parameters()])
    players = [
        Player("generator", both.translators, translators),
        Player("discriminator", both.critics, critics, after=both.keep),
    ]
    game = translation(config, modules, players, [translators, critics], ("to image", "to source"), mean_of(of_images))
    return replace(game, prepare=both.prepare)
