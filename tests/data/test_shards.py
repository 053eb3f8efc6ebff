"""Tar shards: the same samples as the folder's, whoever reads them, from wherever, through every accident."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import os
import socketserver
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from sparring import checkpoint, cli
from sparring.config import UserError, no_outside_code
from sparring.data import Data, open_data, shards, stores
from sparring.data.clusters import unlabelled
from sparring.data.decode import Decoded, decode
from sparring.data.loader import Augment, batches
from sparring.data.packing import bytes_of, packed
from sparring.data.pictures import open_pictures
from sparring.data.shards import INDEX, expanded, parsed, written
from sparring.data.source import WINDOW, Source, files_of, labels_of, shuffled, subset
from sparring.data.stores import ShardError
from sparring.seeds import mix

SIZE = 8


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (10, 12, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 90 pictures in three classes, and a bad one."""
    root = tmp_path_factory.mktemp("set") / "pics"
    for number in range(90):
        path = root / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    (root / "a" / "bad.png").write_bytes(b"\x89PNG, not really")
    return root


@pytest.fixture(scope="module")
def made(folder: Path) -> Path:
    out = folder.parent / "shards"
    assert packed(folder, out, 10_000, Data(data=str(folder))).bad == (
        ("a/bad.png", "not a picture in a known format, or its header is damaged"),
    )
    return out


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in made.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stores, "PAUSES", (0.0, 0.0))
    return tmp_path / "cache" / "shards"


def opened(data: object, **more: object) -> dict[str, Source]:
    return open_data(Data(data=str(data), size=SIZE, **more))  # type: ignore[arg-type]


def hashed(source: Source, start: int = 0, count: int = 14, **more: object) -> str:
    """Of so many batches of 16: into a third epoch."""
    digest = hashlib.sha256()
    stream = batches(source, 16, 3, start, Augment(flip=True, shift=1), **more)  # type: ignore[arg-type]
    for batch in islice(stream, count):
        for name in sorted(batch):
            digest.update(name.encode() + batch[name].numpy().tobytes())
    return digest.hexdigest()


def rows(source: Source) -> list[tuple[bytes, int]]:
    columns = source[torch.arange(len(source))]
    pairs = zip(columns["image"], columns["label"].tolist(), strict=True)
    return sorted((image.numpy().tobytes(), label) for image, label in pairs)


# -- the same samples ------------------------------------------------------------------------------------


def test_shards_hold_what_the_folder_holds_split_and_labelled_alike(folder: Path, made: Path) -> None:
    plain, packed_ = open_pictures(folder, Data(data=str(folder), size=SIZE)), opened(made)
    assert len(list(made.glob("*.tar"))) > 2 * WINDOW
    for split in ("train", "test"):
        assert rows(packed_[split]) == rows(plain[split])
        assert replace(packed_[split].about, name="", sha256="", notes=()) == replace(
            plain[split].about, name="", sha256="", notes=()
        )
    assert packed_["train"].about.sha256 != packed_["test"].about.sha256


def test_the_same_pictures_give_the_same_bytes_and_others_read_them(folder: Path, made: Path, tmp_path: Path) -> None:
    packed(folder, tmp_path / "again", 10_000, Data(data=str(folder)))
    for file in made.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
    with tarfile.open(made / "train-00000.tar") as tar:
        names = tar.getnames()
    assert names[:4] == ["000000000.png", "000000000.cls", "000000001.png", "000000001.cls"]


def test_any_number_of_workers_gives_one_hash(made: Path) -> None:
    source = opened(made)["train"]
    assert len({hashed(source, workers=workers) for workers in (None, 0, 1, 2, 5)}) == 1
    assert hashed(source, workers=0) != hashed(source, start=1, workers=0)


