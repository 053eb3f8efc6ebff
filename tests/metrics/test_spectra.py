"""Distances of log spectra: nothing for another phase, decibels for another level."""

from __future__ import annotations

import math

import pytest
import torch

from sparring.metrics.spectra import spectral_distance


def test_levels_count_in_decibels_and_phases_hardly() -> None:
    time = torch.arange(4096) / 8000
    pitch = torch.tensor([220.0, 500.0])[:, None, None]

    def tone(phase: float, loud: float = 0.5) -> torch.Tensor:
        return loud * torch.sin(2 * math.pi * pitch * time + phase)

    wave = tone(0.0) + 0.1 * torch.randn(2, 1, 4096, generator=torch.Generator().manual_seed(0))
    assert spectral_distance(wave, wave).tolist() == [0.0, 0.0]
    assert spectral_distance(0.5 * wave, wave).tolist() == pytest.approx([20 * math.log10(2)] * 2, rel=0.02)
    assert spectral_distance(-wave, wave).tolist() == [0.0, 0.0]
    near, far = spectral_distance(tone(1.0), tone(0.0)), spectral_distance(tone(0.0).flip(0), tone(0.0))
    assert bool((near < 0.3 * far).all())
    assert bool((spectral_distance(torch.zeros_like(wave), wave) < 60).all())  # silence is not infinitely far
