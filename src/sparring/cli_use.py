"""The commands that use a trained run: `sparring sample`, `translate`, `upscale`, `inpaint` and `augment`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table

from sparring.config import UserError, printable
from sparring.files import replacing
from sparring.flags import command, positional, text

if TYPE_CHECKING:
    from torch import Tensor

    from sparring.data import About
    from sparring.trained import Run
    from sparring.worth import Worth

Which = Literal["final", "best"]


ENDINGS: Mapping[str, str] = {"image": ".png", "point": ".png", "text": ".txt", "sound": ".wav", "clip": ".gif"}
"""Of the files that samples are written to, by their kind."""


def save(
    samples: Tensor, about: About, path: Path, columns: int, vocoder: Run | None = None, enlarge: bool = True
) -> None:
    """Samples of any kind but points as one file; of spectrograms also what they sound like, beside it.

    Small pictures are enlarged, unless they are to stay as they are.
    """
    from sparring import show
    from sparring.data.words import written

    if about.key == "image":
        if about.hop:
            from sparring.nn.signal import heard

            waves = heard(samples, about) if vocoder is None else vocoder.voiced(samples, about)
            sound = show.one_after_another(waves)
            with replacing(path.with_suffix(".wav")) as file:
                file.write(show.wave_file(sound, about.rate))
        sheet = show.grid(samples, columns)
        return show.save_png(show.enlarged(sheet) if enlarge else sheet, path)
    if about.key == "text":
        data = "".join(f"{line}\n" for line in written(samples, about)).encode()
    elif about.key == "sound":
        data = show.wave_file(show.one_after_another(samples), about.rate)
    else:
        data = show.moving(samples, columns, about.rate)
    with replacing(path) as file:
        file.write(data)
    return None


def save_all(samples: Tensor, about: About, target: Path, separate: bool, vocoder: Run | None) -> None:
    """Samples of any kind as one file, or as a file each in the folder `target`."""
    from sparring import show

    if about.key == "point":
        if about.shape != (2,):
            raise UserError(f"points of shape {about.shape} cannot be drawn; use them from Python")
        show.save_png(show.scatter(samples, samples), target)
    elif separate:
        for index in range(len(samples)):
            path = target / f"{index:05d}{ENDINGS[about.key]}"
            save(samples[index : index + 1], about, path, 1, vocoder, enlarge=False)
    else:
        save(samples, about, target, max(1, round(len(samples) ** 0.5)), vocoder)


def sample(arguments: Sequence[str]) -> None:
    """Pictures from a trained run."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        n: int = 64,
        label: text("CLASS") = None,  # type: ignore[valid-type]
        caption: text("SENTENCE") = None,  # type: ignore[valid-type]
        temperature: text("NUMBER") = None,  # type: ignore[valid-type]
        seed: int = 0,
        out: text("PATH") = None,  # type: ignore[valid-type]
        separate: bool = False,
        vocoder: text("RUN") = None,  # type: ignore[valid-type]
        checkpoint: Which = "final",
        trust: bool = False,
    ) -> None:
        """Draw samples of a trained run: one sheet, text, sound or moving picture, or a file each.

        Args:
            path: The run's folder, e.g. runs/cdcgan-mnist-1.
            n: How many.
            label: Name or number of a class, for models trained with labels.
            caption: What they are to show, for text_to_image, e.g. "a small red heart at the left".
            temperature: Below 1 likely texts are likelier, for sequence.
            seed: Another seed gives other samples.
            out: A file: .png, or .txt, .wav, .gif where that is what it makes; a folder with --separate; none: beside
                the run's report.
            separate: A file per sample instead of one sheet.
            vocoder: A run of vocoder by which samples of melgan are heard; none: by Griffin-Lim.
            checkpoint: The end of training, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring import trained
        from sparring.data.words import written

        opened = trained.load(path, trust, checkpoint=checkpoint)
        ending, voice = ENDINGS[opened.about.key], None if vocoder is None else trained.load(vocoder)
        if voice is not None and not opened.about.hop:
            raise UserError(f"vocoder={vocoder}: {path} makes no spectrograms; leave it out")
        if out and not separate and Path(out).suffix.lower() != ending:
            raise UserError(f"out={out} must end in {ending}; for a file per sample add --separate")
        samples = opened.sample(n, label, seed, caption, None if temperature is None else _number(temperature))
        named = "".join(c if c.isalnum() else "-" for c in label or caption or "")  # a class may be T-shirt/top
        suffix = f"samples-seed{seed}" + (f"-{named}" if named else "") + ("-best" if checkpoint == "best" else "")
        target = Path(out).expanduser() if out else _place(opened, suffix if separate else f"{suffix}{ending}")
        save_all(samples, opened.about, target, separate, voice)
        said = opened.about.key == "text" and not out and not separate
        for line in written(samples, opened.about) if said else ():
            print(printable(line))
        print(target, file=sys.stderr if said else None)

    command(run, arguments, "sample")


def _number(temperature: str) -> float:
    try:
        return float(temperature)
    except ValueError:
        raise UserError(f"temperature={temperature} is not a number") from None


def translate(arguments: Sequence[str]) -> None:
    """Pictures from pictures."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        files: positional(tuple[str, ...], "FILES"),  # type: ignore[valid-type]
        out: text("PATH", "-o") = None,  # type: ignore[valid-type]
        label: text("CLASS") = None,  # type: ignore[valid-type]
        fit: Literal["crop", "pad", "stretch", "whole"] | None = None,
        seed: int = 0,
        checkpoint: Which = "final",
        trust: bool = False,
    ) -> None:
        """Translate your own pictures by a run of pix2pix, cyclegan, cut or stargan, each as a PNG of its name.

        Texts (.txt) by a run of text_translation or text_style, each as a text of its name; by a run of
        word_translation texts of a word each line, behind each the nearest words of the other language.

        Args:
            path: The run's folder, e.g. runs/cyclegan-daisies-1.
            files: Pictures or texts, or folders of them: of the kind that --source named in training.
            out: A folder; none: `translated` in the run's folder, or `translated-CLASS`.
            label: The domain to go to, for stargan, or the style, for text_style: name or number of a class.
            fit: How another shape is brought to the size that the run was trained at; none is as in training. whole
                keeps the picture's own size, and goes over it by tiles.
            seed: Of the noise, for generators that have any.
            checkpoint: The end of training, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        opened = _opened("translate", path, files, trust, checkpoint)
        if not opened.about.source:
            raise UserError(f"{path}: the recipe {opened.written.recipe} does not translate; use pix2pix or cyclegan")
        if opened.about.masked:
            raise UserError(f"{path} fills holes, and needs to know where they are: sparring inpaint {path} ...")
        folder = "translated" + "".join(c if c.isalnum() else "-" for c in f"-{label}" if label)
        target = Path(out).expanduser() if out else _place(opened, folder)
        if opened.about.key in ("text", "point"):
            return _write_texts(opened, files, target, label)

        def made(picture: Tensor) -> Tensor:
            return opened.translate(picture[None], seed, label, whole=fit == "whole")[0]

        _write(files, _read(files, opened.about.source, fit or opened.written.data.fit), made, target)

    command(run, arguments, "translate")


def upscale(arguments: Sequence[str]) -> None:
    """Larger pictures."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        files: positional(tuple[str, ...], "FILES"),  # type: ignore[valid-type]
        out: text("PATH", "-o") = None,  # type: ignore[valid-type]
        checkpoint: Which = "final",
        trust: bool = False,
    ) -> None:
        """Enlarge your own pictures, of any size, by a run of superres. Each is written as a PNG of the same name.

        Args:
            path: The run's folder, e.g. runs/superres-daisies-1.
            files: Pictures, or folders of them.
            out: A folder; none: `upscaled` in the run's folder.
            checkpoint: The end of training, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring.data.decode import MAX_PIXELS

        opened = _opened("upscale", path, files, trust, checkpoint)
        factor = opened.factor
        if factor < 2:
            raise UserError(f"{path}: the recipe {opened.written.recipe} does not enlarge; use superres")

        def made(picture: Tensor) -> Tensor | str:
            pixels = picture[0].numel() * factor**2
            if pixels > MAX_PIXELS:
                return f"{pixels / 1e6:.0f} megapixels would be more than the limit of {MAX_PIXELS // 10**6}"
            return opened.upscale(picture[None])[0]

        given = _read(files, opened.about.source, "whole")
        _write(files, given, made, Path(out).expanduser() if out else _place(opened, "upscaled"))

    command(run, arguments, "upscale")


def inpaint(arguments: Sequence[str]) -> None:
    """Pictures whose holes are filled."""

    def run(
        path: positional(str, "RUN"),  # type: ignore[valid-type]
        files: positional(tuple[str, ...], "FILES"),  # type: ignore[valid-type]
        mask: text("FILE|COLOUR") = None,  # type: ignore[valid-type]
        out: text("PATH", "-o") = None,  # type: ignore[valid-type]
        tolerance: int = 8,
        checkpoint: Which = "final",
        trust: bool = False,
    ) -> None:
        """Fill what is missing in your own pictures, of any size, by a run of inpaint. Known pixels stay as they are.

        Args:
            path: The run's folder, e.g. runs/inpaint-daisies-1.
            files: Pictures, or folders of them.
            mask: A picture as large as they are, white where they are missing; or the colour of what is missing in
                them, such as magenta or '#ff00ff'.
            out: A folder; none: `inpainted` in the run's folder.
            tolerance: Levels of 255 by which a channel may differ from that colour.
            checkpoint: The end of training, or the best on the way there.
            trust: Run the code of your own that the run names.
        """
        from sparring.data.tensors import recolored

        if mask is None:
            raise UserError("inpaint needs to know what is missing: --mask FILE, white where it is, or --mask magenta")
        opened = _opened("inpaint", path, files, trust, checkpoint)
        if not opened.about.masked:
            raise UserError(f"{path}: the recipe {opened.written.recipe} fills no holes; use inpaint")
        channels, of = opened.about.shape[0], _hole_of(mask, tolerance)

        def made(picture: Tensor) -> Tensor | str:
            hole = of(picture)
            if hole.shape[1:] != picture.shape[1:]:
                sizes = (f"{high}x{wide}" for high, wide in (picture.shape[1:], hole.shape[1:]))
                return f"it is {' and the mask '.join(sizes)}"
            if not bool(hole.any()) or bool(hole.all()):
                return f"the mask says that {'all' if bool(hole.any()) else 'nothing'} of it is missing"
            known = recolored(picture[None], "gray" if channels == 1 else "rgb" if channels == 3 else "rgba")
            return opened.inpaint(known, hole[None])[0]

        given = _read(files, (max(3, channels), 0, 0), "whole")
        _write(files, given, made, Path(out).expanduser() if out else _place(opened, "inpainted"))

    command(run, arguments, "inpaint")


def _hole_of(mask: str, tolerance: int) -> Callable[[Tensor], Tensor]:
    """(3 or 4, H, W) uint8 -> (1, h, w) bool, where it is missing: by a mask's file, or by a colour."""
    import torch
    from PIL import ImageColor

    from sparring.data.pictures import pictures_of

    place = Path(mask).expanduser()
    if place.is_dir() or place.suffix.lower() == ".zip":
        raise UserError(f"mask={mask} holds several pictures; name one, and use it for the pictures that it fits")
    if place.exists():
        [(_, found)] = pictures_of([place], (4, 0, 0), "whole")
        if isinstance(found, str):
            raise UserError(f"mask={mask}: {found}")
        hole = (found[:3].float().mean(0, keepdim=True) > 127) & (found[3:] > 127)  # what is clear is not painted
        return lambda picture: hole
    try:
        colour = torch.tensor(ImageColor.getrgb(mask)[:3])[:, None, None]
    except ValueError:
        raise UserError(f"mask={mask} is neither a file here nor a colour such as magenta or '#ff00ff'") from None
    return lambda picture: ((picture[:3].int() - colour).abs() <= tolerance).all(0, keepdim=True)


