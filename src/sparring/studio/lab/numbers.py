"""The lab's settings: those of the recipe `mlp`, as far as they matter for points, within limits that stay quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparring.config import UserError, check_limits, did_you_mean, from_json, to_json
from sparring.duel import Penalties
from sparring.objectives import OBJECTIVES
from sparring.optimizers import Adam
from sparring.recipes.mlp import Config
from sparring.studio.form import helps

USUAL = Config(
    rounds=1000,
    batch=128,
    latent=2,
    hidden=(64, 64, 64),
    discriminator_hidden=(64, 64, 64),
    batch_norm=False,
    spectral_norm=False,
    clusters=0,
    objective="non-saturating",
    penalty=Penalties(r1=0.1, r2=0.1),
    generator=Adam(1e-3, 0.0, 0.99),
    discriminator=Adam(2e-3, 0.0, 0.99),
    decay=1.0,
    average=0.0,
)
"""A lab in good health. `rounds` is what the doctor counts shares of; playing goes on beyond."""

OFFERED: Mapping[str, tuple[float, float] | None] = {
    "objective": None,
    "penalty.r1": (0, 100),
    "penalty.r2": (0, 100),
    "penalty.gradient": (0, 100),
    "penalty.centre": (0, 10),
    "penalty.one_sided": None,
    "penalty.dragan": (0, 100),
    "penalty.difference": None,
    "penalty.clip": (0, 1),
    "penalty.every": (1, 64),
    "generator.lr": (1e-6, 1),
    "generator.beta1": (0, 0.999),
    "generator.beta2": (0, 0.9999),
    "discriminator.lr": (1e-6, 1),
    "discriminator.beta1": (0, 0.999),
    "discriminator.beta2": (0, 0.9999),
    "discriminator_steps": (1, 20),
    "batch": (8, 512),
    "latent": (1, 16),
    "uniform": None,
    "hidden": (1, 128),
    "discriminator_hidden": (1, 128),
    "spectral_norm": None,
    "batch_norm": None,
    "fourier": (0, 64),
    "frequency": (0, 20),
}
"""Dotted names of what can be set, and the least and the most of numbers."""
DEEPEST = 4


def flat(config: Config) -> dict[str, Any]:
    """Settings by dotted name."""
    values = to_json(config)
    return {name: _holder(values, name)[_last(name)] for name in OFFERED}


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _holder(values: dict[str, Any], name: str) -> dict[str, Any]:
    outer = name.rpartition(".")[0]
    inner: dict[str, Any] = values[outer] if outer else values
    return inner


def changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """`config` with other settings, by dotted name. `UserError` for what cannot be: it names the setting."""
    values = to_json(config)
    for name, value in settings.items():
        if name not in OFFERED:
            raise UserError(f"'{name}' is no setting of the lab{did_you_mean(name, list(OFFERED))}")
        _check(name, value)
        _holder(values, name)[_last(name)] = value
    fresh = from_json(Config, values, "lab")
    check_limits(fresh)
    return fresh


def _check(name: str, value: Any) -> None:
    """Only plain values: no schedule, and above all no name of code from outside."""
    limits = OFFERED[name]
    if name == "objective" and not (isinstance(value, str) and value in OBJECTIVES):
        raise UserError(f"objective: {value!r:.80} is not one of {', '.join(OBJECTIVES)}")
    if limits is None:
        return
    numbers = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not 1 <= len(value) <= DEEPEST:
        raise UserError(f"{name}: {len(value)} layers; give 1 to {DEEPEST} widths")
    for number in numbers:
        plain = isinstance(number, int | float) and not isinstance(number, bool)
        if not plain or not limits[0] <= number <= limits[1]:
            raise UserError(f"{name}={number!r:.80} is out of range; give a number from {limits[0]:g} to {limits[1]:g}")


def flags(config: Config, data: str) -> str:
    """The same numbers on the command line."""
    usual, said = flat(Config()), []
    for name, value in {**flat(config), "clusters": 0, "average": 0, "decay": 1}.items():
        outer, dot, inner = name.replace("_", "-").rpartition(".")
        flag = f"--{outer}{dot}{inner}"
        if usual.get(name) == value:
            continue
        if isinstance(value, bool):
            said.append(flag if value else f"--{outer}{dot}no-{inner}")
        elif isinstance(value, list):
            said.append(f"{flag} {' '.join(map(str, value))}")
        else:
            said.append(f"{flag} {value:g}" if isinstance(value, float) else f"{flag} {value}")
    return " ".join([f"sparring train mlp --data {data}", *said])


def told() -> list[dict[str, Any]]:
    """For the page: each setting's name, kind, limits, default and help, as the recipe has them."""
    usual, rows = flat(USUAL), []
    for name, limits in OFFERED.items():
        value = usual[name]
        kind = "choice" if name == "objective" else "switch" if isinstance(value, bool) else "number"
        row = {
            "name": name,
            "kind": "widths" if isinstance(value, list) else kind,
            "value": value,
            "help": help_of(name),
        }
        if limits is not None:
            row["limits"] = limits
        if name == "objective":
            row["choices"] = list(OBJECTIVES)
        rows.append(row)
    return rows


def help_of(name: str) -> str:
    """What the recipe's own declaration says of a setting."""
    outer, _, inner = name.rpartition(".")
    return helps({"": Config, "penalty": Penalties}.get(outer, Adam)).get(inner, "")
