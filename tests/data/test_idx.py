from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data import idx
from sparring.data.idx import SETS, Published, open_idx, read_idx
from sparring.data.settings import Data

NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Caches and downloads of a test stay within it, and no test reaches the network."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    if "real" not in request.fixturenames:
        monkeypatch.setenv("SPARRING_DATA", str(tmp_path / "data"))
    for name, published in SETS.items():
        monkeypatch.setitem(SETS, name, replace(published, url=NOWHERE))


def idx_of(array: Tensor, kind: int = 8) -> bytes:
    sides = b"".join(side.to_bytes(4, "big") for side in array.shape)
    return bytes([0, 0, kind, array.ndim]) + sides + array.numpy().tobytes()


def small_arrays() -> list[Tensor]:
    """Train images and labels, test images and labels."""
    torch.manual_seed(0)
    images = [torch.randint(0, 256, (n, 6, 4), dtype=torch.uint8) for n in (9, 4)]
    labels = [torch.arange(n, dtype=torch.uint8) % 10 for n in (9, 4)]
    return [images[0], labels[0], images[1], labels[1]]


def small_set(folder: Path, published: Published) -> Published:
    """Write a small set under the published names; the same record with the checksums of these files."""
    folder.mkdir(parents=True)
    sums = {}
    for part, array in zip(published.parts, small_arrays(), strict=True):
        data = gzip.compress(idx_of(array))
        (folder / part).write_bytes(data)
        sums[part] = "sha256:" + hashlib.sha256(data).hexdigest()
    return replace(published, files=sums)


# -- the format ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 3, 2), (0, 3, 2)])
def test_round_trip(shape: tuple[int, ...]) -> None:
    array = torch.arange(torch.Size(shape).numel(), dtype=torch.uint8).view(shape)
    assert torch.equal(read_idx(idx_of(array), "x"), array)
    assert torch.equal(read_idx(gzip.compress(idx_of(array)), "x"), array)


GOOD = idx_of(torch.zeros(4, 3, 2, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not an idx file: it starts with nothing"),
        (b"\0\0\x08", "is not an idx file"),
        (b"\x89PNG" + GOOD, "is not an idx file: it starts with 89 50 4e 47"),
        (idx_of(torch.zeros(3, dtype=torch.uint8), kind=0x0D), "type 0x0d"),
        (b"\0\0\x08\x00", "0 sides"),
        (b"\0\0\x08\xff" + bytes(2000), "255 sides"),
        (GOOD[:-1], "says it holds 4 x 3 x 2 bytes and holds 23"),
        (GOOD + b"\0", "holds 25"),
        (GOOD[:9], "fetch it again"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + bytes(50), "4294967295 x 4294967295"),
        (gzip.compress(GOOD, mtime=0)[:-3], "ends too early"),
        (b"\x1f\x8b" + bytes(30), "is damaged"),
    ],
)
def test_lying_and_damaged_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=f"^some-file.*{message}"):
        read_idx(data, "some-file")


def test_a_flipped_byte_within_gzip_is_found() -> None:
    data = bytearray(gzip.compress(idx_of(torch.arange(200, dtype=torch.uint8)), compresslevel=0))
    data[100] ^= 1
    with pytest.raises(UserError, match="is damaged"):
        read_idx(bytes(data), "x")


def test_a_gzip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "MAX_UNPACKED", 2**20)
    bomb = gzip.compress(bytes(2**22))
    assert len(bomb) < 2**13
    with pytest.raises(UserError, match="unfolds into more than 1 MiB"):
        read_idx(bomb, "x")


# -- finding and checking --------------------------------------------------------------------------------


def test_an_unknown_name_lists_the_sets() -> None:
    with pytest.raises(UserError, match=r"data=mnits is not one of mnist.*did you mean 'mnist'"):
        open_idx("mnits", Data())


def test_a_set_found_under_sparring_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETS, "mnist", small_set(tmp_path / "data" / "mnist", SETS["mnist"]))
    splits = open_idx("mnist", Data())
    images, labels, test_images, _ = small_arrays()
    everything = splits["train"][torch.arange(9)]
    assert torch.equal(everything["image"], images[:, None])
    assert torch.equal(everything["label"], labels.long())
    assert torch.equal(splits["test"][torch.arange(4)]["image"], test_images[:, None])
    about = splits["train"].about
    assert (about.name, about.key, about.shape, about.classes) == (
        "mnist",
        "image",
        (1, 6, 4),
        tuple("0123456789"),
    )
    assert about.sha256 != splits["test"].about.sha256
    assert open_idx("mnist", Data(size="8", color="rgb"))["test"].about.shape == (3, 8, 8)


def test_a_set_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETS, "kmnist", small_set(tmp_path / "cache" / "kmnist", SETS["kmnist"]))
    assert open_idx("kmnist", Data())["train"].about.classes[2] == "su"


