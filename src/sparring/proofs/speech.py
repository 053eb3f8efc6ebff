"""Spoken digits by class, waves from spectrograms, and tones straight from noise: each heard by a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from sparring import judge, sampling, show
from sparring.data import About, Data, Source, open_data
from sparring.data.clusters import Relabelled
from sparring.data.few import labels_of
from sparring.data.kinds import to_float, to_int16, to_uint8, to_wave
from sparring.data.source import tensor_source
from sparring.machine import find_machine
from sparring.metrics.features import Extractor, extract
from sparring.metrics.spectra import spectral_distance
from sparring.nn.signal import RANGE, LogMel, Mel, heard, inverted, mel_of
from sparring.proofs.conditional import diversity
from sparring.proofs.emoji import kept
from sparring.proofs.play import played
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of
from sparring.runs import How

DIGITS: Mapping[str, Any] = {"rounds": 1000, "batch": 32}
EARLY: Mapping[str, Any] = {"rounds": 150}
"""When labels already tell, and a control is cheap; one seed."""
LEAST = 0.8
ASKED = 30
"""Sounds of each class."""


def spoken() -> Mapping[str, Source]:
    """The Free Spoken Digit Dataset with its own test split: the recordings 0 to 4 of every speaker and digit."""
    path = kept("fsdd", "fsdd-recordings.zip")
    return open_data(Data(data=path, labels="names", test_names="_[0-4]$"))


def whole(source: Source) -> dict[str, Tensor]:
    """All of its columns."""
    return source[torch.arange(len(source))]


def judge_of(splits: Mapping[str, Source]) -> Extractor:
    """The classifier of the real sounds, which no generator sees."""
    return judge.judge_of(splits, find_machine(How(threads=1), "sound"), Console(quiet=True))


def read(by: Extractor, sounds: Tensor, labels: Tensor) -> float:
    """Share of (N, 1, T) int16 sounds whose label is read rightly."""
    logits = extract(by, sounds).logits
    assert logits is not None
    return float((logits.argmax(1) == labels).float().mean())


def there_and_back(sounds: Tensor, mel: Mel) -> Tensor:
    """(N, 1, T) int16 -> what is heard of their spectrograms, as 8-bit pictures."""
    pictures = to_float(to_uint8(LogMel(mel)(to_wave(sounds))))
    return torch.cat([to_int16(inverted(part, mel)) for part in torch.split(pictures, 500)])


def spoken_digits(seeds: int, effort: Effort) -> Result:
    """Digits that are asked for, heard through Griffin-Lim, and read by a judge of real recordings."""
    splits = spoken()
    by, test, train = judge_of(splits), whole(splits["test"]), splits["train"]
    label, mel = test["label"], mel_of(train.about.rate, 32)
    real = extract(by, test["sound"])
    back = there_and_back(test["sound"], mel)
    claims = [
        Claim("real, test split", "read as labelled", [read(by, test["sound"], label)], reference=True),
        Claim("real, as spectrograms and back", "read as labelled", [read(by, back, label)], reference=True),
    ]
    found = [_digits(train, seed, effort, by) for seed in seeds_of(seeds)]
    claims.append(
        Claim("melgan", "read as asked", [each.right for each in found], LEAST, 1, "at least .8 on every seed")
    )
    spread = diversity(real.features, label)
    wide = [each.spread / spread for each in found]
    claims.append(Claim("melgan", "spread within a digit, of the real one", wide, reference=True))
    claims.append(Claim("melgan", "CPU seconds", [each.seconds for each in found], reference=True))
    mixed = torch.randperm(len(train), generator=torch.Generator().manual_seed(seeds_of(1)[0]))
    shuffled = Relabelled(train.about, train, labels_of(train)[mixed])
    right, control = (_digits(source, seeds_of(1)[0], effort, by, EARLY).right for source in (train, shuffled))
    claims.append(Claim(f"melgan, {EARLY['rounds']} rounds", "read as asked", [right], reference=True))
    case, target = f"the same, labels shuffled, {EARLY['rounds']} rounds", "half of that; must fail"
    claims.append(Claim(case, "read as asked", [control], right / 2, 1, target, control=True))
    text = (
        f"The recipe melgan on 2,700 recordings of six speakers at 8 kHz, {DIGITS['rounds']:,} rounds of "
        f"{DIGITS['batch']}: spectrograms of 32 bands and 40 columns. "
        f"{ASKED} of each digit are made, heard through Griffin-Lim, and read by a classifier that was trained on the "
        "recordings as waves. Spread: mean squared distance of two of one digit in its features, as a share of that of "
        "recordings of the test split. In the picture, a row for each digit: eight that were made, eight of the test "
        "split."
    )
    pictures = to_uint8(LogMel(mel)(to_wave(test["sound"])))
    rows = [torch.cat([found[0].pictures[d * ASKED :][:8], pictures[label == d][::4][:8]]) for d in range(10)]
    sheet = show.enlarged(show.grid(torch.cat(rows), 16), 1280)
    title = "Spoken digits by class: is what was asked for heard?"
    return of_claims("spoken-digits", 240, title, text, claims, {"spoken-digits": [sheet]})


@dataclass(frozen=True, eq=False)
class Said:
    """What a run of melgan makes of each digit."""

    pictures: Tensor
    right: float
    spread: float
    seconds: float


def _digits(train: Source, seed: int, effort: Effort, by: Extractor, changes: Mapping[str, Any] | None = None) -> Said:
    changes = {**DIGITS, **(changes or {}), **({} if effort == "full" else {"rounds": 20})}
    run = played("melgan", None, changes, train, seed)
    label = torch.arange(10).repeat_interleave(ASKED)
    pictures = run.made({**sampling.draw(run.game, len(label), seed), "label": label})
    sounds = heard(pictures, run.about)
    features = extract(by, sounds).features
    return Said(pictures, read(by, sounds, label), diversity(features, label), run.cpu_seconds)


VOICE: Mapping[str, Any] = {"rounds": 500}
AWAY = "spectral distance, dB"
MELS = "log-mel difference, nats"


def vocoder(seeds: int, effort: Effort) -> Result:
    """Held-out recordings from their spectrograms alone, beside Griffin and Lim's."""
    splits = spoken()
    by, test = judge_of(splits), whole(splits["test"])
    sounds, label, mel = to_wave(test["sound"]), test["label"], mel_of(splits["train"].about.rate, 32)
    seen = LogMel(mel)

    def figures(made: Tensor) -> dict[str, float]:
        return {
            AWAY: float(spectral_distance(made, sounds).mean()),
            MELS: float((seen(made) - seen(sounds)).abs().mean()) * RANGE / 2,
            "read as labelled": read(by, to_int16(made), label),
        }

    floor = figures(inverted(seen(sounds), mel, 60))
    bars: Mapping[str, tuple[float, float, str]] = {AWAY: (0.0, floor[AWAY], "below Griffin-Lim on every seed")}
    claims = [Claim("real", "read as labelled", [read(by, test["sound"], label)], reference=True)]
    claims += [Claim("Griffin-Lim, 60 rounds", name, [value], reference=True) for name, value in floor.items()]
    found, swapped = [], []
    for seed in seeds_of(seeds):
        run = played("vocoder", None, VOICE if effort == "full" else {"rounds": 3}, splits["train"], seed)
        found.append({**figures(run.made({"sound": sounds}).float() / 32767), "CPU seconds": run.cpu_seconds})
        swapped.append(figures(run.made({"sound": sounds.roll(1, 0)}).float() / 32767))
    for name in found[0]:
        low, high, target = bars.get(name, (0.0, 1.0, ""))
        claims.append(Claim("vocoder", name, [f[name] for f in found], low, high, target, reference=not target))
    low, high, _ = bars[AWAY]
    told = [each[AWAY] for each in swapped]
    claims.append(Claim("vocoder, told another's spectrogram", AWAY, told, low, high, "must fail", control=True))
    text = (
        "The recipe vocoder on the training split of the spoken digits, "
        f"{VOICE['rounds']:,} rounds of 16 segments; the 300 recordings of the test split are made again from their "
        "spectrograms of 32 bands. The spectral distance compares levels of every frequency, with windows of 64 to 512 "
        "samples; the log-mel difference is that of the spectrogram itself, which is all that Griffin-Lim lowers."
    )
    return of_claims("vocoder", 241, "Waves from spectrograms: a vocoder beside Griffin-Lim", text, claims)


