"""The commands that use a trained run: `sparring sample`, `sparring translate` and `sparring augment`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table

from sparring.config import UserError
from sparring.flags import command, positional

if TYPE_CHECKING:
    from sparring.worth import Worth


def sample(arguments: Sequence[str]) -> None:
    """Pictures from a trained run."""

    def run(
        path: positional(str),  # type: ignore[valid-type]
        n: int = 64,
        label: str | None = None,
        seed: int = 0,
        out: str | None = None,
        separate: bool = False,
        checkpoint: Literal["final", "best"] = "final",
        trust: bool = False,
    ) -> None:
        """Draw samples of a trained run: one sheet, or a file each.

        Args:
            path: The run's folder, e.g. runs/cdcgan-mnist-1.
            n: How many.
            label: Name or number of a class, for models trained with labels.
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
        samples = opened.sample(n, label, seed)
        named = "".join(c if c.isalnum() else "-" for c in label or "")  # a class may be called T-shirt/top
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
        path: positional(str),  # type: ignore[valid-type]
        files: positional(tuple[str, ...]),  # type: ignore[valid-type]
        out: str | None = None,
        fit: Literal["crop", "pad", "stretch"] | None = None,
        seed: int = 0,
        checkpoint: Literal["final", "best"] = "final",
        trust: bool = False,
    ) -> None:
        """Translate your own pictures by a run of pix2pix or cyclegan. Each is written as a PNG of the same name.

        Args:
            path: The run's folder, e.g. runs/cyclegan-daisies-1.
            files: Pictures, or folders of them: of the kind that --source named in training.
            out: A folder; none: `translated` in the run's folder.
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
            made = opened.translate(picture[None], seed)
            place = target / f"{Path(name).with_suffix('')}.png"
            while place in written:  # x/1.png and x/1.jpg, or y/1.png
                place = place.with_stem(f"{place.stem}-again")
            written.add(place)
            show.save_png(show.picture(made[0]), place)
        if not written:
            raise UserError("none of these pictures could be read")
        print(target)

    command(run, arguments, "translate")


def augment(arguments: Sequence[str]) -> None:
    """Whether generated pictures help a classifier."""

    def run(
        paths: positional(tuple[str, ...]),  # type: ignore[valid-type]
        labels: int = 100,
        ratios: tuple[int, ...] = (1, 10),
        seeds: int = 5,
        rounds: int = 400,
        ceiling: bool = True,
        trust: bool = False,
    ) -> None:
        """Does training a classifier with a run's samples help, where labels are few? JSON on stdout.

        Classifiers are trained on so many labelled pictures, on those and generated ones, and on all. A run that was
        itself trained on more labels hands them on: then this measures the labels, and says so. To ask about
        generation alone, train the run on as few: sparring train cdcgan --data mnist --limit 100

        Args:
            paths: Folders of runs made by label, e.g. runs/cdcgan-mnist-1; of several, each one's mean counts as one.
            labels: Real pictures whose labels the classifiers are given, evenly of each class.
            ratios: Generated pictures for each real one; an arm of the experiment each.
            seeds: Classifiers per arm and run, at least 2 where there is one run.
            rounds: Updates of each classifier, the same for every arm.
            ceiling: Also train on all real pictures, which shows what more labels would bring.
            trust: Run the code of your own that the runs name.
        """
        from sparring import session, worth

        if not paths or not ratios or min(ratios) < 1 or rounds < 1 or seeds < 1 or len(paths) * seeds < 2:
            raise UserError(
                f"augment needs runs, ratios of at least 1, rounds, and two seeds or runs to compare; got {len(paths)} "
                f"runs, ratios={ratios}, rounds={rounds}, seeds={seeds}: sparring augment RUN --seeds 5"
            )
        console = Console(stderr=True)
        opened = [session.load(path, trust) for path in paths]
        found = [worth.measure(one, labels, ratios, range(seeds), rounds, ceiling, console) for one in opened]
        told = worth.across(found)
        show_worth(told, f"over {len(paths)} runs" if len(paths) > 1 else f"over {seeds} seeds of one run", console)
        print(json.dumps(worth.as_json(told), indent=1))

    command(run, arguments, "augment")


def show_worth(told: Worth, over: str, console: Console) -> None:
    """The table and its verdict."""
    from sparring.worth import REAL, mean_and_error

    table = Table(title=f"accuracy of classifiers of {told.labels:,} labels, {over}")
    for head in ("trained on", "mean", "standard error", "more than real alone", "p", "verdict"):
        table.add_column(head, overflow="fold")
    beside = {one.name: one for one in told.comparisons()}
    for name, values in told.accuracies.items():
        mean, se = mean_and_error(values)
        row = beside.get(name)
        said = (f"{row.difference:+.4f} ± {row.se:.4f}", f"{row.p:.2g}", row.verdict) if row else ("", "", "")
        table.add_row(f"{told.labels:,} real" if name == REAL else name, f"{mean:.4f}", f"{se:.4f}", *said)
    console.print(table)
    console.print(f"the generator was trained on {told.learnt_from:,} labelled pictures", markup=False)
    if told.leaks:
        console.print(
            f"these are more than the classifier's {told.labels:,}: a gain is that of its labels, not of generation. "
            f"Train it with --limit {told.labels}",
            style="bold yellow",
            markup=False,
        )
