"""The tables of docs/performance.md, and the plot, from the JSON on file: no figure is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stopwatch.cases import CASES

ROOT = Path(__file__).parent.parent.parent
PAGES = ("docs/performance.md", "README.md", "README.zh-CN.md")
"""Where there may be marks: `<!-- speed:MODE -->` ... `<!-- /speed:MODE -->`."""
EMPTY = "not measured yet"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def ranged(found: Mapping[str, Any], form: str = "{:.2f}") -> str:
    """`2.31 (2.25-2.40)`: the middle and the range."""
    return f"{form.format(found['median'])} ({form.format(found['least'])} to {form.format(found['most'])})"


def verdict(reached: bool | None) -> str:
    """As the page of proofs says it."""
    return {True: "holds", False: "**falls short**", None: "for reference"}[reached]


def mebibytes(count: float) -> str:
    """Of a process."""
    return f"{count / 2**20:,.0f}"


def race(found: Mapping[str, Any]) -> str:
    """Ours to plain, case by case."""
    columns = ["case", "batch", "images a second, ours / plain", "the same of CPU time", "wanted", "verdict",
               "images a second, plain → ours", "first image, s", "memory, MiB", "threads, ours"]  # fmt: skip
    rows = []
    for name, one in found.items():
        target, ratio = one["case"]["target"], one["ratio images_per_second"]
        plain, ours = one["plain"], one["ours"]
        rows.append([
            f"`{name}` {'x'.join(map(str, one['case']['shape'][1:]))}", str(one["case"]["batch"]), f"**{ranged(ratio)}**",
            ranged(one["ratio images_per_cpu_second"]), f"≥ {target}" if target else "",
            verdict(ratio["median"] >= target if target else None),
            f"{plain['images_per_second']:,.1f} → {ours['images_per_second']:,.1f}",
            f"{plain['first_image_seconds']:.1f} → {ours['first_image_seconds']:.1f}",
            f"{mebibytes(plain['memory'])} → {mebibytes(ours['memory'])}",
            ", ".join(map(str, sorted(set(ours.get("threads", []))))),
        ])  # fmt: skip
    notes = "\n".join(f"- `{name}`: {CASES[name].note}" for name in found if name in CASES)
    return f"{table(columns, rows)}\n\n{notes}"


def quality(found: Mapping[str, Any]) -> str:
    """Scores of both sides, and how far apart they are."""
    rows = []
    for name, one in found.items():
        for key in [key for key, value in one.items() if isinstance(value, dict) and key != "cpu_seconds"]:
            told, of = one[key], {side: ", ".join(f"{v:.3g}" for v in one[key][side]) for side in ("plain", "ours")}
            worse = told["difference"] * (-1 if key in ("precision", "recall") else 1)
            rows.append([f"`{name}` {one['side']}x{one['side']}", f"{one['images']:,}", key, of["plain"], of["ours"],
                         f"{told['difference']:+.3g} ± {told['standard error']:.2g}",
                         verdict(worse <= 2 * told["standard error"])])  # fmt: skip
    columns = [
        "case, on MNIST",
        "pictures",
        "score",
        "plain, each seed",
        "ours, each seed",
        "ours - plain",
        "not worse",
    ]
    return table(columns, rows)


def overhead(found: Mapping[str, Any]) -> str:
    """Beside the arithmetic."""
    rows = []
    for name, one in found.items():
        engine, recorded = (ranged(one[key], "{:.1%}") for key in ("engine", "recorded"))
        rows.append([f"`{name}`", engine, recorded, "≤ 3 %", verdict(one["recorded"]["median"] <= 0.03)])
    columns = ["case", "engine and loader", "with losses written and progress shown", "wanted of the latter", "verdict"]
    return table(columns, rows)


def growth(found: Mapping[str, Any]) -> str:
    """Relative to the first of each row of sizes."""
    rows = []
    for what, points in found.items():
        first = points[0]["ours"]["images_per_second"]
        for one in points:
            case = one["case"]
            size = {"batch": case["batch"], "resolution": f"{case['shape'][1]}x{case['shape'][2]}"}
            plain, ours = one["plain"], one["ours"]
            rows.append([
                what, str(size.get(what, f"{case['samples']:,}")), f"{first / ours['images_per_second']:.2f}",
                ranged(one["ratio images_per_second"]), f"{mebibytes(plain['memory'])} → {mebibytes(ours['memory'])}",
                f"{plain['first_image_seconds']:.1f} → {ours['first_image_seconds']:.1f}",
            ])  # fmt: skip
    columns = [
        "what grows",
        "to",
        "time per image, ours, to the first",
        "ours / plain",
        "memory, MiB",
        "first image, s",
    ]
    return table(columns, rows)


def peak(found: Mapping[str, Any]) -> str:
    """The machine's, and ours of it."""
    rows = []
    for threads, kinds in found["peaks"].items():
        for kind, one in kinds.items():
            if isinstance(one, dict):
                rows.append([threads, kind, f"{one['flops'] / 1e9:,.0f}", "x".join(map(str, one["size"]))])
    shares = [
        [f"`{name}`", f"{one['flops_per_image'] / 1e9:.3f}", one["precision"], ", ".join(map(str, one["threads"])),
         ranged(one["share"], "{:.0%}")]
        for name, one in found["cases"].items()
    ]  # fmt: skip
    measured = table(["threads", "best of a sweep", "GFLOP/s", "size"], rows)
    reached = table(["case", "GFLOP per image", "precision", "threads", "share of the peak of convolutions"], shares)
    return f"{measured}\n\n{reached}"


