"""Further answers, for the studio's page: a place in the latents, directions, neighbours, films, projections."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from torch import Tensor

from sparring import sampling
from sparring.engine import device_of
from sparring.export.hub import learnt_from
from sparring.machine import isolated
from sparring.serve import wire
from sparring.serve.asked import SEEDS, Parameter, Refused, entry
from sparring.serve.latents import Projection, principal
from sparring.serve.model import PIXELS, mixed
from sparring.serve.near import Neighbours
from sparring.serve.web import Service

DIRECTIONS = 12
"""Sliders."""
FRAMES = 240
"""Of a film."""
KEPT = 16
"""Projections that are remembered."""
FARTHEST = 10.0
"""A slider, in standard deviations of the latents."""
GALLERY = 64
"""Samples of one sheet."""


class Explorer:
    """Everything about one model that the page asks for again and again."""

    def __init__(self, service: Service) -> None:
        self.service, self.served = service, service.served
        self.projections: OrderedDict[str, Projection] = OrderedDict()
        self._directing, self._looking = threading.Lock(), threading.Lock()

    @property
    def able(self) -> bool:
        """Pictures made from latents: what this page can move in."""
        served = self.served
        return served.about.key == "image" and bool(served.latent) and "samples" in served.offers

    @property
    def directions(self) -> tuple[Tensor, list[float]]:
        """(k, d) unit rows, the share of all change that lies along each."""
        with self._directing:
            return self._directions

    @cached_property
    def _directions(self) -> tuple[Tensor, list[float]]:
        if not self.able:
            return torch.zeros(0, 0), []
        with isolated():
            return principal(self.sample, self.some_rows(256), DIRECTIONS)

    def some_rows(self, n: int) -> dict[str, Tensor]:
        """Drawn as samples are; captions are words of the vocabulary, by chance."""
        own = {}
        if self.served.about.caption:
            words = self.served.about.vocabulary
            chance = torch.Generator().manual_seed(1)
            picked = torch.randint(len(words), (n, min(3, self.served.about.caption)), generator=chance).tolist()
            own["caption"] = torch.cat([self.served.words(" ".join(words[i] for i in row)) for row in picked])
        return sampling.draw(self.served.game, n, 1, None, None, own)

    def sample(self, rows: Mapping[str, Tensor]) -> Tensor:
        """On the CPU, with gradients, as the network gives them."""
        assert self.served.game.sample is not None
        device = device_of(self.served.game)
        there = {name: column.to(device) for name, column in rows.items()}
        return self.served.game.sample(self.served.modules, there).float().cpu()

    @property
    def neighbours(self) -> Neighbours | str:
        """Training pictures by nearness; or why there are none."""
        with self._looking:  # of its own: it takes long, and sliders ask for directions meanwhile
            return self._neighbours

    @cached_property
    def _neighbours(self) -> Neighbours | str:
        run = self.served.run
        if run.shipped is not None:
            return "a model file comes without its data"
        source = learnt_from(run)
        if source is None:
            return f"the data are not here, or have changed: {run.written.data.data}"
        return Neighbours(source)

    # -- places ---------------------------------------------------------------------------------------------

    def place(self, told: Mapping[str, Any]) -> dict[str, Tensor]:
        """Rows of one, from JSON: {seeds: [..], weights: [..], projected, sliders: {"0": 1.5}, truncation, label,
        cluster, caption}.
        """
        if not self.able:
            raise Refused(400, "this model has no pictures that are made from latents")
        values = self.beside(told)
        ends = [self.end(seed, values) for seed in self.seeds(told)]
        weights = entry(told, "weights", list, [1.0] + [0.0] * (len(ends) - 1))
        numbers = [entry({"weights": w}, "weights", float, 0.0) for w in weights]
        if len(numbers) != len(ends) or min(numbers) < 0 or not 1e-6 < sum(numbers) < 1e6:
            raise Refused(400, f"weights={str(weights)[:80]} must be one for each seed, not below 0, and not all 0")
        shares = torch.tensor([numbers]) / sum(numbers)
        rows = dict(ends[int(shares.argmax())])
        rows["latent"] = mixed(torch.cat([end["latent"] for end in ends]), shares, self.served.uniform)
        rows = self.served.adjusted(rows, values)
        sliders = self.sliders(told)
        if bool(sliders.any()):
            rows["latent"] = rows["latent"] + sliders @ self.directions[0]
        return rows

    def seeds(self, told: Mapping[str, Any]) -> list[Any]:
        """Whole numbers, or names of projections."""
        given: list[Any] = entry(told, "seeds", list, [0])
        if not 1 <= len(given) <= 8:
            raise Refused(400, f"seeds are {len(given)}; give 1 to 8")
        return given

    def end(self, seed: Any, values: Mapping[str, Any]) -> dict[str, Tensor]:
        """A corner: a drawn latent, or one that a picture was projected to."""
        if isinstance(seed, str):
            rows, found = self.served.rows(1, 0, values), self.projection(seed).rows()
            if values.get("label") is not None:
                found["label"] = rows["label"]
            elif values["cluster"] is not None:
                found["label"] = torch.tensor([values["cluster"]])
            return {**rows, **found}
        number = entry({"seed": seed}, "seed", int, None)
        if number is None or not 0 <= number < SEEDS:
            raise Refused(400, f"seed={str(seed)[:80]} must be a whole number from 0 to 2^53 - 1")
        rows = self.served.rows(1, number, {k: v for k, v in values.items() if k != "truncation"})
        if values.get("cluster") is not None:
            rows["label"] = torch.tensor([values["cluster"]])
        return rows

    def beside(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Label, caption and truncation, checked as those of /samples are."""
        found: dict[str, Any] = {"cluster": None}
        for parameter in self.served.shared():
            value = told.get(parameter.name)
            found[parameter.name] = parameter.default if value is None else parameter.read(str(value))
            if parameter.required and value is None:
                raise Refused(400, f"{parameter.name} is missing: {parameter.help}")
        clusters, cluster = self.served.facts()["clusters"], entry(told, "cluster", int, None)
        if cluster is not None:
            if not 0 <= cluster < clusters:
                raise Refused(400, f"cluster={cluster} must be from 0 to {clusters - 1}")
            found["cluster"] = cluster
        return found

    def sliders(self, told: Mapping[str, Any]) -> Tensor:
        """(1, k) how far along each direction."""
        given, count = entry(told, "sliders", dict, {}), len(self.directions[0]) if told.get("sliders") else 0
        found = torch.zeros(1, count)
        for name in given:
            value = entry(given, name, float, 0.0)
            if not (name.isascii() and name.isdigit() and len(name) < 4 and int(name) < count) or abs(value) > FARTHEST:
                raise Refused(400, f"sliders: {name[:20]}={value} must be one of 0 to {count - 1}, within {FARTHEST:g}")
            found[0, int(name)] = value
        return found

    # -- projections ------------------------------------------------------------------------------------------

    def projection(self, name: str) -> Projection:
        """One that was begun."""
        found = self.projections.get(name)
        if found is None:
            raise Refused(404, "there is no such projection; it may be too long ago")
        return found

    def project(self, data: bytes, told: Mapping[str, Any], steps: int) -> str:
        """Begin one; its name."""
        if not self.able:
            raise Refused(400, "this model has no pictures that are made from latents")
        if any(not other.done for other in self.projections.values()):
            raise Refused(503, "another picture is being projected; stop it, or wait", 5)
        picture = wire.uploaded(data, self.served.about.shape, "crop", PIXELS)
        values = self.beside(told)
        candidates = self.candidates(values)
        made = Projection(self.sample, candidates, picture, steps, self.served.uniform)
        while len(self.projections) >= KEPT:
            self.projections.popitem(last=False)
        self.projections[made.name] = made
        made.start()
        return made.name

    def candidates(self, values: Mapping[str, Any]) -> dict[str, Tensor]:
        """Where a projection may begin: drawn samples, of the label and caption that are given."""
        if values.get("caption") is not None or values.get("label") is not None:
            rows = self.served.rows(256, 2, {**values, "truncation": None})
        else:
            rows = self.some_rows(256)
        if values["cluster"] is not None:
            rows["label"] = torch.full((256,), values["cluster"])
        return rows


