"""A run folder as one page: report.html, with grid.png and learning.gif beside it. The page loads nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from sparring.config import UserError, read_json
from sparring.files import replacing
from sparring.runs import read_events

T = TypeVar("T")

FRAMES = 60  # snapshots in the page, and frames of the animation, at most
EMBEDDED = 12_000_000  # characters of base64 in the page, at most
ANIMATED = 3_000_000  # bytes of learning.gif, at most
POINTS = 800  # points of a curve, at most: about one per pixel
SIDE = 1024  # pixels: longer pictures are shrunk, so that two of them always fit into EMBEDDED
GRID = 1200  # pixels: longest side of grid.png
STAGE = 720  # pixels: longest side of an enlarged picture in the page
BIGGEST = 64_000_000  # pixels of a picture that is opened at all: a small file can hold a huge one
BARS = 40  # classes shown, at most

_COLOURS = {"fake": 0, "generator": 0, "real": 1, "discriminator": 1}  # the red corner and the blue corner
_OTHER_COLOURS = (2, 3, 4, 5)
_MEANINGS = {
    "frechet distance": (
        "Fréchet distance",
        "How far the features of all samples, as one cloud, lie from those of real data.",
    ),
    "kernel distance": (
        "Kernel distance",
        "The same question as Fréchet, without assuming a bell-shaped cloud. About 0 for real data.",
    ),
    "inception score": ("Inception score", "Samples look like one class each, and all classes occur."),
    "precision": ("Precision", "Share of samples that lie where real data lies: quality."),
    "recall": ("Recall", "Share of real data that lies where samples lie: variety."),
    "density": ("Density", "Like precision, counting how many real neighbours each sample has."),
    "coverage": ("Coverage", "Share of real data with a sample close by: variety, robust to outliers."),
    "accuracy": ("Accuracy", "Share of held-out data whose class is named rightly."),
    "modes": ("Modes", "Centres of the data that samples reach."),
    "high quality share": ("High quality share", "Share of samples within 3 sigma of a centre."),
    "confidence": ("Confidence", "How sure the classifier is of each sample's class, on average."),
}

_KEY = '<p class="fine key"><i></i>samples<s></s>the data\'s own share</p>'


@dataclass(frozen=True)
class Run:
    """What a run folder says."""

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Snapshot:
    """Samples of one round as a clean PNG file."""

    round: int
    images: int
    png: bytes
    size: tuple[int, int]
    tiled: bool
    """A grid of small pictures, which may be enlarged pixel by pixel; otherwise one plot."""
    columns: int


@dataclass(frozen=True)
class Chart:
    """The losses or the scores of one player: (term, colour, values by round)."""

    title: str
    note: str
    lines: Sequence[tuple[str, int, Sequence[float | None]]]


def write_report(run: Path) -> Path:
    """Write report.html and, once there are samples, grid.png and learning.gif; returns the page's path.

    Works on a run that is still going. UserError if `run` is not a run folder.
    """
    told = read_run(run)
    snapshots = _snapshots(run, _history(told.events, "samples"))
    if snapshots:
        _write(run / "grid.png", _png(_scaled(snapshots[-1], GRID)))
        _write(run / "learning.gif", _animation(snapshots))
    page = run / "report.html"
    _write(page, _page(told, _affordable(snapshots)).encode("utf-8", "replace"))
    return page


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)


# Reading


def read_run(run: Path) -> Run:
    """Everything but the pictures; only config.json must be there."""
    if not (run / "config.json").is_file():
        raise UserError(f"{run} is not a run folder: it has no config.json")
    config, environment, evaluation = (
        _mapping(run / f"{name}.json") for name in ("config", "environment", "evaluation")
    )
    return Run(run, config, environment, evaluation, read_events(run))


def _mapping(path: Path) -> Mapping[str, Any]:
    """A JSON object, empty if there is no such file."""
    value = read_json(path) if path.is_file() else {}
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}; it should be a JSON object")
    return value


def _history(events: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """One kind of event by rising round, without what a resume went back behind and did again."""
    kept: dict[int, Mapping[str, Any]] = {}
    for event in events:
        number = event.get("round")
        if not isinstance(number, int):
            continue
        if event.get("event") == "resume":
            kept = {earlier: value for earlier, value in kept.items() if earlier <= number}
        elif event.get("event") == kind:
            kept[number] = event
    return [kept[number] for number in sorted(kept)]


def _get(values: Mapping[str, Any], *path: str) -> Any:
    """`values[a][b]...`, or None where something on the way is missing."""
    found: Any = values
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _finite(value: Any) -> float | None:
    """A number that JSON can carry, else None."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None


