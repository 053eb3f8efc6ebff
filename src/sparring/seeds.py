"""Random numbers as pure functions: a stream for every (seed, number), random bits for every (index, key)."""

from __future__ import annotations

from torch import Tensor


def mix(seed: int, number: int) -> int:
    """A seed in [0, 2^63) for stream `number` of `seed`: splitmix64, so that neighbours are unrelated."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + (number + 1) * 0xD1B54A32D192ED03) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1


def hashed(index: Tensor, key: int) -> Tensor:
    """(n,) indices -> (n,) int64 random bits, a function of index and key alone (splitmix64, wrapping)."""
    z = index.long() * -0x61C8864680B583EB + key
    z = (z ^ (z >> 30 & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    z = (z ^ (z >> 27 & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return z ^ (z >> 31 & 0x1FFFFFFFF)
