"""Extractors by name: networks with published weights from a file, ONNX files, and functions of your own.

    pixels                          averaged pixels: no knowledge
    lenet:FILE, resnet20:FILE, resnet56:FILE, squeezenet:FILE       safetensors
    inception:FILE                  the network that FID is defined by; only its distance is FID
    dinov2-small:FILE, dinov2-base:FILE, dinov2-large:FILE          features that no label has shaped, at 224 pixels
    model.onnx                      float (N, C, H, W) in [-1, 1] -> (N, d)
    mine.py:function                uint8 (N, C, H, W) -> (N, d) float features

`auto` and `self` are networks that are trained on the data themselves: `sparring.judge`.

A network sees pictures at its own size. How they get there is a protocol, and part of the stamp: `tf1` is the bilinear
filter of the first FID (no antialiasing, aligned at a corner); `clean` the antialiased bicubic one (Parmar et al.
2022), which differs by whole units of FID; `native` does not resize.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import Tensor, nn

from sparring.config import UserError, did_you_mean, is_outside, resolve
from sparring.data.tensors import recolored
from sparring.metrics.features import Extractor, pixels, weights_hash
from sparring.metrics.perceptual import Layers
from sparring.nn.dino import DinoV2
from sparring.nn.pretrained import CifarResNet, FidInception, LeNet, SqueezeNet

Protocol = Literal["tf1", "clean", "native"]
PROTOCOLS = ("tf1", "clean", "native")
INCEPTION_SHA256 = "6726825d"
"""The beginning of the hash of pt_inception-2015-12-05, as its usual name has it."""


@dataclass(frozen=True)
class Pretrained:
    """A network and how it wants its pictures."""

    network: Callable[[], nn.Module]
    color: str
    side: int
    normalise: Callable[[Tensor], Tensor]
    """(N, C, side, side) float in 0..255 -> what the network takes."""


def _imagenet(x: Tensor) -> Tensor:
    mean = torch.tensor([0.485, 0.456, 0.406], device=x.device).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225], device=x.device).view(3, 1, 1)
    return (x / 255 - mean) / deviation


def _bgr(x: Tensor) -> Tensor:
    return x.flip(1) - torch.tensor([104.0, 117.0, 123.0], device=x.device).view(3, 1, 1)


PRETRAINED: Mapping[str, Pretrained] = {
    "lenet": Pretrained(LeNet, "gray", 32, lambda x: x / 255),
    "resnet20": Pretrained(lambda: CifarResNet(3), "rgb", 32, _imagenet),
    "resnet56": Pretrained(lambda: CifarResNet(9), "rgb", 32, _imagenet),
    "squeezenet": Pretrained(SqueezeNet, "rgb", 227, _bgr),
    "inception": Pretrained(FidInception, "rgb", 299, lambda x: (x - 128) / 128),
    "dinov2-small": Pretrained(lambda: DinoV2(384, 12), "rgb", 224, _imagenet),
    "dinov2-base": Pretrained(lambda: DinoV2(768, 12), "rgb", 224, _imagenet),
    "dinov2-large": Pretrained(lambda: DinoV2(1024, 24), "rgb", 224, _imagenet),
}
DEFAULT_PROTOCOL: Protocol = "clean"


def extractor_named(name: str, protocol: Protocol = DEFAULT_PROTOCOL, device: torch.device | None = None) -> Extractor:
    """The extractor that `name` stands for, as above. `UserError` for what cannot be loaded."""
    if protocol not in PROTOCOLS:
        raise UserError(
            f"protocol={protocol} is not one of {', '.join(PROTOCOLS)}{did_you_mean(protocol, list(PROTOCOLS))}"
        )
    device = device or torch.device("cpu")
    if name == "pixels":
        return pixels()
    if name.lower().endswith(".onnx"):
        return _onnx(Path(name).expanduser())
    kind, _, file = name.partition(":")
    if kind in PRETRAINED and file:
        return _pretrained(kind, Path(file).expanduser(), protocol, device)
    if kind in PRETRAINED:
        raise UserError(f"judge={name} needs the file of its weights: {name}:FILE")
    if is_outside(name, {}):
        return _own(name)
    known = ["auto", "self", "pixels", *PRETRAINED]
    raise UserError(
        f"judge={name} is not one of {', '.join(known)}{did_you_mean(kind, known)}, a file.onnx or file.py:function"
    )


def layers_named(name: str, device: torch.device | None = None) -> Layers:
    """The layers of `squeezenet:FILE`, for `perceptual.layer_distance`; pictures come to its size as `clean` has it.

    `UserError` for a file that cannot be loaded, and for another network.
    """
    kind, _, file = name.partition(":")
    if kind != "squeezenet" or not file:
        raise UserError(f"layers={name}: the layers that are known are those of squeezenet:FILE")
    device = device or torch.device("cpu")
    network = _loaded(kind, Path(file).expanduser(), device)
    made = PRETRAINED[kind]

    def layers(pictures: Tensor) -> Sequence[Tensor]:
        x = ((pictures + 1) * 127.5).to(device)
        x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x  # bytes are not wanted here, and `recolored` makes them
        maps: Sequence[Tensor] = network.layers(made.normalise(resized(x, made.side, "clean")))  # type: ignore[operator]
        return maps

    return layers


def _loaded(kind: str, file: Path, device: torch.device) -> nn.Module:
    network = PRETRAINED[kind].network()
    weights = _weights(file)
    if kind == "inception":
        _check_inception(file)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        told = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(f"{file} does not hold the weights of {kind}: {told[:300]}") from None
    return network.eval().requires_grad_(False).to(device)


def _pretrained(kind: str, file: Path, protocol: Protocol, device: torch.device) -> Extractor:
    made = PRETRAINED[kind]
    network = _loaded(kind, file, device)

    def run(images: Tensor) -> tuple[Tensor, Tensor | None]:
        x = resized(recolored(images, made.color).to(device), made.side, protocol)
        features, logits = network(made.normalise(x))
        return features.float().cpu(), None if logits is None else logits.float().cpu()

    return Extractor(kind, weights_hash(network), run, protocol=f"{protocol} to {made.side}x{made.side}")


def _weights(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    try:
        if file.suffix == ".safetensors":
            return dict(parse(file.read_bytes()))
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise UserError(f"{file} cannot be read as weights: {error}") from None
    except Exception as error:  # the unpickler names what it refuses in exceptions of its own
        raise UserError(f"{file} holds more than weights, which is refused: {type(error).__name__}") from None
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{file} is not a mapping of names to tensors")
    return dict(found)


def _check_inception(file: Path) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if not digest.startswith(INCEPTION_SHA256):
        raise UserError(
            f"{file} has sha256 {digest[:12]}..., and FID is defined by the file {INCEPTION_SHA256}... "
            "(pt_inception-2015-12-05); values of other weights may not be called FID"
        )


def resized(images: Tensor, side: int, protocol: Protocol) -> Tensor:
    """(N, C, H, W) uint8 -> float32 (N, C, side, side) in 0..255 by a protocol. ValueError where native cannot be."""
    x = images.float()
    if protocol == "native" or x.shape[2:] == (side, side):
        if x.shape[2:] != (side, side):
            raise UserError(
                f"protocol=native: this network takes {side}x{side}, and the pictures are {x.shape[2]}x{x.shape[3]}; "
                "use --protocol clean or tf1"
            )
        return x
    if protocol == "clean":
        return F.interpolate(x, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
    return _corner_bilinear(_corner_bilinear(x, side, 2), side, 3)


def _corner_bilinear(x: Tensor, side: int, axis: int) -> Tensor:
    """One axis by the first TensorFlow's rule: output i reads input i * in / out, without a half pixel."""
    length = x.shape[axis]
    place = torch.arange(side, device=x.device, dtype=torch.float32) * (length / side)
    low = place.floor().long().clamp(max=length - 1)
    high = (low + 1).clamp(max=length - 1)
    share = (place - low).view([-1 if a == axis else 1 for a in range(4)])
    return x.index_select(axis, low) * (1 - share) + x.index_select(axis, high) * share


