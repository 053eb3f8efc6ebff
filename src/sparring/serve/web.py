"""The service as an application: a table of endpoints, from which both the routes and the description are made."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from torch import Tensor

from sparring import __version__
from sparring.config import UserError
from sparring.hosts import loopback
from sparring.serve import wire
from sparring.serve.asked import LONGEST, Parameter, Refused, read, refused
from sparring.serve.desk import Desk
from sparring.serve.model import CHARACTERS, MOST_SEEDS, Limits, Served

OBJECT: Mapping[str, Any] = {"type": "object"}
WORDS: Mapping[int, str] = {
    400: "A parameter is wrong, missing or unknown; the sentence says which.",
    403: "The Host header names another machine.",
    404: "There is nothing at this address.",
    405: "This address takes other methods; see Allow.",
    408: "The body did not arrive in time.",
    413: "The body, or the picture in it, is too large.",
    415: "The body is of a media type that is not taken.",
    422: "The body is damaged, or empty, or shows nothing that could be used.",
    503: "Too many are waiting, or it took too long; Retry-After says when to come again.",
}
"""Answers that are no samples: {"error": a sentence}."""


@dataclass(frozen=True)
class Endpoint:
    """An address, what it takes and gives, and who answers."""

    path: str
    method: str
    summary: str
    answer: Callable[[dict[str, Any], bytes], Awaitable[Response]]
    gives: Mapping[str, Mapping[str, Any]]
    """Media type -> JSON schema, of the good answer."""
    parameters: Sequence[Parameter] = ()
    takes: Sequence[str] = ()
    """Media types of a body; none takes no body."""
    refusals: Sequence[int] = field(default=(400, 403))

    def described(self) -> dict[str, Any]:
        """As OpenAPI has it."""
        good = {"description": "As asked for.", "content": {kind: {"schema": s} for kind, s in self.gives.items()}}
        error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        told: dict[str, Any] = {
            "operationId": self.path.strip("/").replace("/", "_").replace(".", "_"),
            "summary": self.summary,
            "parameters": [parameter.described() for parameter in self.parameters],
            "responses": {"200": good} | {str(code): _refusal(code, error) for code in self.refusals},
        }
        if self.takes:
            content: dict[str, Any] = {kind: {"schema": {}} for kind in self.takes}
            told["requestBody"] = {"required": True, "content": content}
        return told


def _refusal(code: int, content: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": WORDS[code], "content": content}
    if code == 503:
        schema = {"type": "integer", "minimum": 1}
        told["headers"] = {"Retry-After": {"description": "Seconds.", "schema": schema}}
    return told


class Service:
    """Endpoints over a model and its queue."""

    def __init__(self, served: Served, desk: Desk, limits: Limits) -> None:
        self.served, self.desk, self.limits = served, desk, limits

    async def result(self, future: Future[Any]) -> Any:
        """What comes of a job. `Refused` (503) where that takes too long; it is not begun then, if it can be helped."""
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.limits.seconds)
        except TimeoutError:
            took = f"no answer within {self.limits.seconds:g} s"
            raise Refused(503, took, self.desk.wait()) from None
        except asyncio.CancelledError:
            if future.cancelled():  # the desk has closed
                raise Refused(503, "the service is closing", 1) from None
            raise

    async def made(self, rows: Mapping[str, Tensor], seed: int) -> Tensor:
        """Samples of these rows."""
        if self.served.noisy:
            return await self.result(self.desk.do(functools.partial(self.served.by_itself, rows, seed)))  # type: ignore[no-any-return]
        return await self.result(self.desk.ask(rows))  # type: ignore[no-any-return]

    async def as_asked(self, samples: Tensor, form: str, facts: Mapping[str, Any] | None = None) -> Response:
        """Samples in a format, encoded beside the loop."""
        made = await run_in_threadpool(wire.encoded, samples, self.served.about, form, facts)
        return Response(made, media_type=wire.MEDIA[form])

    # -- answers -------------------------------------------------------------------------------------------

    async def health(self, values: dict[str, Any], body: bytes) -> Response:
        """That it lives, and how busy it is."""
        desk = self.desk
        told = {"status": "ok", "waiting": len(desk), "room": desk.waiting, "answered": desk.answered}
        return JSONResponse({**told, "passes": desk.passes})

    async def about(self, values: dict[str, Any], body: bytes) -> Response:
        """What the model is."""
        limits = {"upload": self.limits.upload, "seconds": self.limits.seconds, "samples": self.served.most}
        return JSONResponse({**self.served.facts(), "limits": limits, "sparring": __version__})

    async def samples(self, values: dict[str, Any], body: bytes) -> Response:
        """Drawn samples."""
        rows = self.served.rows(values["count"], values["seed"], values)
        facts = {"seed": values["seed"]} | ({"labels": rows["label"].tolist()} if "label" in rows else {})
        return await self.as_asked(await self.made(rows, values["seed"]), values["format"], facts)

    async def interpolation(self, values: dict[str, Any], body: bytes) -> Response:
        """From seed to seed."""
        seeds, steps = values["seeds"], values["steps"]
        samples = await self.made(self.served.path(seeds, steps, values), seeds[0])
        if values["format"] == "gif":
            there_and_back = [*samples, *samples.flip(0)[1:-1]]
            made = await run_in_threadpool(wire.film, there_and_back, values["rate"], "gif")
            return Response(made, media_type=wire.MEDIA["gif"])
        return await self.as_asked(samples, values["format"], {"seeds": seeds})

    async def translation(self, values: dict[str, Any], body: bytes) -> Response:
        """Of an upload."""
        if self.served.about.key == "text":
            text = wire.said(body, CHARACTERS)
            made = await self.result(self.desk.do(functools.partial(self.served.text, text, values)))
            return Response(made, media_type="text/plain; charset=utf-8")
        if values.get("fit", "whole") == "whole":
            samples = await self.result(self.desk.do(functools.partial(self.served.whole, body, values)))
        else:
            rows = await run_in_threadpool(self.served.source_rows, body, values)
            samples = await self.made(rows, values["seed"])
        return await self.as_asked(samples, values["format"])

    async def classification(self, values: dict[str, Any], body: bytes) -> Response:
        """Of an upload."""
        work = functools.partial(self.served.classified, body, values["fit"])
        return JSONResponse({"probabilities": await self.result(self.desk.do(work))})

    # -- the table ---------------------------------------------------------------------------------------------

    def endpoints(self) -> list[Endpoint]:
        """What this model offers."""
        found = [
            Endpoint("/health", "GET", "Whether it lives, and how busy it is.", self.health, _json(_HEALTH)),
            Endpoint("/about", "GET", "What the model is and offers.", self.about, _json(_ABOUT)),
        ]
        served, making = self.served, (400, 403, 503)
        if "samples" in served.offers:
            count = Parameter("count", "integer", "How many.", default=1, least=1, most=served.most)
            takes = [served.seed(), count, *served.shared(), served.format()]
            told = f"Samples: {served.facts()['makes']}."
            found.append(Endpoint("/samples", "GET", told, self.samples, _media(takes), takes, refusals=making))
        if "interpolation" in served.offers and served.most > 1:
            takes = [
                *self._between(),
                *served.shared(),
                served.format(*(["gif"] if served.about.key == "image" else [])),
            ]
            told = "Samples on the way from seed to seed, of one label."
            found.append(
                Endpoint("/interpolation", "GET", told, self.interpolation, _media(takes), takes, refusals=making)
            )
        uploads = (400, 403, 408, 413, 415, 422, 503)
        if "translation" in served.offers:
            takes, text = served.translating(), served.about.key == "text"
            gives = {"text/plain": {"type": "string"}} if text else _media(takes)
            kinds = ("text/plain",) if text else wire.UPLOADED
            told = f"An uploaded {'text' if text else 'picture'}, translated, enlarged or filled."
            found.append(Endpoint("/translation", "POST", told, self.translation, gives, takes, kinds, uploads))
        if "classification" in served.offers:
            told = "How another shape is brought to the size of training."
            fits = [Parameter("fit", "string", told, default="crop", choices=("crop", "pad", "stretch"))]
            told = "What an uploaded picture shows."
            gives = _json(_CLASSES)
            found.append(
                Endpoint("/classification", "POST", told, self.classification, gives, fits, wire.UPLOADED, uploads)
            )
        return found

    def _between(self) -> list[Parameter]:
        """Which seeds, in how many steps: never more samples together than a request may have."""
        most, pictures = self.served.most, self.served.about.key == "image"
        ends = min(MOST_SEEDS, most)
        steps = (most - 1) // (ends - 1)
        told = "From each seed to the next."
        rate = [Parameter("rate", "number", "Frames a second of gif.", default=12.0, least=1, most=50)]
        return [
            Parameter("seeds", "seeds", "Two or more, by commas.", least=2, most=ends, required=True),
            Parameter("steps", "integer", told, default=min(8, steps), least=1, most=steps),
            *(rate if pictures else []),
        ]

    def route(self, endpoint: Endpoint) -> Route:
        """Reads and checks what comes, then answers."""

        async def handle(request: Request) -> Response:
            values = read(endpoint.parameters, request.query_params.multi_items())
            body = b""
            if endpoint.takes:
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind not in endpoint.takes:
                    raise Refused(415, f"'{kind[:80]}' is not taken; send {', '.join(endpoint.takes)}")
                body = await self.body(request)
            return await endpoint.answer(values, body)

        return Route(endpoint.path, handle, methods=[endpoint.method])

    async def body(self, request: Request) -> bytes:
        """All of it. `Refused`: 413 as soon as it is too long, 408 when it dawdles."""
        most, parts, size = self.limits.upload, list[bytes](), 0
        too_large = Refused(413, f"the body is larger than {most:,} bytes")
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > most:
            raise too_large
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise too_large
                    parts.append(part)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self.limits.seconds:g} s") from None
        return b"".join(parts)

    def description(self) -> dict[str, Any]:
        """OpenAPI 3.1, of this model."""
        paths: dict[str, Any] = {}
        for endpoint in self.endpoints():
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = endpoint.described()
        facts = self.served.facts()
        error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
        told = f"{facts['makes']} by {facts['recipe']}, trained on {facts['data']} for {facts['round']:,} rounds."
        return {
            "openapi": "3.1.0",
            "info": {"title": f"{facts['recipe']} of {facts['data']}", "version": __version__, "description": told},
            "paths": paths,
            "components": {"schemas": {"Error": error}},
        }


def _json(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {"application/json": schema}


def _media(parameters: Sequence[Parameter]) -> dict[str, Mapping[str, Any]]:
    """Media type -> schema, of every format that the parameter `format` takes."""
    [form] = [parameter for parameter in parameters if parameter.name == "format"]
    kinds = {wire.MEDIA[name].partition(";")[0]: name for name in form.choices}
    return {kind: _SAMPLES if name == "json" else {} for kind, name in kinds.items()}


def _object(required: bool = True, **properties: Any) -> dict[str, Any]:
    found = {"type": "object", "properties": properties}
    return {**found, "required": list(properties)} if required else found


_COUNT, _TEXT = {"type": "integer", "minimum": 0}, {"type": "string"}
_HEALTH = _object(status={"const": "ok"}, waiting=_COUNT, room=_COUNT, answered=_COUNT, passes=_COUNT)
_NAMES, _SHAPE = {"type": "array", "items": _TEXT}, {"type": "array", "items": {"type": "integer"}}
_ABOUT = _object(
    recipe=_TEXT, data=_TEXT, round=_COUNT, averaged={"type": "boolean"}, makes=_TEXT, kind=_TEXT, shape=_SHAPE,
    rate={"type": "number"}, classes=_NAMES, clusters=_COUNT, words=_NAMES, latent=_COUNT, uniform={"type": "boolean"},
    source=_SHAPE, offers=_NAMES, most=_COUNT, limits=OBJECT, sparring=_TEXT,
)  # fmt: skip
_SAMPLES = {**_object(kind=_TEXT, shape=_SHAPE, samples={"type": "array"})}
_CLASSES = _object(
    probabilities={"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1.000001}}
)


def application(
    service: Service, host: str = "127.0.0.1", more: Sequence[BaseRoute] = (), token: str = ""
) -> Starlette:
    """The service; on loopback it answers only to this machine's names. `token`: asked for in `Authorization`."""
    endpoints = service.endpoints()

    async def description(request: Request) -> Response:
        return JSONResponse(service.description())

    def check(request: Request) -> None:
        if loopback(host) and not loopback(_name(request.headers.get("host", ""))):
            raise Refused(403, "this address is not one of the service's")
        if token and request.headers.get("authorization") != f"Bearer {token}":
            raise Refused(403, "the token is missing")

    routes: list[BaseRoute] = [Route("/openapi.json", description), *(service.route(each) for each in endpoints), *more]
    handlers: Any = {Refused: _answer, HTTPException: _answer, UserError: _answer, Exception: _answer}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.add_middleware(_Checked, check=check)
    return app


def _name(host: str) -> str:
    """Of a Host header, without its port; empty for one that is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class _Checked:
    """ASGI middleware: who may ask, and headers of every answer."""

    def __init__(self, app: Any, check: Callable[[Request], None]) -> None:
        self.app, self.check = app, check

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        request = Request(scope, receive)
        try:
            self.check(request)
        except Refused as error:
            await (await _answer(request, error))(scope, receive, sending)
            return
        await self.app(scope, receive, sending)


async def _answer(request: Request, error: Exception) -> Response:
    """Any error as JSON: {"error": ...}. What nobody has foreseen is told to the terminal, not to who asks."""
    if isinstance(error, UserError):
        error = refused(error)
    if isinstance(error, Refused):
        headers = {} if error.retry is None else {"Retry-After": str(error.retry)}
        return JSONResponse({"error": error.message[: 2 * LONGEST]}, error.status, headers)
    if isinstance(error, HTTPException):
        told = WORDS.get(error.status_code, error.detail)
        return JSONResponse({"error": told}, error.status_code, error.headers)
    return JSONResponse({"error": f"the service has a mistake here: {type(error).__name__}"}, 500)
