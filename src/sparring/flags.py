"""Functions as commands: their signature makes the flags, their docstring the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any


def command(function: Callable[..., Any], arguments: Sequence[str], name: str) -> Any:
    """Call a function with flags made of its signature."""
    import tyro

    return tyro.cli(function, prog=f"sparring {name}", args=list(arguments))


def positional(kind: type) -> Any:
    """An argument without a flag."""
    import tyro

    return Annotated[kind, tyro.conf.Positional]


def aliased(kind: Any, letter: str) -> Any:
    """A flag with a short name beside its own, such as `-o`."""
    import tyro

    return Annotated[kind, tyro.conf.arg(aliases=[letter])]
