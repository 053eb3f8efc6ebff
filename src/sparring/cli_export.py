"""The command that gives a trained run away: `sparring export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from sparring.config import UserError
from sparring.flags import command, positional, text


def export(arguments: Sequence[str]) -> None:
    """A trained run for elsewhere."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        to: Literal["safetensors", "onnx", "html", "hub"] | None = None,
        out: text("PATH", "-o") = None,  # type: ignore[valid-type]
        push: text("NAME/MODEL") = None,  # type: ignore[valid-type]
        licence: text("LICENCE") = None,  # type: ignore[valid-type]
        public: bool = False,
        checkpoint: Literal["final", "best"] = "final",
        trust: bool = False,
    ) -> None:
        """Give a trained run away: averaged weights where there are averages, checked against the live network.

        safetensors is one file with its configuration inside, which `sparring.load` and every command that uses a run
        open. onnx is for other programs: any number of rows at once. html is a page that runs the generator where it is
        opened, without a network: sliders, classes, your own drawing. hub is a folder as a repository of Hugging Face
        holds it, with a card of data, scores, samples and limits; --push uploads it.

        Args:
            path: The run's folder, e.g. runs/cdcgan-mnist-1, or a model file made from one.
            to: What to write; none: as the ending of --out says, or safetensors.
            out: The file or folder; none: model.safetensors, model.onnx, model.html, hub in the run's folder.
            push: With --to hub: also upload it to this repository; log in first, with `hf auth login`.
            licence: Of the weights, for the card of --to hub, such as cc-by-4.0.
            public: The repository of --push, where it is new, is for all to see.
            checkpoint: The end of training so far, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring import trained
        from sparring.export import export as written
        from sparring.export import target

        place = Path(out).expanduser() if out else None
        to_what = target(to, place)
        opened = trained.load(path, trust, checkpoint=checkpoint)
        if to_what != "hub" and (push or licence or public):
            raise UserError("--push, --licence and --public belong to --to hub")
        if to_what == "hub" and (push or licence):
            from sparring.export import free
            from sparring.export.hub import Model

            model = Model(opened)
            if not push or place:
                print(model.save_pretrained(place or free(opened.place / "hub"), licence))
            if push:
                print(model.push_to_hub(push, not public, licence))
            return
        done = written(opened, to_what, place)
        for line in done.told:
            Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
        print(done.path)

    command(run, arguments, "export")
