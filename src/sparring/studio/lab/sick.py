"""Ways to break a duel on purpose. Each is a setup, the doctor's name for it, and when it must have said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sick:
    """A setup that fails, reliably and soon."""

    set: str
    settings: Mapping[str, Any]
    """Where they differ from the usual ones."""
    kind: str
    """What the doctor calls it."""
    seed: int = 0


def _rates(generator: float, discriminator: float, beta1: float = 0.0) -> Mapping[str, float]:
    return {
        "generator.lr": generator, "discriminator.lr": discriminator,
        "generator.beta1": beta1, "discriminator.beta1": beta1,
    }  # fmt: skip


FREE = {"penalty.r1": 0.0, "penalty.r2": 0.0}
SICK: Mapping[str, Sick] = {
    # a generator four times as fast, and nothing that keeps the discriminator smooth: all fakes where it believes most
    "collapse": Sick("ring", {"objective": "minimax", **FREE, **_rates(3e-3, 7e-4, 0.5)}, "mode collapse", seed=1),
    # both too fast, with momentum: they run past each other
    "oscillation": Sick("lines", {"objective": "non-saturating", **FREE, **_rates(1e-2, 1e-2, 0.7)}, "oscillation"),
    # a sure discriminator of what does not overlap, under a value that is flat where it is sure
    "vanishing": Sick(
        "wall",
        {"objective": "minimax", **FREE, **_rates(3e-4, 5e-3), "discriminator_steps": 5},
        "vanishing gradient",
        seed=2,
    ),
}
