"""What every recipe is tested with: presets and the smallest data that they take."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparring import recipes, show
from sparring.data import Data, Source, open_data
from sparring.machine import Machine
from sparring.runs import How, Plan

CPU = Machine(torch.device("cpu"), "test", "float32", 1)
CASES = [
    ("mlp", "tuned", {"data": "digits"}),
    ("mlp", "tuned", {"data": "ring"}),
    ("mlp", "classic", {"data": "digits"}),
    ("mlp", "smallest", {"data": "digits"}),
    ("dcgan", "tuned", {"data": "digits"}),
    ("dcgan", "classic", {"data": "digits", "size": "28"}),
    ("dcgan", "classic64", {"data": "pictures", "color": "rgb"}),
    pytest.param("dcgan", "radford", {"data": "pictures"}, marks=pytest.mark.long),
    ("cdcgan", "tuned", {"data": "digits"}),
    ("cdcgan", "concatenation", {"data": "digits"}),
    ("cdcgan", "classifier", {"data": "digits"}),
    ("wgan", "classic", {"data": "digits"}),
    ("wgan", "quick", {"data": "ring"}),
    ("wgan_gp", "tuned", {"data": "digits"}),
    ("wgan_gp", "classic", {"data": "ring"}),
    pytest.param("wgan_gp", "resnet", {"data": "digits"}, marks=pytest.mark.long),
    ("sngan", "tuned", {"data": "digits"}),
    ("sngan", "tuned", {"data": "ring"}),
    pytest.param("sngan", "resnet", {"data": "digits"}, marks=pytest.mark.long),
    ("fgan", "tuned", {"data": "digits"}),
    ("fgan", "classic", {"data": "ring"}),
    ("pacgan", "points", {"data": "ring"}),
    ("pacgan", "pictures", {"data": "digits"}),
    ("r3", "tiny", {"data": "digits"}),
    pytest.param("r3", "small", {"data": "digits"}, marks=pytest.mark.long),
    ("text_to_image", "tuned", {"data": "shapes", "captions": "own", "size": "16"}),
    ("pix2pix", "tuned", {"data": "pictures", "source": "edges", "size": "32"}),
    ("pix2pix", "distance", {"data": "digits", "source": "inverted"}),
    ("superres", "tuned", {"data": "pictures", "source": "reduced:4", "size": "32", "color": "rgb"}),
    ("superres", "distance", {"data": "digits", "source": "reduced:2"}),
    ("inpaint", "tuned", {"data": "pictures", "source": "masked:free", "size": "32", "color": "rgb"}),
    ("inpaint", "distance", {"data": "digits", "source": "masked"}),
    ("inpaint", "photographs", {"data": "pictures", "source": "masked:free", "size": "32", "color": "rgb"}),
    ("cyclegan", "tuned", {"data": "digits", "source": "inverted", "size": "16"}),
    ("cyclegan", "discogan", {"data": "digits", "source": "inverted", "size": "16"}),
    ("cyclegan", "dualgan", {"data": "digits", "source": "inverted", "size": "16"}),
    ("cut", "tuned", {"data": "digits", "source": "inverted", "size": "16"}),
    ("cut", "fast", {"data": "digits", "source": "inverted", "size": "16"}),
    ("stargan", "tuned", {"data": "digits"}),
    ("stargan", "paper", {"data": "digits", "source": "inverted"}),
    ("text_translation", "tuned", {"data": "prose", "unit": "letters", "source": "cipher:substitution"}),
    ("text_translation", "vigenere", {"data": "prose", "unit": "letters", "source": "cipher:vigenere:3"}),
    ("word_translation", "tuned", {"data": "words", "source": "turned"}),
    ("text_style", "tuned", {"data": "moods"}),
    ("ae", "tuned", {"data": "digits"}),
    ("ae", "dense", {"data": "digits"}),
    ("ae", "points", {"data": "ring"}),
    ("vae", "tuned", {"data": "digits"}),
    ("vae", "mnist", {"data": "digits"}),
    ("vae", "points", {"data": "ring"}),
    ("vqvae", "tuned", {"data": "pictures", "color": "rgb"}),
    ("vae_gan", "tuned", {"data": "digits"}),
    ("semi_supervised", "tuned", {"data": "digits"}),
    ("semi_supervised", "labels-only", {"data": "digits"}),
    ("semi_supervised", "paper", {"data": "digits"}),
    ("video", "tuned", {"data": "moving-digits"}),
    ("video", "frames", {"data": "moving-digits"}),
    ("sequence", "tuned", {"data": "letters", "unit": "letters", "length": 6}),
    ("sequence", "tuned", {"data": "verses"}),
    ("sequence", "adversarial", {"data": "verses"}),
    ("sequence", "seqgan", {"data": "letters", "unit": "letters", "length": 6}),
    ("sequence", "seqgan", {"data": "verses"}),
    ("sequence", "likelihood", {"data": "verses"}),
    ("classifier", "tuned", {"data": "digits"}),
    ("classifier", "small", {"data": "moving-digits"}),
    ("classifier", "tuned", {"data": "moods"}),
    ("classifier", "recurrent", {"data": "moods"}),
    ("classifier", "tuned", {"data": "sounds", "labels": "names"}),
    ("melgan", "tuned", {"data": "sounds", "labels": "names"}),
    ("wavegan", "small", {"data": "sounds", "labels": "names"}),
    ("vocoder", "small", {"data": "sounds"}),
    ("vocoder", "distance", {"data": "sounds"}),
]


def files(folder: Path) -> Path:
    """Pictures in `folder`/pictures, and sounds, texts and vectors beside them."""
    folder = folder / "pictures"
    folder.mkdir(parents=True)
    (folder.parent / "sounds").mkdir()
    for i in range(24):
        tone = torch.sin(torch.arange(900 + 10 * i) * (0.2 + 0.1 * (i % 3) + 0.01 * i))
        wave = show.wave_file((20_000 * tone).to(torch.int16), 8000)
        (folder.parent / "sounds" / f"{i % 3}_{i}.wav").write_bytes(wave)
        colours = [(10 * i, 255 - 10 * i, 40), (200, i, 9 * i)]
        sheet = Image.new("RGB", (64, 64), colours[0])
        sheet.paste(colours[1], (i, i, 40, 40))
        sheet.save(folder / f"{i}.png")
    written_beside(folder.parent)
    return folder


WORDS = {
    "verses": "the cat sat on a mat",
    "letters": "it was a dark and stormy night so we stayed",
    "moods": "how good bad",
}


def texts(name: str, folder: Path) -> Path:
    """A file of lines of words, one of running text, or a folder of two classes."""
    words = WORDS[name].split()
    lines = [" ".join(words[(i * j) % len(words)] for j in range(1, 3 + i % 4)) for i in range(60)]
    if name == "moods":
        (folder / name).mkdir(exist_ok=True)
        for mood in ("good", "bad"):
            (folder / name / f"{mood}.txt").write_text("\n".join(f"{line} {mood}" for line in lines))
        return folder / name
    (folder / f"{name}.txt").write_text("\n".join(lines))
    return folder / f"{name}.txt"


def written_beside(folder: Path) -> None:
    """Running text, and vectors of words."""
    said = torch.randint(9, (600,), generator=torch.Generator().manual_seed(0)).tolist()
    words = ("the", "cat", "sat", "on", "a", "mat", "by", "its", "hat")
    (folder / "prose.txt").write_text(" ".join(words[word] for word in said))
    vectors = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)).tolist()
    (folder / "words.vec").write_text("\n".join(f"w{i} {' '.join(map(str, row))}" for i, row in enumerate(vectors)))


def plan_of(recipe: str, preset: str, data: dict[str, str], pictures: Path) -> tuple[Plan, Source]:
    name, beside = data["data"], pictures.parent
    files = {
        "pictures": pictures, "prose": beside / "prose.txt", "words": beside / "words.vec", "sounds": beside / "sounds",
    }  # fmt: skip
    path = str(texts(name, beside) if name in WORDS else files.get(name, name))
    settings = Data(**{**data, "data": path})  # type: ignore[arg-type]
    module = recipes.find(recipe)
    model = dataclasses.replace(recipes.preset(module, preset)[1], rounds=4, batch=8)
    plan = Plan(recipe, preset, model, settings, How())
    return plan, module.data(model, open_data(settings)["train"])
