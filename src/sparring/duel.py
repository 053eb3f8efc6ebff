"""What every recipe of a generator against a discriminator has: its numbers, and the game that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from torch import nn

from sparring import penalties
from sparring.augment import BGC, Adaptive, Augmented, DiffAugment
from sparring.average import Average, HalfLife
from sparring.config import UserError, Withheld, resolve
from sparring.data.loader import Augment
from sparring.data.source import About
from sparring.game import Game, Latent, Loss, refuse_lazy_pairs, two_player
from sparring.nn.layers import SpectralNorm
from sparring.objectives import OBJECTIVES, Divergence, Objective, check_objective
from sparring.optimizers import Adam
from sparring.penalties import Penalty
from sparring.schedules import Number, Schedule, at, ever, falling


@dataclass(frozen=True)
class Penalties:
    """What keeps the discriminator smooth. Weights; 0 is off. Not with batch norm in the discriminator."""

    r1: Number = 0.0
    """Gamma of R1, its gradient at real samples; multiplies half the square. Typical: .1 to 10."""
    r2: Number = 0.0
    """Gamma of R2, its gradient at fakes; with a relativistic objective use both, alike."""
    gradient: Number = 0.0
    """Lambda of the gradient penalty between real and fake (WGAN-GP: 10)."""
    centre: float = 1.0
    """Length that the gradient penalty wants the gradient to have."""
    one_sided: bool = False
    """The gradient penalty forgives shorter ones."""
    dragan: Number = 0.0
    """Lambda of DRAGAN, around real samples. Typical: 10."""
    consistency: Number = 0.0
    """Lambda of (D(shifted) - D(x))^2 on real and fake: pictures only. Typical: 10."""
    difference: bool = False
    """R1 and R2 by finite differences: cheaper and noisier, no second derivative."""
    every: int = 1
    """Lazy: act in every so many-th round only, that many times as strong; not with relativistic objectives."""
    clip: float = 0.0
    """Keep every weight of the discriminator within +- this (WGAN: .01)."""

    def chosen(self) -> dict[str, tuple[Number, Penalty]]:
        """(weight, penalty) of those that are on, by name."""
        between = partial(penalties.gradient_penalty, centre=self.centre, one_sided=self.one_sided)
        table: dict[str, tuple[Number, Penalty]] = {
            "r1": (self.r1, penalties.r1_by_difference if self.difference else penalties.r1),
            "r2": (self.r2, penalties.r2_by_difference if self.difference else penalties.r2),
            "gradient penalty": (self.gradient, between),
            "dragan": (self.dragan, penalties.dragan),
            "consistency": (self.consistency, partial(penalties.consistency, change=DiffAugment(("translation",)))),
        }
        return {name: (weight, penalty) for name, (weight, penalty) in table.items() if ever(weight)}


MOST_ADAPTIVE = 0.8
"""Above it changes leak into what the generator makes. Karras et al. 2020 (ADA), section 2.2."""


@dataclass(frozen=True)
class DiscriminatorAugment:
    """Random changes of what the discriminator sees, real and fake alike: for small sets of pictures."""

    diffaugment: tuple[Literal["color", "translation", "cutout"], ...] = ()
    """DiffAugment: these changes, to every picture."""
    p: Number = 0.0
    """ADA: probability of each of its changes; with --adaptive only the start."""
    adaptive: bool = False
    """ADA: p follows how sure the discriminator is of the real pictures."""
    policy: tuple[str, ...] = BGC
    """ADA: which changes; also noise and cutout."""
    target: float = 0.6
    """ADA: mean sign of the real scores that p holds."""
    speed: float = 500_000.0
    """ADA: real pictures in which p could rise from 0 to 1."""

    def module(self) -> nn.Module | None:
        """The changes as a module, or None."""
        ada = self.adaptive or ever(self.p)
        if self.diffaugment and ada:
            raise UserError("discriminator_augment: diffaugment and ADA (p, adaptive) exclude each other; choose one")
        if ada and not self.policy:
            raise UserError("discriminator_augment.policy is empty, so nothing would be changed; name some, e.g. flip")
        plain = DiscriminatorAugment()
        if not ada and (self.policy, self.target, self.speed) != (plain.policy, plain.target, plain.speed):
            raise UserError("discriminator_augment: policy, target and speed belong to ADA; add .adaptive, or .p 0.3")
        if self.adaptive and isinstance(self.p, Schedule):
            raise UserError("discriminator_augment.p: a schedule and --adaptive both move p; choose one")
        if self.adaptive and at(self.p, 0) > MOST_ADAPTIVE:
            raise UserError(
                f"discriminator_augment.p={self.p} is above {MOST_ADAPTIVE}, where the rule of --adaptive stops; "
                "start lower, or leave --adaptive out"
            )
        if self.diffaugment:
            return DiffAugment(self.diffaugment)
        speed = self.speed if self.adaptive else None
        return (
            Adaptive(self.policy, p=at(self.p, 0), target=self.target, speed=speed, limit=MOST_ADAPTIVE)
            if ada
            else None
        )


@dataclass(frozen=True)
class Duel:
    """Numbers of a two-player game; a recipe's Config adds those of its networks."""

    rounds: int = 3000
    """Rounds, each one step of the generator."""
    batch: int = 64
    """Real samples per step."""
    latent: int = 64
    """Random numbers that a sample is made from, beside its label."""
    uniform: bool = False
    """Latents uniform in [-1, 1] instead of normal."""
    objective: str = "hinge"
    """non-saturating, minimax, least-squares, hinge, wasserstein, relativistic, relativistic-average; an f-divergence
    (total-variation, kl, reverse-kl, pearson, neyman, squared-hellinger, jeffrey, jensen-shannon, gan; NAME-alternative
    does not saturate); or your own as `file.py:name`."""
    penalty: Penalties = field(default_factory=Penalties)
    """What keeps the discriminator smooth."""
    discriminator_steps: int = 1
    """Steps of the discriminator per round."""
    generator: Adam = field(default_factory=lambda: Adam(2e-3, 0.0, 0.99))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(4e-3, 0.0, 0.99))
    """The discriminator's optimizer."""
    decay: float = 0.4
    """Progress from which the learning rates fall, on a line; 1 keeps them."""
    decay_to: float = 0.02
    """What is left of the learning rates at the end."""
    average: Number = 0.998
    """Fraction of the averaged generator kept per round; 0 averages nothing."""
    half_life: Number = 0.0
    """Or: samples after which an old weight counts half in the average; then `average` is not read."""
    share_fakes: bool = True
    """Both players judge the same fakes in a round."""
    generator_batch: int = 1
    """Fakes in the generator's step, as a multiple of batch; more than 1 needs --no-share-fakes."""
    augment: Augment = field(default_factory=Augment)
    """Changes of the real pictures."""
    discriminator_augment: DiscriminatorAugment = field(default_factory=DiscriminatorAugment)
    """Changes of what the discriminator sees, which the generator need not imitate."""


