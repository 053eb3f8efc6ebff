"""The picture files of a folder or a .zip: listed, bounded, read in place and never extracted."""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from sparring.config import UserError
from sparring.data.decode import EXTENSIONS, UnreadableError
from sparring.data.labels import is_picture

MAX_FILE = 256 * 2**20
"""Bytes of one picture file, or of one unpacked member of a zip; larger ones are left out."""


@dataclass(frozen=True)
class File:
    """One picture file, not read yet."""

    name: str
    """Path within the folder or zip, with forward slashes."""
    read: Callable[[], bytes]
    """Its bytes, or `UnreadableError`."""


def hidden(name: str) -> bool:
    """Whether a file of this path is one that systems put beside others, or keep from sight."""
    parts = PurePosixPath(name).parts
    return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts)


@dataclass
class Listing:
    """What a folder or zip holds."""

    files: list[File] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """How many files of each ending are no pictures."""
    wanted: Callable[[str], bool] = is_picture
    """Whether a file of this name is one of those that are looked for."""

    def add(self, name: str, read: Callable[[], bytes], problem: str = "") -> None:
        """Sort a file under pictures, files left out, or no pictures; hidden ones are passed over."""
        if hidden(name):
            return
        if not self.wanted(name):
            self.skipped[PurePosixPath(name).suffix.lower() or "no ending"] += 1
        elif problem:
            self.bad.append((name, problem))
        else:
            self.files.append(File(name, read))


@contextlib.contextmanager
def opened(
    path: Path,
    wanted: Callable[[str], bool] = is_picture,
    what: str = "pictures",
    endings: Iterable[str] = EXTENSIONS,
) -> Iterator[Listing]:
    """All files, sorted by name; a zip stays open meanwhile. Raises `UserError` when there is no picture.

    Of other kinds of samples: whether a file is `wanted`, by its name, and for messages what they are and end in.
    """
    listing = Listing(wanted=wanted)
    if path.is_dir():
        _folder(path.resolve(), listing)
        yield _sorted(path, listing, what, endings)
        return
    if not path.exists():
        raise UserError(f"data={path}: there is no such folder or zip; give the path of a folder of {what} or a .zip")
    if not path.is_file():  # a pipe or a device would be waited for
        raise UserError(f"data={path} is neither a folder nor a file; give a folder of {what} or a .zip")
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        raise UserError(f"data={path} is neither a folder nor a zip of {what}; give the folder that holds them")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UserError(f"data={path} is not a sound zip ({error}); fetch or pack it again") from None
    with archive:
        _zip(archive, listing)
        yield _sorted(path, listing, what, endings)


def _sorted(path: Path, listing: Listing, what: str, endings: Iterable[str]) -> Listing:
    if not listing.files and not listing.bad:
        kinds = " ".join(sorted(endings))
        skipped = f" ({listing.skipped.total()} other files are there)" if listing.skipped else ""
        raise UserError(f"data={path} holds no {what}{skipped}; looked in all sub-folders for: {kinds}")
    listing.files.sort(key=lambda file: file.name)
    return listing


def _folder(root: Path, listing: Listing) -> None:
    """Every file below `root` (resolved). Links to files may stay within; linked folders are not entered."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            # a name that is not UTF-8 could not be printed or written down
            shown = os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "replace")
            listing.add(shown, partial(_file_bytes, path), path_problem(path, root))


def path_problem(path: Path, root: Path) -> str:
    """Why a file below `root` (resolved) is not to be read; empty where it may be."""
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return "a link that leaves the folder; copy the picture into it"
        status = path.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return _size_problem(status.st_size)


def _size_problem(size: int) -> str:
    if size == 0:
        return "the file is empty"
    return f"{size} bytes are more than the limit of {MAX_FILE // 2**20} MiB a file" if size > MAX_FILE else ""


def single(path: Path) -> File:
    """One file of its own."""
    return File(path.name, partial(_file_bytes, path))


def _file_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _bounded(file.read(MAX_FILE + 1))
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from None


def _zip(archive: zipfile.ZipFile, listing: Listing) -> None:
    """Every member, to be read in place: nothing is ever extracted, so no name can reach the disk."""
    for info in archive.infolist():
        if not info.is_dir():
            listing.add(info.filename.replace("\\", "/"), partial(member_bytes, archive, info), _member_problem(info))


def _member_problem(info: zipfile.ZipInfo) -> str:
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        return "its name points outside the zip"
    if info.flag_bits & 0x1:
        return "encrypted; unpack the zip with its password and give the folder"
    return _size_problem(info.file_size)


def member_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Unpack one member, to `MAX_FILE` at most and with its checksum checked, or raise `UnreadableError`."""
    try:
        with archive.open(info) as member:
            return _bounded(member.read(MAX_FILE + 1))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError) as error:
        # RuntimeError: encrypted, or (NotImplementedError) packed in a way that zipfile does not know
        raise UnreadableError(f"cannot be unpacked: {error or type(error).__name__}") from None


def _bounded(data: bytes) -> bytes:
    if problem := _size_problem(len(data)):
        raise UnreadableError(problem)
    return data
