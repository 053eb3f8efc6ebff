"""The commands `sparring data list`, `inspect` and `shard`."""

from __future__ import annotations

import json as js
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.progress import track
from rich.table import Table

from sparring.config import UserError, did_you_mean, printable
from sparring.flags import command, positional, text

if TYPE_CHECKING:
    from sparring.data.finding import Finding
    from sparring.data.inspect import Inspection
    from sparring.data.pictures import Report

USAGE = """\
usage: sparring data list
       sparring data inspect PATH|NAME [--size 64] [--labels FILE] [--sheet FILE.png] [--json]
       sparring data shard FOLDER|ZIP -o SHARDS [--bytes 256MB] [--labels FILE] [--test 0.1]"""
MOST_NAMES = 6
MOST_GROUPS = 4


def data(arguments: Sequence[str]) -> None:
    """Sets by name, or what is wrong with one."""
    tasks: dict[str, Callable[..., None]] = {"list": listed, "inspect": inspect, "shard": shard}
    word = arguments[0] if arguments else "-h"
    if word in tasks:
        command(tasks[word], arguments[1:], f"data {word}")
        return
    print(USAGE)
    if not word.startswith("-"):
        raise UserError(f"data: '{word}' is not list, inspect or shard{did_you_mean(word, list(tasks))}")


def listed() -> None:
    """The sets that have a name."""
    from sparring.data import NAMED

    table = Table()
    table.add_column("name")
    table.add_column("what")
    for name, entry in NAMED.items():
        table.add_row(name, entry.what)
    Console().print(table)


def inspect(
    path: positional(str, "PATH|NAME"),  # type: ignore[valid-type]
    size: text("SIZE") = None,  # type: ignore[valid-type]
    color: Literal["auto", "gray", "rgb", "rgba"] = "auto",
    fit: Literal["crop", "pad", "stretch"] = "crop",
    labels: text("FILE") = None,  # type: ignore[valid-type]
    test: float = 0.1,
    sheet: text("FILE") = None,  # type: ignore[valid-type]
    json: bool = False,
) -> None:
    """Look at everything in a set and say what is wrong with it, by what numbers, and what to change.

    Bad files, copies and near-copies (also between train and test), classes, sizes, contrast, borders.

    Args:
        path: Whatever --data takes: a folder, a .zip, a name (sparring data list) or mine.py:function.
        size: As for training: 64 or 64x48; none is a set's own, and 64 for pictures of yours.
        color: As for training.
        fit: As for training.
        labels: A CSV or JSON file of file name and label.
        test: Share held out for judging.
        sheet: Write a contact sheet to this .png: a random sample, and the suspicious pictures.
        json: Everything as JSON on stdout, with every name.
    """
    from sparring.data import Data, open_reported
    from sparring.data.inspect import inspected
    from sparring.judging import FEWEST

    if sheet and Path(sheet).suffix.lower() != ".png":
        raise UserError(f"sheet={sheet} must end in .png")
    settings = Data(data=path, size=size, color=color, fit=fit, labels=labels, test=test)
    splits, report = open_reported(settings)
    found = inspected(splits, settings, report, FEWEST, watched) if splits else None
    if json:
        told = {**(found.as_json() if found else {"data": path}), **(files_json(report) if report else {})}
        print(js.dumps(told, indent=1, ensure_ascii=False))
    else:
        show(found, report)
    if found is None:
        raise UserError(f"data={path}: nothing here can be trained on; see above")
    if sheet:
        write_sheet(found, splits, Path(sheet).expanduser())


def shard(
    path: positional(str, "FOLDER|ZIP"),  # type: ignore[valid-type]
    out: text("SHARDS", "-o") = None,  # type: ignore[valid-type]
    bytes: str = "256MB",
    labels: text("FILE") = None,  # type: ignore[valid-type]
    test: float = 0.1,
) -> None:
    """Pack pictures into tar shards with an index, for sets larger than memory or disk; --data takes their folder.

    They may lie on a disk, a web server or in an object store. Files are copied as they are; bad ones are left out.

    Args:
        path: A folder or .zip of pictures, as training takes it.
        out: The new folder of shards.
        bytes: About so large is each: 100MB, 1GB.
        labels: A CSV or JSON file of file name and label.
        test: Share held out for judging.
    """
    from sparring.data import Data
    from sparring.data.packing import bytes_of, packed

    if out is None:
        raise UserError("-o is missing: give the folder that the shards are to be written to")
    settings = Data(data=path, labels=labels, test=test)
    made = packed(Path(path).expanduser(), Path(out).expanduser(), bytes_of(bytes), settings)
    console = Console(soft_wrap=True, highlight=False)
    facts = made.index.facts
    counts = ", ".join(f"{len(made.index.rows(split)):,} {split}" for split in ("train", "test"))
    total = sum(each.size for each in facts.shards) / 1e6
    lines = [f"{out}: {counts}; {len(facts.shards)} shards, {total:,.1f} MB; {facts.color}"]
    lines += [f"{len(facts.classes)} classes"] if facts.classes else []
    lines += [f"note: {note}" for note in made.notes]
    for line in lines + [f"left out: {name}: {reason}" for name, reason in made.bad]:
        console.print(printable(line), markup=False)


