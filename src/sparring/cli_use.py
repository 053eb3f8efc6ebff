"""The commands that use a trained run: `sparring sample` and `sparring translate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from sparring.config import UserError
from sparring.flags import command, positional, text


def sample(arguments: Sequence[str]) -> None:
    """Pictures from a trained run."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        n: int = 64,
        label: text("CLASS") = None,  # type: ignore[valid-type]
        caption: text("SENTENCE") = None,  # type: ignore[valid-type]
        seed: int = 0,
        out: text("PATH") = None,  # type: ignore[valid-type]
        separate: bool = False,
        checkpoint: Literal["final", "best"] = "final",
        trust: bool = False,
    ) -> None:
        """Draw samples of a trained run: one sheet, or a file each.

        Args:
            path: The run's folder, e.g. runs/cdcgan-mnist-1.
            n: How many.
            label: Name or number of a class, for models trained with labels.
            caption: What they are to show, for text_to_image, e.g. "a small red heart at the left".
            seed: Another seed gives other samples.
            out: A .png file for the sheet, or a folder with --separate; none: beside the run's report.
            separate: A file per sample instead of one sheet.
            checkpoint: The end of training, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring import session, show

        if out and not separate and Path(out).suffix.lower() != ".png":
            raise UserError(f"out={out} must end in .png; for a file per sample add --separate")
        opened = session.load(path, trust, checkpoint=checkpoint)
        samples = opened.sample(n, label, seed, caption)
        named = "".join(c if c.isalnum() else "-" for c in label or caption or "")  # a class may be T-shirt/top
        suffix = f"samples-seed{seed}" + (f"-{named}" if named else "") + ("-best" if checkpoint == "best" else "")
        target = Path(out).expanduser() if out else Path(path) / (suffix if separate else f"{suffix}.png")
        if opened.about.key != "image":
            if opened.about.shape != (2,):
                raise UserError(f"{path} makes points of shape {opened.about.shape}; use it from Python")
            show.save_png(show.scatter(samples, samples), target)
        elif separate:
            for index, image in enumerate(samples):
                show.save_png(show.picture(image), target / f"{index:05d}.png")
        else:
            columns = max(1, round(n**0.5))
            show.save_png(show.enlarged(show.grid(samples, columns)), target)
        print(target)

    command(run, arguments, "sample")


def translate(arguments: Sequence[str]) -> None:
    """Pictures from pictures."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        files: positional(tuple[str, ...], "FILES"),  # type: ignore[valid-type]
        out: text("PATH") = None,  # type: ignore[valid-type]
        label: text("CLASS") = None,  # type: ignore[valid-type]
        fit: Literal["crop", "pad", "stretch"] | None = None,
        seed: int = 0,
        checkpoint: Literal["final", "best"] = "final",
        trust: bool = False,
    ) -> None:
        """Translate your own pictures by a run of pix2pix, cyclegan, cut or stargan, each as a PNG of its name.

        Args:
            path: The run's folder, e.g. runs/cyclegan-daisies-1.
            files: Pictures, or folders of them: of the kind that --source named in training.
            out: A folder; none: `translated` in the run's folder.
            label: The domain to go to, for stargan: name or number of a class.
            fit: How another shape is brought to the size that the run was trained at; none is as in training.
            seed: Of the noise, for generators that have any.
            checkpoint: The end of training, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring import session, show
        from sparring.data.pictures import pictures_of

        if not files:
            raise UserError("translate needs pictures: sparring translate RUN photo.jpg more_photos/")
        opened = session.load(path, trust, checkpoint=checkpoint)
        target, console = Path(out).expanduser() if out else Path(path) / "translated", Console(stderr=True)
        if not opened.about.source:
            raise UserError(f"{path}: the recipe {opened.written.recipe} does not translate; use pix2pix or cyclegan")
        written = set[Path]()
        paths, usual = [Path(file).expanduser() for file in files], opened.written.data.fit
        for name, picture in pictures_of(paths, opened.about.source, fit or usual):
            if isinstance(picture, str):
                console.print(f"{name}: {picture}; passed over", style="yellow", markup=False)
                continue
            made = opened.translate(picture[None], seed, label)
            place = target / f"{Path(name).with_suffix('')}.png"
            while place in written:  # x/1.png and x/1.jpg, or y/1.png
                place = place.with_stem(f"{place.stem}-again")
            written.add(place)
            show.save_png(show.picture(made[0]), place)
        if not written:
            raise UserError("none of these pictures could be read")
        print(target)

    command(run, arguments, "translate")