def test_processes_read_their_own_rows_of_every_batch(made: Path) -> None:
    source = opened(made)["train"]
    whole = list(islice(batches(source, 16, 3), 8))
    halves = [list(islice(batches(source, 16, 3, part=(rank, 2)), 8)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert torch.equal(batch["image"], torch.cat([first["image"], second["image"]]))


def test_going_on_in_the_middle_of_an_epoch_is_exact(made: Path) -> None:
    source = opened(made)["train"]
    whole = list(islice(batches(source, 16, 3, workers=2), 9))
    for start in (1, 4, 6):  # 5 batches are an epoch
        later = islice(batches(source, 16, 3, start, workers=1), 9 - start)
        assert all(torch.equal(a["image"], b["image"]) for a, b in zip(whole[start:], later, strict=True))


def test_an_epoch_shows_everything_once_and_reads_few_shards_at_a_time(made: Path) -> None:
    source = opened(made)["train"]
    files = files_of(source)
    assert files is not None
    first, second = shuffled(source, 1), shuffled(source, 2)
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(len(source)))
    assert not torch.equal(first, second)
    for order in (first, second):
        turn = files[order]
        last = {int(file): place for place, file in enumerate(turn.tolist())}
        begun = {int(file): place for place, file in reversed(list(enumerate(turn.tolist())))}
        open_at = [sum(begun[f] <= place <= last[f] for f in last) for place in range(len(turn))]
        assert max(open_at) <= WINDOW
        assert len(set(turn[:16].tolist())) > 1  # mixed within, too
    part = subset(source, torch.arange(0, len(source), 3))
    assert sorted(shuffled(part, 0).tolist()) == list(range(len(part)))
    assert files_of(unlabelled(source)) is not None


def test_labels_are_known_without_reading_a_picture(own: Path) -> None:
    source = opened(own)["train"]
    for file in own.glob("*.tar"):
        file.unlink()
    shares = torch.bincount(labels_of(source)) / len(source)
    assert shares.tolist() == pytest.approx(source.about.prior)
    assert len(subset(source, torch.arange(7)).about.prior) == 3


# -- accidents on a disk ---------------------------------------------------------------------------------


def test_a_shard_that_vanishes_is_named_and_nothing_is_lost(own: Path) -> None:
    source = opened(own)["train"]
    whole = [batch["image"] for batch in islice(batches(source, 4, 3, workers=0), 20)]
    files = files_of(source)
    assert files is not None
    lost = own / f"train-{int(files[shuffled(source, mix(3, 0))[-1]]):05d}.tar"  # read last of the first epoch
    for workers in (0, 2):
        stream, got = batches(source, 4, 3, workers=workers), list[torch.Tensor]()
        collect(islice(stream, 5), got)
        aside = lost.rename(own.parent / "aside")
        with pytest.raises(ShardError, match=rf"{lost} cannot be read .* put it back, then resume"):
            collect(stream, got)
        aside.rename(lost)
        assert 5 <= len(got) < 20
        got += [batch["image"] for batch in islice(batches(source, 4, 3, len(got), workers=workers), 20 - len(got))]
        assert all(torch.equal(a, b) for a, b in zip(whole, got, strict=True))


def collect(stream: Iterable[dict[str, torch.Tensor]], got: list[torch.Tensor]) -> None:
    for batch in stream:
        got.append(batch["image"])


def test_a_flipped_byte_is_noticed_and_named(own: Path) -> None:
    source = opened(own)["train"]
    path, offset = own / "train-00002.tar", int(source.index.offset[source.index.files == 2][1])  # type: ignore[attr-defined]
    data = bytearray(path.read_bytes())
    data[offset + 60] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ShardError, match=rf"train-00002.tar, byte {offset}\) is damaged"):
        hashed(source)
    path.write_bytes(bytes(data[:-512]))
    with pytest.raises(ShardError, match="has 19968 bytes and should have 20480; copy it again"):
        hashed(source)


