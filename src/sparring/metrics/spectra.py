"""How far a sound is from another: log spectra at several resolutions, which no phase can change."""

from __future__ import annotations

import torch
from torch import Tensor

SIZES = (64, 128, 256, 512)
"""Samples of the windows."""
QUIET = 60.0
"""dB below the loudest place of the true sound that still count."""


def spectral_distance(made: Tensor, wanted: Tensor) -> Tensor:
    """(N, 1, T), (N, 1, T) in [-1, 1] -> (N,) dB: mean over windows of the root mean square difference of levels.

    Gray and Markel 1976, over frequencies and times at once, and for several windows as in Yamamoto et al. 2020: short
    ones see when, long ones which overtones. Places more than 60 dB below the loudest of the true sound are as quiet as
    that.
    """
    found = []
    for size in SIZES:
        window = torch.hann_window(size, device=made.device)
        levels = [_levels(sound, window) for sound in (made, wanted)]
        least = levels[1].flatten(1).amax(1)[:, None, None] - QUIET
        first, second = (torch.maximum(level, least) for level in levels)
        found.append((first - second).square().mean((1, 2)).sqrt())
    return torch.stack(found).mean(0)


def _levels(sound: Tensor, window: Tensor) -> Tensor:
    """(N, 1, T) -> (N, frequencies, times) in dB."""
    size = len(window)
    spectrum = torch.stft(sound[:, 0].float(), size, size // 4, window=window, return_complex=True)
    return 20 * spectrum.abs().clamp(min=1e-7).log10()
