"""A trained model as one safetensors file: the weights that samples are made by, and all that it takes to use them.

Reading one executes nothing that it names, opens no other file, and checks its content against the hash that it
carries. Its metadata (`sparring`, JSON) are those of a run's config.json, without the names of anybody's folders.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor, nn

from sparring.checkpoint import load_module, under
from sparring.config import UserError, check_limits, from_json, to_json
from sparring.data.kinds import KINDS
from sparring.data.settings import Data
from sparring.data.source import About
from sparring.files import replacing
from sparring.runs import How, Written

FORMAT = "sparring-model-1"
FOLDERS = re.compile(r"(?:(?<![\w.:/])~?/|(?<!\w)[A-Za-z]:[\\/])(?:[^/\\\n:]*[/\\])*")
"""Absolute folders in a text, up to the last slash."""
ADDRESS = re.compile(r"(?<![\w+.-])([A-Za-z][\w+.-]*://)(?:[^/?#\s]*@)?([^?#\s]*)(?:[?#]\S*)?")
"""An address in a text: what leads to its host, without a user or token before it; its path; and no more."""
LOCAL = re.compile(r"(?<![\w+.-])(?:file|local)://(?:[^/\s]*/)*", re.IGNORECASE)
"""An address of a file here, up to the last slash."""
WHO = ("launch",)
"""Findings of a run that tell of the machine it ran on."""
MOST_NUMBERS = 2**28
"""In one sample: more would be a forged shape."""


class BadModelError(UserError):
    """A file that is damaged, cut short, or not a model of ours."""


@dataclass(frozen=True)
class Facts:
    """All that a model file says of itself."""

    format: str
    sha256: str
    """Of the tensors' bytes, as they lie in the file."""
    round: int
    averaged: bool
    torch: str
    """The version that it was trained or exported with."""
    made: str
    """When it was exported."""
    run: Written
    """Of the run: recipe, preset, all numbers, what the data were."""


def bare(value: Any) -> Any:
    """The same JSON with no folder in it: a file or folder that a setting names, by its own name; in texts alike.

    Of addresses host and path are left: what stands before and behind them may be a password or an access token.
    """
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items()}
    if isinstance(value, list):
        return [bare(item) for item in value]
    if not isinstance(value, str):
        return value
    return FOLDERS.sub("", LOCAL.sub("", ADDRESS.sub(r"\1\2", value)))


def nameless(run: Written, how: How) -> Written:
    """A run's configuration as it may be given away: without folders, tokens and hosts, and run by `how`."""
    about = dataclasses.replace(run.about, classes=(), vocabulary=(), source_vocabulary=())
    told = from_json(About, bare(to_json(about)), "about")
    about = dataclasses.replace(
        run.about, name=told.name.rstrip("/\\").rpartition("/")[2] or told.name, notes=told.notes
    )
    data = from_json(Data, bare(to_json(run.data)), "data")
    facts = {name: bare(value) for name, value in run.facts.items() if name not in WHO}
    return dataclasses.replace(
        run, recipe=bare(run.recipe), model=bare(run.model), data=data, how=how, about=about, facts=facts
    )


def serialised(modules: Mapping[str, nn.Module], facts: Facts) -> bytes:
    """The whole file. Raises `UserError` where a weight is NaN or infinite."""
    tensors = {
        f"{name}/{key}": value.detach().cpu().contiguous().clone()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UserError(f"{name} holds NaN or infinity, and such a model is not exported; use --checkpoint best")
    digest = hashlib.sha256(_body(serialise(tensors))).hexdigest()
    told = json.dumps(to_json(dataclasses.replace(facts, sha256=digest)), ensure_ascii=False)
    return serialise(tensors, metadata={"format": "pt", "sparring": told})


def write(path: Path, modules: Mapping[str, nn.Module], facts: Facts) -> None:
    """One file, whole or not at all."""
    with replacing(path) as file:
        file.write(serialised(modules, facts))


def _body(data: bytes) -> bytes:
    return data[8 + int.from_bytes(data[:8], "little") :]


def read(path: Path) -> tuple[dict[str, Tensor], Facts]:
    """(tensors, facts). Raises `BadModelError` where the file is not whole, or not ours."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadModelError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        told = json.loads(header.get("__metadata__", {}).get("sparring", "{}"))
        tensors = parse(data)
    except (SafetensorError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadModelError(f"{path}: not a safetensors file: {error}") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise BadModelError(
            f"{path}: not a model of sparring (format {FORMAT}); one is made by  sparring export RUN --to safetensors"
        )
    facts = from_json(Facts, told, str(path))
    if hashlib.sha256(_body(data)).hexdigest() != facts.sha256:
        raise BadModelError(f"{path}: its weights do not match the hash that it carries; it is damaged")
    about = facts.run.about
    if about.key not in KINDS or len(about.shape) != KINDS[about.key].dims:
        raise BadModelError(f"{path}: samples '{about.key}' of shape {about.shape} cannot be")
    for shape in (about.shape, about.source, (1, about.caption + 1)):
        if math.prod(shape) > MOST_NUMBERS or min(shape, default=1) < 1:
            raise BadModelError(f"{path}: samples of shape {shape} cannot be")
    return tensors, facts


def fill(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put the tensors into the networks, in place. `BadModelError` where they are others than these networks have."""
    expected = {f"{name}/{key}": value for name, m in modules.items() for key, value in m.state_dict().items()}
    if strange := sorted(set(tensors) - set(expected)):
        raise BadModelError(f"{path}: the recipe's networks have no {strange[0]}")
    for key, value in expected.items():
        if key not in tensors:
            raise BadModelError(f"{path}: {key} is missing")
        found = tensors[key]
        if (found.dtype, found.shape) != (value.dtype, value.shape):
            was, wanted = f"{found.dtype} {tuple(found.shape)}", f"{value.dtype} {tuple(value.shape)}"
            raise BadModelError(f"{path}: {key} is {was}, and its settings make it {wanted}")
        if found.is_floating_point() and not bool(torch.isfinite(found).all()):
            raise BadModelError(f"{path}: {key} holds NaN or infinity")
    for name, module in modules.items():
        load_module(module, under(tensors, f"{name}/"), name)


def check(model: Any, path: Path) -> None:
    """`BadModelError` for settings beyond what any network here has."""
    try:
        check_limits(model)
    except UserError as error:
        raise BadModelError(f"{path}: {error}") from None
