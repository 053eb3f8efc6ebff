"""Each check turns a record into at most one finding. Thresholds are ratios to real samples, or to the run itself.

They were set on one half of a library of runs that were made sick on purpose, and of healthy ones, and are proven on
the other half: `sparring prove doctor`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from sparring.doctor.record import Change, Finding, Record, Series

Check = Callable[[Record], Finding | None]
WINDOW = 4
"""Probes in a row that must agree."""
LONG = 8
"""Probes over which something that should get better does not."""
WARM_UP, EARLIEST = 0.15, 50
"""Share of a run, and rounds, before which samples say nothing: they are those of networks that have learnt nothing."""
"""Share of a run in which everything is still bad, and no sickness."""


def diagnose(record: Record, checks: Mapping[str, tuple[Check, Sequence[str]]] | None = None) -> list[Finding]:
    """All findings, the gravest first; a graver one hides those that it explains.

    `checks`: name -> (check, what it explains), in that order; none is `CHECKS`, to which your own can be added:
    `diagnose(record, CHECKS | {"mine": (mine, ())})`.
    """
    found: list[Finding] = []
    hidden: set[str] = set()
    for check, explains in (CHECKS if checks is None else checks).values():
        finding = check(record)
        if finding is not None and finding.kind not in hidden:
            found.append(finding)
            hidden.update(explains, ["plateau"])  # any other illness explains it
    return found


def _recent(record: Record, name: str, count: int = WINDOW) -> Series | None:
    """The last `count` values after the warm-up; None while there are fewer."""
    after = record.of(name).after(max(EARLIEST, math.ceil(WARM_UP * record.total)))
    return after.last(count) if len(after) >= count else None


def _since(record: Record, name: str, bad: Callable[[float], bool]) -> int:
    """The round from which on the value has been bad without a break."""
    series = record.of(name)
    since = series.rounds[-1]
    for number, value in zip(reversed(series.rounds), reversed(series.values), strict=True):
        if not bad(value):
            break
        since = number
    return since


def not_a_number(record: Record) -> Finding | None:
    """A loss, or a sample, that is no longer a number."""
    dead = record.of("finite")
    if record.broken is None and (not len(dead) or dead.values[-1] == 1.0):
        return None
    number, told = record.broken or (dead.rounds[-1], "generated samples are NaN or infinite")
    return Finding(
        "divergence",
        number,
        f"training broke: {told.partition('.')[0]}",
        {"round": float(number)},
        "go back to the last checkpoint with a third of both learning rates",
        (Change("generator.lr", factor=0.3), Change("discriminator.lr", factor=0.3)),
    )


def divergence(record: Record) -> Finding | None:
    """Steps as long as the weights, or scores that grow without bound."""
    broken = not_a_number(record)
    if broken is not None:
        return broken
    players = [name for name in record.series if name.endswith("/update ratio")]
    for name in players:
        recent = record.of(name).last(WINDOW)
        if len(recent) == WINDOW and min(recent.values) > MOST_UPDATE:
            player = name.partition("/")[0]
            return Finding(
                "divergence",
                _since(record, name, lambda value: value > MOST_UPDATE),
                f"each step of the {player} is {recent.median:.0%} of its weights: the learning rate is too high",
                {name: recent.median},
                f"a tenth of the {player}'s learning rate",
                (Change(f"{player}.lr", factor=0.1),),
            )
    scores = _recent(record, "score gap")
    if scores is not None and min(map(abs, scores.values)) > MOST_SCORE:
        return Finding(
            "divergence",
            _since(record, "score gap", lambda value: abs(value) > MOST_SCORE),
            f"scores of real and generated samples are {abs(scores.median):,.0f} apart: the discriminator runs away",
            {"score gap": scores.median},
            "a third of the discriminator's learning rate, or a gradient penalty (--penalty.r1 1)",
            (Change("discriminator.lr", factor=0.3),),
        )
    return _overgrown(record)


def _overgrown(record: Record) -> Finding | None:
    """Weights that were thrown far out by steps too long, from where no step leads back."""
    distance = _recent(record, "distance")
    if distance is None or min(distance.values) < 5:
        return None
    for name in (n for n in record.series if n.endswith("/weight size")):
        recent, player = _recent(record, name), name.partition("/")[0]
        if recent is None or min(recent.values) < MOST_WEIGHT:
            continue
        return Finding(
            "divergence",
            record.of(name).rounds[0],  # such steps were too long from the first one on
            f"the weights of the {player} have grown to {recent.median:.2g} each: the learning rate was too high",
            {name: recent.median, "distance": distance.median},
            "a tenth of both learning rates, from the beginning",
            (Change("generator.lr", factor=0.1), Change("discriminator.lr", factor=0.1)),
        )
    return None


MOST_UPDATE = 0.25
MOST_SCORE = 300.0
MOST_WEIGHT = 0.25


def wrong_range(record: Record) -> Finding | None:
    """Data of an unusual scale, or generated values that real samples never have."""
    scale = record.of("real scale")
    if len(scale) and not LEAST_SCALE <= scale.values[-1] <= MOST_SCALE:
        return Finding(
            "wrong range",
            scale.rounds[0],
            f"the data have a standard deviation of {scale.values[-1]:.2g}, and networks expect one of about 1",
            {"real scale": scale.values[-1]},
            "bring the data to a spread of about 1: pictures to 0..255 as whole numbers, points by their own deviation",
        )
    outside = _recent(record, "outside")
    if outside is None or min(outside.values) < MOST_OUTSIDE:
        return None
    return Finding(
        "wrong range",
        _since(record, "outside", lambda value: value >= MOST_OUTSIDE),
        f"{outside.median:.0%} of the generated values lie outside the range of the data",
        {"outside": outside.median},
        "bring the data to [-1, 1], or to a spread of about 1; sparring data inspect shows their range",
    )


LEAST_SCALE, MOST_SCALE = 0.03, 20.0
MOST_OUTSIDE = 0.4


def still(record: Record) -> Finding | None:
    """A player that does not move."""
    for name in (n for n in record.series if n.endswith("/update ratio")):
        recent, player = record.of(name).after(0), name.partition("/")[0]
        if len(recent) < WINDOW or max(recent.last(WINDOW).values) > LEAST_UPDATE:
            continue
        gradient = record.of(f"{player}/gradient norm")
        if len(gradient) and gradient.last(WINDOW).median < max(1e-6, LEAST_GRADIENT * gradient.values[0]):
            continue  # it would move, but hardly any gradient reaches it: another finding
        if record.total and recent.rounds[-1] > 0.7 * record.total and max(recent.values) > LEAST_UPDATE:
            continue  # rates that fall towards the end
        return Finding(
            "not learning",
            _since(record, name, lambda value: value <= LEAST_UPDATE),
            f"the {player} does not move: its steps are {recent.last(WINDOW).median:.1e} of its weights",
            {name: recent.last(WINDOW).median},
            f"a higher learning rate for the {player}",
            (Change(f"{player}.lr", factor=30.0),),
        )
    return None


LEAST_UPDATE = 1e-5
LEAST_GRADIENT = 0.01


def vanishing(record: Record) -> Finding | None:
    """No gradient reaches the generator, though its samples are bad."""
    gradient = _recent(record, "generator/gradient norm")
    early = record.of("generator/gradient norm").values[:3]
    apart, distance = _recent(record, "told apart"), _recent(record, "distance")
    if gradient is None or apart is None or distance is None or not early:
        return None
    gone = max(gradient.values) < max(1e-3 * max(early), 1e-6)
    if not gone or apart.median < 0.9 or distance.median < 3:
        return None
    return Finding(
        "vanishing gradient",
        gradient.rounds[0],
        f"the generator's gradient is {gradient.median:.1e} of length: the discriminator is sure, and teaches nothing",
        {"generator/gradient norm": gradient.median, "told apart": apart.median},
        "an objective that does not saturate (--objective non-saturating, hinge or relativistic)",
        (Change("objective", value="non-saturating"),),
    )


def collapse(record: Record) -> Finding | None:
    """Samples that are all alike."""
    spread, nearest = _recent(record, "spread"), _recent(record, "nearest")
    coverage = _recent(record, "coverage")
    if spread is None or nearest is None or coverage is None:
        return None
    alike = max(spread.values) < 0.25 or (max(nearest.values) < 0.12 and max(coverage.values) < 0.35)
    if not alike:
        return None
    return Finding(
        "mode collapse",
        spread.rounds[0],
        f"samples are alike: {spread.median:.0%} of the spread of real ones, and nearly none of their variety",
        {"spread": spread.median, "nearest": nearest.median, "coverage": coverage.median},
        "a gradient penalty with an objective of pairs (--objective relativistic --penalty.r1 1 --penalty.r2 1), or "
        "packing (the recipe pacgan; for pictures with --preset pictures)",
        (Change("objective", value="relativistic"), Change("penalty.r1", value=1.0), Change("penalty.r2", value=1.0)),
    )


def dropping(record: Record) -> Finding | None:
    """Samples that lie on the data, but not everywhere, and do not spread."""
    coverage, spread, distance = (_recent(record, name, LONG) for name in ("coverage", "spread", "distance"))
    if coverage is None or spread is None or distance is None:
        return None
    if max(coverage.values) > LEAST_COVERAGE or coverage.values[-1] > 1.2 * coverage.values[0]:
        return None
    if distance.values[-1] < 0.8 * distance.values[0]:
        return None
    return Finding(
        "mode dropping",
        coverage.rounds[0],
        f"only {coverage.median:.0%} of the data that fresh real samples would reach have a sample near them",
        {"coverage": coverage.median, "spread": spread.median},
        "an objective of pairs with both penalties (--objective relativistic --penalty.r1 1 --penalty.r2 1), a larger "
        "batch, or labels by clusters (--clusters 100)",
        (Change("objective", value="relativistic"), Change("penalty.r1", value=1.0), Change("penalty.r2", value=1.0)),
    )


def missing_classes(record: Record) -> Finding | None:
    """Classes of the data that no sample shows, in the eyes of the judge."""
    seen = _recent(record, "classes", LONG)
    if seen is None or max(seen.values) > MOST_CLASSES or seen.values[-1] > 1.2 * seen.values[0]:
        return None
    return Finding(
        "mode dropping",
        seen.rounds[0],
        f"only {seen.median:.0%} of the classes that as many real samples show are seen among the generated",
        {"classes": seen.median},
        "train by label (the recipe cdcgan), or an objective of pairs with both penalties (--objective relativistic "
        "--penalty.r1 1 --penalty.r2 1)",
        (Change("objective", value="relativistic"), Change("penalty.r1", value=1.0), Change("penalty.r2", value=1.0)),
    )


MOST_CLASSES = 0.85


def dead(record: Record) -> Finding | None:
    """Layers that no gradient reaches, while others learn; for a third of the run, because a collapse has them too."""
    for name in (n for n in record.series if n.endswith("/dead share")):
        recent, player = _recent(record, name), name.partition("/")[0]
        lasted = record.of(name).rounds[-1] - _since(record, name, lambda value: LEAST_DEAD < value < 1)
        if (
            recent is None
            or lasted < 0.3 * record.total
            or not LEAST_DEAD < min(recent.values) <= max(recent.values) < 1
        ):
            continue
        return Finding(
            "dead layers",
            _since(record, name, lambda value: value > LEAST_DEAD),
            f"{recent.median:.0%} of the weights of the {player} are in layers that no gradient reaches any more",
            {name: recent.median},
            f"a tenth of the {player}'s learning rate from the beginning, or activations that leak",
            (Change(f"{player}.lr", factor=0.1),),
        )
    return None


LEAST_DEAD = 0.1


def plateau(record: Record) -> Finding | None:
    """Samples that are far from the data, and have long ceased to come nearer."""
    series = record.of("distance").after(math.ceil(WARM_UP * record.total))
    if len(series) < 2 * LONG or series.rounds[-1] < 0.6 * record.total or record.total < SHORTEST:
        return None
    middle = len(series) // 2
    before, after = (sorted(part)[len(part) // 2] for part in (series.values[:middle], series.values[middle:]))
    if after < FAR or after < 0.9 * before or min(series.values[middle:]) < 0.7 * min(series.values[:middle]):
        return None
    if series.last(WINDOW).median < 0.9 * before:  # it comes nearer again
        return None
    return Finding(
        "plateau",
        series.rounds[middle],
        f"samples have stayed {after:.0f} times as far from the data as real ones for half of the run",
        {"distance": after},
        "other learning rates, wider networks or another objective; more rounds of the same will not help",
    )


FAR, SHORTEST = 12.0, 200
"""Times the distance of real samples; rounds of a run in which anything can have come to an end."""
LEAST_COVERAGE = 0.25


def memorising(record: Record) -> Finding | None:
    """Copies, or a discriminator that knows its training samples by heart."""
    known, copies = _recent(record, "train over held-out"), _recent(record, "copying z")
    few = 0 < record.samples < FEW
    if copies is not None and max(copies.values) < -9:
        return Finding(
            "memorising",
            copies.rounds[0],
            f"samples lie nearer to training samples than held-out ones do, by {-copies.median:.0f} standard errors",
            {"copying z": copies.median},
            "more data; augmentation of what the discriminator sees (--discriminator-augment.diffaugment color "
            "translation cutout); or stop earlier",
        )
    if known is None or min(known.values) < MOST_KNOWN:
        return None
    kind = "data too small" if few else "memorising"
    return Finding(
        kind,
        _since(record, "train over held-out", lambda value: value >= MOST_KNOWN),
        f"the discriminator prefers a training sample to a held-out one {known.median:.0%} of the time: it learns "
        f"them by heart{f', and there are only {record.samples}' if few else ''}",
        {"train over held-out": known.median, "samples": float(record.samples)},
        "augment what the discriminator sees: --discriminator-augment.adaptive, or "
        "--discriminator-augment.diffaugment color translation cutout; or more data",
        (Change("discriminator_augment.adaptive", value=True),),
    )


FEW = 1500
MOST_KNOWN = 0.72


def winning(record: Record) -> Finding | None:
    """The discriminator is always right, and samples do not get better."""
    apart, distance = _recent(record, "told apart", LONG), _recent(record, "distance", LONG)
    if apart is None or distance is None or min(apart.values) < 0.985 or distance.median < 8:
        return None
    if distance.values[-1] < 0.85 * distance.values[0]:
        return None  # it wins, and the generator learns all the same
    return Finding(
        "discriminator winning",
        _since(record, "told apart", lambda value: value >= 0.985),
        f"the discriminator tells {apart.median:.1%} of real samples from generated ones, and these stay "
        f"{distance.median:.0f} times as far from the data as real ones",
        {"told apart": apart.median, "distance": distance.median},
        "a lower learning rate for the discriminator, or a gradient penalty (--penalty.r1 1)",
        (Change("discriminator.lr", factor=0.25), Change("penalty.r1", value=1.0)),
    )


def losing(record: Record) -> Finding | None:
    """The discriminator cannot tell samples that are plainly bad."""
    apart, distance = _recent(record, "told apart", 6), _recent(record, "live distance", 6)
    if apart is None or distance is None or max(apart.values) > 0.7 or min(distance.values) < 12:
        return None
    if distance.values[-1] < 0.7 * distance.values[0]:
        return None
    return Finding(
        "discriminator losing",
        _since(record, "told apart", lambda value: value <= 0.7),
        f"samples are {distance.median:.0f} times as far from the data as real ones, and the discriminator tells only "
        f"{apart.median:.0%} of them: it is too weak",
        {"told apart": apart.median, "distance": distance.median},
        "a wider discriminator, more of its steps (--discriminator-steps 2), or a higher learning rate for it",
        (Change("discriminator.lr", factor=4.0),),
    )


def oscillation(record: Record) -> Finding | None:
    """Samples wander from place to place."""
    drift, distance = _recent(record, "drift", LONG), _recent(record, "distance", LONG)
    if drift is None or distance is None or drift.median < 0.4 or min(distance.values) < 4:
        return None
    if distance.values[-1] < 0.8 * distance.values[0]:
        return None
    return Finding(
        "oscillation",
        drift.rounds[0],
        f"between two looks the middle of the samples moves by {drift.median:.0%} of the data's spread: they circle",
        {"drift": drift.median, "distance": distance.median},
        "lower learning rates, beta1 = 0, or a gradient penalty (--penalty.r1 1)",
        (Change("generator.lr", factor=0.3), Change("discriminator.lr", factor=0.3), Change("penalty.r1", value=1.0)),
    )


def worsening(record: Record) -> Finding | None:
    """The best lies behind."""
    series = record.of("distance").after(math.ceil(WARM_UP * record.total))
    if len(series) < 10:
        return None
    smooth = [sorted(series.values[max(0, i - 2) : i + 1])[len(series.values[max(0, i - 2) : i + 1]) // 2]
              for i in range(len(series))]  # fmt: skip
    best = min(range(len(smooth)), key=smooth.__getitem__)
    if best > len(smooth) - 6 or min(series.values[-4:]) < max(3 * smooth[best], 12):
        return None
    return Finding(
        "worse after the best",
        series.rounds[best],
        f"samples were {smooth[best]:.1f} times as far from the data as real ones in round {series.rounds[best]:,}, "
        f"and are {series.last(4).median:.1f} times now",
        {"best": smooth[best], "now": series.last(4).median},
        "stop there, or lower learning rates from there on (--decay 0.3)",
        (Change("decay", value=0.3),),
    )


def lagging(record: Record) -> Finding | None:
    """The average of the weights is worse than the weights."""
    kept, live = _recent(record, "distance"), _recent(record, "live distance")
    if kept is None or live is None:
        return None
    ratio = [a / max(b, 1.0) for a, b in zip(kept.values, live.values, strict=True)]
    if min(ratio) < 4 or kept.rounds[-1] < 0.3 * record.total:
        return None
    return Finding(
        "average lags",
        kept.rounds[0],
        f"averaged weights make samples {min(ratio):.0f} times as far from the data as the live ones do",
        {"distance": kept.median, "live distance": live.median},
        "a shorter average (--average 0.99), or none (--average 0)",
        (Change("half_life", value=0.0), Change("average", value=0.99)),
    )


LEAST_EFFECT = 0.22


def labels_ignored(record: Record) -> Finding | None:
    """Another label makes the same sample."""
    effect = _recent(record, "label effect", LONG)
    if effect is None or max(effect.values) > LEAST_EFFECT or effect.values[-1] > 1.4 * effect.values[0]:
        return None
    return Finding(
        "labels ignored",
        _since(record, "label effect", lambda value: value <= LEAST_EFFECT),
        f"another label changes a sample {effect.median:.0%} as much as another latent does: labels are ignored",
        {"label effect": effect.median},
        "check that labels belong to their samples (sparring data inspect), and that the discriminator sees them",
    )


CHECKS: dict[str, tuple[Check, tuple[str, ...]]] = {
    "divergence": (divergence, ("mode collapse", "mode dropping", "discriminator winning", "discriminator losing",
                                "oscillation", "worse after the best", "vanishing gradient", "labels ignored",
                                "wrong range", "memorising", "data too small", "average lags", "dead layers")),
    "wrong range": (wrong_range, ("mode collapse", "mode dropping", "discriminator winning", "discriminator losing")),
    "not learning": (still, ("discriminator winning", "discriminator losing", "mode dropping", "mode collapse",
                             "vanishing gradient", "oscillation", "labels ignored", "worse after the best")),
    "average lags": (lagging, ("mode collapse", "mode dropping", "discriminator winning", "worse after the best",
                               "labels ignored", "memorising")),
    "vanishing gradient": (vanishing, ("mode collapse", "mode dropping", "discriminator winning", "labels ignored")),
    "data too small": (memorising, ("mode dropping", "discriminator winning", "worse after the best", "mode collapse")),
    "mode collapse": (collapse, ("mode dropping", "discriminator winning", "labels ignored", "worse after the best",
                                 "oscillation", "dead layers")),
    "discriminator winning": (winning, ("mode dropping", "worse after the best", "oscillation")),
    "discriminator losing": (losing, ("mode dropping", "oscillation", "worse after the best")),
    "oscillation": (oscillation, ("mode dropping", "worse after the best")),
    "classes missing": (missing_classes, ("mode dropping",)),
    "mode dropping": (dropping, ()),
    "labels ignored": (labels_ignored, ()),
    "dead layers": (dead, ("worse after the best",)),
    "worse after the best": (worsening, ()),
    "plateau": (plateau, ()),
}  # fmt: skip
"""The gravest first: (check, what it explains)."""
