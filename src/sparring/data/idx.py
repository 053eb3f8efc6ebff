"""MNIST, Fashion-MNIST, KMNIST and EMNIST: published files, found or fetched, and their checksums checked."""

from __future__ import annotations

import hashlib
import http.client
import io
import math
import os
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from sparring.config import UserError, did_you_mean
from sparring.data.cache import cache_dir
from sparring.data.settings import Data
from sparring.data.source import About, Source, tensor_source
from sparring.data.tensors import brought_to
from sparring.files import replacing

MAX_UNPACKED = 256 * 2**20
"""Bytes that one file may unfold into; the largest published one has 88 million."""
MAX_DOWNLOAD = 2**30
TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""

ROLES = ("train images", "train labels", "test images", "test labels")


@dataclass(frozen=True)
class Published:
    """Where a set comes from, and what its files must be."""

    url: str
    """Of the folder that holds `files`."""
    files: Mapping[str, str]
    """File name -> `algorithm:checksum`."""
    parts: tuple[str, str, str, str]
    """The files of `ROLES`; where `files` is one zip, its members."""
    classes: tuple[str, ...]
    licence: str
    transposed: bool = False
    """Images are stored column by column."""


_DIGITS = tuple("0123456789")
_PARTS = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _files(algorithm: str, *sums: str) -> dict[str, str]:
    return {name: f"{algorithm}:{digest}" for name, digest in zip(_PARTS, sums, strict=True)}


