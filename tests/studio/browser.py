"""The studio as its user has it: the command in a process of its own, and Chromium without a window."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

SHOTS = os.environ.get("SPARRING_SHOTS")
"""Folder for screenshots, docs/studio for those of the documentation; none: they are thrown away."""
LARGEST = 150_000


@dataclass(frozen=True)
class Served:
    """An open studio."""

    address: str
    """With its token."""
    process: subprocess.Popen[str]

    @property
    def origin(self) -> str:
        return self.address.partition("/?")[0]

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    def client(self) -> httpx.Client:
        """A program that knows the token."""
        return httpx.Client(base_url=self.origin, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)


@contextlib.contextmanager
def studio(runs: Path, data: Path, *more: str) -> Iterator[Served]:
    """`sparring studio RUNS --data DATA`, until the block ends."""
    words = [
        sys.executable,
        "-m",
        "sparring",
        "studio",
        str(runs),
        "--data",
        str(data),
        "--port",
        "0",
        "--no-open",
        *more,
    ]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stderr is not None
    said = ""
    try:
        while not (found := re.search(r"http://\S+token=\S+", said)):
            line = process.stderr.readline()
            assert line, f"it did not open: {said}"
            said += line
        yield Served(found[0], process)
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser of playwright's; skips where there is none."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser, and is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(
    browser: Any, address: str, width: int = 1240, height: int = 860, language: str = "en", dark: bool = False
) -> Iterator[Any]:
    """A page at that address; no error of its scripts, and nothing that its policy forbids, may be left at the end."""
    scheme = "dark" if dark else "light"
    locale = {"en": "en-GB", "zh": "zh-CN"}[language]
    context = browser.new_context(viewport={"width": width, "height": height}, locale=locale, color_scheme=scheme)
    context.set_default_timeout(30_000)
    page, wrong = context.new_page(), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: wrong.append(f"{said.text} ({said.location.get('url')})") if said.type == "error" else None,
    )
    page.wrong = wrong
    try:
        page.goto(address)
        page.wait_for_selector("#nav a")  # the token has become a cookie, and the page has come
        yield page
        assert not wrong, wrong
    finally:
        context.close()


def shoot(page: Any, name: str, **options: Any) -> Path:
    """A screenshot of at most 150 KB; colours are reduced where it takes that."""
    folder = Path(SHOTS) if SHOTS else Path(tempfile.gettempdir()) / "sparring-shots"
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(page.screenshot(**options))).convert("RGB")
    path = folder / f"{name}.png"
    picture.save(path, optimize=True)
    for colours in (256, 64, 16):
        if path.stat().st_size <= LARGEST:
            return path
        picture.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size <= LARGEST, f"{path} is larger than {LARGEST} bytes"
    return path
