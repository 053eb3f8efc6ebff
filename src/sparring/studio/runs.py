"""Run folders as the page reads them: a row for each, events from where the page left off, pictures, differences.

Nothing in a run folder is trusted: whatever it holds is cut to size, made of plain JSON values, and never executed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sparring.config import UserError, read_json
from sparring.studio.guard import Refused, child, sayable, within
from sparring.studio.jobs import Jobs, trainer

AT_ONCE = 512 * 1024
"""Bytes of events in one answer; a line that is longer is passed over."""
LARGEST_JSON, LARGEST_PICTURE = 8_000_000, 64_000_000
"""Bytes of a settings file; bytes of a picture, sound or film, and pixels of a picture."""
LONGEST, MOST, DEEPEST = 4_000, 2_000, 8
"""Characters of a text, entries of a list or table, tables within tables: the rest is cut off."""
FILES = re.compile(r"samples/[\w-][\w.-]*\.(png|txt|wav|gif)", re.ASCII)
KINDS = {"png": "image/png", "gif": "image/gif", "wav": "audio/wav", "txt": "text/plain; charset=utf-8"}
PARTS_OF_CONFIG = ("recipe", "preset", "model", "data", "how", "sparring", "facts")
MEASURED = ("seconds_per_round", "launch", "first")
"""Facts that no one chose."""
PLACES = ("name", "runs")
"""Settings that say where, not what."""
PARTS_OF_MACHINE = ("torch", "python", "device", "processor", "threads")


def plain(value: Any, deep: int = 0) -> Any:
    """A JSON value that every page can take: no NaN, nothing endless."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value if abs(value) < 1e300 and not math.isnan(value) else None
    if isinstance(value, str):
        return value[:LONGEST].encode("utf-8", "replace").decode()  # halves of characters too are possible in JSON
    if deep == DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item, deep + 1) for key, item in list(value.items())[:MOST]}
    return [plain(item, deep + 1) for item in value[:MOST]] if isinstance(value, list) else None


