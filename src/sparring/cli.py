"""The command: a table of functions. Results go to stdout, talk to stderr.

Nothing here imports torch before it is needed, so that `sparring --help` answers at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.table import Table

from sparring import __version__
from sparring.config import UserError, did_you_mean, printable
from sparring.flags import command, positional

if TYPE_CHECKING:
    from sparring.runs import Plan

DEFAULT_RECIPE = "dcgan"
"""For pictures with or without labels: the best of those that need none, as far as is proven."""

OVERVIEW = """\
sparring: train, judge, explore and ship generative adversarial networks.

  sparring train [RECIPE] [--data NAME|FOLDER|ZIP] [--any.field value]   train; results go to runs/
  sparring resume RUN                 go on with a run that was stopped
  sparring sample RUN [--label 7]     pictures from a trained run
  sparring translate RUN FILES ...    your own pictures or texts, translated (pix2pix, cyclegan, text_translation)
  sparring upscale RUN FILES ...      your own pictures, larger (superres)
  sparring inpaint RUN FILES --mask M your own pictures, what is missing filled (inpaint)
  sparring augment RUN --labels 100   do its samples help a classifier that has few labels?
  sparring evaluate RUN|FOLDER|ZIP    judge it, or pictures from anywhere, against held-out data
  sparring compare RUN RUN ...        which scores differ by more than their errors
  sparring diagnose RUN|LOG           what is wrong with a training, and what to change
  sparring studio                     all of this in the browser: runs live, new ones, models, the duel
  sparring export RUN --to onnx       give it away: safetensors, ONNX, a web page, the Hub
  sparring serve RUN                  the model over HTTP: samples, interpolation, translation
  sparring report RUN                 one HTML page with samples over time, curves and scores
  sparring recipes                    what can be trained, at what cost, how well
  sparring prove [NAME ...]           run the experiments that this package is held to
  sparring data list                  sets that have a name
  sparring data inspect PATH|NAME     what is in a folder, zip or named set, and what is wrong with it

Every command explains itself with --help, e.g.  sparring train dcgan --help
Start with:  sparring train cdcgan        (real handwritten digits, no download, under a minute)
"""


def train(arguments: Sequence[str]) -> None:
    """Train a recipe."""
    usage = (
        "usage: sparring train [RECIPE] [--preset NAME] [--config run/config.json] [--data NAME|FOLDER|ZIP] "
        "[--any.field value]\n\n"
        f"Without a recipe: that of --config, else {DEFAULT_RECIPE}.\n"
    )
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        recipes([])
        print("\nAll settings of a recipe:  sparring train RECIPE --help")
        return
    from sparring import session

    named = not arguments[0].startswith("-")
    rest = list(arguments[named:])
    plan = parsed_plan(arguments[0] if named else recipe_of(rest), rest)
    tell(session.start_run(plan, Console(stderr=True)).path)


def tell(path: Path) -> None:
    """Where the results are; said once, by the first of several processes."""
    if os.environ.get("RANK", "0") == "0":
        print(path)


def recipe_of(arguments: Sequence[str]) -> str:
    """The recipe of a command that names none: its --config's, else the one for pictures of any kind."""
    from sparring.runs import read_written

    config = taken(list(arguments), "--config")
    return read_written(Path(config)).recipe if config is not None else DEFAULT_RECIPE


def parsed_plan(recipe_name: str, arguments: list[str]) -> Plan:
    """Flags over a preset, or over the configuration of an earlier run."""
    import tyro

    from sparring import recipes as table
    from sparring.config import from_json
    from sparring.data.settings import Data
    from sparring.runs import How, Plan, read_written

    recipe = table.find(recipe_name)
    name, config = taken(arguments, "--preset"), taken(arguments, "--config")
    gathered(arguments, "--sink")
    data, how = Data(), How()
    if config is not None:
        if name is not None:
            raise UserError("--config already has the numbers; leave --preset out")
        written = read_written(Path(config))
        if written.recipe != recipe_name:
            raise UserError(f"--config {config} is of the recipe {written.recipe}: sparring train {written.recipe} ...")
        name, data = written.preset, written.data
        model = from_json(recipe.Config, written.model, config)
        how = dataclasses.replace(written.how, name=None)
    else:
        name, model = table.preset(recipe, name)
    flat = tyro.conf.arg(name="")
    flags = dataclasses.make_dataclass(
        "Flags",
        [("data", Annotated[Data, flat]), ("model", Annotated[recipe.Config, flat]), ("how", Annotated[How, flat])],
        frozen=True,
    )
    about = f"{(recipe.__doc__ or '').strip()}\n\nPresets (--preset): {', '.join(recipe.PRESETS)}."
    with numbers():
        given: Any = tyro.cli(
            flags,
            prog=f"sparring train {recipe_name}",
            description=about,
            args=arguments,
            default=flags(data=data, model=model, how=how),
        )
    return Plan(recipe_name, name, given.model, given.data, given.how)


