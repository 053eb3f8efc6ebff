"""What the computer has: the device, its name, the precision it is fast at."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from sparring.config import UserError
from sparring.data.kinds import KINDS
from sparring.distributed import ALONE, World
from sparring.engine import Precision
from sparring.runs import How, processor


@dataclass(frozen=True)
class Machine:
    """Where and how precisely a run computes."""

    device: torch.device
    name: str
    precision: Precision
    threads: int

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' * (self.threads > 1)}" if self.device.type == "cpu" else ""
        return f"{self.device} ({self.name}{threads}), {self.precision}"


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Within it, seeds and the number of threads are ours; afterwards they are the caller's again."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(threads)


def find_machine(how: How, key: str, world: World = ALONE) -> Machine:
    """The machine that `how` asks for; `key` is the kind of data. Sets torch's number of threads.

    Processes of one machine share its cores.
    """
    if how.threads is not None:
        if how.threads < 1:
            raise UserError(f"threads={how.threads} must be at least 1")
        torch.set_num_threads(how.threads)
    elif how.reproducible or world.size > 1:
        torch.set_num_threads(1 if how.reproducible else cores_each())
    device = find_device(how.device) if world.size == 1 else shared_device(how.device)
    if how.precision != "auto":
        precision: Precision = how.precision
    else:
        # three digits are enough for pixels of 8 bits, not for points that lie within a hundredth of each other
        precision = "bfloat16" if KINDS[key].coarse_numbers and fast_bfloat16(device) else "float32"
    return Machine(device, device_name(device), precision, torch.get_num_threads())


def cores_each() -> int:
    """How many of this machine's cores each of its processes has."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def find_device(name: str) -> torch.device:
    """`auto`: CUDA, else Apple's MPS, else the CPU. Raises `UserError` for a device that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device={name} is not a device; use auto, cuda, mps or cpu") from None
    if not there.get(device.type, False):
        has = ", ".join(kind for kind, found in there.items() if found)
        raise UserError(
            f"device={name} is not available to this torch ({torch.__version__}); it has {has}; use --device auto"
        )
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise UserError(f"device={name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    return device


def shared_device(name: str) -> torch.device:
    """The device of one of several processes: a CUDA device each, which `torchrun` numbers, or the CPU."""
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")  # of Apple's there is one, which processes cannot speak to each other by
    device, local = find_device(name), int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "mps":
        raise UserError(f"device={name} is not for several processes; use --device cpu, or one process")
    if device.index is not None:
        raise UserError(f"device={name} names one device, and each of several processes needs its own; use cuda")
    if device.type == "cuda" and local >= torch.cuda.device_count():
        raise UserError(
            f"there are {torch.cuda.device_count()} CUDA devices, and more processes than that; start as many as "
            "there are, or use --device cpu"
        )
    return device


def device_name(device: torch.device) -> str:
    """As the maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "Apple GPU" if device.type == "mps" else processor()


def fast_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are faster than in float32 there."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu" or "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return False
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # private in torch, and worth a factor of two
    return bool(supported and supported())


def peak_memory(device: torch.device) -> int:
    """Bytes used at the most so far: of the device's memory on CUDA, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
