"""What may be asked: parameters that are read and described by the same values, so that neither can be wrong alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sparring.config import UserError, did_you_mean

LONGEST = 2000
"""Characters of a value."""
SEEDS = 2**53
"""Seeds are below: what JSON and JavaScript hold exactly."""


class Refused(Exception):  # noqa: N818  (an answer, not an error of the program)
    """A request that is answered with `status` and a sentence. `retry`: seconds after which to come again."""

    def __init__(self, status: int, message: str, retry: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry = status, message, retry


@dataclass(frozen=True)
class Parameter:
    """One value of a request's query."""

    name: str
    kind: Literal["integer", "number", "string", "seeds"]
    help: str
    default: Any = None
    """None: nothing is given, or for `required` that it has to be."""
    least: float = -math.inf
    most: float = math.inf
    """Of numbers; of `seeds`, how many."""
    choices: Sequence[str] = field(default=())
    required: bool = False

    def schema(self) -> dict[str, Any]:
        """JSON schema."""
        if self.kind == "seeds":
            item = {"type": "integer", "minimum": 0, "maximum": SEEDS - 1}
            found: dict[str, Any] = {"type": "array", "items": item, "minItems": self.least, "maxItems": self.most}
        elif self.kind == "string":
            found = {"type": "string", "enum": list(self.choices)} if self.choices else {"type": "string"}
            found |= {} if self.choices else {"minLength": 1, "maxLength": LONGEST}
        else:
            found = {"type": self.kind, "minimum": self.least, "maximum": self.most}
        return found if self.default is None else {**found, "default": self.default}

    def described(self) -> dict[str, Any]:
        """As OpenAPI has it."""
        told = {"name": self.name, "in": "query", "description": self.help, "required": self.required}
        how = {"style": "form", "explode": False} if self.kind == "seeds" else {}
        return {**told, **how, "schema": self.schema()}

    def read(self, text: str) -> Any:
        """The value of a text. `Refused` (400) names the parameter, what it was, and what it may be."""
        if self.kind == "seeds":
            items = text.split(",")
            if not self.least <= len(items) <= self.most:
                raise Refused(400, f"{self.name} are {len(items)}; give {self.least:g} to {self.most:g}, by commas")
            return [Parameter(self.name, "integer", "", least=0, most=SEEDS - 1).read(item) for item in items]
        if self.kind == "string":
            return self._text(text)
        pattern = (
            r"-?[0-9]{1,17}(\.0+)?"
            if self.kind == "integer"
            else r"-?[0-9]{1,17}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?"
        )
        if not re.fullmatch(pattern, text):
            raise Refused(400, f"{self.name}={text[:80]} is no {self.kind}; give {self._range()}")
        number = float(text) if self.kind == "number" else int(text.partition(".")[0])
        if not self.least <= number <= self.most:
            raise Refused(400, f"{self.name}={text[:80]} is out of range; give {self._range()}")
        return number

    def _text(self, text: str) -> str:
        if self.choices and text not in self.choices:
            shown = ", ".join(self.choices[:40])
            raise Refused(
                400, f"{self.name}={text[:80]} is not one of {shown}{did_you_mean(text[:80], list(self.choices))}"
            )
        if not 1 <= len(text) <= LONGEST:
            raise Refused(400, f"{self.name} has {len(text)} characters; give 1 to {LONGEST:,}")
        return text

    def _range(self) -> str:
        return f"a{'n integer' if self.kind == 'integer' else ' number'} from {self.least:.17g} to {self.most:.17g}"


def read(parameters: Sequence[Parameter], given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The values of a query. `Refused` (400) for unknown, doubled, missing and wrong ones."""
    known, values = {parameter.name: parameter for parameter in parameters}, dict[str, Any]()
    for name, text in given:
        if name not in known:
            hint = did_you_mean(name[:80], list(known))
            raise Refused(
                400, f"there is no parameter '{name[:80]}' here{hint}; there are {', '.join(known) or 'none'}"
            )
        if name in values:
            raise Refused(400, f"{name} is given twice")
        values[name] = known[name].read(text)
    for name, parameter in known.items():
        if parameter.required and name not in values:
            raise Refused(400, f"{name} is missing: {parameter.help}")
        values.setdefault(name, parameter.default)
    return values


def entry(values: Mapping[str, Any], name: str, kind: type[Any], default: Any) -> Any:
    """Of a JSON object, the entry `name` of type `kind`. `Refused` (400) for another type; NaN is none of any."""
    value: Any = values.get(name, default)
    if value is default:
        return default
    wanted: Any = (int, float) if kind is float else kind
    fits = isinstance(value, wanted) and not isinstance(value, bool)
    if not fits or (kind is float and not math.isfinite(value)):
        raise Refused(400, f"{name}={str(value)[:80]} is not a {kind.__name__}")
    return value


def refused(error: UserError) -> Refused:
    """A mistake of the user's as an answer."""
    return Refused(400, str(error))