def mapping(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none, or none that can be read."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            return {}
        value = plain(read_json(path))
    except (UserError, OSError):
        return {}
    return value if isinstance(value, dict) else {}


def dig(values: Any, *path: str) -> Any:
    """`values[a][b]...`, or None where something on the way is missing."""
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def number(value: Any) -> float | None:
    """Where it is one."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def identity(file: Path) -> str:
    """Of this very file: another one after events were taken back, by a resume."""
    with file.open("rb") as opened:
        return f"{os.fstat(opened.fileno()).st_ino:x}-{hashlib.sha256(opened.read(120)).hexdigest()[:8]}"


def lines_from(file: Path, at: int, most: int = AT_ONCE) -> tuple[list[bytes], int]:
    """Whole lines from byte `at` on, and where to go on: behind the last whole one."""
    with file.open("rb") as opened:
        opened.seek(at)
        data = opened.read(most)
    end = data.rfind(b"\n") + 1
    if not end:  # the line is still being written; or it is longer than any event, and what it holds is lost
        return [], at + (len(data) if len(data) == most else 0)
    return data[:end].splitlines(), at + end


def event_of(line: bytes) -> dict[str, Any] | None:
    """The event in a line; None for whatever else it holds."""
    try:
        event = plain(json.loads(line))
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


@dataclass
class Followed:
    """What is kept of a run's events: how far they were read, and the latest of each kind that a row shows."""

    of: str = ""
    at: int = 0
    losses: bytes = b""
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By kind."""
    state: str = ""
    """The kind of the latest event that began or ended something."""
    findings: int = 0

    def follow(self, file: Path) -> None:
        """Read what is new. Of losses, by far the most, only the last line is looked into."""
        before = -1
        while self.at != before:
            before = self.at
            lines, self.at = lines_from(file, self.at)
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        if line.startswith(b'{"event": "losses"'):
            self.losses = line
            return
        event = event_of(line)
        if event is None:
            return
        kind = event["event"]
        self.last[kind] = {key: event.get(key) for key in ("round", "images", "time", "file", "message")}
        if kind in ("start", "resume", "stop", "done", "broken", "rollback"):
            self.state = kind
        if kind == "rollback":  # what came after that round will happen again
            at = number(event.get("round")) or 0
            self.last = {name: told for name, told in self.last.items() if (number(told.get("round")) or 0) <= at}
            self.losses = b""
        self.findings += kind == "finding"


@dataclass
class Shelf:
    """The rows of all runs, made anew only where a folder has changed."""

    root: Path
    version: int = 0
    rows: dict[str, tuple[Any, int, dict[str, Any]]] = field(default_factory=dict)
    """By name: what the row was made from, the version that made it, the row."""
    followed: dict[str, Followed] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def since(self, version: int, jobs: Jobs) -> dict[str, Any]:
        """{version, names, rows}: all names, and the rows that are newer than `version`."""
        with self.lock:
            names = [path.name for path in folders(self.root)]
            for gone in set(self.rows) - set(names):
                del self.rows[gone]
                self.followed.pop(gone, None)
                self.version += 1
            for name in names:
                self._look(name, jobs)
            new = [row for _, made, row in self.rows.values() if made > version]
            return {"version": self.version, "names": names, "rows": new}

    def row(self, name: str, jobs: Jobs) -> dict[str, Any]:
        """Of one run."""
        with self.lock:
            self._look(name, jobs)
            return self.rows[name][2]

    def _look(self, name: str, jobs: Jobs) -> None:
        run = self.root / name
        alive = jobs.alive(name) or trainer(run) is not None
        stamps = [_stamp(run / file) for file in ("config.json", "events.jsonl", "evaluation.json")]
        before = self.rows.get(name)
        if before is not None and before[0] == (alive, stamps):
            return
        followed = followed_on(run / "events.jsonl", self.followed.get(name, Followed()))
        self.followed[name] = followed
        self.version += 1
        self.rows[name] = ((alive, stamps), self.version, row_of(run, followed, alive))


def followed_on(file: Path, known: Followed) -> Followed:
    """Read to the end of the file; from its beginning where it is another than it was."""
    try:
        of = identity(file)
        now = known if of == known.of and file.stat().st_size >= known.at else Followed(of)
        now.follow(file)
    except OSError:
        return Followed()
    return now


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        told = file.stat()
    except OSError:
        return ()
    return told.st_ino, told.st_size, told.st_mtime_ns


def folders(root: Path) -> Iterator[Path]:
    """Runs in a folder of runs, the newest first; not through links, which may lead anywhere."""
    try:
        with os.scandir(root) as entries:
            known = [entry for entry in entries if sayable(entry.name) and not entry.name.startswith(".")]
            found = [Path(entry.path) for entry in known if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    runs = [(path.stat().st_ctime_ns, path) for path in found if (path / "config.json").is_file()]
    for _, path in sorted(runs, reverse=True):
        yield path


def row_of(run: Path, followed: Followed, alive: bool) -> dict[str, Any]:
    """What the list shows of a run."""
    config = mapping(run / "config.json")
    losses = event_of(followed.losses) or {}
    latest = [losses, *followed.last.values()]
    done = max((value for event in latest if (value := number(event.get("round"))) is not None), default=None)
    rounds, seconds = number(dig(config, "model", "rounds")), number(losses.get("seconds"))
    images = max((value for event in latest if (value := number(event.get("images"))) is not None), default=None)
    left, state = None, status(followed.state, alive)
    if state == "training" and rounds and seconds and number(losses.get("round")):
        left = max(0.0, (rounds - losses["round"]) * seconds / losses["round"])
    shown = {key: dig(config, *path) for key, path in {
        "recipe": ("recipe",), "preset": ("preset",), "data": ("about", "name"), "kind": ("about", "key"),
        "seed": ("how", "seed"),
    }.items()}  # fmt: skip
    return shown | {
        "name": run.name,
        "status": state if config else "unreadable",
        "round": done,
        "rounds": rounds,
        "images": images,
        "seconds": seconds,
        "left": left,
        "findings": followed.findings,
        "sample": dig(followed.last, "samples", "file"),
        "started": dig(followed.last, "start", "time"),
        "message": dig(followed.last, "broken", "message") if followed.state == "broken" else None,
        "score": headline(mapping(run / "evaluation.json")),
    }


def status(state: str, alive: bool) -> str:
    """In a word; a run that nobody works on and that has no end was killed."""
    if alive:
        return {"done": "judging", "": "starting", "stop": "starting"}.get(state, "training")
    return {"done": "finished", "stop": "paused", "broken": "broken"}.get(state, "interrupted")


def headline(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """The score that a row shows: the distance where there is one, else the first."""
    metrics = evaluation.get("metrics")
    if not isinstance(metrics, dict):
        return None
    known = {name: metric for name, metric in metrics.items() if number(dig(metric, "value")) is not None}
    name = "frechet distance" if "frechet distance" in known else next(iter(known), None)
    if name is None:
        return None
    metric = known[name]
    return {"name": name} | {
        key: number(metric.get(key)) for key in ("value", "se", "floor", "floor_se", "times_floor")
    }


def flat(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of nested settings."""
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, values


def differences(first: Path, second: Path) -> list[dict[str, Any]]:
    """[{setting, values}] of everything that two runs were told differently, or that ran elsewhere."""
    told = []
    for run in (first, second):
        config, machine = mapping(run / "config.json"), mapping(run / "environment.json")
        kept = {key: config.get(key) for key in PARTS_OF_CONFIG}
        for part, left in (("facts", MEASURED), ("how", PLACES)):
            values = kept[part]
            known = values if isinstance(values, dict) else {}
            kept[part] = {key: value for key, value in known.items() if key not in left}
        kept["content"] = dig(config, "about", "sha256")
        kept["machine"] = {key: machine.get(key) for key in PARTS_OF_MACHINE}
        told.append(dict(flat(kept)))
    names = list(dict.fromkeys([*told[0], *told[1]]))
    pairs = [(name, [values.get(name) for values in told]) for name in names]
    return [{"setting": name, "values": values} for name, values in pairs if values[0] != values[1]]


def _runs(request: Request) -> Path:
    root: Path = request.app.state.settings.runs
    return root


def _run(request: Request, name: str) -> Path:
    run = child(_runs(request), name)
    if not (run / "config.json").is_file():
        raise Refused(404, f"'{name}' is not a run: it has no config.json")
    return run


def _shelf(request: Request) -> Shelf:
    state = request.app.state
    if not hasattr(state, "shelf"):
        state.shelf = Shelf(state.settings.runs)
    shelf: Shelf = state.shelf
    return shelf


def _whole(text: str | None) -> int:
    """A number of the address; 0 where it is none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else 0


def listed(request: Request) -> Response:
    """Rows that have changed since version `since`, and the trainings that have no folder yet."""
    jobs: Jobs = request.app.state.jobs
    found = _shelf(request).since(_whole(request.query_params.get("since")), jobs)
    return JSONResponse(found | {"jobs": jobs.without_folder()})


def one(request: Request) -> Response:
    """All of a run but its events."""
    name, jobs = request.path_params["name"], request.app.state.jobs
    job = jobs.told(name)
    if job is not None and not (_runs(request) / name / "config.json").is_file():
        return JSONResponse({"row": {"name": name, "status": job["status"]}, "job": job})
    run = _run(request, name)
    files = {"evaluation": "evaluation", "best": "evaluation-best", "config": "config", "environment": "environment"}
    parts = {key: mapping(run / f"{file}.json") for key, file in files.items()}
    return JSONResponse({"row": _shelf(request).row(name, jobs), "job": job} | parts)


def events(request: Request) -> Response:
    """Events from byte `at` of the file `of` on: {of, at, more, fresh, events}; `fresh` where it starts anew."""
    file = _run(request, request.path_params["name"]) / "events.jsonl"
    of, at = request.query_params.get("of", ""), _whole(request.query_params.get("at"))
    try:
        found, size = identity(file), file.stat().st_size
        fresh = of != found or at > size
        lines, end = lines_from(file, 0 if fresh else at)
    except OSError:
        return JSONResponse({"of": "", "at": 0, "more": False, "fresh": True, "events": []})
    kept = [event for line in lines if (event := event_of(line)) is not None]
    more = end < size and end > (0 if fresh else at)
    return JSONResponse({"of": found, "at": end, "more": more, "fresh": fresh, "events": kept})


def file(request: Request) -> Response:
    """A picture, text, sound or film of samples. 404 for anything else, 413 for what is larger than any of them.

    The page adds to the address of which events it is, as files change with them, and keeps it.
    """
    name = request.path_params["file"]
    if not FILES.fullmatch(name):
        raise Refused(404, "there is no such file")
    path = within(_run(request, request.path_params["name"]), name)
    if not path.is_file():
        raise Refused(404, "there is no such file")
    kind = path.suffix[1:]
    if path.stat().st_size > LARGEST_PICTURE or (kind in ("png", "gif") and pixels(path) > LARGEST_PICTURE):
        raise Refused(413, f"{path.name} is too large to be shown")
    data = path.read_bytes() if kind != "txt" else path.read_bytes()[:LONGEST]
    alone = {"content-security-policy": "default-src 'none'; sandbox", "cache-control": "private, max-age=3600"}
    return Response(data, media_type=KINDS[kind], headers=alone)


def pixels(path: Path) -> int:
    """What the header of a PNG or GIF promises, before anything is decoded; endless for what is neither."""
    with path.open("rb") as opened:
        head = opened.read(24)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return int.from_bytes(head[16:20], "big") * int.from_bytes(head[20:24], "big")
    if head.startswith(b"GIF8"):
        return int.from_bytes(head[6:8], "little") * int.from_bytes(head[8:10], "little")
    return LARGEST_PICTURE + 1


def compared(request: Request) -> Response:
    """What runs `a` and `b` were told differently."""
    first, second = (_run(request, request.query_params.get(key, "")) for key in ("a", "b"))
    return JSONResponse({"differences": differences(first, second)})


routes: list[BaseRoute] = [
    Route("/api/runs", listed),
    Route("/api/differences", compared),
    Route("/api/runs/{name}", one),
    Route("/api/runs/{name}/events", events),
    Route("/api/runs/{name}/files/{file:path}", file),
]
