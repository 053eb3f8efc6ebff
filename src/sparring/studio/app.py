"""The studio as an application: the routes of its parts and its pages."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import mimetypes
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sparring import __version__
from sparring.config import UserError
from sparring.studio.guard import Guard, Refused
from sparring.studio.jobs import Jobs

PARTS = ("runs", "steer", "explore", "lab")
"""Modules of this package. Each has `routes: list[BaseRoute]`, and may have `LIMITS` (beginning of a path -> bytes of
a body) and `lifespan(app)`, an async context manager around the time that the studio is open, for its processes."""
PAGES = ("runs", "new", "explore", "lab", "tour")
"""Shown in the header where static/NAME.js is there."""
STATIC = resources.files("sparring.studio").joinpath("static")


@dataclass(frozen=True)
class Settings:
    """What a studio works on. Parts find it as `request.app.state.settings`."""

    runs: Path
    """The folder of runs; new ones go there."""
    data: Path
    """Folders and files of data may be chosen in here, and nowhere else but in `uploads`."""
    uploads: Path
    """What the page uploads is kept here."""
    host: str = "127.0.0.1"
    port: int = 7860
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    ticket: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """Stands once for the token, in the address that is handed to the browser: everybody may see its command line."""


def parts() -> list[ModuleType]:
    """The modules of PARTS."""
    names = [f"sparring.studio.{name}" for name in PARTS]
    return [importlib.import_module(name) for name in names if importlib.util.find_spec(name)]


def app(settings: Settings) -> Starlette:
    """The studio, to be served at `settings.host` and `settings.port`; its parts' processes end with it."""
    found = parts()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(app.state.jobs.close)
            for part in found:
                if hasattr(part, "lifespan"):
                    await stack.enter_async_context(part.lifespan(app))
            yield

    limits = {path: size for part in found for path, size in getattr(part, "LIMITS", {}).items()}
    routes: list[BaseRoute] = [Route("/", index), Route("/api/studio", about), Route("/static/{name}", static)]
    for part in found:
        routes += part.routes
    where = settings.host, settings.port
    guard = Middleware(Guard, settings.token, *where, limits=limits, ticket=settings.ticket)
    handlers: Any = {Refused: _refused, HTTPException: _http, UserError: _user, Exception: _broken}
    made = Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=lifespan)
    made.state.settings, made.state.jobs = settings, Jobs(settings.runs, settings.data)
    return made


async def index(request: Request) -> Response:
    """The one page; what it shows is in its address after the #."""
    return Response(STATIC.joinpath("index.html").read_bytes(), media_type="text/html")


async def static(request: Request) -> Response:
    """A file of the page, by its name alone."""
    name = request.path_params["name"]
    if name not in {entry.name for entry in STATIC.iterdir()}:
        raise Refused(404, f"there is no '{name}'")
    kind = {".js": "text/javascript"}.get(Path(name).suffix) or mimetypes.guess_type(name)[0]
    return Response(STATIC.joinpath(name).read_bytes(), media_type=kind)


async def about(request: Request) -> Response:
    """What this studio is."""
    settings: Settings = request.app.state.settings
    there = {entry.name for entry in STATIC.iterdir()}
    pages = [name for name in PAGES if f"{name}.js" in there]
    folders = {"runs": str(settings.runs), "data": str(settings.data), "uploads": str(settings.uploads)}
    return JSONResponse({"version": __version__, "pages": pages} | folders)


async def body(request: Request) -> dict[str, Any]:
    """The JSON object that a request brings. `Refused` (400, 415) for anything else."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(415, "JSON is expected")
    try:
        values = json.loads(await request.body())
        json.dumps(values, ensure_ascii=False).encode()  # halves of characters are JSON, and can be no name or word
    except (ValueError, RecursionError):
        raise Refused(400, "that is not JSON") from None
    if not isinstance(values, dict):
        raise Refused(400, "a JSON object is expected")
    return values


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Refused(error.status_code, error.detail).response()


async def _user(request: Request, error: Exception) -> Response:
    return Refused(400, str(error)).response()


async def _broken(request: Request, error: Exception) -> Response:
    """Uvicorn prints the traceback; the page gets a sentence."""
    return Refused(500, f"the studio has a mistake here: {type(error).__name__}; see its terminal").response()
