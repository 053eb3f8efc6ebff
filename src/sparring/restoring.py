"""What recipes that restore pictures share: their numbers, and the game of a network and a critic of patches."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.average import Average
from sparring.config import UserError, Withheld, resolve
from sparring.data.loader import Augment
from sparring.data.source import About
from sparring.game import Batch, Game, Loss, Player
from sparring.nn.translate import PatchCritic
from sparring.objectives import OBJECTIVES, Objective, check_objective
from sparring.optimizers import Adam, steered


@dataclass(frozen=True)
class Restoring:
    """Numbers of a network that restores, and of its critic; a recipe's Config adds those of its network."""

    rounds: int = 1500
    """Rounds, each a step of both."""
    batch: int = 32
    """Pictures per round."""
    critic_width: int = 16
    """Channels of the critic's first layer."""
    critic_layers: int = 2
    """Strided convolutions of the critic: patches of 16, 34, 70 pixels for 1, 2, 3."""
    objective: str = "relativistic"
    """Any objective: see sparring train dcgan --help."""
    adversarial: float = 0.005
    """Weight of the objective in the network's loss; 0 trains without a critic."""
    critic_after: float = 0.5
    """Share of the run that the network learns by the distance alone, before there is a critic."""
    distance: float = 1.0
    """Weight of the mean absolute difference, in units of the data's range of [-1, 1]."""
    features: float = 0.0
    """Weight of the mean absolute difference of what the critic's layers make of both pictures."""
    generator: Adam = field(default_factory=lambda: Adam(1e-3, 0.9, 0.99))
    """Of the network."""
    discriminator: Adam = field(default_factory=lambda: Adam(1e-3, 0.5, 0.99))
    """Of the critic."""
    decay: float = 0.5
    """Share of the run after which learning rates fall to 0."""
    average: float = 0.99
    """Fraction of the averaged network kept per round; 0 is off."""
    augment: Augment = field(default_factory=Augment)
    """Changes of both pictures alike."""


class _Clock:
    """Whether the critic plays yet; a function of progress, so nothing of it needs to be saved."""

    def __init__(self, config: Restoring) -> None:
        self.rounds, self.start, self.playing = config.rounds, round(config.critic_after * config.rounds), False

    def at(self, progress: float) -> None:
        self.playing = round(progress * self.rounds) >= self.start


@dataclass(frozen=True)
class _Pair:
    """The losses of a network and a critic of what it makes beside what it was made from."""

    config: Restoring
    objective: Objective
    network: nn.Module
    critic: PatchCritic
    clock: _Clock

    def prepare(self, batch: Batch) -> dict[str, Tensor]:
        return {**batch, "made": self.network(batch["source"]).float()}

    def maps(self, source: Tensor, image: Tensor) -> list[Tensor]:
        if source.shape[2:] != image.shape[2:]:
            source = F.interpolate(source, image.shape[2:], mode="nearest")
        return [layer.float() for layer in self.critic.maps(torch.cat([source, image], 1))]

    def critic_loss(self, batch: Batch) -> Loss:
        real, fake = (self.maps(batch["source"], x)[-1] for x in (batch["image"], batch["made"].detach()))
        return Loss({"objective": self.objective.discriminator(real, fake).mean()})

    def network_loss(self, batch: Batch) -> Loss:
        source, image, made = batch["source"], batch["image"], batch["made"]
        config, terms = self.config, {"distance": self.config.distance * F.l1_loss(made, image)}
        if config.adversarial and self.clock.playing:
            fake, paired = self.maps(source, made), self.objective.paired
            with torch.no_grad():
                real = self.maps(source, image) if paired or config.features else []
            scores = real[-1] if paired else torch.full_like(fake[-1], torch.nan)
            terms["objective"] = config.adversarial * self.objective.generator(scores, fake[-1]).mean()
            if config.features:
                away = [F.l1_loss(f, r) for f, r in zip(fake[:-1], real[:-1], strict=True)]
                terms["features"] = config.features * torch.stack(away).mean()
        return Loss(terms)


def restoring(config: Restoring, about: About, network: nn.Module) -> Game:
    """The game of a network from `source` to `image`. `UserError` for an objective that cannot be trained with."""
    objective = resolve(config.objective, OBJECTIVES, "objective")
    if not isinstance(objective, Withheld):
        check_objective(objective)
    if config.features and not config.adversarial:
        raise UserError(f"features={config.features} are those of a critic, which adversarial=0 trains without")
    critic = PatchCritic(
        (about.source[0] + about.shape[0], *about.shape[1:]), config.critic_width, config.critic_layers, False, True
    )
    clock = _Clock(config)
    pair = _Pair(config, objective, network, critic, clock)
    optimizers = config.generator.over(network.parameters()), config.discriminator.over(critic.parameters())
    modules: dict[str, nn.Module] = {"generator": network}
    players = [Player("generator", pair.network_loss, optimizers[0])]
    if config.adversarial:
        modules["critic"] = critic
        players.insert(0, Player("discriminator", pair.critic_loss, optimizers[1], start=clock.start))
    steer = steered(zip((config.generator, config.discriminator), optimizers, strict=True), config.decay, 0.0)

    def on_round(progress: float) -> None:
        clock.at(progress)
        steer(progress)

    return Game(
        modules=modules,
        players=players,
        product=("generator",),
        given=("source",),
        sample=lambda found, drawn: found["generator"](drawn["source"]).float().clamp(-1, 1),
        average=Average(config.average) if config.average else None,
        prepare=pair.prepare,
        on_round=on_round,
    )
