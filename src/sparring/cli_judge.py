"""The commands that judge: `sparring evaluate` and `sparring compare`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from sparring.config import UserError
from sparring.flags import command, positional, text


def evaluate(arguments: Sequence[str]) -> None:
    """Judge a run, or pictures."""

    def run(
        path: positional(str, "RUN|FOLDER|ZIP|NPZ"),  # type: ignore[valid-type]
        split: text("NAME") = None,  # type: ignore[valid-type]
        samples: int = 10_000,
        seed: int = 1,
        against: text("DATA") = None,  # type: ignore[valid-type]
        judge: str = "auto",
        protocol: Literal["clean", "tf1", "native"] = "clean",
        size: text("SIZE") = None,  # type: ignore[valid-type]
        checkpoint: Literal["final", "best"] = "final",
        trust: bool = False,
    ) -> None:
        """Judge samples against held-out data; every score with its error and beside its floor. JSON where it is piped.

        Args:
            path: A run's folder; or a folder, zip or .npz of pictures that any other program made, with --against.
            split: test or validation; none is validation where the run set one aside, else test.
            samples: How many to draw, at most 10,000.
            seed: Of the samples.
            against: Another set than the run's own: a name, folder or zip.
            judge: Whose features: auto (a classifier trained on the data's labels; without labels self), self (learnt
                from the training pictures alone), pixels, lenet:FILE, resnet20:FILE, resnet56:FILE, squeezenet:FILE,
                inception:FILE (then the distance is FID), dinov2-large:FILE, a file.onnx or mine.py:function.
            protocol: How pictures come to the judge's size; part of the score's stamp.
            size: Of the pictures of --against, e.g. 64, where it is a folder.
            checkpoint: Of a run: the end of training, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring import trained

        if not Path(path).exists():
            raise UserError(f"{path} is not a run, nor a folder or file of pictures: it is not there")
        if (Path(path) / "config.json").is_file():
            opened = trained.load(path, trust, checkpoint=checkpoint)
            other = None
            if against:
                own = opened.written.data
                other = dataclasses.replace(own, data=against, labels=None, captions=None, size=size, limit=None)
            result = opened.evaluate(split, samples, seed, other, judge=judge, protocol=protocol)
        elif against is None:
            raise UserError(f"{path} is not a run; to judge pictures, say against what: --against mnist")
        else:
            from sparring.data.settings import Data

            result = trained.evaluate_pictures(path, Data(data=against, size=size), split, judge, protocol, seed)
        show_scores(result)
        if not sys.stdout.isatty():  # who looks has the words above
            print(json.dumps(result, indent=1, ensure_ascii=False))

    command(run, arguments, "evaluate")


def with_error(row: Mapping[str, Any], value: str = "value", se: str = "se") -> str:
    """`0.1234 ± 0.0012`: as many digits as the error has two of."""
    if value not in row:
        return ""
    error = row.get(se)
    if not error:
        return f"{row[value]:.4f}"
    digits = min(6, max(0, 1 - int(f"{error:e}".partition("e")[2])))
    return f"{row[value]:.{digits}f} ± {error:.{digits}f}"


def show_scores(result: Mapping[str, Any]) -> None:
    """A table for people, on stderr."""
    by = f"{result['samples']:,} samples, judged by {result['extractor']['name']}" if "samples" in result else None
    table = Table(title=by)
    for head in ("score", "value ± error", "without bias", "floor: real", "x floor"):
        table.add_column(head, justify="left" if head == "score" else "right")
    table.add_column("better")
    for name, row in result["metrics"].items():
        times = f"{row['times_floor']:.2f}" if "times_floor" in row else ""
        corrected = f"{row['corrected']:.4f}" if "corrected" in row else ""
        table.add_row(name, with_error(row), corrected, with_error(row, "floor", "floor_se"), times, row["better"])
    Console(stderr=True).print(table)


def compare(arguments: Sequence[str]) -> None:
    """Several results side by side."""

    def run(paths: positional(tuple[str, ...], "RUN")) -> None:  # type: ignore[valid-type]
        """Say which scores of two or more results differ by more than their errors. JSON where it is piped.

        Each is compared with the first. Results that were made with different things (data, judge, numbers of
        samples) are refused, and the difference is named.

        Args:
            paths: Run folders that have been judged, or files that `sparring evaluate` wrote.
        """
        from sparring import judging
        from sparring.metrics.evaluate import SIGNIFICANT, StampError, differences

        if len(paths) < 2:
            raise UserError("compare needs two results or more: sparring compare runs/a runs/b")
        results = {path: judging.read_result(Path(path)) for path in dict.fromkeys(paths)}
        if len(results) < 2:
            raise UserError(f"{paths[0]} is given twice; compare needs two different results")
        (first, base), *others = results.items()
        told = {}
        for name, result in others:
            try:
                found = differences(base, result)
            except StampError as error:
                raise UserError(f"{first} and {name}: {error}") from None
            if not found:
                raise UserError(f"{first} and {name} have no score in common")
            told[name] = [dataclasses.asdict(d) | {"errors": d.errors if d.se else None} for d in found]
            table = Table(title=f"{first}  and  {name}")
            for head in ("score", "first", "second", "difference in errors", f"better beyond {SIGNIFICANT:g} errors"):
                table.add_column(head, justify="left" if head == "score" else "right", overflow="fold")
            for d in found:
                rows = base["metrics"][d.name], result["metrics"][d.name]
                away = f"{d.errors:+.1f}" if d.se else "no errors"
                table.add_row(d.name, with_error(rows[0]), with_error(rows[1]), away, d.verdict)
            Console(stderr=True).print(table)
        if not sys.stdout.isatty():  # who looks has the words above
            print(json.dumps({"first": first, "differences": told}, indent=1, ensure_ascii=False))

    command(run, arguments, "compare")
