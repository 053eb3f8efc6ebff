"""Who judges: a network trained here on the same pictures, once, and kept by content.

Where there are labels it is a classifier; where there are none it learns without any (`self_supervised`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor, nn

from sparring import self_supervised
from sparring.config import UserError, to_json
from sparring.data import About, Data, Source, Splits, open_data, stacked
from sparring.data.cache import cache_dir
from sparring.data.clusters import unlabelled
from sparring.data.kinds import ready
from sparring.data.loader import Augment, batches
from sparring.data.source import shuffled
from sparring.data.views import pictures_alone
from sparring.engine import Train, train
from sparring.files import replacing
from sparring.machine import Machine
from sparring.metrics.extractors import DEFAULT_PROTOCOL, Protocol, extractor_named
from sparring.metrics.features import CHUNK, Extractor, coordinates, extract, from_afar, pixels, weights_hash
from sparring.nn.image import ConvEncoder
from sparring.recipes import classifier

VERSION = 1
"""Counts changes of the judge's training; part of the cache's key."""
SEED = 0
FEWEST_ALONE = 500
"""Training pictures from which a judge without labels is trained."""
LEAST_ROUNDS = 200
EVENED = 2000
"""Pictures by which features get their scale."""


def judge_named(
    name: str, splits: Splits, machine: Machine, console: Console, protocol: Protocol = DEFAULT_PROTOCOL
) -> Extractor:
    """`auto` is `judge_of`, `self` is `self_judge`; all others as `extractor_named` has them."""
    if name == "auto":
        return judge_of(splits, machine, console)
    if name == "self":
        return self_judge(splits["train"], machine, console)
    return extractor_named(name, protocol, machine.device)


def judge_of(splits: Splits, machine: Machine, console: Console) -> Extractor:
    """The extractor that fits the data: its own classifier where there are labels, else `self_judge`.

    Points are judged as they are; fewer than `FEWEST_ALONE` pictures without labels by `pixels`.
    """
    splits = {name: pictures_alone(split) for name, split in splits.items()}
    about = splits["train"].about
    if about.key != "image":
        labelled = about.key in classifier.NETWORKS and len(about.classes) > 1
        if not labelled:
            return coordinates() if about.key == "point" else from_afar(about.key)
    if about.name == stacked.NAME:
        return per_channel(judge_of(open_data(Data(data="mnist")), machine, console))
    if len(about.classes) < 2:
        return self_judge(splits["train"], machine, console) if len(splits["train"]) >= FEWEST_ALONE else pixels()
    config = numbers(splits["train"], about)
    network = classifier.build(config, about).modules["classifier"]

    def train_it() -> nn.Module:
        return trained(config, splits["train"], machine)

    network = kept(network, [VERSION, SEED, about.sha256, to_json(config)], about, train_it, console)
    extractor = extractor_of(network.eval().requires_grad_(False), about, machine.device)
    return replace(extractor, accuracy=float(named_rightly(extractor, splits["test"]).float().mean()))


def kept_judge(source: Source, machine: Machine) -> Extractor | None:
    """The judge of a labelled set of pictures where it has been trained before."""
    source = pictures_alone(source)
    about = source.about
    if about.key not in classifier.NETWORKS or len(about.classes) < 2 or about.invented or not about.sha256:
        return None
    config = numbers(source, about)
    network = classifier.build(config, about).modules["classifier"]
    if not _load(network, _place([VERSION, SEED, about.sha256, to_json(config)])):
        return None
    return extractor_of(network.eval().requires_grad_(False), about, machine.device)


def self_judge(source: Source, machine: Machine, console: Console) -> Extractor:
    """Features that are learnt from the training pictures alone, once; no label is read, nothing is mirrored.

    The same for every run on the same pictures, whatever its own settings. `UserError` for points and for fewer than
    `FEWEST_ALONE` pictures.
    """
    source = pictures_alone(source)
    about = unlabelled(source).about
    if about.key != "image" or len(source) < FEWEST_ALONE:
        what, other = (f"{len(source)} pictures", "pixels") if about.key == "image" else ("points", "auto")
        raise UserError(f"judge=self needs {FEWEST_ALONE} pictures, and {about.name} has {what}; use --judge {other}")
    config = numbers_alone(len(source))
    encoder = self_supervised.build(config, about).modules["encoder"]

    def train_it() -> nn.Module:
        return trained_alone(config, unlabelled(source), machine)

    made_of = ["self", self_supervised.VERSION, SEED, about.sha256, to_json(config)]
    encoder = kept(encoder, made_of, about, train_it, console)
    return extractor_alone(encoder.eval().requires_grad_(False), about, machine.device)


def _place(made_of: Sequence[Any]) -> Path:
    """The file of weights that all this determines."""
    return cache_dir() / "judges" / f"{hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]}.safetensors"


def kept(
    network: nn.Module, made_of: Sequence[Any], about: About, train_it: Callable[[], nn.Module], console: Console
) -> nn.Module:
    """The network with its weights from the cache, where the hash of all that it is `made_of` names them; else trained.

    Data without a hash could be any other, so that they are trained on each time.
    """
    path = _place(made_of)
    if about.sha256 and _load(network, path):
        return network
    console.print(f"training a judge on {about.name}, once ...")
    network = train_it()
    if about.sha256:
        _keep(network, path, console)
    return network


def numbers(source: Source, about: About) -> classifier.Config:
    """The classifier's settings for a set: 3 passes over a large one, more over a small one."""
    large = classifier.Config()
    batch = min(large.batch, max(2, len(source) // 8))
    rounds = min(large.rounds, max(600, 3 * len(source) // batch))
    shift = (2 if min(about.shape[1:]) >= 16 else 1) if about.key == "image" else 0
    return replace(large, batch=batch, rounds=rounds, augment=Augment(shift=shift))


def trained(config: classifier.Config, source: Source, machine: Machine) -> nn.Module:
    """The averaged network of a fresh training."""
    torch.manual_seed(SEED)
    with machine.device:
        game = classifier.build(config, source.about)
    game.modules["classifier"].to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    stream = batches(source, config.batch, SEED, augment=config.augment, device=machine.device)
    state = train(game, stream, Train(config.rounds, SEED, machine.precision))
    return state.averages["classifier"].cpu()


def numbers_alone(pictures: int) -> self_supervised.Config:
    """The settings of learning without labels: fewer rounds for a small set, at least 30 passes over it."""
    large = self_supervised.Config()
    batch = min(large.batch, pictures // 2)
    return replace(large, batch=batch, rounds=min(large.rounds, max(LEAST_ROUNDS, 30 * pictures // batch)))


def trained_alone(config: self_supervised.Config, source: Source, machine: Machine) -> ConvEncoder:
    """The averaged encoder of a fresh training."""
    torch.manual_seed(SEED)
    with machine.device:
        game = self_supervised.build(config, source.about)
    for module in game.modules.values():
        module.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    stream = batches(source, config.batch, SEED, device=machine.device)
    state = train(game, stream, Train(config.rounds, SEED, machine.precision))
    encoder = cast(ConvEncoder, state.averages["encoder"]).cpu().eval()
    some = shuffled(source, SEED)[:EVENED]
    encoder.even_out(ready(source[some]["image"]))
    return encoder


def extractor_alone(encoder: nn.Module, about: About, device: torch.device) -> Extractor:
    """Features in float32, without logits."""
    sha256 = weights_hash(encoder)
    encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(images: Tensor) -> tuple[Tensor, None]:
        return encoder.features(ready(images, device)).cpu(), None  # type: ignore[operator]

    return Extractor(f"self-supervised on {about.name}", sha256, run)


def extractor_of(network: nn.Module, about: About, device: torch.device) -> Extractor:
    """Features before the last layer, and logits, in float32."""
    sha256 = weights_hash(network)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(samples: Tensor) -> tuple[Tensor, Tensor]:
        features = network.features(ready(samples, device))  # type: ignore[operator]
        return features.cpu(), network.head(features).cpu()  # type: ignore[operator]

    return Extractor(f"judge of {about.name}", sha256, run, names_classes=True)


def per_channel(digits: Extractor) -> Extractor:
    """A judge of single digits as one of triples: features beside each other, logits of the 1,000 numbers."""

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        found = extract(digits, stacked.single_digits(images))
        assert found.logits is not None
        first, second, third = found.logits.log_softmax(1).view(len(images), 3, 10).unbind(1)
        logits = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
        return found.features.reshape(len(images), -1), logits.flatten(1)

    return replace(digits, name=f"{digits.name}, on each channel", run=run)


def named_rightly(extractor: Extractor, source: Source) -> Tensor:
    """(N,) bool: whether the extractor names the label of each sample of the source."""
    right = []
    for rows in torch.split(torch.arange(len(source)), CHUNK):  # there may be more than memory holds
        columns = source[rows]
        logits = extract(extractor, columns[source.about.key]).logits
        assert logits is not None
        right.append(logits.argmax(1) == columns["label"])
    return torch.cat(right)


def _load(network: nn.Module, path: Path) -> bool:
    try:
        network.load_state_dict(parse(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError):
        return False
    return True


def _keep(network: nn.Module, path: Path, console: Console) -> None:
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    try:
        with replacing(path) as file:
            file.write(serialise(tensors))
    except OSError as error:
        console.print(f"the judge could not be kept: {error}; it will be trained again next time")
