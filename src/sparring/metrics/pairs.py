"""How near is each picture to the one that it should be? For translation, restoration and autoencoders."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.metrics.errors import Estimate, of_mean

_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def psnr(made: Tensor, wanted: Tensor) -> Tensor:
    """(N, C, H, W) uint8, twice -> (N,) peak signal-to-noise ratios in dB; infinite for equal pictures."""
    _check(made, wanted)
    error = (made.double() - wanted.double()).square().flatten(1).mean(1)
    return 10 * torch.log10(255.0**2 / error)


def ssim(made: Tensor, wanted: Tensor) -> Tensor:
    """(N, C, H, W) uint8, twice, H, W >= 11 -> (N,) structural similarity, at most 1. Wang et al. 2004.

    Gaussian window of 11 with sigma 1.5, on each channel, over positions where the window fits; sigma by N.
    """
    _check(made, wanted)
    if min(made.shape[2:]) < _WINDOW:
        raise ValueError(f"pictures of {made.shape[2]}x{made.shape[3]} are smaller than SSIM's window of {_WINDOW}")
    c1, c2 = (_K1 * 255) ** 2, (_K2 * 255) ** 2
    values = []
    for x, y in zip(torch.split(made, 64), torch.split(wanted, 64), strict=True):
        a, b = x.double(), y.double()
        mean_a, mean_b = _blurred(a), _blurred(b)
        var_a, var_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
        both = _blurred(a * b) - mean_a * mean_b
        top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
        below = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
        values.append((top / below).flatten(1).mean(1))
    return torch.cat(values)


def pair_scores(made: Tensor, wanted: Tensor) -> dict[str, Estimate]:
    """L1 (grey levels of 255), PSNR (dB) and SSIM with their standard errors."""
    l1 = (made.double() - wanted.double()).abs().flatten(1).mean(1)
    found = {"l1": of_mean(l1), "psnr": of_mean(psnr(made, wanted).clamp(max=100))}
    return found | ({"ssim": of_mean(ssim(made, wanted))} if min(made.shape[2:]) >= _WINDOW else {})


def _blurred(x: Tensor) -> Tensor:
    line = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    weights = torch.exp(-line.square() / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    channels = x.shape[1]
    down = F.conv2d(x, weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(down, weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


def _check(made: Tensor, wanted: Tensor) -> None:
    if made.shape != wanted.shape or made.ndim != 4 or made.dtype != torch.uint8 or wanted.dtype != torch.uint8:
        raise ValueError(
            f"pictures of shape {tuple(made.shape)} {made.dtype} and {tuple(wanted.shape)} {wanted.dtype}; use two "
            "of (N, C, H, W) uint8"
        )