def write_sheet(found: Inspection, splits: Any, path: Path) -> None:
    """The contact sheet; where it is goes to stderr."""
    from sparring.sheet import contact_sheet
    from sparring.show import save_png

    save_png(contact_sheet(found, splits), path)
    Console(stderr=True, soft_wrap=True).print(f"sheet: {path}", markup=False)


def watched(steps: Iterable[int], total: int) -> Iterable[int]:
    """A bar on stderr, where it is a terminal."""
    console = Console(stderr=True)
    return track(steps, "Looking", total, console=console, transient=True, disable=not console.is_terminal)


def files_json(report: Report) -> dict[str, Any]:
    """What is known of the files."""
    bad = [{"file": name, "reason": reason} for name, reason in report.bad]
    facts = {"good": report.good, "copies": report.duplicates, "sizes": report.sizes, "modes": report.modes}
    return {"files": {**facts, "bad": bad}, "notes": list(report.notes)}


def show(found: Inspection | None, report: Report | None) -> None:
    """For people, on stdout: facts, findings, then every bad file."""
    console = Console(soft_wrap=True, highlight=False)

    def tell(text: str, style: str = "") -> None:
        console.print(printable(text), style=style, markup=False)

    for line in [*(about(found) if found else []), *(about_files(report) if report else [])]:
        tell(line)
    for finding in found.findings if found else ():
        tell(finding.kind, "bold yellow")
        tell(f"  {finding.what}")
        assert found is not None
        for line in examples(finding, found):
            tell(f"  {line}", "dim")
        tell(f"  try: {finding.remedy}")
    if found is not None and not found.findings:
        tell("nothing is wrong, as far as was looked")
    for name, reason in report.bad if report else ():
        tell(f"bad: {name}: {reason}")


def about(found: Inspection) -> list[str]:
    """What the set is."""
    counts = ", ".join(f"{length:,} {split}" for split, length in found.lengths.items())
    lines = [f"{found.about.name}: {counts}; {'x'.join(map(str, found.about.shape))}"]
    total = sum(found.classes.values())
    if found.classes:
        shares = [f"{name} ({count / total:.1%})" for name, count in list(found.classes.items())[:20]]
        more = f", and {len(found.classes) - 20} more" if len(found.classes) > 20 else ""
        lines.append(f"{len(found.classes)} classes: {', '.join(shares)}{more}")
    return lines


def about_files(report: Report) -> list[str]:
    """What the files are like."""
    from sparring.data.counts import typical_size

    lines = [f"{report.good} good pictures, {len(report.bad)} bad files, {report.duplicates} copies"]
    if report.sizes:
        least, middle, most = typical_size(report.sizes)
        lines.append(f"sizes: smallest {least}, median {middle}, largest {most}; {len(report.sizes)} different")
        modes = sorted(report.modes.items(), key=lambda item: -item[1])
        lines.append("modes: " + ", ".join(f"{name} ({count})" for name, count in modes))
    return lines + [f"note: {note}" for note in report.notes]


def examples(finding: Finding, found: Inspection) -> list[str]:
    """Names of the first samples that it is about."""
    if all(len(group) == 1 for group in finding.groups):
        named = [found.name_of(group[0]) for group in finding.groups[:MOST_NAMES]]
        return [joined(named, len(finding.groups))] if named else []
    lines = [joined([found.name_of(n) for n in g[:MOST_NAMES]], len(g), " = ") for g in finding.groups[:MOST_GROUPS]]
    more = len(finding.groups) - MOST_GROUPS
    return lines + ([f"and {more:,} more groups; --json names them all"] if more > 0 else [])


def joined(names: Sequence[str], total: int, by: str = ", ") -> str:
    """The names, and how many more there are."""
    return by.join(names) + (f"{by}{total - len(names):,} more" if total > len(names) else "")
