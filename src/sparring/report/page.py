"""The page: the template filled with what the run says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from sparring.report.curves import Chart, charts_of
from sparring.report.findings import section
from sparring.report.markup import empty_html, escape, score_text, shown_path, table_html
from sparring.report.pictures import STAGE, Snapshot, shown_size
from sparring.report.scores import evaluation_html, times_floor
from sparring.report.told import Run, dig, finite, history
from sparring.runs import duration


def filled_page(run: Run, snapshots: Sequence[Snapshot]) -> str:
    """The template, filled: every part is HTML that is already escaped."""
    template = resources.files("sparring.report").joinpath("page.html").read_text(encoding="utf-8")
    rounds, charts = charts_of(history(run.events, "losses"))
    script = template.split("<script>")[1].split("</script>")[0]
    parts = {
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "title": escape(_title(run)),
        "origin": _origin(run),
        "facts": _facts_html(run),
        "stage": _stage(run, snapshots),
        "curves": _curves_html(charts, rounds),
        "evaluation": evaluation_html(run),
        "doctor": section(run, snapshots),
        "commands": _commands(run),
        "configuration": table_html(run.config),
        "environment": table_html(run.environment),
        "footer": _footer(run, snapshots),
        "data": _embedded(snapshots, rounds, charts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _embedded(snapshots: Sequence[Snapshot], rounds: Sequence[int], charts: Sequence[Chart]) -> str:
    """What the page's script reads. Numbers only: no word of the run stands in a script, so none can end it."""
    values = {
        "snapshots": [snapshot.round for snapshot in snapshots],
        "rounds": list(rounds),
        "charts": [[{"colour": colour, "values": v} for _, colour, v in chart.lines] for chart in charts],
    }
    return json.dumps(values, allow_nan=False, separators=(",", ":"))


def _title(run: Run) -> str:
    data = dig(run.config, "about", "name") or dig(run.config, "data", "data")
    recipe = dig(run.config, "recipe") or run.folder.resolve().name
    return f"{recipe} on {data}" if data else str(recipe)


def _origin(run: Run) -> str:
    """Where the numbers come from, in one line, and the notes on the data."""
    parts = [
        f"{label} {value}"
        for label, value in (
            ("preset", dig(run.config, "preset")),
            ("seed", dig(run.config, "how", "seed")),
            ("sparring", dig(run.config, "sparring")),
        )
        if value not in (None, "")
    ]
    starts = [event["time"] for event in run.events if event.get("event") == "start" and event.get("time")]
    parts += [f"started {str(starts[0]).replace('T', ' ')[:16]}"] if starts else []
    line = f'<p class="origin">{escape(" · ".join(parts))}</p>' if parts else ""
    notes = dig(run.config, "about", "notes")
    said = notes if isinstance(notes, list) else []
    return line + "".join(f'<p class="origin">{escape(note)}</p>' for note in said)


def _facts_html(run: Run) -> str:
    return "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for label, value, note in _facts(run)
    )


def _facts(run: Run) -> Iterator[tuple[str, str, str]]:
    """(label, value, note) of what is known."""
    rounds, images, seconds, cpu = (_latest(run.events, key) for key in ("round", "images", "seconds", "cpu_seconds"))
    if rounds is not None:
        planned = finite(dig(run.config, "model", "rounds"))
        of = f"of {planned:,.0f}, " if planned and planned != rounds else ""
        yield "Rounds", f"{rounds:,.0f}", of + _status(run.events)
    if images is not None:
        yield "Images seen", f"{images:,.0f}", f"{images / seconds:,.0f} a second" if seconds else ""
    if seconds is not None:
        yield "Training time", duration(seconds), f"{duration(cpu)} of processor time" if cpu else ""
    if device := run.environment.get("device"):
        threads, precision = run.environment.get("threads"), dig(run.config, "how", "precision")
        notes = (f"{threads} threads" if threads else "", "" if precision in (None, "auto") else str(precision))
        yield "Device", str(device), ", ".join(filter(None, notes))
    metric = dig(run.evaluation, "metrics", "frechet distance") or {}
    value, floor = finite(dig(metric, "value")), finite(dig(metric, "floor"))
    if value is not None:
        times = times_floor(metric)
        beside = f", real data {score_text(floor)}" if floor is not None else ""
        shown = f"{times} floor" if times else score_text(value)
        yield "Fréchet distance", shown, f"{score_text(value)}{beside}" if times else ""


