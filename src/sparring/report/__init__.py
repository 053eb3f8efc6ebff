"""A run folder as one page: report.html, with grid.png and learning.gif beside it. The page loads nothing."""

from __future__ import annotations

from pathlib import Path

from sparring.files import replacing
from sparring.report.page import filled_page
from sparring.report.pictures import affordable, animated, as_png, read_snapshots, scaled
from sparring.report.told import history, read_run

GRID = 1200  # pixels: longest side of grid.png


def write_report(run: Path) -> Path:
    """Write report.html and, once there are samples, grid.png and learning.gif; returns the page's path.

    Works on a run that is still going. UserError if `run` is not a run folder.
    """
    told = read_run(run)
    snapshots = read_snapshots(run, history(told.events, "samples"))
    if snapshots and snapshots[-1].png:
        _write(run / "grid.png", as_png(scaled(snapshots[-1], GRID)))
        _write(run / "learning.gif", animated(snapshots))
    page = run / "report.html"
    _write(page, filled_page(told, affordable(snapshots)).encode("utf-8", "replace"))
    return page


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)