def test_a_worker_that_dies_is_an_error_in_its_own_batch(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(made)["train"]
    whole = [batch["image"] for batch in islice(batches(source, 8, 3, workers=0), 9)]
    victim = whole[6]
    broken = decode
    wanted = {((image * 127.5 + 127.5).round().byte()).numpy().tobytes() for image in victim[3:4]}

    def dies(data: bytes, height: int, width: int, fit: str) -> Decoded:
        found = broken(data, height, width, fit)
        if found.pixels.tobytes() in wanted:
            raise MemoryError("no room")
        return found

    monkeypatch.setattr(shards, "decode", dies)
    got = list[torch.Tensor]()
    with pytest.raises(MemoryError):
        collect(batches(source, 8, 3, workers=2), got)
    assert len(got) == 6  # all before it, and none after
    monkeypatch.setattr(shards, "decode", broken)
    got += [batch["image"] for batch in islice(batches(source, 8, 3, 6, workers=2), 3)]
    assert all(torch.equal(a, b) for a, b in zip(whole, got, strict=True))


# -- from elsewhere --------------------------------------------------------------------------------------


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    folder: Path
    asked: Counter[str]
    answer: Callable[[str, int, bytes], tuple[int, bytes, int]]
    """(name, how often it was asked for, content) -> (status, body, length that is told)."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.asked[name] += 1
        file = self.server.folder / name
        body = file.read_bytes() if file.is_file() else b""
        status, body, length = self.server.answer(name, self.server.asked[name], body)
        self.send_response(status if file.is_file() else 404)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        file = self.server.folder / self.path.rpartition("/")[2]
        self.send_response(200 if file.is_file() else 404)
        if file.is_file():
            self.send_header("Content-Length", str(file.stat().st_size))
            self.send_header("ETag", hashlib.sha256(file.read_bytes()).hexdigest())
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(own: Path) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), _Handler) as found:
        found.folder, found.asked = own, Counter()
        found.answer = lambda name, times, body: (200, body, len(body))
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/set"


def test_http_gives_the_same_and_each_shard_is_fetched_once(server: Server, made: Path) -> None:
    far, near = opened(url(server))["train"], opened(made)["train"]
    assert far.about.sha256 == near.about.sha256
    assert hashed(far, workers=2) == hashed(near)
    assert {server.asked[file.name] for file in made.glob("train*.tar")} == {1}


def held(cache: Path) -> int:
    """Bytes of the copies, while threads fetch and remove them."""
    total = 0
    for file in cache.glob("*.tar"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def test_the_cache_stays_within_its_bounds(server: Server, made: Path, cache: Path) -> None:
    far = opened(url(server), shard_cache=50e-6)["train"]  # 50 kB
    most = 0
    for batch, _ in zip(batches(far, 16, 3, workers=2), range(14), strict=False):
        assert len(batch["image"]) == 16
        most = max(most, held(cache))
    assert 20_000 < most <= 50_000
    assert hashed(far) == hashed(opened(made)["train"])
    assert max(server.asked.values()) > 1


def test_a_server_that_falters_is_asked_again(server: Server, made: Path) -> None:
    def falters(name: str, times: int, body: bytes) -> tuple[int, bytes, int]:
        if times == 1:
            return (503, b"", 0) if name.endswith("0.tar") else (200, body[:-700], len(body))  # a broken connection
        return (200, bytes(len(body)), len(body)) if times == 2 and name.endswith("1.tar") else (200, body, len(body))

    server.answer = falters
    assert hashed(opened(url(server))["train"]) == hashed(opened(made)["train"])
    assert server.asked["train-00001.tar"] == 3  # broken off, wrong bytes, right


def test_a_server_that_stays_silent_is_an_error_that_names_the_shard(server: Server, cache: Path) -> None:
    source = opened(url(server))["train"]
    (server.folder / "train-00003.tar").unlink()
    with pytest.raises(ShardError, match=r"set/train-00003.tar could not be fetched \(the server says 404 Not Found\)"):
        hashed(source, workers=0)
    assert server.asked["train-00003.tar"] == 1  # such an answer is final
    server.answer = lambda name, times, body: (200, b"<html>" + body[6:], len(body))
    for file in cache.glob("*.tar"):
        file.unlink()
    with pytest.raises(ShardError, match="with another checksum"):
        hashed(source)
    server.shutdown()
    server.server_close()
    with pytest.raises(ShardError, match=r"could not be fetched \(.*[Rr]efused.* resume: nothing of the set is lost"):
        opened(url(server))
    assert not [file for file in cache.glob(".*") if file.name != ".lock"]


def test_a_damaged_copy_in_the_cache_is_fetched_again(server: Server, made: Path, cache: Path) -> None:
    source = opened(url(server))["train"]
    right = hashed(source)
    for file in cache.glob("*.tar"):
        file.write_bytes(bytes(file.stat().st_size))
    assert hashed(source, workers=2) == right
    assert server.asked["train-00000.tar"] == 2


def test_an_object_store_is_read_through_fsspec(made: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    for file in made.iterdir():
        files.pipe(f"/bucket/{file.name}", file.read_bytes())
    source = opened("memory://bucket")["train"]
    assert hashed(source) == hashed(opened(made)["train"])
    with pytest.raises(ShardError, match=r"memory://nowhere/index.safetensors could not be fetched"):
        opened("memory://nowhere")
    with pytest.raises(UserError, match=r"data=gopher://x: 'gopher' is not one of http"):
        opened("gopher://x")
    for who in ("me:secret", "token", "me:", ":secret"):
        with pytest.raises(UserError, match="an address with a user or password"):
            opened(f"https://{who}@x/set")


# -- shards made elsewhere -------------------------------------------------------------------------------


def tar_of(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def foreign(root: Path, count: int = 4) -> Path:
    for number in range(count):
        members = dict[str, bytes]()
        for i in range(6):
            stem = f"some/sample_{number}{i}"
            members |= {f"{stem}.png": picture(number * 6 + i), f"{stem}.cls": b"%d\n" % (i % 2), f"{stem}.json": b"{}"}
        tar_of(root / f"data-{number:03d}.tar", members)
    return root


def test_shards_of_webdataset_are_indexed_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    root = foreign(tmp_path / "foreign")
    splits = opened(root, test=0.25)
    assert {name: len(split) for name, split in splits.items()} == {"train": 18, "test": 6}
    assert splits["train"].about.classes == ("0", "1")
    assert splits["train"].about.shape == (3, SIZE, SIZE)
    assert rows(splits["test"]) == sorted(
        (decode(picture(18 + i), SIZE, SIZE, "crop").pixels.tobytes(), i % 2) for i in range(6)
    )
    server.folder = root
    far = opened(f"{url(server)}/data-{{000..003}}.tar", test=0.25)
    assert rows(far["train"]) == rows(splits["train"])
    monkeypatch.setattr(shards, "indexed", None)  # neither is read again
    assert rows(opened(root, test=0.25)["train"]) == rows(far["train"])
    assert rows(opened(f"{url(server)}/data-{{000..003}}.tar", test=0.25)["test"]) == rows(splits["test"])


def test_shards_elsewhere_that_have_changed_are_fetched_and_indexed_anew(
    tmp_path: Path, cache: Path, server: Server
) -> None:
    server.folder = foreign(tmp_path / "foreign")
    address = f"{url(server)}/data-{{000..003}}.tar"
    before = opened(address)["train"].about.sha256
    assert opened(address)["train"].about.sha256 == before
    third = server.folder / "data-002.tar"
    size = third.stat().st_size
    tar_of(third, {f"other{i}.png": picture(99 + i) for i in range(6)} | {f"other{i}.cls": b"1" for i in range(6)})
    assert third.stat().st_size == size  # tars are padded
    splits = opened(address)
    assert splits["train"].about.sha256 != before
    assert {server.asked[f"data-00{i}.tar"] for i in (0, 1, 3)} == {1}
    assert server.asked["data-002.tar"] == 2
    assert len(rows(splits["train"])) == 18
    server.shutdown()
    server.server_close()  # nobody can tell whether it has changed
    assert opened(address)["train"].about.sha256 == splits["train"].about.sha256


def test_an_address_is_of_a_store_and_goes_over_the_wire_in_ascii(server: Server, made: Path) -> None:
    far = opened(f"{url(server)}/ein schöner satz")["train"]
    assert far.about.sha256 == opened(made)["train"].about.sha256
    for told, sent in (
        ("https://bücher.example:80/ä b/%20x?q=ü", "https://xn--bcher-kva.example:80/%C3%A4%20b/%20x?q=%C3%BC"),
        ("http://[::1]:80/{0..9}.tar?sig=a%2Fb&v=1", "http://[::1]:80/%7B0..9%7D.tar?sig=a%2Fb&v=1"),
    ):
        assert stores.over_the_wire(told) == sent
    assert stores.checked("http://[::1]:80/set").hostname == "::1"
    for address, why in (
        ("simplecache::https://x/set", "a chain of addresses"),
        ("s3://x/set::ssh://y/z", "a chain of addresses"),
        ("ssh://x/set", "'ssh' is not one of http, https"),
        ("https://[x/set", "is not an address"),
        ("https://ü..x/set", "is not an address"),
    ):
        with pytest.raises(UserError, match=why):
            opened(address)


def test_a_run_from_elsewhere_does_not_choose_who_is_contacted(server: Server) -> None:
    with no_outside_code(), pytest.raises(UserError, match=r"reading a run does not contact it.*--trust"):
        opened(url(server))
    with no_outside_code("https://another.example/set"), pytest.raises(UserError, match="does not contact it"):
        opened(url(server))
    assert not server.asked
    with no_outside_code(url(server)):
        assert len(opened(url(server))["train"])


@pytest.mark.parametrize("hidden", ["._{}.png", "./._{}.png", "__MACOSX/{}.png", "a/.thumbs/{}.png"])
def test_what_a_mac_puts_into_a_tar_is_passed_over(tmp_path: Path, hidden: str) -> None:
    members = {hidden.format(i): b"Mac OS X" for i in range(9)} | {f"./{i}.png": picture(i) for i in range(9)}
    assert sum(map(len, opened(tar_of(tmp_path / "mac.tar", members)).values())) == 9


def test_one_tar_is_a_set_and_color_is_looked_for(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (9, 9), 7).save(stream, "PNG")
    members = {f"{i}.png": stream.getvalue() for i in range(10)}
    splits = opened(tar_of(tmp_path / "one.tar", members), test=0.2)
    assert {name: (len(split), split.about.shape) for name, split in splits.items()} == {
        "train": (8, (1, SIZE, SIZE)),
        "test": (2, (1, SIZE, SIZE)),
    }
    assert not splits["train"].about.classes


def test_what_is_wrong_with_a_tar_is_told(tmp_path: Path) -> None:
    sound = {f"{i}.png": picture(i) for i in range(3)}
    for members, told in (
        ({**sound, "0.jpg": picture(9)}, "holds two pictures of the sample '0', the second '0.jpg'; .* only one"),
        ({"0.png": picture(0)}, r"has 1 sample\(s\); at least 2 are needed"),
        ({**sound, "0.cls": b"cat"}, "holds b'cat', not the number of a class"),
        ({**sound, "0.cls": b"9" * 20}, "not the number of a class"),
        ({**sound, "7.png": b""}, "holds '7.png' of 0 bytes"),
        ({"a.txt": b"hello"}, "holds no pictures"),
    ):
        with pytest.raises(UserError, match=told):
            opened(tar_of(tmp_path / f"{hash(told)}.tar", members))
    whole = tar_of(tmp_path / "whole.tar", sound).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:2500])
    with pytest.raises(ShardError, match=r"cut.tar ends too early, or is compressed"):
        opened(tmp_path / "cut.tar")
    with pytest.raises(ShardError, match="ends too early, or is compressed"):
        opened(tar_of(tmp_path / "zipped.tar", sound, "w:gz"))
    (tmp_path / "noise.tar").write_bytes(b"n" * 4096 + bytes(1024))
    with pytest.raises(ShardError, match="is not a sound tar"):
        opened(tmp_path / "noise.tar")
    with pytest.raises(ShardError, match=r"gone.tar cannot be read \(No such file"):
        opened(tmp_path / "gone.tar")
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ShardError, match=r"'1.png', which is no plain file"):
        opened(tmp_path / "link.tar")
    tar_of(tmp_path / "bad.tar", {**{f"{i}.png": picture(i) for i in range(80)}, "99.png": b"not a picture"})
    splits = opened(tmp_path / "bad.tar", test=0.02)
    with pytest.raises(ShardError, match=r"bad.tar, byte \d+\): not a picture .* which leaves out"):
        [source[torch.arange(len(source))] for source in splits.values()]


def test_a_lying_index_is_refused(own: Path) -> None:
    index = parsed(own / INDEX, "index")
    size, shard = index.size.clone(), index.facts.shards[0]
    size[3] = 2**30
    lies = (
        replace(index, size=size),
        replace(index, label=index.label[1:]),
        replace(index, label=index.label + 5),
        replace(index, facts=replace(index.facts, format=9)),
        replace(index, facts=replace(index.facts, shards=(replace(shard, name="../x.tar"), *index.facts.shards[1:]))),
    )
    for lie in lies:
        (own / INDEX).write_bytes(written(lie))
        with pytest.raises(UserError, match=f"{INDEX} is not a sound index"):
            opened(own)
    for data in (b"", b"nonsense", save({"a": torch.ones(2)}), save({"a": torch.ones(2)}, {"sparring": "[" * 9000})):
        (own / INDEX).write_bytes(data)
        with pytest.raises(UserError, match=f"{INDEX} is not a sound index"):
            opened(own)


def test_words_that_cannot_be_used(made: Path, folder: Path, tmp_path: Path) -> None:
    assert expanded("x-{08..11}.tar") == ["x-08.tar", "x-09.tar", "x-10.tar", "x-11.tar"]
    for wrong in ("{1..0}.tar", "{a,b}.tar", "{0..3}{0..3}.tar", "{0..999999999}.tar"):
        with pytest.raises(UserError, match=r"shards; from 1 to|braces are for numbers"):
            expanded(wrong)
    for more, told in (
        ({"workers": -1}, "workers=-1 is not"),
        ({"shard_cache": 0.0}, "shard_cache=0.0 must"),
        ({"labels": "x.csv"}, "give it to sparring data shard"),
    ):
        with pytest.raises(UserError, match=told):
            opened(made, **more)
    assert bytes_of("1.5 GB") == 1_500_000_000
    for wrong in ("12", "0MB", "big", "-3MB"):
        with pytest.raises(UserError, match=f"bytes={wrong} is not a size"):
            bytes_of(wrong)
    with pytest.raises(UserError, match="is there already"):
        packed(folder, made, 10_000, Data())
    with pytest.raises(UserError, match="holds shards already"):
        packed(made, tmp_path / "new", 10_000, Data())
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.png").write_bytes(picture(0))
    tar_of(tmp_path / "mixed" / "old.tar", {"a.png": picture(0)})
    assert not shards.is_shards(str(tmp_path / "mixed"))  # a tar that lies beside one's pictures


def test_packing_that_is_broken_off_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.data.packing.index_of", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        packed(folder, tmp_path / "out", 10_000, Data(data=str(folder)))
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


# -- in use ----------------------------------------------------------------------------------------------


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """42 MB of pixels (170 MB as floats) pass through batches of 1.6 MB (6 MB)."""
    for number in range(240):
        Image.new("RGB", (256, 256), (number % 256, number // 256, 9)).save(tmp_path / f"{number}.png")
    packed(tmp_path, tmp_path / "out", 100_000, Data(data=str(tmp_path)))
    code = """
import resource, sys
from sparring.data import Data, open_data
from sparring.data.loader import batches
stream = batches(open_data(Data(data=sys.argv[1], size=256))["train"], 8, 0, workers=2)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(5): next(stream)
before = peak()
for _ in range(22): next(stream)
print((peak() - before) // 1024)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert int(done.stdout) < 40


def test_a_run_that_lost_a_shard_goes_on_as_if_it_had_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", "shard", str(folder), "-o", "mine", "--bytes", "10KB"]) == 0
    assert "81 train, 9 test; " in capsys.readouterr().out
    words = "--data mine --size 8 --batch 8 --threads 1 --snapshots 1 --no-evaluate --save-every 0 --clusters 0"
    train = ["train", "mlp", *words.split(), "--rounds", "30", "--name"]
    assert cli.main([*train, "whole"]) == 0
    shard, read = tmp_path / "mine" / "train-00004.tar", stores.Store.read

    def lost(store: stores.Store, wanted: stores.Wanted, offset: int, size: int) -> bytes:
        if shard.exists() and checkpoint.listed(tmp_path / "runs" / "broken" / "checkpoints"):
            shard.rename(tmp_path / "aside")
        return read(store, wanted, offset, size)

    monkeypatch.setattr(stores.Store, "read", lost)
    assert cli.main([*train, "broken", "--workers", "1"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"training stopped: data: {shard} cannot be read" in told
    assert "The last good checkpoint is" in told
    monkeypatch.setattr(stores.Store, "read", read)
    (tmp_path / "aside").rename(shard)
    assert cli.main(["resume", "runs/broken"]) == 0
    ends = [checkpoint.listed(tmp_path / "runs" / name / "checkpoints")[-1].name for name in ("whole", "broken")]
    assert ends[0] == ends[1]  # the round and the hash of everything
