"""Small pieces of HTML, escaped."""

from __future__ import annotations

import html
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sparring.report.told import finite

BARS = 40  # classes shown, at most


def escape(value: Any) -> str:
    """Any value as text that HTML shows as it is."""
    return html.escape(str(value))


def table_html(values: Mapping[str, Any]) -> str:
    """Nested settings as rows of dotted names."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in _rows(values)
    )
    return f'<table class="settings"><tbody>{rows}</tbody></table>' if rows else empty_html("Not recorded.")


def _rows(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _rows(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: Any) -> str:
    """A setting in words; long lists are cut."""
    if isinstance(value, list | tuple):
        more = f", … ({len(value):,} in all)" if len(value) > BARS else ""
        return ", ".join(_text(item) for item in value[:BARS]) + more or "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None or value == {} else str(value).lower() if isinstance(value, bool) else str(value)


def empty_html(text: str) -> str:
    """`text` is HTML."""
    return f'<p class="empty">{text}</p>'


def score_text(value: Any) -> str:
    """Three significant digits, zeros kept so that columns compare; a dash for nothing."""
    number = finite(value)
    if number is None or isinstance(value, int):
        return "–" if number is None else f"{value:,}"
    if abs(number) >= 1000 or number == 0:
        return f"{number:,.0f}"
    return f"{number:.6f}" if abs(number) < 1e-3 else f"{number:#.3g}".rstrip(".")


def shown_path(run: Path) -> str:
    """The run's path from where we are, as a shell takes it."""
    try:
        return shlex.quote(os.path.relpath(run))
    except ValueError:  # another drive of Windows
        return shlex.quote(str(run))
