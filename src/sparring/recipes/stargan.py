"""Many domains, one translator: it is told where to go. Choi et al. 2018.

    sparring train stargan --data flowers                 # a sub-folder per domain
    sparring translate runs/stargan-flowers-1 sunflower.jpg --label daisy

    discriminator     the objective on x and G(x, c), of patches  +  class |own domain of x|  +  penalty
    generator         the objective  +  class |c for G(x, c)|  +  cycle |G(G(x, c), own) - x|

Domains are the classes of the data; with --source they are two, the images and the sources, and what is made are
images. The number of networks does not grow with that of domains, as cyclegan's does with every pair of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss

from sparring.config import UserError
from sparring.data.clusters import unlabelled
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.data.views import domains, only_pictures, unpaired
from sparring.game import Batch, Game, Latent, Loss, Player
from sparring.nn.translate import DomainCritic, ToDomain
from sparring.objectives import Objective
from sparring.optimizers import Adam
from sparring.penalties import gradient_penalty
from sparring.translating import Translating, fooled, single_scores, translation


@dataclass(frozen=True)
class Config(Translating):
    """Numbers of the translator and its critic."""

    penalty: float = 0.0
    """Lambda of a gradient penalty on the critic; then it is not normalised."""
    critic_steps: int = 1
    """Steps of the critic per round."""
    class_weight: float = 1.0
    """Of the cross-entropy of the domain, in both losses."""
    cycle: float = 10.0
    """Weight of |G(G(x, c), own) - x|."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "paper": Config(
        width=64, blocks=6, critic_width=64, critic_layers=6, objective="wasserstein", penalty=10.0, critic_steps=5,
        average=0.0, augment=Augment(flip=True), generator=Adam(1e-4, 0.5, 0.999), discriminator=Adam(1e-4, 0.5, 0.999),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class _Star:
    """The losses of one translator and one critic over all domains."""

    config: Config
    objective: Objective
    generator: nn.Module
    critic: nn.Module
    count: int
    """Domains."""

    def pictures(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Pictures of all domains, and their domains: 0 the images and 1 the sources where there is no label."""
        if "label" in batch:
            return batch["image"], batch["label"]
        images, sources = batch["image"], batch["source"]
        own = torch.arange(2, device=images.device).repeat_interleave(len(images))
        return torch.cat([images, sources]), own

    def elsewhere(self, own: Tensor) -> Tensor:
        """(N,) domains to translate to: any, and as often as they occur."""
        return own[torch.randperm(len(own), device=own.device)]

    def generator_loss(self, batch: Batch) -> Loss:
        x, own = self.pictures(batch)
        target, config = self.elsewhere(own), self.config
        made = self.generator(x, target)
        told, domain = self.critic(made)
        return Loss(
            {
                "objective": fooled(self.objective, told),
                "class": config.class_weight * cross_entropy(domain.float(), target),
                "cycle": config.cycle * l1_loss(self.generator(made, own).float(), x),
            }
        )

    def critic_loss(self, batch: Batch) -> Loss:
        x, own = self.pictures(batch)
        with torch.no_grad():
            made = self.generator(x, self.elsewhere(own)).float()
        (real, domain), (fake, _) = self.critic(x), self.critic(made)
        terms = {
            "objective": self.objective.discriminator(real.float(), fake.float()).mean(),
            "class": self.config.class_weight * cross_entropy(domain.float(), own),
        }
        if self.config.penalty:
            slope = gradient_penalty(self.score, x, made).mean()
            terms["gradient penalty"] = self.config.penalty * slope
        return Loss(terms)

    def score(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.critic(pictures)[0].float().flatten(1).mean(1)
        return out


def data(config: Config, source: Source) -> Source:
    """Pictures of several domains."""
    only_pictures(source, "stargan")
    if source.about.source:
        return unlabelled(unpaired(source) if source.about.paired else source)
    if len(source.about.classes) < 2:
        raise UserError(
            f"--data {source.about.name} has one domain, and stargan translates between several: put the pictures of "
            "each into a sub-folder of its own, or name another set with --source"
        )
    return domains(source)


def build(config: Config, about: About) -> Game:
    """A translator that is told the domain, and a critic that tells it."""
    if about.shape != about.source:
        raise UserError(f"stargan needs domains alike: sources {about.source}, images {about.shape}; --size, --color")
    objective = single_scores(config.objective)
    count = len(about.classes) or 2
    generator = ToDomain(about.shape, count, config.width, config.blocks)
    critic = DomainCritic(about.shape, count, config.critic_width, config.critic_layers, config.penalty == 0)
    star = _Star(config, objective, generator, critic, count)
    translator, judge = config.generator.over(generator.parameters()), config.discriminator.over(critic.parameters())
    latent = Latent(0, about.prior)
    players = [
        Player("discriminator", star.critic_loss, judge, config.critic_steps),
        Player("generator", star.generator_loss, translator),
    ]
    return translation(
        config,
        {"generator": generator, "critic": critic},
        players,
        [translator, judge],
        score=star.score,
        sample=lambda found, drawn: found["generator"](drawn["source"], drawn.get("label")).float(),
        draw=(lambda n, generator: {"label": latent(n, generator)["label"]}) if about.classes else None,
    )
