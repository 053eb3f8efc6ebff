"""A model opened and served, until Ctrl-C."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from sparring.config import UserError
from sparring.hosts import listening
from sparring.trained import Run

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

    from sparring.serve.model import Limits, Served
    from sparring.serve.web import Service

INSTALL = "pip install 'sparring[serve]'"


def opened(run: Run, limits: Limits, threads: int = 0) -> Service:
    """The model, ready, with its queue. `UserError` where it cannot be opened, or makes nothing that can be served."""
    try:
        from sparring.serve.web import Service
    except ImportError as error:
        raise UserError(f"a service needs {error.name}:  {INSTALL}") from None
    from sparring.serve.desk import Desk
    from sparring.serve.model import Served

    served = Served(run)
    warm(served)
    return Service(served, Desk(served.generate, limits.waiting, limits.rows, threads or threads_of(run)), limits)


def threads_of(run: Run) -> int:
    """As many as training took, where they are here."""
    return min(run.machine.threads, os.cpu_count() or 1)


def warm(served: Served) -> None:
    """A first pass, which is slow, before anybody waits for it; and whatever cannot be, told now."""
    if "samples" in served.offers and not served.about.caption:
        with torch.random.fork_rng():
            served.generate(served.rows(1, 0, {}))


def forever(app: Starlette, at: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C."""
    import uvicorn

    warnings.filterwarnings("ignore", module="PIL")  # what cannot be used is refused in words
    ready()
    config = uvicorn.Config(
        app, log_level="warning", timeout_keep_alive=20, limit_concurrency=512, h11_max_incomplete_event_size=32_768,
        timeout_graceful_shutdown=3, server_header=False, lifespan="off",
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[at])


def serve(
    run: Run, host: str, port: int, limits: Limits, threads: int, told: Callable[[str], None],
    more: Callable[[Service], Sequence[BaseRoute]] | None = None, token: str = "",
) -> None:  # fmt: skip
    """Everything that `sparring serve` does; `told` gets the address once it is open."""
    service = opened(run, limits, threads)
    from sparring.serve.web import application

    at = listening(host, port)
    app = application(service, host, more(service) if more else (), token)
    name = f"[{host}]" if ":" in host else host
    try:
        forever(app, at, lambda: told(f"http://{name}:{at.getsockname()[1]}"))
    finally:
        service.desk.close()
