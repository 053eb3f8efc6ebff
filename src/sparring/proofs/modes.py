"""Ring of 8 and grid of 25: which objectives keep all modes, and which put their samples on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring import recipes, sampling, training
from sparring.data import Data, open_data
from sparring.data.loader import batches
from sparring.data.toys import Toy, captured
from sparring.duel import Duel, Penalties
from sparring.engine import Train, start, train
from sparring.machine import Machine
from sparring.optimizers import Adam
from sparring.recipes import preset
from sparring.runs import How, Plan
from sparring.schedules import Schedule

CPU = Machine(torch.device("cpu"), "cpu", "float32", 1)
SAMPLES = 2500


@dataclass(frozen=True)
class Coverage:
    """What 2,500 samples show."""

    modes: int
    high_quality: float
    """Share within 3 sigma of a centre, 0..1."""
    reverse_kl: float
    """KL(generated, uniform) over the modes that samples are nearest to, nats. PacGAN, section 4.1."""
    with_elsewhere: float
    """The same with one bin more for samples that are near none: KL(generated, truth), nats."""


def coverage(points: Tensor, toy: Toy) -> Coverage:
    """(N, 2) -> its coverage of a toy's modes."""
    assert toy.centres is not None
    modes, quality = captured(points, toy)
    count = len(toy.centres)
    distance, nearest = torch.cdist(points, toy.centres, compute_mode="donot_use_mm_for_euclid_dist").min(1)
    share = torch.bincount(nearest, minlength=count) / len(points)
    good = torch.bincount(nearest[distance <= 3 * toy.sigma], minlength=count) / len(points)
    outside = math.exp(-4.5)  # of a round Gaussian beyond 3 sigma
    truth = torch.cat([torch.full((count,), (1 - outside) / count), torch.tensor([outside])])
    found = torch.cat([good, 1 - good.sum()[None]])
    return Coverage(modes, quality, kl(share, torch.full((count,), 1 / count)), kl(found, truth))


def kl(p: Tensor, q: Tensor) -> float:
    """Of two (K,) distributions, nats."""
    return torch.xlogy(p, p / q).sum().item()


def played(recipe: str, config: Duel, data: str, seed: int) -> Tensor:
    """Train a recipe on a toy without a run folder; 2,500 samples of it, (N, 2)."""
    plan = Plan(recipe, "proof", config, Data(data=data), How(seed=seed))
    source = recipes.find(recipe).data(config, open_data(plan.data)["train"])
    game = training.assemble(plan, source.about, CPU)
    state = start(game)
    train(game, batches(source, config.batch, seed), Train(config.rounds, seed, check_every=1000), state)
    modules = sampling.for_sampling(game, state, latents=4096)
    return sampling.generate(game, modules, sampling.draw(game, SAMPLES, seed=seed + 1))


def methods(rounds: int) -> Mapping[str, Any]:
    """PacGAN's networks under each objective; the last is our best."""
    base = replace(preset(recipes.find("pacgan"), "points")[1], rounds=rounds)
    smooth = replace(base, pack=1, batch=100, batch_norm=False)
    quick = Adam(1e-3, 0.0, 0.9)
    return {
        "GAN": replace(base, pack=1, batch=100),
        "PacGAN2": replace(base, pack=2, batch=200),
        "PacGAN3": replace(base, pack=3, batch=300),
        "PacGAN4": replace(base, pack=4, batch=400),
        "WGAN-GP": replace(
            smooth, objective="wasserstein", penalty=Penalties(gradient=10.0), generator=quick, discriminator=quick
        ),
        "relativistic + R1 + R2": best(rounds),
    }


def best(rounds: int, **changes: Any) -> Any:
    """Relativistic pairing with R1 and R2 whose weight falls, no batch norm, rates that decay."""
    base = preset(recipes.find("pacgan"), "points")[1]
    gamma = Schedule(1.0, 0.02, 0.6, "cosine")
    settings: dict[str, Any] = {
        "rounds": rounds,
        "pack": 1,
        "batch": 256,
        "batch_norm": False,
        "objective": "relativistic",
        "penalty": Penalties(r1=gamma, r2=gamma),
        "generator": Adam(1e-3, 0.0, 0.99),
        "discriminator": Adam(1e-3, 0.0, 0.99),
        "decay": 0.5,
        "average": 0.999,
    }
    return replace(base, **{**settings, **changes})