def numbers() -> Any:
    """Within it, flags that may be schedules take `0.1` and `from=1,to=.1,over=.2,shape=cosine`."""
    import tyro

    from sparring.schedules import Number, Schedule, parse, written

    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def rule(info: tyro.constructors.PrimitiveTypeInfo) -> Any:
        if info.type != Number:
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="FLOAT|from=..,to=..",
            instance_from_str=lambda words: parse(words[0]),
            is_instance=lambda value: isinstance(value, float | int | Schedule),
            str_from_instance=lambda value: [written(value) if isinstance(value, Schedule) else str(value)],
        )

    return registry


def taken(arguments: list[str], flag: str) -> str | None:
    """The value of `--flag value` or `--flag=value`, removed from the list."""
    for index, word in enumerate(arguments):
        if word == flag:
            if index + 1 == len(arguments):
                raise UserError(f"{flag} needs a value")
            arguments.pop(index)
            return arguments.pop(index)
        if word.startswith(f"{flag}="):
            return arguments.pop(index).partition("=")[2]
    return None


def gathered(arguments: list[str], flag: str) -> None:
    """`--flag a --flag=b --flag c d` becomes `--flag a b c d`, in place."""
    values, rest, inside = list[str](), list[str](), False
    for word in arguments:
        name, given, value = word.partition("=")
        inside = name == flag or (inside and not word.startswith("-"))
        if not inside:
            rest.append(word)
        elif name != flag or given:
            values.append(value if name == flag else word)
    if len(rest) < len(arguments):
        if not values:
            raise UserError(f"{flag} needs a value")
        arguments[:] = [*rest, flag, *values]


def resume(arguments: Sequence[str]) -> None:
    """Go on with a run."""

    def run(path: positional(str, "RUN")) -> None:  # type: ignore[valid-type]
        """Go on with a run that was stopped or killed, from its last good checkpoint.

        Args:
            path: The run's folder, e.g. runs/dcgan-mnist-1.
        """
        from sparring import session

        tell(session.resume(path).path)

    command(run, arguments, "resume")


def report(arguments: Sequence[str]) -> None:
    """Write a run's page."""

    def run(path: positional(str, "RUN")) -> None:  # type: ignore[valid-type]
        """Write report.html (one file, no network needed), grid.png and learning.gif into the run's folder.

        Args:
            path: The run's folder.
        """
        from sparring.report import write_report

        print(write_report(Path(path)))

    command(run, arguments, "report")


def recipes(arguments: Sequence[str]) -> None:
    """The table of recipes."""
    from sparring.recipes import RECIPES, measured

    figures = measured()
    table = Table()
    for head in ("recipe", "for", "paper", "measured cost", "measured score"):
        table.add_column(head, overflow="fold")
    for name, entry in RECIPES.items():
        found = figures.get(name, {})
        table.add_row(name, entry.purpose, entry.paper, found.get("cost", ""), found.get("score", ""))
    Console().print(table)