# Pictures


def _snapshots(run: Path, samples: Sequence[Mapping[str, Any]]) -> list[Snapshot]:
    """At most FRAMES readable snapshots, evenly spread, with the first and the last."""
    left = list(samples)
    for end in (0, -1):  # the newest picture may still be on its way to disk
        while left and _snapshot(run, left[end]) is None:
            del left[end]
    return [found for event in _spread(left, FRAMES) if (found := _snapshot(run, event)) is not None]


def _snapshot(run: Path, event: Mapping[str, Any]) -> Snapshot | None:
    """The picture of one event, or None if it cannot be read, is huge, or lies outside the run folder."""
    path = (run / str(event.get("file"))).resolve()
    if not path.is_relative_to(run.resolve()) or not path.is_file() or _pixels(path) > BIGGEST:
        return None
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            picture = opened if opened.mode in ("L", "RGB", "RGBA") else opened.convert("RGBA")
            if max(picture.size) > SIDE:
                picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            png, size = _png(picture), picture.size
    except (OSError, SyntaxError, ValueError):  # Pillow's ways to say "broken"
        return None
    columns, rows = (int(_finite(event.get(key)) or 1) for key in ("columns", "rows"))
    return Snapshot(event["round"], int(_finite(event.get("images")) or 0), png, size, columns * rows > 1, columns)


def _pixels(path: Path) -> int:
    """What a PNG file's header promises, before anything is decoded."""
    with path.open("rb") as file:
        header = file.read(24)
    return int.from_bytes(header[16:20], "big") * int.from_bytes(header[20:24], "big")


