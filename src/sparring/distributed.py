"""One run on several processes, and what must not depend on how many there are.

`torchrun` starts the processes. A batch is cut into `shards`, each with a random stream of its own; what the shards
find (gradients, terms of the loss, statistics of batch norm) is added up in one fixed tree, wherever they were worked
on. So the result, to the last bit, is a function of seed and shards alone, where there are 2, 4, 8, ... of them. A
batch statistic is one of a shard; those of batch norm are of the whole batch where that is asked for (`meeting`). More
shards than processes are worked on one after the other, in the memory of one: gradient accumulation.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from sparring.average import batch_norms
from sparring.config import UserError
from sparring.meeting import Meeting
from sparring.seeds import mix

T = TypeVar("T")
PATIENCE = datetime.timedelta(hours=2)
"""How long a process waits for the others: the first one judges, draws and saves meanwhile."""


@dataclass(frozen=True)
class World:
    """The processes of this run."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def told(self, value: Any = None) -> Any:
        """What the first process says, in all of them: anything that JSON can hold."""
        if self.size == 1:
            return value
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        length = torch.tensor([len(data)])
        with _heard():
            dist.broadcast(length, 0)
            data = data if self.first else torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(data, 0)
        return json.loads(bytes(data.tolist()))

    def gathered(self, mine: Tensor) -> list[Tensor]:
        """The tensor of every process, by rank."""
        if self.size == 1:
            return [mine]
        every = [torch.empty_like(mine) for _ in range(self.size)]
        with _heard():
            dist.all_gather(every, mine)
        return every

    @torch.no_grad()
    def copied(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values, in place."""
        if self.size == 1:
            return
        for alike in by_kind(tensors):
            flat = torch.cat([each.reshape(-1) for each in alike])
            with _heard():
                dist.broadcast(flat, 0)
            put(alike, torch.split(flat, [t.numel() for t in alike]))

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process goes ahead, and leaves in a cache what the others need. They stop where it fails."""
        if not self.first and not self.told():
            raise UserError("the first process could not go on, and said why")
        try:
            yield
        except BaseException:
            if self.first:
                self.told(False)
            raise
        if self.first:
            self.told(True)


ALONE = World()


def by_kind(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Those of the same kind of number and place together."""
    found: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        found.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    return list(found.values())


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """`UserError` where a process that we wait for has ended: torch has no class of its own for that."""
    try:
        yield
    except RuntimeError as error:
        line = str(error).strip().partition("\n")[0]
        raise UserError(f"another process of this run has ended; see what it said ({line})") from error


_names = itertools.count()


@contextlib.contextmanager
def joined() -> Iterator[World]:
    """The world that `torchrun` made; alone where it did not."""
    size = os.environ.get("WORLD_SIZE", "1")
    if size.isdecimal() and int(size) < 2:
        yield ALONE
        return
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if cuda and local < torch.cuda.device_count():  # else only the CPU is left: `find_machine` says so
        torch.cuda.set_device(local)
    try:
        store, rank, count = next(rendezvous("env://", timeout=PATIENCE))
    except ValueError as error:
        raise UserError(f"WORLD_SIZE={size} asks for several processes, start them by torchrun: {error}") from None
    name = f"world {next(_names)}"  # a program may train several runs, one after the other
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        # torchrun keeps one store over restarts, with the addresses of processes that are no more
        name = f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}, {name}"
    store = dist.PrefixStore(name, store)  # type: ignore[attr-defined]
    # words go by gloo, and so does all else of a run that is kept on the CPU of a machine that has more
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class Shards:
    """Into how many parts a batch is cut, and which of them this process works on."""

    count: int = 1
    world: World = ALONE
    together: bool = False
    """Batch norm has the statistics of all shards: see `meeting`."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"shards={self.count} must be at least 1")
        if self.count % self.world.size:
            fitting = ", ".join(str(n) for n in range(1, self.count + 1) if self.count % n == 0)
            raise UserError(
                f"shards={self.count} cannot be shared by {self.world.size} processes; start {fitting} of them"
            )

    @property
    def mine(self) -> range:
        """Numbers of this process's shards."""
        each = self.count // self.world.size
        return range(self.world.rank * each, (self.world.rank + 1) * each)

    def cut(self, batch: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
        """This process's rows of a batch, shard by shard."""
        if self.count == 1:
            return [batch]
        columns = {name: value.chunk(len(self.mine)) for name, value in batch.items()}
        return [{name: parts[i] for name, parts in columns.items()} for i in range(len(self.mine))]

    def total(self, found: Sequence[Tensor]) -> Tensor:
        """The sum over all shards of what each of this process's found: the same bits in every process."""
        return tree(self.world.gathered(tree(found)))

    def mean(self, found: Sequence[Tensor]) -> Tensor:
        """The mean over all shards, alike."""
        return self.total(found) / self.count

    def each(self, modules: Iterable[nn.Module], work: Callable[[int], T]) -> list[T]:
        """`work` on the n-th of this process's shards, each from the same buffers; afterwards those are settled.

        Statistics of batch norm become the mean; every other buffer is that of shard 0, worked on last, so that what
        a module has kept for later is shard 0's too. Other processes get it by `settle`.
        """
        if self.count == 1:
            return [work(0)]
        modules, last = list(modules), len(self.mine) - 1
        before = [buffer.clone() for buffer in kept(modules)]

        def one(number: int) -> tuple[T, list[Tensor]]:
            if number < last:  # the last one comes first
                put(kept(modules), before)
            return work(number), [value.clone() for value in norms(modules)]

        if self.together:
            found = Meeting(len(self.mine), self.total, self.count, partial(set_aside, modules)).all(one)
        else:
            found = [one(number) for number in reversed(range(len(self.mine)))][::-1]
        if found[0][1]:
            flat = self.mean([torch.cat(statistics) for _, statistics in found])
            live = norms(modules)
            put(live, torch.split(flat, [value.numel() for value in live]))
        return [result for result, _ in found]

    def settle(self, modules: Iterable[nn.Module]) -> None:
        """Give every process the first one's buffers."""
        if self.world.size > 1:
            self.world.copied(kept(list(modules)))


WHOLE = Shards()
"""One process, one part."""


def norms(modules: Iterable[nn.Module]) -> list[Tensor]:
    """Running means and variances."""
    found = [(m.running_mean, m.running_var) for m in batch_norms(modules)]
    return [value for pair in found for value in pair if value is not None]


def kept(modules: Iterable[nn.Module]) -> list[Tensor]:
    """The buffers that a checkpoint has."""
    found = []
    for root in modules:
        for module in root.modules():
            local = module._non_persistent_buffers_set
            found += [b for name, b in module.named_buffers(recurse=False) if name not in local]
    return found


def put(buffers: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    """New values, in place, of which a graph that has yet to be differentiated learns nothing.

    In training batch norm saves its running statistics for the backward pass, and does not use them there.
    """
    for buffer, value in zip(buffers, values, strict=True):
        buffer.data.copy_(value.view(buffer.shape))


def set_aside(modules: Sequence[nn.Module]) -> Callable[[], None]:
    """Put away a shard's buffers and its stream of random numbers, on the CPU; gives what brings them back."""
    buffers, chance = [buffer.clone() for buffer in kept(modules)], torch.get_rng_state()

    def back() -> None:
        put(kept(modules), buffers)
        torch.set_rng_state(chance)

    return back


def tree(values: Sequence[Tensor]) -> Tensor:
    """Sum in pairs, pairs of pairs and so on: of 2, 4, 8, ... the same whoever added up the lower branches."""
    values = list(values)
    while len(values) > 1:
        alone = values[len(values) // 2 * 2 :]
        values = [a + b for a, b in zip(values[::2], values[1::2], strict=False)] + alone
    return values[0]


def stream(seed: int, turn: int, shard: int) -> int:
    """The seed of a shard in a turn of a round with this `seed`."""
    return mix(mix(seed, turn), shard)


def check_alike(tensors: Iterable[Tensor], world: World) -> None:
    """`RuntimeError` where processes have come to have different weights, which must never happen."""
    if world.size == 1:
        return
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    mine = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)
    if any(not torch.equal(mine, other) for other in world.gathered(mine)):
        raise RuntimeError("the processes' weights have drifted apart; this is a fault of sparring: please report it")
