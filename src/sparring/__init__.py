"""Train, judge, explore and ship generative adversarial networks.

    import sparring
    run = sparring.train("dcgan", data="mnist")
    pictures = sparring.load(run.path).sample(64)     # uint8 (64, 1, 28, 28)

The names below are loaded when they are first used, so that `import sparring` and `sparring --help` are quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sparring.config import UserError
    from sparring.data import Data, Source, open_data
    from sparring.engine import State, Train, rounds, update
    from sparring.export.hub import Model
    from sparring.game import Game, Loss, Player, two_player
    from sparring.objectives import Objective, of_convex
    from sparring.session import resume, train
    from sparring.trained import Run, load

_HOME = {
    "UserError": "config",
    "Data": "data", "Source": "data", "open_data": "data",
    "State": "engine", "Train": "engine", "rounds": "engine", "update": "engine",
    "Model": "export.hub",
    "Game": "game", "Loss": "game", "Player": "game", "two_player": "game",
    "Objective": "objectives", "of_convex": "objectives",
    "resume": "session", "train": "session", "Run": "trained", "load": "trained",
}  # fmt: skip

__all__ = [
    "Data", "Game", "Loss", "Model", "Objective", "Player", "Run", "Source", "State", "Train", "UserError",
    "load", "of_convex", "open_data", "resume", "rounds", "train", "two_player", "update",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sparring' has no attribute '{name}'")
    return getattr(importlib.import_module(f"sparring.{_HOME[name]}"), name)
