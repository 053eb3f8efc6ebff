"""Trained models for elsewhere: one file for this package, ONNX, a web page, a repository on the Hub.

Averaged weights where there are averages. What is exported as a graph is compared with the live network first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from sparring import weights
from sparring.config import UserError, resolve, to_json
from sparring.files import replacing
from sparring.machine import isolated
from sparring.runs import How, now
from sparring.trained import Run


class Exported(NamedTuple):
    """What was written, and what is to be said of it."""

    path: Path
    told: tuple[str, ...]


def facts_of(run: Run) -> weights.Facts:
    """What a file made of this run says of itself."""
    if run.shipped is not None:
        facts = run.shipped[1]  # of an older version, perhaps, which cut off less
        return replace(facts, run=weights.nameless(facts.run, facts.run.how))
    model = run.model
    how = replace(run.plan.how, precision=run.machine.precision, name=None, runs=How.runs)
    return weights.Facts(
        format=weights.FORMAT,
        sha256="",
        round=model.round,
        averaged=model.averaged,
        torch=torch.__version__,
        made=now(),
        run=weights.nameless(run.written, how),
    )


def to_safetensors(run: Run, path: Path) -> Exported:
    """One file that `sparring.load` opens."""
    weights.write(path, run.model.modules, facts_of(run))
    kind = "averaged" if run.model.averaged else "live"
    return Exported(path, (f"{kind} weights of round {run.model.round:,}",))


def to_onnx(run: Run, path: Path) -> Exported:
    """One ONNX file, compared with the live network."""
    from sparring.export import graph
    from sparring.export.network import network_of

    with isolated():
        network = network_of(run)
        data = graph.told(graph.traced(network), network, to_json(facts_of(run)))
        worst = graph.difference(data, network)
    with replacing(path) as file:
        file.write(data)
    takes = ", ".join(f"{name} {('rows', *shape)}".replace("'", "") for name, shape in network.inputs.items())
    checked = f"differs from the live network by at most {worst:.1e} ({graph.BOUND:g} is allowed)"
    return Exported(path, (f"takes {takes}; {checked}", *network.notes))


def to_html(run: Run, path: Path) -> Exported:
    """One page that runs the generator where it is opened, offline."""
    from sparring.export import graph, page
    from sparring.export.network import network_of

    with isolated():
        network = network_of(run)
        page.refuse(network)
        data = graph.traced(network)
        worst = graph.difference(data, network)
        text = page.filled(data, network, facts_of(run))
    with replacing(path) as file:
        file.write(text.encode())
    told = f"its graph differs from the live network by at most {worst:.1e}; the page checks itself where it is opened"
    return Exported(path, (f"{len(text) / 2**20:.1f} MB; {told}", *network.notes))


def to_hub(run: Run, path: Path) -> Exported:
    """A folder as a repository on the Hub: weights, configuration, a card."""
    from sparring.export.hub import Model

    folder = Model(run).save_pretrained(path)
    return Exported(folder, (f"{', '.join(sorted(p.name for p in folder.iterdir()))}",))


TARGETS: Mapping[str, tuple[str, Callable[[Run, Path], Exported]]] = {
    "safetensors": ("model.safetensors", to_safetensors),
    "onnx": ("model.onnx", to_onnx),
    "html": ("model.html", to_html),
    "hub": ("hub", to_hub),
}
"""What a run is exported to: the file's usual name, and who writes it."""


def target(to: str | None, out: Path | None) -> str:
    """What is to be written: as asked, else as `out` ends, else safetensors. `UserError` where these contradict."""
    endings = {Path(name).suffix: each for each, (name, _) in TARGETS.items() if Path(name).suffix}
    meant = endings.get(out.suffix.lower()) if out is not None else None
    if to and meant and to != meant:
        raise UserError(f"out={out} would be of {meant}, and to={to}; leave --to out, or give another --out")
    return to or meant or "safetensors"


def export(run: Run, to: str | None = None, out: Path | None = None) -> Exported:
    """Write `run` to `out` (none: in the run's folder). Raises `UserError` for what this recipe cannot be.

    `to`: one of `TARGETS`; none is as `out` ends, or safetensors.
    """
    name, write = resolve(target(to, out), TARGETS, "to")
    return write(run, out if out is not None else free(run.place / name))


def free(place: Path) -> Path:
    """The place itself. `UserError` for a link, which in a run from elsewhere may lead anywhere."""
    if place.is_symlink():
        raise UserError(f"{place} is a link; name another place with --out")
    return place
