"""What a model is, was made of, can and cannot do: a README.md filled from its run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sparring import __version__
from sparring.recipes import RECIPES
from sparring.trained import Run
from sparring.weights import Facts, bare

TAGS: Mapping[str, str] = {
    "image": "unconditional-image-generation", "text": "text-generation", "sound": "text-to-audio",
    "clip": "text-to-video", "point": "other",
}  # fmt: skip


def plain(text: Any) -> str:
    """Text in which nothing is markup: for names that came with data."""
    kept = "".join(c if c.isprintable() else " " for c in str(text))
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#|!~$" else c for c in kept)


def scores(run: Run) -> Mapping[str, Any]:
    """The run's own evaluation; empty where there is none."""
    name = "evaluation.json" if run.checkpoint == "final" else "evaluation-best.json"
    if (run.path / name).is_symlink():
        return {}
    try:
        told = json.loads((run.path / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) and isinstance(told.get("metrics"), dict) else {}


def table(told: Mapping[str, Any]) -> Iterator[str]:
    """Scores with their standard errors, and what real data score."""
    yield "| score | value | standard error | real data |"
    yield "|---|---|---|---|"
    for name, row in told["metrics"].items():
        cells = (row.get(key) for key in ("value", "se", "floor")) if isinstance(row, dict) else ()
        yield f"| {plain(name)} | " + " | ".join(f"{c:.4g}" if isinstance(c, int | float) else "" for c in cells) + " |"


def judged(run: Run) -> Iterator[str]:
    """How good it is, as measured."""
    told = scores(run)
    if not told:
        yield "Nobody has judged it: `sparring evaluate RUN`."
        return
    found = told.get("reference")
    reference = found if isinstance(found, dict) else {}
    yield (
        f"Measured at round {told.get('round')} on {told.get('samples', 'all')} samples against "
        f"{plain(reference.get('data', 'held-out data'))}, split {plain(reference.get('split', ''))} "
        f"(sha256 `{plain(reference.get('sha256', ''))[:16]}`), seed {told.get('seed')}. `real data` is what as many "
        "training samples score. Of figures with other stamps nothing follows."
    )
    yield from ["", *table(told)]


def limits(run: Run, facts: Facts) -> Iterator[str]:
    """What it cannot, as far as its facts say."""
    about = facts.run.about
    yield f"- It makes {about.what} of shape {tuple(about.shape)}, and knows only what is in {plain(about.name)}."
    yield "- It repeats whatever is lopsided in those data, and may repeat single samples of them."
    if about.classes and not about.invented:
        yield f"- Classes: {', '.join(map(plain, about.classes[:60]))}."
    metrics = scores(run).get("metrics", {})
    if not any("copy" in name or "copies" in name for name in metrics):
        yield "- Whether it copies training data was not measured."
    if not facts.averaged:
        yield "- These are the weights of the last round, not an average."


def card(run: Run, facts: Facts, pictures: Mapping[str, str], licence: str | None) -> str:
    """README.md of a model repository. `pictures`: what each shows -> file beside it."""
    entry, about = RECIPES.get(facts.run.recipe), facts.run.about
    head = ["---", "library_name: sparring", f"tags: [gan, {json.dumps(facts.run.recipe)}]"]
    head += [f"pipeline_tag: {TAGS[about.key]}", f"license: {json.dumps(licence) if licence else 'unknown'}", "---"]
    use = ["```python", "import sparring", "", 'model = sparring.load("model.safetensors")']
    use += ["samples = model.sample(16)" if not run.model.game.given else "made = model.translate(sources)", "```"]
    data = f"{plain(about.name)}, sha256 `{about.sha256[:16]}`. {' '.join(map(plain, facts.run.about.notes))}"
    allowed = plain(licence) if licence else "Who exported it stated none. That of the data is above."
    told = json.dumps(bare(facts.run.model), ensure_ascii=False)
    parts = [
        *head, "", f"# {plain(facts.run.recipe)} of {plain(about.name)}", "",
        f"{plain(facts.run.recipe)}{f' ({entry.paper})' if entry else ''}, trained on {plain(about.name)} by "
        f"sparring {__version__}: round {facts.round:,}, {'averaged' if facts.averaged else 'live'} weights.", "",
        *(f"![{plain(what)}]({file})\n" for what, file in pictures.items()),
        "## Use", "", *use, "", "`model.safetensors` holds weights and configuration; reading it executes nothing.", "",
        "## Data", "", data,
        "", "## Scores", "", *judged(run), "", "## Limits", "", *limits(run, facts), "",
        "## Licence", "", allowed, "", "## Configuration", "", f"`{told}`" if "`" not in told else plain(told), "",
    ]  # fmt: skip
    return "\n".join(parts)