def check_own(config: Duel, objective: Objective) -> None:
    """`UserError` for an objective of one's own that cannot be trained with."""
    if config.objective in OBJECTIVES:
        return
    if not isinstance(objective, Objective):
        hint = "; add .objective() to it" if isinstance(objective, Divergence) else ""
        raise UserError(f"objective={config.objective} is a {type(objective).__name__}, not an Objective{hint}")
    try:
        check_objective(objective)
    except Exception as error:  # whatever the user's own code raises
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise UserError(f"objective={config.objective}: {told}") from error


def duel(
    config: Duel,
    about: About,
    generator: nn.Module,
    discriminator: nn.Module,
    pack: int = 1,
    condition: str = "label",
) -> Game:
    """The game of these networks under these numbers.

    With `pack`, the discriminator takes so many samples at once. `condition` is the column that both are told.
    """
    objective = resolve(config.objective, OBJECTIVES, "objective")
    chosen = checked_penalties(config, about)
    if not isinstance(objective, Withheld):
        check_own(config, objective)
        check_slope(config, objective, discriminator)
    lazy = config.penalty.every if chosen else 1
    if lazy > 1 and not isinstance(objective, Withheld):
        refuse_lazy_pairs(objective, lazy)
    judge = lazily(config.discriminator, lazy, config.discriminator_steps)
    optimizers = [config.generator.over(generator.parameters()), judge.over(discriminator.parameters())]
    changes = config.discriminator_augment.module()
    if changes is not None:
        check_augment(config, about, pack)
        discriminator = Augmented(discriminator, changes)
    dials = {name: Dial(weight) for name, (weight, _) in chosen.items()}
    return two_player(
        generator,
        discriminator,
        latent=Latent(config.latent, about.prior, config.uniform),
        key=about.key,
        objective=objective,
        generator_optimizer=optimizers[0],
        discriminator_optimizer=optimizers[1],
        penalties={name: (1.0, dials[name].times(penalty)) for name, (_, penalty) in chosen.items()},
        lazy=lazy,
        pack=pack,
        after=afterwards(config, discriminator, changes),
        discriminator_steps=config.discriminator_steps,
        generator_batch=config.generator_batch,
        share_fakes=config.share_fakes,
        average=averaging(config),
        on_round=steering(config, [config.generator, judge], optimizers, list(dials.values()), changes),
        condition=condition,
    )


def averaging(config: Duel) -> Average | HalfLife | None:
    """How the averaged generator follows, if there is one."""
    if ever(config.half_life) and ever(config.average):
        raise UserError(
            f"average={config.average} and half_life={config.half_life} both say how the generator is averaged; "
            "use one: --half-life 0, or --average 0"
        )
    if ever(config.half_life):
        return HalfLife(config.half_life, config.batch * config.discriminator_steps)
    return Average(config.average) if ever(config.average) else None


