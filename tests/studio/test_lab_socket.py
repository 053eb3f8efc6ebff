"""The lab's socket: who may open it, what may be said, and that nothing said can hurt the studio."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sparring.config import UserError
from sparring.studio.lab.messages import LONGEST, frame, parse

pytest.importorskip("websockets", reason="the studio's extra is not installed: pip install 'sparring[studio]'")
from tests.studio.browser import Served, studio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sparring.studio import lab


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with studio(tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("data")) as found:
        assert until(lambda: alive(found))
        yield found


def opened(served: Served, **headers: str) -> ClientConnection:
    address = served.origin.replace("http", "ws") + "/lab/socket"
    given = {"Authorization": f"Bearer {served.token}", "Origin": served.origin, **headers}
    return connect(address, additional_headers=given, open_timeout=30, max_size=2_000_000)


def hear(socket: ClientConnection, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The next message of that sort; frames are answered, as a page answers them."""
    while True:
        data = socket.recv(60)
        text = data[4 : 4 + int.from_bytes(data[1:4], "little")] if isinstance(data, bytes) else data
        message: dict[str, Any] = json.loads(text)
        if message["kind"] == "frame":
            say(socket, do="seen", frame=message["number"])
        if wanted(message):
            return message


def kind(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message["kind"] == name


def say(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))


