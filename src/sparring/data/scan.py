"""What is wrong with a set by its samples: one pass over all of them, and each check at most one finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.data.copies import (
    FLAT,
    Look,
    Prints,
    Watch,
    comparable,
    digests,
    firsts,
    low_coefficients,
    near_copies,
    spread,
    unwatched,
)
from sparring.data.finding import Finding, counted
from sparring.data.tensors import recolored

BORDER = 0.05
"""Share of a picture from which on a border that never changes is worth a word."""
_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass over N pictures found, all splits after one another."""

    first: Tensor
    """(N,) number of the first picture that is equal, pixel for pixel."""
    spread: Tensor
    """(N,) standard deviation over places, in grey levels."""
    flat: Tensor
    """(N,) bool: every place has the same colour."""
    dark: Tensor
    """(N,) the darkest of all values, 0..255."""
    bright: Tensor
    """(N,) the brightest."""
    gray: Tensor
    """(N,) bool: the channels are equal, or there is only one."""
    fixed: Tensor
    """(H, W) bool: the place has the same value in every picture."""
    prints: Prints


def scanned(look: Look, total: int, watch: Watch = unwatched) -> Scan:
    """One pass over all pictures, a thousand at a time."""
    keys: list[bytes] = []
    columns: list[tuple[Tensor, ...]] = []
    lowest, highest = [], []
    steps = range(0, total, _CHUNK)
    for start in watch(steps, len(steps)):
        stored = look(torch.arange(start, min(start + _CHUNK, total)))
        keys += digests(stored)
        seen = recolored(stored, "rgb") if stored.shape[1] == 4 else stored
        least, most = seen.amin((2, 3)), seen.amax((2, 3))
        small = comparable(seen)
        columns.append(
            (spread(seen), (least == most).all(1), least.amin(1), most.amax(1), _is_gray(seen), low_coefficients(small))
        )
        lowest.append(seen.amin(0))
        highest.append(seen.amax(0))
    fixed = (torch.stack(lowest).amin(0) == torch.stack(highest).amax(0)).all(0)
    wide, flat, dark, bright, gray, low = map(torch.cat, zip(*columns, strict=True))
    channels, height, width = comparable(look(torch.arange(1))).shape[1:]
    return Scan(firsts(keys), wide, flat, dark, bright, gray, fixed, Prints(low, (channels, height, width)))


def _is_gray(images: Tensor) -> Tensor:
    return (images == images[:, :1]).flatten(1).all(1)


def of_pictures(look: Look, channels: int, lengths: Mapping[str, int], watch: Watch) -> list[Finding]:
    """What every picture is looked through for, the gravest first."""
    scan = scanned(look, sum(lengths.values()), watch)
    exact, near = same_pictures(scan, look, watch)
    found = [
        held_out_copies(exact, near, lengths),
        exact_copies(exact),
        other_copies(exact, near),
        flat_pictures(scan),
        low_contrast(scan),
        needless_colour(scan, channels),
        fixed_border(scan),
    ]
    return [finding for finding in found if finding is not None]


def same_pictures(scan: Scan, look: Look, watch: Watch = unwatched) -> tuple[Tensor, Tensor]:
    """Twice (N,) group numbers: of pictures that are equal, and of those that near-copies join as well.

    Pictures of one colour are a finding of their own, and equal to none.
    """
    everything = torch.arange(len(scan.first))
    exact = torch.where(scan.flat, everything, scan.first)
    rows = ((exact == everything) & (scan.spread >= FLAT)).nonzero()[:, 0]
    near = everything.clone()
    near[rows] = rows[near_copies(scan.prints, rows, look, watch)]
    return exact, near[exact]


def members(group: Tensor) -> tuple[tuple[int, ...], ...]:
    """(N,) group numbers -> the members of every group of two or more."""
    order = group.argsort(stable=True)
    counts = torch.unique(group, return_counts=True)[1]
    return tuple(tuple(part.tolist()) for part in torch.split(order, counts.tolist()) if len(part) > 1)


def held_out_copies(exact: Tensor, near: Tensor, lengths: Mapping[str, int]) -> Finding | None:
    """Held-out samples that are trained on as well."""
    train, total = lengths["train"], len(exact)
    offset = list(lengths).index("train")
    start = sum(list(lengths.values())[:offset])
    learnt = torch.zeros(total, dtype=torch.bool)
    learnt[start : start + train] = True
    equal, alike = (~learnt & torch.isin(group, group[learnt]) for group in (exact, near))
    if not bool(alike.any()):
        return None
    touched = torch.where(torch.isin(near, near[alike]), near, -1 - torch.arange(total))
    count, held_out = int(alike.sum()), total - train
    return Finding(
        "held-out copies",
        f"{count:,} of {counted(held_out, 'held-out sample')} also in the training split, {int(equal.sum()):,} of them "
        "exactly, the others nearly: scores praise learning them by heart",
        {"samples": count, "share": count / held_out, "exactly": int(equal.sum())},
        "remove the copies, or put each group whole into train/ or into test/",
        members(touched),
    )


def exact_copies(exact: Tensor) -> Finding | None:
    """The same sample more than once."""
    groups = members(exact)
    extra = sum(len(group) - 1 for group in groups)
    if not extra:
        return None
    return Finding(
        "copies",
        f"{counted(extra, 'sample')} exactly the same as another, in {counted(len(groups), 'group')}",
        {"samples": extra, "groups": len(groups), "share": extra / len(exact)},
        "keep one of each: what is there twice is learnt twice",
        groups,
    )


