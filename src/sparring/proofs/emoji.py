"""Emoji: the design of 2017 redrawn as that of today, and pictures by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from sparring import sampling, show
from sparring.config import UserError
from sparring.data import Data, Source, open_data, subset
from sparring.data.kinds import to_float
from sparring.data.loader import batches
from sparring.data.source import names_of
from sparring.engine import Train, train
from sparring.game import Batch, Game, Loss, Player, linear_decay
from sparring.metrics.extractors import layers_named
from sparring.metrics.pairs import pair_scores
from sparring.metrics.perceptual import layer_distance
from sparring.nn.image import FEATURES, conv_features
from sparring.nn.text import TextEncoder
from sparring.optimizers import Adam
from sparring.proofs.play import FAST, played
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of
from sparring.self_supervised import contrast

ALONE = re.compile(r"emoji_u[0-9a-f]+\.png")
"""Emoji of one code point: those of another skin or sex are nearly the same picture."""


def kept(folder: str, file: str) -> str:
    """The path of a file of a set that is not downloaded; `UserError` where it is not there."""
    path = Path(os.environ.get("SPARRING_DATA", ".")).expanduser() / folder / file
    if not path.is_file():
        raise UserError(f"{path} is not there: set SPARRING_DATA to the folder that holds {folder}/{file}")
    return str(path)


def alone(source: Source) -> Source:
    """Only the emoji of one code point."""
    rows = [row for row, name in enumerate(names_of(source.base)) if ALONE.fullmatch(name)]  # type: ignore[attr-defined]
    return subset(source, torch.tensor(rows))


NETWORKS: Mapping[str, Any] = {"rounds": 1500, "batch": 16, "width": 24, "critic_width": 24, "critic_layers": 2}

CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "pix2pix": ("tuned", {}),
    "pix2pix that begins at the identity": ("tuned", {"keep": True}),
    "the distance alone": ("distance", {}),
}


def redrawn(seeds: int, effort: Effort) -> Result:
    """Emoji of 2017 drawn as today's, held-out ones against their own truth."""
    data = Data(
        data=kept("noto-emoji", "noto-emoji-png128.zip"), size=32, color="rgb", paired=True,
        source=kept("noto-emoji", "noto-emoji-blob2017-png128.zip"),
    )  # fmt: skip
    splits = {name: alone(split) for name, split in open_data(data).items()}
    held_out = splits["test"][torch.arange(len(splits["test"]))]
    source, truth = held_out["source"], held_out["image"]
    layers = layer_distance(layers_named(f"squeezenet:{kept('featnets', 'squeezenet10_imagenet_bsd.safetensors')}"))

    def scored(made: Tensor) -> dict[str, float]:
        with torch.no_grad():
            far = float(layers(to_float(made), to_float(truth)).mean())
        return {**{name: found.value for name, found in pair_scores(made, truth).items()}, "layer distance": far}

    as_it_is = scored(source)
    low, high = {"ssim": as_it_is["ssim"]}, {name: as_it_is[name] for name in ("l1", "layer distance")}
    claims = [Claim("2017, as it is", name, [value], reference=True) for name, value in as_it_is.items()]
    rows, shown = {}, [source[:16]]
    for case, (preset, more) in CASES.items():
        found = []
        for seed in seeds_of(seeds):
            changes = {**NETWORKS, **more} if effort == "full" else {**NETWORKS, **more, "rounds": 10}
            run = played("pix2pix", preset, changes, splits["train"], seed)
            made = run.made({"source": to_float(source)})
            found.append({**scored(made), "CPU seconds": run.cpu_seconds})
            if len(found) == 1:
                shown.append(made[:16])
        rows[case] = found
    bars = {
        "tuned": {"l1": (0.0, high["l1"]), "layer distance": (0.0, high["layer distance"])},
        "distance": {"l1": (0.0, high["l1"]), "ssim": (low["ssim"], 1.0)},
    }
    for case, found in rows.items():
        for name in found[0]:
            held = bars[CASES[case][0]].get(name)
            target = "better than as it is, on every seed" if held else ""
            values, (least, most) = [each[name] for each in found], held or (0.0, 1.0)
            claims.append(Claim(case, name, values, least, most, target, reference=held is None))
    text = (
        f"Emoji of one code point that both designs have, {len(splits['train'])} to learn from, {len(truth)} held out, "
        "32x32 on white. Mean absolute difference in grey levels, PSNR, SSIM, and the distance in the layers of "
        "SqueezeNet (unweighted; not LPIPS). In the picture: 2017, pix2pix, pix2pix that begins at the identity, the "
        "distance alone, today."
    )
    sheet = show.enlarged(show.below_each_other([*shown, truth[:16]], 8))
    return of_claims("emoji", 207, "Translation with pairs: emoji of 2017 as today's", text, claims, {"emoji": [sheet]})


AMONG = 10
"""Names from which that of a picture is to be found."""
FOUND = f"own name found among {AMONG}"
LEAST, CHANCE = 0.5, 0.2
"""What names of training must reach, and what pictures of other names must stay below: chance is .1."""
MATCHER_ROUNDS = 800
DRAWER: Mapping[str, Any] = {"rounds": 2500, "batch": 32}
ASKED = 200
"""Names that are drawn, of each kind."""


