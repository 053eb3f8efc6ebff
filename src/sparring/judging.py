"""Samples judged against data: a run's own, or pictures that any other program made. And two results compared."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor

from sparring.config import UserError, did_you_mean, read_json
from sparring.data import About, Data, Source, Splits, open_data
from sparring.data.cache import cache_dir
from sparring.data.kinds import KINDS, ready, to_wave
from sparring.data.source import shuffled
from sparring.data.tensors import brought_to
from sparring.data.toys import TOYS, Toy, captured
from sparring.engine import device_of
from sparring.files import replacing
from sparring.game import Game
from sparring.metrics.errors import Estimate, of_mean
from sparring.metrics.evaluate import Stamp, class_shares, row, stamp_json, with_floor
from sparring.metrics.features import Extractor, Features, extract
from sparring.metrics.likelihood import bounds
from sparring.metrics.pairs import psnr, ssim
from sparring.metrics.spectra import spectral_distance
from sparring.metrics.text import text_scores

MOST_SAMPLES = 10_000
FEWEST = 10
"""Held-out samples with which a judgement is worth its name."""
REFERENCE = 1
"""Seed of the real samples: the same for all who are judged against them."""
TRAINING = 20_000
"""Training samples among which copies are looked for."""
QUANTISERS = {torch.uint8: "round(127.5 (x + 1)), 8 bits", torch.int16: "round(32767 x), 16 bits"}
LARGEST_ARRAY = 2**32
"""Bytes of an .npz that are read."""


def default_split(splits: Splits) -> str:
    """Settings that are still being chosen must not see the test split."""
    return "validation" if "validation" in splits else "test"


def checked_split(splits: Splits, split: str | None) -> str:
    """The split to judge against. `UserError` for one that is not there, or was learnt from."""
    split = split or default_split(splits)
    if split == "train" or split not in splits:
        choices = [name for name in splits if name != "train"]
        why = "is what was learnt from" if split == "train" else f"is not there{did_you_mean(split, choices)}"
        raise UserError(f"split={split} {why}; use {' or '.join(choices)}")
    return split


def rows_of(source: Source, n: int, seed: int) -> Tensor:
    """Numbers of `n` samples of a source (all, if it has no more), by `seed`.

    In no order: many sets are sorted by class, and groups of a jackknife must be alike.
    """
    return shuffled(source, seed)[:n]


def features_of(extractor: Extractor, source: Source, n: int, seed: int) -> Features:
    """Of `n` samples of a source. Kept on disk under the hash of everything that they depend on."""
    rows, about = rows_of(source, n, seed), source.about
    if not about.sha256 or not extractor.fixed:
        return extract(extractor, source[rows][about.key])
    made_of = (extractor.sha256, extractor.name, extractor.protocol, about.sha256, about.key, about.shape, n, seed)
    spelled = f"2 {made_of}"
    path = cache_dir() / "features" / f"{hashlib.sha256(spelled.encode()).hexdigest()[:32]}.safetensors"
    try:
        kept = parse(path.read_bytes())
        return Features(kept["features"], kept.get("logits"))
    except (OSError, SafetensorError, KeyError):
        pass
    found = extract(extractor, source[rows][about.key])
    tensors = {"features": found.features} | ({} if found.logits is None else {"logits": found.logits})
    try:
        with replacing(path) as file:
            file.write(serialise({name: value.contiguous() for name, value in tensors.items()}))
    except OSError:  # only saves time
        pass
    return found


def check_enough(samples: int, splits: Splits, split: str) -> None:
    """`UserError` where there are too few to be judged, or to judge by: better told before a judge is trained."""
    if samples < FEWEST:
        raise UserError(f"{samples} samples are too few: judging needs at least {FEWEST}")
    if len(splits[split]) < FEWEST:
        raise UserError(
            f"split={split} has {len(splits[split])} samples, and judging needs {FEWEST}; add pictures, or set more of "
            "them aside in training (--test 0.3)"
        )


def check_alike(learnt: About, given: About) -> None:
    """`UserError` where the numbers of other data mean something else than those of samples of `learnt`."""
    if given.shape != learnt.shape:
        raise UserError(f"data of shape {given.shape} cannot judge samples of shape {learnt.shape}")
    if given.key == "text" and (given.vocabulary, given.characters) != (learnt.vocabulary, learnt.characters):
        unlike = len(set(given.vocabulary) ^ set(learnt.vocabulary))
        raise UserError(
            f"against={given.name}: its texts have a vocabulary of their own ({unlike:,} words are only in one of the "
            f"two), so that their numbers are other words than the run's; judge by a split of {learnt.name}, with "
            "--split"
        )
    timed = given.key == "sound" or given.hop or learnt.hop
    if timed and (given.rate, given.hop) != (learnt.rate, learnt.hop):
        raise UserError(
            f"against={given.name} has {given.rate:g} samples a second and a hop of {given.hop}, and the run learnt "
            f"{learnt.rate:g} and {learnt.hop}; resample it to {learnt.rate:g}"
        )


def judged(
    made: Tensor, splits: Splits, split: str, extractor: Extractor, seed: int = 1, prior: bool = True
) -> dict[str, Any]:
    """Every score of `made`, samples as the data has them, against a split; floors from training samples.

    `prior`: they were drawn as often as the classes occur, so that shares of classes mean something.
    """
    train, held_out = splits["train"], splits[split]
    about = train.about
    n = min(len(made), len(train), MOST_SAMPLES)
    check_enough(n, splits, split)
    reference = features_of(extractor, held_out, MOST_SAMPLES, REFERENCE)
    mixed = torch.randperm(len(made), generator=torch.Generator().manual_seed(seed))[:n]  # files are often sorted
    fake, floor = extract(extractor, made[mixed]), features_of(extractor, train, n, REFERENCE)
    learnt = features_of(extractor, train, TRAINING, REFERENCE)
    known = prior and extractor.names_classes and not about.invented
    metrics = with_floor(fake, floor, reference, learnt, about.prior if known else ())
    if about.name in TOYS and TOYS[about.name].centres is not None:
        metrics |= modes(made[mixed], train[rows_of(train, n, REFERENCE)][about.key], TOYS[about.name])
    if about.key == "text":
        texts = (train[rows_of(train, n, REFERENCE)], held_out[rows_of(held_out, MOST_SAMPLES, REFERENCE)])
        more = train[rows_of(train, TRAINING, REFERENCE)]
        metrics |= text_scores(made[mixed], *(columns["text"] for columns in (*texts, more)))
    stamp = Stamp(
        extractor.sha256,
        extractor.protocol,
        QUANTISERS.get(KINDS[about.key].dtype, "none"),
        "float32",
        held_out.about.sha256,
        split,
        len(reference),
        n,
        prior,
    )
    return {
        "samples": n,
        "reference": {"data": about.name, "split": split, "sha256": held_out.about.sha256, "count": len(reference)},
        "floor": f"{n} real training samples against the same reference; scores of classes: the reference itself",
        "extractor": {
            "name": extractor.name,
            "sha256": extractor.sha256,
            "features": fake.features.shape[1],
            "accuracy": extractor.accuracy,
        },
        "stamp": stamp_json(stamp),
        "metrics": metrics,
        "classes": class_shares(fake, about.classes, about.prior) if known else None,
    }


def of_pairs(scored: dict[str, Any], made: Tensor, wanted: Tensor) -> dict[str, Any]:
    """The scores of samples whose truths are known, with how near each comes to its own.

    Errors and floors are those of independent samples, and these are not: sources and references belong together.
    """
    rows = {}
    for name, given in scored["metrics"].items():
        rows[name] = {key: given[key] for key in ("value", "better")}
    floor = "none: each is compared with its own truth"
    if made.dtype == torch.int64:
        right = (made == wanted).double().sum(1) / (wanted > 0).sum(1).clamp(min=1)
        return {**scored, "floor": floor, "metrics": {**rows, "words right": row("words right", of_mean(right))}}
    if made.ndim == 2:
        cosine = torch.cosine_similarity(made.double(), wanted.double())
        return {**scored, "floor": floor, "metrics": {**rows, "cosine": row("cosine", of_mean(cosine))}}
    away = (made.float() - wanted.float()).abs().flatten(1).mean(1) / 255
    rows["mean difference"] = row("mean difference", of_mean(away))
    rows["psnr"] = row("psnr", of_mean(psnr(made, wanted).clamp(max=100)))
    if min(made.shape[2:]) >= 11:
        rows["ssim"] = row("ssim", of_mean(ssim(made, wanted)))
    return {**scored, "floor": "none: each picture is compared with its own truth", "metrics": rows}


def as_asked(scored: dict[str, Any], extractor: Extractor, made: Tensor, asked: Tensor) -> dict[str, Any]:
    """The scores of samples that were made of others, with how many are read as the (N,) classes that were asked for.

    One that is its source unchanged lies where data lie: only this tells whether anything was done.
    """
    scored = {**scored, "sources": "the other half of the samples that are held out"}
    if not extractor.names_classes:
        return scored
    logits = extract(extractor, made).logits
    assert logits is not None
    right = row("class right", of_mean((logits.argmax(1) == asked).double()))
    return {**scored, "metrics": {**scored["metrics"], "class right": right}}


def spectral_row(made: Tensor, wanted: Tensor) -> dict[str, Any]:
    """(N, 1, T) int16 sounds and their truths -> the mean difference of levels in dB, with its error."""
    return row("spectral distance", of_mean(spectral_distance(to_wave(made), to_wave(wanted)).double()))


def modes(made: Tensor, real: Tensor, toy: Toy) -> dict[str, dict[str, Any]]:
    """Centres that samples reach, and the share within 3 sigma of one; the floor is that of real points."""
    (count, quality), (count_real, quality_real) = captured(made, toy), captured(real, toy)
    error = (quality * (1 - quality) / len(made)) ** 0.5
    return {
        "modes": row("modes", Estimate(count), Estimate(count_real)),
        "high quality share": row("high quality share", Estimate(quality, error), Estimate(quality_real)),
    }


BOUND_SAMPLES, BOUND_WEIGHTS = 500, 50
"""Held-out samples whose bounds are taken in an evaluation, and weights for each."""


@torch.no_grad()
def held_out_rows(game: Game, modules: Mapping[str, Any], held_out: Source, seed: int) -> dict[str, dict[str, Any]]:
    """Of games that encode: how near held-out samples come back, and how probable they are where that is known."""
    about, device, found = held_out.about, device_of(game), dict[str, Estimate]()
    rows = rows_of(held_out, BOUND_SAMPLES, REFERENCE)
    x = ready(held_out[rows][about.key], device)
    torch.manual_seed(seed)  # bits and latents are drawn from torch's own stream
    if game.reconstruct is not None:
        away = torch.cat([(game.reconstruct(modules, part) - part).flatten(1) for part in torch.split(x, 250)])
        found["reconstruction error"] = of_mean(away.square().mean(1).sqrt())
    if game.bound is not None:
        weights = partial(game.bound.log_weights, modules)
        of = bounds(weights, x, 1 if game.bound.exact else BOUND_WEIGHTS)
        if game.bound.exact:
            found[f"nll ({game.bound.of})"] = of.nll
        else:
            found |= {f"elbo ({game.bound.of})": of.elbo, f"nll ({game.bound.of}, {of.k} weights)": of.nll}
    return {name: row(name, estimate) for name, estimate in found.items()}


def accuracy_row(right: Tensor) -> dict[str, Any]:
    """(N,) whether each was named rightly -> the share, with its error."""
    return row("accuracy", of_mean(right.double()))


def elsewhere(path: Path, about: About) -> Tensor:
    """Samples that another program made, as `about` says data are: uint8 (N, C, H, W).

    A folder or zip of pictures, or an .npz whose first array is uint8 (N, H, W, C) or (N, H, W). Pictures of another
    size or colour than the data's are brought to it. `UserError` for what cannot be read; nothing is unpickled.
    """
    if about.key != "image":
        raise UserError(
            f"{about.name} has {about.what}, not pictures; only a run's own samples can be judged against it"
        )
    channels, height, width = about.shape
    wanted = Data(size=f"{height}x{width}", color="gray" if channels == 1 else "rgba" if channels == 4 else "rgb")
    if path.suffix.lower() == ".npz":
        return brought_to(_array(path), wanted)
    splits = open_data(replace(wanted, data=str(path.expanduser().resolve()), test=0.5, fit="crop"))
    return torch.cat([source[torch.arange(len(source))]["image"] for source in splits.values()])


def _array(path: Path) -> Tensor:
    """The first array of an .npz as (N, C, H, W)."""
    try:
        with zipfile.ZipFile(path) as archive:
            if (size := sum(member.file_size for member in archive.infolist())) > LARGEST_ARRAY:
                raise UserError(f"{path} holds {size:,} bytes; at most {LARGEST_ARRAY:,} are read")
        with np.load(path, allow_pickle=False) as arrays:
            found = arrays[arrays.files[0]]
    except UserError:
        raise
    except Exception as error:  # a forged archive fails in many ways, each with an exception of its own
        raise UserError(f"{path} cannot be read as .npz: {type(error).__name__}: {str(error)[:200]}") from None
    if not isinstance(found, np.ndarray) or 0 in found.shape:
        raise UserError(f"{path}: its first member is no array of pictures")
    if found.dtype != np.uint8 or found.ndim not in (3, 4) or (found.ndim == 4 and found.shape[3] not in (1, 3, 4)):
        raise UserError(
            f"{path}: its first array is {found.dtype} of shape {found.shape}; expected are pictures as uint8 of "
            "(N, H, W, 1, 3 or 4) or (N, H, W)"
        )
    images = torch.from_numpy(np.ascontiguousarray(found if found.ndim == 4 else found[..., None]))
    return images.permute(0, 3, 1, 2).contiguous()


def read_result(path: Path) -> dict[str, Any]:
    """A run's evaluation.json, or the file itself."""
    file = path / "evaluation.json" if path.is_dir() else path
    if not file.exists():
        raise UserError(f"{path} has not been judged; do it with:  sparring evaluate {path}")
    found = read_json(file)
    if not isinstance(found, Mapping) or not isinstance(found.get("metrics"), Mapping):
        raise UserError(f"{file} is not a result of sparring evaluate")
    for name, metric in found["metrics"].items():
        row_of = metric if isinstance(metric, Mapping) else {}
        value, error = row_of.get("value"), row_of.get("se", 0.0)
        sound = isinstance(value, int | float) and abs(value) < 1e300
        if not sound or not isinstance(error, int | float) or not 0 <= error < 1e300:
            raise UserError(f"{file}: the score '{name}' is damaged; evaluate again")
    return dict(found)
