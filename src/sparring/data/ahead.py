"""Work on threads, a bounded number of items ahead, handed out in the items' order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int | None = None, ahead: int | None = None
) -> Iterator[R]:
    """`map` on threads (Pillow, zlib and hashlib let them run side by side); an error comes out at its own item's turn.

    `workers`: none is one per core, 0 is no thread at all. `ahead`: items begun or done and not handed out yet, four
    per worker by default. The results and their order do not depend on either.
    """
    if workers == 0:
        yield from map(function, items)
        return
    workers = workers or os.cpu_count() or 1
    remaining = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        begun = islice(remaining, ahead or 4 * workers)
        waiting: deque[Future[R]] = deque(pool.submit(function, item) for item in begun)
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:  # Ctrl-C: do not work off what is queued
            pool.shutdown(cancel_futures=True)


def progress(results: Iterable[R], title: str, total: int) -> Iterable[R]:
    """A bar on stderr, where it is a terminal."""
    console = Console(stderr=True)
    return track(results, title, total, console=console, transient=True, disable=not console.is_terminal)
