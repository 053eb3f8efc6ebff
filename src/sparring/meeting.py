"""Batch norm by the statistics of a whole batch, whose shards are worked on in several places or one after the other.

A shard cannot go on through such a layer before all others have reached it. So the shards of one process are threads
of which one works at a time: where it needs what the others have found, it puts its buffers and its stream of random
numbers aside and hands on to the next. Processes meet as often, in the same order. Sums are made in the fixed tree of
`distributed`, so the bits do not depend on who works where. Gradients come back the same way, and theirs too.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode

T = TypeVar("T")
UNEQUAL = "shards do not meet as often as each other: this network's batch norm cannot be synchronised"


class Meeting:
    """Where `count` shards of this process, and those of others, add up what each of them has found."""

    current: Meeting | None = None
    """The one that is being held: a gradient may be taken in a later one than its sum was."""

    def __init__(
        self,
        count: int,
        total: Callable[[Sequence[Tensor]], Tensor],
        everywhere: int,
        aside: Callable[[], Callable[[], None]],
    ) -> None:
        """`total`: values of this process's shards -> their sum over all shards, of which there are `everywhere`.

        `aside`: puts away what a shard has for itself, and gives what brings it back.
        """
        self.count, self.total, self.everywhere, self.aside = count, total, everywhere, aside
        self.baton = [threading.Semaphore(0) for _ in range(count)]
        self.done = threading.Semaphore(0)
        self.turn = count - 1
        self.values: dict[int, Tensor] = {}
        self.sum_of_all = torch.empty(0)
        self.over: set[int] = set()
        self.failed: BaseException | None = None

    def all(self, work: Callable[[int], T]) -> list[T]:
        """`work` on every shard of this process; the first one comes last. Raises what the first to fail raised."""
        Meeting.current = self
        try:
            if self.count == 1:
                with Synchronised(self):
                    return [work(0)]
            return self._in_threads(work)
        finally:
            Meeting.current = None

    def _in_threads(self, work: Callable[[int], T]) -> list[T]:
        found: dict[int, T] = {}

        def run(number: int) -> None:
            self.baton[number].acquire()
            try:
                if self.failed is None:
                    torch.set_num_threads(torch.get_num_threads())  # each thread asks anew otherwise
                    with Synchronised(self):
                        found[number] = work(number)
            except BaseException as error:  # the caller raises it
                self.failed = self.failed or error
            self.over.add(number)
            self._hand_on()

        for number in range(self.count):
            thread_of(number).submit(run, number)
        self.baton[self.turn].release()
        self.done.acquire()
        if self.failed is not None:
            raise self.failed
        return [found[number] for number in range(self.count)]

    def _hand_on(self) -> None:
        """To the next one down that is not over, and from the first to the last."""
        order = [(self.turn - step) % self.count for step in range(1, self.count + 1)]
        left = [number for number in order if number not in self.over]
        if not left:
            self.done.release()
            return
        self.turn = left[0]
        self.baton[self.turn].release()

    def sum(self, mine: Tensor) -> Tensor:
        """The sum over all shards of what each of them brings here: it waits for them."""
        if self.count == 1:
            return self.total([mine])
        me = self.turn
        self.values[me] = mine
        if me == 0:
            if len(self.values) < self.count:
                raise RuntimeError(UNEQUAL)
            self.sum_of_all = self.total([self.values[number] for number in range(self.count)])
            self.values = {}
        back = self.aside()
        self._hand_on()
        self.baton[me].acquire()
        if self.failed is not None:
            raise RuntimeError("another shard has failed")
        if me in self.values:
            raise RuntimeError(UNEQUAL)
        back()
        return self.sum_of_all


@functools.cache
def thread_of(shard: int) -> ThreadPoolExecutor:
    """The thread of this process's n-th shard, the same in every turn.

    In a new one autograd would begin to count anew, and by its count it decides whose gradients are added first: what
    players share is made in one turn and differentiated in another.
    """
    return ThreadPoolExecutor(1)


class Sum(torch.autograd.Function):
    """x -> the sum over all shards. Its gradient is the sum of all shards' gradients, and so on."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        """As the class says."""
        assert Meeting.current is not None, "a synchronised layer can be differentiated in a turn only"
        return Meeting.current.sum(x.detach()).clone()

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Any:
        """As the class says."""
        return summed(gradients[0])


def summed(x: Tensor) -> Tensor:
    """`Sum` of x."""
    out: Tensor = Sum.apply(x)  # type: ignore[no-untyped-call]
    return out


class Synchronised(TorchFunctionMode):
    """Within it batch norm in training is that of the whole batch. No module is changed for it."""

    def __init__(self, meeting: Meeting) -> None:
        super().__init__()
        self.meeting = meeting

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As the class says; all else goes by."""
        if func is torch.nn.functional.batch_norm:
            return batch_norm(self.meeting.everywhere, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def batch_norm(
    shards: int,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(N, C, ...) -> the same; mean and variance are those of as many rows in every one of `shards`.

    Differentiable as often as wished. In float32 at least, also under autocast.
    """
    if not training:
        return torch.nn.functional.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    over, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
    wide = x if x.dtype == torch.float64 else x.float()
    mean = summed(wide.mean(over)) / shards
    away = wide - mean.view(shape)
    variance = summed(away.square().mean(over)) / shards
    if running_mean is not None and running_var is not None:
        rows = x.numel() // x.shape[1] * shards
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((variance * (rows / max(1, rows - 1))).to(running_var), momentum)
    out: Tensor = away * (variance + eps).rsqrt().view(shape)
    if weight is not None and bias is not None:
        out = out * weight.view(shape) + bias.view(shape)
    return out.to(x.dtype)