def profile(found: Mapping[str, Any]) -> str:
    """Where a round goes."""
    parts = []
    for name, one in found.items():
        kinds = sorted(one["kinds"].items(), key=lambda item: -item[1])
        shares = table(["part of a round", "share"], [[kind, f"{share:.0%}"] for kind, share in kinds])
        tops = table(["operator", "share"], [[f"`{op}`", f"{share:.1%}"] for op, share in one["operators"]])
        parts.append(f"`{name}`, {one['precision']}, {one['threads']} thread:\n\n{shares}\n\n{tops}")
    return "\n\n".join(parts)


def busy(found: Mapping[str, Any]) -> str:
    """What is left beside a busy core."""
    rows = []
    for name, one in found.items():
        for side in ("plain", "ours"):
            start, later = one[side]["from the start"], one[side]["later"]
            passed = min(start["median"], later["median"]) >= 0.5 if side == "ours" else None
            wanted = "≥ 50 %" if side == "ours" else ""
            rows.append([f"`{name}`", side, ranged(start, "{:.0%}"), ranged(later, "{:.0%}"), wanted, verdict(passed)])
    columns = ["case", "side", "pace kept, busy from the start", "busy later", "wanted", "verdict"]
    return table(columns, rows)


def start(found: Mapping[str, Any]) -> str:
    """Seconds to the first step."""
    rows = []
    for name, one in found.items():
        limit = 0.4 if name == "sparring --help" else 4.0 if name.startswith("sparring train") else None
        wanted = f"≤ {limit} s" if limit else ""
        rows.append([f"`{name}`", ranged(one), wanted, verdict(one["median"] <= limit if limit else None)])
    return table(["command", "seconds", "wanted", "verdict"], rows)


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "race": race,
    "quality": quality,
    "overhead": overhead,
    "growth": growth,
    "peak": peak,
    "profile": profile,
    "busy": busy,
    "start": start,
}


def section(mode: str, results: Path) -> str:
    """A mode's table with its command and machine, or that there is none."""
    path = results / f"{mode}.json"
    if not path.is_file():
        return f"*{EMPTY}:* `python benchmarks/speed.py {mode}`"
    written = json.loads(path.read_text())
    machine = written["machine"]
    told = (
        f"`{written['command']}`, {written['date']}, {machine['processor']}, {machine['cores']} cores, torch "
        f"{machine['torch']}, load before {written['load_before']}; middle (range)"
    )
    quick = " **Quick: not a figure.**" if written["effort"]["quick"] else ""
    return f"{told}.{quick}\n\n{TABLES[mode](written['found'])}"


def filled(text: str, results: Path) -> str:
    """The page with each table between its marks; what has no marks stays out."""
    for mode in TABLES:
        begin, end = f"<!-- speed:{mode} -->", f"<!-- /speed:{mode} -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            after = rest.partition(end)[2]
            text = f"{before}{begin}\n{section(mode, results)}\n{end}{after}"
    return text


def plot(written: Mapping[str, Any], path: Path) -> None:
    """Ratios with their ranges, and what is wanted."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    found = written["found"]
    names = list(reversed(found))
    figure, axes = pyplot.subplots(figsize=(7, 0.5 * len(names) + 1.2), layout="constrained")
    for place, name in enumerate(names):
        ratio, target = found[name]["ratio images_per_second"], found[name]["case"]["target"]
        short = [[ratio["median"] - ratio["least"]], [ratio["most"] - ratio["median"]]]
        axes.barh(place, ratio["median"], 0.6, xerr=short, capsize=3, color="#4878a8" if target else "#a8b8c8")
        axes.text(0.04, place, f"{ratio['median']:.2f}", va="center", color="white" if target else "black")
        if target:
            axes.plot([target, target], [place - 0.4, place + 0.4], color="#c03028", linewidth=2)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("images a second, ours / plain eager loop (bar: middle, line: range, red: wanted)")
    axes.set_title(f"{written['machine']['processor']}, {written['machine']['cores']} cores", fontsize=9)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    pyplot.close(figure)


def render(results: Path) -> None:
    """All pages, and the plot where there is something to show and matplotlib is there."""
    for name in PAGES:
        page = ROOT / name
        text = page.read_text()
        if (new := filled(text, results)) != text:
            page.write_text(new)
    path = results / "race.json"
    if path.is_file():
        try:
            plot(json.loads(path.read_text()), results / "speed.png")
        except ModuleNotFoundError:
            print("no plot: pip install 'sparring[pictures]'")
