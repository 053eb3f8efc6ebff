"""Losses and scores by round, as lines to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparring.report.told import dig, finite

POINTS = 800  # points of a curve, at most: about one per pixel
_COLOURS = {"fake": 0, "generator": 0, "real": 1, "discriminator": 1}  # the red corner and the blue corner
_OTHER_COLOURS = (2, 3, 4, 5)


@dataclass(frozen=True)
class Chart:
    """The losses or the scores of one player: (term, colour, values by round)."""

    title: str
    note: str
    lines: Sequence[tuple[str, int, Sequence[float | None]]]


def charts_of(losses: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[Chart]]:
    """Rounds, and a chart per player for losses and for scores; long runs as means over equal stretches."""
    step = -(-len(losses) // POINTS) or 1
    stretches = [losses[i : i + step] for i in range(0, len(losses), step)]
    names = dict.fromkeys(name for event in losses for name in dig(event, "values") or () if not _for_doctor(name))
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        player, term = _parted(name)
        groups.setdefault((player, "scores" if "score" in term else "losses"), []).append(name)
    charts = [_chart(player, kind, terms, stretches) for (player, kind), terms in groups.items()]
    return [stretch[-1]["round"] for stretch in stretches], charts


def _for_doctor(name: str) -> bool:
    """Lengths of gradients, steps and weights: no losses, and on scales of their own."""
    return _parted(name)[1] in ("gradient norm", "update ratio", "weight size")


def _chart(player: str, kind: str, names: Sequence[str], stretches: Sequence[Sequence[Mapping[str, Any]]]) -> Chart:
    terms = [_parted(name)[1] for name in names]
    values = [[_mean(stretch, name) for stretch in stretches] for name in names]
    title = f"{player} {kind}".strip()
    note = "Far apart: it tells real from generated. Together: it cannot." if _judges(terms) else ""
    lines = list(zip(terms, _colours(player, terms), values, strict=True))
    return Chart(title[:1].upper() + title[1:], note, lines)


def _parted(name: str) -> tuple[str, str]:
    """`player/term` -> (player, term); no player for a bare term."""
    player, slash, term = name.partition("/")
    return (player, term) if slash else ("", name)


def _judges(terms: Sequence[str]) -> bool:
    return {"real score", "fake score"} <= set(terms)


def _colours(player: str, terms: Sequence[str]) -> list[int]:
    """Real is blue and fake is red, a player's first other term has its corner's colour, then the rest."""
    chosen: list[int] = []
    for index, term in enumerate(terms):
        word = term.split()[0] if term.split() else ""
        wanted = _COLOURS.get(word, _COLOURS.get(player))
        if wanted is None or wanted in chosen:
            wanted = _OTHER_COLOURS[index % len(_OTHER_COLOURS)]
        chosen.append(wanted)
    return chosen


def _mean(stretch: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Over the finite values, to six digits, which is more than a screen shows."""
    found = [value for event in stretch if (value := finite(dig(event, "values", name))) is not None]
    return float(f"{sum(found) / len(found):.6g}") if found else None