def _latest(events: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """In the order of writing, which is that of time: after a resume, rounds may be lower than before."""
    return next((value for event in reversed(events) if (value := finite(event.get(key))) is not None), None)


def _status(events: Sequence[Mapping[str, Any]]) -> str:
    words = {"done": "finished", "stop": "stopped"}
    kinds = [event["event"] for event in events if event["event"] in ("start", "resume", "stop", "done")]
    return words.get(kinds[-1], "no end recorded yet") if kinds else "no end recorded yet"


def _stage(run: Run, snapshots: Sequence[Snapshot]) -> str:
    """All snapshots on top of each other, the last one shown, and the slider."""
    if not snapshots:
        return empty_html("No samples drawn yet.")
    last = snapshots[-1]
    if not last.png:
        lines = "".join(_lines(snapshot, hidden=snapshot is not last) for snapshot in snapshots)
        return f'<figure class="stage"><div class="frames told">{lines}</div></figure>' + _player(len(snapshots))
    width, height = shown_size(last, STAGE)
    sharp = " sharp" if width > last.size[0] else ""
    images = "".join(_image(snapshot, hidden=snapshot is not last) for snapshot in snapshots)
    return (
        f'<figure class="stage{sharp}" style="max-width:{width}px">{_class_row(run, last)}'
        f'<div class="frames" style="aspect-ratio:{width}/{height}">{images}</div></figure>'
        + _player(len(snapshots))
        + _beside(last)
    )


def _image(snapshot: Snapshot, hidden: bool) -> str:
    caption = f"round {snapshot.round:,}, {snapshot.images:,} images"
    data = base64.b64encode(snapshot.png).decode()
    return (
        f'<img alt="Samples at {caption}" data-caption="{caption}"{" hidden" if hidden else ""}'
        f' src="data:image/png;base64,{data}">'
    )


def _lines(snapshot: Snapshot, hidden: bool) -> str:
    caption = f"round {snapshot.round:,}, {snapshot.images:,} texts"
    return f'<pre data-caption="{caption}"{" hidden" if hidden else ""}>{escape(snapshot.text)}</pre>'


def _beside(snapshot: Snapshot) -> str:
    """What is heard, or moves, at the end."""
    data = {suffix: base64.b64encode(content).decode() for suffix, content in snapshot.beside.items()}
    told = {
        "wav": '<audio controls aria-label="The last samples" src="data:audio/wav;base64,{}"></audio>',
        "gif": '<img class="moving" alt="The last samples, moving" src="data:image/gif;base64,{}">',
    }
    return "".join(f"<p>{told[suffix].format(content)}</p>" for suffix, content in data.items())


def _class_row(run: Run, snapshot: Snapshot) -> str:
    """Names above the columns, where each column is one class."""
    classes = dig(run.config, "about", "classes")
    moments = dig(run.config, "about", "key") == "clip"  # then columns are pictures of a clip
    if (
        moments
        or not isinstance(classes, list)
        or len(classes) != snapshot.columns
        or dig(run.config, "about", "invented")
    ):
        return ""
    cells = "".join(f"<span>{escape(name)}</span>" for name in classes)
    return f'<div class="classes" aria-label="Class of each column" role="group">{cells}</div>'


def _player(count: int) -> str:
    """The play button, the slider and where it stands; nothing to play with a single snapshot."""
    off = " disabled" if count < 2 else ""
    return (
        f'<div class="player"><button type="button" id="play" aria-label="Play"{off}>'
        '<svg viewBox="0 0 12 12" aria-hidden="true"><path class="go" d="M2 0.5v11L11.5 6z"/>'
        '<path class="halt" d="M1.5 1h3v10h-3zM7.5 1h3v10h-3z"/></svg></button>'
        f'<input type="range" id="slider" min="0" max="{count - 1}" value="{count - 1}" step="1"'
        f' aria-label="Snapshot"{off}><output id="where" for="slider"></output></div>'
    )


def _curves_html(charts: Sequence[Chart], rounds: Sequence[int]) -> str:
    if not charts:
        return empty_html("No losses recorded yet.")
    pale = "Pale lines are as recorded, strong ones a running median. " if len(rounds) > 60 else ""
    note = f"{pale}Click a curve to see the samples of that time."
    return "".join(_chart_html(chart, rounds) for chart in charts) + f'<p class="fine">{note}</p>'


def _chart_html(chart: Chart, rounds: Sequence[int]) -> str:
    """Title, values and an empty drawing, which the script fills."""
    legend = "".join(f'<li><i class="c{colour}"></i>{escape(term)} <b></b></li>' for term, colour, _ in chart.lines)
    spoken = f"{chart.title}, rounds {rounds[0]:,} to {rounds[-1]:,}. " + " ".join(
        _spoken(term, values) for term, _, values in chart.lines
    )
    note = f"<p>{escape(chart.note)}</p>" if chart.note else ""
    return (
        f'<article class="chart"><header><h3>{escape(chart.title)}</h3><span class="at"></span></header>{note}'
        f'<ul>{legend}</ul><svg role="img" aria-label="{escape(spoken)}"></svg></article>'
    )


def _spoken(term: str, values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{term}: from {score_text(known[0])} to {score_text(known[-1])}." if known else f"{term}: no finite value."


def _commands(run: Run) -> str:
    """What can be done next: going on, unless it is finished; sampling, unless it draws nothing."""
    told = {"resume": "Train on", "sample": "Draw new samples", "evaluate": "Judge it again"}
    if any(event.get("event") == "done" for event in run.events):
        del told["resume"]
        if not history(run.events, "samples"):
            del told["sample"]
    return "".join(
        f"<li><span>{what}</span><code>{escape(f'sparring {verb} {shown_path(run.folder)}')}</code></li>"
        for verb, what in told.items()
    )


def _footer(run: Run, snapshots: Sequence[Snapshot]) -> str:
    pictures = snapshots and snapshots[-1].png
    beside = " grid.png and learning.gif beside it show the samples alone." if pictures else ""
    version = escape(f"sparring {dig(run.config, 'sparring') or ''}".strip())
    return f"Made by {version}. This one file is complete.{beside}"
