"""What is raced: networks, their sizes and numbers, the same for both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the process that starts the others measures nothing and needs no torch
    import torch

    from sparring.data import Source
    from sparring.game import Game
    from sparring.runs import Plan


@dataclass(frozen=True)
class Case:
    """One system on pictures of one size."""

    name: str
    recipe: str
    preset: str
    shape: tuple[int, int, int]
    """Channels, height, width."""
    batch: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the preset."""
    target: float | None = None
    """The least ratio, ours to plain; None: for reference."""
    samples: int = 2048
    """Pictures in the set."""
    note: str = ""


FOREVER = 1_000_000
"""Rounds of a run that is stopped by the clock."""

CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        Case("mlp", "mlp", "classic", (1, 28, 28), 64, {"generator_batch": 1, "share_fakes": True}, 1.0,
             note="the tutorials' dense networks, 256-512-1024 and 512-256"),
        Case("dcgan-28", "dcgan", "classic", (1, 28, 28), 64, {"share_fakes": True}, 2.2,
             note="the tutorials' networks: upsampling generator, dropout discriminator"),
        Case("dcgan-64", "dcgan", "classic64", (3, 64, 64), 64, {"share_fakes": True}, 2.2,
             note="the tutorials' networks: transposed generator, strided discriminator"),
        Case("r3-32", "r3", "tiny", (3, 32, 32), 64, {}, 1.5, note="R1 and R2 in every step, averaged"),
        Case("cyclegan-64", "cyclegan", "paper", (3, 64, 64), 1, {"blocks": 6, "augment": {"flip": False}}, 1.5,
             samples=256, note="two residual translators of width 64 with 6 blocks, two critics, pools"),
        Case("dcgan-28-apart", "dcgan", "classic", (1, 28, 28), 64, {},
             note="as dcgan-28, but ours too makes fakes anew for the generator's step"),
        Case("dcgan-28-tuned", "dcgan", "tuned", (1, 28, 28), 64, {"clusters": 0},
             note="what `sparring train dcgan` trains: spectral norm, averaged"),
        Case("dcgan-64-tuned", "dcgan", "tuned", (3, 64, 64), 64, {"clusters": 0},
             note="what `sparring train dcgan --size 64` trains"),
    )
}  # fmt: skip


def grown(base: Case, **changes: Any) -> Case:
    """The case at another batch, size of picture or of the set."""
    side = changes.pop("side", base.shape[1])
    return replace(base, shape=(base.shape[0], side, side), **changes)


def source_of(case: Case) -> Source:
    """Random bytes as the case's recipe wants them: the time does not depend on what is in a picture."""
    import torch

    from sparring import recipes
    from sparring.data.source import About, tensor_source

    random = torch.Generator().manual_seed(0)
    translates = case.recipe == "cyclegan"
    columns = {
        name: torch.randint(0, 256, (case.samples, *case.shape), generator=random, dtype=torch.uint8)
        for name in ("image", "source")[: 1 + translates]
    }
    about = About("random", "image", case.shape, source=case.shape if translates else ())
    return recipes.find(case.recipe).data(plan_for(case).model, tensor_source(about, columns))


def plan_for(case: Case, **how: Any) -> Plan:
    """The plan that `sparring train` would make of these settings."""
    from sparring.session import plan_of

    settings = {"rounds": FOREVER, "batch": case.batch, **case.settings, **how}
    return plan_of(case.recipe, case.preset, settings)


def plain_game(case: Case, about: Any, seed: int = 0) -> Game:
    """The recipe's own networks, float32 and contiguous, as its `build` leaves them."""
    import torch

    from sparring import recipes

    torch.manual_seed(seed)
    return recipes.find(case.recipe).build(plan_for(case).model, about)


def parameters(modules: Mapping[str, torch.nn.Module]) -> dict[str, int]:
    """Weights of each network."""
    return {name: count for name, m in modules.items() if (count := sum(p.numel() for p in m.parameters()))}
