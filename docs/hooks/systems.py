"""A page for every system, made of what is there already: its recipe's words and numbers, its proofs, its pictures.

Also the settings that all systems share, the pages of the API, and their places in the navigation.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

from sparring import recipes
from sparring.data.settings import Data
from sparring.proofs import PROOFS
from sparring.proofs.record import VERDICTS, cell, note, read
from sparring.recipes import RECIPES
from sparring.runs import How
from sparring.studio.form import Setting, settings_of

DOCS = Path(__file__).parents[1]
SOURCE = DOCS.parent / "src" / "sparring"
TOLD_BY_COMMAND: Mapping[str, tuple[str, ...]] = {"demo": ("cdcgan",), "pictures": ("dcgan",), "mixed": ("dcgan",)}
"""Systems of the results that `sparring prove` does not make."""

PICTURES: Mapping[str, Sequence[tuple[str, str]]] = {
    "cdcgan": [("mnist.png", "MNIST, two minutes on one core: one column per class, one latent per row")],
    "dcgan": [
        ("emoji.png", "Emoji at 64x64, without labels, 2,000 rounds"),
        ("daisies.png", "Photographs of daisies at 64x64, without labels, 2,000 rounds"),
    ],
    "pacgan": [
        ("proofs/modes-ring.gif", "The ring: samples over time by method"),
        ("proofs/modes-grid.gif", "The grid: samples over time by method"),
    ],
    "wgan_gp": [("proofs/lines.png", "Jensen-Shannon and Wasserstein, and their gradients, against the distance")],
    "fgan": [("proofs/fgan.png", "One Gaussian fitted to a mixture under five divergences")],
    "vae": [("proofs/vae-beta.png", "By weight of the divergence: samples, then pictures above what is left of them")],
    "pix2pix": [
        ("proofs/filled.png", "From above: outlines, pix2pix, the distance alone, the truth"),
        ("proofs/emoji.png", "From above: emoji of 2017, pix2pix, the distance alone, those of today"),
    ],
    "cyclegan": [
        ("proofs/daisies-to-sunflowers.png", "Held-out daisies, made into sunflowers"),
        ("proofs/sunflowers-to-daisies.png", "Held-out sunflowers, made into daisies"),
    ],
    "superres": [
        ("proofs/superres.png", "From above: what is given, bicubic, the distance alone, with a critic, the truth"),
        ("proofs/flowers-x4.png", "Photographs, four times as large"),
    ],
    "inpaint": [
        (
            "proofs/inpaint.png",
            "From above: what is given, black, the mean picture, the distance alone, with a critic, the truth",
        ),
        ("proofs/flowers-holes.png", "Photographs with holes"),
    ],
    "text_to_image": [
        ("proofs/sentences.png", "Pictures of the world of shapes above what was drawn from their sentences"),
        ("proofs/emoji-names.png", "Real emoji above what was drawn from their names: of training, then held out"),
    ],
    "melgan": [("proofs/spoken-digits.png", "A row for each digit: eight that were made, eight recordings")],
    "video": [("proofs/moving.gif", "Clips of digits that move")],
}
"""Those in docs/, each made by the proof or command that its page names."""

API: Mapping[str, tuple[str, Sequence[str]]] = {
    "train": ("Train and use", ("sparring.session", "sparring.trained", "sparring.runs", "sparring.weights")),
    "objectives": ("Objectives", ("sparring.objectives",)),
    "penalties": ("Penalties and augmentation", ("sparring.penalties", "sparring.augment", "sparring.schedules")),
    "game": ("Games", ("sparring.game", "sparring.duel", "sparring.optimizers", "sparring.average")),
    "engine": ("The engine", ("sparring.engine", "sparring.checkpoint", "sparring.sampling", "sparring.distributed")),
    "data": (
        "Data sources",
        tuple(f"sparring.data{name}" for name in ("", ".source", ".settings", ".loader", ".views")),
    ),
    "networks": ("Networks", ("sparring.nn.layers", "sparring.nn.dense", "sparring.nn.image", "sparring.nn.translate")),
    "metrics": (
        "Metrics",
        tuple(
            f"sparring.metrics.{name}"
            for name in ("evaluate", "errors", "features", "extractors", "frechet", "kernel", "neighbours", "diversity",
                         "classes", "copying", "likelihood", "perceptual", "pairs", "text")
        ),
    ),
    "doctor": ("The doctor", ("sparring.doctor.record", "sparring.doctor.checks", "sparring.doctor.foreign")),
    "export": ("Export", tuple(f"sparring.export.{name}" for name in ("hub", "graph", "page", "card"))),
    "recipes": ("Recipes by name", ("sparring.recipes", "sparring.config")),
    "testing": ("Testing your own", ("sparring.testing",)),
}  # fmt: skip
"""File -> (title, modules)."""

ELSEWHERE: Mapping[str, str] = {
    "src/sparring/recipes": "systems/index.md",
    "src/sparring/data/settings.py": "systems/settings.md",
    "src/sparring/studio/static/tour_words.js": "tour/en.md",
    "README.zh-CN.md": "tour/zh.md",
}
"""What pages of docs/ link to where they are read as files of the repository, and the site has a page for."""

UNBOUNDED = 1e5
"""Limits from which on nobody comes near them."""
Proof = Mapping[str, Any]
anchor = slugify(case="lower")


def escaped(text: str) -> str:
    """Prose in which `<` is a sign; code between backticks stays as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of Markdown; none without rows."""
    if not rows:
        return []
    lines = [head, ["---"] * len(head), *[[cell(value).replace("|", "\\|") for value in row] for row in rows]]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def code_blocks(code: str) -> list[str]:
    """Indented lines of a docstring as fenced blocks: commands, their remarks made comments, and everything else."""
    lines, kind = list[str](), ""
    for line in code.splitlines():
        now = "sh" if line.startswith("sparring") else kind if not line.strip() else "text"
        if now != kind:
            lines += [*(["```", ""] if kind else []), f"```{now}"]
            kind = now
        lines.append(re.sub(r"^(sparring .*?\S)(\s{3,})(?=[^\s#])", r"\1\2# ", line) if now == "sh" else line)
    return [*lines, "```", ""]


def told(docstring: str) -> list[str]:
    """A docstring as Markdown: indented blocks become code, pages of docs/ links."""
    lines = list[str]()
    for part in re.split(r"((?:^    .*\n?|^\n)+)", docstring.strip("\n") + "\n", flags=re.M):
        if part.startswith("\n") or not part.strip():
            lines.append("")
        if not part.strip():
            continue
        if part.lstrip("\n").startswith("    "):
            lines += code_blocks(inspect.cleandoc(part))
        else:
            linked = re.sub(r"docs/(\w+)\.md", r"[docs/\1.md](../\1.md)", escaped(part.strip("\n")))
            lines += [*linked.splitlines()]
    return [*lines, ""]


def results() -> dict[str, Proof]:
    """Every result on file, by name."""
    return {path.stem: read(path) for path in sorted((DOCS / "proofs").glob("*.json"))}


def proven(name: str, found: Mapping[str, Proof]) -> list[tuple[str, Proof]]:
    """The results that are about a recipe, in the order of the page of proofs."""
    about = {
        key: PROOFS[key].recipes if key in PROOFS else TOLD_BY_COMMAND.get(key, (proof.get("recipe"),))
        for key, proof in found.items()
    }
    return sorted(((key, found[key]) for key in found if name in about[key]), key=lambda pair: pair[1]["order"])


def figures(proof: Proof, recipe: str) -> str:
    """What a result says in a cell: multiples of the floor by seed, else how many figures are where they should be."""
    columns, rows = list(proof["columns"]), proof["rows"]
    if "x floor, median" in columns:
        return ", ".join(f"{row[2]} x floor" for row in rows if row[0] == recipe)
    if "x floor" in columns:
        floor = f" ({proof['floor']:.4f})" if "floor" in proof else ""
        return ", ".join(f"{row[columns.index('x floor')]:g}" for row in rows) + f" x floor{floor}"
    if "verdict" in columns:
        verdicts = [row[columns.index("verdict")] for row in rows]
        good, bad = (sum(verdicts.count(word) for word in pair) for pair in
                     (("holds", "fails, as it must"), ("falls short", "does not fail")))  # fmt: skip
        return f"{good} of {good + bad} figures hold" if good + bad else "table below"
    return "table below"


def proof_lines(name: str, found: Mapping[str, Proof]) -> list[str]:
    """The part of a page on what was measured."""
    mine, lines = proven(name, found), ["## Measured", ""]
    if name in (quick := recipes.measured()):
        lines += [
            f"**{quick[name]['score']}** after **{quick[name]['cost'].split(', ')[1]}** of training on MNIST.",
            "",
        ]
    if not mine:
        lines += ["No proof of this system is on file.", ""]
    rows = [
        (f"[{p['title']}](../proofs.md#{anchor(p['title'], '-')})", VERDICTS[p["passed"]], figures(p, name), p["date"])
        for _, p in mine
    ]
    lines += table(("proof", "verdict", "score", "measured"), rows)
    open_ones = [key for key, entry in PROOFS.items() if name in entry.recipes and key not in found]
    if open_ones:
        lines += [
            "Claimed, without a result on file: " + ", ".join(f"`sparring prove {k}`" for k in open_ones) + ".",
            "",
        ]
    for _, p in mine:
        inside = [escaped(p["text"]), "", f"`{p['command']}`: {VERDICTS[p['passed']]}", "",
                  *table(p["columns"], p["rows"]), note(p)]  # fmt: skip
        lines += [f'??? note "{p["title"]}"', "", *(f"    {line}" if line else "" for line in inside), ""]
    return lines


def bounds(entry: Setting) -> str:
    """What a setting may be."""
    if entry.name == "objective":
        return "[any objective](../api/objectives.md), or `file.py:name`"
    if entry.choices:
        return ", ".join(f"`{choice}`" for choice in entry.choices)
    if entry.least is None or entry.most is None:
        kinds = {"flag": "on, off", "whole": "whole number", "schedule": "number or schedule", "several": "numbers"}
        return kinds.get(entry.kind, entry.kind)
    return f"{entry.least:g} to {entry.most:g}" if entry.most < UNBOUNDED else f"from {entry.least:g}"


def setting_rows(values: Any) -> Iterator[tuple[str, str, str, str]]:
    """(flag, default, what it may be, help) of all fields, nested ones by their path."""
    for entry in settings_of(values, "model"):
        yield (
            f"`--{entry.name.replace('_', '-')}`",
            f"`{entry.default}`" if entry.default else "",
            bounds(entry),
            escaped(entry.help),
        )


def preset_lines(presets: Mapping[str, Any]) -> list[str]:
    """The presets, and in what the others differ from the first."""
    first, *others = presets
    shown = {name: {entry.name: entry.default for entry in settings_of(values, "model")}
             for name, values in presets.items()}  # fmt: skip
    differing = [key for key in shown[first] if len({values.get(key) for values in shown.values()}) > 1]
    lines = [f"`--preset`: {', '.join(f'`{name}`' for name in presets)}; `{first}` where nothing is said.", ""]
    if not others:
        return lines
    rows = [[f"`{key}`", *(f"`{shown[name].get(key) or 'none'}`" for name in presets)] for key in differing]
    return lines + table(["setting", *presets], rows)


def read_on(name: str) -> list[str]:
    """Pages of the documentation that train with it."""
    pages = [path for path in sorted(DOCS.glob("*.md")) if path.stem not in ("proofs", "index", "extend", "design")]
    using = [path for path in pages if re.search(rf"\btrain {name}\b|`{name}`", path.read_text(encoding="utf-8"))]
    titles = [(path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "), path.name) for path in using]
    return ["Read on: " + ", ".join(f"[{title}](../{page})" for title, page in titles) + ".", ""] if titles else []


def system_page(name: str, found: Mapping[str, Proof]) -> str:
    """All that is known of a system."""
    recipe, entry = recipes.find(name), RECIPES[name]
    headline, _, rest = inspect.cleandoc(recipe.__doc__ or "").partition("\n")
    lines = [f"# {name}", "", f"**{escaped(headline)}**", ""]
    lines += [f"*{entry.purpose[0].upper()}{entry.purpose[1:]}.* {entry.paper}.", ""]
    for picture, caption in PICTURES.get(name, ()):
        lines += ['<figure markdown="span">', f"![{caption}](../{picture})", f"<figcaption>{caption}</figcaption>"]
        lines += ["</figure>", ""]
    lines += ["## The idea", "", *told(rest), *read_on(name), *proof_lines(name, found)]
    lines += ["## Presets", "", *preset_lines(recipe.PRESETS)]
    lines += ["## Settings", "", "Beside [those of all systems](settings.md), on data and on how to train:", ""]
    lines += table(
        ("flag", "default", "may be", "what it does"), list(setting_rows(next(iter(recipe.PRESETS.values()))))
    )
    code = (SOURCE / "recipes" / f"{name}.py").read_text(encoding="utf-8").rstrip()
    lines += [
        "## Source { data-search-exclude }",
        "",
        f'??? note "src/sparring/recipes/{name}.py"',
        "",
        "    ```python",
    ]
    lines += [*(f"    {line}" if line else "" for line in code.splitlines()), "    ```", ""]
    return "\n".join(lines)


def settings_page() -> str:
    """The settings on data and training."""
    head = ("flag", "default", "may be", "what it does")
    lines = [
        "# Settings of all systems",
        "",
        "After `sparring train RECIPE`; in Python, arguments of `sparring.train`.",
        "",
    ]
    for title, values in (("On data", Data()), ("On training", How())):
        lines += [f"## {title}", "", *table(head, list(setting_rows(values)))]
    return "\n".join(lines)


def index_page(found: Mapping[str, Proof]) -> str:
    """All systems in a table."""
    rows = []
    for name, entry in RECIPES.items():
        verdicts = [proof["passed"] for _, proof in proven(name, found)]
        said = ", ".join(f"{count} {word}" for word, count in
                         (("hold", verdicts.count(True)), ("fall short", verdicts.count(False)),
                          ("for reference", verdicts.count(None))) if count)  # fmt: skip
        quick = recipes.measured().get(name, {})
        rows.append(
            (f"[`{name}`]({name}.md)", entry.purpose, entry.paper, quick.get("score", ""), said or "none on file")
        )
    text = (
        "Each is one module, with the numbers of its paper and tuned ones. *Score*: on MNIST, in multiples of what "
        "real training pictures score; every figure is in [Proofs](../proofs.md)."
    )
    return "\n".join(["# Systems", "", text, "", *table(("system", "what for", "paper", "score", "proofs"), rows)])


def api_page(title: str, modules: Sequence[str]) -> str:
    """Modules by their docstrings."""
    return "\n".join([f"# {title}", "", *(f"::: {module}\n" for module in modules)])


def site_page(path: str) -> str:
    """A file of the repository as the page that the site has of it; itself, and so an error, where there is none."""
    if path in ELSEWHERE:
        return ELSEWHERE[path]
    module = ".".join(Path(path).with_suffix("").parts[1:]).removesuffix(".__init__")
    return next((f"api/{name}.md" for name, (_, modules) in API.items() if module in modules), f"../{path}")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links out of docs/ lead to pages of the site. A page alone in its part of the navigation needs no list of it."""
    if page.file.src_uri in ("index.md", "proofs.md"):
        page.meta["hide"] = ["navigation"]
    return re.sub(r"\]\(\.\./((?:src/|README)[^)#]+)\)", lambda link: f"]({site_page(link[1])})", markdown)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fills the empty places of the navigation."""
    places = {
        "Systems": [
            "systems/index.md",
            *({name: f"systems/{name}.md"} for name in RECIPES),
            {"Settings of all": "systems/settings.md"},
        ],
        "API": [{title: f"api/{name}.md"} for name, (title, _) in API.items()],
    }
    for entry in config.nav or []:
        for title in set(entry) & set(places):
            entry[title] = places[title]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    found = results()
    pages = {"systems/index.md": index_page(found), "systems/settings.md": settings_page()}
    pages |= {f"systems/{name}.md": system_page(name, found) for name in RECIPES}
    pages |= {f"api/{name}.md": api_page(*entry) for name, entry in API.items()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files
