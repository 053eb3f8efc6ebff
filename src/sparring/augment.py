"""What the discriminator sees, changed at random: real and fake alike, and in both players' turns.

With little data a discriminator learns its pictures by heart. Changes that it cannot tell from the data's own
variety prevent that; as fakes are changed too, the generator need not imitate the changes. `DiffAugment` makes
three changes to every picture (Zhao et al. 2020); `Adaptive` makes many, each with a probability that follows how
far the discriminator has overfitted (Karras et al. 2020, "Training generative adversarial networks with limited
data", called ADA below).

Everything can be differentiated twice with respect to the pictures, so a gradient penalty may be taken through it,
on the pictures as they were before. All randomness comes from torch's global generators, on the pictures' device;
each picture has its own; and nothing here waits for the device.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.config import UserError, did_you_mean

Change = Callable[[Tensor], Tensor]
"""Pictures (N, C, H, W), float32 or float64 -> changed ones of the same shape and type."""


def in_kind(change: Change, x: Tensor) -> Tensor:
    """`change(x)`, computed in float32 at least; the result has the type and the memory order of `x`."""
    if x.ndim != 4 or not x.is_floating_point():
        raise UserError(f"augmentation needs float pictures (N, C, H, W), not {x.dtype} {tuple(x.shape)}")
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    with torch.autocast(x.device.type, enabled=False):  # a coordinate in bfloat16 is pixels off
        out = change(x if x.dtype == torch.float64 else x.float()).to(x.dtype)
    return out.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def known(policy: Sequence[str], choices: Sequence[str]) -> tuple[str, ...]:
    """The policy, or a `UserError` for the first name that is not one of `choices`."""
    for name in policy:
        if name not in choices:
            listed = ", ".join(choices)
            raise UserError(f"policy: '{name}' is not one of {listed}{did_you_mean(name, list(choices))}")
    return tuple(policy)


def each(values: Tensor) -> Tensor:
    """(N,) -> (N, 1, 1, 1), to be combined with pictures."""
    return values[:, None, None, None]


def uniform(x: Tensor, low: float, high: float) -> Tensor:
    """(N, 1, 1, 1): a number from [low, high) for each picture of `x`."""
    return each(torch.rand(len(x), dtype=x.dtype, device=x.device) * (high - low) + low)


def gathered(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, h, w): the pixels at `rows` and `columns`, int64, each of a shape like (N, h, w).

    `gather` and its gradient `scatter_add` are each other's derivatives, so any order of derivative exists.
    """
    index = rows * x.shape[3] + columns
    taken = x.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, x.shape[1], -1))
    return taken.reshape(*x.shape[:2], *index.shape[1:])


# ---------------------------------------------------------------------------------------------------------------
# DiffAugment


