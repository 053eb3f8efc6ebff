"""Spectrograms have the levels they say, their inverse sounds alike, and the networks see what they should."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from sparring.config import UserError, check_limits
from sparring.data.kinds import to_uint8
from sparring.data.source import About
from sparring.nn.signal import AT_ONCE, RANGE, LogMel, Mel, heard, inverted, mel_filters, mel_of, parts
from sparring.nn.waves import (
    PhaseShuffle,
    Views,
    Vocoder,
    WaveDiscriminator,
    WaveGenerator,
    factors_of,
    quarters,
)
from sparring.recipes import vocoder

SPEECH = Mel(8000, 128, 32)


def chord(count: int = 2, length: int = 4096, loud: float = 0.3) -> torch.Tensor:
    """Tones with overtones, each of another pitch."""
    time = torch.arange(length) / 8000
    pitch = 150.0 * torch.arange(1, count + 1)[:, None]
    swell = torch.sin(math.pi * time / time[-1])
    return sum(loud / k * torch.sin(2 * math.pi * k * pitch * time) for k in (1, 2, 5))[:, None] * swell  # type: ignore[index]


def test_hops_are_sixteen_milliseconds_or_so() -> None:
    assert [mel_of(rate, 32).hop for rate in (8000, 16_000, 22_050, 44_100)] == [128, 256, 256, 512]


@pytest.mark.parametrize("bands", [8, 32, 80])
def test_no_band_is_empty_and_every_frequency_is_seen(bands: int) -> None:
    filters = mel_filters(Mel(8000, 128, bands))
    assert filters.shape == (bands, 257)
    assert float(filters.sum(1).min()) > 0.4
    middles = filters.argmax(1)
    assert bool((middles.diff() >= 0).all())
    assert float(filters.sum(0)[int(middles[0]) : int(middles[-1])].min()) > 0.6  # neighbours overlap by half


def test_levels_are_what_they_say() -> None:
    time = torch.arange(8192) / 8000
    sine = torch.sin(2 * math.pi * 1000 * time).expand(1, 1, -1)
    seen = LogMel(Mel(8000, 128, 16))
    loud, quiet, silent = (seen(scale * sine)[..., 8:-8].amax() for scale in (1.0, 0.1, 0.0))
    assert float(loud) == pytest.approx(1.0, abs=0.06)  # between two bands it is seen by both, a little less by each
    assert float(loud - quiet) * RANGE / 2 == pytest.approx(math.log(10), rel=0.01)
    assert float(silent) == pytest.approx(-1.0, abs=1e-6)
    low, high = (seen(torch.sin(2 * math.pi * f * time).expand(1, 1, -1))[0, 0].mean(1).argmax() for f in (200, 3000))
    assert int(low) > int(high)  # high is up
    with pytest.raises(ValueError, match="no multiple"):
        seen(sine[..., :1000])


def test_a_spectrogram_can_be_learnt_through() -> None:
    wave = (0.1 * chord()).requires_grad_()
    seen = LogMel(SPEECH)(wave)
    (slope,) = torch.autograd.grad(seen.sum(), wave)
    assert bool(slope.isfinite().all())
    (silent,) = torch.autograd.grad(LogMel(SPEECH)(zero := torch.zeros(1, 1, 1024, requires_grad=True)).sum(), zero)
    assert bool(silent.isfinite().all())


def test_what_is_heard_has_nearly_the_spectrogram_that_it_is_made_from() -> None:
    wave, seen = chord(), LogMel(SPEECH)
    picture = to_uint8(seen(wave))
    about = About("chords", "image", (1, 32, 32), rate=8000.0, hop=128)
    sounds = heard(picture, about)
    assert (sounds.shape, sounds.dtype) == (wave.shape, torch.int16)
    again = seen(sounds / 32767)
    far = float((again - seen(wave)).abs().mean())
    noise = seen(0.1 * torch.randn(wave.shape, generator=torch.Generator().manual_seed(0)))
    assert far < 0.13 < 0.3 < float((noise - seen(wave)).abs().mean())
    before = torch.get_rng_state()
    assert torch.equal(inverted(seen(wave), SPEECH, 3), inverted(seen(wave), SPEECH, 3))
    assert torch.equal(before, torch.get_rng_state())  # its random phases are its own


def test_phase_shuffle_moves_all_alike_and_only_in_training() -> None:
    shuffle, x = PhaseShuffle(2), torch.arange(12.0).expand(3, 2, 12)
    torch.manual_seed(0)
    moved = {tuple(shuffle(x)[0, 0].tolist()) for _ in range(40)}
    right = (2.0, 1.0, *range(10))
    assert len(moved) == 5
    assert tuple(map(float, right)) in moved  # mirrored at the edge
    assert tuple(map(float, (*range(2, 12), 10, 9))) in moved
    torch.manual_seed(1)
    first = shuffle(x)
    assert bool((first == first[:1, :1]).all())
    torch.manual_seed(1)
    assert torch.equal(first, shuffle(x))
    assert shuffle.eval()(x) is x


def test_wavegan_has_the_papers_layers() -> None:
    with torch.device("meta"):
        generator, discriminator = WaveGenerator(100, 16384, 64), WaveDiscriminator(16384, 64)
    shapes = [tuple(up.weight.shape) for up in generator.ups]  # type: ignore[union-attr]
    assert shapes == [(1024, 512, 25), (512, 256, 25), (256, 128, 25), (128, 64, 25), (64, 1, 25)]
    assert generator.base == (1024, 16)
    assert discriminator.head.features == 16 * 1024
    small = WaveGenerator(8, 5120, 4, classes=3)
    made = small(torch.randn(2, 8), torch.tensor([0, 2]))
    assert made.shape == (2, 1, 5120)
    assert WaveDiscriminator(5120, 4, 3)(made, torch.tensor([0, 2])).shape == (2,)
    with pytest.raises(UserError, match="cannot be quartered"):
        quarters(5001)
    with pytest.raises(UserError, match="a multiple of 4,096"):
        quarters(1024 * 257)
    assert quarters(4096 * 101) == 6


def test_views_of_a_vocoder_that_cannot_be_are_refused_and_none_needs_none() -> None:
    about = About("hums", "sound", (1, 2048), rate=8000.0)
    for width in (9, 13):
        with pytest.raises(UserError, match=f"critic_width={width}: .* a multiple of 4"):
            vocoder.build(vocoder.Config(critic_width=width), about)
    assert vocoder.build(vocoder.Config(critic_width=9, scales=()), about).player("discriminator")
    with pytest.raises(UserError, match="needs a view"):
        vocoder.build(vocoder.Config(periods=(), scales=()), about)
    alone = replace(vocoder.PRESETS["distance"], periods=(), scales=())
    assert len(vocoder.build(alone, about).players) == 1
    for name, value in {"bands": 0, "periods": (2, 0), "scales": (0,)}.items():
        with pytest.raises(UserError, match=f"{name}=0 is out of range"):
            check_limits(vocoder.Config(**{name: value}))  # type: ignore[arg-type]


def test_long_sounds_are_looked_at_by_fewer() -> None:
    assert [len(part) for part in parts(5, AT_ONCE // 2)] == [2, 2, 1]
    assert [len(part) for part in parts(2, 2 * AT_ONCE)] == [1, 1]


@pytest.mark.parametrize(("hop", "factors"), [(128, (8, 4, 4)), (256, (8, 8, 4)), (64, (8, 8)), (4, (4,))])
def test_a_vocoder_goes_up_by_the_hop(hop: int, factors: tuple[int, ...]) -> None:
    assert factors_of(hop) == factors
    assert Vocoder(8, hop, 16)(torch.randn(2, 1, 8, 5)).shape == (2, 1, 5 * hop)
    with pytest.raises(UserError, match="power of two"):
        factors_of(96)


def test_a_view_by_period_sees_every_so_many_th_sample_alone() -> None:
    torch.manual_seed(0)
    views = Views((3,), (2,), 2)
    x = torch.randn(1, 1, 90)
    other = x.clone()
    other[0, 0, 1::3] = 0  # only the second of three columns
    by_period, by_scale = views.eval().views  # spectral norm moves in training
    for a, b in zip(by_period(x), by_period(other), strict=True):
        assert torch.equal(a[..., [0, 2]], b[..., [0, 2]])
        assert not torch.equal(a[..., 1], b[..., 1])
    swapped = x.view(1, 1, 45, 2).flip(3).flatten(2)  # neighbours have the same mean
    for a, b in zip(by_scale(x), by_scale(swapped), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.allclose(F.avg_pool1d(x, 3), F.avg_pool1d(other, 3))
