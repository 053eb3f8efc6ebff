"""Functions as commands: their signature makes the flags, their docstring the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any


def command(function: Callable[..., Any], arguments: Sequence[str], name: str) -> Any:
    """Call a function with flags made of its signature."""
    import tyro

    return tyro.cli(function, prog=f"sparring {name}", args=list(arguments))


def positional(kind: type, name: str) -> Any:
    """An argument without a flag, shown as `name`."""
    import tyro

    return Annotated[kind, tyro.conf.Positional, tyro.conf.arg(metavar=name)]


def text(name: str, short: str = "") -> Any:
    """A flag for text that may be left out, shown as `name`; `short` is a name of one letter beside its own: `-o`."""
    import tyro

    return Annotated[str | None, tyro.conf.arg(metavar=name, aliases=[short] if short else None)]
