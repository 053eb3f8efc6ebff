"""Features learnt from pictures alone: the judge of sets without labels.

Two random views of every picture of a batch must find each other among all other views (SimCLR: Chen et al. 2020).
What stays the same between views (what a thing is) ends up in the features, what does not (where it lies) hardly. Views
are not blurred, not made noisy and not sharpened: a judge must see what generators do wrong.

One player, like `recipes.classifier`, and trained by the same engine; no label is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.augment import cut_along, uniform
from sparring.average import Average
from sparring.config import UserError
from sparring.data.source import About
from sparring.game import Batch, Game, Loss, Player
from sparring.nn.image import FEATURES, ConvEncoder
from sparring.optimizers import Adam, steered

VERSION = 1
"""Counts changes of the training; part of the cache's key."""


@dataclass(frozen=True)
class Views:
    """How far a view may differ from its picture."""

    shift: float = 0.1
    """Moved by up to so much of each side, each way; the border is drawn out."""
    zoom: float = 0.6
    """Cut down to so much of each side at the least, and blown up."""
    out: float = 1.15
    """Made smaller by so much at the most."""
    aspect: float = 0.15
    """Logarithm of how much wider, or higher, it may become."""
    turn: float = 10.0
    """Degrees, each way."""
    cut: float = 0.4
    """Share of each side of a rectangle that is hidden under grey; 0 is off."""
    light: float = 0.2
    """Brightness plus so much at the most; contrast, and saturation where there is colour, times 1 +- twice that."""
    flip: bool = False
    """Mirror every second view. Not digits, nor anything with letters on it."""


@dataclass(frozen=True)
class Config:
    """Numbers of the training."""

    rounds: int = 600
    """Updates."""
    batch: int = 128
    """Pictures per update, two views of each."""
    width: int = 16
    """Channels of the first convolution."""
    hidden: int = 256
    """Units between features and what the views are compared by."""
    compared: int = 128
    """Numbers that views are compared by."""
    temperature: float = 0.2
    """Of the softmax over the other views."""
    views: Views = field(default_factory=Views)
    optimizer: Adam = field(default_factory=lambda: Adam(lr=2e-3, beta1=0.9))
    """Decaying linearly to zero over the whole run."""
    average: float = 0.99
    """Fraction of the averaged weights kept per round."""


def build(config: Config, about: About) -> Game:
    """One player that makes views of one picture alike, and of different pictures unlike. `UserError` for points."""
    if len(about.shape) != 3:
        raise UserError(f"--data {about.name} has {about.what}, and these features are of pictures")
    encoder = ConvEncoder((about.shape[0], about.shape[1], about.shape[2]), config.width)
    projector = nn.Sequential(
        nn.Linear(FEATURES, config.hidden, bias=False),
        nn.BatchNorm1d(config.hidden),
        nn.ReLU(),
        nn.Linear(config.hidden, config.compared),
    )
    optimizer = config.optimizer.over([*encoder.parameters(), *projector.parameters()])

    def loss(batch: Batch) -> Loss:
        x = torch.cat([view(batch["image"], config.views), view(batch["image"], config.views)])
        compared = projector(encoder(x.contiguous(memory_format=torch.channels_last)))
        value, found = contrast(compared.float(), config.temperature)
        return Loss({"contrast": value}, {"found": found})

    return Game(
        modules={"encoder": encoder, "projector": projector},
        players=[Player("encoder", loss, optimizer)],
        product=("encoder",),
        average=Average(config.average),
        on_round=steered([(config.optimizer, optimizer)], 0.0, 0.0),
    )


def contrast(compared: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(2n, d): row i and row n + i are of one picture -> (the mean loss, how often a view finds the other).

    Chen et al. 2020, equation 1: cross-entropy of the other view among all 2n - 1, by cosine over the temperature.
    """
    rows = F.normalize(compared, dim=1)
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    likeness = (rows @ rows.T / temperature).masked_fill(itself, -math.inf)
    other = torch.arange(len(rows), device=rows.device).roll(len(rows) // 2)
    return F.cross_entropy(likeness, other), (likeness.argmax(1) == other).float().mean()


def view(x: Tensor, views: Views) -> Tensor:
    """(N, C, H, W) in [-1, 1] -> as many, each changed at random by torch's global generator on its device."""
    x = F.grid_sample(x, places(x, views), padding_mode="border", align_corners=False)
    x = x * uniform(x, 1 - 2 * views.light, 1 + 2 * views.light) + uniform(x, -views.light, views.light)
    if x.shape[1] == 3:
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * uniform(x, 1 - 2 * views.light, 1 + 2 * views.light)
    if views.cut:
        hidden = cut_along(x, 2, views.cut)[:, None, :, None] & cut_along(x, 3, views.cut)[:, None, None, :]
        x = x.masked_fill(hidden, 0.0)
    return x


def places(x: Tensor, views: Views) -> Tensor:
    """(N, H, W, 2): from where each place of a view takes its pixel, as `grid_sample` counts."""

    def amount(low: float, high: float) -> Tensor:
        return uniform(x, low, high).flatten()

    scale, aspect = amount(math.log(views.zoom), math.log(views.out)).exp(), amount(-views.aspect, views.aspect).exp()
    angle = amount(-math.radians(views.turn), math.radians(views.turn))
    mirror = (amount(-1, 1) * views.flip).sign() if views.flip else torch.ones_like(scale)
    # sides are 2 long here, whatever their pixels
    across = torch.stack([angle.cos() * scale * aspect * mirror, -angle.sin() * scale, 2 * amount(-1, 1) * views.shift])
    down = torch.stack([angle.sin() * scale * mirror, angle.cos() * scale / aspect, 2 * amount(-1, 1) * views.shift])
    return F.affine_grid(torch.stack([across, down]).permute(2, 0, 1), list(x.shape), align_corners=False)
