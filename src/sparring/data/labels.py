"""Which class each picture is of: from its sub-folder, or from a CSV or JSON file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from sparring.config import UserError
from sparring.data.decode import EXTENSIONS


def is_picture(name: str) -> bool:
    """True when the file's ending is one of a picture."""
    return PurePosixPath(name).suffix.lower().removeprefix(".") in EXTENSIONS


def common_folder(names: Sequence[str]) -> str:
    """The folders that all `names` lie under, with a closing slash, or an empty string."""
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    shared: list[str] = []
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "".join(f"{part}/" for part in shared)


def ordered(classes: Iterable[str]) -> tuple[str, ...]:
    """Distinct names sorted, as numbers when all of them are: `2` before `10`."""
    distinct = set(classes)
    if all(name.isdecimal() for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))


def from_folders(names: Sequence[str]) -> tuple[list[str] | None, str]:
    """(the class of each name = its first folder, or None, and a note that says which)."""
    classes = [PurePosixPath(name).parts[0] for name in names if "/" in name]
    if not classes:
        return None, ""
    if len(classes) < len(names):
        return None, (
            f"not labelled: {len(classes)} pictures are in sub-folders and {len(names) - len(classes)} are "
            f"not; move every picture into the sub-folder of its class, or give --labels"
        )
    if len(set(classes)) < 2:
        return None, f"not labelled: all pictures are in one sub-folder, {classes[0]}"
    return classes, f"labels: {len(set(classes))} classes named by sub-folders"


def parsed(text: str, where: str, setting: str = "labels") -> dict[str, str]:
    """File name -> label from the text of the JSON or CSV file called `where`, which `setting` names."""
    pairs = _json_pairs(text, where, setting) if where.lower().endswith(".json") else _csv_pairs(text, where)
    labels: dict[str, str] = {}
    for name, label in pairs:
        name = name.strip().replace("\\", "/").removeprefix("./")
        if not label:
            continue  # reported with the pictures that have none
        if labels.setdefault(name, label) != label:
            raise UserError(f"{setting}={where}: {name} has two {setting}, {labels[name]} and {label}; keep one")
    return labels


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its repeated names, which a dict would drop."""


def _json_pairs(text: str, where: str, setting: str) -> list[tuple[str, str]]:
    try:
        values: Any = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{setting}={where} is not valid JSON: {error}") from None
    if isinstance(values, _Pairs) and isinstance(dict(values).get("labels"), list):
        values = dict(values)["labels"]
    rows = list(values) if isinstance(values, list) else values
    if not isinstance(rows, list) or not all(_is_pair(row) for row in rows):
        raise UserError(
            f'{setting}={where}: expected {{"a.png": "cat", ...}}, [["a.png", "cat"], ...] or '
            f'{{"labels": [["a.png", 0], ...]}}, with a text or whole number for each picture'
        )
    return [(row[0], str(row[1])) for row in rows]


def _is_pair(row: Any) -> bool:
    return (
        isinstance(row, list | tuple)
        and len(row) == 2
        and isinstance(row[0], str)
        and isinstance(row[1], str | int)
        and not isinstance(row[1], bool)
    )


def _csv_pairs(text: str, where: str) -> list[tuple[str, str]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise UserError(f"labels={where} is not valid CSV: {error}") from None
    if rows and not is_picture(rows[0][0].strip()):  # a header
        rows = rows[1:]
    for row in rows:
        if len(row) != 2:
            raise UserError(
                f"labels={where}: expected two columns, file,label, and found {len(row)} in {','.join(row)[:80]}"
            )
    return [(row[0], row[1].strip()) for row in rows]


def matched(labels: Mapping[str, str], names: Sequence[str], where: str) -> list[str]:
    """The label of each of `names`; files without label and labels without file are a `UserError`.

    The file may call pictures by their path in the set, by their path below the folder that holds them all,
    or, where that is unique, by their bare name.
    """
    root = common_folder(names)
    ways: list[Callable[[str], str]] = [str, lambda name: name.removeprefix(root)]
    if len({PurePosixPath(name).name for name in names}) == len(names):
        ways.append(lambda name: PurePosixPath(name).name)
    keys = max(([way(name) for name in names] for way in ways), key=lambda keys: sum(key in labels for key in keys))
    without = [key for key in keys if key not in labels]
    extra = sorted(set(labels) - set(keys))
    if without or extra:
        raise UserError(_mismatch(without, extra, where))
    return [labels[key] for key in keys]


def _mismatch(without: Sequence[str], extra: Sequence[str], where: str) -> str:
    def listed(names: Sequence[str]) -> str:
        return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")

    lines = [f"labels={where} does not match the pictures."]
    if without:
        lines.append(f"  {len(without)} pictures without a label: {listed(without)}")
    if extra:
        lines.append(f"  {len(extra)} labels without a picture: {listed(extra)}")
    return "\n".join([*lines, "  Give each picture one line, by its path within the folder or zip, ending included."])
