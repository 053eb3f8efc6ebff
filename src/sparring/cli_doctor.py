"""The command `sparring diagnose`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sparring.config import UserError, printable
from sparring.flags import command, positional, text

if TYPE_CHECKING:
    from sparring.doctor.record import Finding


def diagnose(arguments: Sequence[str]) -> None:
    """What is wrong with a training."""

    def run(
        path: positional(str, "RUN|LOG"),  # type: ignore[valid-type]
        round: text("COLUMN") = None,  # type: ignore[valid-type]
        d_loss: text("COLUMN") = None,  # type: ignore[valid-type]
        g_loss: text("COLUMN") = None,  # type: ignore[valid-type]
        score: text("COLUMN") = None,  # type: ignore[valid-type]
    ) -> None:
        """Say what is, or was, wrong with a training: a run of ours, or the log of another program. JSON where piped.

        Args:
            path: A run's folder; or a CSV file, JSON lines or TensorBoard events with losses and scores over time.
            round: The log's column that counts rounds (steps, epochs), where it is not recognised.
            d_loss: Its column of the discriminator's loss.
            g_loss: Its column of the generator's loss.
            score: Its column of a score that should fall, such as FID.
        """
        place = Path(path)
        if not place.exists():
            raise UserError(f"{path} is not there; give a run's folder or a log")
        if (place / "config.json").is_file():
            found = of_run(place)
            show_earlier(place, found)
        else:
            from sparring.doctor.foreign import diagnose_log, read_log

            given = {"round": round, "discriminator loss": d_loss, "generator loss": g_loss, "score": score}
            record, chosen = read_log(place, {role: name for role, name in given.items() if name is not None})
            told = printable("columns: " + ", ".join(f"{name} as {role}" for role, name in chosen.items()))
            Console(stderr=True).print(told, markup=False)
            found = diagnose_log(record)
        show(found)
        if not sys.stdout.isatty():  # who looks has the words above
            print(json.dumps([finding.as_json() for finding in found], indent=1, ensure_ascii=False))

    command(run, arguments, "diagnose")


def of_run(path: Path) -> list[Finding]:
    """All that its record shows now; nothing of it is executed."""
    from sparring.doctor import diagnose as examine
    from sparring.doctor import record_of
    from sparring.runs import read_config, read_events

    written = read_config(path)
    model = written.model
    total, samples = int(model.get("rounds", 0)), int(written.facts.get("samples", 0))
    return examine(record_of(read_events(path), total, samples))


def show_earlier(path: Path, found: Sequence[Finding]) -> None:
    """What was told while it was trained and no longer holds, on stderr."""
    from sparring.runs import read_events

    now = {finding.kind for finding in found}
    for event in read_events(path):
        if event["event"] == "finding" and event.get("kind") not in now:
            what = f"earlier, from round {event.get('since', 0):,}: {event.get('kind')}. {event.get('what')}"
            Console(stderr=True).print(f"{printable(what)}; no longer so at the end", markup=False)


def show(found: Sequence[Finding]) -> None:
    """For people, on stderr."""
    console = Console(stderr=True)
    if not found:
        console.print("nothing is wrong now, as far as the record shows")
    for finding in found:
        console.print(f"{finding.kind}, since round {finding.since:,}", style="bold yellow", markup=False)
        console.print(printable(f"  {finding.what}"), markup=False)
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in finding.evidence.items())
        console.print(f"  evidence: {numbers}\n  try: {finding.remedy}", markup=False)
