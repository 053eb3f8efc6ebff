"""Who judges: for labelled pictures a classifier trained here on the same set, once, and kept by content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor, nn

from sparring.config import to_json
from sparring.data import About, Data, Source, Splits, open_data, stacked
from sparring.data.cache import cache_dir
from sparring.data.loader import Augment, batches, to_float
from sparring.engine import Train, train
from sparring.files import replacing
from sparring.machine import Machine
from sparring.metrics.features import Extractor, coordinates, extract, pixels, weights_hash
from sparring.recipes import classifier

VERSION = 1
"""Counts changes of the judge's training; part of the cache's key."""
SEED = 0


def judge_of(splits: Splits, machine: Machine, console: Console) -> Extractor:
    """The extractor that fits the data: its own classifier where there are labels, else `pixels`."""
    about = splits["train"].about
    if about.key != "image":
        return coordinates()
    if about.name == stacked.NAME:
        return per_channel(judge_of(open_data(Data(data="mnist")), machine, console))
    if len(about.classes) < 2 or len(about.shape) != 3:
        return pixels()
    config = numbers(splits["train"], about)
    network, path = _place(config, about)
    if not about.sha256 or not _load(network, path):  # a source without a hash could be any other
        console.print(f"training a judge on {about.name}, once ...")
        network = trained(config, splits["train"], machine)
        if about.sha256:
            _keep(network, path, console)
    extractor = extractor_of(network.eval().requires_grad_(False), about, machine.device)
    return replace(extractor, accuracy=float(named_rightly(extractor, splits["test"]).float().mean()))


def kept_judge(source: Source, machine: Machine) -> Extractor | None:
    """The judge of a labelled set of pictures where it has been trained before."""
    about = source.about
    if about.key != "image" or len(about.classes) < 2 or len(about.shape) != 3 or about.invented or not about.sha256:
        return None
    network, path = _place(numbers(source, about), about)
    return extractor_of(network.eval().requires_grad_(False), about, machine.device) if _load(network, path) else None


def _place(config: classifier.Config, about: About) -> tuple[nn.Module, Path]:
    """An untrained judge, and the file that a trained one is kept in."""
    network = classifier.build(config, about).modules["classifier"]
    key = [VERSION, SEED, about.sha256, to_json(config)]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    return network, cache_dir() / "judges" / f"{name}.safetensors"


def numbers(source: Source, about: About) -> classifier.Config:
    """The classifier's settings for a set: 3 passes over a large one, more over a small one."""
    large = classifier.Config()
    batch = min(large.batch, max(2, len(source) // 8))
    rounds = min(large.rounds, max(600, 3 * len(source) // batch))
    shift = 2 if min(about.shape[1:]) >= 16 else 1
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


def extractor_of(network: nn.Module, about: About, device: torch.device) -> Extractor:
    """Features before the last layer, and logits, in float32."""
    sha256 = weights_hash(network)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        x = to_float(images.to(device)).contiguous(memory_format=torch.channels_last)
        features = network.features(x)  # type: ignore[operator]
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
    columns = source[torch.arange(len(source))]
    logits = extract(extractor, columns["image"]).logits
    assert logits is not None
    right: Tensor = logits.argmax(1) == columns["label"]
    return right


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
