"""500 pictures of every kind, five of them broken: made from real flowers and emoji."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

BROKEN = {
    "broken-cut-short.jpg": "a JPEG cut in half",
    "broken-empty.png": "no bytes",
    "broken-not-a-picture.png": "text with a picture's name",
    "broken-bomb.png": "a small PNG that claims 900 megapixels",
    "broken-no-end.png": "a PNG without its last third",
}


def originals(data: Path) -> Iterator[Image.Image]:
    for archive in (data / "flowers" / "flowers-daisy.zip", data / "noto-emoji" / "noto-emoji-png128.zip"):
        with zipfile.ZipFile(archive) as opened:
            names = [n for n in opened.namelist() if n.lower().endswith((".jpg", ".png"))]
            for name in names[:250]:
                with Image.open(io.BytesIO(opened.read(name))) as picture:
                    picture.load()
                    yield picture


def save(picture: Image.Image, number: int, folder: Path) -> None:
    """One of eight kinds, in one of many sizes and shapes."""
    width, height = 40 + number * 7 % 200, 40 + number * 13 % 160
    sized = picture.convert("RGBA").resize((width, height))
    stem = folder / f"{number:03d}"
    match number % 8:
        case 0:
            sized.convert("RGB").save(stem.with_suffix(".jpg"))
        case 1:
            sized.save(stem.with_suffix(".png"))
        case 2:
            sized.convert("RGB").quantize(32).save(stem.with_suffix(".gif"))
        case 3:
            gray = sized.convert("L").point(lambda v: v * 257, "I")
            gray.convert("I;16").save(stem.with_suffix(".png"))
        case 4:
            sized.convert("L").save(stem.with_suffix(".bmp"))
        case 5:
            sized.convert("CMYK").save(stem.with_suffix(".tiff"))
        case 6:
            exif = Image.Exif()
            exif[0x0112] = 6
            sized.convert("RGB").save(stem.with_suffix(".jpeg"), exif=exif)
        case _:
            sized.save(stem.with_suffix(".webp"), lossless=True)


def mixed_folder(data: Path, folder: Path) -> dict[str, str]:
    """Write 495 good pictures and 5 broken ones; the broken names with what is wrong."""
    folder.mkdir(parents=True)
    for number, picture in zip(range(495), originals(data), strict=False):
        save(picture, number, folder)
    jpeg, png = (folder / "000.jpg").read_bytes(), (folder / "001.png").read_bytes()
    (folder / "broken-cut-short.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "broken-empty.png").write_bytes(b"")
    (folder / "broken-not-a-picture.png").write_text("I only look like a picture.")
    (folder / "broken-no-end.png").write_bytes(png[: 2 * len(png) // 3])
    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "broken-bomb.png").write_bytes(
        bomb + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )
    return BROKEN
