"""Settings: frozen dataclasses <-> JSON, and names <-> values (`resolve`)."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import difflib
import importlib
import importlib.util
import json
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

NAMES_IN_JSON: Mapping[str, str] = {"start": "from"}
"""Fields whose name in JSON is a keyword of Python."""


class UserError(Exception):
    """A mistake that the user can mend: the message names the setting, its value and the fix."""


def printable(text: str, lines: bool = False) -> str:
    """Text without control characters, which could rewrite a terminal. `lines`: line ends may stay."""
    return "".join(c if c.isprintable() or (lines and c == "\n") else "\N{REPLACEMENT CHARACTER}" for c in text)


_asked = contextvars.ContextVar[str | None]("asked", default=None)


@contextlib.contextmanager
def no_outside_code(asked: str = "") -> Iterator[None]:
    """Within it, `resolve` imports nothing: for run folders from elsewhere, which must not execute code.

    What it gives instead raises when it is used, so that sampling works and training does not. Nor is any address
    contacted but the one that the user `asked` for.
    """
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)


def check_contact(address: str) -> None:
    """`UserError` within `no_outside_code`: who is contacted, and when, is not for a run from elsewhere to say."""
    if _asked.get() not in (None, address):
        raise UserError(
            f"data={address} is an address, and reading a run does not contact it; if the run is yours, add --trust, "
            "or load it with trust=True"
        )


class Withheld:
    """Stands for outside code that was not imported; any use of it is a `UserError`."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UserError(self._reason)

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refused as well."""
        raise UserError(self._reason)


def did_you_mean(word: str, choices: Iterator[str] | list[str]) -> str:
    """` (did you mean 'hinge'?)`, or an empty string."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def resolve(text: str, choices: Mapping[str, T], setting: str) -> T:
    """The value called `text`: a name in `choices`, else `module:name`, else `path/to/file.py:name`.

    The package's strings all end here. `setting` is what the user calls it, for the error message.
    """
    if text in choices:
        return choices[text]
    module_name, colon, name = text.rpartition(":")
    if not colon or not module_name:
        listed = ", ".join(choices)
        raise UserError(
            f"{setting}: '{text}' is not one of {listed}{did_you_mean(text, list(choices))}. "
            f"Your own goes as 'module:name' or 'file.py:name'."
        )
    if _asked.get() is not None:
        return Withheld(
            f"{setting}={text} is code outside the package, and reading a run does not execute it; "
            "load it with trust=True if it is yours"
        )  # type: ignore[return-value]
    module = _import(module_name, setting)
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise UserError(f"{setting}: {module_name} has no '{name}'{did_you_mean(name, public)}")
    value: T = getattr(module, name)
    return value


def is_outside(text: str, choices: Mapping[str, Any]) -> bool:
    """True when `text` names code outside the package."""
    return text not in choices and ":" in text