class Dial:
    """A penalty's weight, as the schedule has it in this round."""

    def __init__(self, number: Number) -> None:
        self.number, self.value = number, at(number, 0)

    def times(self, penalty: Penalty) -> Penalty:
        """The penalty times whatever the dial shows when it is asked."""
        return lambda discriminator, real, fake: self.value * penalty(discriminator, real, fake)


def lazily(settings: Adam, every: int, steps: int) -> Adam:
    """Numbers for an optimizer that takes one step more every so many rounds of `steps`: the same speed.

    Karras et al. 2020 (StyleGAN2), appendix B.
    """
    if every == 1:
        return settings
    if not (isinstance(settings.lr, float | int) and isinstance(settings.beta2, float | int)):
        raise UserError(
            f"penalty.every={every} changes discriminator.lr and discriminator.beta2, which must be numbers then, "
            "not schedules; use --penalty.every 1, or plain numbers"
        )
    share = every * steps / (every * steps + 1)
    return replace(settings, lr=settings.lr * share, beta1=settings.beta1**share, beta2=settings.beta2**share)


def steering(
    config: Duel,
    settings: Sequence[Adam],
    optimizers: Sequence[torch.optim.Optimizer],
    dials: Sequence[Dial],
    changes: nn.Module | None,
) -> Callable[[float], None]:
    """What changes with progress: learning rates, betas, weights of penalties, the probability of augmentation."""
    p = config.discriminator_augment.p

    def on_round(progress: float) -> None:
        scale = falling(progress, config.decay, config.decay_to)
        for adam, optimizer in zip(settings, optimizers, strict=True):
            adam.steer(optimizer, progress, scale)
        for dial in dials:
            dial.value = at(dial.number, progress)
        if isinstance(changes, Adaptive) and isinstance(p, Schedule):
            changes.set_p(p.at(progress))

    return on_round


def checked_penalties(config: Duel, about: About) -> dict[str, tuple[Number, Penalty]]:
    """The chosen penalties. `UserError` for settings of penalties that are off, and for pictures' ones on points."""
    penalty, chosen = config.penalty, config.penalty.chosen()
    if penalty.every > 1 and not chosen:
        raise UserError(f"penalty.every={penalty.every} has no effect without a penalty, such as --penalty.r1 1")
    if (penalty.one_sided or penalty.centre != 1) and "gradient penalty" not in chosen:
        raise UserError("penalty.centre and penalty.one_sided have no effect without --penalty.gradient 10")
    if "consistency" in chosen and len(about.shape) != 3:
        raise UserError(f"penalty.consistency shifts pictures, and --data {about.name} has {about.what}; leave it out")
    return chosen


def check_slope(config: Duel, objective: Objective, discriminator: nn.Module) -> None:
    """`UserError` for an objective that needs a bounded slope, where nothing bounds it."""
    penalty = config.penalty
    bounded = penalty.clip or any(at(p, 1) > 0 for p in (penalty.r1, penalty.r2, penalty.gradient, penalty.dragan))
    if objective.lipschitz and not bounded and not any(isinstance(m, SpectralNorm) for m in discriminator.modules()):
        raise UserError(
            f"objective={config.objective} says nothing unless the discriminator's slope is bounded: use "
            "--penalty.gradient 10, --penalty.clip 0.01, or a network with spectral norm (recipe sngan)"
        )


def check_augment(config: Duel, about: About, pack: int) -> None:
    """`UserError` where augmentation would be unsound."""
    if pack > 1:
        raise UserError(f"discriminator_augment: not with packs (pack={pack}), whose channels are several samples")
    if len(about.shape) != 3:
        raise UserError(f"discriminator_augment: --data {about.name} has {about.what}, not pictures; leave it out")
    if config.penalty.difference or ever(config.penalty.consistency):
        raise UserError(
            "penalty.difference and penalty.consistency compare two scores of nearly the same picture, and random "
            "augmentation would change each in its own way; leave them or discriminator_augment out"
        )


def afterwards(config: Duel, discriminator: nn.Module, changes: nn.Module | None) -> Callable[[Loss], None] | None:
    """What follows each step of the discriminator: clipped weights, ADA's rule; None where there is neither."""
    clip, adaptive = config.penalty.clip, config.discriminator_augment.adaptive
    if not clip and not adaptive:
        return None

    def after(loss: Loss) -> None:
        if clip:
            penalties.clip_weights([discriminator], clip)
        if isinstance(changes, Adaptive) and "real sign" in loss.watch:  # not after a step of penalties alone
            changes.observe(loss.watch["real sign"], config.batch)

    return after
