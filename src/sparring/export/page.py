"""A generator as one HTML file that runs it where it is opened, without a network: the graph of ONNX, interpreted."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring import __version__
from sparring.config import UserError
from sparring.data.words import FIRST
from sparring.export.network import Network
from sparring.weights import Facts

REFUSED: Mapping[str, str] = {
    "point": "a page shows pictures, and these are points",
    "text": "a page shows pictures, and these are texts",
    "sound": "a page shows pictures, and these are sounds",
    "clip": "a page shows single pictures, and these are clips",
}
"""Kinds of samples without a page, and why."""
DIRECTIONS = 8
"""Sliders, at most."""
TRIED = 600
"""Samples that the directions are found from."""
FLOAT, INT, BOOL = 1, 7, 9


def refuse(network: Network) -> None:
    """`UserError` for what a page cannot show."""
    if network.output == "logits":
        raise UserError("--to html: a classifier makes no pictures; use --to onnx or safetensors")
    if network.about.hop:
        raise UserError("--to html: a page shows pictures, and these are spectrograms of sounds; use --to onnx")
    if network.output in REFUSED:
        raise UserError(f"--to html: {REFUSED[network.output]}; use --to onnx or safetensors")


def graph_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    """An ONNX file as what interpret.js reads: (nodes and shapes, the bytes of all float weights)."""
    import onnx
    from onnx import numpy_helper

    graph, blob = onnx.load_from_string(data).graph, bytearray()
    weights: dict[str, Any] = {}

    def held(array: Any) -> dict[str, Any]:
        if array.dtype.kind == "f":
            place = len(blob)
            blob.extend(np.ascontiguousarray(array, dtype="<f4").tobytes())
            return {"d": list(array.shape), "t": FLOAT, "at": place}
        kind = BOOL if array.dtype.kind == "b" else INT
        return {"d": list(array.shape), "t": kind, "v": [int(x) for x in array.ravel()]}

    for initial in graph.initializer:
        weights[initial.name] = held(numpy_helper.to_array(initial))
    nodes = []
    for node in graph.node:
        told = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            weights[node.output[0]] = held(numpy_helper.to_array(told["value"]))
            continue
        for name, value in told.items():
            if isinstance(value, onnx.TensorProto):
                array = numpy_helper.to_array(value)
                kind = FLOAT if array.dtype.kind == "f" else BOOL if array.dtype.kind == "b" else INT
                told[name] = {"t": kind, "v": [float(x) for x in array.ravel()]}
            elif isinstance(value, bytes):
                told[name] = value.decode()
            elif not isinstance(value, int | float):
                told[name] = list(value)
        nodes.append([node.op_type, list(node.input), list(node.output), told])
    return {"nodes": nodes, "weights": weights, "output": graph.output[0].name}, bytes(blob)


def operations() -> set[str]:
    """What interpret.js knows."""
    table = script("interpret.js").partition("const OPS = {")[2].partition("\n};")[0]
    return set(re.findall(r"(?:^|[\s,])([A-Z]\w+): ?(?:\(|one|two|reduced)", table))


def script(name: str) -> str:
    """A file beside this module."""
    return resources.files("sparring.export").joinpath(name).read_text(encoding="utf-8")


def directions(network: Network) -> list[list[float]]:
    """(k, d) unit rows: where in the latents the pictures change most, k at most `DIRECTIONS`.

    The right singular vectors of the pictures' linear regression on their latents. Principal components of hidden
    layers, which Haerkoenen et al. 2020 (GANSpace) take, would ask for a layer; this asks for none.
    """
    if "latent" not in network.inputs:
        return []
    inputs = network.example(TRIED, seed=2)
    with torch.no_grad():
        parts = [network.module(*part) for part in zip(*(torch.split(c, 50) for c in inputs.values()), strict=True)]
    pictures, latent = torch.cat(parts).flatten(1).double(), inputs["latent"].double()
    if pictures.shape[1] > 4096:  # a regression of fewer pixels has the same directions, as near as anybody sees
        pictures = pictures[:, :: math.ceil(pictures.shape[1] / 4096)]
    slope = (pictures - pictures.mean(0)).T @ (latent - latent.mean(0)) / len(latent)
    _, strength, rows = torch.linalg.svd(slope, full_matrices=False)
    kept = rows[: min(DIRECTIONS, int((strength > 1e-9).sum()))]
    return [[round(x, 6) for x in row] for row in kept.tolist()]


def flat(column: Tensor) -> dict[str, Any]:
    """A tensor as JSON."""
    kind = FLOAT if column.is_floating_point() else INT
    values = [float(x) if kind == FLOAT else int(x) for x in column.flatten().tolist()]
    return {"d": list(column.shape), "t": kind, "v": values}


def filled(data: bytes, network: Network, facts: Facts) -> str:
    """The whole page. `UserError` where it could not show what the network makes, or not make it."""
    refuse(network)
    graph, blob = graph_of(data)
    if unknown := {node[0] for node in graph["nodes"]} - operations():
        raise UserError(f"--to html: the page's interpreter has no {', '.join(sorted(unknown))}; use --to onnx")
    inputs, about = network.example(2, seed=3), facts.run.about
    with torch.no_grad():
        expected = network.module(*inputs.values())
    latent = inputs.get("latent")
    told = {
        "graph": graph,
        "weights": base64.b64encode(blob).decode(),
        "check": {"inputs": {name: flat(column) for name, column in inputs.items()}, "expected": flat(expected)},
        "inputs": {name: list(shape) for name, shape in network.inputs.items()},
        "shape": list(about.shape),
        "masked": about.masked,
        "classes": list(about.classes) if not about.invented else [],
        "clusters": len(about.classes) if about.invented else 0,
        "vocabulary": list(about.vocabulary) if about.caption else [],
        "first": FIRST,
        "uniform": latent is not None and bool(network.example(64, seed=4)["latent"].abs().max() <= 1),
        "directions": directions(network),
        "recipe": facts.run.recipe,
        "data": about.name,
        "round": facts.round,
        "notes": [*network.notes, *about.notes],
        "version": __version__,
    }
    code = "\n".join([script("interpret.js"), script("page.js")])
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    safe = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    parts = {"hash": digest, "told": safe, "code": code}
    return re.sub(r"\{\{(hash|told|code)\}\}", lambda found: parts[found[1]], script("page.html"))