class Matcher(nn.Module):
    """Pictures and names in one space: two networks that have never seen a generated picture."""

    def __init__(self, shape: tuple[int, int, int], vocabulary: int, features: int = 64) -> None:
        super().__init__()
        self.pictures = nn.Sequential(conv_features(shape), nn.Linear(FEATURES, features))
        self.names = TextEncoder(vocabulary, features)

    def forward(self, images: Tensor, caption: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) in [-1, 1], (N, L) -> (N, d) of length 1 of each."""
        return normalize(self.pictures(images), dim=1), self.names(caption)


def matcher_of(source: Source, effort: Effort) -> Matcher:
    """Trained on real pictures and their names, each to find the other among all of the batch. Radford et al. 2021."""
    torch.manual_seed(0)
    channels, height, width = source.about.shape
    matcher = Matcher((channels, height, width), len(source.about.vocabulary))
    optimizer = Adam(2e-3, 0.9, 0.99).over(matcher.parameters())

    def loss(batch: Batch) -> Loss:
        value, found = contrast(torch.cat(matcher(batch["image"], batch["caption"])).float(), 0.1)
        return Loss({"contrast": value}, {"found": found})

    player = Player("matcher", loss, optimizer)
    game = Game({"matcher": matcher}, [player], on_round=linear_decay([optimizer], 0.4, 0.02))
    rounds = MATCHER_ROUNDS if effort == "full" else 10
    train(game, batches(source, 64, 0), Train(rounds, 0, check_every=100))
    return matcher.eval()


@torch.no_grad()
def found(matcher: Matcher, images: Tensor, caption: Tensor) -> float:
    """uint8 (N, C, H, W), (N, L) -> how often the matcher finds a picture's own name; see `among`."""
    pictures, names = matcher(to_float(images), caption)
    return among(pictures @ names.T, caption)


def among(likeness: Tensor, caption: Tensor) -> float:
    """(N, N) of picture and name, (N, L) -> how often a picture is nearer to its own name than to `AMONG` - 1 others.

    The others are drawn by a seed, from those of other words.
    """
    draw = torch.rand(likeness.shape, generator=torch.Generator().manual_seed(0))
    draw[(caption[:, None] == caption).all(2)] = -1.0
    others = likeness.gather(1, draw.topk(AMONG - 1, 1).indices).amax(1)
    return float((likeness.diagonal() > others).float().mean())


def of_known_words(source: Source) -> Source:
    """Only the names that are made of words of the training split: nobody can draw a word that he never heard."""
    caption = source[torch.arange(len(source))]["caption"]
    return subset(source, (caption != 1).all(1).nonzero().squeeze(1))


def asked_for(splits: Mapping[str, Source]) -> dict[str, Source]:
    """What is drawn: names of training, chosen at random, and held-out ones."""
    train_split, new = splits["train"], of_known_words(splits["test"])
    order = torch.randperm(len(train_split), generator=torch.Generator().manual_seed(0))
    return {
        "names of training": subset(train_split, order[:ASKED]),
        "names never shown": subset(new, torch.arange(min(ASKED, len(new)))),
    }


def named(seeds: int, effort: Effort) -> Result:
    """Emoji drawn by name, and found by a network that matches pictures and names."""
    table, pictures = kept("noto-emoji", "names.tsv"), kept("noto-emoji", "noto-emoji-png128.zip")
    splits = open_data(Data(data=pictures, captions=table, size=32, color="rgb"))
    asked, matcher, claims = asked_for(splits), matcher_of(splits["train"], effort), list[Claim]()
    changes = DRAWER if effort == "full" else {**DRAWER, "rounds": 5}
    runs = [played("text_to_image", None, changes, splits["train"], seed, FAST) for seed in seeds_of(seeds)]
    sheet = []
    for case, source in asked.items():
        real, own, other = source[torch.arange(len(source))], [], []
        caption = real["caption"]
        for run, seed in zip(runs, seeds_of(seeds), strict=True):
            made = run.made({**sampling.draw(run.game, len(source), seed, pool=source), "caption": caption})
            own.append(found(matcher, made, caption))
            other.append(found(matcher, made, caption.roll(len(source) // 2, 0)))  # neighbours are alike
            if run is runs[0]:
                sheet += [real["image"][:16], made[:16]]
        known, ceiling = case == "names of training", found(matcher, real["image"], caption)
        claims.append(Claim(f"{case}, real pictures", FOUND, [ceiling], reference=True))
        target = f"at least {LEAST:g}" if known else ""
        claims.append(Claim(case, FOUND, own, LEAST if known else 0.0, 1, target, reference=not known))
        claims.append(Claim(f"{case}, drawn from another's", FOUND, other, CHANCE, 1, "must fail", control=True))
    claims.append(Claim("", "CPU seconds", [run.cpu_seconds for run in runs], reference=True))
    text = (
        f"The recipe text_to_image on {len(splits['train']):,} emoji and their English names, 32x32 on white, "
        f"{DRAWER['rounds']:,} rounds of {DRAWER['batch']}. A network that was trained on the real pictures of "
        f"training alone, and that no run sees, looks for the name of a picture among {AMONG} of the same kind: chance "
        f"is {1 / AMONG:g}. Drawn are {ASKED} names of training, with new latents, and "
        f"{len(asked['names never shown'])} held-out ones that are made of words of training; for real pictures of "
        "the held-out ones the table has the ceiling. In the picture: real emoji above what was drawn from their "
        "names, first names of training, then held-out ones."
    )
    looks = {"emoji-names": [show.enlarged(show.below_each_other(sheet, 8))]}
    return of_claims("emoji-names", 208, "Emoji by name", text, claims, looks)
