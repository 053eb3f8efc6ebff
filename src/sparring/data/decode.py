"""One picture's bytes -> pixels at the asked size: limits from the header, a full decode, nothing clipped."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from sparring.data.tensors import CHANNELS, Color, fit_inside

EXTENSIONS = frozenset(
    "png apng jpg jpeg jpe jfif mpo webp bmp dib gif tif tiff ppm pgm pbm pnm avif".split()  # noqa: SIM905
)
MAX_PIXELS = 50_000_000
"""A picture with more is refused on its header: 76 KiB of PNG can unfold into hundreds of megabytes."""

Pixels = npt.NDArray[np.uint8]

_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "AVIF")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableError(Exception):
    """One file that cannot be used; the message is the reason, for the user."""


@dataclass(frozen=True)
class Decoded:
    """One picture at its target size, and what its file was like."""

    pixels: Pixels
    """(c, H, W); c may be 4 for an opaque picture, where `pad` left a clear border."""
    color: Color
    """The least that shows this picture whole."""
    size: str
    """`height x width` in the file."""
    mode: str
    """Pillow's word for the pixels in the file, e.g. `RGB` or `I;16`."""
    facts: tuple[str, ...]
    """What was done to it that a user may want to know."""


def decode(data: bytes, height: int, width: int, fit: str) -> Decoded:
    """Decode fully and bring to (height, width) by `fit`: crop, pad or stretch. Raises `UnreadableError`.

    `fit` whole keeps the picture's own size, and reads neither height nor width.

    Pillow may warn of odd metadata. Silencing it is the caller's, since that is not safe within threads.
    """
    if not data:
        raise UnreadableError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            return _decoded(image, height, width, fit)
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError("not a picture in a known format, or its header is damaged") from None
    except Image.DecompressionBombError:
        raise UnreadableError(f"more than the limit of {MAX_PIXELS // 10**6} megapixels") from None
    except Exception as error:  # parsers of damaged files fail in every way there is: SyntaxError, struct.error ...
        raise UnreadableError(f"cannot be decoded: {error or type(error).__name__}") from error


def formats() -> list[str]:
    """The decoders wanted and built in: a file must not choose an odder one (EPS starts a program)."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _decoded(image: Image.Image, height: int, width: int, fit: str) -> Decoded:
    w, h = image.size
    if w * h > MAX_PIXELS:
        raise UnreadableError(
            f"{w * h / 1e6:.0f} megapixels ({h}x{w}) are more than the limit of {MAX_PIXELS // 10**6}; make it smaller"
        )
    mode, facts = image.mode, ["holds several frames: the first is used"] if _animated(image) else []
    if fit != "whole":
        side = 2 * max(height, width)
        image.draft(None, (side, side))  # JPEG: decode at 1/2, 1/4 or 1/8, never below twice the target
    image.load()
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        image = image.transpose(turn)
        facts.append("turned upright by its EXIF orientation")
    if mode.startswith("I"):
        facts.append("scaled from 16 bits to 8")
    image = _eight_bit(image)
    if "A" in image.mode:
        facts.append("has clear parts")
    if fit == "whole":
        width, height = image.size
    inner = _fitted(image, height, width, fit)
    return Decoded(_canvas(inner, height, width), _color(inner), f"{h}x{w}", mode, tuple(facts))


def _animated(image: Image.Image) -> bool:
    return bool(getattr(image, "is_animated", False))


def _orientation(image: Image.Image) -> int:
    """EXIF's number, 1 to 8; 1 (upright) where there is none. Pillow turns TIFF itself and drops the tag."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata around sound pixels: keep the picture
        return 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """Any mode -> L, RGB or, only where something is not opaque, RGBA."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        opaque = image.getchannel("A").getextrema() == (255, 255)
        return image.convert("RGB") if opaque else image
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Gray of 16 bits (0..65535) or floating point (0..1) -> L; Pillow's own conversion clips to white."""
    top = 1.0 if image.mode == "F" else 65535.0
    values = np.asarray(image).astype(np.float32)
    if not (values.min() >= 0 and values.max() <= top):  # written so that NaN is refused too
        raise UnreadableError(
            f"values {values.min():g} to {values.max():g} where mode {image.mode} should have 0 to {top:g}; "
            f"save it with 8 or 16 bits"
        )
    return Image.fromarray((values * (255 / top) + 0.5).astype(np.uint8))


def _fitted(image: Image.Image, height: int, width: int, fit: str) -> Image.Image:
    """Resized to (height, width), or, for `pad`, to the largest size of its own shape within."""
    if fit == "whole":
        return image
    w, h = image.size
    if fit == "pad":
        h_in, w_in = fit_inside(h, w, height, width)
        return image.resize((w_in, h_in), Image.Resampling.LANCZOS, reducing_gap=3.0)
    box = (0.0, 0.0, float(w), float(h))
    if fit == "crop":
        scale = min(w / width, h / height)
        left, top = max(0.0, (w - width * scale) / 2), max(0.0, (h - height * scale) / 2)
        box = (left, top, w - left, h - top)
    return image.resize((width, height), Image.Resampling.LANCZOS, box, reducing_gap=3.0)


def _color(image: Image.Image) -> Color:
    if image.mode == "RGBA":
        return "rgba"
    if image.mode == "L":
        return "gray"
    red, green, blue = (band.tobytes() for band in image.split())
    return "gray" if red == green == blue else "rgb"


def _canvas(inner: Image.Image, height: int, width: int) -> Pixels:
    """(c, H, W), the border clear: whether it ends up clear or white depends on all the other pictures."""
    if inner.size != (width, height):
        canvas = Image.new("RGBA", (width, height), (255, 255, 255, 0))
        canvas.paste(inner.convert("RGBA"), ((width - inner.width) // 2, (height - inner.height) // 2))
        inner = canvas
    pixels = np.asarray(inner)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    assert channels in CHANNELS.values()
    return pixels.reshape(height, width, channels).transpose(2, 0, 1).copy()  # Pillow's memory is read-only
