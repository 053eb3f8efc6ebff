"""What a page may say to its lab, and how the two processes speak: no torch here.

Page to child: one JSON object a line. Child to page: frames, each with its length before it; a frame is JSON, or,
where its first byte is 0, a head of JSON and the arrays that it names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sparring.config import UserError

LONGEST = 120_000
"""Characters of a message: the most points that may be drawn, and room to spare."""
POINTS = 4000
WHO = ("both", "discriminator", "generator")
LARGEST_FRAME = 1_000_000
"""Bytes that a child may send at once."""


def parse(text: str) -> dict[str, Any]:
    """A message of the page, checked. `UserError` says what is wrong with it.

    What settings mean, and within which limits, the child knows; here they are names and plain values.
    """
    if len(text) > LONGEST:
        raise UserError(f"a message of {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        values = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise UserError("that is not JSON") from None
    if not isinstance(values, dict) or not isinstance(values.get("do"), str) or values["do"] not in MESSAGES:
        raise UserError(f"do: one of {', '.join(MESSAGES)} is expected")
    fields = MESSAGES[values["do"]]
    if unknown := set(values) - {"do", *fields}:
        raise UserError(f"{values['do']}: {sorted(unknown)[0][:40]!r} is not one of {', '.join(fields) or 'none'}")
    for name, check in fields.items():
        if name in values and not check(values[name]):
            raise UserError(f"{values['do']}: {name} is not as it should be")
    return values


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 40


def _number(low: float, high: float, whole: bool = False) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        plain = isinstance(value, int) if whole else isinstance(value, int | float)
        return plain and not isinstance(value, bool) and low <= value <= high  # type: ignore[operator]

    return check


def _settings(value: object) -> bool:
    """Names and plain values, numbers finite, lists short."""

    def plain(one: object) -> bool:
        if isinstance(one, float):
            return math.isfinite(one)
        return (isinstance(one, bool | int) and abs(one) < 1e9) or _name(one)

    def right(one: object) -> bool:
        return len(one) <= 8 and all(map(plain, one)) if isinstance(one, list) else plain(one)

    return isinstance(value, dict) and len(value) <= 60 and all(_name(k) and right(v) for k, v in value.items())


def _points(value: object) -> bool:
    def right(point: object) -> bool:
        return isinstance(point, list) and len(point) == 2 and all(map(_number(-2, 2), point))

    return isinstance(value, list) and len(value) <= POINTS and all(map(right, value))


def _truth(value: object) -> bool:
    return isinstance(value, bool)


MESSAGES: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    # anew: a set, the settings that differ from the usual ones, a seed
    "begin": {"set": _name, "points": _points, "settings": _settings, "seed": _number(0, 2**31, whole=True)},
    # go on with other settings
    "change": {"settings": _settings},
    # rounds a second, 0 for as many as go; and so many rounds at most, 0 for no end
    "play": {"pace": _number(0, 1000), "rounds": _number(0, 100_000, whole=True)},
    "pause": {},
    "step": {"who": lambda value: value in WHO, "count": _number(1, 100, whole=True)},
    # the number of the frame that has been drawn
    "seen": {"frame": _number(0, 2**53, whole=True)},
    "sick": {"name": _name},
    # apply the remedy of a finding: anew, or go on from here
    "cure": {"kind": _name, "anew": _truth},
}
"""What may be done, and with what."""


def frame(head: Mapping[str, Any], arrays: Sequence[tuple[str, Sequence[int], bytes]] = ()) -> bytes:
    """A message of the child. With arrays of float32: 0, head's length (3 bytes, little), head, then each array."""
    if not arrays:
        payload = json.dumps(head, allow_nan=False).encode()
    else:
        named = {**head, "arrays": [[name, list(shape)] for name, shape, _ in arrays]}
        text = json.dumps(named, allow_nan=False).encode()
        text += b" " * (-len(text) % 4)  # so that numbers lie where a page may read them in place
        payload = b"\0" + len(text).to_bytes(3, "little") + text + b"".join(data for _, _, data in arrays)
    return len(payload).to_bytes(4, "big") + payload
