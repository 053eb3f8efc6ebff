"""A process beside the studio that knows all recipes: it makes the form, and the command line's parser checks it.

A line of JSON on stdin is a question, a line on stdout the answer:
{"ask": "form", "recipe": "dcgan", "preset": "tuned"}     all settings, with help, choices, limits and defaults
{"ask": "check", "recipe": ..., "preset": ..., "settings": {"rounds": "100"}}     what the command line says to them
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import io
import json
import os
import re
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparring import recipes
from sparring.cli import parsed_plan
from sparring.config import LIMITS, UserError, check_limits, is_outside, no_outside_code, resolve
from sparring.data import NAMED
from sparring.data.settings import Data
from sparring.objectives import OBJECTIVES
from sparring.runs import How
from sparring.schedules import Number, Schedule, written
from sparring.trained import short

FIXED = ("runs",)
"""Settings that the studio gives itself."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field of the form; `name` as on the command line without its dashes."""

    name: str
    part: str
    """data, model or how."""
    help: str
    kind: str
    """flag, choice, whole, number, schedule, text, or several: words with spaces between."""
    default: str
    """As the command line takes it; `on` or `off` of a flag; empty where nothing is set."""
    choices: Sequence[str] = ()
    least: float | None = None
    most: float | None = None
    empty: bool = False
    """May be left without a value."""


def helps(kind: type) -> dict[str, str]:
    """What stands below each field of a dataclass, those it inherits too: the command line shows the same."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for above, below in zip(body.body, body.body[1:], strict=False):
            told = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
            if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name) and isinstance(told, str):
                found[above.target.id] = " ".join(told.split())
    return found


def settings_of(values: Any, part: str, prefix: str = "") -> Iterator[Setting]:
    """Of a dataclass of settings, nested ones by their path; defaults are the values that it holds."""
    kinds, told = typing.get_type_hints(type(values)), helps(type(values))
    for field in dataclasses.fields(values):
        value, name = getattr(values, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value) and not isinstance(value, Schedule):
            yield from settings_of(value, part, f"{name}.")
        elif name not in FIXED:
            yield setting(name, part, told.get(field.name, ""), kinds[field.name], value)


def setting(name: str, part: str, told: str, kind: Any, value: Any) -> Setting:
    """One field, by its type."""
    inner = [each for each in typing.get_args(kind) if each is not type(None)]
    empty = type(None) in typing.get_args(kind)
    choices: tuple[str, ...] = ()
    least, most = LIMITS.get(name.rpartition(".")[2], (None, None))
    if kind == Number:
        sort = "schedule"
    elif kind is bool:
        sort = "flag"
    elif typing.get_origin(kind) is typing.Literal:
        sort, choices = "choice", typing.get_args(kind)
    elif typing.get_origin(kind) is tuple:
        sort, empty = "several", True
        choices = typing.get_args(inner[0]) if typing.get_origin(inner[0]) is typing.Literal else ()
    else:
        only = inner[0] if len(inner) == 1 else kind
        sort = {int: "whole", float: "number"}.get(only, "text")
    if name == "objective":
        choices = tuple(OBJECTIVES)
    return Setting(name, part, told, sort, shown(value), choices, least, most, empty)


def shown(value: Any) -> str:
    """A value as it would be typed."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Schedule):
        return written(value)
    return " ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)


def form(recipe_name: str, preset: str | None) -> dict[str, Any]:
    """Everything that can be set of a recipe."""
    recipe = known(recipe_name)
    name, model = recipes.preset(recipe, preset)
    parts = {"data": Data(), "model": model, "how": How()}
    found = [dataclasses.asdict(each) for part, values in parts.items() for each in settings_of(values, part)]
    about = inspect.cleandoc(recipe.__doc__ or "")
    sets = {key: entry.what for key, entry in NAMED.items()}
    return {"recipe": recipe_name, "preset": name, "presets": list(recipe.PRESETS), "about": about, "sets": sets} | {
        "settings": found
    }