SETS: dict[str, Published] = {
    "mnist": Published(
        url="https://ossci-datasets.s3.amazonaws.com/mnist/",
        files=_files(
            "sha256",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
        parts=_PARTS,
        classes=_DIGITS,
        licence="MNIST: LeCun, Cortes, Burges; commonly given as CC BY-SA 3.0",
    ),
    "fashion-mnist": Published(
        url="https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        files=_files(
            "sha256",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
        parts=_PARTS,
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        licence="Fashion-MNIST: Zalando SE, MIT licence",
    ),
    "kmnist": Published(
        url="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        files=_files(
            "md5",
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        parts=_PARTS,
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        licence="KMNIST: CODH, adapted from the Kuzushiji data set, CC BY-SA 4.0",
    ),
    "emnist": Published(
        url="https://biometrics.nist.gov/cs_links/EMNIST/",
        files={"gzip.zip": "md5:58c8d27c78d21e728a6bc7b3cc06412e"},
        parts=(
            "gzip/emnist-balanced-train-images-idx3-ubyte.gz",
            "gzip/emnist-balanced-train-labels-idx1-ubyte.gz",
            "gzip/emnist-balanced-test-images-idx3-ubyte.gz",
            "gzip/emnist-balanced-test-labels-idx1-ubyte.gz",
        ),
        classes=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        licence="EMNIST balanced: Cohen et al. 2017, from NIST Special Database 19, public domain",
        transposed=True,
    ),
}


def open_idx(name: str, settings: Data) -> dict[str, Source]:
    """`train` and `test` of a set in `SETS`: `image` uint8 (n, C, H, W), `label` int64 (n,).

    Looks in `$SPARRING_DATA/<name>`, then in the cache, then downloads. Raises `UserError` for an unknown
    name, a file that is not the published one, and no network.
    """
    if name not in SETS:
        raise UserError(f"data={name} is not one of {', '.join(SETS)}{did_you_mean(name, list(SETS))}")
    published = SETS[name]
    train_images, train_labels, test_images, test_labels = _parts(name, published)
    splits = {"train": (train_images, train_labels), "test": (test_images, test_labels)}
    return {split: _source(name, published, *pair, settings) for split, pair in splits.items()}


def _source(name: str, published: Published, images: Tensor, labels: Tensor, settings: Data) -> Source:
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise UserError(f"data={name}: images {tuple(images.shape)} do not go with labels {tuple(labels.shape)}")
    if int(labels.max()) >= len(published.classes):
        raise UserError(f"data={name}: label {int(labels.max())}, but {len(published.classes)} classes")
    images = images.mT.contiguous() if published.transposed else images
    images = brought_to(images[:, None], settings)
    about = About(
        name=name,
        key="image",
        shape=tuple(images.shape[1:]),
        classes=published.classes,
        notes=(published.licence,),
    )
    return tensor_source(about, {"image": images, "label": labels.long()})


def _parts(name: str, published: Published) -> list[Tensor]:
    """The four arrays of `ROLES`."""
    files = {file: _verified(name, published, file) for file in published.files}
    if set(published.parts) == set(files):
        return [read_idx(files[part], part) for part in published.parts]
    (archive,) = files.values()
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        return [read_idx(_member(members, part), part) for part in published.parts]


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        return member.read(MAX_UNPACKED)


# -- finding and fetching --------------------------------------------------------------------------------


def _verified(name: str, published: Published, file: str) -> bytes:
    """The bytes of a published file, wherever it is, after its checksum."""
    path = _found(name, file)
    if path is None:
        path = cache_dir() / name / file
        _download(published.url + file, path, published.files[file], name)
    data = path.read_bytes()
    algorithm, _, expected = published.files[file].partition(":")
    actual = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    if actual != expected:
        raise UserError(
            f"{path} is not the published file: its {algorithm} is {actual} and should be {expected}; "
            f"remove it, and it is fetched again, or put the one from {published.url}{file} there"
        )
    return data


def _found(name: str, file: str) -> Path | None:
    own = os.environ.get("SPARRING_DATA")
    folders = ([Path(own).expanduser() / name] if own else []) + [cache_dir() / name]
    return next((folder / file for folder in folders if (folder / file).is_file()), None)


def _download(url: str, path: Path, checksum: str, name: str) -> None:
    """Fetch to `path`, which appears only once it is complete and right."""
    algorithm, _, expected = checksum.partition(":")
    by_hand = f"fetch it by hand and put it in $SPARRING_DATA/{name}/{path.name}, or in {path.parent}"
    try:
        with replacing(path) as file:
            digest = _copy(url, file, algorithm, path.name)
            if digest != expected:
                raise UserError(
                    f"{url} gave a file whose {algorithm} is {digest} and should be {expected}; "
                    f"try again later, or {by_hand}"
                )
    except (OSError, http.client.HTTPException) as error:  # OSError: URLError, timeouts and full disks
        reason = getattr(error, "reason", None) or error
        raise UserError(f"data={name}: {url} could not be fetched ({reason}); {by_hand}") from None


def _copy(url: str, file: IO[bytes], algorithm: str, title: str) -> str:
    """Write what is at `url` to `file`, `MAX_DOWNLOAD` bytes at most; returns its checksum."""
    digest, received = hashlib.new(algorithm, usedforsecurity=False), 0
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, bar:
        length = answer.headers.get("Content-Length", "")
        task = bar.add_task(title, total=int(length) if length.isdecimal() else None)
        while block := answer.read(2**20):
            received += len(block)
            if received > MAX_DOWNLOAD:
                raise UserError(f"{url} gives more than {MAX_DOWNLOAD // 2**20} MiB, which no published file has")
            file.write(block)
            digest.update(block)
            bar.update(task, completed=received)
    return digest.hexdigest()


# -- the format ------------------------------------------------------------------------------------------


def read_idx(data: bytes, where: str) -> Tensor:
    """The uint8 array in an idx file, gzipped or not: two zeros, type, number of sides, sides, values.

    Raises `UserError`, naming `where`, unless the sides account for every byte.
    """
    raw = _gunzipped(data, where) if data[:2] == b"\x1f\x8b" else data
    if len(raw) < 4 or raw[:2] != b"\0\0":
        raise UserError(f"{where} is not an idx file: it starts with {raw[:4].hex(' ') or 'nothing'}")
    kind, ndim = raw[2], raw[3]
    if kind != 8 or not 1 <= ndim <= 4:
        raise UserError(
            f"{where}: idx type 0x{kind:02x} with {ndim} sides; only bytes (0x08) with 1 to 4 sides are read"
        )
    start = 4 + 4 * ndim
    shape = tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4))
    if len(raw) != start + math.prod(shape):
        raise UserError(
            f"{where} says it holds {' x '.join(map(str, shape))} bytes and holds {len(raw) - start}; fetch it again"
        )
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy())


def _gunzipped(data: bytes, where: str) -> bytes:
    """Unpack one gzip stream, to `MAX_UNPACKED` at most."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        raw = unpacker.decompress(data, MAX_UNPACKED)
    except zlib.error as error:
        raise UserError(f"{where} is damaged ({error}); fetch it again") from None
    if unpacker.unconsumed_tail:
        raise UserError(f"{where} unfolds into more than {MAX_UNPACKED // 2**20} MiB; no published file does")
    if not unpacker.eof:
        raise UserError(f"{where} ends too early; fetch it again")
    return raw
