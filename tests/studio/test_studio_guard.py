"""What a page of another site, a forged path or an odd upload gets from the studio: nothing."""

import contextlib
import io
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tests.studio.test_studio_runs import TOKEN, client_of, losses, written

from sparring.cli import main
from sparring.hosts import loopback
from sparring.studio import guard, steer
from sparring.studio.app import Settings, app
from sparring.studio.guard import Guard, Refused, address, child, within
from sparring.studio.jobs import Jobs

HERE = "http://127.0.0.1:7860"
OUTSIDE = [
    "../secret", "../../etc/passwd", "..", "....//secret", "%2e%2e/secret", "%2e%2e%2fsecret", "..%2fsecret",
    "..%5csecret", "..\\secret", "%252e%252e%252fsecret", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd",
    "a/../../secret", "./../secret", "..;/secret", "..%00/secret", "a%00.png", "~", "~root",
    "file:///etc/passwd", "%c0%ae%c0%ae/secret", "‥/secret", "．．/secret", ".", "", "link", "link/secret",
    "CON", "a" * 5000, "samples/../../../secret", "samples/..%2f..%2f..%2fsecret", "%7f",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Folders of runs and data, a secret beside them, and links that lead to it."""
    for name in ("runs", "data", "uploads/set-1", "private"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret").write_text("SECRET")
    (tmp_path / "private" / "secret").write_text("SECRET")
    written(tmp_path / "runs" / "a", [losses(1)])
    for root in ("runs", "data", "uploads", "runs/a/samples"):
        (tmp_path / root / "link").symlink_to(tmp_path / "private")
    return tmp_path


@pytest.fixture
def client(place: Path) -> Iterator[TestClient]:
    settings = Settings(place / "runs", place / "data", place / "uploads", "127.0.0.1", 7860, TOKEN)
    with TestClient(app(settings), HERE, headers={"Authorization": f"Bearer {TOKEN}"}) as made:
        yield made


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_outside(client: TestClient, place: Path, path: str) -> None:
    before = sorted(str(entry) for entry in place.rglob("*"))
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/api/runs/{path}", {}),
        ("GET", f"/api/runs/{path}/events", {}),
        ("GET", f"/api/runs/a/files/{path}", {}),
        ("GET", f"/api/runs/a/files/samples/{path}", {}),
        ("GET", f"/static/{path}", {}),
        ("GET", f"/api/inspect/{path}", {}),
        ("POST", f"/api/runs/{path}/resume", {}),
        ("PUT", f"/api/uploads/{path}/x.png", {"content": b"\x89PNG\r\n\x1a\n"}),
        ("GET", "/api/differences", {"params": {"a": path, "b": "a"}}),
    ]
    for method, url, more in asked:
        answer = client.request(method, url, **more)
        assert answer.status_code in (200, 307, 400, 404, 405, 409), (method, url, answer.status_code)
        assert "SECRET" not in answer.text
        assert "root:" not in answer.text
        assert answer.status_code != 200 or path in ("", ".") or ".." in path, (method, url)
    for setting in ("data", "labels", "source", "captions"):
        if path and path not in (".", "CON", "a" * 5000, "%7f") and steer_refuses(path):
            answer = client.post("/api/check", json={"recipe": "mlp", "settings": {setting: path}})
            assert (answer.status_code, answer.json()["field"]) == (400, setting), path
            if setting == "data":
                assert client.post("/api/inspect", json={"data": path}).status_code == 400
                assert client.get("/api/data", params={"path": path}).status_code == 400
    assert sorted(str(entry) for entry in place.rglob("*")) == before


def steer_refuses(path: str) -> bool:
    """Names that are odd but lie inside, such as `%2e%2e`, are for the command line to miss."""
    return any(mark in path for mark in ("://", "~", "\\", "link")) or path.startswith("/") or ".." in path.split("/")


@pytest.mark.parametrize("path", [*OUTSIDE, "x\0y"])
def test_paths_are_resolved_before_they_are_used(place: Path, path: str) -> None:
    for find in (within, child):
        with contextlib.suppress(Refused):
            found = find(place / "runs", path)
            assert found.is_relative_to((place / "runs").resolve())
            assert find is within or found.parent == (place / "runs").resolve()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": "Bearer ünï".encode("latin-1")}, 401),
        ({"Cookie": "sparring_7860=wrong"}, 401),
        ({"Cookie": f"sparring_1={TOKEN}"}, 401),
        ({"Cookie": "\xff=;;;==,,".encode("latin-1")}, 401),
        ({"Cookie": f"sparring_7860={TOKEN}"}, 200),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.example:7860"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "127.0.0.1.evil.example:7860"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "127.0.0.1:9000"}, 200),  # the end of a tunnel
        ({"Authorization": f"Bearer {TOKEN}", "Host": "192.168.0.1:7860"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": ""}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "localhost:7860"}, 200),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "[::1]:7860"}, 200),
        ({"Cookie": f"sparring_7860={TOKEN}", "Origin": "http://evil.example"}, 403),
        ({"Cookie": f"sparring_7860={TOKEN}", "Origin": "null"}, 403),
        ({"Cookie": f"sparring_7860={TOKEN}", "Origin": "http://127.0.0.1:8888"}, 403),
        ({"Cookie": f"sparring_7860={TOKEN}", "Origin": HERE}, 200),
        ({"Cookie": f"sparring_7860={TOKEN}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Cookie": f"sparring_7860={TOKEN}", "Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_only_who_knows_the_token_and_comes_from_here_is_answered(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    del client.headers["Authorization"]
    for path in ("/api/studio", "/api/runs", "/api/runs/a", "/static/main.js", "/api/nothing"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == (404 if (path, status) == ("/api/nothing", 200) else status), path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert TOKEN not in answer.text


def test_a_page_elsewhere_cannot_post(client: TestClient, place: Path) -> None:
    del client.headers["Authorization"]
    cookie = {"Cookie": f"sparring_7860={TOKEN}"}
    form = {"content-type": "text/plain"}  # what a form or a simple request can send without asking first
    for more in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/api/start", "/api/uploads", "/api/runs/a/resume", "/api/runs/a/stop"):
            assert client.post(path, content="{}", headers={**cookie, **form, **more}).status_code == 403
    own = {**cookie, "Origin": HERE}
    assert client.post("/api/start", content="{}", headers={**own, **form}).status_code == 415
    assert (
        client.post("/api/start", content="[]", headers={**own, "content-type": "application/json"}).status_code == 400
    )
    assert client.get("/api/start", headers=own).status_code == 405
    assert os.listdir(place / "uploads") == ["link", "set-1"] or set(os.listdir(place / "uploads")) == {"link", "set-1"}


def test_the_token_leaves_the_address_for_a_cookie(client: TestClient) -> None:
    del client.headers["Authorization"]
    for given in ("", "wrong", TOKEN[:-1]):
        assert client.get("/", params={"token": given}).status_code == 401
    answer = client.get("/", params={"token": TOKEN})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert 'content="0;url=/"' in answer.text
    assert client.get("/").status_code == 200  # with the cookie
    page = client.get("/").text
    assert "<script>" not in page  # none that stands in the page itself
    assert "style=" not in page


def test_the_browser_is_handed_a_ticket_that_is_good_once(place: Path) -> None:
    settings = Settings(place / "runs", place / "data", place / "uploads", token=TOKEN)
    for given, statuses in (("wrong", [401, 401]), ("", [401, 401]), (settings.ticket, [200, 401])):
        with TestClient(app(settings), HERE) as client:
            for status in statuses:
                assert client.get("/", params={"ticket": given}).status_code == status
                client.cookies.clear()


def test_a_socket_needs_all_of_that_too() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    guarded = TestClient(Guard(echo, TOKEN, "127.0.0.1", 7860, {}), HERE)
    cookie = f"sparring_7860={TOKEN}"
    other = {"cookie": cookie, "origin": HERE, "host": "evil.example"}
    for headers in (
        {},
        {"cookie": cookie},
        {"cookie": cookie, "origin": "http://evil.example"},
        {"origin": HERE},
        other,
    ):
        with (
            pytest.raises(WebSocketDisconnect) as closed,
            guarded.websocket_connect("ws://127.0.0.1:7860/x", headers=headers),
        ):
            pass
        assert closed.value.code == 4403
    with guarded.websocket_connect("ws://127.0.0.1:7860/x", headers={"cookie": cookie, "origin": HERE}):
        pass


def test_bodies_are_bounded_with_a_length_or_without(client: TestClient) -> None:
    large = b'{"x": "' + b"y" * guard.BODY + b'"}'
    kind = {"content-type": "application/json"}
    assert client.post("/api/check", content=large, headers=kind).status_code == 413
    pieces = (large[at : at + 50_000] for at in range(0, len(large), 50_000))
    assert client.post("/api/check", content=pieces, headers=kind).status_code == 413
    assert client.post("/api/check", content=b"[" * 100_000, headers=kind).status_code == 400


def picture(form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(out, form)
    return out.getvalue()


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_uploads_are_kept_where_they_belong(client: TestClient, place: Path) -> None:
    made = client.post("/api/uploads", json={"name": "../My cats!/../.."}).json()
    assert (place / "uploads" / made["set"]).is_dir()
    assert made["set"] == "My-cats-1"
    for name in ("a.png", "tabby/b.jpg", "c d (1).PNG", "..sneaky.png", "x%2f..%2f..%2fy.png"):
        data = picture("JPEG" if name.endswith("jpg") else "PNG")
        answer = client.put(f"/api/uploads/My-cats-1/{name}", content=data)
        assert answer.status_code in (200, 400), answer.text
    kept = {
        str(file.relative_to(place / "uploads" / "My-cats-1"))
        for file in (place / "uploads" / "My-cats-1").rglob("*.*")
    }
    assert {"a.png", "tabby/b.jpg", "c d (1).PNG"} <= kept
    assert not any(".." in Path(name).parts or name.startswith(".") for name in kept)
    assert client.put("/api/uploads/My-cats-1/a.png", content=picture()).status_code == 409


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("a.png", b"<script>alert(1)</script>", 415),
        ("a.png", b"", 415),
        ("a.py", b"print(1)", 415),
        ("a.py", picture(), 415),
        ("a.html", b"<html>", 415),
        ("a.png", picture("JPEG"), 415),
        ("a.svg", b"<svg onload='alert(1)'/>", 415),
        ("a.zip", b"PK\3\4" + b"\0" * 100, 415),
        ("a.zip", zipped(a=b"1")[:-10], 415),
        ("a.pt", zipped(a=b"1"), 415),
        ("a/b/c/d.png", picture(), 400),
        ("...", picture(), 400),
        ("a.zip", zipped(**{"../../evil.png": b"1"}), 200),
        ("a.png", picture(), 200),
    ],
)
def test_what_is_no_picture_is_not_kept(client: TestClient, place: Path, name: str, data: bytes, status: int) -> None:
    answer = client.put(f"/api/uploads/set-1/{name}", content=data)
    assert answer.status_code == status, answer.text
    assert [file.name for file in (place / "uploads" / "set-1").rglob("*.*")] == ([name] if status == 200 else [])
    assert not list(place.rglob("evil*"))


def test_uploads_end_where_the_room_ends(client: TestClient, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steer, "LARGEST_SET", 1000)
    assert client.put("/api/uploads/set-1/a.png", content=picture() + b"\0" * 2000).status_code == 413
    assert client.put("/api/uploads/set-1/a.png", content=picture()).status_code == 200
    monkeypatch.setattr(steer, "MOST_FILES", 1)
    assert client.put("/api/uploads/set-1/b.png", content=picture()).status_code == 413
    monkeypatch.setattr(steer, "LARGEST_DIRECTORY", 10)
    monkeypatch.setattr(steer, "MOST_FILES", 9)
    assert client.put("/api/uploads/set-1/b.zip", content=zipped(a=b"1")).status_code == 413
    assert [file.name for file in (place / "uploads" / "set-1").rglob("*.*")] == ["a.png"]


def test_only_loopback_is_taken_for_this_machine_alone() -> None:
    assert all(map(loopback, ("127.0.0.1", "127.0.0.2", "::1", "localhost")))
    assert not any(map(loopback, ("0.0.0.0", "192.168.0.1", "::", "example.org", "")))
    assert address("0.0.0.0", 1, token="a+b") == "http://127.0.0.1:1/?token=a%2Bb"
    assert address("::1", 1, token="t") == "http://[::1]:1/?token=t"


def test_a_server_for_others_answers_to_addresses_but_not_to_names(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    settings = Settings(tmp_path / "runs", tmp_path, tmp_path, "0.0.0.0", 7860, TOKEN)
    client = TestClient(app(settings), HERE, headers={"Authorization": f"Bearer {TOKEN}"})
    for host, status in (("192.168.0.7:7860", 200), ("[fe80::1]:7860", 200), ("evil.example:7860", 403)):
        assert client.get("/api/studio", headers={"host": host}).status_code == status, host


def test_mistakes_of_the_command_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, told in (
            ([str(tmp_path / "file")], "is not a folder"),
            (["--data", str(tmp_path / "none")], "is not a folder"),
            (["--port", port], "--port 0"),
            (["--port", "70000"], "--port 0"),
            (["--host", "no.such.host.invalid"], "host=no.such.host.invalid"),
        ):
            assert main(["studio", *words, "--no-open"]) == 2
            assert told in capsys.readouterr().err


def test_the_pages_parts_have_bodies_of_json(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with client_of(tmp_path / "runs") as client:
        for text in ("", "{", "[1]", "nul"):
            answer = client.post("/api/inspect", content=text, headers={"content-type": "application/json"})
            assert answer.status_code == 400
        assert client.post("/api/inspect", json={"data": "--help"}).status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        '{"recipe": 5}', '{"recipe": "mlp", "preset": {}}', '{"recipe": "mlp", "settings": [1]}', "{}",
        '{"recipe": "mlp", "settings": {"rounds": 5}}', '{"recipe": "mlp", "settings": {"name": "\\ud800"}}',
        '{"recipe": "mlp", "settings": {"data": "\\ud800"}}', '{"recipe": "mlp", "settings": {"data": "a\\u0000"}}',
        '{"data": "\\ud800", "name": "\\ud800"}',
    ],
)  # fmt: skip
def test_odd_questions_are_refused_before_anyone_is_asked(client: TestClient, text: str) -> None:
    for path in ("/api/check", "/api/start"):
        answer = client.post(path, content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 400, answer.text


def test_a_start_that_failed_can_be_dismissed(client: TestClient, place: Path) -> None:
    jobs: Jobs = client.app.state.jobs  # type: ignore[attr-defined]
    job = jobs.start("bad", ["train", "nothing", f"--runs={place / 'runs'}"])
    assert client.delete("/api/starts/bad").status_code == 409  # while it is at work
    job.process.wait()
    assert [told["name"] for told in client.get("/api/runs").json()["jobs"]] == ["bad"]
    assert [client.delete("/api/starts/bad").status_code for _ in range(2)] == [200, 404]
    assert client.get("/api/runs").json()["jobs"] == []


def test_an_upload_that_was_cut_short_does_not_block_its_name(client: TestClient, place: Path) -> None:
    def put(name: str, content: bytes) -> int:
        return client.put(f"/api/uploads/set-1/{name}", content=content).status_code

    assert [put("a.png", b"none"), put("a.png", picture()), put("a.png", picture())] == [415, 200, 409]
    (place / "uploads" / "set-1" / ".a1b2.part").write_bytes(b"left by a power cut")
    assert put("b.png", picture()) == 200
    tallies = client.app.state.tallies  # type: ignore[attr-defined]
    assert [(tally.files, tally.bytes) for tally in tallies.values()] == [(2, 2 * len(picture()))]


def test_names_and_values_that_the_system_cannot_bear_are_told(client: TestClient, place: Path) -> None:
    def put(name: str) -> int:
        return client.put(f"/api/uploads/set-1/{name}", content=picture()).status_code

    assert [put("图" * 60 + ".png"), put("图" * 110 + ".png")] == [200, 400]
    assert [put("a.png"), put("a.png/b.png"), put("a.png/b/c.png")] == [200, 409, 409]
    assert (place / "uploads" / "set-1" / "a.png").read_bytes() == picture()
    for size in ("\0", "9" * 200_000):
        answer = client.post("/api/inspect", json={"data": "digits", "size": size})
        assert answer.status_code == 400, answer.text
        assert "cannot be begun" in answer.json()["error"]


def test_a_training_that_goes_on_elsewhere_is_stopped_at_once_too(place: Path) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("this system does not tell who holds a lock")
    jobs = Jobs(place / "runs", place / "data")
    jobs.start("a", ["--help"]).process.wait()  # begun here, and ended
    code = (
        "import signal, sys; from pathlib import Path; from sparring.runs import only_one\n"
        "told = []; signal.signal(signal.SIGINT, lambda *_: told.append(1))\n"
        "with only_one(Path(sys.argv[1])):\n"
        "    print('begun', flush=True)\n"
        "    while len(told) < 2: signal.pause()\n"
    )
    words = [sys.executable, "-c", code, str(place / "runs" / "a")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        jobs.signal("a", at_once=True)
        assert other.wait(20) == 0


def test_a_closed_studio_leaves_nothing_behind_but_what_is_still_written(place: Path) -> None:
    made = app(Settings(place / "runs", place / "data", place / "uploads", "127.0.0.1", 7860, TOKEN))
    jobs: Jobs = made.state.jobs
    with TestClient(made):
        job = jobs.start("a", ["--help"])
    assert jobs.kept.is_dir()
    job.process.wait()
    with TestClient(made):
        pass
    assert not jobs.kept.exists()
