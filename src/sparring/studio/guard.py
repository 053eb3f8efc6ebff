"""Who may ask, and for what: token, Host and Origin, the size of bodies, headers, paths.

A page of any other site can make a browser send requests to this machine. What such a page cannot do is know the
token, so every request needs it; and the token is worth nothing from elsewhere, as Host and Origin are checked too.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparring.hosts import loopback

BODY = 1_000_000
"""Bytes of a request, at most, where a route says nothing else."""
LONGEST_NAME = 200
SAFE = ("GET", "HEAD")


class Refused(Exception):  # noqa: N818  (an answer, not an error of the program)
    """A request that is answered with `status` and a sentence; `field` is the setting that it is about."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.field = status, message, field

    def response(self) -> Response:
        """As JSON: {"error": ..., "field": ...}."""
        return JSONResponse({"error": self.message, "field": self.field}, self.status)


def within(root: Path, name: str) -> Path:
    """The full path of `name` inside `root`, links followed. `Refused` (404) for whatever lies outside or is odd."""
    if "\0" in name or "\\" in name or len(name) > 4 * LONGEST_NAME:
        raise Refused(404, "there is no such file")
    try:
        path, full = (root / name).resolve(), root.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name too long
        raise Refused(404, "there is no such file") from None
    if not path.is_relative_to(full):
        raise Refused(404, "there is no such file")
    return path


def child(root: Path, name: str) -> Path:
    """The folder `name` directly inside `root`: a run, a set of uploads. `Refused` (404) where there is none."""
    odd = not name or len(name) > LONGEST_NAME or "/" in name or name.startswith(".")
    if odd or (path := within(root, name)).parent != root.resolve() or not path.is_dir():
        raise Refused(404, f"there is no '{name[:LONGEST_NAME]}' here")
    return path


def sayable(name: str) -> bool:
    """Whether a file's name is text. On many systems it may be any bytes, and what is no UTF-8 no answer can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class Guard:
    """ASGI middleware around everything. `limits`: bytes of a body, by the beginning of the path."""

    def __init__(
        self, app: ASGIApp, token: str, host: str, port: int, limits: Mapping[str, int], ticket: str = ""
    ) -> None:
        self.app, self.token, self.host, self.limits, self.ticket = app, token, host, limits, ticket
        self.cookie = f"sparring_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with bounded body and added headers."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        answer = self.answer(scope, headers)
        if answer is not None:
            await _refuse(answer, scope, receive, send, self._headers(headers))
            return
        most = next((size for path, size in self.limits.items() if scope["path"].startswith(path)), BODY)
        if int(headers.get("content-length", 0) if headers.get("content-length", "0").isdigit() else 0) > most:
            large = Refused(413, f"the request is larger than {most:,} bytes")
            await _refuse(large.response(), scope, receive, send, self._headers(headers))
            return
        bounded = _bounded(receive, most) if scope["type"] == "http" else receive
        await self.app(scope, bounded, _with_headers(send, self._headers(headers)))

    def answer(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """What is answered instead of the page; None lets the request through."""
        if not self._here(headers.get("host", "")):
            return Refused(403, "this address is not one of the studio's").response()
        method, origin = scope.get("method", "websocket"), headers.get("origin")
        if origin is not None and not self._own(origin, headers["host"]):
            return Refused(403, "requests from other pages are refused").response()
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            navigates = headers.get("sec-fetch-mode") == "navigate" and method in SAFE and scope["path"] == "/"
            if not navigates:  # a link to the studio may be followed; nothing else may come from elsewhere
                return Refused(403, "requests from other pages are refused").response()
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        given, ticket = asked.get("token", [""])[0], asked.get("ticket", [""])[0]
        if method in SAFE and scope["path"] == "/" and (given or ticket):
            return self._welcome() if self._right(given) or self._redeemed(ticket) else _locked(scope)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._right(bearer):
            return None
        if not self._right(_cookie(headers, self.cookie)):
            return _locked(scope)
        if method not in SAFE and origin is None:  # a cookie is sent by the browser unasked; a bearer's token is not
            return Refused(403, "a request that changes something must say where it comes from").response()
        return None

    def _right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def _redeemed(self, given: str) -> bool:
        right = bool(self.ticket) and hmac.compare_digest(given.encode("utf-8", "replace"), self.ticket.encode())
        self.ticket = "" if right else self.ticket  # once
        return right

    def _welcome(self) -> Response:
        """The token moves from the address, where it would be seen and kept, into a cookie.

        By a page that leads on: the browser sends a strict cookie only where the way began on this site.
        """
        response = Response(
            '<!doctype html><link rel="icon" href="data:,"><meta http-equiv="refresh" content="0;url=/">',
            media_type="text/html",
        )
        response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
        return response

    def _here(self, host: str) -> bool:
        """A name that only this machine can have: a page elsewhere may let its own name point here (rebinding)."""
        name = host.rpartition(":")[0] if not host.endswith("]") else host  # any port: a tunnel may end at another
        name = (name or host).strip("[]").lower()
        if name in ("127.0.0.1", "localhost", "::1", self.host.lower()):
            return True
        if loopback(self.host):
            return False
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return name == socket.gethostname().lower()

    def _own(self, origin: str, host: str) -> bool:
        return origin in (f"http://{host}", f"https://{host}")

    def _headers(self, headers: Mapping[str, str]) -> dict[bytes, bytes]:
        host = headers.get("host", "")
        sockets = f" ws://{host} wss://{host}" if self._here(host) else ""
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
            f"media-src 'self' blob: data:; connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return {
            b"content-security-policy": policy.encode("latin-1"),
            b"x-content-type-options": b"nosniff",
            b"x-frame-options": b"DENY",
            b"referrer-policy": b"no-referrer",
            b"cross-origin-opener-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
            b"cache-control": b"no-store",
        }


def address(host: str, port: int, **key: str) -> str:
    """What is opened in the browser; the key is a token or a ticket."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/?{urlencode(key)}"


def _cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _locked(scope: Scope) -> Response:
    """To people a page, to programs JSON."""
    told = "Open the address that 'sparring studio' has printed: it holds the token."
    if scope["path"] == "/":
        return Response(f"<!doctype html><title>Sparring</title><p>{told}", 401, media_type="text/html")
    return Refused(401, told).response()


async def _refuse(
    response: Response, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes]
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4403, "reason": "refused"})
        return
    await response(scope, receive, _with_headers(send, headers))


def _with_headers(send: Send, added: Mapping[bytes, bytes]) -> Send:
    """A header that the answer has itself is kept."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own: Iterable[tuple[bytes, bytes]] = list(message.get("headers", ()))
            names = {name.lower() for name, _ in own}
            message["headers"] = [*own, *((name, value) for name, value in added.items() if name not in names)]
        await send(message)

    return sending


def _bounded(receive: Receive, most: int) -> Receive:
    """A body without a length, or with a false one, ends where the limit is."""
    seen = 0

    async def receiving() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise Refused(413, f"the request is larger than {most:,} bytes")
        return message

    return receiving
