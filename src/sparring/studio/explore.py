"""The studio's Explore page: each opened model is a process of its own, `sparring.serve.worker`, asked on loopback.

This process never sees a weight. It starts the other, which alone knows its token, and passes requests on.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sparring.studio.guard import Refused, child, sayable

LIMITS = {"/api/explore/": 8 * 2**20 + 4096}
"""Uploads of pictures; the model's own limit is a little lower."""
MOST = 2
"""Models that are open at once; the one that was not asked for longest makes room."""
SECONDS = 120.0
"""For a model to open, and for an answer."""
LONGEST = 64 * 2**20
"""Bytes of an answer."""
PATHS = re.compile(r"(explore/[a-z]+(/[0-9a-f]{16})?|samples|translation|classification|about)", re.ASCII)
"""What of a model's service the page may ask."""


class Worker:
    """A model's process. `Refused` (409, 502) where it cannot be opened, or is no more."""

    def __init__(self, run: Path) -> None:
        self.run, self.token, self.asked = run, secrets.token_urlsafe(32), time.monotonic()
        self.users = 0
        """Requests that want it just now."""
        self.process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def open(self) -> None:
        """Start it, and wait until it answers."""
        # -P: a file called torch.py where the studio was started would else be taken for the package
        command = [sys.executable, "-P", "-m", "sparring.serve.worker", str(self.run)]
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.token}\n".encode())
        try:
            async with asyncio.timeout(SECONDS):
                told = json.loads(await self.process.stdout.readline() or b"{}")
        except (TimeoutError, ValueError):
            told = {}
        if not isinstance(told.get("port"), int):
            await self.close()
            raise Refused(
                409, str(told.get("error") or f"{self.run.name} could not be opened; see the studio's terminal")
            )
        self.port = told["port"]

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return self.process is not None and self.process.returncode is None

    @property
    def answers(self) -> bool:
        """Whether it has been opened, and still runs."""
        return self.alive and self.port > 0

    async def close(self) -> None:
        """End it."""
        if self.process is None or not self.alive:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    def ask(self, method: str, path: str, body: bytes, kind: str) -> Response:
        """One request, passed on; to be called in a thread."""
        self.asked = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        headers = {"authorization": f"Bearer {self.token}"} | ({"content-type": kind} if kind else {})
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read(LONGEST + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Refused(502, f"the model does not answer ({error}); open it again") from None
        finally:
            connection.close()
        if len(data) > LONGEST:
            raise Refused(502, f"the answer is larger than {LONGEST >> 20} MB; ask for fewer or smaller pictures")
        passed = {name: value for name in ("Retry-After",) if (value := answer.getheader(name))}
        return Response(data, answer.status, passed, media_type=answer.getheader("content-type"))


class Workers:
    """The models that are open, by the name of their run."""

    def __init__(self) -> None:
        self.open: dict[str, Worker] = {}
        self._one_at_a_time = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def of(self, name: str, run: Path) -> AsyncIterator[Worker]:
        """The run's, started where it is not there yet; it is not closed to make room within the block."""
        ready = self.open.get(name)
        if ready is None or not ready.answers:  # one that is open does not wait for another that is being opened
            async with self._one_at_a_time:
                ready = await self._opened(name, run)
        ready.users += 1
        try:
            yield ready
        finally:
            ready.users -= 1

    async def _opened(self, name: str, run: Path) -> Worker:
        found = self.open.get(name)
        if found is not None and found.answers:
            return found
        await self.drop(name)  # one that has died
        while len(self.open) >= MOST:
            idle = [other for other, worker in self.open.items() if not worker.users]
            if not idle:
                raise Refused(429, f"{MOST} models are at work; wait for their answers, or close one")
            await self.drop(min(idle, key=lambda other: self.open[other].asked))
        self.open[name] = found = Worker(run)
        try:
            await found.open()
        except BaseException:
            await self.drop(name)
            raise
        return found

    async def drop(self, name: str) -> None:
        """Close one, where it is open."""
        worker = self.open.pop(name, None)
        if worker is not None:
            await worker.close()

    async def close(self) -> None:
        """All of them."""
        for name in list(self.open):
            await self.drop(name)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Models end with the studio."""
    app.state.workers = workers = Workers()
    try:
        yield
    finally:
        await workers.close()


def run_of(request: Request) -> tuple[str, Path]:
    """(name, folder) of the run in the address. `Refused` (404)."""
    name = request.path_params["name"]
    return name, child(request.app.state.settings.runs, name)


def models(request: Request) -> Response:
    """Runs that have a checkpoint, newest first."""
    root: Path = request.app.state.settings.runs
    found = list[dict[str, Any]]()
    for run in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(OSError, Refused):
            kept = [file for file in (child(root, run.name) / "checkpoints").iterdir() if file.suffix == ".safetensors"]
            if kept and sayable(run.name) and (run / "config.json").is_file():
                found.append({"name": run.name, "time": max(file.stat().st_mtime for file in kept)})
    return JSONResponse({"models": sorted(found, key=lambda model: -model["time"])[:500]})


async def passed(request: Request) -> Response:
    """A request for the model, answered by it."""
    name, run = run_of(request)
    path = request.path_params["path"]
    if not PATHS.fullmatch(path):
        raise Refused(404, "a model has nothing at this address")
    body = await request.body()
    query = f"?{request.url.query}" if request.url.query else ""
    kind = request.headers.get("content-type", "")
    workers: Workers = request.app.state.workers
    async with workers.of(name, run) as worker:
        return await run_in_threadpool(worker.ask, request.method, f"/{path}{query}", body, kind)


async def closed(request: Request) -> Response:
    """Close the model, so that the next question opens it as it is by then."""
    name, _ = run_of(request)
    await request.app.state.workers.drop(name)
    return JSONResponse({"closed": name})


routes: list[BaseRoute] = [
    Route("/api/explore", models),
    Route("/api/explore/{name}", closed, methods=["DELETE"]),
    Route("/api/explore/{name}/{path:path}", passed, methods=["GET", "POST", "DELETE"]),
]
