"""Reading run folders: quick where there are many, whole where they are live, and safe where they are forged."""

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from sparring.runs import only_one
from sparring.studio.app import Settings, app
from sparring.studio.runs import AT_ONCE, differences, plain

TOKEN = "right"
NAMES = [f"{p}/{t}" for p in ("generator", "discriminator") for t in ("objective", "gradient norm", "weight size")]


def losses(number: int, **more: Any) -> dict[str, Any]:
    values = dict.fromkeys([*NAMES, "discriminator/fake score", "discriminator/real score"], 0.123456 * (number % 7))
    return {
        "event": "losses",
        "round": number,
        "images": 64 * number,
        "seconds": 0.01 * number,
        "values": values,
    } | more


def written(run: Path, events: list[dict[str, Any]], rounds: int = 1000, **config: Any) -> Path:
    """A run folder as the engine leaves it."""
    (run / "samples").mkdir(parents=True)
    about = {"name": "digits", "key": "image", "sha256": "a" * 64}
    values = {"recipe": "mlp", "preset": "tuned", "model": {"rounds": rounds, "batch": 64}, "data": {"data": "digits"}}
    (run / "config.json").write_text(json.dumps({**values, "how": {"seed": 0}, "about": about, "facts": {}, **config}))
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


def picture(run: Path, number: int) -> dict[str, Any]:
    """Samples of a round, and the event that tells of them."""
    name = f"samples/{number:08d}.png"
    Image.new("L", (64, 64), number % 256).save(run / name)
    return {"event": "samples", "round": number, "images": 64 * number, "file": name, "columns": 8, "rows": 8}


def client_of(runs: Path) -> TestClient:
    settings = Settings(runs, runs.parent, runs.parent / "uploads", "127.0.0.1", 7860, TOKEN)
    return TestClient(app(settings), "http://127.0.0.1:7860", headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "runs").mkdir()
    with client_of(tmp_path / "runs") as made:
        yield made


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell how much memory is used")
def test_a_hundred_runs_of_a_thousand_events_open_in_two_seconds(tmp_path: Path) -> None:
    start = [{"event": "start", "round": 0, "time": "2026-01-01T00:00:00+0000"}]
    found = {"event": "finding", "round": 9, "since": 9, "kind": "mode dropping"}
    lines = "".join(json.dumps(event) + "\n" for event in [*start, *map(losses, range(1, 999)), found])
    for number in range(100):
        (written(tmp_path / "runs" / f"mlp-digits-{number}", start) / "events.jsonl").write_text(lines)
    code = (
        "import re, sys, time; from pathlib import Path\n"
        "from sparring.studio.jobs import Jobs; from sparring.studio.runs import Shelf\n"
        "def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024\n"
        "runs = Path(sys.argv[1]); shelf, jobs = Shelf(runs), Jobs(runs, runs)\n"
        "first, begin = peak(), time.perf_counter()\n"
        "rows = shelf.since(0, jobs)['rows']; spent = time.perf_counter() - begin; begin = time.perf_counter()\n"
        "assert len(rows) == 100 and all(row['round'] == 998 and row['findings'] == 1 for row in rows)\n"
        "assert not shelf.since(shelf.version, jobs)['rows']; again = time.perf_counter() - begin\n"
        "assert 'torch' not in sys.modules; print(spent, again, first, peak() - first)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "runs")]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    spent, again, before, grown = map(float, out.split())
    print(f"{spent:.2f} s, then {again * 1000:.0f} ms; {before:.0f} MB before, {grown:.1f} MB more")
    assert spent < 2
    assert again < 0.2  # what a page that stays open costs, every time that it asks
    assert grown < 20  # MB, for 43 MB of events
    with client_of(tmp_path / "runs") as client:
        begin = time.perf_counter()
        assert len(client.get("/api/runs").json()["rows"]) == 100
        events = read(client, "mlp-digits-0")
        assert time.perf_counter() - begin < 2
    assert len(events) == 1000


def read(client: TestClient, name: str, of: str = "", at: int = 0) -> list[dict[str, Any]]:
    """All events, as the page fetches them."""
    events: list[dict[str, Any]] = []
    more = True
    while more:
        answer = client.get(f"/api/runs/{name}/events", params={"of": of, "at": at}).json()
        events = answer["events"] if answer["fresh"] else events + answer["events"]
        of, at, more = answer["of"], answer["at"], answer["more"]
    return events


def test_only_what_is_new_is_sent_and_a_torn_line_waits(client: TestClient, tmp_path: Path) -> None:
    run = written(tmp_path / "runs" / "a", [losses(1)])
    first = client.get("/api/runs/a/events").json()
    assert [event["round"] for event in first["events"]] == [1]
    whole = json.dumps(losses(2)) + "\n"
    with (run / "events.jsonl").open("a") as file:
        file.write(whole[:40])
    cursor = {"of": first["of"], "at": first["at"]}
    assert client.get("/api/runs/a/events", params=cursor).json()["events"] == []
    with (run / "events.jsonl").open("a") as file:
        file.write(whole[40:])
    second = client.get("/api/runs/a/events", params=cursor).json()
    assert not second["fresh"]
    assert [event["round"] for event in second["events"]] == [2]
    replaced = run / "events.new"
    replaced.write_text(json.dumps(losses(1)) + "\n")
    os.replace(replaced, run / "events.jsonl")  # as a resume does, that goes back
    third = client.get("/api/runs/a/events", params={"of": second["of"], "at": second["at"]}).json()
    assert third["fresh"]
    assert len(third["events"]) == 1


def test_a_row_follows_its_run(client: TestClient, tmp_path: Path) -> None:
    run = written(tmp_path / "runs" / "a", [{"event": "start", "round": 0, "time": "2026"}, losses(500)])
    listed = client.get("/api/runs").json()
    (row,) = listed["rows"]
    assert (row["status"], row["round"], row["rounds"], row["images"]) == ("interrupted", 500, 1000, 32000)
    assert client.get("/api/runs", params={"since": listed["version"]}).json()["rows"] == []
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps(picture(run, 1000)) + "\n" + json.dumps({"event": "done", "round": 1000}) + "\n")
    metric = {"value": 2.0, "se": 0.1, "floor": 1.0, "floor_se": 0.1, "times_floor": 2.0}
    (run / "evaluation.json").write_text(json.dumps({"metrics": {"frechet distance": metric}}))
    (row,) = client.get("/api/runs", params={"since": listed["version"]}).json()["rows"]
    assert (row["status"], row["sample"]) == ("finished", "samples/00001000.png")
    assert row["score"] == {"name": "frechet distance", **metric}
    shown = client.get("/api/runs/a/files/samples/00001000.png")
    assert shown.headers["content-type"] == "image/png"
    assert shown.content == (run / "samples" / "00001000.png").read_bytes()