def known(name: str) -> recipes.Recipe:
    """A recipe of the package."""
    if is_outside(name, recipes.RECIPES):
        raise UserError(f"recipe={name}: the studio trains the package's own recipes; use sparring train {name}")
    return recipes.find(name)


def arguments(given: Mapping[str, Any], settings: Mapping[str, Setting]) -> list[str]:
    """The form as a command line. Each value stands in the word of its flag, so that none can be taken for a flag."""
    words: list[str] = []
    for name, value in given.items():
        if name not in settings:
            raise UserError(f"there is no setting '{name}'")
        text, entry = str(value).strip(), settings[name]
        before, _, last = name.rpartition(".")
        path = f"{before}." if before else ""
        if entry.kind == "flag":
            words.append(f"--{path}{last}" if text == "on" else f"--{path}no-{last}")
        elif entry.kind == "several":
            if any(word.startswith("-") for word in text.split()):
                raise UserError(f"{name}: '{text}' must be words without dashes before them")
            words += [f"--{name}", *text.split()] if text or entry.default else []
        else:
            words.append(f"--{name}={text}" if text or not entry.empty else f"--{name}=None")
    return words


def check(recipe_name: str, preset: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """{arguments, stem, rounds} of a form that can be trained; `UserError` with the command line's own words."""
    recipe = known(recipe_name)
    model = recipes.preset(recipe, preset)[1]
    parts = {"data": Data(), "model": model, "how": How()}
    settings = {entry.name: entry for part, values in parts.items() for entry in settings_of(values, part)}
    stem = str(given.get("name") or "").strip()
    words = arguments({name: value for name, value in given.items() if name != "name"}, settings)
    words = [*(["--preset", preset] if preset else []), *words]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            plan = parsed_plan(recipe_name, list(words))
    except SystemExit:
        raise UserError(unboxed(said.getvalue())) from None
    for values in (plan.model, plan.how):
        check_limits(values)
    objective = getattr(plan.model, "objective", None)
    if isinstance(objective, str):
        if is_outside(objective, OBJECTIVES):
            raise UserError(f"objective={objective} is code outside the package, which the studio does not run")
        resolve(objective, OBJECTIVES, "objective")
    made = stem or f"{recipe_name}-{short(plan.data.data)}"
    return {"arguments": words, "stem": made, "named": bool(stem), "rounds": plan.model.rounds}


def unboxed(said: str) -> str:
    """The sentences of the parser's message, without the frame and the help that the form shows anyway."""
    kept: list[str] = []
    for line in said.splitlines():
        inside = line.strip("│| ").strip()
        if inside.startswith(("Argument helptext", "For full helptext")):
            break
        if inside.strip("─-") and not line.startswith(("╭", "╰", "+")):
            kept.append(inside)
    return " ".join(kept)


def field_of(message: str, names: Sequence[str]) -> str | None:
    """The setting that a message is about: it names it first, or as a flag."""
    dashed = {name.replace("_", "-"): name for name in names}
    for found in re.findall(r"--([\w.-]*\w)|^([\w.-]*\w)(?=[=:])", message):
        word = next(filter(None, found)).replace("_", "-").replace(".no-", ".").removeprefix("no-")
        if word in dashed:
            return dashed[word]
    return None


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """To a question as above; a mistake of the user is {error, field}."""
    names: list[str] = []
    try:
        recipe, preset = str(question.get("recipe")), question.get("preset") or None
        made = form(recipe, preset)
        names = [entry["name"] for entry in made["settings"]]
        return made if question.get("ask") == "form" else check(recipe, preset, question.get("settings") or {})
    except UserError as error:
        return {"error": str(error), "field": field_of(str(error), names)}


def main() -> None:
    """Questions and answers until stdin ends."""
    os.environ["COLUMNS"] = "10000"  # so that messages are not broken into lines
    out = sys.stdout
    with no_outside_code():
        for line in sys.stdin:
            out.write(json.dumps(answer(json.loads(line))) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