def _opened(name: str, path: str, files: Sequence[str], trust: bool, checkpoint: Which) -> Run:
    from sparring import trained

    if not files:
        raise UserError(f"{name} needs pictures: sparring {name} RUN photo.jpg more_photos/")
    return trained.load(path, trust, checkpoint=checkpoint)


def _place(run: Run, name: str) -> Path:
    """Where it goes by default. `UserError` for a link there: a run from elsewhere leads nowhere."""
    from sparring.export import free

    return free(run.place / name)


def _read(files: Sequence[str], shape: tuple[int, ...], fit: str) -> Iterator[tuple[str, Tensor | str]]:
    from sparring.data.pictures import pictures_of

    return pictures_of([Path(file).expanduser() for file in files], shape, fit)


def _write(
    files: Sequence[str],
    given: Iterable[tuple[str, Tensor | str]],
    make: Callable[[Tensor], Tensor | str],
    target: Path,
) -> None:
    """What is made of each, as a PNG of the same name; what is passed over, and why, is told.

    `UserError` where that would write over one of the `files`.
    """
    from sparring import show

    console, written, own = Console(stderr=True), set[Path](), {Path(file).expanduser().resolve() for file in files}
    for name, picture in given:
        made = picture if isinstance(picture, str) else make(picture)
        if isinstance(made, str):
            console.print(printable(f"{name}: {made}; passed over"), style="yellow", markup=False)
            continue
        place = target / f"{Path(name).with_suffix('')}.png"
        while place in written:  # x/1.png and x/1.jpg, or y/1.png
            place = place.with_stem(f"{place.stem}-again")
        here = place.resolve()
        if not here.parent.is_relative_to(target.resolve()):
            raise UserError(f"{place.parent} is a link to another place; remove it, or name another --out")
        if here in own or (place.exists() and own & set(here.parents)):
            raise UserError(f"{place} is one of your own pictures, which are not written over; name another --out")
        written.add(place)
        show.save_png(show.picture(made), place)
    if not written:
        raise UserError("none of these pictures could be read or used")
    print(target)


