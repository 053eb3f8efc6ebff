"""Samples as bytes of a format, and uploaded bytes as pictures and texts: bounded, decoded fully, never trusted."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring import show
from sparring.data.decode import UnreadableError, decode, formats
from sparring.data.source import About
from sparring.data.tensors import CHANNELS, recolored
from sparring.data.words import written
from sparring.nn.signal import heard
from sparring.serve.asked import Refused

FORMATS: Mapping[str, tuple[str, ...]] = {
    "image": ("png", "npy", "json"),
    "point": ("json", "npy"),
    "text": ("json", "txt", "npy"),
    "sound": ("wav", "npy"),
    "clip": ("gif", "npy"),
}
"""Of each kind of samples; the first is what is given where nothing is asked for."""
MEDIA: Mapping[str, str] = {
    "png": "image/png",
    "gif": "image/gif",
    "npy": "application/octet-stream",
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
    "wav": "audio/wav",
    "mp4": "video/mp4",
}
UPLOADED = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff", "application/octet-stream")
"""Media types of pictures that are taken; the content decides."""


def png(image: Tensor) -> bytes:
    """(C, H, W) uint8 -> a PNG. Packed quickly, not tightly: it travels within one machine, or once."""
    out = io.BytesIO()
    show.picture(image).save(out, "PNG", compress_level=1)
    return out.getvalue()


def as_url(image: Tensor) -> str:
    """(C, H, W) uint8 -> the picture within an address."""
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"


def encoded(samples: Tensor, about: About, form: str, facts: Mapping[str, Any] | None = None) -> bytes:
    """Samples as the data store them, (N, ...), in a format of their kind. `facts` go into JSON beside them."""
    out = io.BytesIO()
    if form == "npy":
        np.save(out, samples.numpy(), allow_pickle=False)
        return out.getvalue()
    if form == "json":
        told = {"kind": about.key, "shape": list(samples.shape), **(facts or {}), "samples": _listed(samples, about)}
        return json.dumps(told, allow_nan=False).encode()
    if form == "txt":
        return "".join(f"{line}\n" for line in written(samples, about)).encode()
    if form == "wav":
        sounds = heard(samples, about) if about.hop else samples
        return show.wave_file(show.one_after_another(sounds), about.rate)
    columns = math.ceil(len(samples) ** 0.5)
    if form == "gif":
        return show.moving(samples, columns, about.rate)
    show.grid(samples, columns).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _listed(samples: Tensor, about: About) -> list[Any]:
    if about.key == "image":
        return [as_url(image) for image in samples]
    if about.key == "text":
        return written(samples, about)
    return [[x if math.isfinite(x) else None for x in row] for row in samples.tolist()]


def film(frames: Sequence[Tensor], rate: float, form: str) -> bytes:
    """Pictures (C, H, W) uint8 one after the other -> an endless GIF, or an MP4 (`Refused`, 501, without av)."""
    if form == "gif":
        return show.moving(torch.stack(list(frames), 1)[None], 1, rate, side=320)
    try:
        import av
    except ImportError:
        raise Refused(501, "MP4 needs the package av:  pip install 'sparring[video]'; take gif") from None
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = None
        for frame in frames:
            sheet = show.enlarged(show.picture(frame), 320).convert("RGB")
            even = sheet.crop((0, 0, sheet.width // 2 * 2, sheet.height // 2 * 2))
            if stream is None:
                stream = file.add_stream("libx264", rate=round(rate))
                stream.width, stream.height, stream.pix_fmt = even.width, even.height, "yuv420p"
            file.mux(stream.encode(av.VideoFrame.from_image(even)))
        if stream is not None:
            file.mux(stream.encode())
    return out.getvalue()


def uploaded(data: bytes, shape: Sequence[int], fit: str, pixels: int) -> Tensor:
    """A picture's bytes -> (C, H, W) uint8 with the channels of `shape`; its size too, unless `fit` is whole.

    `Refused` (422) for what is no picture, (413) for one of more than `pixels`, told from its header.
    """
    channels, height, width = shape
    color = next(name for name, count in CHANNELS.items() if count == channels)
    wide, high = _size(data)
    if wide * high > pixels:
        raise Refused(413, f"{high}x{wide} are more than {pixels:,} pixels; make it smaller")
    try:
        found = decode(data, height, width, fit).pixels
    except UnreadableError as error:
        raise Refused(422, f"the picture: {str(error)[:200]}") from None
    return recolored(torch.from_numpy(found.copy())[None], color)[0]


def _size(data: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            return image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(413, "the picture has too many pixels; make it smaller") from None
    except Exception:  # parsers of forged headers fail in every way there is
        raise Refused(422, "that is not a picture in a known format, or its header is damaged") from None


def said(data: bytes, most: int) -> str:
    """A text's bytes as text. `Refused` for one that is empty, too long or not UTF-8."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(422, "the text is not UTF-8") from None
    if not text.strip():
        raise Refused(422, "the text is empty")
    if len(text) > most:
        raise Refused(413, f"the text has {len(text):,} characters; give at most {most:,}")
    return text
