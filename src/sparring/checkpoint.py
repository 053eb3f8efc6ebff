"""Named state in and out of one safetensors file: atomic, and hashed by its own name.

A file is called `<round>-<first 16 hex digits of its sha256>.safetensors`. Name and content appear together in
one rename, so there is no moment at which one is there without the other, and a flipped byte is noticed.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor, nn

from sparring.config import UserError
from sparring.engine import State, start
from sparring.files import replacing
from sparring.game import Game

FORMAT = "sparring-checkpoint-1"


class CorruptCheckpointError(UserError):
    """A file that is damaged, cut short, or not a checkpoint of ours."""


def tensors_of(game: Game, state: State) -> dict[str, Tensor]:
    """All tensors by name: `modules/...`, `averages/...`, `optimizers/...`."""
    found: dict[str, Tensor] = {}
    for name, module in game.modules.items():
        found |= {f"modules/{name}/{key}": value for key, value in module.state_dict().items()}
    for name, module in state.averages.items():
        found |= {f"averages/{name}/{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers(game).items():
        for index, slots in optimizer.state_dict()["state"].items():
            found |= {f"optimizers/{name}/{index}/{slot}": torch.as_tensor(value) for slot, value in slots.items()}
    plain = torch.contiguous_format
    return {name: value.detach().to("cpu", copy=True, memory_format=plain) for name, value in found.items()}


def optimizers(game: Game) -> dict[str, torch.optim.Optimizer]:
    """Each optimizer once, under the name of the first player that uses it."""
    found: dict[int, tuple[str, torch.optim.Optimizer]] = {}
    for player in game.players:
        found.setdefault(id(player.optimizer), (player.name, player.optimizer))
    return dict(found.values())


def meta_of(game: Game, state: State) -> dict[str, Any]:
    """What is not a tensor: counters and the optimizers' numbers."""
    groups = {name: o.state_dict()["param_groups"] for name, o in optimizers(game).items()}
    return {"format": FORMAT, "round": state.round, "drawn": state.drawn, "param_groups": groups}


def save(folder: Path, game: Game, state: State, keep: int = 2) -> Path:
    """Write the state into `folder`, then drop all but the last `keep` checkpoints. Raises OSError if it cannot."""
    return write(folder, tensors_of(game, state), meta_of(game, state), keep)


def write(folder: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], keep: int = 2) -> Path:
    """As `save`, of what was taken before. FloatingPointError for a number that is none: it is not written."""
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise FloatingPointError(f"{name} holds NaN or infinity, so this checkpoint is not written")
    data = serialise(dict(tensors), metadata={"sparring": json.dumps(meta)})
    name = f"{meta['round']:08d}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    with replacing(folder / name) as file:
        file.write(data)
    # only what lies before this one: files of later rounds are not ours to judge, and may be all that is left of a run
    before = [path for path in listed(folder) if path.name < name]
    for old in before[: -(keep - 1) or None]:
        old.unlink(missing_ok=True)
    return folder / name


class Writer:
    """Writes checkpoints in a thread, one after the other, while training goes on: only copying keeps it waiting.

    At most one waits while another is written, so there are two copies in memory at the most; where the disk is too
    slow for that, training waits. What goes wrong is raised at the next look.
    """

    def __init__(self) -> None:
        self._jobs: queue.Queue[Callable[[], Path] | None] = queue.Queue()
        self._room = threading.Semaphore(2)
        self._errors = deque[BaseException]()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def save(self, folder: Path, game: Game, state: State, keep: int = 2) -> None:
        """As the function `save`; it is on disk after `wait`."""
        self.look()
        self._room.acquire()  # before anything is copied
        self._jobs.put(partial(write, folder, tensors_of(game, state), meta_of(game, state), keep))

    def look(self) -> None:
        """Raises what has gone wrong, one error at each look."""
        if self._errors:
            raise self._errors.popleft()

    def wait(self) -> None:
        """Until all is on disk. Raises what has gone wrong."""
        self._jobs.join()
        self.look()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException as error:  # the loop is told
                self._errors.append(error)
            finally:
                del job  # a copy of the whole state, which nobody needs while this waits for the next
                self._room.release()
                self._jobs.task_done()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Nothing is left half done; an error is not put in the place of one that is on its way."""
        self._jobs.put(None)
        self._thread.join()
        if kind is None:
            self.look()


def forget_torn(folder: Path) -> None:
    """Drop what a killed process had begun to write. Only for whoever has the run to itself."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


def listed(folder: Path) -> list[Path]:
    """Checkpoints in a folder, oldest first."""
    return sorted(folder.glob("[0-9]*-*.safetensors"))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, numbers) of one file. Raises `CorruptCheckpointError` where it is not whole, or not ours."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorruptCheckpointError(f"{path}: cannot be read: {error}") from None
    expected = path.stem.rpartition("-")[2]
    if hashlib.sha256(data).hexdigest()[:16] != expected:
        raise CorruptCheckpointError(f"{path}: its content does not match the hash in its name; it is damaged")
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        meta = json.loads(header.get("__metadata__", {}).get("sparring", "{}"))
        tensors = parse(data)
    except (SafetensorError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CorruptCheckpointError(f"{path}: not a safetensors file: {error}") from None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CorruptCheckpointError(f"{path}: not a checkpoint of sparring (format {FORMAT})")
    if meta.get("round") != int(path.stem.partition("-")[0]):
        raise CorruptCheckpointError(f"{path}: it is of round {meta.get('round')}, not of the one in its name")
    return tensors, meta


def restore_newest(game: Game, folder: Path, warn: Callable[[str], None]) -> State:
    """Put the newest good checkpoint of `folder` into the game; each damaged one on the way is told to `warn`.

    An empty folder gives the state of a new game. Raises `CorruptCheckpointError` when all are damaged: a network
    that never learnt must not pass for one that did.
    """
    found, state = listed(folder), start(game)
    for path in reversed(found):
        try:
            restore(game, state, *read(path))
            return state
        except CorruptCheckpointError as error:
            warn(f"{error}; trying the one before")
    if found:
        raise CorruptCheckpointError(f"{folder}: none of its {len(found)} checkpoint(s) can be read")
    return state


def restore(game: Game, state: State, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Put a checkpoint's content into the game and the state, in place."""
    for name, module in game.modules.items():
        load_module(module, under(tensors, f"modules/{name}/"), name)
    for name, module in state.averages.items():
        load_module(module, under(tensors, f"averages/{name}/"), f"average of {name}")
    for name, optimizer in optimizers(game).items():
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in under(tensors, f"optimizers/{name}/").items():
            index, _, slot = key.partition("/")
            slots.setdefault(int(index), {})[slot] = laid_out_like(parameters[int(index)], value)
        groups = [
            {key: tuple(value) if isinstance(value, list) and key == "betas" else value for key, value in g.items()}
            for g in meta["param_groups"][name]
        ]
        optimizer.load_state_dict({"state": slots, "param_groups": groups})
    state.round, state.drawn = int(meta["round"]), int(meta["drawn"])


def laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """The value in the memory order of its parameter: another order rounds the last bit otherwise."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Entries whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def load_module(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """`module.load_state_dict`, with an error that names the network."""
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CorruptCheckpointError(f"the checkpoint does not fit the network '{name}': {error}") from None