def color(x: Tensor) -> Tensor:
    """Brightness + U(-.5, .5); saturation x U(0, 2) about the mean of the channels; contrast x U(.5, 1.5).

    Contrast is about the mean of the whole picture. Results may leave [-1, 1], as they do in the paper. A picture of
    one channel has no saturation to change.
    """
    x = x + uniform(x, -0.5, 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(x, 0.0, 2.0)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * uniform(x, 0.5, 1.5)


def moved_from(x: Tensor, axis: int, ratio: float) -> Tensor:
    """(N, side): from where each place along the axis takes its pixel; all are off by the same, up to side * ratio."""
    side = x.shape[axis]
    most = int(side * ratio + 0.5)
    shift = torch.randint(-most, most + 1, (len(x), 1), device=x.device)
    return torch.arange(side, device=x.device) - shift


def translation(x: Tensor, ratio: float = 0.125) -> Tensor:
    """A move by whole pixels, uniform up to an eighth of the side each way; what comes in is 0."""
    rows, columns = moved_from(x, 2, ratio)[:, :, None], moved_from(x, 3, ratio)[:, None, :]
    height, width = x.shape[2:]
    outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
    return gathered(x, rows.clamp(0, height - 1), columns.clamp(0, width - 1)).masked_fill(outside[:, None], 0.0)


def cut_along(x: Tensor, axis: int, ratio: float) -> Tensor:
    """(N, side): whether a place lies in a stretch of side * ratio pixels, about a centre anywhere on the axis."""
    side = x.shape[axis]
    length = int(side * ratio + 0.5)
    # an even stretch has its centre between two pixels, so one centre more keeps both borders alike
    start = torch.randint(side + 1 - length % 2, (len(x), 1), device=x.device) - length // 2
    place = torch.arange(side, device=x.device)
    return (place >= start) & (place < start + length)


def cutout(x: Tensor, ratio: float = 0.5) -> Tensor:
    """A rectangle of half the height and half the width becomes 0; its centre is anywhere, so parts may lie outside."""
    inside = cut_along(x, 2, ratio)[:, None, :, None] & cut_along(x, 3, ratio)[:, None, None, :]
    return x.masked_fill(inside, 0.0)


CHANGES: Mapping[str, Change] = {"color": color, "translation": translation, "cutout": cutout}
"""What `DiffAugment` knows. Zhao et al. 2020, section 3.2 and appendix."""


class DiffAugment(nn.Module):
    """(N, C, H, W) in [-1, 1] -> as many, each with every change of the policy, in that order. Zhao et al. 2020.

    Every picture is changed every time, in every way that the policy names.
    """

    def __init__(self, policy: Sequence[str] = ("color", "translation", "cutout")) -> None:
        super().__init__()
        self.policy = known(policy, list(CHANGES))

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return in_kind(lambda pictures: functools.reduce(lambda y, name: CHANGES[name](y), self.policy, pictures), x)


# ---------------------------------------------------------------------------------------------------------------
# ADA: random amounts


@dataclass(frozen=True)
class Draws:
    """Random amounts for a batch: one number per picture, and 0, which changes nothing, where chance leaves it out."""

    x: Tensor
    """The pictures, for their number, size, type and device."""
    p: Tensor
    """Scalar: the probability of each change."""

    @property
    def sides(self) -> tuple[int, int]:
        """(width, height): across before down, as coordinates are."""
        return self.x.shape[3], self.x.shape[2]

    def some(self, amounts: Tensor, p: Tensor | None = None) -> Tensor:
        """(..., N): the amounts where a coin of probability p says so, one coin per picture; else 0."""
        chosen = torch.rand(len(self.x), device=self.x.device) < (self.p if p is None else p)
        return torch.where(chosen, amounts, 0.0)

    def normal(self, std: float) -> Tensor:
        """(N,) from N(0, std^2)."""
        return self.some(torch.randn(len(self.x), dtype=self.x.dtype, device=self.x.device) * std)

    def whole(self, count: int) -> Tensor:
        """(N,) whole numbers 0 .. count - 1."""
        return self.some(torch.randint(count, (len(self.x),), device=self.x.device).to(self.x.dtype))

    def angle(self, p: Tensor | None = None) -> Tensor:
        """(N,) from [-pi, pi)."""
        angles = torch.rand(len(self.x), dtype=self.x.dtype, device=self.x.device) * (2 * math.pi) - math.pi
        return self.some(angles, p)

    def unchanged(self, size: int) -> Tensor:
        """(N, size, size) identities, to be written into."""
        return torch.eye(size, dtype=self.x.dtype, device=self.x.device).repeat(len(self.x), 1, 1)


Matrices = Callable[[Draws], Tensor]
"""Draws -> (N, 3, 3) on (across, down, 1) for a geometric change, (N, 4, 4) on (red, green, blue, 1) for a colour."""


def product(first: Tensor, second: Tensor) -> Tensor:
    """(N, k, k) of each: `first @ second`, but exact for identities where matmul may round to TF32."""
    return (first[:, :, :, None] * second[:, None]).sum(2)


# ---------------------------------------------------------------------------------------------------------------
# ADA: geometry. A matrix says from where a place of the result takes its pixel, about the picture's centre, in
# pixels. That is the inverse of moving the picture; the amounts are as likely as their inverses, so none is inverted.


def flip(draws: Draws) -> Tensor:
    """Left and right change places, in half of the chosen pictures."""
    out = draws.unchanged(3)
    out[:, 0, 0] = 1 - 2 * draws.whole(2)
    return out


def turned(draws: Draws, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotation matrices from (N,) cosines and sines."""
    out = draws.unchanged(3)
    out[:, 0, 0], out[:, 0, 1], out[:, 1, 0], out[:, 1, 1] = cos, -sin, sin, cos
    return out


def turn(draws: Draws) -> Tensor:
    """0, 1, 2 or 3 quarter turns; exact. A picture that is not square reflects at its shorter side's borders."""
    quarters = draws.whole(4)
    zero, one, two, three = ((quarters == number).to(quarters.dtype) for number in range(4))
    return turned(draws, zero - two, one - three)


def moved(draws: Draws, across: Tensor, down: Tensor) -> Tensor:
    """Translation matrices from (N,) pixels."""
    out = draws.unchanged(3)
    out[:, 0, 2], out[:, 1, 2] = across, down
    return out


def shift(draws: Draws) -> Tensor:
    """By whole pixels, up to an eighth of each side."""
    share = torch.rand(2, len(draws.x), dtype=draws.x.dtype, device=draws.x.device) * 0.25 - 0.125
    across, down = draws.some(share)
    width, height = draws.sides
    return moved(draws, (across * width).round(), (down * height).round())


def scaled(draws: Draws, across: Tensor, down: Tensor) -> Tensor:
    """Scaling matrices from (N,) logarithms to base 2."""
    out = draws.unchanged(3)
    out[:, 0, 0], out[:, 1, 1] = across.exp2(), down.exp2()
    return out


def scale(draws: Draws) -> Tensor:
    """Larger or smaller, by 2^N(0, .2^2)."""
    power = draws.normal(0.2)
    return scaled(draws, power, power)


def rotation(draws: Draws) -> Tensor:
    """By any angle. Comes before and after `stretch`, and at least one of the two happens with probability p."""
    angle = draws.angle(1 - (1 - draws.p).sqrt())
    return turned(draws, angle.cos(), angle.sin())


def stretch(draws: Draws) -> Tensor:
    """Wider and lower, or narrower and higher, by 2^N(0, .2^2)."""
    power = draws.normal(0.2)
    return scaled(draws, power, -power)


def drift(draws: Draws) -> Tensor:
    """By N(0, .125^2) of each side, not in whole pixels."""
    share = torch.randn(2, len(draws.x), dtype=draws.x.dtype, device=draws.x.device) * 0.125
    across, down = draws.some(share)
    width, height = draws.sides
    return moved(draws, across * width, down * height)


GEOMETRY: Sequence[tuple[str, Matrices]] = (
    ("flip", flip),
    ("turn", turn),
    ("shift", shift),
    ("scale", scale),
    ("rotation", rotation),
    ("stretch", stretch),
    ("rotation", rotation),
    ("drift", drift),
)
"""In the order in which they happen to a picture. ADA, appendix B."""


def folded(place: Tensor, side: int) -> Tensor:
    """Whole numbers -> int64 in 0 .. side - 1, reflected at both ends, whose pixels are not repeated."""
    period = max(2 * side - 2, 1)
    within = place.long().remainder(period)
    return torch.minimum(within, period - within)


def warp(x: Tensor, matrix: Tensor) -> Tensor:
    """(N, C, H, W), (N, 3, 3) -> (N, C, H, W): place v of the result shows what lies at matrix @ v, bilinearly.

    v is (across, down, 1) in pixels from the picture's centre; beyond the border the picture is reflected, without
    end. Twice differentiable in `x`, which torch's `grid_sample` is not; not differentiable in the matrix. Exact
    where the matrix leads to whole pixels. ADA samples in twice the resolution between two wavelet filters; that is
    left out: fine detail is blurred a little more where a picture is moved, and aliased where it is shrunk.
    """
    height, width = x.shape[2:]
    across = torch.arange(width, dtype=matrix.dtype, device=x.device) - (width - 1) / 2
    down = (torch.arange(height, dtype=matrix.dtype, device=x.device) - (height - 1) / 2)[:, None]
    entry = matrix[:, :2, :, None, None]
    columns, rows = (entry[:, :, 0] * across + entry[:, :, 1] * down + entry[:, :, 2]).unbind(1)
    columns, rows = columns + (width - 1) / 2, rows + (height - 1) / 2
    left, top = columns.floor(), rows.floor()
    right_share, low_share = (columns - left)[:, None], (rows - top)[:, None]
    left, right = folded(left, width), folded(left + 1, width)
    top, low = folded(top, height), folded(top + 1, height)
    above = gathered(x, top, left) * (1 - right_share) + gathered(x, top, right) * right_share
    below = gathered(x, low, left) * (1 - right_share) + gathered(x, low, right) * right_share
    return above * (1 - low_share) + below * low_share


# ---------------------------------------------------------------------------------------------------------------
# ADA: colour. Matrices on (red, green, blue, 1). I - J / 3, where J is all ones, takes a colour's grey away.


def brightness(draws: Draws) -> Tensor:
    """Plus N(0, .2^2)."""
    out = draws.unchanged(4)
    out[:, :3, 3] = draws.normal(0.2)[:, None]
    return out


def contrast(draws: Draws) -> Tensor:
    """Times 2^N(0, .5^2), about 0, which is mid-grey."""
    out = draws.unchanged(4)
    out[:, :3] *= draws.normal(0.5).exp2()[:, None, None]
    return out


def luma(draws: Draws) -> Tensor:
    """Light and dark change places while hue and saturation stay, in half of the chosen pictures: I - 2/3 J."""
    out = draws.unchanged(4)
    out[:, :3, :3] -= draws.whole(2)[:, None, None] * (2 / 3)
    return out


def hue(draws: Draws) -> Tensor:
    """A rotation about the grey axis by any angle: I + sin K - (1 - cos) (I - J / 3), by Rodrigues' formula."""
    out, angle = draws.unchanged(4), draws.angle()[:, None, None]
    one = torch.eye(3, dtype=out.dtype, device=out.device)
    cross = (one.roll(1, 0) - one.roll(-1, 0)) / math.sqrt(3)  # K v = axis x v
    out[:, :3, :3] += angle.sin() * cross - (1 - angle.cos()) * (one - 1 / 3)
    return out


def saturation(draws: Draws) -> Tensor:
    """The distance from grey x 2^N(0, 1): I + (2^n - 1) (I - J / 3)."""
    out, power = draws.unchanged(4), draws.normal(1.0)[:, None, None]
    one = torch.eye(3, dtype=out.dtype, device=out.device)
    out[:, :3, :3] += (power.exp2() - 1) * (one - 1 / 3)
    return out


COLOUR: Sequence[tuple[str, Matrices]] = (
    ("brightness", brightness),
    ("contrast", contrast),
    ("luma", luma),
    ("hue", hue),
    ("saturation", saturation),
)
"""In the order in which they happen to a picture. ADA, appendix B."""
NEEDS_RGB = ("luma", "hue", "saturation")
"""Left out for pictures that have not three channels."""


def recoloured(x: Tensor, matrix: Tensor) -> Tensor:
    """(N, C, H, W), (N, 4, 4) -> (N, C, H, W): the matrix at each pixel.

    For other than three channels it is read as one factor and one summand, as brightness and contrast alone make it.
    """
    if x.shape[1] != 3:
        return x * each(matrix[:, 0, 0]) + each(matrix[:, 0, 3])
    entry = matrix[:, :3, :, None, None]
    return entry[:, :, 0] * x[:, :1] + entry[:, :, 1] * x[:, 1:2] + entry[:, :, 2] * x[:, 2:] + entry[:, :, 3]


# ---------------------------------------------------------------------------------------------------------------
# ADA: noise and cutout, and all together


def noise(x: Tensor, draws: Draws) -> Tensor:
    """Normal noise on every number, of a deviation |N(0, .1^2)| per picture."""
    return x + torch.randn_like(x) * each(draws.normal(0.1).abs())


def cutout_of_some(x: Tensor, draws: Draws) -> Tensor:
    """As `cutout`, in the chosen pictures."""
    chosen = draws.some(torch.ones(len(x), dtype=x.dtype, device=x.device)) > 0
    inside = cut_along(x, 2, 0.5)[:, None, :, None] & cut_along(x, 3, 0.5)[:, None, None, :]
    return x.masked_fill(inside & each(chosen), 0.0)


CORRUPTIONS: Mapping[str, Callable[[Tensor, Draws], Tensor]] = {"noise": noise, "cutout": cutout_of_some}

BGC = tuple(dict.fromkeys(name for name, _ in (*GEOMETRY, *COLOUR)))
"""Pixel blitting, geometry and colour: what ADA settles on (section 3)."""
OPERATIONS = (*BGC, *CORRUPTIONS)
"""All that `Adaptive` knows."""


def augmented(x: Tensor, p: Tensor, policy: Sequence[str]) -> Tensor:
    """(N, C, H, W) in [-1, 1], scalar p -> each picture with each change of the policy, with probability p each.

    ADA, appendix B. All geometry is one matrix and one interpolation, all colour one matrix. With p = 0 the pictures
    come back exactly, though as many random numbers are drawn.
    """
    draws = Draws(x.detach(), p)
    geometry = [make(draws) for name, make in GEOMETRY if name in policy]
    if geometry:  # the first change is the last on the way from a place of the result back to its pixel
        x = warp(x, functools.reduce(product, geometry))
    barred = () if x.shape[1] == 3 else NEEDS_RGB
    colour = [make(draws) for name, make in COLOUR if name in policy and name not in barred]
    if colour:
        x = recoloured(x, functools.reduce(product, reversed(colour)))
    for name, corrupt in CORRUPTIONS.items():
        if name in policy:
            x = corrupt(x, draws)
    return x


class Adaptive(nn.Module):
    """(N, C, H, W) in [-1, 1] -> as many, each with each change of the policy with probability `p`. ADA.

    `observe` moves `p` so that the discriminator stays sure of the real pictures in a given degree; `speed` None
    leaves `p` to `set_p`, for a fixed probability or a ramp. State is in buffers only. The paper keeps p from falling
    below 0 and sets no upper limit, but finds (section 2.2) that changes are unlikely to leak into what the generator
    makes while p is below .8, so that is the `limit` here.
    """

    p: Tensor
    signs: Tensor
    scores: Tensor
    steps: Tensor

    def __init__(
        self,
        policy: Sequence[str] = BGC,
        *,
        p: float = 0.0,
        target: float = 0.6,
        speed: float | None = 500_000.0,
        every: int = 4,
        limit: float = 0.8,
    ) -> None:
        """`target` of E[sign D(real)]; `speed`: real pictures in which p goes from 0 to 1; `every` so many steps."""
        super().__init__()
        if every < 1 or (speed is not None and not speed > 0):
            raise UserError(f"every={every} and speed={speed} must be at least 1 and above 0")
        self.policy = known(policy, OPERATIONS)
        self.target, self.speed, self.every, self.limit = target, speed, every, limit
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("scores", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.set_p(p)

    def set_p(self, value: float) -> None:
        """Set the probability, in [0, 1]; `observe` moves on from there."""
        if not 0 <= value <= 1:
            raise UserError(f"p={value} is out of range; give a probability from 0 to 1")
        self.p.fill_(value)

    @torch.no_grad()
    def observe(self, sign: Tensor, pictures: int) -> None:
        """Take note of the mean of sign D(real) over so many `pictures`; every so many calls p takes a step.

        p += sign(E[sign D(real)] - target) * pictures seen / speed, then into [0, limit]. ADA, section 3, equation 1.
        Scores must mean something by themselves: of a relativistic objective, give the sign of D(real) - D(fake).
        """
        if self.speed is None:
            return
        self.signs += sign.detach() * pictures
        self.scores += pictures
        self.steps += 1
        due = self.steps >= self.every
        step = (self.signs / self.scores - self.target).sign() * self.scores / self.speed
        self.p.copy_(torch.where(due, (self.p + step).clamp(0.0, self.limit), self.p))
        for tally in (self.signs, self.scores, self.steps):
            tally.mul_(~due)

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return in_kind(lambda pictures: augmented(pictures, self.p, self.policy), x)


class Augmented(nn.Module):
    """A discriminator that sees changed pictures while it trains; in evaluation mode it sees them as they are."""

    def __init__(self, discriminator: nn.Module, augmentation: nn.Module) -> None:
        super().__init__()
        self.discriminator, self.augmentation = discriminator, augmentation

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(N, C, H, W) [, (N,) labels] -> the discriminator's scores, (N,)."""
        score: Tensor = self.discriminator(self.augmentation(x) if self.training else x, label)
        return score
