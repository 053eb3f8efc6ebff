"""Sounds from files: WAV, and FLAC where soundfile is installed; resampled, cut and padded to one length."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import wave
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.decode import UnreadableError
from sparring.data.labels import common_folder, from_folders, ordered
from sparring.data.members import File, Listing, opened, single
from sparring.data.settings import Data
from sparring.data.source import About, Source, TensorSource, carve, subset, tensor_source

ENDINGS = (".wav", ".flac")
MOST = 2**29
"""Samples that are held, of all files together and of any one."""
STEP = 1024
"""Lengths are multiples of it, so that networks can halve them."""
LONGEST = 2.0
"""Seconds that are taken of a sound unless the settings say otherwise."""
PEAK = 0.95
SILENT = 1e-4
NAMES = "names"


@dataclass(frozen=True, eq=False)
class Recording:
    """A file that was read."""

    name: str
    rate: int
    wave: Tensor
    """(T,) float32 in [-1, 1], the mean of its channels."""


def is_sound(name: str) -> bool:
    """True when the file's ending is one of a sound."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def open_sounds(path: Path, settings: Data) -> dict[str, Source]:
    """`train` and `test`: sound int16 (N, 1, T); label int64 where sub-folders or names say one.

    `path` is a file, or a folder or zip of them. The loudest sample of each file is brought to .95 of the range; a
    shorter file is followed by silence; silent and broken ones are left out. `UserError` for what cannot be used.
    """
    _check(settings)
    found, left = _read_all(path)
    rate = settings.rate or Counter(one.rate for one in found).most_common(1)[0][0]
    waves = [evened(resampled(one.wave, one.rate, rate)) for one in found]
    length = _length([len(each) for each in waves], rate, settings)
    count = sum(1 if settings.cut == "start" else -(-len(each) // length) for each in waves)
    if count < 2 or count * length > MOST:
        raise UserError(
            f"data={path}: {count:,} sounds of {length:,} samples; at least 2 are needed, and at most {MOST:,} samples "
            "are held: set --seconds, --cut pieces or --rate"
        )
    pieces = [_pieces(each, length, settings.cut) for each in waves]
    root = common_folder([one.name for one in found])
    names = [one.name.removeprefix(root) for one, each in zip(found, pieces, strict=True) for _ in range(len(each))]
    labels, note = _labels(names, settings)
    columns = {"sound": torch.cat(pieces)[:, None].mul(32767).round().to(torch.int16)}
    classes = ordered(labels) if labels else ()
    if labels:
        columns["label"] = torch.tensor([classes.index(label) for label in labels])
    cut = sum(len(each) > length for each in waves) if settings.cut == "start" else 0
    notes = [*left, note, f"{cut:,} of {len(waves):,} sounds are cut to {length / rate:.2f} seconds" if cut else ""]
    about = About(path.stem, "sound", (1, length), classes, rate=float(rate), notes=tuple(filter(None, notes)))
    return _split(tensor_source(about, columns, tuple(names)), settings)


def _check(settings: Data) -> None:
    for name in ("size", "captions"):
        if getattr(settings, name) is not None:
            raise UserError(f"{name}={getattr(settings, name)}: sounds have no {name}; leave it out")
    if settings.rate is not None and not 500 <= settings.rate <= 192_000:
        raise UserError(f"rate={settings.rate} is not a number of samples a second from 500 to 192000; try 16000")
    if settings.seconds is not None and not 0 < settings.seconds <= 600:
        raise UserError(f"seconds={settings.seconds} must be more than 0 and at most 600")
    if settings.labels is not None and _place(settings.labels) is None:
        raise UserError(
            f"labels={settings.labels}: sounds are labelled by sub-folders or by their names: --labels names"
        )


def _read_all(path: Path) -> tuple[list[Recording], list[str]]:
    """What could be read, and a sentence on what was left out."""
    found, bad, held = list[Recording](), list[tuple[str, str]](), 0
    alone = path.is_file() and is_sound(path.name)
    with (
        contextlib.nullcontext(Listing([single(path)]))
        if alone
        else opened(path, is_sound, "sounds", ENDINGS) as listing
    ):
        bad += listing.bad
        for file in listing.files:
            try:
                found.append(_one(file))
            except UnreadableError as error:
                bad.append((file.name, str(error)))
                continue
            held += len(found[-1].wave)
            if held > MOST:
                raise UserError(f"data={path} has more than {MOST:,} samples; give a part of it")
    if not found:
        raise UserError(f"data={path}: none of its sounds can be used; {bad[0][0]}: {bad[0][1]}")
    return found, [f"{len(bad):,} files are left out: {bad[0][0]}: {bad[0][1]}"] if bad else []


def _one(file: File) -> Recording:
    data = file.read()
    read = _wav(data) if file.name.lower().endswith(".wav") else None
    rate, sound = read or _by_soundfile(data)
    if not bool(sound.isfinite().all()):
        raise UnreadableError("it holds NaN or infinity")
    if not len(sound) or float(sound.abs().max()) < SILENT:
        raise UnreadableError("it is empty or silent")
    return Recording(file.name, rate, sound)


_PCM = {1: ("u1", 128.0, 128.0), 2: ("<i2", 0.0, 2.0**15), 4: ("<i4", 0.0, 2.0**31)}


def _wav(data: bytes) -> tuple[int, Tensor] | None:
    """(rate, (T,)) of PCM; None for what the standard library does not read, such as WAV of floats."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            raw = file.readframes(min(file.getnframes(), len(data)))
    except (wave.Error, EOFError, ValueError, RuntimeError, OverflowError):
        return None
    if width == 3:  # 24 bits: the three bytes become the upper ones of four
        whole = np.frombuffer(raw[: len(raw) // 3 * 3], np.uint8).reshape(-1, 3)
        raw, width = np.pad(whole, ((0, 0), (1, 0))).tobytes(), 4
    if width not in _PCM:
        raise UnreadableError(f"its samples have {8 * width} bits; 8, 16, 24 or 32 are read")
    kind, middle, scale = _PCM[width]
    samples = np.frombuffer(raw[: len(raw) // (width * channels) * width * channels], kind).reshape(-1, channels)
    return _checked_rate(rate), torch.from_numpy(((samples.astype(np.float32) - middle) / scale).mean(1))


def _by_soundfile(data: bytes) -> tuple[int, Tensor]:
    if importlib.util.find_spec("soundfile") is None:
        raise UnreadableError("only PCM WAV is read without soundfile: pip install 'sparring[sounds]'")
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:  # a small FLAC can be hours of silence
            if file.frames * file.channels > MOST:
                raise UnreadableError(f"{file.frames:,} samples are more than the limit of {MOST:,}")
            return _checked_rate(file.samplerate), torch.from_numpy(file.read(dtype="float32", always_2d=True).mean(1))
    except (soundfile.SoundFileError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UnreadableError(f"cannot be decoded: {error}") from None


def _checked_rate(rate: int) -> int:
    if not 500 <= rate <= 768_000:
        raise UnreadableError(f"it says that it has {rate} samples a second")
    return rate


def resampled(sound: Tensor, before: int, after: int) -> Tensor:
    """(T,) at `before` samples a second -> (T after / before,) at `after`; what is above half of either is left out.

    By the discrete Fourier transform of the whole, with silence behind it because that treats it as a circle.
    """
    if before == after:
        return sound
    padded = torch.nn.functional.pad(sound, (0, before))
    count = round(len(padded) * after / before)
    spectrum = torch.fft.rfft(padded)
    kept = spectrum.new_zeros(count // 2 + 1)
    both = min(len(spectrum), len(kept) - (count % 2 == 0))
    kept[:both] = spectrum[:both]
    wanted = max(1, round(len(sound) * after / before))
    found: Tensor = torch.fft.irfft(kept * (count / len(padded)), count)[:wanted]
    return found


def evened(sound: Tensor) -> Tensor:
    """(T,) -> the same, as loud as can be."""
    return sound * (PEAK / sound.abs().max().clamp(min=SILENT))


def _length(lengths: Sequence[int], rate: int, settings: Data) -> int:
    """Samples of every sound."""
    ninth = sorted(lengths)[int(0.9 * (len(lengths) - 1))]
    samples = settings.seconds * rate if settings.seconds is not None else min(ninth, LONGEST * rate)
    return STEP * max(1, -(-round(samples) // STEP))


def _pieces(sound: Tensor, length: int, cut: str) -> Tensor:
    """(T,) -> (n, length), silence behind the last one; pieces that are silent are left out."""
    sound = sound[:length] if cut == "start" else sound
    whole = torch.nn.functional.pad(sound, (0, -len(sound) % length)).view(-1, length)
    return whole[whole.abs().amax(1) > SILENT] if len(whole) > 1 else whole


def _place(labels: str) -> int | None:
    """Which part of a name `names` or `names:2` mean, from 1; None for other words."""
    kind, _, number = labels.partition(":")
    if kind != NAMES or (number and not (number.isdecimal() and 0 < int(number) < 100)):
        return None
    return int(number or 1)


def _labels(names: Sequence[str], settings: Data) -> tuple[list[str] | None, str]:
    if settings.labels is None:
        labels, note = from_folders(names)
        return labels, note.replace("pictures", "sounds").replace("every picture", "every sound")
    place = _place(settings.labels) or 1
    parts = [re.split("[_-]", PurePosixPath(name).stem) for name in names]
    short = [name for name, part in zip(names, parts, strict=True) if len(part) < place]
    if short:
        raise UserError(f"labels={settings.labels}: {short[0]} has fewer than {place} parts between _ or -")
    labels = [part[place - 1] for part in parts]
    if len(set(labels)) < 2:
        raise UserError(f"labels={settings.labels}: all names say {labels[0]}; classes need at least two")
    return labels, f"labels: {len(set(labels))} classes named by part {place} of the files' names"


def _split(source: Source, settings: Data) -> dict[str, Source]:
    """By the rule for names where there is one, else by chance, all pieces of a file on one side, or of one its end."""
    names = list(source.names)  # type: ignore[attr-defined]
    if settings.test_names is None:
        files = list(dict.fromkeys(names))
        if len(files) in (1, len(names)):
            if len(files) == 1 and isinstance(source, TensorSource):
                told = (*source.about.notes, "there is one file: its end is held out")
                source = replace(source, about=replace(source.about, notes=told))
            train, test = carve(source, settings.test)
            return {"train": train, "test": test}
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0)).tolist()
        chosen = {files[i] for i in order[: min(max(1, round(settings.test * len(files))), len(files) - 1)]}
    else:
        try:
            rule = re.compile(settings.test_names)
        except re.error as error:
            raise UserError(f"test_names={settings.test_names} is no regular expression: {error}") from None
        chosen = {name for name in names if rule.search(str(PurePosixPath(name).with_suffix("")))}
    held = torch.tensor([name in chosen for name in names])
    if not 0 < int(held.sum()) < len(names):
        which = "all" if bool(held.all()) else "none"
        raise UserError(f"test_names={settings.test_names} is found in {which} of the names, such as {names[0]}")
    return {"train": subset(source, (~held).nonzero()[:, 0]), "test": subset(source, held.nonzero()[:, 0])}
