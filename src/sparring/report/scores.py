"""The evaluation as HTML: every score with its meaning and its floor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sparring.report.markup import BARS, empty_html, escape, score_text, shown_path
from sparring.report.told import Run, dig, finite

_MEANINGS = {
    "frechet distance": (
        "Fréchet distance",
        "How far the features of all samples, as one cloud, lie from those of real data.",
    ),
    "kernel distance": (
        "Kernel distance",
        "The same question as Fréchet, without assuming a bell-shaped cloud. About 0 for real data.",
    ),
    "inception score": ("Inception score", "Samples look like one class each, and all classes occur."),
    "precision": ("Precision", "Share of samples that lie where real data lies: quality."),
    "recall": ("Recall", "Share of real data that lies where samples lie: variety."),
    "density": ("Density", "Like precision, counting how many real neighbours each sample has."),
    "coverage": ("Coverage", "Share of real data with a sample close by: variety, robust to outliers."),
    "accuracy": ("Accuracy", "Share of held-out data whose class is named rightly."),
    "class right": ("Class right", "Share of samples that are read as the class that was asked for."),
    "modes": ("Modes", "Centres of the data that samples reach."),
    "high quality share": ("High quality share", "Share of samples within 3 sigma of a centre."),
    "confidence": ("Confidence", "How sure the classifier is of each sample's class, on average."),
    "reconstruction error": (
        "Reconstruction error",
        "How far held-out samples come back from their code: root mean square, in the data's range of 2 for pictures.",
    ),
    "elbo": ("ELBO", "Lower bound on the log-probability of held-out samples, in nats per sample."),
    "nll": ("NLL", "Upper bound on minus that log-probability, by importance weights: tighter than the ELBO."),
    "vendi score": ("Vendi score", "How many different samples there are, in effect."),
    "class kl": ("Class KL", "How far the shares of the classes are from the data's, in nats."),
    "copying z": (
        "Copying z",
        "Far below 0: samples lie nearer to training data than held-out data do. Its error is 1.",
    ),
    "authentic share": ("Authentic share", "Share of samples that are no near-copies of a training sample."),
}
_KEY = '<p class="fine key"><i></i>samples<s></s>the data\'s own share</p>'


def evaluation_html(run: Run) -> str:
    """Scores beside their floors, and the shares of the classes; what is missing is left out."""
    rows = "".join(_metric_row(name, metric) for name, metric in _metrics(run.evaluation))
    if not rows:
        command = escape(f"sparring evaluate {shown_path(run.folder)}")
        return empty_html(f"Not judged yet. <code>{command}</code> does it.")
    floor = run.evaluation.get("floor")
    meaning = (
        f"Floor: {escape(floor)}. At 1× the floor, this metric cannot tell samples from real data." if floor else ""
    )
    return (
        f'<div class="scores"><div><p>{escape(_judged(run.evaluation))}</p>'
        '<table class="metrics"><thead><tr><th scope="col">Metric</th><th scope="col">Samples</th>'
        f'<th scope="col">Floor</th><th scope="col">× floor</th></tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="fine">{meaning}</p>{_best(run)}</div>'
        f"{_shares(run)}</div>"
    )


def _best(run: Run) -> str:
    """What an earlier round scored that looked better than the end."""
    number, distance = finite(run.best.get("round")), finite(dig(run.best, "metrics", "frechet distance", "value"))
    if number is None or distance is None:
        return ""
    command = escape(f"sparring sample {shown_path(run.folder)} --checkpoint best")
    return (
        f"<p>The best while training, round {number:,.0f}, has a Fréchet distance of {distance:.4g}. "
        f"<code>{command}</code> draws from it.</p>"
    )


def _metrics(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, value and floor); toys have bare numbers instead."""
    metrics = dig(evaluation, "metrics")
    for name, metric in metrics.items() if isinstance(metrics, Mapping) else ():
        if isinstance(metric, Mapping):
            yield name, metric
    for name in ("modes", "high quality share"):
        if finite(evaluation.get(name)) is not None:
            yield name, {"value": evaluation[name], "better": "higher"}