def children(served: Served) -> list[int]:
    """Processes that the studio has begun and that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == served.process.pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def until(holds: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.05)
    return held


def alive(served: Served) -> bool:
    with contextlib.suppress(httpx.TransportError), served.client() as client:
        return client.get("/api/studio").status_code == 200
    return False


def test_a_lab_plays_over_its_socket_and_ends_with_it(served: Served) -> None:
    with opened(served) as socket:
        ready = hear(socket, kind("ready"))
        assert set(ready["sick"]) == {"collapse", "oscillation", "vanishing"}
        say(socket, do="begin", set="two", settings={"batch": 16, "hidden": [8]}, seed=4)
        state = hear(socket, lambda m: m["kind"] == "state" and m["set"] == "two")
        assert (state["settings"]["batch"], state["seed"], state["modes"]) == (16, 4, 2)
        say(socket, do="step", who="both", count=3)
        assert hear(socket, lambda m: m["kind"] == "frame" and m["round"] == 3)["measures"]["js"] > 0.1
        say(socket, do="play", rounds=40)
        done = hear(socket, lambda m: m["kind"] == "frame" and not m["playing"] and m["round"] > 3)
        assert done["round"] == 43
        say(socket, do="change", settings={"objective": "file.py:mine"})
        assert "objective: 'file.py:mine' is not one of" in hear(socket, kind("error"))["text"]
        say(socket, do="step")
        assert hear(socket, lambda m: m["kind"] == "frame" and m["round"] == 44)
        socket.send(os.urandom(5000))
        assert "not JSON" in hear(socket, kind("error"))["text"]
        # a page that does not look gets no more frames
        say(socket, do="play")
        time.sleep(1.0)
        frames = 0
        with contextlib.suppress(TimeoutError):
            while frames < 100:
                frames += isinstance(socket.recv(1.0), bytes)
        assert 1 <= frames <= 3
        assert len(children(served)) == 1
        os.kill(children(served)[0], 9)
        assert "has ended" in hear(socket, kind("ended"))["text"]
        with pytest.raises(ConnectionClosed):
            socket.recv(20)


def test_a_lab_ends_with_its_page(served: Served) -> None:
    with opened(served):
        assert until(lambda: len(children(served)) == 1)
    assert until(lambda: not children(served))


def test_only_the_studio_s_own_page_with_its_token_gets_a_lab(served: Served) -> None:
    for headers in ({"Authorization": "Bearer wrong"}, {"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        with pytest.raises((InvalidStatus, ConnectionClosed)), opened(served, **headers) as socket:
            socket.recv(10)
    assert not children(served)


NONSENSE = (
    "", "{", "[]", "null", '"play"', "{}", '{"do": 3}', '{"do": "explode"}', '{"do": "play", "pace": NaN}',
    '{"do": "play", "pace": -1}', '{"do": "play", "pace": 1e999}', '{"do": "play", "pace": true}',
    '{"do": "step", "count": 1e9}', '{"do": "step", "count": 1.5}', '{"do": "step", "who": ["both"]}',
    '{"do": "step", "__class__": 1}', '{"do": "begin", "seed": -1}', '{"do": "begin", "seed": 1e400}',
    '{"do": "begin", "points": [[0, 0, 0]]}', '{"do": "begin", "points": [[0, "0"]]}',
    '{"do": "begin", "points": [[0, Infinity]]}', '{"do": "begin", "settings": {"a": {"b": 1}}}',
    '{"do": "begin", "settings": {"a": [[1]]}}', '{"do": "begin", "settings": {"a": null}}',
    '{"do": "begin", "set": "' + "x" * 99 + '"}', "[" * 50_000, '{"do": "begin", "points": ' + "[" * 30_000,
    json.dumps({"do": "begin", "points": [[0, 0]] * 5000}),
    json.dumps({"do": "begin", "settings": {str(i): 1 for i in range(99)}}), " " * (LONGEST + 1),
    '{"do": "change", "settings": {"x": ' + "9" * 5000 + "}}", "\x00\ud800",
)  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE, ids=[text[:40] for text in NONSENSE])
def test_nonsense_is_refused_before_it_reaches_a_lab(text: str) -> None:
    with pytest.raises(UserError):
        parse(text)


def test_what_a_page_says_is_passed_on_as_it_is() -> None:
    for message in (
        {"do": "begin", "set": "drawn", "points": [[0.5, -1]], "settings": {"hidden": [8], "uniform": True}, "seed": 1},
        {"do": "play", "pace": 2.5, "rounds": 10}, {"do": "pause"}, {"do": "cure", "kind": "oscillation", "anew": True},
    ):  # fmt: skip
        assert parse(json.dumps(message)) == message


def test_a_frame_can_be_read_in_place() -> None:
    data = frame({"kind": "x", "n": 1.5}, [("a", (2, 1), b"12345678")])
    payload = data[4:]
    assert int.from_bytes(data[:4], "big") == len(payload)
    size = int.from_bytes(payload[1:4], "little")
    assert (4 + size) % 4 == 0
    assert json.loads(payload[4 : 4 + size]) == {"kind": "x", "n": 1.5, "arrays": [["a", [2, 1]]]}
    assert payload[4 + size :] == b"12345678"


def closed(served: Served, texts: Sequence[str]) -> int | None:
    """The code with which the studio closes the socket of a page that says all this."""
    with opened(served) as socket:
        try:
            for text in texts:
                socket.send(text)
            while True:
                socket.recv(20)
        except ConnectionClosed as error:
            return None if error.rcvd is None else error.rcvd.code


def test_nonsense_and_floods_close_the_socket_and_nothing_else(served: Served) -> None:
    assert closed(served, [text for text in NONSENSE * 2 if "\ud800" not in text]) == lab.REFUSED
    assert closed(served, [json.dumps({"do": "seen", "frame": 1})] * 5000) == lab.REFUSED
    assert until(lambda: not children(served))
    assert alive(served)


def test_labs_are_bounded(served: Served) -> None:
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2 * lab.MOST) as pool:
        # all at once: each asks before any process is there
        sockets = [stack.enter_context(made) for made in pool.map(lambda _: opened(served), range(2 * lab.MOST))]
        assert until(lambda: len(children(served)) == lab.MOST)
        assert not until(lambda: len(children(served)) > lab.MOST, 1)
        refused = list[ClientConnection]()
        for made in sockets:
            with contextlib.suppress(TimeoutError):  # the others are still starting
                refused += [made] if json.loads(made.recv(0.1))["kind"] == "full" else []
        assert len(refused) == lab.MOST
        with pytest.raises(ConnectionClosed):
            refused[0].recv(20)
    assert until(lambda: not children(served))


def test_the_allowance_fills_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(lab.time, "monotonic", lambda: now)
    allowance = lab.Allowance(at=now)
    assert sum(allowance.spend() for _ in range(1000)) == lab.BURST
    now += 1
    allowance.left = 0
    assert sum(allowance.spend() for _ in range(1000)) == lab.RATE


def test_the_studio_s_side_needs_no_torch() -> None:
    code = "import sys, sparring.studio.lab; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