def _spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items at even steps, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _affordable(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """As many of the snapshots, evenly spread, as EMBEDDED allows."""
    for count in range(len(snapshots), 2, -1):
        chosen = _spread(snapshots, count)
        if sum(len(snapshot.png) for snapshot in chosen) * 4 / 3 <= EMBEDDED:
            return chosen
    return _spread(snapshots, 2)


def _target(snapshot: Snapshot, side: int) -> tuple[int, int]:
    """The size that fits `side`: a whole multiple for grids of small pictures, never enlarged for plots."""
    width, height = snapshot.size
    longest = max(width, height)
    if longest > side:
        return max(1, width * side // longest), max(1, height * side // longest)
    scale = side // longest if snapshot.tiled else 1
    return width * scale, height * scale


def _scaled(snapshot: Snapshot, side: int) -> Image.Image:
    """The picture at its `_target` size: nearest neighbour when it grows, smooth when it shrinks."""
    target = _target(snapshot, side)
    grows = target[0] >= snapshot.size[0]
    with Image.open(io.BytesIO(snapshot.png)) as picture:
        return picture.resize(target, Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS)


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=None)
    return out.getvalue()


def _animation(snapshots: Sequence[Snapshot]) -> bytes:
    """An animated GIF of the snapshots; smaller, then with fewer frames, until it fits into ANIMATED."""
    data = b""
    for count, side in ((FRAMES, 600), (FRAMES, 400), (30, 400), (30, 300), (8, 300)):
        chosen = _spread(snapshots, count)
        probe = _spread(chosen, 5)  # so that noisy pictures do not cost five animations of 60 frames
        if count > 8 and len(_frames(probe, side)) / len(probe) * len(chosen) > ANIMATED:
            continue
        data = _frames(chosen, side)
        if len(data) <= ANIMATED:
            break
    return data


def _frames(snapshots: Sequence[Snapshot], side: int) -> bytes:
    return _gif([_flat(_scaled(snapshot, side)) for snapshot in snapshots])


def _gif(frames: Sequence[Image.Image]) -> bytes:
    """About six seconds of equally sized frames, and two more on the last one."""
    frames = [frame.resize(frames[-1].size) for frame in frames]
    step = min(500, max(80, 6000 // len(frames)))
    durations = [step] * (len(frames) - 1) + [2000]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return out.getvalue()


def _flat(picture: Image.Image) -> Image.Image:
    """Without transparency, on white, and in at most 256 colours."""
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    return picture if picture.mode == "L" else picture.quantize(256, dither=Image.Dither.NONE)


# Curves


def _curves(losses: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[Chart]]:
    """Rounds, and a chart per player for losses and for scores; long runs as means over equal stretches."""
    step = -(-len(losses) // POINTS) or 1
    stretches = [losses[i : i + step] for i in range(0, len(losses), step)]
    names = dict.fromkeys(name for event in losses for name in _get(event, "values") or ())
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        player, term = _parted(name)
        groups.setdefault((player, "scores" if "score" in term else "losses"), []).append(name)
    charts = [_chart(player, kind, terms, stretches) for (player, kind), terms in groups.items()]
    return [stretch[-1]["round"] for stretch in stretches], charts


def _chart(player: str, kind: str, names: Sequence[str], stretches: Sequence[Sequence[Mapping[str, Any]]]) -> Chart:
    terms = [_parted(name)[1] for name in names]
    values = [[_mean(stretch, name) for stretch in stretches] for name in names]
    title = f"{player} {kind}".strip()
    note = "Far apart: it tells real from generated. Together: it cannot." if _judges(terms) else ""
    lines = list(zip(terms, _colours(player, terms), values, strict=True))
    return Chart(title[:1].upper() + title[1:], note, lines)


def _parted(name: str) -> tuple[str, str]:
    """`player/term` -> (player, term); no player for a bare term."""
    player, slash, term = name.partition("/")
    return (player, term) if slash else ("", name)


def _judges(terms: Sequence[str]) -> bool:
    return {"real score", "fake score"} <= set(terms)


def _colours(player: str, terms: Sequence[str]) -> list[int]:
    """Real is blue and fake is red, a player's first other term has its corner's colour, then the rest."""
    chosen: list[int] = []
    for index, term in enumerate(terms):
        word = term.split()[0] if term.split() else ""
        wanted = _COLOURS.get(word, _COLOURS.get(player))
        if wanted is None or wanted in chosen:
            wanted = _OTHER_COLOURS[index % len(_OTHER_COLOURS)]
        chosen.append(wanted)
    return chosen


def _mean(stretch: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Over the finite values, to six digits, which is more than a screen shows."""
    found = [value for event in stretch if (value := _finite(_get(event, "values", name))) is not None]
    return float(f"{sum(found) / len(found):.6g}") if found else None


# The page


def _page(run: Run, snapshots: Sequence[Snapshot]) -> str:
    """The template, filled: every part is HTML that is already escaped."""
    template = resources.files("sparring").joinpath("report.html").read_text(encoding="utf-8")
    rounds, charts = _curves(_history(run.events, "losses"))
    script = template.split("<script>")[1].split("</script>")[0]
    parts = {
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "title": _escape(_title(run)),
        "origin": _origin(run),
        "facts": _facts_html(run),
        "stage": _stage(run, snapshots),
        "curves": _curves_html(charts, rounds),
        "evaluation": _evaluation(run),
        "commands": _commands(run.folder),
        "configuration": _table(run.config),
        "environment": _table(run.environment),
        "footer": _footer(run, snapshots),
        "data": _embedded(snapshots, rounds, charts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _escape(value: Any) -> str:
    return html.escape(str(value))


def _embedded(snapshots: Sequence[Snapshot], rounds: Sequence[int], charts: Sequence[Chart]) -> str:
    """What the page's script reads. Numbers only: no word of the run stands in a script, so none can end it."""
    values = {
        "snapshots": [snapshot.round for snapshot in snapshots],
        "rounds": list(rounds),
        "charts": [[{"colour": colour, "values": v} for _, colour, v in chart.lines] for chart in charts],
    }
    return json.dumps(values, allow_nan=False, separators=(",", ":"))


def _title(run: Run) -> str:
    data = _get(run.config, "about", "name") or _get(run.config, "data", "data")
    recipe = _get(run.config, "recipe") or run.folder.resolve().name
    return f"{recipe} on {data}" if data else str(recipe)


def _origin(run: Run) -> str:
    """Where the numbers come from, in one line, and the notes on the data."""
    parts = [
        f"{label} {value}"
        for label, value in (
            ("preset", _get(run.config, "preset")),
            ("seed", _get(run.config, "how", "seed")),
            ("sparring", _get(run.config, "sparring")),
        )
        if value not in (None, "")
    ]
    starts = [event["time"] for event in run.events if event.get("event") == "start" and event.get("time")]
    parts += [f"started {str(starts[0]).replace('T', ' ')[:16]}"] if starts else []
    line = f'<p class="origin">{_escape(" · ".join(parts))}</p>' if parts else ""
    notes = _get(run.config, "about", "notes")
    said = notes if isinstance(notes, list) else []
    return line + "".join(f'<p class="origin">{_escape(note)}</p>' for note in said)


def _facts_html(run: Run) -> str:
    return "".join(
        f"<div><dt>{_escape(label)}</dt><dd>{_escape(value)}<small>{_escape(note)}</small></dd></div>"
        for label, value, note in _facts(run)
    )


def _facts(run: Run) -> Iterator[tuple[str, str, str]]:
    """(label, value, note) of what is known."""
    rounds, images, seconds, cpu = (_latest(run.events, key) for key in ("round", "images", "seconds", "cpu_seconds"))
    if rounds is not None:
        planned = _finite(_get(run.config, "model", "rounds"))
        of = f"of {planned:,.0f}, " if planned and planned != rounds else ""
        yield "Rounds", f"{rounds:,.0f}", of + _status(run.events)
    if images is not None:
        yield "Images seen", f"{images:,.0f}", f"{images / seconds:,.0f} a second" if seconds else ""
    if seconds is not None:
        yield "Training time", _duration(seconds), f"{_duration(cpu)} of processor time" if cpu else ""
    if device := run.environment.get("device"):
        threads, precision = run.environment.get("threads"), _get(run.config, "how", "precision")
        notes = (f"{threads} threads" if threads else "", "" if precision in (None, "auto") else str(precision))
        yield "Device", str(device), ", ".join(filter(None, notes))
    metric = _get(run.evaluation, "metrics", "frechet distance") or {}
    value, floor = _finite(_get(metric, "value")), _finite(_get(metric, "floor"))
    if value is not None:
        times = _times_floor(metric)
        beside = f", real data {_score(floor)}" if floor is not None else ""
        shown = f"{times} floor" if times else _score(value)
        yield "Fréchet distance", shown, f"{_score(value)}{beside}" if times else ""


def _latest(events: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """In the order of writing, which is that of time: after a resume, rounds may be lower than before."""
    return next((value for event in reversed(events) if (value := _finite(event.get(key))) is not None), None)


def _status(events: Sequence[Mapping[str, Any]]) -> str:
    words = {"done": "finished", "stop": "stopped"}
    kinds = [event["event"] for event in events if event["event"] in ("start", "resume", "stop", "done")]
    return words.get(kinds[-1], "no end recorded yet") if kinds else "no end recorded yet"


def _duration(seconds: float) -> str:
    """45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def _stage(run: Run, snapshots: Sequence[Snapshot]) -> str:
    """All snapshots on top of each other, the last one shown, and the slider."""
    if not snapshots:
        return _empty("No samples drawn yet.")
    last = snapshots[-1]
    width, height = _target(last, STAGE)
    sharp = " sharp" if width > last.size[0] else ""
    images = "".join(_image(snapshot, hidden=snapshot is not last) for snapshot in snapshots)
    return (
        f'<figure class="stage{sharp}" style="max-width:{width}px">{_class_row(run, last)}'
        f'<div class="frames" style="aspect-ratio:{width}/{height}">{images}</div></figure>' + _player(len(snapshots))
    )


def _image(snapshot: Snapshot, hidden: bool) -> str:
    caption = f"round {snapshot.round:,}, {snapshot.images:,} images"
    data = base64.b64encode(snapshot.png).decode()
    return (
        f'<img alt="Samples at {caption}" data-caption="{caption}"{" hidden" if hidden else ""}'
        f' src="data:image/png;base64,{data}">'
    )


def _class_row(run: Run, snapshot: Snapshot) -> str:
    """Names above the columns, where each column is one class."""
    classes = _get(run.config, "about", "classes")
    if not isinstance(classes, list) or len(classes) != snapshot.columns or _get(run.config, "about", "invented"):
        return ""
    cells = "".join(f"<span>{_escape(name)}</span>" for name in classes)
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
        return _empty("No losses recorded yet.")
    pale = "Pale lines are as recorded, strong ones a running median. " if len(rounds) > 60 else ""
    note = f"{pale}Click a curve to see the samples of that time."
    return "".join(_chart_html(chart, rounds) for chart in charts) + f'<p class="fine">{note}</p>'


def _chart_html(chart: Chart, rounds: Sequence[int]) -> str:
    """Title, values and an empty drawing, which the script fills."""
    legend = "".join(f'<li><i class="c{colour}"></i>{_escape(term)} <b></b></li>' for term, colour, _ in chart.lines)
    spoken = f"{chart.title}, rounds {rounds[0]:,} to {rounds[-1]:,}. " + " ".join(
        _spoken(term, values) for term, _, values in chart.lines
    )
    note = f"<p>{_escape(chart.note)}</p>" if chart.note else ""
    return (
        f'<article class="chart"><header><h3>{_escape(chart.title)}</h3><span class="at"></span></header>{note}'
        f'<ul>{legend}</ul><svg role="img" aria-label="{_escape(spoken)}"></svg></article>'
    )


def _spoken(term: str, values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{term}: from {_score(known[0])} to {_score(known[-1])}." if known else f"{term}: no finite value."


def _evaluation(run: Run) -> str:
    """Scores beside their floors, and the shares of the classes; what is missing is left out."""
    rows = "".join(_metric_row(name, metric) for name, metric in _metrics(run.evaluation))
    if not rows:
        command = _escape(f"sparring evaluate {_shown(run.folder)}")
        return _empty(f"Not judged yet. <code>{command}</code> does it.")
    floor = run.evaluation.get("floor")
    meaning = (
        f"Floor: {_escape(floor)}. At 1× the floor, this metric cannot tell samples from real data." if floor else ""
    )
    return (
        f'<div class="scores"><div><p>{_escape(_judged(run.evaluation))}</p>'
        '<table class="metrics"><thead><tr><th scope="col">Metric</th><th scope="col">Samples</th>'
        f'<th scope="col">Floor</th><th scope="col">× floor</th></tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="fine">{meaning}</p></div>'
        f"{_shares(run)}</div>"
    )


def _metrics(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, value and floor); toys have bare numbers instead."""
    metrics = _get(evaluation, "metrics")
    for name, metric in metrics.items() if isinstance(metrics, Mapping) else ():
        if isinstance(metric, Mapping):
            yield name, metric
    for name in ("modes", "high quality share"):
        if _finite(evaluation.get(name)) is not None:
            yield name, {"value": evaluation[name], "better": "higher"}


def _judged(evaluation: Mapping[str, Any]) -> str:
    """What was judged, against what, by whom, as a sentence."""
    samples, number = _finite(evaluation.get("samples")), _finite(evaluation.get("round"))
    split, count = _get(evaluation, "reference", "split"), _finite(_get(evaluation, "reference", "count"))
    judge, accuracy = (_get(evaluation, "extractor", key) for key in ("name", "accuracy"))
    parts = [f"{samples:,.0f} samples" if samples else "Samples"]
    parts += [f"of round {number:,.0f}"] if number is not None else []
    parts += [f"({evaluation['weights']} weights)"] if evaluation.get("weights") else []
    parts += [f"against {count:,.0f} real ones"] if count else []
    parts += [f"({split} split)"] if split else []
    parts += [f"in the features of {judge}"] if judge else []
    sure = _finite(accuracy)
    parts += [f"(accuracy {sure:.2%})"] if sure is not None else []
    return " ".join(parts) + "."


def _metric_row(name: str, metric: Mapping[str, Any]) -> str:
    label, meaning = _MEANINGS.get(name.lower(), (name[:1].upper() + name[1:], ""))
    arrows = {"lower": "↓ lower is better", "higher": "↑ higher is better"}
    better = arrows.get(str(metric.get("better")), "")
    cells = (_score(metric.get("value")), _score(metric.get("floor")), _times_floor(metric) or "–")
    return (
        f'<tr><th scope="row">{_escape(label)} <em>{better}</em></th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + f'</tr><tr class="meaning"><td colspan="4">{_escape(meaning)}</td></tr>'
    )


def _times_floor(metric: Mapping[str, Any]) -> str:
    """`2.1×`; empty where a ratio means nothing, as with floors around zero."""
    given = _finite(metric.get("times_floor"))
    value, floor = _finite(metric.get("value")), _finite(metric.get("floor"))
    if given is None and metric.get("better") == "higher" and value is not None and floor and floor > 0:
        given = value / floor
    return "" if given is None else f"{given:,.0f}×" if given >= 100 else f"{given:.2f}×"


def _score(value: Any) -> str:
    """Three significant digits, zeros kept so that columns compare; a dash for nothing."""
    number = _finite(value)
    if number is None or isinstance(value, int):
        return "–" if number is None else f"{value:,}"
    if abs(number) >= 1000 or number == 0:
        return f"{number:,.0f}"
    return f"{number:.6f}" if abs(number) < 1e-3 else f"{number:#.3g}".rstrip(".")


def _shares(run: Run) -> str:
    """A bar per class, with a tick where the data's own share lies; only the rarest of very many classes."""
    names, shares = (_get(run.evaluation, "classes", key) for key in ("names", "shares"))
    if not isinstance(names, list) or not isinstance(shares, list) or len(names) != len(shares) or not names:
        return ""
    known = [_finite(share) or 0.0 for share in shares]
    prior = _get(run.config, "about", "prior")
    real = prior if isinstance(prior, list) and len(prior) == len(names) else [None] * len(names)
    rows = list(zip(names, known, map(_finite, real), strict=True))
    note = ""
    if len(rows) > BARS:
        rows, note = sorted(rows, key=lambda row: row[1])[:BARS], f"The {BARS} rarest of {len(names):,}. "
    full = max([1e-9, *known, *(tick for _, _, tick in rows if tick)])
    kl = _finite(_get(run.evaluation, "classes", "kl"))
    note += f"KL divergence from the data's shares: {_score(kl)} nats." if kl is not None else ""
    return (
        f'<div><h3>Share of each class</h3><p class="fine">{note}</p><ul class="shares">'
        + "".join(_bar(name, share, tick, full) for name, share, tick in rows)
        + f"</ul>{_KEY if real[0] is not None else ''}</div>"
    )


def _bar(name: Any, share: float, tick: float | None, full: float) -> str:
    mark = "" if tick is None else f'<s style="left:{min(100.0, 100 * tick / full):.2f}%"></s>'
    said = "" if tick is None else f' title="data: {tick:.1%}"'
    return (
        f"<li{said}><span>{_escape(name)}</span><div>"
        f'<i style="width:{max(0.0, 100 * share / full):.2f}%"></i>{mark}</div><b>{share:.1%}</b></li>'
    )


def _commands(run: Path) -> str:
    told = {"resume": "Train on", "sample": "Draw new samples", "evaluate": "Judge it again"}
    return "".join(
        f"<li><span>{what}</span><code>{_escape(f'sparring {verb} {_shown(run)}')}</code></li>"
        for verb, what in told.items()
    )


def _shown(run: Path) -> str:
    """The run's path from where we are, as a shell takes it."""
    try:
        return shlex.quote(os.path.relpath(run))
    except ValueError:  # another drive of Windows
        return shlex.quote(str(run))


def _footer(run: Run, snapshots: Sequence[Snapshot]) -> str:
    beside = " grid.png and learning.gif beside it show the samples alone." if snapshots else ""
    version = _escape(f"sparring {_get(run.config, 'sparring') or ''}".strip())
    return f"Made by {version}. This one file is complete.{beside}"


def _table(values: Mapping[str, Any]) -> str:
    """Nested settings as rows of dotted names."""
    rows = "".join(
        f'<tr><th scope="row">{_escape(name)}</th><td>{_escape(text)}</td></tr>' for name, text in _rows(values)
    )
    return f'<table class="settings"><tbody>{rows}</tbody></table>' if rows else _empty("Not recorded.")


def _rows(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _rows(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: Any) -> str:
    """A setting in words; long lists are cut."""
    if isinstance(value, list | tuple):
        more = f", … ({len(value):,} in all)" if len(value) > BARS else ""
        return ", ".join(_text(item) for item in value[:BARS]) + more or "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None or value == {} else str(value).lower() if isinstance(value, bool) else str(value)


def _empty(text: str) -> str:
    """`text` is HTML."""
    return f'<p class="empty">{text}</p>'
