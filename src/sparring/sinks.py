"""What a run writes down, told to others as well: TensorBoard, trackio, Weights & Biases.

A sink gets the events of events.jsonl as they are written, with the round as its step, and nothing else gets anything
from it: where one fails, that is said once, it is left alone from then on, and the training goes on.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sparring.config import UserError, did_you_mean

PROJECT = "sparring"
"""Of trackio and W&B, where the environment (TRACKIO_PROJECT, WANDB_PROJECT) names none."""


class Sink(Protocol):
    """Where numbers, pictures and texts can go."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """By name, such as losses/generator/objective."""
        ...

    def picture(self, name: str, file: Path, step: int) -> None:
        """A PNG."""
        ...

    def text(self, name: str, words: str, step: int) -> None:
        """A sentence."""
        ...

    def resumed(self, step: int) -> None:
        """The run goes on from here: what was told of later rounds no longer holds."""
        ...

    def close(self) -> None:
        """No more."""
        ...


class TensorBoard:
    """Files in the run's folder `tensorboard`: `tensorboard --logdir runs`."""

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        self._folder = str(run / "tensorboard")
        self._writer = self._opened(None)

    def _opened(self, purged_from: int | None) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(self._folder, max_queue=200, flush_secs=15, purge_step=purged_from)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """A scalar each."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name: str, file: Path, step: int) -> None:
        """As it is."""
        import numpy as np
        from PIL import Image

        with Image.open(file) as sheet:
            self._writer.add_image(name, np.asarray(sheet.convert("RGB")), step, dataformats="HWC")

    def text(self, name: str, words: str, step: int) -> None:
        """As it is."""
        self._writer.add_text(name, words, step)

    def resumed(self, step: int) -> None:
        """Later points are left out of its curves, which would else double back."""
        self._writer.close()
        self._writer = self._opened(step + 1)

    def close(self) -> None:
        """Everything on disk."""
        self._writer.close()


class Tracked:
    """trackio and W&B, which speak alike: a run that takes a table of values for each step, and their own pictures."""

    def __init__(self, run: Any, image: Callable[[str], Any]) -> None:
        self._run, self._image = run, image

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """All at once."""
        self._run.log(dict(values), step=step)

    def picture(self, name: str, file: Path, step: int) -> None:
        """As a picture of theirs."""
        self._run.log({name: self._image(str(file))}, step=step)

    def text(self, name: str, words: str, step: int) -> None:
        """As a value."""
        self._run.log({name: words}, step=step)

    def resumed(self, step: int) -> None:
        """Neither takes back what it was told."""

    def close(self) -> None:
        """Everything sent."""
        self._run.finish()


def trackio(run: Path, config: Mapping[str, Any]) -> Sink:
    """A local dashboard (`trackio show`), or a Space where TRACKIO_SPACE_ID names one."""
    import trackio as library

    project = os.environ.get("TRACKIO_PROJECT", PROJECT)
    opened = library.init(project=project, name=run.name, config=dict(config), resume="allow")
    return Tracked(opened, library.Image)


def wandb(run: Path, config: Mapping[str, Any]) -> Sink:
    """Weights & Biases; log in first, or WANDB_MODE=offline. It passes over rounds that it has seen before."""
    import wandb as library

    project = os.environ.get("WANDB_PROJECT", PROJECT)
    own = f"{run.name}-{run.stat().st_ino:x}"  # the same when the run goes on, another for one of the same name
    opened = library.init(
        project=project, name=run.name, id=own, dir=str(run), config=dict(config), resume="allow", save_code=False
    )
    return Tracked(opened, library.Image)


SINKS: Mapping[str, tuple[str, Callable[[Path, Mapping[str, Any]], Sink]]] = {
    "tensorboard": ("pip install tensorboard", TensorBoard),
    "trackio": ("pip install trackio", trackio),
    "wandb": ("pip install wandb", wandb),
}
"""By the name of the package that each needs: how to get it, and who opens it."""


def check(names: Sequence[str]) -> None:
    """`UserError` for sinks that there are none of, or whose package is not here: told before the work begins."""
    for name in names:
        if name not in SINKS:
            raise UserError(f"sink={name} is not one of {', '.join(SINKS)}{did_you_mean(name, list(SINKS))}")
        if importlib.util.find_spec(name) is None:
            raise UserError(f"sink={name} needs the package {name}:  {SINKS[name][0]}")


class Sinks:
    """Those of one run. `tell` gets a sentence where one fails."""

    def __init__(self, names: Sequence[str], run: Path, config: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        self.run, self.tell, self.step = run, tell, 0
        self.open: dict[str, Sink] = {}
        for name in dict.fromkeys(names):
            self._try(name, lambda name=name: self.open.update({name: SINKS[name][1](run, config)}))  # type: ignore[misc]

    def event(self, event: Mapping[str, Any]) -> None:
        """Hand one on to all that are still open."""
        for name, sink in list(self.open.items()):
            self._try(name, lambda sink=sink: self._pass(sink, event))  # type: ignore[misc]
        self.step = max(self.step, int(event.get("round", 0)))

    def _pass(self, sink: Sink, event: Mapping[str, Any]) -> None:
        kind, step = event["event"], int(event.get("round", 0))
        if kind in ("losses", "probe"):
            found = event["values"].items()
            values = {f"{kind}/{name}": float(value) for name, value in found if isinstance(value, int | float)}
            told = {name: event[name] for name in ("images", "seconds") if name in event} if kind == "losses" else {}
            sink.numbers({name: v for name, v in (values | told).items() if math.isfinite(v)}, step)
        elif kind == "samples" and str(event["file"]).endswith(".png"):
            sink.picture("samples", self.run / event["file"], step)
        elif kind == "samples":
            sink.text("samples", (self.run / event["file"]).read_text(encoding="utf-8"), step)
        elif kind == "resume":
            sink.resumed(step)
        elif kind == "finding":
            words = f"{event.get('kind')}, since round {step}: {event.get('what')}. Try: {event.get('remedy')}"
            sink.text("doctor", words, max(step, self.step))  # it began earlier than it was found

    def close(self) -> None:
        """All of them."""
        for name, sink in list(self.open.items()):
            self._try(name, sink.close)
        self.open.clear()

    def _try(self, name: str, act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as error:  # whatever it is: a training does not end because nobody listens
            self.open.pop(name, None)
            self.tell(f"sink={name} failed, and is left out from now on: {type(error).__name__}: {str(error)[:300]}")
