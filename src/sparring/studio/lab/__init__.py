"""The lab's end in the studio: a websocket, and behind it a process that plays. Nothing here imports torch.

One process per page, at most `MOST` of them; a process lives as long as its page's socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from sparring.config import UserError
from sparring.studio.lab.messages import LARGEST_FRAME, parse

MOST = 4
"""Labs at once: each keeps a core busy while it plays."""
RATE, BURST = 150.0, 300.0
"""Messages a second in the long run, and at once. A page that draws 60 frames a second answers each."""
PATIENCE = 30
"""Messages that make no sense, in one lab, before its socket is closed."""
TOO_BIG, REFUSED, FULL = 1009, 1008, 1013
"""Codes of RFC 6455."""


@dataclass(eq=False)
class Allowance:
    """Messages that may still come: a bucket that fills with time."""

    left: float = BURST
    at: float = field(default_factory=time.monotonic)

    def spend(self) -> bool:
        """False where there were too many."""
        now = time.monotonic()
        self.left, self.at = min(BURST, self.left + (now - self.at) * RATE) - 1, now
        return self.left >= 0


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """No process outlives the studio."""
    app.state.labs, app.state.room = set[Process](), asyncio.Semaphore(MOST)
    try:
        yield
    finally:
        for process in list(app.state.labs):
            await end(process)


async def lab(socket: WebSocket) -> None:
    """One page's lab, from the opening of its socket to the end."""
    await socket.accept()
    labs: set[Process] = socket.app.state.labs
    room: asyncio.Semaphore = socket.app.state.room
    if room.locked():
        await say(socket, "full", f"{MOST} labs are open already; close one of them")
        await socket.close(FULL)
        return
    async with room:  # taken before the process begins: several pages may open at once
        await played(socket, labs)


async def played(socket: WebSocket, labs: set[Process]) -> None:
    """A process, and its words and the page's passed to and fro until either ends."""
    # -P: a file called torch.py where the studio was started would else be taken for the package
    command = (sys.executable, "-P", "-m", "sparring.studio.lab.child")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env={**os.environ, **ONE_THREAD})
    labs.add(process)
    try:
        tasks = [asyncio.create_task(outward(process, socket)), asyncio.create_task(inward(socket, process))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        labs.discard(process)
        await end(process)


ONE_THREAD = {"OMP_NUM_THREADS": "1"}


async def end(process: Process) -> None:
    """Kill it, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def say(socket: WebSocket, kind: str, text: str) -> None:
    """Words of the studio's own."""
    await socket.send_text(json.dumps({"kind": kind, "text": text}))


async def outward(process: Process, socket: WebSocket) -> None:
    """Frames of the child to the page, until either ends."""
    assert process.stdout is not None
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, ConnectionError):  # the page has gone
        try:
            while True:
                length = int.from_bytes(await process.stdout.readexactly(4), "big")
                if length > LARGEST_FRAME:
                    raise ValueError(f"a frame of {length:,} bytes")
                payload = await process.stdout.readexactly(length)
                if payload[:1] == b"\0":
                    await socket.send_bytes(payload)
                else:
                    await socket.send_text(payload.decode())
        except (asyncio.IncompleteReadError, ValueError):
            await say(socket, "ended", "the lab's process has ended; begin again")
            await socket.close(1011)


async def inward(socket: WebSocket, process: Process) -> None:
    """Messages of the page to the child, each checked, until either ends or the page says too much."""
    assert process.stdin is not None
    allowance, patience = Allowance(), PATIENCE
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, ConnectionError):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not allowance.spend():
                await socket.close(REFUSED, "too many messages")
                return
            try:
                values = parse(message.get("text") or "")
            except UserError as error:
                patience -= 1
                await say(socket, "error", str(error))
                if not patience:
                    await socket.close(REFUSED, "too many messages that make no sense")
                    return
                continue
            process.stdin.write(json.dumps(values).encode() + b"\n")
            await process.stdin.drain()


routes: list[BaseRoute] = [WebSocketRoute("/lab/socket", lab)]
