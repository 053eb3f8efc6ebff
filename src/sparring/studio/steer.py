"""Trainings begun, paused, gone on with and stopped from the page; data chosen, uploaded and looked at before."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sparring.recipes import RECIPES, measured
from sparring.studio.app import Settings, body
from sparring.studio.guard import LONGEST_NAME, Refused, child, sayable, within
from sparring.studio.jobs import Jobs
from sparring.studio.runs import plain

LIMITS = {"/api/uploads/": 2 * 2**30}
"""Bytes of one uploaded file."""
LARGEST_SET, MOST_FILES = 8 * 2**30, 50_000
"""Of one set of uploads: bytes, files."""
SPARE = 2**30
"""Bytes of disk that uploads leave free."""
LARGEST_DIRECTORY = 64 * 2**20
"""Bytes of a zip's table of contents, which is read as a whole."""
PATHS = ("data", "labels", "source", "captions")
"""Settings that may name files."""
ANSWER, IDLE = 120.0, 600.0
"""Seconds for an answer of the form's process; after so many without a question it ends."""
SHOWN = 500
"""Folders and files of one folder that are shown."""
SIGNS: Mapping[bytes, tuple[str, ...]] = {
    b"\x89PNG\r\n\x1a\n": ("png", "apng"), b"\xff\xd8\xff": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    b"RIFF": ("webp", "wav"), b"BM": ("bmp", "dib"), b"GIF8": ("gif",), b"II*\0": ("tif", "tiff"),
    b"MM\0*": ("tif", "tiff"), b"P4": ("pbm",), b"P5": ("pgm",), b"P6": ("ppm",), b"PK\x03\x04": ("zip",),
    b"fLaC": ("flac",),
}  # fmt: skip
"""How files that can be uploaded begin, and the endings that such a file may have; AVIF has its sign further on."""


