from __future__ import annotations

import io
import json
import os
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from sparring.config import UserError
from sparring.data import cache, pictures
from sparring.data.cache import Spool, cache_dir
from sparring.data.decode import MAX_PIXELS, UnreadableError, decode
from sparring.data.pictures import inspect_pictures, open_pictures
from sparring.data.settings import Data
from sparring.data.source import subset
from sparring.data.tensors import brought_to, height_and_width, recolored

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SPARRING_CACHE", str(folder))
    return folder


def noise(seed: int, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0]) if bands == 1 else (size[1], size[0], bands)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode=None)


def folder_of(root: Path, names: Sequence[str]) -> Path:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise(seed).save(root / name)
    return root


def packed(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def shown(data: bytes, size: int = 8, fit: str = "stretch") -> torch.Tensor:
    """(c, H, W) of one picture."""
    return torch.from_numpy(decode(data, size, size, fit).pixels)


def color_of(pixels: torch.Tensor) -> tuple[int, ...]:
    """The one colour of a (c, H, W)."""
    flat = pixels.flatten(1)
    assert (flat == flat[:, :1]).all(), flat.unique(dim=1)
    return tuple(flat[:, 0].tolist())


def png(width: int, height: int, depth: int, kind: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# -- damaged, missing, hostile ---------------------------------------------------------------------------


def test_missing_path_not_a_folder_and_no_pictures_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data=.*nowhere: there is no such folder"):
        open_pictures(tmp_path / "nowhere", Data())
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="neither a folder nor a zip"):
        open_pictures(tmp_path / "notes.txt", Data())
    with pytest.raises(UserError, match=r"holds no pictures \(1 other files are there\).*jpeg"):
        open_pictures(tmp_path, Data())


def test_one_good_picture_is_too_few_and_the_bad_are_named_with_reasons(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", ["a.png"])
    (root / "b.png").write_bytes(b"")
    (root / "c.jpg").write_bytes(b"not a picture at all")
    with pytest.raises(UserError) as caught:
        open_pictures(root, Data())
    message = str(caught.value)
    assert "of 3 picture files only 1 can be used" in message
    assert "b.png: the file is empty" in message
    assert "c.jpg: not a picture in a known format" in message
    report = inspect_pictures(root, Data())
    assert (report.good, [name for name, _ in report.bad]) == (1, ["b.png", "c.jpg"])
    assert "cannot be trained on: at least 3 pictures are needed" in report.notes


def test_at_most_twenty_reasons_are_listed(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"{number:02}.png").write_bytes(b"x")
    with pytest.raises(UserError, match="none can be used") as caught:
        open_pictures(tmp_path, Data())
    assert "19.png" in str(caught.value)
    assert "20.png" not in str(caught.value)
    assert "and 5 more" in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("size", [(64, 48), (1200, 900)])  # the larger JPEG is decoded at a reduced scale
def test_a_truncated_file_is_refused(kind: str, size: tuple[int, int]) -> None:
    data = packed(noise(0, size), kind)
    assert shown(data).shape[1:] == (8, 8)
    with pytest.raises(UnreadableError):
        decode(data[: len(data) * 6 // 10], 8, 8, "crop")


def test_bad_files_are_left_out_and_told(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", [f"{n}.png" for n in range(6)])
    whole = (root / "3.png").read_bytes()
    (root / "3.png").write_bytes(whole[: len(whole) // 2])
    splits = open_pictures(root, Data(size="8"))
    assert len(splits["train"]) + len(splits["test"]) == 5
    assert any(note.startswith("left out: 3.png: cannot be decoded") for note in splits["train"].about.notes)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_000, 11_000, 60_000])  # below, above and far above Pillow's own limits
def test_decompression_bombs_are_refused_on_their_header(side: int) -> None:
    bomb = png(side, side, 8, 0, bytes(1000))
    assert side * side > MAX_PIXELS
    with pytest.raises(UnreadableError, match="megapixels"):
        decode(bomb, 8, 8, "crop")


def test_a_real_bomb_in_a_folder_raises_no_warning(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", ["a.png", "b.png", "c.png"])
    (root / "bomb.png").write_bytes(png(9_500, 9_500, 1, 0, bytes(9_500 * (1 + 9_504 // 8))))
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff\xff\xff"
    noise(5).save(root / "odd.jpg", exif=exif)  # Pillow warns of this, and a warning fails the test
    report = inspect_pictures(root, Data(size="8"))
    assert report.good == 4
    assert report.bad[0][0] == "bomb.png"
    assert "90 megapixels (9500x9500)" in report.bad[0][1]


def test_links_out_of_the_folder_pipes_and_unreadable_files_are_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path / "elsewhere", ["secret.png"])
    root = folder_of(tmp_path / "set", ["a.png", "b.png", "c.png"])
    (root / "out.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (root / "in.png").symlink_to(root / "a.png")
    (root / "dangling.png").symlink_to(root / "gone.png")
    (root / "circle.png").symlink_to(root / "circle.png")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "pipe.png")
    report = inspect_pictures(root, Data(size="8"))
    assert report.good == 4
    assert report.duplicates == 1
    reasons = dict(report.bad)
    assert set(reasons) == {"out.png", "dangling.png", "circle.png", "pipe.png"}
    assert "leaves the folder" in reasons["out.png"]
    assert reasons["pipe.png"] == "not a regular file"


def test_an_over_large_file_is_left_out_unread(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", ["a.png", "b.png", "c.png"])
    with (root / "huge.png").open("wb") as file:
        file.truncate(300 * 2**20)  # a hole: takes no room
    assert "limit of 256 MiB" in dict(inspect_pictures(root, Data()).bad)["huge.png"]


def test_hidden_files_and_other_kinds_are_skipped_with_a_count(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", ["a.png", "b.PNG", "c.png", "__MACOSX/d.png", ".hidden/e.png", "._f.png"])
    (root / "readme.txt").write_text("x")
    (root / "Thumbs.db").write_text("x")
    report = inspect_pictures(root, Data())
    assert (report.good, report.bad) == (3, ())
    assert any("2 files that are not pictures were skipped" in note for note in report.notes)


# -- zip -------------------------------------------------------------------------------------------------


def zip_of(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def good_members(count: int = 4) -> dict[str, bytes]:
    return {f"{n}.png": packed(noise(n)) for n in range(count)}


def test_a_zip_gives_what_its_folder_gives(tmp_path: Path) -> None:
    members = {f"{'ab'[n % 2]}/{n}.png": packed(noise(n)) for n in range(6)}
    with zipfile.ZipFile(zip_of(tmp_path / "set.zip", {"set/" + name: data for name, data in members.items()})) as z:
        z.extractall(tmp_path / "unpacked")
    from_zip = open_pictures(tmp_path / "set.zip", Data(size="8"))
    from_folder = open_pictures(tmp_path / "unpacked", Data(size="8"))
    assert from_zip["train"].about.classes == ("a", "b")
    for split in ("train", "test"):
        assert from_zip[split].about.sha256 == from_folder[split].about.sha256


def test_zip_names_that_point_outside_are_left_out_and_write_nothing(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    evil = {
        "../escaped.png": packed(noise(9)),
        "/absolute.png": packed(noise(8)),
        "..\\win.png": packed(noise(7)),
    }
    archive = zip_of(inner / "set.zip", good_members() | evil)
    report = inspect_pictures(archive, Data(size="8"))
    assert report.good == 4
    assert dict(report.bad) == dict.fromkeys(
        ["../escaped.png", "/absolute.png", "../win.png"], "its name points outside the zip"
    )
    assert sorted(p.name for p in inner.iterdir()) == ["set.zip"]
    assert not list(tmp_path.glob("*.png"))


def test_broken_zips_are_told(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "set.zip", good_members())
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is not a sound zip"):
        open_pictures(archive, Data())
    at = whole.index(b"0.png") + 60  # within the first member's data
    archive.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    report = inspect_pictures(archive, Data())
    assert report.good == 3
    assert report.bad[0][0] == "0.png"
    assert "cannot be unpacked" in report.bad[0][1]


def test_a_damaged_member_packed_by_lzma_costs_nothing_but_itself(tmp_path: Path) -> None:
    members = good_members()
    path = zip_of(tmp_path / "set.zip", members, zipfile.ZIP_LZMA)
    data, at = path.read_bytes(), 30 + len(next(iter(members))) + 4  # the properties of the first member's stream
    path.write_bytes(data[:at] + b"\xff" * 5 + data[at + 5 :])
    report = inspect_pictures(path, Data())
    assert (report.good, len(report.bad)) == (len(members) - 1, 1)
    assert "cannot be unpacked" in report.bad[0][1]


def test_encrypted_members_are_told(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "set.zip", good_members(), zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    data[local + 6] |= 1  # the flag of the first member, in both places
    data[central + 8] |= 1
    archive.write_bytes(bytes(data))
    report = inspect_pictures(archive, Data())
    assert report.good == 3
    assert "encrypted" in dict(report.bad)["0.png"]


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "set.zip", good_members())
    data = bytearray(archive.read_bytes())
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 50)
    archive.write_bytes(bytes(data))
    report = inspect_pictures(archive, Data())
    assert report.good == 3
    assert [name for name, _ in report.bad] == ["0.png"]


# -- what is in the pixels -------------------------------------------------------------------------------


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 128, 257, 25_700], [32_896, 51_400, 65_278, 65_535]], np.uint16)
    expected = [[0, 0, 1, 100], [128, 200, 254, 255]]
    for data in (packed(Image.fromarray(values)), packed(Image.fromarray(values), "TIFF")):
        result = decode(data, 2, 4, "stretch")
        assert result.pixels[0].tolist() == expected
        assert (result.color, result.mode) == ("gray", "I;16")
    wide = decode(packed(Image.fromarray(values.astype(np.int32)), "TIFF"), 2, 4, "stretch")
    assert wide.pixels[0].tolist() == expected


def test_sixteen_bit_rgb_keeps_its_levels() -> None:
    row = np.array([0, 25_700, 65_535], ">u2").tobytes()
    assert color_of(shown(png(1, 1, 16, 2, b"\0" + row))) == (0, 100, 255)


def test_floating_point_pictures() -> None:
    half = Image.fromarray(np.full((4, 4), 0.5, np.float32))
    assert color_of(shown(packed(half, "TIFF"))) == (128,)
    for wrong in (300.0, float("nan")):
        with pytest.raises(UnreadableError, match="should have 0 to 1"):
            shown(packed(Image.fromarray(np.full((4, 4), wrong, np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(kind: str) -> None:
    wide = Image.new("RGB", (32, 16), BLUE)
    wide.paste(RED, (0, 0, 16, 16))  # left half red
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter: red on top
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    pixels = torch.from_numpy(decode(packed(wide, kind, exif=exif, **options), 32, 16, "stretch").pixels).int()
    assert (pixels[0, 2:14] > 240).all()
    assert (pixels[2, 18:30] > 240).all()
    assert (pixels[2, 2:14] < 15).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = packed(noise(0), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\xff\xff")
    assert shown(data).shape == (3, 8, 8)


def test_palette() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert color_of(shown(packed(image))) == (10, 200, 30)


def test_palette_with_transparency() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([9, 9, 9, 10, 200, 30])
    assert color_of(shown(packed(image, transparency=bytes([0, 255])))) == (10, 200, 30)  # unused, so opaque
    image.paste(0, (0, 0, 4, 2))
    result = decode(packed(image, transparency=bytes([0, 255])), 4, 4, "stretch")
    assert result.color == "rgba"
    assert color_of(torch.from_numpy(result.pixels)[:, 2:]) == (10, 200, 30, 255)
    assert color_of(torch.from_numpy(result.pixels)[3:, :2]) == (0,)


def test_gray_and_rgb_with_a_transparent_colour() -> None:
    rgb = Image.new("RGB", (4, 4), RED)
    result = decode(packed(rgb, transparency=RED), 4, 4, "stretch")
    assert (result.color, result.pixels[3].max()) == ("rgba", 0)
    gray = decode(packed(Image.new("L", (4, 4), 7), transparency=7), 4, 4, "stretch")
    assert (gray.color, gray.pixels[3].max()) == ("rgba", 0)


def test_clear_pixels_do_not_bleed_their_hidden_colour() -> None:
    image = Image.new("RGBA", (64, 64), (0, 255, 0, 0))  # hidden green
    image.paste((255, 0, 0, 255), (0, 0, 33, 64))
    pixels = decode(packed(image), 8, 8, "stretch").pixels
    assert pixels[1][pixels[3] > 0].max() == 0


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA"])
def test_alpha_that_hides_nothing_is_dropped(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (80, 80, 80, 255)).convert(mode)
    result = decode(packed(image, "PNG" if mode != "PA" else "TIFF"), 4, 4, "stretch")
    assert (result.color, color_of(torch.from_numpy(result.pixels))[0]) == ("gray", 80)


def test_cmyk_one_bit_and_la() -> None:
    red = np.asarray(shown(packed(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG", quality=100))).astype(int)
    assert abs(red - np.array(RED)[:, None, None]).max() < 12
    bits = Image.new("1", (4, 4), 1)
    assert color_of(shown(packed(bits))) == (255,)
    half = Image.new("LA", (4, 4), (40, 128))
    assert color_of(shown(packed(half), 4)) == (40, 40, 40, 128)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = packed(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    result = decode(data, 8, 8, "crop")
    assert color_of(torch.from_numpy(result.pixels)) == RED
    assert "holds several frames: the first is used" in result.facts


def test_the_reduced_jpeg_is_close_to_the_whole_one() -> None:
    smooth = Image.linear_gradient("L").resize((1000, 800), Image.Resampling.BICUBIC)
    small = shown(packed(smooth, "JPEG", quality=95), 32).float()
    direct = torch.from_numpy(np.array(smooth.resize((32, 32), Image.Resampling.LANCZOS))).float()
    assert (small[0] - direct).abs().max() <= 3


# -- geometry and colour ---------------------------------------------------------------------------------


def bands() -> bytes:
    """30 wide, 10 high: red, green, blue squares."""
    image = Image.new("RGB", (30, 10), RED)
    image.paste(GREEN, (10, 0, 20, 10))
    image.paste(BLUE, (20, 0, 30, 10))
    return packed(image)


def test_crop_keeps_the_centre() -> None:
    assert color_of(torch.from_numpy(decode(bands(), 10, 10, "crop").pixels)) == GREEN
    tall = packed(Image.open(io.BytesIO(bands())).transpose(Image.Transpose.ROTATE_90))
    assert color_of(torch.from_numpy(decode(tall, 10, 10, "crop").pixels)) == GREEN


def test_crop_to_another_shape() -> None:
    pixels = torch.from_numpy(decode(bands(), 10, 20, "crop").pixels)  # 5 red, 10 green, 5 blue
    assert [color_of(part) for part in pixels.split([5, 10, 5], dim=2)] == [RED, GREEN, BLUE]


def test_stretch_keeps_everything() -> None:
    pixels = torch.from_numpy(decode(bands(), 90, 30, "stretch").pixels)
    assert pixels.shape == (3, 90, 30)
    assert [color_of(part) for part in pixels.split(10, dim=2)] == [RED, GREEN, BLUE]


def test_pad_keeps_everything_and_adds_a_border(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / f"{n}.png").write_bytes(bands())
    image = open_pictures(tmp_path, Data(size="30", fit="pad"))["train"][torch.tensor([0])]["image"][0]
    assert [color_of(image[:, rows]) for rows in (slice(0, 10), slice(20, 30))] == [WHITE, WHITE]
    assert [color_of(part) for part in image[:, 10:20].split(10, dim=2)] == [RED, GREEN, BLUE]
    clear = open_pictures(tmp_path, Data(size="30", fit="pad", color="rgba"))["train"][torch.tensor([0])]["image"][0]
    assert color_of(clear[:, :10]) == (*WHITE, 0)
    assert color_of(clear[:, 10:20, :10]) == (*RED, 255)


def test_height_comes_before_width(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", ["a.png", "b.png", "c.png"])
    assert open_pictures(root, Data(size="8x12"))["train"].about.shape == (3, 8, 12)
    assert open_pictures(root, Data())["train"].about.shape == (3, 64, 64)


@pytest.mark.parametrize("size", ["", "0", "-3", "64x", "x64", "64x0", "64,48", "large", "5000", "1e3", "64x64x3"])
def test_bad_sizes_are_refused(size: str) -> None:
    with pytest.raises(UserError, match=r"size=.*write 64, or 64x48"):
        height_and_width(size)


def test_sizes() -> None:
    assert height_and_width("64") == (64, 64)
    assert height_and_width(" 64x48 ") == (64, 48)


def color_set(root: Path, *images: Image.Image) -> Path:
    root.mkdir()
    for n in range(3):
        for k, image in enumerate(images):
            image.save(root / f"{n}-{k}.png")
    return root


def test_auto_takes_the_channels_that_the_pictures_need(tmp_path: Path) -> None:
    gray = Image.new("RGB", (8, 8), (90, 90, 90))  # colour in name only
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 100))
    sets = {
        1: color_set(tmp_path / "gray", gray, Image.new("RGBA", (8, 8), (9, 9, 9, 255))),
        3: color_set(tmp_path / "rgb", gray, Image.new("RGB", (8, 8), RED)),
        4: color_set(tmp_path / "rgba", gray, clear),
    }
    for channels, root in sets.items():
        splits = open_pictures(root, Data(size="8"))
        assert splits["train"].about.shape == (channels, 8, 8)
    columns = [row for split in splits.values() for row in split[torch.arange(len(split))]["image"]]
    assert {color_of(row) for row in columns} == {(90, 90, 90, 255), (255, 0, 0, 100)}


def test_clear_parts_are_composited_on_white(tmp_path: Path) -> None:
    root = color_set(tmp_path / "set", Image.new("RGBA", (8, 8), (255, 0, 0, 51)))
    splits = open_pictures(root, Data(size="8", color="rgb"))
    assert color_of(splits["train"][torch.tensor([0])]["image"][0]) == (255, 204, 204)
    assert any("shown on white" in note for note in splits["train"].about.notes)
    gray = open_pictures(root, Data(size="8", color="gray"))["train"]
    assert color_of(gray[torch.tensor([0])]["image"][0]) == (round(0.299 * 255 + 0.701 * 204),)


def test_recolored_agrees_with_pillow() -> None:
    image = noise(3)
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    assert torch.equal(recolored(tensor, "gray")[0, 0], torch.from_numpy(np.array(image.convert("L"))))
    assert torch.equal(recolored(recolored(tensor, "rgba"), "rgb"), tensor)
    assert recolored(tensor, "auto") is tensor


def test_brought_to_keeps_what_is_not_asked_for() -> None:
    images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)
    assert brought_to(images, Data()) is images
    assert brought_to(images, Data(size="32", color="rgb")).shape == (3, 3, 32, 32)


def test_brought_to_geometry() -> None:
    image = torch.from_numpy(np.array(Image.open(io.BytesIO(bands())))).permute(2, 0, 1)[None]
    assert color_of(brought_to(image, Data(size="10"))[0]) == GREEN
    parts = brought_to(image, Data(size="30x30", fit="pad"))[0].split(10, dim=1)
    assert [color_of(part) for part in parts[1].split(10, dim=2)] == [RED, GREEN, BLUE]
    assert color_of(parts[0]) == color_of(parts[2])
    stretched = brought_to(image, Data(size="10x3", fit="stretch"))[0]
    assert (stretched[0, :, 0] > 200).all()
    assert (stretched[2, :, 2] > 200).all()


def test_pad_of_a_set_on_black_stays_on_black() -> None:
    digits = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    digits[:, :, 2:6, 2:6] = 255
    wide = brought_to(digits, Data(size="8x16", fit="pad"))
    assert wide[..., :4].max() == 0
    assert torch.equal(wide[..., 4:12], digits)


# -- labels and splits -----------------------------------------------------------------------------------


def label_of_each(splits: dict[str, Any]) -> list[str]:
    names = splits["train"].about.classes
    rows = [split[torch.arange(len(split))]["label"] for split in splits.values()]
    return sorted(names[index] for index in torch.cat(rows).tolist())


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", ["dog/1.png", "cat/1.png", "cat/2.png", "cat/deep/3.png", "dog/2.png"])
    splits = open_pictures(root, Data(size="8"))
    assert splits["train"].about.classes == ("cat", "dog")
    assert label_of_each(splits) == ["cat"] * 3 + ["dog"] * 2
    assert splits["train"].about.prior == pytest.approx(
        tuple((splits["train"].columns["label"] == k).double().mean().item() for k in (0, 1))
    )


def test_labels_stay_with_their_pictures(tmp_path: Path) -> None:
    for n in range(8):
        for name, color in (("red", RED), ("blue", BLUE)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (8, 8), (*color[:2], color[2] - n if color[2] else n)).save(tmp_path / name / f"{n}.png")
    for split in open_pictures(tmp_path, Data(size="8", test=0.3)).values():
        rows = split[torch.arange(len(split))]
        assert ((rows["image"][:, 0, 0, 0] > 200) == (rows["label"] == split.about.classes.index("red"))).all()


def test_number_folders_sort_as_numbers(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", [f"{n}/x.png" for n in (10, 2, 1)])
    assert open_pictures(root, Data(size="8"))["train"].about.classes == ("1", "2", "10")


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["a.png", "b.png", "c.png"], None),
        (["x/a.png", "x/b.png", "x/c.png"], None),
        (["x/a.png", "y/b.png", "c.png"], "2 pictures are in sub-folders and 1 are not"),
        (["train/x/a.png", "train/x/b.png", "test/x/c.png"], "all pictures are in one sub-folder, x"),
    ],
)
def test_unlabelled_sets(tmp_path: Path, names: list[str], note: str | None) -> None:
    about = open_pictures(folder_of(tmp_path / "set", names), Data(size="8"))["train"].about
    assert about.classes == ()
    labelled = [text for text in about.notes if text.startswith("not labelled")]
    assert labelled == [] if note is None else note in labelled[0]


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    names = [f"top/{split}/{kind}/{n}.png" for split in ("train", "test") for kind in "ab" for n in range(3)]
    root = folder_of(tmp_path / "set", [*names, "top/val/a/0.png"])
    splits = open_pictures(root, Data(size="8", test=0.5))
    assert [len(splits["train"]), len(splits["test"])] == [6, 6]
    assert splits["test"].about.classes == ("a", "b")
    assert "1 pictures are in neither train/ nor test/ and are not used" in splits["train"].about.notes


def test_the_held_out_share(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", [f"{n:02}.png" for n in range(20)])
    splits = open_pictures(root, Data(size="8", test=0.25))
    assert [len(splits["train"]), len(splits["test"])] == [15, 5]
    train, test = (split[torch.arange(len(split))]["image"].flatten(1) for split in splits.values())
    assert not (train[:, None] == test[None]).all(dim=2).any()
    for wrong in (0.0, 1.0, -0.5):
        with pytest.raises(UserError, match="is not a share between 0 and 1"):
            open_pictures(root, Data(size="8", test=wrong))


LABELS = {"a.png": "cat", "b.png": "dog", "sub/c.png": "cat"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", "file,label\n" + "".join(f"{k},{v}\n" for k, v in LABELS.items())),
        ("l.csv", "".join(f"{k},{v}\r\n" for k, v in LABELS.items())),
        ("l.csv", "\ufefffile,label\n" + "".join(f'"./{k}", {v}\n' for k, v in LABELS.items())),
        ("l.csv", "".join(f"{k.split('/')[-1]},{v}\n" for k, v in LABELS.items())),
        ("l.json", json.dumps(LABELS)),
        ("l.json", json.dumps(list(LABELS.items()))),
        ("l.json", json.dumps({"labels": list(LABELS.items())})),
    ],
)
def test_files_of_labels(tmp_path: Path, name: str, text: str) -> None:
    root = folder_of(tmp_path / "set", list(LABELS))
    (tmp_path / name).write_text(text, encoding="utf-8")
    splits = open_pictures(root, Data(size="8", labels=str(tmp_path / name)))
    assert splits["train"].about.classes == ("cat", "dog")
    assert label_of_each(splits) == ["cat", "cat", "dog"]


def test_labels_within_the_zip(tmp_path: Path) -> None:
    labels = json.dumps({"labels": [[f"{n}.png", n % 2] for n in range(4)]}).encode()
    archive = zip_of(tmp_path / "set.zip", good_members() | {"dataset.json": labels})
    assert open_pictures(archive, Data(size="8", labels="dataset.json"))["train"].about.classes == ("0", "1")


def test_labels_that_do_not_match_the_files(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", [f"{n}.png" for n in range(9)])
    table = tmp_path / "l.csv"
    table.write_text("file,label\n0.png,a\n1.png,b\nother.png,b\n")
    with pytest.raises(UserError) as caught:
        open_pictures(root, Data(size="8", labels=str(table)))
    assert "7 pictures without a label: 2.png, 3.png, 4.png, 5.png, 6.png, ..." in str(caught.value)
    assert "1 labels without a picture: other.png" in str(caught.value)
    assert any("does not match" in note for note in inspect_pictures(root, Data(labels=str(table))).notes)


def test_a_label_for_a_bad_picture_is_no_mismatch(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", [f"{n}.png" for n in range(4)])
    (root / "4.png").write_bytes(b"")
    (root / "5.png").write_bytes(b"x")
    (tmp_path / "l.csv").write_text("".join(f"{n}.png,{n % 2}\n" for n in range(6)))
    assert label_of_each(open_pictures(root, Data(size="8", labels=str(tmp_path / "l.csv")))) == [
        "0",
        "0",
        "1",
        "1",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "a.png,cat\na.png,dog\n", "a.png has two labels, cat and dog"),
        ("l.csv", "a.png,cat,brown\n", "expected two columns"),
        ("l.csv", "a.png,\nb.png,x\nc.png,x\n", "1 pictures without a label: a.png"),
        ("l.json", "{", "not valid JSON"),
        ("l.json", "[" * 100_000, "not valid JSON"),
        ("l.json", '{"labels": null}', "expected"),
        ("l.json", '{"a.png": [1, 2]}', "expected"),
        ("l.json", "7", "expected"),
    ],
)
def test_bad_files_of_labels(tmp_path: Path, name: str, text: str, message: str) -> None:
    root = folder_of(tmp_path / "set", ["a.png", "b.png", "c.png"])
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        open_pictures(root, Data(size="8", labels=str(tmp_path / name)))
    with pytest.raises(UserError, match=r"labels=nowhere.csv: there is no such file"):
        open_pictures(root, Data(size="8", labels="nowhere.csv"))


# -- the report and the cache ----------------------------------------------------------------------------


def test_the_report_counts(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", ["a.png", "b.png", "c.png"])
    (root / "copy.png").write_bytes((root / "a.png").read_bytes())
    Image.fromarray(np.full((5, 7), 900, np.uint16)).save(root / "deep.png")
    report = inspect_pictures(root, Data(size="8"))
    assert (report.good, report.bad, report.duplicates) == (5, (), 1)
    assert report.sizes == {"16x20": 4, "5x7": 1}
    assert report.modes == {"RGB": 4, "I;16": 1}
    assert "1 pictures: scaled from 16 bits to 8" in report.notes


def entries() -> dict[str, int]:
    """Cache files and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted((cache_dir() / "pictures").iterdir())}


def hashes(root: Path, **settings: Any) -> tuple[str, ...]:
    splits = open_pictures(root, Data(size="8", **settings))
    return tuple(split.about.sha256 for split in splits.values())


def test_same_content_is_decoded_once_whatever_the_folder_is_called(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", [f"{n}.png" for n in range(5)])
    first, written = hashes(root), entries()
    assert len(written) == 2
    renamed = root.rename(tmp_path / "renamed")
    assert hashes(renamed) == first
    assert entries() == written  # nothing was written again


def test_a_changed_byte_or_setting_is_another_entry(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", [f"{n}.png" for n in range(5)])
    first = hashes(root)
    noise(99).save(root / "0.png")
    assert hashes(root) != first
    assert len(entries()) == 4
    hashes(root, fit="pad")
    hashes(root, color="gray")
    assert len(entries()) == 8
    hashes(root, test=0.4)  # splits are not part of what is decoded
    assert len(entries()) == 8


def flip_a_pixel(pixels: Path, facts: Path) -> None:
    data = bytearray(pixels.read_bytes())
    data[-10] ^= 1
    pixels.write_bytes(bytes(data))


def halve_the_pixels(pixels: Path, facts: Path) -> None:
    pixels.write_bytes(pixels.read_bytes()[: pixels.stat().st_size // 2])


def remove_the_pixels(pixels: Path, facts: Path) -> None:
    pixels.unlink()


def garble_the_facts(pixels: Path, facts: Path) -> None:
    facts.write_text(facts.read_text()[:40])


def change_the_shape(pixels: Path, facts: Path) -> None:
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"shape": [1, 3, 8, 8]}))


def put_objects(pixels: Path, facts: Path) -> None:
    np.save(pixels, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "harm",
    [flip_a_pixel, halve_the_pixels, remove_the_pixels, garble_the_facts, change_the_shape, put_objects],
)
def test_a_corrupt_entry_is_made_again(tmp_path: Path, harm: Callable[[Path, Path], None]) -> None:
    root = folder_of(tmp_path / "set", [f"{n}.png" for n in range(5)])
    first, written = hashes(root), entries()
    facts, pixels = (cache_dir() / "pictures" / name for name in sorted(written))
    harm(pixels, facts)
    assert hashes(root) == first
    again = entries()
    assert again.keys() == written.keys()
    assert all(again[name] != written[name] for name in written)


def test_a_full_disk_costs_the_cache_and_not_the_job(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", [f"{n}.png" for n in range(5)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))  # no file may grow beyond: a real error of write()
    try:
        splits = open_pictures(root, Data(size="8"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert any("could not be kept" in note for note in splits["train"].about.notes)
    assert entries() == {}  # no part-written file is left
    assert tuple(split.about.sha256 for split in splits.values()) == hashes(root)


def test_a_cache_that_cannot_be_made_costs_nothing_else(tmp_path: Path, own_cache: Path) -> None:
    own_cache.write_text("a file where the folder should be")
    splits = open_pictures(folder_of(tmp_path / "set", ["a.png", "b.png", "c.png"]), Data(size="8"))
    assert any("could not be kept" in note for note in splits["train"].about.notes)


def test_large_sets_are_spooled_and_mapped_and_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder_of(tmp_path / "set", [f"{'ab'[n % 2]}/{n}.png" for n in range(9)])
    small = open_pictures(root, Data(size="8"))
    monkeypatch.setattr(cache, "IN_MEMORY", 500)
    monkeypatch.setattr(pictures, "IN_MEMORY", 500)
    monkeypatch.setattr(pictures, "Spool", lambda folder: Spool(folder, limit=500))
    large = open_pictures(root, Data(size="8", color="rgb"))
    for split in ("train", "test"):
        everything = torch.arange(len(small[split]))
        for column in ("image", "label"):
            assert torch.equal(small[split][everything][column], large[split][everything][column])
        assert large[split].about.prior == small[split].about.prior
    assert large["train"].about.sha256 != large["test"].about.sha256
    assert isinstance(large["train"], pictures.MappedSource)
    assert subset(large["train"], torch.tensor([1])).about.classes == ("a", "b")
    noise(77).save(root / "a" / "0.png")
    assert open_pictures(root, Data(size="8", color="rgb"))["train"].about.sha256 != large["train"].about.sha256


def test_the_spool_keeps_order_and_survives_a_full_disk(tmp_path: Path) -> None:
    frames = [np.full((1 + n % 3, 4, 4), n, np.uint8) for n in range(12)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    spool = Spool(tmp_path / "spool", limit=100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    try:
        for frame in frames:
            spool.add(frame)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [row.tolist() for row in spool] == [frame.tolist() for frame in frames]
    spool.close()


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("SPARRING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "sparring"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "sparring"


def test_drawn_pictures_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    for n in reversed(range(40)):
        image = Image.new("RGB", (8, 8), (6 * n, 0, 0))
        ImageDraw.Draw(image).point((0, 0), BLUE)
        image.save(tmp_path / f"{n:02}.png")
    splits = open_pictures(tmp_path, Data(size="8", test=0.5))
    reds = [split[torch.arange(len(split))]["image"][:, 0, 4, 4] for split in splits.values()]
    assert torch.equal(torch.cat(reds).sort().values, torch.arange(40, dtype=torch.uint8) * 6)
    assert all((red.int().diff() > 0).all() for red in reds)