async def json_of(request: Request, explorer: Explorer) -> dict[str, Any]:
    """The JSON object that comes. `Refused` (400, 413, 415)."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(415, "JSON is expected")
    try:
        values = json.loads(await explorer.service.body(request))
    except (ValueError, RecursionError):
        raise Refused(400, "that is not JSON") from None
    if not isinstance(values, dict):
        raise Refused(400, "a JSON object is expected")
    return values


class Answers:
    """What the page asks, answered."""

    def __init__(self, service: Service) -> None:
        self.service, self.explorer = service, Explorer(service)

    async def facts(self, request: Request) -> Response:
        """What there is to explore."""
        _, shares = await run_in_threadpool(lambda: self.explorer.directions)
        told = {"able": self.explorer.able, "directions": [round(share, 4) for share in shares], "farthest": FARTHEST}
        films = ["gif", "mp4"] if _has_av() else ["gif"]
        limits = {"upload": self.service.limits.upload, "seconds": self.service.limits.seconds}
        shipped = self.explorer.served.run.shipped is not None
        return JSONResponse(
            {**self.explorer.served.facts(), **told, "films": films, "limits": limits, "shipped": shipped}
        )

    async def picture(self, request: Request) -> Response:
        """The sample at a place."""
        rows = self.explorer.place(await json_of(request, self.explorer))
        made = await self.service.made(rows, 0)
        return Response(wire.png(made[0]), media_type="image/png")

    async def gallery(self, request: Request) -> Response:
        """Samples of several seeds."""
        told = await json_of(request, self.explorer)
        seeds = entry(told, "seeds", list, [])
        if not 1 <= len(seeds) <= min(GALLERY, self.explorer.served.most):
            raise Refused(400, f"seeds are {len(seeds)}; give 1 to {min(GALLERY, self.explorer.served.most)}")
        places = [self.explorer.place({**told, "seeds": [seed], "weights": [1]}) for seed in seeds]
        rows = {name: torch.cat([place[name] for place in places]) for name in places[0]}
        samples = await self.service.made(rows, 0)
        return JSONResponse({"pictures": await run_in_threadpool(lambda: [wire.as_url(one) for one in samples])})

    async def near(self, request: Request) -> Response:
        """Training pictures nearest to the samples at places."""
        told = await json_of(request, self.explorer)
        places = entry(told, "places", list, [])
        if not 1 <= len(places) <= GALLERY or not all(isinstance(place, dict) for place in places):
            raise Refused(400, f"places must be 1 to {GALLERY} objects")
        count = Parameter("count", "integer", "", least=1, most=12).read(str(told.get("count", 4)))
        rows = [self.explorer.place(place) for place in places]
        found = await run_in_threadpool(lambda: self.explorer.neighbours)
        if isinstance(found, str):
            raise Refused(409, found)
        samples = await self.service.made({name: torch.cat([row[name] for row in rows]) for name in rows[0]}, 0)
        return JSONResponse({"neighbours": await run_in_threadpool(found.nearest, samples, count)})

    async def film(self, request: Request) -> Response:
        """From seed to seed, and back."""
        told = await json_of(request, self.explorer)
        form = Parameter("format", "string", "", choices=("gif", "mp4")).read(str(told.get("format", "gif")))
        frames = Parameter("frames", "integer", "", least=2, most=FRAMES).read(str(told.get("frames", 48)))
        rate = Parameter("rate", "number", "", least=1, most=50).read(str(told.get("rate", 16)))
        rows = loop(self.explorer, told, frames)
        samples = torch.cat([await self.service.made(part, 0) for part in parts(rows, self.service.limits.rows)])
        made = await run_in_threadpool(wire.film, list(samples), rate, form)
        return Response(made, media_type=wire.MEDIA[form])

    async def project(self, request: Request) -> Response:
        """A search for an uploaded picture is begun."""
        names = ("label", "caption", "cluster", "steps")
        given = [(k, v) for k, v in request.query_params.multi_items() if k in names]
        values: dict[str, Any] = dict(given)
        steps = Parameter("steps", "integer", "", least=1, most=1000).read(values.pop("steps", "300"))
        if "cluster" in values:
            values["cluster"] = Parameter("cluster", "integer", "", least=0, most=10**6).read(values["cluster"])
        body = await self.service.body(request)
        return JSONResponse({"name": await run_in_threadpool(self.explorer.project, body, values, steps)})

    async def progress(self, request: Request) -> Response:
        """How a search goes; DELETE ends it."""
        found = self.explorer.projection(request.path_params["name"])
        if request.method == "DELETE":
            found.stop()
        return JSONResponse(found.told())


def routes(service: Service) -> Sequence[BaseRoute]:
    """For the studio alone; not part of the description."""
    answers = Answers(service)
    table: list[tuple[str, Any, str]] = [
        ("facts", answers.facts, "GET"),
        ("picture", answers.picture, "POST"),
        ("gallery", answers.gallery, "POST"),
        ("near", answers.near, "POST"),
        ("film", answers.film, "POST"),
        ("project", answers.project, "POST"),
        ("project/{name}", answers.progress, "GET"),
        ("project/{name}", answers.progress, "DELETE"),
    ]
    return [Route(f"/explore/{path}", handle, methods=[method]) for path, handle, method in table]


def loop(explorer: Explorer, told: Mapping[str, Any], frames: int) -> dict[str, Tensor]:
    """Rows of a film through the seeds and back to the first, everything else standing still."""
    seeds = explorer.seeds(told)
    ends = [explorer.place({**told, "seeds": [seed], "weights": [1]}) for seed in seeds]
    weights = torch.zeros(frames, len(ends))
    for frame in range(frames):
        at = frame * len(ends) / frames
        first, share = int(at), at - int(at)
        weights[frame, first] += 1 - share
        weights[frame, (first + 1) % len(ends)] += share
    latent = mixed(torch.cat([end["latent"] for end in ends]), weights, explorer.served.uniform)
    same = {name: column.expand(frames, *column.shape[1:]) for name, column in ends[0].items()}
    return {**same, "latent": latent}


def parts(rows: Mapping[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    """Rows in pieces, between which others may be served."""
    cut = zip(*(torch.split(column, size) for column in rows.values()), strict=True)
    return [dict(zip(rows, part, strict=True)) for part in cut]


def _has_av() -> bool:
    import importlib.util

    return importlib.util.find_spec("av") is not None
