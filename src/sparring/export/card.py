"""What a model is, was made of, can and cannot do: a README.md filled from its run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from sparring import __version__
from sparring.data.source import About
from sparring.nn.signal import mel_of
from sparring.recipes import RECIPES
from sparring.trained import VOCODER, Run
from sparring.weights import Facts, bare

TAGS: Mapping[str, str] = {
    "image": "unconditional-image-generation", "text": "text-generation", "sound": "text-to-audio",
    "clip": "text-to-video", "point": "other",
}  # fmt: skip
"""Of models that make samples of nothing."""
CLASSIFIES: Mapping[str, str] = {
    "image": "image-classification", "text": "text-classification", "sound": "audio-classification",
    "clip": "video-classification", "point": "other",
}  # fmt: skip
STORED: Mapping[str, str] = {
    "image": "torch.randint(256, {shape}, dtype=torch.uint8)", "clip": "torch.randint(256, {shape}, dtype=torch.uint8)",
    "text": "torch.randint(2, {known}, {shape})", "sound": "torch.randint(-999, 999, {shape}, dtype=torch.int16)",
    "point": "torch.randn({shape})",
}  # fmt: skip
"""Noise, stored as samples of a kind are."""
GIVEN = "given = {noise}  # your own in its place"
USES: Mapping[str, tuple[str, ...]] = {
    "sample": ("samples = model.sample(16)",),
    "label": ("samples = model.sample(16, label={label})",),
    "caption": ("samples = model.sample(16, caption={words})",),
    "classify": (GIVEN, "probabilities = model.classify(given)  # in the order of model.about.classes"),
    "translate": (GIVEN, "made = model.translate(given{to})"),
    "upscale": (GIVEN, "larger = model.upscale(given)"),
    "inpaint": (
        GIVEN,
        "hole = torch.zeros(1, 1, *given.shape[2:], dtype=torch.bool)",
        "hole[:, :, 4:12, 4:12] = True  # where they are missing",
        "filled = model.inpaint(given, hole)",
    ),
    "write": ("made = model.translate_text({words}{to})",),
    "voice": (
        "about = dataclasses.replace(model.about, shape={shape}, hop={hop})  # of a run of melgan: its .about",
        "spectrograms = torch.randint(256, (4, *about.shape), dtype=torch.uint8)  # its .sample(4)",
        "waves = model.voiced(spectrograms, about)",
    ),
}  # fmt: skip
"""What to do with a model -> the lines that do it."""


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
        f"{plain(bare(reference.get('data', 'held-out data')))}, split {plain(reference.get('split', ''))} "
        f"(sha256 `{plain(reference.get('sha256', ''))[:16]}`), seed {told.get('seed')}. `real data` is what as many "
        "training samples score. Of figures with other stamps nothing follows."
    )
    yield from ["", *table(told)]


def limits(run: Run, facts: Facts) -> Iterator[str]:
    """What it cannot, as far as its facts say."""
    about = facts.run.about
    does = "tells classes of" if run.model.game.sample is None else "makes"
    yield f"- It {does} {about.what} of shape {tuple(about.shape)}, and knows only what is in {plain(about.name)}."
    yield "- It repeats whatever is lopsided in those data, and may repeat single samples of them."
    if about.classes and not about.invented:
        yield f"- Classes: {', '.join(map(plain, about.classes[:60]))}."
    metrics = scores(run).get("metrics", {})
    if not any("copy" in name or "copies" in name for name in metrics):
        yield "- Whether it copies training data was not measured."
    if not facts.averaged:
        yield "- These are the weights of the last round, not an average."


def use_of(run: Run) -> str:
    """The one of `USES` that a model is for."""
    game, about = run.model.game, run.about
    if game.sample is None:
        return "classify"
    if run.written.recipe == VOCODER:
        return "voice"
    if game.given == ("caption",):
        return "caption"
    if game.given:
        picture = "inpaint" if about.masked else "upscale" if run.factor > 1 else "translate"
        return "write" if about.key == "text" else picture
    named = about.classes and not about.invented and game.draw is not None
    return "label" if named and "label" in game.draw(1, torch.Generator()) else "sample"  # type: ignore[misc]


def code(run: Run) -> list[str]:
    """Python that runs as it stands beside the model file; data in it are noise of the right shape."""
    use = use_of(run)
    body = [line.format(**_filling(run, run.about, use)) for line in USES[use]]
    needed = [f"import {name}" for name in ("dataclasses", "torch") if any(f"{name}." in line for line in body)]
    return [*needed, "import sparring", "", 'model = sparring.load("model.safetensors")', *body]


def _filling(run: Run, about: About, use: str) -> dict[str, Any]:
    shape, hop = about.shape if use == "classify" else about.source, 0
    if use == "inpaint":
        shape = about.shape
    if use == "voice":
        mel = mel_of(about.rate, run.plan.model.bands, run.plan.model.hop)
        shape, hop = (1, mel.bands, about.shape[1] // mel.hop), mel.hop
    words = about.source_vocabulary if use == "write" else [word for word in about.vocabulary if word.isalpha()]
    known = (words or about.vocabulary)[: min(about.caption or 6, 6)]
    label = repr(about.classes[0]) if about.classes else ""
    noise = STORED[about.key].format(shape=(4, *shape), known=len(about.vocabulary) + 2)
    return {
        "noise": noise, "shape": shape, "hop": hop, "label": label, "to": f", label={label}" if label else "",
        "words": repr(("" if about.characters else " ").join(known)),
    }  # fmt: skip


def tag(run: Run) -> str:
    """What the Hub calls such a model."""
    use, key = use_of(run), run.about.key
    made = {
        "classify": CLASSIFIES[key], "caption": "text-to-image", "write": "translation", "voice": "audio-to-audio",
        "translate": "image-to-image" if key == "image" else "other",
    } | dict.fromkeys(("upscale", "inpaint"), "image-to-image")  # fmt: skip
    return made.get(use, TAGS[key])


def card(run: Run, facts: Facts, pictures: Mapping[str, str], licence: str | None) -> str:
    """README.md of a model repository. `pictures`: what each shows -> file beside it."""
    entry, about = RECIPES.get(facts.run.recipe), facts.run.about
    head = ["---", "library_name: sparring", f"tags: [gan, {json.dumps(facts.run.recipe)}]"]
    head += [f"pipeline_tag: {tag(run)}", f"license: {json.dumps(licence) if licence else 'unknown'}", "---"]
    use = ["```python", *code(run), "```"]
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