def other_copies(exact: Tensor, near: Tensor) -> Finding | None:
    """The same picture saved again, moved by a pixel, brightened."""
    once = torch.where(exact == torch.arange(len(exact)), near, -1 - torch.arange(len(exact)))
    groups = members(once)
    extra = sum(len(group) - 1 for group in groups)
    if not extra:
        return None
    return Finding(
        "near-copies",
        f"{counted(extra, 'picture')} nearly the same as another (saved again, moved by a pixel, brightened), "
        f"in {counted(len(groups), 'group')}",
        {"pictures": extra, "groups": len(groups), "share": extra / len(exact)},
        "keep one of each where that is no accident; of a film, take every tenth frame",
        groups,
    )


def flat_pictures(scan: Scan) -> Finding | None:
    """All of one colour."""
    rows = scan.flat.nonzero()[:, 0]
    if not len(rows):
        return None
    black, white = int((scan.bright[rows] == 0).sum()), int((scan.dark[rows] == 255).sum())
    return Finding(
        "one colour",
        f"{counted(len(rows), 'picture')} of nothing but one colour ({black:,} black, {white:,} white)",
        {"pictures": len(rows), "share": len(rows) / len(scan.flat), "black": black, "white": white},
        "remove them; a generator learns to make them",
        tuple((number,) for number in rows.tolist()),
    )


def low_contrast(scan: Scan) -> Finding | None:
    """Next to nothing to be seen."""
    rows = (~scan.flat & (scan.spread < FLAT)).nonzero()[:, 0]
    if not len(rows):
        return None
    return Finding(
        "low contrast",
        f"{counted(len(rows), 'picture')} with a standard deviation below {FLAT:g} of 255 grey levels",
        {"pictures": len(rows), "share": len(rows) / len(scan.flat), "least": float(scan.spread[rows].min())},
        "stretch their contrast, or remove them",
        tuple((number,) for number in rows.tolist()),
    )


def needless_colour(scan: Scan, channels: int) -> Finding | None:
    """Three channels that say the same."""
    if channels < 3 or not bool(scan.gray.all()):
        return None
    return Finding(
        "gray as colour",
        f"all pictures are gray, and have {channels} channels",
        {"channels": channels},
        "--color gray: a third of the numbers, and no false colours",
    )


def fixed_border(scan: Scan) -> Finding | None:
    """Rows and columns at the edge that are the same in every picture."""
    fixed = scan.fixed
    if bool(fixed.all()):
        return None  # all pictures are one: copies
    rows, columns = (~fixed.all(1)).nonzero()[:, 0], (~fixed.all(0)).nonzero()[:, 0]
    height, width = fixed.shape
    top, bottom = int(rows[0]), height - 1 - int(rows[-1])
    left, right = int(columns[0]), width - 1 - int(columns[-1])
    share = 1 - (height - top - bottom) * (width - left - right) / (height * width)
    if share < BORDER:
        return None
    return Finding(
        "fixed border",
        f"the border ({top} rows above, {bottom} below, {left} columns left, {right} right) is the same in all "
        f"pictures: {share:.0%} of each",
        {"top": top, "bottom": bottom, "left": left, "right": right, "share": share},
        "cut it off: it costs time, and tells real from generated by a trifle",
    )


# -- points ------------------------------------------------------------------------------------------------


def of_points(look: Look, lengths: Mapping[str, int]) -> list[Finding]:
    """What every point is looked through for, the gravest first."""
    points = look(torch.arange(sum(lengths.values()))).flatten(1)
    keys = (key for part in torch.split(points, _CHUNK) for key in digests(part))
    exact = firsts(keys)
    found = [not_numbers(points), constant_columns(points), unusual_scale(points)]
    found += [held_out_copies(exact, exact, lengths), exact_copies(exact)]
    return [finding for finding in found if finding is not None]


def not_numbers(points: Tensor) -> Finding | None:
    """(N, D): NaN or infinity anywhere."""
    rows = (~points.isfinite().all(1)).nonzero()[:, 0]
    if not len(rows):
        return None
    return Finding(
        "not a number",
        f"{counted(len(rows), 'point')} of {len(points):,} with NaN or infinity; training would refuse them or break",
        {"points": len(rows), "share": len(rows) / len(points)},
        "remove or mend them",
        tuple((number,) for number in rows.tolist()),
    )


def constant_columns(points: Tensor) -> Finding | None:
    """(N, D): columns with one value."""
    finite = points[points.isfinite().all(1)]
    columns = (finite == finite[:1]).all(0).nonzero()[:, 0].tolist() if len(finite) > 1 else []
    if not columns:
        return None
    return Finding(
        "constant columns",
        f"columns {', '.join(map(str, columns[:12]))} have the same value in every point",
        {"columns": len(columns)},
        "leave them out, and add the value afterwards",
    )


def unusual_scale(points: Tensor) -> Finding | None:
    """(N, D): a spread far from 1, which rates and penalties are made for."""
    finite = points[points.isfinite().all(1)]
    widths = finite.double().std(0) if len(finite) > 1 else torch.ones(1)
    varied = widths[widths > 0]
    if not len(varied) or (float(varied.min()) > 0.05 and float(varied.max()) < 20):
        return None
    return Finding(
        "unusual scale",
        f"columns have standard deviations from {float(varied.min()):.3g} to {float(varied.max()):.3g}",
        {"least": float(varied.min()), "most": float(varied.max())},
        "scale each column to a spread of about 1",
    )