def _import(name: str, setting: str) -> Any:
    try:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        path = Path(name).expanduser().resolve()
        if not path.is_file():
            raise UserError(f"{setting}: there is no file {path}")
        spec = importlib.util.spec_from_file_location(f"sparring_user_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses and pickling-free copies look their module up
        spec.loader.exec_module(module)
        return module
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{setting}: importing {name} failed: {type(error).__name__}: {error}") from error


def to_json(value: Any) -> Any:
    """A dataclass (nested) as plain JSON values; the field `start` of a `Schedule` is written `from`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {NAMES_IN_JSON.get(f.name, f.name): to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def _inward(values: Any) -> Any:
    """JSON's names to Python's."""
    if isinstance(values, Mapping):
        back = {there: here for here, there in NAMES_IN_JSON.items()}
        return {back.get(key, key): _inward(item) for key, item in values.items()}
    return values


def from_json(kind: type[T], values: Any, where: str) -> T:
    """`values` (plain JSON) as a `kind`, checked: unknown names and wrong types are errors that name their path."""
    import pydantic

    try:
        return pydantic.TypeAdapter(_strict(kind)).validate_python(_inward(values))
    except pydantic.ValidationError as error:
        lines = []
        for problem in error.errors():
            path = ".".join(str(part) for part in problem["loc"])
            hint = did_you_mean(str(problem["loc"][-1]), _names_at(kind, problem["loc"][:-1])) if problem["loc"] else ""
            wrong = "" if "nexpected" in problem["msg"] else f", not {problem['input']!r}"
            lines.append(f"{where}: {path}: {problem['msg']}{wrong}{'' if wrong else hint}")
        raise UserError("\n".join(lines)) from None


def _strict(kind: type[T]) -> type[T]:
    """Forbid unknown keys, in nested dataclasses too (pydantic reads this attribute of a plain dataclass)."""
    if dataclasses.is_dataclass(kind):
        kind.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
        for inner in typing.get_type_hints(kind).values():
            for choice in typing.get_args(inner) or (inner,):
                _strict(choice)
    return kind


def _names_at(kind: Any, path: tuple[Any, ...]) -> list[str]:
    """Field names of the dataclass that `path` leads to."""
    for part in path:
        kind = typing.get_type_hints(kind).get(str(part)) if dataclasses.is_dataclass(kind) else None
    return [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


LIMITS: Mapping[str, tuple[float, float]] = {
    "rounds": (1, 10**9),
    "batch": (1, 10**6),
    "latent": (1, 10**5),
    "width": (1, 4096),
    "discriminator_width": (1, 4096),
    "hidden": (1, 10**6),
    "discriminator_hidden": (1, 10**6),
    "slope": (0, 1),
    "clusters": (0, 10**5),
    "generator_batch": (1, 64),
    "r1": (0, 1e9),
    "r2": (0, 1e9),
    "gradient": (0, 1e9),
    "dragan": (0, 1e9),
    "consistency": (0, 1e9),
    "centre": (0, 1e6),
    "every": (1, 10**6),
    "clip": (0, 1e6),
    "pack": (1, 1024),
    "pieces": (1, 64),
    "fourier": (0, 4096),
    "maxout": (1, 10**6),
    "top": (1, 10**5),
    "blocks": (1, 64),
    "residual": (0, 10**5),
    "half_life": (0, 1e12),
    "p": (0, 1),
    "target": (-1, 1),
    "speed": (1, 1e12),
    "discriminator_steps": (1, 1000),
    "bands": (1, 4096),
    "periods": (1, 10**4),
    "scales": (1, 10**4),
    "critic_width": (1, 4096),
    "critic_widths": (1, 10**4),
    "shuffle": (0, 63),
    "tau": (1e-6, 1e6),
    "rollouts": (0, 1000),
    "usual": (0, 0.9999999),
    "heard": (0, 1),
    "maps": (1, 1024),
    "forget": (0, 0.999),
    "memory": (2, 10**7),
    "refinements": (1, 10**6),
    "decay": (0, 1),
    "critic_after": (0, 0.999),
    "adversarial": (0, 1e9),
    "distance": (0, 1e9),
    "features": (0, 1e9),
    "decay_to": (0, 1),
    "average": (0, 0.9999999),
    "lr": (1e-12, 100),
    "beta1": (0, 0.9999999),
    "beta2": (0, 0.99999999),
    "momentum": (0, 0.9999999),
    "weight_decay": (0, 100),
    "shift": (0, 1024),
    "seed": (0, 2**62),
    "minutes": (0.001, 10**6),
    "threads": (1, 1024),
    "snapshots": (0, 10**5),
    "rollbacks": (0, 1000),
    "frequency": (0, 1e6),
    "save_every": (0, 10**9),
}
"""The least and the most that makes sense, for every number that is called so, at any depth."""


def check_limits(settings: Any, path: str = "") -> None:
    """`UserError` for the first number outside its limits (NaN is outside of all), by its path: `generator.lr`."""
    for f in dataclasses.fields(settings):
        value, name = getattr(settings, f.name), f"{path}{f.name}"
        if f.name in LIMITS:
            low, high = LIMITS[f.name]
            ends = [getattr(value, end, value) for end in ("start", "to")]  # of a schedule
            if f.name == "lr" and ends[0] > 0 == ends[1]:
                ends.pop()  # a rate may fall to 0, and may not be it
            for number in value if isinstance(value, tuple) else ends:
                if isinstance(number, int | float) and not low <= number <= high:
                    raise UserError(f"{name}={number} is out of range; give a number from {low:g} to {high:g}")
        elif dataclasses.is_dataclass(value):
            check_limits(value, f"{name}.")


def read_json(path: Path) -> Any:
    """The JSON in a file, or a `UserError` that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
