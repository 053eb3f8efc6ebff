"""The three verbs of the Hub for models of this package: `from_pretrained`, `save_pretrained`, `push_to_hub`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from sparring import recipes, show, weights
from sparring.config import UserError, to_json
from sparring.data import Source, open_data
from sparring.data.ahead import progress
from sparring.data.kinds import KINDS, ready
from sparring.export.card import card
from sparring.files import replacing
from sparring.trained import Run, load

MODEL = "model.safetensors"
FILES = ("README.md", "config.json", MODEL)
"""Of every repository; pictures beside them, where it makes pictures."""
SHOWN = 8
"""Samples beside their nearest training pictures."""
MARK = "library_name: sparring"
"""Of every card, and so of every folder that was written before."""


class Model:
    """A trained model as a repository on the Hub holds it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        """Which samples, translates and reconstructs."""

    @classmethod
    def from_pretrained(cls, name: str, revision: str | None = None, device: str | None = None) -> Model:
        """From a folder that `save_pretrained` wrote, or from a repository on the Hub. Executes nothing of it."""
        place = Path(name).expanduser()
        if place.is_dir():
            file = place / MODEL
            if not file.is_file():
                raise UserError(f"{name} holds no {MODEL}; write one:  sparring export RUN --to hub -o {name}")
        else:
            file = Path(_hub().hf_hub_download(name, MODEL, revision=revision))
        return cls(load(file, device=device))

    def save_pretrained(self, folder: str | Path, licence: str | None = None) -> Path:
        """Weights, configuration, and a card with pictures, in a folder of its own. Returns the folder.

        `UserError` for a folder that holds anything but an earlier export. Nothing is written before all is made.
        """
        from sparring.export import facts_of

        folder, run = Path(folder), self.run
        refuse_others(folder)
        facts, pictures = facts_of(run), _pictures(run)
        told = card(run, facts, {what: file for file, (what, _) in pictures.items()}, licence)
        weights.write(folder / MODEL, run.model.modules, facts)
        _write(folder / "config.json", json.dumps(to_json(facts.run), indent=1, ensure_ascii=False) + "\n")
        for file, (_, sheet) in pictures.items():
            show.save_png(sheet, folder / file)
        _write(folder / "README.md", told)
        return folder

    def push_to_hub(self, name: str, private: bool = True, licence: str | None = None, api: Any = None) -> str:
        """Upload what `save_pretrained` writes to the repository `name`; returns its address.

        The repository is made where it is not there. huggingface_hub itself knows who you are (`hf auth login`).
        `api`: what uploads, in place of its `HfApi`.
        """
        if name.count("/") != 1 or not all(name.split("/")):
            raise UserError(f"push={name} must be a repository such as my-name/my-model")
        api = api or _hub().HfApi()
        with tempfile.TemporaryDirectory() as scratch:
            folder = self.save_pretrained(Path(scratch) / name.partition("/")[2], licence)
            api.create_repo(repo_id=name, private=private, exist_ok=True)
            api.upload_folder(repo_id=name, folder_path=str(folder))
        return f"https://huggingface.co/{name}"


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise UserError("the Hub needs huggingface_hub:  pip install 'sparring[export]'") from None
    return huggingface_hub


def _write(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())


def refuse_others(folder: Path) -> None:
    """`UserError` unless the folder is new, empty, or was exported to before: a run has a config.json too."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file, and a repository is a folder; name another with --out")
    here = [path.name for path in folder.iterdir() if not path.name.startswith(".")]  # such as .git
    told = folder / "README.md"
    before = ""
    if told.is_file():
        with told.open(encoding="utf-8", errors="replace") as file:
            before = file.read(1000)
    if "checkpoints" in here or (here and MARK not in before.splitlines()):
        what = "is a run's own folder" if "checkpoints" in here else "holds files, and no earlier export"
        raise UserError(f"{folder} {what}, and nothing in it is written over; name a new folder with --out")


def _pictures(run: Run) -> dict[str, tuple[str, Image]]:
    """File -> (what it shows, the sheet): samples, and those beside their nearest training pictures, if they are here.

    None for recipes whose samples are no pictures, or that make no samples.
    """
    if run.about.key != "image" or run.about.hop or run.model.game.sample is None:
        return {}
    given, source = set(run.model.game.given), learnt_from(run)
    if given and source is None:
        return {}
    samples = run.sample(64, seed=0)
    found = {"samples.png": ("samples, drawn at random", show.enlarged(show.grid(samples, 8)))}
    if source is not None and not given - {"caption"}:
        beside = show.grid(torch.cat([samples[:SHOWN], nearest(samples[:SHOWN], source)]), SHOWN)
        what = "samples above, the nearest training pictures by their pixels below"
        found["neighbours.png"] = (what, show.enlarged(beside))
    return found


def learnt_from(run: Run) -> Source | None:
    """The training pictures; none where they are not here, or are others now: a run from elsewhere names any folder."""
    if run.shipped is not None:
        return None
    try:
        with run.guard():
            source = recipes.find(run.plan.recipe).data(run.plan.model, open_data(run.plan.data)["train"])
    except (UserError, OSError):
        return None
    return source if source.about.sha256 == run.about.sha256 else None


def nearest(samples: Tensor, source: Source) -> Tensor:
    """(n, C, H, W) uint8 -> as many pictures of the source, each the nearest of all by its pixels."""
    kind, best = KINDS["image"], torch.full((len(samples),), torch.inf)
    wanted, kept = ready(samples).flatten(1), samples.clone()
    parts = torch.split(torch.arange(len(source)), max(1, min(2000, 2**26 // samples[0].numel())))
    for rows in progress(parts, "Looking for the nearest training pictures", len(parts)):
        pictures = source[rows]["image"]
        distance, place = torch.cdist(wanted, kind.ready(pictures).flatten(1)).min(1)
        closer = distance < best
        kept[closer], best[closer] = pictures[place[closer]], distance[closer]
    return kept