def _judged(evaluation: Mapping[str, Any]) -> str:
    """What was judged, against what, by whom, as a sentence."""
    samples, number = finite(evaluation.get("samples")), finite(evaluation.get("round"))
    split, count = dig(evaluation, "reference", "split"), finite(dig(evaluation, "reference", "count"))
    judge, accuracy = (dig(evaluation, "extractor", key) for key in ("name", "accuracy"))
    parts = [f"{samples:,.0f} samples" if samples else "Samples"]
    parts += [f"of round {number:,.0f}"] if number is not None else []
    parts += [f"({evaluation['weights']} weights)"] if evaluation.get("weights") else []
    parts += [f"against {count:,.0f} real ones"] if count else []
    parts += [f"({split} split)"] if split else []
    parts += [f"in the features of {judge}"] if judge else []
    sure = finite(accuracy)
    parts += [f"(accuracy {sure:.2%})"] if sure is not None else []
    return " ".join(parts) + "."


def _metric_row(name: str, metric: Mapping[str, Any]) -> str:
    word, _, rest = name.partition(" ")
    label, meaning = _MEANINGS.get(name.lower(), (name[:1].upper() + name[1:], ""))
    if not meaning and word in _MEANINGS:  # what it is of stands behind it: `elbo (bernoulli)`
        label, meaning = f"{_MEANINGS[word][0]} {rest}", _MEANINGS[word][1]
    arrows = {"lower": "↓ lower is better", "higher": "↑ higher is better", "nearer 0": "nearer 0 is better"}
    better = arrows.get(str(metric.get("better")), "")
    cells = (_with_error(metric, "value", "se"), _with_error(metric, "floor", "floor_se"), times_floor(metric) or "–")
    return (
        f'<tr><th scope="row">{escape(label)} <em>{better}</em></th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + f'</tr><tr class="meaning"><td colspan="4">{escape(meaning)}</td></tr>'
    )


def _with_error(metric: Mapping[str, Any], value: str, error: str) -> str:
    """`0.123 ± 0.004`."""
    said = finite(metric.get(error))
    return score_text(metric.get(value)) + (f"<small> ± {said:.1g}</small>" if said else "")


def times_floor(metric: Mapping[str, Any]) -> str:
    """`2.1×`; empty where a ratio means nothing, as with floors around zero."""
    given = finite(metric.get("times_floor"))
    value, floor = finite(metric.get("value")), finite(metric.get("floor"))
    if given is None and metric.get("better") == "higher" and value is not None and floor and floor > 0:
        given = value / floor
    return "" if given is None else f"{given:,.0f}×" if given >= 100 else f"{given:.2f}×"


def _shares(run: Run) -> str:
    """A bar per class, with a tick where the data's own share lies; only the rarest of very many classes."""
    names, shares = (dig(run.evaluation, "classes", key) for key in ("names", "shares"))
    if not isinstance(names, list) or not isinstance(shares, list) or len(names) != len(shares) or not names:
        return ""
    known = [finite(share) or 0.0 for share in shares]
    prior = dig(run.config, "about", "prior")
    real = prior if isinstance(prior, list) and len(prior) == len(names) else [None] * len(names)
    rows = list(zip(names, known, map(finite, real), strict=True))
    note = ""
    if len(rows) > BARS:
        rows, note = sorted(rows, key=lambda row: row[1])[:BARS], f"The {BARS} rarest of {len(names):,}. "
    full = max([1e-9, *known, *(tick for _, _, tick in rows if tick)])
    kl = finite(dig(run.evaluation, "classes", "kl"))
    note += f"KL divergence from the data's shares: {score_text(kl)} nats." if kl is not None else ""
    return (
        f'<div><h3>Share of each class</h3><p class="fine">{note}</p><ul class="shares">'
        + "".join(_bar(name, share, tick, full) for name, share, tick in rows)
        + f"</ul>{_KEY if real[0] is not None else ''}</div>"
    )


def _bar(name: Any, share: float, tick: float | None, full: float) -> str:
    mark = "" if tick is None else f'<s style="left:{min(100.0, 100 * tick / full):.2f}%"></s>'
    said = "" if tick is None else f' title="data: {tick:.1%}"'
    return (
        f"<li{said}><span>{escape(name)}</span><div>"
        f'<i style="width:{max(0.0, 100 * share / full):.2f}%"></i>{mark}</div><b>{share:.1%}</b></li>'
    )
