"""`shapes`: a small world of pictures whose true distribution is known exactly, drawn by formula.

Every picture shows one shape on grey and follows from five factors: shape, colour, size, place and turn.
`render` draws them, `caption` says them, `parse` reads the sentence back, and `recover` reads the picture
back, so that any model of these pictures can be judged without a second network.

Shape, colour, size and place are independent and uniform. The turn is uniform over the angles at which the
shape looks different: a circle has one, a square and a cross two, a five-pointed star two (upright and upside
down; the others lie 9 degrees apart, less than a small star can show), a triangle and a heart all eight.
Together that is 3,312 combinations; `log_probability` gives the exact probability of each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from sparring.config import UserError, did_you_mean
from sparring.data.settings import Data
from sparring.data.source import About, Source, tensor_source
from sparring.data.tensors import brought_to, height_and_width

TRAIN_PICTURES = 20_000
TEST_PICTURES = 2_000

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SIZES = ("small", "large")
PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
TURNS = (0, 45, 90, 135, 180, 225, 270, 315)  # degrees, clockwise
FACTORS = ("shape", "colour", "size", "place", "turn")

# The turns (indices) at which each of SHAPES is drawn.
_SHAPE_TURNS = ((0,), (0, 1), tuple(range(8)), (0, 4), tuple(range(8)), (0, 1))
_LEVELS = torch.tensor([len(SHAPES), len(COLOURS), len(SIZES), len(PLACES), len(TURNS)])
_TURN_COUNTS = torch.tensor([len(turns) for turns in _SHAPE_TURNS])

_BACKGROUND = (128, 128, 128)
_RGB = (
    (220, 30, 40),
    (250, 140, 20),
    (250, 225, 50),
    (40, 160, 60),
    (40, 80, 220),
    (140, 50, 180),
    (250, 250, 250),
    (15, 15, 15),
)

# In units of half the shorter side. Spread, largest radius and jitter sum to 1, so that nothing is cut.
_RADII = (0.28, 0.44)
_SPREAD = 0.46
JITTER = 0.1
"""Each picture's shape is off its place by up to this much in each direction, uniformly; unit as above."""

_CHUNK = 2048
_LEAST_SIDE = 16  # below this a small shape is less than five pixels wide
_MOST_PIXELS = 256 * 256  # above this the 20,000 pictures need more than 4 GB


class Fit(NamedTuple):
    """What `fit` reads in N pictures."""

    factors: Tensor
    """int64 (N, 5): the nearest picture of the world."""
    jitter: Tensor
    """float32 (N, 2): how far off its place the shape lies, (right, down), to about an eighth of a pixel."""
    error: Tensor
    """float32 (N,): root mean square difference from that picture, in 0..255; a few levels if drawn here."""


def open_shapes(settings: Data) -> dict[str, Source]:
    """`train` (20,000) and `test` (2,000 others): image uint8 (N, 3, H, W), label and factors int64.

    `label` (N,) is the shape, `factors` (N, 5) are all of FACTORS. `settings.size` is drawn, not resized;
    none gives 32x32.
    Raises `UserError` for a size that is too small to tell the shapes apart, or too large for memory.
    """
    height, width = _size(settings.size)
    return {
        "train": _split(TRAIN_PICTURES, 0, height, width, settings),
        "test": _split(TEST_PICTURES, 1, height, width, settings),
    }


