"""What every recipe of a generator against a discriminator has: its numbers, and the game that they make."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from sparring.average import Average
from sparring.config import UserError, Withheld, resolve
from sparring.data.loader import Augment
from sparring.data.source import About
from sparring.game import Game, Latent, linear_decay, two_player
from sparring.objectives import OBJECTIVES, Objective, check_losses
from sparring.optimizers import Adam
from sparring.penalties import r1


@dataclass(frozen=True)
class Duel:
    """Numbers of a two-player game; a recipe's Config adds those of its networks."""

    rounds: int = 3000
    """Rounds, each one step of both players."""
    batch: int = 64
    """Real samples per step."""
    latent: int = 64
    """Random numbers that a sample is made from, beside its label."""
    uniform: bool = False
    """Latents uniform in [-1, 1] instead of normal."""
    objective: str = "hinge"
    """non-saturating, minimax, least-squares, hinge, or your own as `file.py:name`."""
    r1: float = 0.0
    """Weight gamma of the R1 penalty; 0 is off. Not with batch norm in the discriminator."""
    generator: Adam = field(default_factory=lambda: Adam(2e-3, 0.0, 0.99))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(4e-3, 0.0, 0.99))
    """The discriminator's optimizer."""
    decay: float = 0.4
    """Progress from which the learning rates fall, on a line, to 2 %; 1 keeps them."""
    average: float = 0.998
    """Fraction of the averaged generator kept per round; 0 averages nothing."""
    share_fakes: bool = True
    """Both players judge the same fakes in a round."""
    generator_batch: int = 1
    """Fakes in the generator's step, as a multiple of batch; more than 1 needs --no-share-fakes."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the real pictures."""


def check_own(config: Duel, objective: Objective) -> None:
    """`UserError` for an objective that cannot be trained with."""
    try:
        check_losses(objective)
    except Exception as error:  # whatever the user's own code raises
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise UserError(f"objective={config.objective}: {told}") from error
    if objective.paired and config.generator_batch != 1:
        raise UserError(
            f"generator_batch={config.generator_batch}: a paired objective needs as many fakes as reals; use 1"
        )


def duel(config: Duel, about: About, generator: nn.Module, discriminator: nn.Module) -> Game:
    """The game of these networks under these numbers."""
    objective = resolve(config.objective, OBJECTIVES, "objective")
    if not isinstance(objective, Withheld):
        check_own(config, objective)
    optimizers = [config.generator.over(generator.parameters()), config.discriminator.over(discriminator.parameters())]
    return two_player(
        generator,
        discriminator,
        latent=Latent(config.latent, about.prior, config.uniform),
        key=about.key,
        objective=objective,
        generator_optimizer=optimizers[0],
        discriminator_optimizer=optimizers[1],
        penalties={"r1": (config.r1, r1)} if config.r1 else {},
        generator_batch=config.generator_batch,
        share_fakes=config.share_fakes,
        average=Average(config.average) if config.average else None,
        on_round=linear_decay(optimizers, config.decay, 0.02),
    )
