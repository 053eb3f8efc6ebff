"""The kinds of samples that there are: how each is stored, how networks read and give it, how it is seen from afar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GROUPS = 256
"""Numbers that a text is seen as from afar."""


@dataclass(frozen=True, eq=False)
class Kind:
    """What is the same for all samples of a kind, whoever makes or reads them."""

    what: str
    """In messages."""
    dtype: torch.dtype
    """As sources store them."""
    dims: int
    """Dimensions of one sample."""
    shape: str
    """Of many, in messages."""
    coarse_numbers: bool
    """Eight bits are precise enough in between."""
    ready: Callable[[Tensor], Tensor]
    """As stored -> as networks read them."""
    finished: Callable[[Tensor], Tensor]
    """As networks give them -> as stored."""
    coarse: Callable[[Tensor], Tensor]
    """(n, ...) as networks read them -> (n, d) float32, few numbers in which samples that look alike lie close."""


def to_float(stored: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1]."""
    return stored.float().mul_(2 / 255).sub_(1)


def to_uint8(made: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8, rounded to nearest and clamped: the quantiser of every score and picture."""
    return made.float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8).contiguous()


def to_wave(stored: Tensor) -> Tensor:
    """int16 -> float32 in [-1, 1]."""
    return stored.float().mul_(1 / 32767)


def to_int16(made: Tensor) -> Tensor:
    """Float in [-1, 1] -> int16, rounded to nearest and clamped."""
    return made.float().mul(32767).round_().clamp_(-32767, 32767).to(torch.int16).contiguous()


def as_it_is(x: Tensor) -> Tensor:
    """The same."""
    return x


def averaged(x: Tensor) -> Tensor:
    """(n, C, H, W) or (n, C, T, H, W) -> (n, d): averaged to at most 8x8, and to 4 moments of time."""
    if x.ndim == 5:
        return F.adaptive_avg_pool3d(x.float(), (min(4, x.shape[2]), min(8, x.shape[3]), min(8, x.shape[4]))).flatten(1)
    return F.adaptive_avg_pool2d(x.float(), (min(8, x.shape[2]), min(8, x.shape[3]))).flatten(1)


def loudness(x: Tensor, bands: int = 16, moments: int = 8) -> Tensor:
    """(n, 1, T) in [-1, 1] -> (n, bands x moments): log power by frequency and time."""
    size = min(256, x.shape[2])
    window = torch.hann_window(size, device=x.device)
    power = torch.stft(x[:, 0].float(), size, size // 2, window=window, return_complex=True).abs().square()
    return F.adaptive_avg_pool2d(power[:, None], (bands, moments)).add(1e-4).log().flatten(1)


def word_groups(x: Tensor) -> Tensor:
    """(n, L) int64 words, 0 for none -> (n, GROUPS): root of the share of words and pairs that fall into each group.

    Groups are those of a fixed hash of the words' numbers: nothing is learnt, and texts of one vocabulary compare.
    """
    alone = x * 2654435761 % 2147483647 % GROUPS
    pairs = (x[:, :-1] * 40503 + x[:, 1:] * 69069 + 12345) * 2654435761 % 2147483647 % GROUPS
    groups = torch.cat([alone, pairs], 1)
    there = torch.cat([x > 0, (x[:, :-1] > 0) & (x[:, 1:] > 0)], 1).float()
    counts = torch.zeros(len(x), GROUPS, device=x.device).scatter_add_(1, groups, there)
    return (counts / counts.sum(1, keepdim=True).clamp(min=1)).sqrt()


KINDS: Mapping[str, Kind] = {
    "image": Kind("pictures", torch.uint8, 3, "(N, C, H, W)", True, to_float, to_uint8, averaged),
    "point": Kind("points", torch.float32, 1, "(N, D)", False, as_it_is, as_it_is, lambda x: x.float().flatten(1)),
    "text": Kind("texts", torch.int64, 1, "(N, L)", False, as_it_is, as_it_is, word_groups),
    "sound": Kind("sounds", torch.int16, 2, "(N, 1, T)", False, to_wave, to_int16, loudness),
    "clip": Kind("clips", torch.uint8, 4, "(N, C, T, H, W)", True, to_float, to_uint8, averaged),
}
"""By the column that a game models. Texts are numbers of words as `data.words` has them."""

_READ: Mapping[torch.dtype, Callable[[Tensor], Tensor]] = {torch.uint8: to_float, torch.int16: to_wave}
_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def ready(column: Tensor, device: torch.device | None = None) -> Tensor:
    """A stored column on the device, as networks read it: bytes in [-1, 1], channels last; 16 bits as a wave."""
    column = column.to(device, non_blocking=True)
    if column.dtype not in _READ or column.ndim < 3:  # numbers of something, however small
        return column
    read = _READ[column.dtype](column)
    return read.contiguous(memory_format=_FORMATS.get(read.ndim, torch.contiguous_format))
