"""A network as an ONNX file with a free number of rows, checked against the live one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from sparring import __version__
from sparring.config import UserError
from sparring.export.network import Network

BOUND = 1e-4
"""Most that any output may differ by, in the data's range of [-1, 1]."""
ROWS = (1, 2, 5)
"""Numbers of rows that are tried."""
OPSET = 17


def traced(network: Network) -> bytes:
    """The file's content. `UserError` where `onnx` is missing, or the network has a part without a counterpart there.

    The older of torch's two exporters: it needs one package more and not three, and a tenth of the time.
    """
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise UserError("ONNX needs the package onnx:  pip install 'sparring[export]'") from None
    example, free = network.example(3, seed=1), [*network.inputs, "sample"]
    file = io.BytesIO()
    target: Any = file  # which the declaration of `export` does not know, and its documentation does
    try:
        with warnings.catch_warnings(), silent(), torch.no_grad():
            warnings.simplefilter("ignore")  # that this exporter is the older one; and of shapes that are constant
            torch.onnx.export(
                network.module, tuple(example.values()), target, dynamo=False, opset_version=OPSET,
                input_names=list(example), output_names=["sample"],
                dynamic_axes={name: {0: "rows"} for name in free},
            )  # fmt: skip
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"this network has a part that ONNX does not know: {why}; use --to safetensors") from None
    return file.getvalue()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Within it, nothing reaches stdout: where it fails, the exporter prints the whole graph there, from C++."""
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def told(data: bytes, network: Network, facts: Mapping[str, Any]) -> bytes:
    """The same file with what it is, takes and gives in its metadata."""
    import onnx

    model = onnx.load_from_string(data)
    model.producer_name, model.producer_version = "sparring", __version__
    entries = {"sparring": json.dumps(facts, ensure_ascii=False), "classes": json.dumps(network.about.classes)}
    onnx.helper.set_model_props(model, entries)
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def difference(data: bytes, network: Network) -> float:
    """Most that any output of ONNX Runtime differs from the live network's, over several numbers of rows.

    Of a network that makes noise, from what it is with that at rest. For texts the share of symbols that differ.
    `UserError` beyond `BOUND`, and where onnxruntime is missing.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError("the check needs onnxruntime:  pip install 'sparring[export]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    taken = {each.name for each in session.get_inputs()}
    if unread := set(network.inputs) - taken:
        raise UserError(f"the exported network does not look at {', '.join(sorted(unread))}")
    live, worst = network.live or network.module, 0.0
    for rows in ROWS:
        inputs = network.example(rows, seed=10 + rows)
        (made,) = session.run(None, {name: column.contiguous().numpy() for name, column in inputs.items()})
        with torch.no_grad():
            worst = max(worst, apart(torch.from_numpy(made), live(*inputs.values())))
    if not worst <= BOUND:
        raise UserError(f"the exported network differs from the live one by {worst:.2g}, more than {BOUND:g}")
    return worst


def apart(made: Tensor, live: Tensor) -> float:
    """Most that two outputs differ by; of whole numbers the share that differs. Infinite for other shapes, and NaN."""
    if made.shape != live.shape:
        return float("inf")
    if not live.is_floating_point():
        return float((made != live).float().mean())
    worst = float((made.double() - live.double()).abs().max())
    return worst if worst == worst else float("inf")
