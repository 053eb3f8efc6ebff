"""The service: what it answers is what the run makes, requests share passes, and nothing that is sent breaks it."""

import asyncio
import base64
import functools
import io
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("starlette", reason="pip install 'sparring[serve]'")
pytest.importorskip("httpx", reason="pip install 'sparring[dev]'")

from starlette.testclient import TestClient

import sparring
from sparring import UserError, sampling, trained
from sparring.export import export
from sparring.serve.asked import Parameter, Refused, read
from sparring.serve.desk import Desk
from sparring.serve.model import Limits, Served, mixed
from sparring.serve.run import opened
from sparring.serve.web import application
from tests.test_export import BY_RECIPE, run_of

Opened = Callable[..., TestClient]


@pytest.fixture
def serving(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens a recipe of no rounds as a service."""
    monkeypatch.setattr(trained.sampling, "for_sampling", functools.partial(sampling.for_sampling, latents=16))
    services = []

    def start(recipe: str, preset: str = "", data: dict[str, Any] | None = None, **limits: Any) -> TestClient:
        usual = BY_RECIPE[recipe]
        run = run_of(recipe, preset or usual[0], data or usual[1], pictures, tmp_path / recipe)
        service = opened(run, Limits(**limits), threads=1)
        services.append(service)
        client = TestClient(application(service), base_url="http://127.0.0.1", raise_server_exceptions=True)
        client.service, client.run = service, run  # type: ignore[attr-defined]
        return client

    yield start
    for service in services:
        service.desk.close()


def picture(side: int = 40, mode: str = "RGB", form: str = "PNG") -> bytes:
    out = io.BytesIO()
    sheet = Image.new(mode, (side, side + 10), 120 if mode == "L" else (120, 30, 200, 255)[: len(mode)])
    sheet.paste(250 if mode == "L" else (250, 240, 10, 0)[: len(mode)], (5, 5, 20, 15))
    sheet.save(out, form)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_samples_are_those_of_the_run(serving: Opened) -> None:
    client = serving("cdcgan")
    told = client.get("/samples", params={"count": 5, "seed": 3, "label": "7", "format": "npy"})
    assert told.headers["content-type"] == "application/octet-stream"
    made = torch.from_numpy(np.load(io.BytesIO(told.content)))
    assert torch.equal(made, client.run.sample(5, label=7, seed=3))  # type: ignore[attr-defined]
    listed = client.get("/samples", params={"count": 5, "seed": 3, "format": "json"}).json()
    assert (listed["shape"], len(listed["labels"])) == ([5, 1, 8, 8], 5)
    first = base64.b64decode(listed["samples"][0].partition(",")[2])
    assert np.array_equal(pixels(first), client.run.sample(5, seed=3)[0, 0].numpy())  # type: ignore[attr-defined]
    sheet = client.get("/samples?count=4")
    assert sheet.headers["content-type"] == "image/png"
    assert pixels(sheet.content).shape == (17, 17)


def test_a_model_file_is_served_like_its_run(serving: Opened, tmp_path: Path) -> None:
    client = serving("cdcgan")
    file = export(client.run, "safetensors").path  # type: ignore[attr-defined]
    service = opened(sparring.load(file, device="cpu"), Limits(), threads=1)
    again = TestClient(application(service), base_url="http://127.0.0.1")
    asked = "/samples?count=3&seed=9&format=npy"
    assert again.get(asked).content == client.get(asked).content
    assert again.get("/about").json() == client.get("/about").json()
    service.desk.close()


def test_interpolation_begins_and_ends_at_its_seeds(serving: Opened) -> None:
    client = serving("cdcgan")
    asked = {"seeds": "4,5", "steps": 6, "format": "npy", "label": "2"}
    frames = np.load(io.BytesIO(client.get("/interpolation", params=asked).content))
    assert len(frames) == 7
    for place, seed in ((0, 4), (-1, 5)):
        alone = np.load(
            io.BytesIO(client.get("/samples", params={"seed": seed, "format": "npy", "label": "2"}).content)
        )
        assert np.abs(frames[place].astype(int) - alone[0]).max() <= 1  # of another number of rows
    moving = Image.open(io.BytesIO(client.get("/interpolation?seeds=4,5,6&steps=3&format=gif").content))
    assert moving.n_frames == 12  # type: ignore[attr-defined]  # there and back


def test_between_normal_latents_lie_normal_latents() -> None:
    ends = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    assert torch.allclose(mixed(ends, weights, False).std(1), torch.ones(3), atol=0.04)
    assert torch.equal(mixed(ends, weights, True)[1], (ends[0] + ends[1]) / 2)


def test_truncation_draws_samples_together(serving: Opened) -> None:
    client = serving("cdcgan")
    spread = {}
    for truncation in (1, 0.5, 0):
        asked = {"count": 20, "label": "1", "truncation": truncation, "format": "npy"}
        spread[truncation] = np.load(io.BytesIO(client.get("/samples", params=asked).content)).std(0).mean()
    assert spread[1] > spread[0.5] > spread[0] == 0


@pytest.mark.parametrize(
    ("recipe", "asked", "media"),
    [
        ("text_to_image", "/samples?count=2&caption=red", "image/png"),
        ("sequence", "/samples?count=3&temperature=0.5&format=txt", "text/plain; charset=utf-8"),
        ("video", "/samples?count=1", "image/gif"),
        ("wavegan", "/samples?count=1", "audio/wav"),
        ("melgan", "/samples?count=1&format=wav", "audio/wav"),
        ("wgan", "/interpolation?seeds=1,2&format=json", "application/json"),
    ],
)  # fmt: skip
def test_other_kinds_of_samples(serving: Opened, recipe: str, asked: str, media: str) -> None:
    found = serving(recipe).get(asked)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == media
    assert len(found.content) > 10


def test_pictures_and_texts_are_translated_as_by_the_run(serving: Opened, tmp_path: Path) -> None:
    client = serving("superres")
    large = pixels(client.post("/translation", content=picture(), headers=PNG).content)
    assert large.shape == (200, 160, 3)
    client = serving("cut")
    small = client.post("/translation?format=npy", content=picture(mode="L"), headers=PNG)
    assert np.load(io.BytesIO(small.content)).shape == (1, 1, 16, 16)
    whole = client.post("/translation?fit=whole", content=picture(mode="L"), headers=PNG)
    assert pixels(whole.content).shape == (50, 40)
    client = serving("stargan")
    assert client.post("/translation?label=3", content=picture(mode="L"), headers=PNG).status_code == 200
    assert "label is missing" in client.post("/translation", content=picture(), headers=PNG).json()["error"]
    client = serving("text_translation")
    letters = client.run.about.source_vocabulary  # type: ignore[attr-defined]
    text = "".join(letters[:12] * 3)
    made = client.post("/translation", content=text.encode(), headers={"content-type": "text/plain"})
    assert made.text == client.run.translate_text(text)  # type: ignore[attr-defined]
    client = serving("classifier")
    found = client.post("/classification", content=picture(), headers=PNG).json()["probabilities"]
    assert abs(sum(found.values()) - 1) < 1e-4


PNG = {"content-type": "image/png"}


def test_holes_are_filled_and_the_rest_stays(serving: Opened) -> None:
    client = serving("inpaint", "tuned", {"data": "pictures", "source": "masked:free", "size": "32", "color": "rgb"})
    made = pixels(client.post("/translation", content=picture(mode="RGBA"), headers=PNG).content)
    assert made.shape == (50, 40, 3)
    assert (made[30:] == (120, 30, 200)).all()
    by_colour = client.post("/translation?hole=%23faf00a", content=picture(), headers=PNG)
    assert (pixels(by_colour.content)[30:] == (120, 30, 200)).all()
    assert client.post("/translation", content=picture(), headers=PNG).status_code == 422  # nothing is missing
    wrong = client.post("/translation?hole=nocolour", content=picture(), headers=PNG)
    assert "is no colour" in wrong.json()["error"]


def test_noise_of_a_network_is_each_request_s_own(serving: Opened) -> None:
    client = serving("pix2pix", "tuned", {"data": "digits", "source": "inverted", "size": "32"})
    assert client.service.served.noisy  # type: ignore[attr-defined]
    ask = functools.partial(client.post, content=picture(mode="L"), headers=PNG)
    assert ask("/translation?seed=1").content == ask("/translation?seed=1").content
    assert ask("/translation?seed=1").content != ask("/translation?seed=2").content


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ("/samples?count=0", 400, "count=0 is out of range; give an integer from 1 to 64"),
        ("/samples?count=two", 400, "count=two is no integer"),
        ("/samples?sed=1", 400, "did you mean 'seed'"),
        ("/samples?seed=1&seed=2", 400, "given twice"),
        ("/samples?label=11", 400, "label=11 is not one of 0, 1"),
        ("/samples?format=exe", 400, "format=exe is not one of png, npy, json"),
        ("/samples?truncation=nan", 400, "truncation=nan is no number"),
        ("/samples?truncation=1e300", 400, "out of range"),
        ("/interpolation?seeds=1", 400, "seeds are 1; give 2 to 4"),
        ("/interpolation", 400, "seeds is missing"),
        ("/interpolation?seeds=1,x", 400, "seeds=x is no integer"),
        ("/nothing", 404, "nothing at this address"),
        ("/../etc/passwd", 404, "nothing at this address"),
        ("/translation", 404, "nothing at this address"),  # not of this model
    ],
)
def test_mistakes_are_named(serving_digits: TestClient, asked: str, status: int, words: str) -> None:
    found = serving_digits.get(asked)
    assert found.status_code == status
    assert words in found.json()["error"]


@pytest.fixture(scope="module")
def serving_digits(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    run = run_of("cdcgan", "tuned", {"data": "digits"}, pictures, tmp_path_factory.mktemp("served") / "run")
    service = opened(run, Limits(), threads=1)
    yield TestClient(application(service), base_url="http://127.0.0.1")
    service.desk.close()


def test_other_machines_names_and_methods_are_refused(serving_digits: TestClient) -> None:
    assert serving_digits.get("/about", headers={"host": "evil.example"}).status_code == 403
    for host, status in (
        ("localhost:8000", 200),
        ("[::1]", 200),
        ("[::1]:80", 200),
        ("", 403),
        ("[", 403),
        ("127.0.0.1.evil", 403),
    ):
        assert serving_digits.get("/about", headers={"host": host}).status_code == status, host
    found = serving_digits.post("/samples")
    assert (found.status_code, ", ".join(sorted(found.headers["allow"].split(", ")))) == (405, "GET, HEAD")
    assert "access-control-allow-origin" not in found.headers


def bomb() -> bytes:
    """A picture of a few bytes that says it has 3,600 megapixels, with the checksum that belongs to that."""
    small, size = picture(1), (60_000).to_bytes(4, "big")
    header = small[12:16] + size + size + small[24:29]
    return small[:12] + header + zlib.crc32(header).to_bytes(4, "big") + small[33:]


FORGED = {
    "empty": (b"", 422),
    "noise": (bytes(range(256)) * 9, 422),
    "cut short": (picture()[:-60], 422),
    "a zip": (b"PK\x03\x04" + bytes(90), 422),
    "a program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", 422),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x93\x94.", 422),
    "a bomb": (bomb(), 413),
    "too long": (bytes(300_001), 413),
}


@pytest.fixture(scope="module")
def serving_cut(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    run = run_of("cut", *BY_RECIPE["cut"], pictures, tmp_path_factory.mktemp("served") / "run")
    service = opened(run, Limits(upload=300_000), threads=1)
    yield TestClient(application(service), base_url="http://127.0.0.1")
    service.desk.close()


@pytest.mark.parametrize("name", FORGED)
def test_damaged_and_oversized_uploads_are_refused(serving_cut: TestClient, name: str) -> None:
    data, status = FORGED[name]
    found = serving_cut.post("/translation", content=data, headers=PNG)
    assert found.status_code == status, found.text
    assert found.json()["error"]
    if name == "too long":  # also where nobody says so beforehand
        parts = (bytes(1000) for _ in range(400))
        assert serving_cut.post("/translation", content=parts, headers=PNG).status_code == 413
    assert serving_cut.post("/translation", content=picture(), headers={"content-type": "text/html"}).status_code == 415
    assert serving_cut.post("/translation", content=picture(), headers=PNG).status_code == 200


def test_requests_that_come_together_share_passes(serving: Opened) -> None:
    client = serving("cdcgan")
    service = client.service  # type: ignore[attr-defined]
    held = threading.Event()
    blocked = service.desk.do(held.wait)
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(client.get, f"/samples?seed={seed}&count=2&format=npy") for seed in range(12)]
        deadline = time.monotonic() + 20
        while len(service.desk) < 12 and time.monotonic() < deadline:
            time.sleep(0.01)
        before = service.desk.passes
        held.set()
        found = [np.load(io.BytesIO(each.result().content)) for each in waiting]
    assert blocked.result()
    assert service.desk.passes - before == 2, "one for who held it, one for all twelve"
    for seed, made in enumerate(found):
        alone = client.run.sample(2, seed=seed).numpy()  # type: ignore[attr-defined]
        assert np.abs(made.astype(int) - alone).max() <= 1  # the sum of a row may be rounded otherwise beside others


def test_a_full_queue_says_when_to_come_again(serving: Opened) -> None:
    client = serving("mlp", waiting=2, seconds=0.3)
    desk = client.service.desk  # type: ignore[attr-defined]
    held = threading.Event()
    desk.do(held.wait)
    time.sleep(0.1)
    late = client.get("/samples")
    assert (late.status_code, late.json()["error"]) == (503, "no answer within 0.3 s")
    assert int(late.headers["retry-after"]) >= 1
    others = [desk.do(int) for _ in range(desk.waiting - len(desk))]
    full = client.get("/samples")
    assert full.status_code == 503
    assert "are waiting already" in full.json()["error"]
    assert int(full.headers["retry-after"]) >= 1
    assert client.get("/health").json()["waiting"] == 2, "health is answered even then"
    held.set()
    assert [other.result(5) for other in others] == [0] * len(others)
    assert client.get("/samples").status_code == 200


def test_a_body_that_dawdles_is_not_waited_for() -> None:
    from starlette.requests import Request

    from sparring.serve.web import Service

    async def never() -> Any:
        await asyncio.sleep(60)

    service = Service(None, None, Limits(seconds=0.05))  # type: ignore[arg-type]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    with pytest.raises(Refused) as found:
        asyncio.run(service.body(Request(scope, never)))
    assert found.value.status == 408


def test_an_error_of_one_pass_reaches_who_asked_and_ends_nothing() -> None:
    def broken(rows: Any) -> torch.Tensor:
        if float(rows["latent"].sum()) < 0:
            raise RuntimeError("no")
        return torch.as_tensor(rows["latent"])

    desk = Desk(broken)
    with pytest.raises(RuntimeError, match="no"):
        desk.ask({"latent": -torch.ones(1, 2)}).result(5)
    assert desk.ask({"latent": torch.ones(1, 2)}).result(5).tolist() == [[1, 1]]
    desk.close()
    with pytest.raises(Refused, match="closing"):
        desk.ask({"latent": torch.ones(1, 2)})


def test_what_cannot_be_served_says_so(pictures: Path, tmp_path: Path) -> None:
    run = run_of("word_translation", *BY_RECIPE["word_translation"], pictures, tmp_path / "run")
    with pytest.raises(UserError, match="word_translation turns data into data"):
        Served(run)


def test_parameters_are_read_as_they_are_described() -> None:
    number = Parameter("share", "number", "", default=0.5, least=0, most=1)
    assert read([number], []) == {"share": 0.5}
    assert read([number], [("share", "2.5e-1")]) == {"share": 0.25}
    for wrong in ("", " 1", "1_0", "0x1", "１", "1e", "inf", "1e400", "-0.1"):
        with pytest.raises(Refused, match="share="):
            read([number], [("share", wrong)])


def test_the_command_serves_and_ends(serving: Opened, tmp_path: Path) -> None:
    client = serving("mlp")
    code = "import sys; from sparring.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", str(client.run.path), "--port", "0"]  # type: ignore[attr-defined]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            told = json.load(urllib.request.urlopen(f"{address}/health", timeout=10))
            process.send_signal(signal.SIGINT)
            assert process.wait(20) in (0, 130)
        finally:
            process.kill()
    assert told["status"] == "ok"