@dataclass
class Form:
    """The process that knows the recipes; it is started when it is first asked, as it takes some seconds."""

    process: subprocess.Popen[str] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    known: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    idle: threading.Timer | None = None

    def ask(self, **question: Any) -> dict[str, Any]:
        """Its answer. `Refused` (400) with the setting that is wrong."""
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                words = [sys.executable, "-P", "-m", "sparring.studio.form"]
                self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            answered = self._answered(self.process, question)
        if "error" in answered:
            raise Refused(400, answered["error"], answered.get("field"))
        return answered

    def form(self, recipe: str, preset: str) -> dict[str, Any]:
        """All settings of a recipe; asked once."""
        if (recipe, preset) not in self.known:
            self.known[recipe, preset] = self.ask(ask="form", recipe=recipe, preset=preset)
        return self.known[recipe, preset]

    def _answered(self, process: subprocess.Popen[str], question: Mapping[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        if self.idle is not None:
            self.idle.cancel()
        late = threading.Timer(ANSWER, process.kill)
        late.daemon = True
        late.start()
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        finally:
            late.cancel()
        if not line:
            self.close()
            raise Refused(503, "the recipes could not be read; see the studio's terminal, and try again")
        self.idle = threading.Timer(IDLE, self.close)
        self.idle.daemon = True
        self.idle.start()
        answered: dict[str, Any] = json.loads(line)
        return answered

    def close(self) -> None:
        """End it; the next question starts another."""
        if self.idle is not None:
            self.idle.cancel()
        if self.process is not None:
            self.process.kill()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self.process.wait()
            self.process = None


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """The form's process ends with the studio; trainings go on."""
    app.state.form, app.state.tallies = Form(), {}
    try:
        yield
    finally:
        app.state.form.close()


def allowed(text: str, settings: Settings, name: str) -> str:
    """A path that a setting names, as it was given. `Refused` (400) where it leads out of data and uploads."""
    outside = Refused(400, f"{name}={text} lies outside {settings.data}; see sparring studio --data", name)
    if "://" in text or "\0" in text or text.startswith("~") or "\\" in text or len(text) > 4 * LONGEST_NAME:
        raise outside
    try:
        full = (settings.data / text).resolve()
    except (OSError, RuntimeError, ValueError):
        raise outside from None
    if not any(full.is_relative_to(root.resolve()) for root in (settings.data, settings.uploads)):
        raise outside
    return text


def recipes(request: Request) -> Response:
    """What can be trained, without asking the process that knows more."""
    figures = measured()
    rows = [{"name": n, "for": e.purpose, "paper": e.paper, **figures.get(n, {})} for n, e in RECIPES.items()]
    return JSONResponse({"recipes": rows})


def form(request: Request) -> Response:
    """The settings of a recipe."""
    asked: Form = request.app.state.form
    return JSONResponse(asked.form(request.path_params["recipe"], request.query_params.get("preset", "")))


def checked(request: Request, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line makes of a form, with all its paths inside the folders of data."""
    settings: Settings = request.app.state.settings
    given = values.get("settings") or {}
    if not isinstance(given, dict) or not all(isinstance(text, str) for text in given.values()):
        raise Refused(400, "settings must be texts by name")
    recipe, preset = values.get("recipe"), values.get("preset")
    if not isinstance(recipe, str) or not isinstance(preset, str | None):
        raise Refused(400, "recipe and preset must be names")
    for name in PATHS:
        if given.get(name):
            allowed(given[name], settings, name)
    data = given.get("data", "")
    if ":" in data and not (settings.data / data).exists():
        raise Refused(400, f"data={data} names code, which the studio does not run", "data")
    asked: Form = request.app.state.form
    made = asked.ask(ask="check", recipe=recipe, preset=preset, settings=given)
    name = made["stem"]
    if made["named"] and (not re.fullmatch(r"[^/\\\0]+", name) or name.startswith(".") or len(name) > LONGEST_NAME):
        raise Refused(400, f"name={name} must be the name of one folder, without slashes", "name")
    return made


async def check(request: Request) -> Response:
    """Whether a form can be trained; the first mistake with its setting."""
    values = await body(request)
    made = await run_in_threadpool(checked, request, values)
    return JSONResponse({"command": ["sparring", "train", str(values.get("recipe")), *made["arguments"]]})


async def start(request: Request) -> Response:
    """Begin a training; its name."""
    values = await body(request)
    made = await run_in_threadpool(checked, request, values)
    jobs: Jobs = request.app.state.jobs
    name = free(jobs, re.sub(r"[/\\\0]", "-", made["stem"]).lstrip("."), made["named"])
    fixed = [f"--runs={jobs.runs}", f"--name={name}"]
    jobs.start(name, ["train", str(values["recipe"]), *made["arguments"], *fixed])
    return JSONResponse({"name": name})


def free(jobs: Jobs, stem: str, named: bool) -> str:
    """A name that no run has, and none that is being started: as `train` makes it."""
    number = 0 if named else 1
    while True:
        name = f"{stem}-{number}" if number else stem
        if not (jobs.runs / name).exists() and name not in jobs.found:
            return name
        number += 1


def pause(request: Request) -> Response:
    """Save and stop."""
    return _told(request, at_once=False)


def stop(request: Request) -> Response:
    """Stop at once; what was not saved is lost."""
    return _told(request, at_once=True)


def _told(request: Request, at_once: bool) -> Response:
    jobs: Jobs = request.app.state.jobs
    name = request.path_params["name"]
    if name not in jobs.found:
        child(jobs.runs, name)
    jobs.signal(name, at_once)
    return JSONResponse({"name": name})


def resume(request: Request) -> Response:
    """Go on with a run."""
    jobs: Jobs = request.app.state.jobs
    run = child(jobs.runs, request.path_params["name"])
    if not (run / "config.json").is_file():
        raise Refused(404, f"'{run.name}' is not a run: it has no config.json")
    jobs.start(run.name, ["resume", str(run)])
    return JSONResponse({"name": run.name})


def dismiss(request: Request) -> Response:
    """Forget a training that never began, with what it said."""
    request.app.state.jobs.dismiss(request.path_params["name"])
    return JSONResponse({"dismissed": request.path_params["name"]})


def browse(request: Request) -> Response:
    """Folders and files of data: {path, above, folders, files}; paths as `data` takes them."""
    settings: Settings = request.app.state.settings
    text = request.query_params.get("path", "")
    folder = (settings.data / allowed(text, settings, "data")).resolve()
    if not folder.is_dir():
        raise Refused(404, f"there is no folder {text}")
    try:
        with os.scandir(folder) as found:
            entries = [(e.name, e.is_dir()) for e in found if sayable(e.name) and not e.name.startswith(".")]
    except OSError as error:
        raise Refused(403, f"{text} cannot be read: {error.strerror}") from None
    entries.sort(key=lambda entry: entry[0].lower())
    folders, files = ([name for name, inner in entries if inner is wanted] for wanted in (True, False))
    top = folder in (settings.data, settings.uploads)
    return JSONResponse({
        "path": shown(folder, settings),
        "above": None if top else shown(folder.parent, settings),
        "folders": [{"name": name, "path": shown(folder / name, settings)} for name in folders[:SHOWN]],
        "files": [{"name": name, "path": shown(folder / name, settings)} for name in files[:SHOWN]],
        "more": max(0, len(folders) - SHOWN) + max(0, len(files) - SHOWN),
    })  # fmt: skip


def shown(path: Path, settings: Settings) -> str:
    """As short as `data` takes it."""
    return str(path.relative_to(settings.data)) if path.is_relative_to(settings.data) else str(path)


async def new_set(request: Request) -> Response:
    """A folder for uploads."""
    settings: Settings = request.app.state.settings
    wanted = str((await body(request)).get("name", ""))
    stem = re.sub(r"[^\w-]+", "-", wanted)[:60].strip("-_") or "pictures"
    number = 1
    while True:
        path = settings.uploads / f"{stem}-{number}"
        try:
            path.mkdir(parents=True)
            request.app.state.tallies[path] = Tally(0, 0)
            return JSONResponse({"set": path.name, "data": shown(path, settings)})
        except FileExistsError:
            number += 1


async def upload(request: Request) -> Response:
    """One file into a set: a picture or a zip, told by how it begins. Nothing of it is unpacked or run."""
    settings: Settings = request.app.state.settings
    folder = child(settings.uploads, request.path_params["set"])
    path = within(folder, clean(request.path_params["name"]))
    if path.exists():
        raise Refused(409, f"{path.name} is there already")
    tally = await run_in_threadpool(counted, request.app.state.tallies, folder)
    room = space(folder, tally)
    part = path.with_name(f".{secrets.token_hex(4)}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Refused(409, f"{path.parent.name} is there already, and is a file") from None
    try:
        size = 0
        with part.open("xb") as file:
            async for piece in request.stream():
                size += len(piece)
                if size > room:
                    raise Refused(413, "there is no room for more in this set")
                await run_in_threadpool(file.write, piece)
        await run_in_threadpool(look, part, path)
        os.link(part, path)  # unlike a renaming, never over a file that came in the meantime
        tally.files, tally.bytes = tally.files + 1, tally.bytes + size
    except FileExistsError:
        raise Refused(409, f"{path.name} is there already") from None
    finally:
        part.unlink(missing_ok=True)
    return JSONResponse({"data": shown(path if path.suffix.lower() == ".zip" else folder, settings), "bytes": size})


def clean(name: str) -> str:
    """A path of at most three plain names, so that sub-folders can name classes."""
    words = [re.sub(r"[^\w .()+-]", "_", word).strip(" .") for word in name.split("/")]
    if not 1 <= len(words) <= 3 or not all(words) or max(len(word.encode()) for word in words) > LONGEST_NAME:
        raise Refused(400, f"'{name[:LONGEST_NAME]}' cannot be the name of an upload")
    return "/".join(words)


@dataclass
class Tally:
    """Of the files of a set."""

    files: int
    bytes: int


def counted(tallies: dict[Path, Tally], folder: Path) -> Tally:
    """What a set holds. It is walked once, not at each of its uploads."""
    if folder not in tallies:
        sizes = [entry.stat().st_size for entry in folder.rglob("*") if entry.is_file()]
        tallies[folder] = Tally(len(sizes), sum(sizes))
    return tallies[folder]


def space(folder: Path, held: Tally) -> int:
    """Bytes that may still be added to a set."""
    if held.files >= MOST_FILES:
        raise Refused(413, f"a set holds {MOST_FILES:,} files at most; upload a zip instead")
    return min(LARGEST_SET - held.bytes, shutil.disk_usage(folder).free - SPARE)


def look(part: Path, path: Path) -> None:
    """`Refused` (415, 413) for what is neither a picture nor a sound nor a zip, or a zip that is all table."""
    with part.open("rb") as file:
        head = file.read(16)
    endings = next((known for sign, known in SIGNS.items() if head.startswith(sign)), ())
    endings = ("avif",) if head[4:12] in (b"ftypavif", b"ftypavis") else endings
    if path.suffix.lower().lstrip(".") not in endings:
        told = f"begins like a file of {', '.join(endings)}" if endings else "is no picture, sound or zip"
        raise Refused(415, f"{path.name} {told}")
    if "zip" in endings and directory(part, path.name) > LARGEST_DIRECTORY:
        raise Refused(413, f"{path.name} has a table of contents that is too large")


def directory(path: Path, name: str) -> int:
    """Bytes of a zip's table of contents, from its last bytes. `Refused` (415) where it has none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 66_000))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        raise Refused(415, f"{name} is a torn zip: its end is missing")
    size, wide = int.from_bytes(tail[at + 12 : at + 16], "little"), tail.rfind(b"PK\6\6")
    return int.from_bytes(tail[wide + 40 : wide + 48], "little") if wide >= 0 else size


async def inspect(request: Request) -> Response:
    """Begin to look at a set with the data doctor; the name under which to ask for what it finds."""
    settings: Settings = request.app.state.settings
    jobs: Jobs = request.app.state.jobs
    values = await body(request)
    data = allowed(str(values.get("data", "")), settings, "data")
    if not data or data.startswith("-"):
        raise Refused(400, "data: give a name, a folder or a zip", "data")
    name = f".look-{secrets.token_hex(4)}"
    sheet = jobs.kept / f"{name}.png"
    words = [f"--{key}={values[key]}" for key in ("size", "color", "fit", "labels") if values.get(key)]
    if values.get("labels"):
        allowed(str(values["labels"]), settings, "labels")
    jobs.start(name, ["data", "inspect", data, "--json", f"--sheet={sheet}", *words])
    return JSONResponse({"look": name})


def _look_at(request: Request) -> tuple[Any, Path]:
    jobs: Jobs = request.app.state.jobs
    name = request.path_params["look"]
    if not name.startswith(".look-") or name not in jobs.found:
        raise Refused(404, "nothing was looked at under that name")
    return jobs.found[name], jobs.kept / f"{name}.png"


def inspected(request: Request) -> Response:
    """What the data doctor has found so far: {status, message, found}."""
    job, sheet = _look_at(request)
    told = job.as_json()
    try:
        found = plain(json.loads(job.out.read_text(encoding="utf-8"))) if not job.alive else None
    except (ValueError, OSError):
        found = None
    return JSONResponse(
        {"status": told["status"], "message": told["message"], "found": found, "sheet": sheet.is_file()}
    )


def sheet(request: Request) -> Response:
    """The contact sheet."""
    _, path = _look_at(request)
    if not path.is_file():
        raise Refused(404, "there is no contact sheet")
    return FileResponse(path, media_type="image/png")


routes: list[BaseRoute] = [
    Route("/api/recipes", recipes),
    Route("/api/form/{recipe}", form),
    Route("/api/check", check, methods=["POST"]),
    Route("/api/start", start, methods=["POST"]),
    Route("/api/runs/{name}/pause", pause, methods=["POST"]),
    Route("/api/runs/{name}/stop", stop, methods=["POST"]),
    Route("/api/runs/{name}/resume", resume, methods=["POST"]),
    Route("/api/starts/{name}", dismiss, methods=["DELETE"]),
    Route("/api/data", browse),
    Route("/api/uploads", new_set, methods=["POST"]),
    Route("/api/uploads/{set}/{name:path}", upload, methods=["PUT"]),
    Route("/api/inspect", inspect, methods=["POST"]),
    Route("/api/inspect/{look}", inspected),
    Route("/api/inspect/{look}/sheet.png", sheet),
]