def prove(arguments: Sequence[str]) -> None:
    """Run small experiments against the figures they are held to."""
    from sparring.proofs import PROOFS, check

    def run(
        names: positional(tuple[str, ...], "NAME") = (),  # type: ignore[valid-type]
        full: bool = False,
        seeds: int = 3,
        into: str = "proofs",
        render: bool = False,
        list: bool = False,
    ) -> None:
        """Run proofs: measured figures beside those they are held to, and controls that must fail.

        Args:
            names: Which; none runs all. `sparring prove --list` shows them.
            full: The length that the published figures took; otherwise a quick look.
            seeds: How often each is repeated.
            into: Folder for the results, a JSON file each; the page beside it has the same name and .md.
            render: Only write the page anew from the results on file.
            list: Only list the proofs.
        """
        if list:
            _list_proofs()
            return
        for name in names:
            check(name)
        if seeds < 1:
            raise UserError(f"seeds={seeds} must be at least 1")
        folder = Path(into).resolve()
        page_at = folder.parent / f"{folder.name}.md"
        if render and (names or not folder.is_dir()):
            raise UserError(f"--render makes the page of all results in into={into}, a folder that is there; no names")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UserError(f"into={into} is not a folder that can be written to; give another")
        held = [] if render else [_prove(name, seeds, full, folder) for name in dict.fromkeys(names or PROOFS)]
        from sparring.proofs.record import page

        page_at.write_text(page(folder), encoding="utf-8")
        print(page_at)
        if not all(held):
            raise UserError("some figures fall short of what they are held to: see above")

    command(run, arguments, "prove")


def _list_proofs() -> None:
    from sparring.proofs import PROOFS

    table = Table()
    for head in ("proof", "what", "systems", "cost with --full", "needs"):
        table.add_column(head, overflow="fold")
    for name, entry in PROOFS.items():
        table.add_row(name, entry.what, ", ".join(entry.recipes), entry.cost, ", ".join(entry.needs))
    Console().print(table)


def _prove(name: str, seeds: int, full: bool, folder: Path) -> bool:
    """Run one, write it, show it; False when it falls short."""
    import time

    from sparring import proofs
    from sparring.machine import isolated
    from sparring.proofs.record import VERDICTS, cell, quick_look, write

    console, begin = Console(stderr=True), time.process_time()
    import torch

    with isolated(), console.status(f"proving {name}: {proofs.PROOFS[name].what}"):
        torch.set_num_threads(1)  # networks are small, and figures are CPU seconds of one thread
        found = proofs.find(name)(seeds, "full" if full else "quick")
    result = found if full else quick_look(found)
    write(result, folder, time.process_time() - begin)
    table = Table(title=result.title)
    for head in result.columns:
        table.add_column(head, overflow="fold")
    for row in result.rows:
        table.add_row(*map(cell, row))
    console.print(table)
    console.print(f"{name}: {VERDICTS[result.passed].strip('*')}")
    return result.passed is not False


def of(module: str, name: str) -> Callable[[Sequence[str]], None]:
    """A command of another module, imported when it is asked for."""
    return lambda arguments: getattr(importlib.import_module(f"sparring.{module}"), name)(arguments)


COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "train": train,
    "resume": resume,
    "sample": of("cli_use", "sample"),
    "translate": of("cli_use", "translate"),
    "upscale": of("cli_use", "upscale"),
    "inpaint": of("cli_use", "inpaint"),
    "augment": of("cli_use", "augment"),
    "evaluate": of("cli_judge", "evaluate"),
    "compare": of("cli_judge", "compare"),
    "diagnose": of("cli_doctor", "diagnose"),
    "export": of("cli_export", "export"),
    "serve": of("cli_serve", "serve"),
    "report": report,
    "recipes": recipes,
    "data": of("cli_data", "data"),
    "prove": prove,
    "studio": of("cli_studio", "studio"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 a mistake that the message explains, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(OVERVIEW)
        return 0
    if words[0] in ("-V", "--version"):
        print(f"sparring {__version__}")
        return 0
    try:
        if words[0] not in COMMANDS:
            raise UserError(
                f"there is no command '{words[0]}'{did_you_mean(words[0], list(COMMANDS))}; see sparring --help"
            )
        COMMANDS[words[0]](words[1:])
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # `sparring recipes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (UserError, OSError) as error:
        process = os.environ.get("RANK", "0")
        where = "error" if process == "0" else f"error in process {process}"
        told = printable(f"{where}: {error}", lines=True)  # names of files, and of members of a zip, come from anywhere
        Console(stderr=True, soft_wrap=True).print(told, style="bold red", markup=False, highlight=False)
        return 2
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        return 130
