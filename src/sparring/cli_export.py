"""The command that gives a trained run away: `sparring export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from sparring.flags import command, positional, text


def export(arguments: Sequence[str]) -> None:
    """A trained run for elsewhere."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        to: Literal["safetensors", "onnx", "html"] = "safetensors",
        out: text("PATH", "-o") = None,  # type: ignore[valid-type]
        checkpoint: Literal["final", "best"] = "final",
        trust: bool = False,
    ) -> None:
        """Give a trained run away: averaged weights where there are averages, checked against the live network.

        safetensors is one file with its configuration inside, which `sparring.load` and every command that uses a run
        open. onnx is for other programs: any number of rows at once. html is a page that runs the generator where it is
        opened, without a network: sliders, classes, your own drawing.

        Args:
            path: The run's folder, e.g. runs/cdcgan-mnist-1, or a model file made from one.
            to: What to write.
            out: The file; none: model.safetensors, model.onnx, model.html in the run's folder.
            checkpoint: The end of training so far, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring import session
        from sparring.export import export as written

        done = written(session.load(path, trust, checkpoint=checkpoint), to, Path(out).expanduser() if out else None)
        for line in done.told:
            Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
        print(done.path)

    command(run, arguments, "export")