def _onnx(file: Path) -> Extractor:
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"judge={file} needs onnxruntime: pip install onnxruntime") from None
    try:
        session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds
        raise UserError(f"{file} cannot be opened as ONNX: {error}") from None
    entry = session.get_inputs()[0].name

    def run(images: Tensor) -> tuple[Tensor, None]:
        found = session.run(None, {entry: (images.float() / 127.5 - 1).numpy()})[0]
        return torch.from_numpy(found).float().flatten(1), None

    return Extractor(file.stem, hashlib.sha256(file.read_bytes()).hexdigest(), run, fixed=False)


def _own(name: str) -> Extractor:
    function: Callable[[Tensor], Tensor] = resolve(name, {}, "judge")
    source, _, called = name.rpartition(":")
    file = Path(source).expanduser()
    definition = (file.read_bytes() if file.is_file() else source.encode()) + called.encode()

    def run(images: Tensor) -> tuple[Tensor, None]:
        try:
            found = function(images)
        except Exception as error:  # whatever the user's own code raises
            raise UserError(f"judge={name}: {type(error).__name__}: {error}") from error
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UserError(f"judge={name} gave {shape} for {len(images)} pictures; expected is a tensor of (N, d)")
        if not bool(found.isfinite().all()):
            raise UserError(f"judge={name} gave NaN or infinity")
        return found.float(), None

    return Extractor(name.rpartition("/")[2], hashlib.sha256(definition).hexdigest(), run, fixed=False)