def test_a_run_that_is_being_trained_is_known_by_its_lock(client: TestClient, tmp_path: Path) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("this system does not tell who holds a lock")
    run = written(tmp_path / "runs" / "a", [{"event": "start", "round": 0}, losses(500)])
    with only_one(run):
        row = client.get("/api/runs/a").json()["row"]
        assert row["status"] == "training"
        assert row["left"] == pytest.approx(5.0)
    assert client.get("/api/runs/a").json()["row"]["status"] == "interrupted"


def test_differences_are_those_of_settings(tmp_path: Path) -> None:
    first = written(
        tmp_path / "a", [], model={"rounds": 10, "generator": {"lr": 0.1}}, facts={"seconds_per_round": 1.0}
    )
    second = written(
        tmp_path / "b", [], model={"rounds": 10, "generator": {"lr": 0.2}}, facts={"seconds_per_round": 2.0}
    )
    assert differences(first, second) == [{"setting": "model.generator.lr", "values": [0.1, 0.2]}]


def test_forged_events_are_passed_over(client: TestClient, tmp_path: Path) -> None:
    run = written(tmp_path / "runs" / "a", [losses(1)])
    nested = "[" * 100_000
    bad = [
        '{"event": "losses", "round": 2, "values": {"g": NaN, "h": Infinity, "i": 1e999}}',
        '{"event": "samples", "round": 3, "file": "../../../etc/passwd"}',
        '{"event": "finding", "round": 1, "kind": "<script>alert(1)</script>", "what": "' + "x" * 100_000 + '"}',
        nested, '{"event": ' + "{" * 5000, '{"event": 3}', "[]", "null", "\x00\x01", '{"event": "\\ud800"}',
        '{"event": "losses", "round": ' + "9" * 5000 + "}",
        '{"event": "losses", "round": 1, "values": "' + "y" * (2 * AT_ONCE) + '"}',
    ]  # fmt: skip
    with (run / "events.jsonl").open("a") as file:
        file.write("\n".join(bad) + "\n" + json.dumps(losses(4)) + "\n")
    events = read(client, "a")
    assert [event["event"] for event in events] == ["losses", "losses", "samples", "finding", "?", "losses"]
    assert events[1]["values"] == {"g": None, "h": None, "i": None}
    assert len(events[3]["what"]) == 4000
    assert events[-1]["round"] == 4
    (row,) = client.get("/api/runs").json()["rows"]
    assert row["round"] == 4


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"model": 3, "about": [], "how": "x"}', "[" * 99_999, '"\\ud800"']
)
def test_a_forged_configuration_breaks_nothing(client: TestClient, tmp_path: Path, text: str) -> None:
    for name in ("a", "b"):
        run = written(tmp_path / "runs" / name, [losses(1)])
        for file in ("config.json", "evaluation.json", "environment.json"):
            (run / file).write_text(text)
    assert client.get("/api/runs").status_code == 200
    for path in ("/api/runs/a", "/api/runs/a/events", "/api/differences?a=a&b=b"):
        assert client.get(path).status_code == 200, path


