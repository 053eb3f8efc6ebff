"""Latents: the directions that change pictures most, and the way back from a picture to its latent."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.data.kinds import ready, to_uint8
from sparring.serve import wire

Network = Callable[[Mapping[str, Tensor]], Tensor]
"""Rows of columns -> pictures (N, C, H, W) in [-1, 1], with gradients."""
COARSE = 16
"""Pixels a side at which a change of pictures is measured: fine texture is no direction to go."""
AT_ONCE = 32
LONGEST = 60.0
"""Seconds of a projection."""
BEFORE = 1e-3
"""Weight of a latent's mean square beside that of pixels: far from the middle there are no pictures."""


def principal(network: Network, rows: Mapping[str, Tensor], most: int) -> tuple[Tensor, list[float]]:
    """(k, d) unit directions in the latents by how much pictures change along them, and the share of each.

    Eigenvectors of the mean of J'J over samples, J the derivative of a coarse picture by its latent: the metric that
    pictures give their latents (Wang and Ponce 2021). The singular vectors of the first layer's weights (SeFa: Shen and
    Zhou 2021), and, where it is linear, the principal components of what it makes (GANSpace: Haerkoenen et al. 2020)
    see that layer alone; this sees all of them and asks for none by name. J'J is estimated by v'J for random v.
    """
    latent, slopes = rows["latent"], list[Tensor]()
    chance = torch.Generator().manual_seed(0)
    for first in range(0, len(latent), AT_ONCE):
        part = {name: column[first : first + AT_ONCE] for name, column in rows.items()}
        moved = part["latent"].detach().clone().requires_grad_(True)
        with torch.enable_grad():
            seen = coarse(network({**part, "latent": moved}))
            if not seen.requires_grad:
                return torch.zeros(0, latent.shape[1]), []
            for _ in range(4):
                view = torch.randn(seen.shape, generator=chance)
                (slope,) = torch.autograd.grad((seen * view).sum(), moved, retain_graph=True)
                slopes.append(slope.detach())
    _, strength, found = torch.linalg.svd(torch.cat(slopes).double(), full_matrices=False)
    share = strength.square() / strength.square().sum().clamp(min=1e-30)
    count = min(most, int((share > 1e-9).sum()))
    signs = torch.where(found.sum(1, keepdim=True) < 0, -1.0, 1.0)  # a direction has none: this one stays the same
    return (signs * found)[:count].float(), share[:count].tolist()


def coarse(pictures: Tensor) -> Tensor:
    """(N, C, H, W) -> at most `COARSE` pixels a side, averaged."""
    return F.adaptive_avg_pool2d(pictures.float(), (min(COARSE, pictures.shape[2]), min(COARSE, pictures.shape[3])))


def apart(made: Tensor, wanted: Tensor) -> Tensor:
    """(N, C, H, W) in [-1, 1], twice -> (N,) mean square difference, averaged over sizes: first places, then detail."""
    total, side = torch.zeros(len(made)), made.shape[2:]
    sizes = [(max(1, side[0] // by), max(1, side[1] // by)) for by in (1, 2, 4, 8)]
    for size in sizes:
        a, b = F.adaptive_avg_pool2d(made, size), F.adaptive_avg_pool2d(wanted, size)
        total = total + (a - b).square().flatten(1).mean(1)
    return total / len(sizes)


class Projection:
    """A picture's latent, found by descent from the nearest of many drawn ones; in a thread, bounded, stoppable.

    No weight of the model moves: this is a search for an input (Zhu et al. 2016; Abdal et al. 2019).
    """

    def __init__(
        self, network: Network, candidates: Mapping[str, Tensor], picture: Tensor, steps: int, uniform: bool
    ) -> None:
        self.name, self.steps, self.step, self.done, self.error = secrets.token_hex(8), steps, 0, False, ""
        self.network, self.candidates, self.uniform = network, dict(candidates), uniform
        self.wanted = ready(picture[None]).contiguous()
        self.distance, self.begun, self.picture = float("nan"), float("nan"), picture
        self.best: dict[str, Tensor] = {name: column[:1] for name, column in candidates.items()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="projection", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after this step; what was found stays."""
        self._stop.set()

    def wait(self, seconds: float) -> None:
        """Until it is done."""
        self._thread.join(seconds)

    def rows(self) -> dict[str, Tensor]:
        """The best so far, as a row of one."""
        return dict(self.best)

    def told(self) -> dict[str, Any]:
        """How it goes; distances are root mean square differences of pixels, of 255."""
        found = {name: (None if value != value else round(value, 2)) for name, value in
                 (("distance", self.distance), ("begun", self.begun))}  # fmt: skip
        return {
            "step": self.step, "steps": self.steps, "done": self.done, "error": self.error, **found,
            "picture": wire.as_url(self.picture),
        }  # fmt: skip

    def _run(self) -> None:
        try:
            torch.set_num_threads(1)  # beside who moves the sliders
            self._descend(self._nearest(), time.monotonic() + LONGEST)
        except Exception as error:  # a thread's errors reach nobody else
            self.error = f"{type(error).__name__}: {error}"[:300]
        self.done = True

    def _keep(self, rows: Mapping[str, Tensor], made: Tensor) -> None:
        """A picture that is nearer than those before."""
        distance = float((made - self.wanted).square().mean().sqrt()) * 127.5
        if not distance >= self.distance:  # also while there is none
            self.distance, self.picture = distance, to_uint8(made)[0]
            self.best = {name: column.detach().clone() for name, column in rows.items()}

    @torch.no_grad()
    def _nearest(self) -> dict[str, Tensor]:
        """Of the candidates, the one whose picture is nearest."""
        count, best, least = len(self.candidates["latent"]), 0, float("inf")
        for first in range(0, count, AT_ONCE):
            part = {name: column[first : first + AT_ONCE] for name, column in self.candidates.items()}
            away = apart(self.network(part).float().contiguous(), self.wanted)
            if float(away.min()) < least:
                least, best = float(away.min()), first + int(away.argmin())
            if self._stop.is_set():
                break
        rows = {name: column[best : best + 1] for name, column in self.candidates.items()}
        self._keep(rows, self.network(rows).float())
        self.begun = self.distance
        return rows

    def _descend(self, rows: dict[str, Tensor], end: float) -> None:
        """Adam by hand: first and second moments of the slope, a rate that falls to 0."""
        latent = rows["latent"].clone()
        first, second = torch.zeros_like(latent), torch.zeros_like(latent)
        for step in range(self.steps):
            if self._stop.is_set() or time.monotonic() > end:
                return
            moved = latent.clone().requires_grad_(True)
            with torch.enable_grad():
                made = self.network({**rows, "latent": moved}).float()
                loss = apart(made, self.wanted).sum() + BEFORE * moved.square().mean()
                if not loss.requires_grad:
                    self.error = "this model's pictures cannot be followed back to their latents"
                    return
                (slope,) = torch.autograd.grad(loss, moved)
            self._keep({**rows, "latent": moved}, made.detach())
            first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope.square()
            rate = 0.1 * (1 - step / self.steps)
            about = (first / (1 - 0.9 ** (step + 1)), second / (1 - 0.99 ** (step + 1)))
            latent = latent - rate * about[0] / (about[1].sqrt() + 1e-8)
            latent = latent.clamp(-1, 1) if self.uniform else latent
            self.step = step + 1
