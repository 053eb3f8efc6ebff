"""Worked by `torchrun` in test_distributed: every recipe for two rounds, its last state as a hash.

torchrun --nproc-per-node 2 tests/worlds.py PICTURES OUT SHARDS [CASE ...]

A case may begin with `synchronised `: batch norm by the whole batch; or with `apart `: not a hash, but how far from the
batch in one piece.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import torch

from sparring import checkpoint, training
from sparring.distributed import Shards, joined
from sparring.engine import start, train
from sparring.training import Job

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cases import CASES, CPU, plan_of
from tests.precise import apart

ROUNDS = 2


def name_of(recipe: str, preset: str, data: dict[str, str]) -> str:
    """As in the table of tests."""
    return f"{recipe}/{preset}/{data['data']}"


def answer(case: str, pictures: Path, shards: Shards) -> str | dict[str, float]:
    """What a case asks for."""
    asked, _, name = case.rpartition(" ")
    recipe, preset, data = next(each for each in short() if name_of(*each) == name)
    shards = dataclasses.replace(shards, together=bool(asked))
    if asked != "apart":
        return hash_of(recipe, preset, data, pictures, shards)
    with shards.world.in_turn():
        plan, source = plan_of(recipe, preset, data, pictures)
    return apart(plan, source, shards)


def hash_of(recipe: str, preset: str, data: dict[str, str], pictures: Path, shards: Shards) -> str:
    """sha256 of modules, averages and optimizers after two rounds, the second with all players who begin later."""
    with shards.world.in_turn():  # it writes files, which another process may be reading
        plan, source = plan_of(recipe, preset, data, pictures)
    game = training.assemble(plan, source.about, CPU)
    job = Job(Path(), plan, {"train": source}, source, CPU, game, start(game), shards)
    batches = training.stream(plan, source, CPU, 0, shards.world)
    job.state.round = max(0, max(player.start for player in game.players) - 1)
    end = job.state.round + ROUNDS
    assert end <= job.settings.rounds
    train(game, batches, job.settings, job.state, lambda done: done.state.round == end)
    digest = hashlib.sha256()
    for name, value in sorted(checkpoint.tensors_of(game, job.state).items()):
        digest.update(name.encode() + value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def short() -> list[tuple[str, str, dict[str, str]]]:
    """Cases that are not marked as long."""
    return [case for case in CASES if isinstance(case, tuple) and not hasattr(case, "marks")]


def main(pictures: Path, out: Path, shards: int, chosen: list[str]) -> None:
    """A table of hashes, written by every process for itself."""
    torch.set_num_threads(1)
    with joined() as world:  # twice in one program, as who trains several runs
        assert world.told(world.rank) == 0
    with joined() as world:
        cases = chosen or [name_of(*case) for case in short()]
        found = {case: answer(case, pictures, Shards(shards, world)) for case in cases}
        (out / f"{world.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