def test_another_checksum_is_refused(tmp_path: Path) -> None:
    small_set(tmp_path / "data" / "mnist", SETS["mnist"])  # not the published checksums
    file = tmp_path / "data" / "mnist" / SETS["mnist"].parts[0]
    with pytest.raises(UserError) as caught:
        open_idx("mnist", Data())
    message = str(caught.value)
    assert str(file) in message
    assert hashlib.sha256(file.read_bytes()).hexdigest() in message
    assert SETS["mnist"].files[file.name].removeprefix("sha256:") in message
    assert "remove it, and it is fetched again" in message


@pytest.mark.parametrize("name", SETS)
def test_no_network_says_where_to_put_the_file(name: str, tmp_path: Path) -> None:
    first = next(iter(SETS[name].files))
    with pytest.raises(UserError) as caught:
        open_idx(name, Data())
    message = str(caught.value)
    assert f"{NOWHERE}{first} could not be fetched" in message
    assert f"$SPARRING_DATA/{name}/{first}" in message
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *parts: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A server of tmp_path/site."""
    (tmp_path / "site").mkdir()
    handler = functools.partial(_Quiet, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/set/"
        server.shutdown()
        thread.join()


def test_a_download_is_checked_and_kept(tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = small_set(tmp_path / "site" / "set", SETS["mnist"])
    monkeypatch.setitem(SETS, "mnist", replace(served, url=site))
    first = open_idx("mnist", Data())["train"].about.sha256
    assert sorted(p.name for p in (tmp_path / "cache" / "mnist").iterdir()) == sorted(served.parts)
    monkeypatch.setitem(SETS, "mnist", served)  # back to a url that does not answer
    assert open_idx("mnist", Data())["train"].about.sha256 == first


def test_a_wrong_download_leaves_nothing(tmp_path: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    served = small_set(tmp_path / "site" / "set", SETS["mnist"])
    monkeypatch.setitem(SETS, "mnist", replace(served, files=SETS["mnist"].files, url=site))
    with pytest.raises(UserError, match="gave a file whose sha256 is"):
        open_idx("mnist", Data())
    monkeypatch.setattr(idx, "MAX_DOWNLOAD", 10)
    with pytest.raises(UserError, match="gives more than"):
        open_idx("mnist", Data())
    assert not list((tmp_path / "cache" / "mnist").iterdir())


def test_emnist_is_read_from_its_zip_and_turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data" / "emnist" / "gzip.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for part, array in zip(SETS["emnist"].parts, small_arrays(), strict=True):
            archive.writestr(part, gzip.compress(idx_of(array)))
    digest = "md5:" + hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(SETS, "emnist", replace(SETS["emnist"], files={"gzip.zip": digest}))
    train = open_idx("emnist", Data())["train"]
    assert torch.equal(train[torch.arange(9)]["image"], small_arrays()[0].mT[:, None])
    assert len(train.about.classes) == 47
    assert (train.about.classes[10], train.about.classes[36], train.about.classes[46]) == ("A", "a", "t")


def test_images_and_labels_that_do_not_belong_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = small_set(tmp_path / "data" / "mnist", SETS["mnist"])
    images, labels, test_images, test_labels = record.parts
    swapped = replace(record, parts=(images, test_labels, test_images, labels))
    monkeypatch.setitem(SETS, "mnist", swapped)
    with pytest.raises(UserError, match=r"images \(9, 6, 4\) do not go with labels \(4,\)"):
        open_idx("mnist", Data())
    monkeypatch.setitem(SETS, "mnist", replace(record, classes=("only", "two")))
    with pytest.raises(UserError, match="label 8, but 2 classes"):
        open_idx("mnist", Data())


# -- the real thing --------------------------------------------------------------------------------------


@pytest.fixture
def real() -> Path:
    folder = os.environ.get("SPARRING_DATA")
    if not folder:
        pytest.skip("SPARRING_DATA is not set: the published files are not here")
    return Path(folder)


@pytest.mark.parametrize(
    ("name", "labels", "prior"), [("mnist", [5, 0, 4, 1, 9], 0.0987), ("fashion-mnist", [9, 0, 0, 3, 0], 0.1)]
)
def test_real_files(real: Path, name: str, labels: list[int], prior: float) -> None:
    if not (real / name).is_dir():
        pytest.skip(f"no {name} under SPARRING_DATA")
    splits = open_idx(name, Data())
    assert (len(splits["train"]), len(splits["test"])) == (60_000, 10_000)
    first = splits["train"][torch.arange(5)]
    assert first["label"].tolist() == labels
    assert first["image"].shape == (5, 1, 28, 28)
    assert splits["train"].about.prior[0] == pytest.approx(prior, abs=1e-4)


def test_real_mnist_is_the_set_that_everyone_has(real: Path) -> None:
    if not (real / "mnist").is_dir():
        pytest.skip("no mnist under SPARRING_DATA")
    pixels = open_idx("mnist", Data())["train"][torch.arange(60_000)]["image"].numpy().tobytes()
    header = bytes.fromhex("00000803 0000ea60 0000001c 0000001c")
    digest = hashlib.md5(header + pixels).hexdigest()
    assert digest == "6bbc9ace898e44ae57da46a324031adb"  # of the raw file, as published beside the .gz
