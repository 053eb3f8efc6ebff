"""What the doctor found, as HTML: each finding with its numbers over time."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from sparring.report.markup import escape
from sparring.report.pictures import Snapshot, as_png, scaled
from sparring.report.told import Run, dig, finite, history

_WIDTH, _HEIGHT = 240, 48
_SIDE = 160


def findings_html(run: Run, snapshots: Sequence[Snapshot] = ()) -> str:
    """A card per finding with what samples were like; a sentence where there is none; nothing where nobody looked."""
    probes = sorted(history(run.events, "probe") + history(run.events, "losses"), key=lambda event: event["round"])
    found = [event for event in run.events if event.get("event") == "finding"]
    if not found:
        looks = len(history(run.events, "probe"))
        return f'<p class="fine">{_healthy(looks)}</p>' if looks else ""
    return "".join(_card(event, probes, snapshots) for event in found)


def section(run: Run, snapshots: Sequence[Snapshot] = ()) -> str:
    """The whole section of the page, or nothing."""
    inside = findings_html(run, snapshots)
    return f"<section><h2>Doctor</h2>{inside}</section>" if inside else ""


def _healthy(looks: int) -> str:
    return f"Nothing was found in {looks} looks at scores, samples, gradients and steps."


def _card(event: Mapping[str, Any], probes: Sequence[Mapping[str, Any]], snapshots: Sequence[Snapshot]) -> str:
    since = finite(event.get("since"))
    when = f" since round {since:,.0f}" if since is not None else ""
    evidence = event.get("evidence")
    pairs = list(evidence.items()) if isinstance(evidence, Mapping) else []
    numbers = ", ".join(f"{escape(name)} {_number(value)}" for name, value in pairs)
    drawn = "".join(_curve(str(name), probes, since) for name, _ in pairs[:2])
    return (
        f'<article class="chart finding"><header><h3>{escape(str(event.get("kind", "")))}</h3>'
        f'<span class="at">{escape(when.strip())}</span></header><p>{escape(str(event.get("what", "")))}.</p>'
        f'<p class="fine">Evidence: {numbers}.</p>{drawn}{_picture(snapshots, since)}'
        f"<p><b>Try:</b> {escape(str(event.get('remedy', '')))}.</p></article>"
    )


def _picture(snapshots: Sequence[Snapshot], since: float | None) -> str:
    """Samples of the first rounds in which it was so."""
    if not snapshots or since is None or not snapshots[-1].png:
        return ""
    nearest = next((snapshot for snapshot in snapshots if snapshot.round >= since), snapshots[-1])
    data = base64.b64encode(as_png(scaled(nearest, _SIDE))).decode()
    return (
        f'<figure style="display:inline-block;margin:.3rem 1rem .3rem 0"><img width="{_SIDE}" alt="Samples of round '
        f'{nearest.round:,}" src="data:image/png;base64,{data}"><figcaption class="fine">samples of round '
        f"{nearest.round:,}</figcaption></figure>"
    )


def _number(value: Any) -> str:
    """Three digits, however small."""
    known = finite(value)
    return f"{known:.3g}" if known is not None else ""


def _curve(name: str, probes: Sequence[Mapping[str, Any]], since: float | None) -> str:
    """A small line of one value, with a mark where the finding begins."""
    points = [(event["round"], value) for event in probes if (value := finite(dig(event, "values", name))) is not None]
    if len(points) < 2:
        return ""
    first, last = points[0][0], points[-1][0]
    low, high = min(v for _, v in points), max(v for _, v in points)

    def place(number: float, value: float) -> tuple[float, float]:
        across = (number - first) / max(last - first, 1) * (_WIDTH - 4) + 2
        return across, _HEIGHT - 4 - (value - low) / max(high - low, 1e-12) * (_HEIGHT - 8)

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    mark = ""
    if since is not None and first <= since <= last:
        x = place(since, low)[0]
        mark = f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{_HEIGHT}" stroke="currentColor" stroke-dasharray="2 3"/>'
    said = f"{name}: from {_number(points[0][1])} to {_number(points[-1][1])}"
    return (
        f'<figure style="display:inline-block;margin:.3rem 1rem .3rem 0"><svg width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" aria-label="{escape(said)}">{mark}<polyline points="{line}" fill="none" stroke="#c0392b" '
        f'stroke-width="1.5"/></svg><figcaption class="fine">{escape(said)}</figcaption></figure>'
    )
