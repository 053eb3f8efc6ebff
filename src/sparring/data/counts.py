"""What is wrong with a set by its numbers alone: how many samples, of which class, in files of which size."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sparring.data.finding import Finding, counted
from sparring.data.pictures import DEFAULT_SIZE, Report
from sparring.data.settings import Data
from sparring.data.source import Splits
from sparring.data.tensors import height_and_width

FEW = 1000
"""Training pictures below which a discriminator soon knows them by heart."""
FEW_IN_CLASS = 50
UNBALANCED = 5.0
"""Times as many samples in the largest class as in the smallest."""
SOME = 0.05
"""Share of the pictures that is worth a word."""
KEPT = 0.6
"""Share of a picture that cropping should leave."""


def class_counts(splits: Splits) -> dict[str, int]:
    """Training samples of each class; empty without labels, and for invented ones."""
    about, total = splits["train"].about, len(splits["train"])
    if about.invented or len(about.prior) != len(about.classes):
        return {}
    return {name: round(share * total) for name, share in zip(about.classes, about.prior, strict=True)}


def of_numbers(splits: Splits, fewest: int) -> list[Finding]:
    """Too few samples to train on, to judge by, or of a class; told before a training, too."""
    return [
        finding
        for finding in (
            too_few_to_train(splits),
            too_few_to_judge(splits, "test", fewest),
            too_few_of_a_class(class_counts(splits)),
            unbalanced(class_counts(splits)),
        )
        if finding is not None
    ]


def too_few_to_train(splits: Splits) -> Finding | None:
    """Pictures that a discriminator learns by heart. Zhao et al. 2020 (DiffAugment), FFHQ of 256 pixels."""
    count = len(splits["train"])
    if count >= FEW or splits["train"].about.key != "image":
        return None
    return Finding(
        "few pictures",
        f"{counted(count, 'picture')} to train on: below about {FEW:,} a discriminator learns them by heart "
        "(1,000 faces: FID 62, with augmentation 26; Zhao et al. 2020)",
        {"training pictures": count},
        "--discriminator-augment.adaptive, or --discriminator-augment.diffaugment color translation cutout; "
        "--augment.flip where a mirror image means the same; fewer rounds; more pictures",
    )


def too_few_to_judge(splits: Splits, split: str, fewest: int) -> Finding | None:
    """Held-out samples without which nothing can be said of a result."""
    held_out = len(splits.get(split, ()))
    if held_out >= fewest:
        return None
    total = held_out + len(splits["train"])
    share = fewest / max(1, total) + 0.01
    return Finding(
        "cannot be judged",
        f"{counted(held_out, 'sample')} held out, and {fewest} are needed to judge a result",
        {"held out": held_out, "needed": fewest},
        f"--{split} {share:.2f}" if share <= 0.5 else f"more samples: {2 * fewest} or more",
    )


def too_few_of_a_class(counts: Mapping[str, int]) -> Finding | None:
    """Classes of which next to nothing can be learnt."""
    few = {name: count for name, count in counts.items() if count < FEW_IN_CLASS}
    if not few:
        return None
    told = ", ".join(f"{name} ({count})" for name, count in sorted(few.items(), key=lambda item: item[1])[:6])
    return Finding(
        "small classes",
        f"{len(few)} of {len(counts)} classes with fewer than {FEW_IN_CLASS} training samples: {told}"
        + (", ..." if len(few) > 6 else ""),
        {"classes": len(few), "smallest": min(few.values())},
        "join classes, add samples, or train without labels (dcgan does)",
    )


def unbalanced(counts: Mapping[str, int]) -> Finding | None:
    """The largest class against the smallest that has any."""
    some = {name: count for name, count in counts.items() if count}
    if len(some) < 2:
        return None
    most, least = max(some, key=some.__getitem__), min(some, key=some.__getitem__)
    ratio = some[most] / some[least]
    if ratio < UNBALANCED:
        return None
    return Finding(
        "unbalanced classes",
        f"{most} has {ratio:.0f} times as many training samples as {least} ({some[most]:,} and {some[least]:,})",
        {"ratio": ratio, "largest": some[most], "smallest": some[least]},
        "samples are drawn by these shares; add to the small classes, or leave out some of the large ones",
    )


# -- files -------------------------------------------------------------------------------------------------


def of_files(report: Report, settings: Data) -> list[Finding]:
    """Files that cannot be read, and those whose size or shape does not suit the one to train at."""
    height, width = height_and_width(settings.size or DEFAULT_SIZE)
    sizes = [(*sides(size), count) for size, count in report.sizes.items()]
    found = [bad_files(report), enlarged(sizes, height, width), cropped_away(sizes, height, width, settings.fit)]
    return [finding for finding in found if finding is not None]


def bad_files(report: Report) -> Finding | None:
    """Those that training leaves out."""
    if not report.bad:
        return None
    total = report.good + len(report.bad)
    return Finding(
        "bad files",
        f"{len(report.bad)} of {total:,} picture files cannot be used, for the reasons given",
        {"files": len(report.bad), "share": len(report.bad) / total},
        "mend or remove them; training leaves them out",
    )


def sides(size: str) -> tuple[int, int]:
    """`480x640` -> (480, 640)."""
    height, _, width = size.partition("x")
    return int(height), int(width)


def typical_size(sizes: Mapping[str, int]) -> tuple[str, str, str]:
    """Counts of `height x width` -> the smallest, the median and the largest, by area."""
    ordered = sorted(sizes, key=lambda size: math.prod(sides(size)))
    half, passed = sum(sizes.values()) / 2, 0
    for size in ordered:
        passed += sizes[size]
        if passed >= half:
            return ordered[0], size, ordered[-1]
    raise ValueError("there are no pictures")


def enlarged(sizes: list[tuple[int, int, int]], height: int, width: int) -> Finding | None:
    """(height, width, count) of files -> those smaller than the size to train at, which resizing blurs."""
    total = sum(count for _, _, count in sizes)
    small = sum(count for h, w, count in sizes if h < height or w < width)
    if small <= SOME * total:
        return None
    seen, side = 0, 0
    for short, count in sorted((min(h, w), count) for h, w, count in sizes):
        seen, side = seen + count, short
        if seen > SOME * total:
            break
    return Finding(
        "small pictures",
        f"{small:,} of {total:,} pictures are smaller than {height}x{width} and are enlarged, which blurs them",
        {"pictures": small, "share": small / total},
        f"--size {side}, which nearly all of them have; or leave the small ones out",
    )


def cropped_away(sizes: list[tuple[int, int, int]], height: int, width: int, fit: str) -> Finding | None:
    """Pictures of which the crop to size leaves less than `KEPT`."""
    if fit != "crop":
        return None
    kept = {(h, w): min(h / height, w / width) ** 2 * height * width / (h * w) for h, w, _ in sizes}
    total = sum(count for _, _, count in sizes)
    cut = sum(count for h, w, count in sizes if kept[h, w] < KEPT)
    if cut <= SOME * total:
        return None
    worst = min(kept, key=kept.__getitem__)
    return Finding(
        "long pictures",
        f"{cut:,} of {total:,} pictures lose more than {1 - KEPT:.0%} to the crop to {height}x{width}; "
        f"of {worst[0]}x{worst[1]}, {kept[worst]:.0%} is left",
        {"pictures": cut, "share": cut / total, "least left": kept[worst]},
        "--fit pad keeps them whole; or --size HEIGHTxWIDTH in their own shape",
    )