def _write_texts(run: Run, files: Sequence[str], target: Path, label: str | None) -> None:
    """What each text says, as a .txt of the same name; `UserError` where that would write over one of the `files`."""
    from sparring.data.texts import read_text

    def said(text: str) -> str:
        if run.about.key == "text":
            return run.translate_text(text, label)
        found = run.dictionary([line.strip() for line in text.splitlines()])
        if not found:
            raise UserError("none of its lines is a word that has a vector")
        return "\n".join(f"{word}\t{' '.join(others)}" for word, others in found.items())

    given = [Path(file).expanduser() for file in files]
    every = [text for file in given for text in (sorted(file.rglob("*.txt")) if file.is_dir() else [file])]
    if not every:
        raise UserError(f"{', '.join(files)}: there are no texts (.txt) in it")
    own, written = {file.resolve() for file in every}, set[Path]()
    for file in every:
        try:
            made = said(read_text(file))
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
        place = target / f"{file.stem}.txt"
        while place in written:  # of another folder
            place = place.with_stem(f"{place.stem}-again")
        if place.resolve() in own:
            raise UserError(f"{place} is one of your own texts, which are not written over; name another --out")
        written.add(place)
        with replacing(place) as out:
            out.write(f"{made}\n".encode())
    print(target)


def augment(arguments: Sequence[str]) -> None:
    """Whether generated pictures help a classifier."""

    def run(
        paths: positional(tuple[str, ...], "RUN"),  # type: ignore[valid-type]
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
            seeds: Classifiers per arm and run; a verdict needs 3 of them, or 3 runs.
            rounds: Updates of each classifier, the same for every arm.
            ceiling: Also train on all real pictures, which shows what more labels would bring.
            trust: Run the code of your own that the runs name.
        """
        from sparring import trained, worth

        if not paths or not ratios or min(ratios) < 1 or rounds < 1 or seeds < 1 or len(paths) * seeds < 2:
            raise UserError(
                f"augment needs runs, ratios of at least 1, rounds, and two seeds or runs to compare; got {len(paths)} "
                f"runs, ratios={ratios}, rounds={rounds}, seeds={seeds}: sparring augment RUN --seeds 5"
            )
        console = Console(stderr=True)
        opened = [trained.load(path, trust) for path in paths]
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