def draw(n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Random pictures of the world: factors int64 (n, 5), and jitter float32 (n, 2) for `render`."""
    columns = [torch.randint(int(levels), (n,), generator=generator) for levels in _LEVELS[:4]]
    shape = columns[0]
    # Every shape's count of turns divides 8, so the remainder of a uniform draw from 8 is uniform.
    nth = torch.randint(len(TURNS), (n,), generator=generator) % _TURN_COUNTS[shape]
    table = torch.tensor([(turns * len(TURNS))[: len(TURNS)] for turns in _SHAPE_TURNS])
    jitter = JITTER * (2 * torch.rand(n, 2, generator=generator) - 1)
    return torch.stack([*columns, table[shape, nth]], dim=1), jitter


def world() -> Tensor:
    """Every combination of factors that occurs, once: int64 (3312, 5), in order."""
    everything = torch.cartesian_prod(*(torch.arange(int(levels)) for levels in _LEVELS))
    return everything[_drawn(everything)]


def log_probability(factors: Tensor) -> Tensor:
    """(N, 5) -> float64 (N,): exact log probability of each row, in nats; -inf where never drawn."""
    _check_range(factors)
    constant = _LEVELS[:4].double().log().sum()
    value = -constant - _TURN_COUNTS[factors[:, 0]].double().log()
    return value.masked_fill(~_drawn(factors), -math.inf)


def caption(factors: Tensor) -> str:
    """(5,) -> `a small red heart at the top left, turned by 45 degrees`; a turn of 0 is not mentioned."""
    return captions(factors[None])[0]


def captions(factors: Tensor) -> list[str]:
    """(N, 5) -> N sentences. Raises ValueError for factors that the world does not draw."""
    _check_range(factors)
    if not _drawn(factors).all():
        row = factors[~_drawn(factors)][0].tolist()
        raise ValueError(f"factors {row}: {_turn_mistake(row[0], TURNS[row[4]])}")
    return [_sentence(*row) for row in factors.tolist()]


def _sentence(shape: int, colour: int, size: int, place: int, turn: int) -> str:
    turned = f", turned by {TURNS[turn]} degrees" if turn else ""
    return f"a {SIZES[size]} {COLOURS[colour]} {SHAPES[shape]} at the {PLACES[place]}{turned}"


_SENTENCE = re.compile(r"an? (\w+) (\w+) (\w+) at the ([a-z]+(?: [a-z]+)?)(?:, turned by (\d+) degrees)?\.?")


def parse(text: str) -> Tensor:
    """The factors int64 (5,) that `caption` says as `text`; capitals and spaces do not matter.

    Raises `UserError` that names the word which is not of this world.
    """
    match = _SENTENCE.fullmatch(" ".join(text.lower().split()))
    if match is None:
        raise UserError(f"'{text}' does not read like '{_sentence(4, 0, 0, 0, 1)}'")
    size, colour, shape, place, turn = match.groups(default="0")
    row = [
        _numbered(shape, SHAPES, "shape"),
        _numbered(colour, COLOURS, "colour"),
        _numbered(size, SIZES, "size"),
        _numbered(place, PLACES, "place"),
        _numbered(turn, tuple(str(angle) for angle in TURNS), "turn"),
    ]
    if row[4] not in _SHAPE_TURNS[row[0]]:
        raise UserError(f"'{text}': {_turn_mistake(row[0], TURNS[row[4]])}")
    return torch.tensor(row)


def render(factors: Tensor, height: int, width: int, jitter: Tensor | None = None) -> Tensor:
    """Factors int64 (N, 5) -> uint8 (N, 3, height, width). The same factors and jitter give the same picture.

    `jitter` (N, 2) moves each shape (right, down) from its place, in units of half the shorter side.
    The edge of a shape is one pixel wide, blended on the stored values.
    """
    _check_range(factors)
    centres = _place_offsets(factors[:, 3], height, width)
    if jitter is not None:
        centres = centres + jitter * (min(height, width) / 2)
    background, rgb = torch.tensor(_BACKGROUND).float(), torch.tensor(_RGB).float()
    images = torch.empty(len(factors), 3, height, width, dtype=torch.uint8)
    for start in range(0, len(factors), _CHUNK):
        part = slice(start, start + _CHUNK)
        cover = _coverage(factors[part], centres[part], height, width, min(height, width) / 2)
        ink = (rgb[factors[part, 1]] - background)[:, :, None, None]
        images[part] = (background[:, None, None] + cover[:, None] * ink).round().to(torch.uint8)
    return images


def recover(images: Tensor) -> Tensor:
    """Pictures uint8 (N, 3, H, W) -> factors int64 (N, 5) of the nearest picture of this world. See `fit`."""
    return fit(images).factors


def fit(images: Tensor) -> Fit:
    """Analysis by synthesis: the factors and jitter that draw each of uint8 (N, 3, H, W) best.

    Exact on what `render` draws, from 16x16 on. Any picture has a nearest one, even a photograph: see `error`.
    Raises ValueError for anything but uint8 with three channels.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; uint8 (N, 3, H, W) is needed")
    parts = [_fit_part(part) for part in torch.split(images, _CHUNK)]
    return Fit(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


# Drawing. Each outline is a signed distance: (x right, y up) -> negative inside, in units of the radius.
# Every shape stays within that radius and has its centre of mass at the origin.


def _circle(x: Tensor, y: Tensor) -> Tensor:
    return torch.hypot(x, y) - 0.85


def _square(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.69


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    """Tall, with two equal sides: an equilateral one would look the same after 120 degrees."""
    top, bottom, half_base = 0.98, -0.49, 0.68
    length = math.hypot(top - bottom, half_base)
    side = ((top - bottom) * x.abs() + half_base * (y - top)) / length
    return torch.maximum(side, bottom - y)


def _star(x: Tensor, y: Tensor) -> Tensor:
    """Five points, folded to half of one: the straight edge from its tip to the next notch."""
    tip, notch, half = 0.98, 0.45, math.pi / 5
    radius, angle = torch.hypot(x, y), torch.atan2(x, y)
    folded = (torch.remainder(angle + half, 2 * half) - half).abs()
    along, across = radius * folded.cos(), radius * folded.sin()
    notch_along, notch_across = notch * math.cos(half), notch * math.sin(half)
    length = math.hypot(tip - notch_along, notch_across)
    return ((along - tip) * notch_across + across * (tip - notch_along)) / length


def _heart(x: Tensor, y: Tensor) -> Tensor:
    """A square on its corner, and a disc centred on each of its upper sides."""
    half = 0.52
    side, middle = x.abs(), y + 0.443 * half  # the lobes raise the centre of mass by 0.443 half sides
    corner = (side + middle.abs()) / math.sqrt(2) - half
    lobe = torch.hypot(side - half / math.sqrt(2), middle - half / math.sqrt(2)) - half
    return torch.minimum(corner, lobe)


def _cross(x: Tensor, y: Tensor) -> Tensor:
    reach, half_width = 0.92, 0.3
    long, short = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    return torch.maximum(short - half_width, long - reach)


_OUTLINES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    _circle,
    _square,
    _triangle,
    _star,
    _heart,
    _cross,
)


def _coverage(factors: Tensor, centres: Tensor, height: int, width: int, unit: float) -> Tensor:
    """How much of each pixel the shape covers, 0..1, (N, height, width).

    `centres` (N, 2) is (right, down) of the middle, in pixels; `unit` is half the shorter side, in pixels.
    """
    radius = (torch.tensor(_RADII)[factors[:, 2]] * unit)[:, None, None]
    angle = (factors[:, 4].float() * (2 * math.pi / len(TURNS)))[:, None, None]
    right = torch.arange(width) - (width - 1) / 2 - centres[:, 0, None, None]
    up = -((torch.arange(height) - (height - 1) / 2)[:, None] - centres[:, 1, None, None])
    x = (right * angle.cos() - up * angle.sin()) / radius
    y = (right * angle.sin() + up * angle.cos()) / radius
    distance = torch.empty(len(factors), height, width)
    for shape, outline in enumerate(_OUTLINES):
        rows = (factors[:, 0] == shape).nonzero()[:, 0]
        distance[rows] = outline(x[rows], y[rows])
    return (0.5 - distance * radius).clamp(0, 1)


def _place_offsets(places: Tensor, height: int, width: int) -> Tensor:
    """(N,) -> (N, 2): the place's (right, down) of the middle of the picture, in pixels."""
    steps = torch.stack([places % 3 - 1, places // 3 - 1], dim=1).float()
    return steps * (_SPREAD * torch.tensor([width / 2, height / 2]))


# Reading. Colour first, from the pixels that differ most from the background; what remains is a coverage map,
# whose centre of mass is the shape's. A window around it is compared with every shape, size and turn, drawn
# at 49 positions around the window's middle, because the centre of mass of a rough picture is a little off.


class _Bank(NamedTuple):
    """Drawings of every shape, size and turn, at several positions, on a small square window."""

    pixels: Tensor  # (side * side, K)
    factors: Tensor  # (K, 5); colour and place are 0
    offsets: Tensor  # (K, 2): (right, down) of the window's middle, in pixels
    side: int


@lru_cache(maxsize=4)
def _bank(unit: float) -> _Bank:
    reach = math.ceil(max(_RADII) * unit + 2)
    everything = world()
    kinds = everything[(everything[:, 1] == 0) & (everything[:, 3] == 0)]
    steps = torch.arange(-3, 4) * 0.25
    offsets = torch.cartesian_prod(steps, steps)
    factors, centres = kinds.repeat_interleave(len(offsets), dim=0), offsets.repeat(len(kinds), 1)
    side = 2 * reach + 1
    cover = _coverage(factors, centres, side, side, unit)
    return _Bank(cover.flatten(1).T.contiguous(), factors, centres, side)


def _fit_part(images: Tensor) -> Fit:
    height, width = images.shape[2:]
    unit = min(height, width) / 2
    colours, cover = _colour_and_cover(images)
    bank = _bank(unit)
    window, middle = _window(cover, bank.side)
    # The nearest template: |window - template|^2 without the term that all templates share.
    score = 2 * window.flatten(1) @ bank.pixels - bank.pixels.square().sum(dim=0)
    best = score.argmax(dim=1)
    position = middle + bank.offsets[best]
    places = _nearest_place(position, height, width)
    factors = bank.factors[best].clone()
    factors[:, 1], factors[:, 3] = colours, places
    jitter = (position - _place_offsets(places, height, width)) / unit
    drawn = render(factors, height, width, jitter).float()
    return Fit(factors, jitter, (images.float() - drawn).square().mean(dim=(1, 2, 3)).sqrt())


def _colour_and_cover(images: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 (N, 3, H, W) -> colour indices (N,), and the coverage (N, H, W) that it implies, mostly 0..1."""
    background = torch.tensor(_BACKGROUND).float()
    inks = torch.tensor(_RGB).float() - background
    change = images.float() - background[:, None, None]
    # Weighted by its own size, a faint change of the background cannot outvote the shape.
    total = (change * change.norm(dim=1, keepdim=True)).sum(dim=(2, 3))
    colours = (total @ F.normalize(inks).T).argmax(dim=1)
    ink = inks[colours][:, :, None, None]
    # Not clamped to 0..1: that would turn noise, which cancels, into cover, which adds up.
    return colours, (change * ink).sum(dim=1) / ink.square().sum(dim=1)


def _window(cover: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Cut (N, H, W) around its centre of mass: (N, side, side), and where each lies, (right, down) of the middle."""
    height, width = cover.shape[1:]
    # Smoothed and to the fourth power: noise and faint clutter far from the shape must not pull.
    weight = F.avg_pool2d(cover[:, None], 5, 1, 2, count_include_pad=False)[:, 0].clamp(min=0) ** 4
    mass = weight.sum(dim=(1, 2)).clamp(min=1e-6)
    column = ((weight.sum(dim=1) @ torch.arange(width).float()) / mass).round().long()
    row = ((weight.sum(dim=2) @ torch.arange(height).float()) / mass).round().long()
    half = side // 2
    padded = F.pad(cover, (half, half, half, half))
    reach = torch.arange(side)
    rows, columns = (row[:, None] + reach)[:, :, None], (column[:, None] + reach)[:, None, :]
    window = padded[torch.arange(len(cover))[:, None, None], rows, columns]
    return window, torch.stack([column - (width - 1) / 2, row - (height - 1) / 2], dim=1)


def _nearest_place(position: Tensor, height: int, width: int) -> Tensor:
    """(N, 2), (right, down) of the middle in pixels -> place indices (N,)."""
    steps = position / (_SPREAD * torch.tensor([width / 2, height / 2]))
    column, row = steps.round().clamp(-1, 1).long().unbind(dim=1)
    return 3 * (row + 1) + column + 1


def _split(count: int, seed: int, height: int, width: int, settings: Data) -> Source:
    factors, jitter = draw(count, torch.Generator().manual_seed(seed))
    images = brought_to(render(factors, height, width, jitter), settings)
    about = About(
        "shapes",
        "image",
        tuple(images.shape[1:]),
        SHAPES,
        notes=(f"{count:,} pictures of {len(world()):,} combinations of {', '.join(FACTORS)}, seed {seed}.",),
    )
    return tensor_source(about, {"image": images, "label": factors[:, 0].clone(), "factors": factors})


def _size(text: str | int | None) -> tuple[int, int]:
    height, width = height_and_width(text) if text else (32, 32)
    if min(height, width) < _LEAST_SIDE:
        raise UserError(f"size={text} is too small to tell the shapes apart; use {_LEAST_SIDE} or more a side")
    if height * width > _MOST_PIXELS:
        raise UserError(f"size={text} does not fit 20,000 pictures into memory; use 256x256 or less")
    return height, width


def _check_range(factors: Tensor) -> None:
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or factors.dtype != torch.int64:
        raise ValueError(f"factors are {factors.dtype} {tuple(factors.shape)}; int64 (N, {len(FACTORS)}) is needed")
    wrong = ((factors < 0) | (factors >= _LEVELS)).nonzero()
    if len(wrong):
        row, column = wrong[0].tolist()
        value, last = int(factors[row, column]), int(_LEVELS[column]) - 1
        raise ValueError(f"{FACTORS[column]}={value} in row {row}; 0 to {last} exist")


def _drawn(factors: Tensor) -> Tensor:
    """(N, 5) -> bool (N,): whether the world draws this shape at this turn."""
    table = torch.zeros(len(SHAPES), len(TURNS), dtype=torch.bool)
    for shape, turns in enumerate(_SHAPE_TURNS):
        table[shape, list(turns)] = True
    return table[factors[:, 0], factors[:, 4]]


def _turn_mistake(shape: int, degrees: int) -> str:
    angles = " or ".join(str(TURNS[turn]) for turn in _SHAPE_TURNS[shape])
    return f"a {SHAPES[shape]} is turned by {angles} degrees, not {degrees}"


def _numbered(word: str, words: tuple[str, ...], factor: str) -> int:
    if word not in words:
        raise UserError(f"{factor} '{word}' is not one of {', '.join(words)}{did_you_mean(word, list(words))}")
    return words.index(word)