RATE, LENGTH = 8000, 1024
PITCHES = tuple(220 * 2 ** (semitone / 12) for semitone in range(12))
"""Hz: the octave above the A below middle C."""
NAMES = ("A", "A#", "B", "C", "C#", "D", "D#", "E", "F", "F#", "G", "G#")
TONES: Mapping[str, Any] = {"rounds": 800, "width": 8}
IN_TUNE = 0.8


def tones(count: int, seed: int) -> Source:
    """Tones of twelve pitches with two overtones, each of random loudness and phase: sound and label."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % len(PITCHES)
    pitch = torch.tensor(PITCHES)[label][:, None] * (1 + 0.004 * torch.randn(count, 1, generator=generator))
    time, wave = torch.arange(LENGTH) / RATE, torch.zeros(count, LENGTH)
    for overtone in (1, 2, 3):
        loud = (0.4 + 0.6 * torch.rand(count, 1, generator=generator)) / overtone
        phase = torch.rand(count, 1, generator=generator)
        wave += loud * torch.sin(2 * torch.pi * (overtone * pitch * time + phase))
    about = About("tones", "sound", (1, LENGTH), NAMES, rate=float(RATE))
    return tensor_source(about, {"sound": to_int16(0.5 * wave)[:, None], "label": label})


def named(sounds: Tensor) -> Tensor:
    """(N, 1, T) int16 -> (N,) which of the twelve pitches the loudest frequency below 440 Hz is; -1 for no pitch.

    A pitch is named where that frequency is within half a semitone of it and holds, together with its two
    overtones, at least half of the power.
    """
    window = torch.hann_window(sounds.shape[2])
    size = 16 * sounds.shape[2]
    power = torch.fft.rfft(to_wave(sounds[:, 0]) * window, size).abs().square()
    at = torch.arange(power.shape[1]) * RATE / size
    low, high = PITCHES[0] * 2 ** (-1 / 24), PITCHES[-1] * 2 ** (1 / 24)
    peak = torch.where((at > low) & (at < high), power, 0).argmax(1)
    semitones = 12 * (at[peak] / PITCHES[0]).log2()
    near = torch.stack([(at - k * at[peak][:, None]).abs() < 2 * RATE / sounds.shape[2] for k in (1, 2, 3)]).any(0)
    clear = (power * near).sum(1) >= 0.5 * power.sum(1)
    nearest = semitones.round().long()
    return torch.where(clear & ((semitones - nearest).abs() <= 0.5), nearest.clamp(0, 11), -1)


def wavegan(seeds: int, effort: Effort) -> Result:
    """Tones of twelve pitches, made sample by sample, and named by their loudest frequency."""
    train, test = tones(2400, 0), whole(tones(600, 1))
    settings = {**TONES, **({} if effort == "full" else {"rounds": 5})}
    right = float((named(test["sound"]) == test["label"]).float().mean())
    claims = [Claim("real", "pitch as labelled", [right], reference=True)]
    found = [_tones(train, seed, settings) for seed in seeds_of(seeds)]
    target = f"at least {IN_TUNE:g} on every seed"
    claims.append(Claim("wavegan", "pitch as asked", [each[0] for each in found], IN_TUNE, 1, target))
    claims.append(Claim("wavegan", "any of the twelve", [each[1] for each in found], reference=True))
    claims.append(Claim("wavegan", "CPU seconds", [each[2] for each in found], reference=True))
    mixed = torch.randperm(len(train), generator=torch.Generator().manual_seed(seeds_of(1)[0]))
    control = _tones(Relabelled(train.about, train, labels_of(train)[mixed]), seeds_of(1)[0], settings)
    claims.append(Claim("labels shuffled", "pitch as asked", [control[0]], IN_TUNE, 1, "must fail", control=True))
    text = (
        f"The recipe wavegan on 2,400 tones with two overtones, {LENGTH:,} samples at 8 kHz, {settings['rounds']:,} "
        "rounds of 32. The pitch of 50 tones of each class is the loudest frequency below 440 Hz, if it holds half of "
        "the power together with its overtones; else there is none."
    )
    return of_claims("wavegan", 242, "Waves straight from noise: tones of twelve pitches", text, claims)


def _tones(train: Source, seed: int, changes: Mapping[str, Any]) -> tuple[float, float, float]:
    """(share of the pitch asked for, share with any pitch, CPU seconds)."""
    run = played("wavegan", None, changes, train, seed)
    label = torch.arange(12).repeat_interleave(50)
    heard_as = named(run.made({**sampling.draw(run.game, len(label), seed), "label": label}))
    return float((heard_as == label).float().mean()), float((heard_as >= 0).float().mean()), run.cpu_seconds