def test_pictures_are_bounded_and_nothing_else_is_served(client: TestClient, tmp_path: Path) -> None:
    run = written(tmp_path / "runs" / "a", [losses(1)])
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2
    (run / "samples" / "huge.png").write_bytes(huge + b"\0" * 50)
    (run / "samples" / "script.png").write_text("<script>alert(1)</script>")
    (run / "samples" / "page.html").write_text("<script>alert(1)</script>")
    (run / "samples" / "out.png").symlink_to("/etc/passwd")
    os.mkfifo(run / "samples" / "pipe.png")
    expected = {"huge.png": 413, "script.png": 413, "page.html": 404, "out.png": 404, "pipe.png": 404, "none.png": 404}
    for name, status in expected.items():
        assert client.get(f"/api/runs/a/files/samples/{name}").status_code == status, name
    (run / "samples" / "told.txt").write_text("<script>alert(1)</script>")
    told = client.get("/api/runs/a/files/samples/told.txt")
    assert told.headers["content-type"].startswith("text/plain")
    assert "sandbox" in told.headers["content-security-policy"]
    assert told.headers["x-content-type-options"] == "nosniff"


def test_folders_that_links_lead_to_are_not_runs(client: TestClient, tmp_path: Path) -> None:
    written(tmp_path / "elsewhere", [losses(1)])
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    assert client.get("/api/runs").json()["names"] == []
    assert client.get("/api/runs/link").status_code == 404


def test_plain_values_are_json_for_every_page() -> None:
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    found = plain({"a": float("nan"), "b": 10**400, "c": True, "d": deep, "e": list(range(5000)), 3: object()})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["a"], found["b"], found["c"], len(found["e"])) == (None, None, True, 2000)


def test_a_row_goes_back_with_its_run(client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a"
    written(run, [{"event": "start", "round": 0, "time": "2026"}, losses(900)])
    back = {"event": "rollback", "round": 500, "kind": "divergence", "changed": [], "time": "2026"}
    with (run / "events.jsonl").open("a") as file:
        for event in (picture(run, 400), picture(run, 900), {"event": "finding", "round": 950}, back):
            file.write(json.dumps(event) + "\n")
    (row,) = client.get("/api/runs").json()["rows"]
    assert (row["round"], row["sample"], row["started"], row["findings"]) == (500, None, "2026", 1)
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps(losses(510)) + "\n" + json.dumps({"event": "rollback", "round": "x"}) + "\n")
        file.write(json.dumps(losses(20)) + "\n")
    assert client.get("/api/runs").json()["rows"][0]["round"] == 20


@pytest.mark.skipif(sys.platform == "darwin", reason="names of files are text here")
def test_names_that_are_no_text_hide_nothing_else(client: TestClient, tmp_path: Path) -> None:
    for name in (b"good", b"\xff"):
        run = os.fsencode(tmp_path / "runs") + b"/" + name
        os.makedirs(run + b"/checkpoints")
        for file in (b"/config.json", b"/checkpoints/1.safetensors"):
            Path(os.fsdecode(run + file)).write_text("{}")
    assert client.get("/api/runs").json()["names"] == ["good"]
    assert [model["name"] for model in client.get("/api/explore").json()["models"]] == ["good"]
    assert [entry["name"] for entry in client.get("/api/data?path=runs").json()["folders"]] == ["good"]


def test_every_finding_has_a_name_and_a_meaning_in_both_languages() -> None:
    import sparring

    package, kinds = Path(sparring.__file__).parent, set[str]()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                kinds |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    words = (package / "studio" / "static" / "findings.js").read_text("utf-8")
    told = re.findall(r'^  "([^"]+)": \[".+", ".+", ".+", ".+"\],$', words, re.MULTILINE)
    assert len(kinds) > 30
    assert kinds <= set(told)
