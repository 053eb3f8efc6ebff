"""Where shards lie: a folder, http, an object store. What lies elsewhere is fetched whole, into a bounded cache."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from sparring.config import UserError
from sparring.data.cache import cache_dir
from sparring.files import replacing

TIMEOUT = 30.0
"""Seconds without a byte."""
PAUSES = (1.0, 4.0, 15.0)
"""Seconds before each further try."""
LARGEST = 64 * 2**30
"""Bytes of a file whose size nothing tells beforehand."""
SCHEMES = (
    "http", "https", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "hf", "oci", "oss", "r2", "webhdfs",
    "file", "memory",
)  # fmt: skip
"""Of addresses: stores of files. fsspec knows others, some of which run commands or reach into what lies here."""
TELLING = ("lastmodified", "mtime", "updated", "etag", "generation", "md5hash")
"""What stores say of a version, in small letters; the first that is there counts."""
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may be others a moment later."""


class ShardError(UserError):
    """A shard that is gone, damaged or out of reach; the message says which, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """A file by its name within the store, and what it must be."""

    name: str
    size: int = -1
    """Bytes; -1 where they are not known yet."""
    sha256: str = ""
    """Empty where it is not known yet."""


@dataclass(frozen=True)
class Store:
    """Files below a folder or an address."""

    base: str
    """A path, or an address: `https://host/set`, `s3://bucket/set`."""
    most: int = 8 * 10**9
    """Bytes of the cache folder that fetched files may take. The one just fetched is always kept."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def away(self) -> bool:
        """Not on this machine's disks."""
        return "://" in self.base

    def where(self, name: str) -> str:
        """The full path or address."""
        return f"{self.base}/{name}" if self.away else str(Path(self.base) / name)

    def local(self, wanted: Wanted) -> Path:
        """Its path on this machine, once it is there with the size that it must have. Raises `ShardError`."""
        if self.away:
            return self._fetched(wanted)
        path = Path(self.where(wanted.name))
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ShardError(
                f"data: {path} cannot be read ({error.strerror}); put it back, then resume: nothing of the set is lost"
            ) from None
        if wanted.size not in (-1, size):
            raise ShardError(f"data: {path} has {size} bytes and should have {wanted.size}; copy it again, then resume")
        return path

    def read(self, wanted: Wanted, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, fewer only where the file ends. Raises `ShardError`."""
        for attempt in (1, 2):
            path = self.local(wanted)
            try:
                with path.open("rb") as file:
                    file.seek(offset)
                    return file.read(size)
            except FileNotFoundError:  # another process has just made room in the cache
                if attempt == 2 or not self.away:
                    break
            except OSError as error:
                raise ShardError(f"data: {path} cannot be read ({error.strerror or error}); then resume") from None
        raise ShardError(f"data: {self.where(wanted.name)} is gone; put it back, then resume")

    def forget(self, wanted: Wanted) -> bool:
        """Remove a fetched copy, so that it is fetched again; False where there is none to remove."""
        if self.away:
            self._kept(wanted).unlink(missing_ok=True)
        return self.away

    def version(self, name: str) -> str:
        """Of a file that lies elsewhere: another text where it has changed; empty where nobody can tell."""
        return _version(self.where(name)) if self.away else ""

    def _kept(self, wanted: Wanted) -> Path:
        key = hashlib.sha256(self.where(wanted.name).encode()).hexdigest()
        return cache_dir() / "shards" / f"{key[:32]}.tar"

    def _fetched(self, wanted: Wanted) -> Path:
        path = self._kept(wanted)
        if self._there(path):
            return path
        with self.lock, _alone(path.parent):  # of threads and of processes, one at a time: the next find it there
            if not self._there(path):
                _make_room(path, self.most - max(wanted.size, 0))  # before it comes: the bound holds at every moment
                _fetch(self.where(wanted.name), path, wanted)
                if wanted.size < 0:
                    _make_room(path, self.most)
        return path

    @staticmethod
    def _there(path: Path) -> bool:
        try:
            os.utime(path)  # used last: the others make room first
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits for other processes that fetch into this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows: each fetches for itself
        yield
        return
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for rest in folder.glob(".*.part"):  # of a process that was killed: nobody else writes here now
            rest.unlink(missing_ok=True)
        yield


def _make_room(newest: Path, most: int) -> None:
    """Remove what was not used for longest, down to `most` bytes, but never the newest."""
    held = []
    for path in newest.parent.glob("*.tar"):
        with contextlib.suppress(OSError):
            status = path.stat()
            held.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in held)
    for _, size, path in sorted(held):
        if total > most and path != newest:
            path.unlink(missing_ok=True)
            total -= size


def _fetch(url: str, path: Path, wanted: Wanted) -> None:
    """To `path`, which appears only once it is complete and right; tried again where that may help."""
    reason = ""
    for pause in (*PAUSES, None):
        try:
            with replacing(path) as file:
                size, sha256 = _copy(url, file, wanted.size)
                if wanted.size in (-1, size) and wanted.sha256 in ("", sha256):
                    return
                reason = f"{size} bytes came, with another checksum than {wanted.size} bytes that the index tells of"
                raise OSError(reason)
        except urllib.error.HTTPError as error:
            reason = f"the server says {error.code} {error.reason}"
            if error.code not in _PASSING:
                break
        except FileNotFoundError:
            reason = "there is no such file"
            break
        except (OSError, http.client.HTTPException) as error:  # OSError: URLError, timeouts, full disks
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        if pause is not None:
            time.sleep(pause)
    raise ShardError(
        f"data: {url} could not be fetched ({reason}); when it is there again, resume: nothing of the set is lost"
    )


def _copy(url: str, file: IO[bytes], size: int) -> tuple[int, str]:
    """Write what is at `url`, `size` bytes (or `LARGEST`) at most; (bytes, sha256)."""
    digest, received, most = hashlib.sha256(), 0, size if size >= 0 else LARGEST
    with _opened(url) as answer:
        while block := answer.read(2**20):
            received += len(block)
            if received > most:
                raise OSError(f"it gives more than {most} bytes")
            file.write(block)
            digest.update(block)
        length = getattr(answer, "length", None)
    if isinstance(length, int) and length > 0:  # http.client does not tell of it by itself
        raise OSError(f"the connection broke {length} bytes before the end")
    return received, digest.hexdigest()


def checked(url: str) -> SplitResult:
    """The parts of an address. `UserError` for one that names no store, or several, one within the other."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UserError(f"data={url} is not an address: {error}") from None
    if "::" in re.sub(r"//\[[^]/]*\]", "//", url, count=1):  # not a host's, which is IPv6
        raise UserError(f"data={url} is a chain of addresses, which is not read; give that of the shards themselves")
    if parts.scheme not in SCHEMES:
        raise UserError(f"data={url}: '{parts.scheme}' is not one of {', '.join(SCHEMES)}; copy it to one of them")
    return parts


def over_the_wire(url: str) -> str:
    """An address in ASCII: the host by IDNA, the rest percent-quoted; what is quoted already stays as it is."""
    try:
        parts = urlsplit(url)
        host = parts.netloc
        if not host.isascii():
            host = (parts.hostname or "").encode("idna").decode() + (f":{parts.port}" if parts.port else "")
        path, query = (quote(part, safe="%/:@!$&'()*+,;=?~[]") for part in (parts.path, parts.query))
    except ValueError as error:
        raise UserError(f"data={url!r} is not an address: {error}") from None
    return urlunsplit((parts.scheme, host, path, query, ""))


def _version(url: str) -> str:
    """What a store tells of a file that would be other for other content; empty where it tells nothing, or is gone.

    A time before an ETag: copies of a set on several machines may have the same times, and ETags of their own.
    """
    try:
        if urlsplit(url).scheme in ("http", "https"):
            question = urllib.request.Request(over_the_wire(url), method="HEAD")
            with urllib.request.urlopen(question, timeout=TIMEOUT) as answer:
                told = dict(answer.headers.items())
        else:
            import fsspec

            store, path = fsspec.core.url_to_fs(url)
            told = store.info(path)
    except Exception:  # of whatever kind: each store has its own
        return ""
    told = {str(name).lower().replace("-", "").replace("_", ""): str(value) for name, value in told.items()}
    first = next((told[name] for name in TELLING if name in told), "")
    length = told.get("contentlength", told.get("size", ""))
    return f"{first} {length}".strip()


def _opened(url: str) -> Any:
    """A readable stream, to be closed."""
    if urlsplit(url).scheme in ("http", "https"):
        return urllib.request.urlopen(over_the_wire(url), timeout=TIMEOUT)
    try:
        import fsspec
    except ImportError:
        raise UserError(f"data={url}: addresses other than http and https need fsspec: pip install fsspec") from None
    try:
        return fsspec.open(url, "rb").open()
    except (ImportError, ValueError) as error:  # a protocol that is not known, or whose package is not there
        raise UserError(f"data={url}: {error}") from None
