"""Languages translated without a parallel text: ciphers of the Brown corpus, and words whose vectors were turned."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring import sampling
from sparring.data import Data, Splits, open_data
from sparring.data.vectors import rotation as turned_by
from sparring.data.words import FIRST, written
from sparring.engine import Round
from sparring.game import Game
from sparring.nn.alignment import csls
from sparring.optimizers import Adam
from sparring.proofs.emoji import kept
from sparring.proofs.play import FAST, Played, played
from sparring.proofs.record import FIRST_SEED, Claim, Effort, Result, of_claims, seeds_of

LEAST, LEAST_OF_KEYS, MOST_SECONDS, MOST_SECONDS_OF_KEYS = 0.99, 0.95, 100, 600
SHOWN = (0.02, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Of the rounds: when a text is shown."""
MOST_WORDS, NUMBERS, WINDOW = 3000, 50, 5


def brown() -> list[str]:
    """The words of the Brown corpus, text after text, without their tags."""
    with zipfile.ZipFile(kept("brown", "brown.zip")) as archive:
        names = sorted(name for name in archive.namelist() if re.fullmatch(r"brown/c[a-r]\d\d", name))
        texts = [archive.read(name).decode("latin-1") for name in names]
    return [word.rpartition("/")[0] for text in texts for word in text.split()]


def ciphers(said: str, words: Sequence[str]) -> Splits:
    """The corpus as windows of letters: half of it plain, half of it in secret; the held-out tenth in both forms."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "brown.txt"
        file.write_text(" ".join(words), encoding="utf-8")
        return open_data(Data(data=str(file), unit="letters", source=said))


def by_frequency(splits: Splits, period: int) -> float:
    """Share of symbols read rightly where the n-th most frequent of a phase stands for the n-th of the language."""
    train, test = (splits[name][torch.arange(len(splits[name]))] for name in ("train", "test"))
    symbols = len(splits["train"].about.vocabulary)
    known = torch.bincount(train["text"].flatten(), minlength=symbols + FIRST)[FIRST:].argsort(descending=True)
    right = 0
    for phase in range(period):
        secret = torch.bincount(train["source"][:, phase::period].flatten(), minlength=symbols + FIRST)[FIRST:]
        table = torch.empty(symbols, dtype=torch.int64)
        table[secret.argsort(descending=True)] = known
        made = table[test["source"][:, phase::period] - FIRST] + FIRST
        right += int((made == test["text"][:, phase::period]).sum())
    return right / test["text"].numel()


def read_rightly(done: Played, splits: Splits) -> float:
    """Share of the symbols of held-out secrets."""
    test = splits["test"][torch.arange(len(splits["test"]))]
    made = sampling.generate(done.game, done.modules, {"source": test["source"]})
    return float((made == test["text"]).double().mean())


def ciphered(said: str, words: Sequence[str], seed: int, changes: Mapping[str, Any], effort: Effort) -> dict[str, Any]:
    """One training against one key: `right`, `seconds`, and `lines`, a secret as it is read at growing rounds."""
    splits, preset = ciphers(f"{said}:{seed}", words), "vigenere" if "vigenere" in said else "tuned"
    changes = {**changes, **({} if effort == "full" else {"rounds": 40})}
    about, one = splits["test"].about, splits["test"][torch.tensor([0])]
    lines = [["", written(one["source"], about)[0]]]
    seen = {round(share * (changes.get("rounds") or ROUNDS[preset])) for share in SHOWN}

    def watch(game: Game, done: Round) -> None:
        if done.state.round in seen:
            made = sampling.generate(game, game.modules, {"source": one["source"]})
            lines.append([f"{done.state.round:,}", written(made, about)[0]])

    done = played("text_translation", preset, changes, splits["train"], seed, machine=FAST, watch=watch)
    lines.append(["truth", written(one["text"], about)[0]])
    return {"right": read_rightly(done, splits), "seconds": done.cpu_seconds, "lines": lines}


ROUNDS: Mapping[str, int] = {"tuned": 1600, "vigenere": 2400}


def substitution(seeds: int, effort: Effort) -> Result:
    """Every symbol written as another one."""
    said, words = "cipher:substitution", brown()
    found = [ciphered(said, words, seed, {}, effort) for seed in seeds_of(seeds)]
    floor = [by_frequency(ciphers(f"{said}:{seed}", words), 1) for seed in seeds_of(seeds)]
    claims = [
        Claim("frequencies of symbols alone", "symbols right", floor, LEAST, 1, "must fail", True),
        Claim("text_translation", "symbols right", [f["right"] for f in found], LEAST, 1, f"at least {LEAST}"),
        Claim("text_translation", "CPU seconds", [f["seconds"] for f in found], 0, MOST_SECONDS, "at most 100"),
    ]
    for case, changes in (
        ("chances instead of symbols, one seed", {"carrier": "chances"}),
        ("a cycle of weight 1, one seed", {"cycle": 1.0}),
    ):
        right = ciphered(said, words, FIRST_SEED, changes, effort)["right"]
        claims.append(Claim(case, "symbols right", [right], LEAST, 1, "must fail", True))
    text = (
        "The Brown corpus as 27 symbols in windows of 48: half of nine tenths plain, the other half enciphered, with "
        "another key for every seed, no sentence in both forms. Held-out texts, a tenth, are deciphered and held "
        "against the truth, symbol by symbol."
    )
    result = of_claims("substitution", 214, "Translation without pairs: a substitution cipher", text, claims)
    return replace(result, more={"lines": found[0]["lines"]})


def vigenere(seeds: int, effort: Effort) -> Result:
    """Shifts by a key of three."""
    said, words = "cipher:vigenere:3", brown()
    found = [ciphered(said, words, seed, {}, effort) for seed in seeds_of(seeds)]
    first = ciphers(f"{said}:{FIRST_SEED}", words)
    alone = ciphered(said, words, FIRST_SEED, {"period": 1, "rounds": 1200}, effort)["right"]
    most = f"at most {MOST_SECONDS_OF_KEYS}"
    claims = [
        Claim("frequencies of symbols, one table", "symbols right", [by_frequency(first, 1)], reference=True),
        Claim("frequencies of symbols, by phase", "symbols right", [by_frequency(first, 3)], reference=True),
        Claim("text_translation", "symbols right", [f["right"] for f in found], LEAST_OF_KEYS, 1, "at least .95"),
        Claim("text_translation", "CPU seconds", [f["seconds"] for f in found], 0, MOST_SECONDS_OF_KEYS, most),
        Claim("one table for all phases, one seed", "symbols right", [alone], LEAST_OF_KEYS, 1, "must fail", True),
    ]
    text = (
        "As above; the symbol at place i is shifted by the (i mod 3)-th number of the key. The length of the key is "
        "known, the key is not, nor that it shifts."
    )
    result = of_claims("vigenere", 215, "Translation without pairs: a Vigenere cipher", text, claims)
    return replace(result, more={"lines": found[0]["lines"]})


def vectors(words: Sequence[str], most: int = MOST_WORDS, numbers: int = NUMBERS) -> tuple[list[str], Tensor]:
    """The most frequent words, and (most, numbers) float32: what stands within `WINDOW` places of each, compressed.

    Positive pointwise mutual information, its singular vectors times the roots of their values (Levy et al. 2015).
    """
    small = [word.lower() for word in words if re.fullmatch("[A-Za-z]+", word)]
    common = [word for word, _ in sorted(Counter(small).items(), key=lambda c: (-c[1], c[0]))[:most]]
    place = {word: number for number, word in enumerate(common)}
    rows = np.array([place.get(word, most) for word in small])
    counts = np.zeros((most + 1) * (most + 1))
    for away in range(1, WINDOW + 1):
        counts += np.bincount(rows[:-away] * (most + 1) + rows[away:], minlength=len(counts))
    both = torch.from_numpy(counts.reshape(most + 1, most + 1))[:most, :most]
    both = both + both.T
    expected = both.sum(1, keepdim=True) * both.sum(0) / both.sum()
    ppmi = (both / expected.clamp(min=1e-12)).clamp(min=1e-12).log().clamp(min=0)
    left, values, _ = torch.svd_lowrank(ppmi.float(), numbers + 20, 4)
    return common, left[:, :numbers] * values[:numbers].sqrt()


def named_rightly(maps: Tensor, sources: Tensor, points: Tensor) -> list[float]:
    """(maps, D, D): share of the sources whose nearest point under CSLS is their own, for each map."""
    truth = torch.arange(len(sources))
    return [float((csls(sources @ w, points)[0].argmax(1) == truth).double().mean()) for w in maps]


def weights_of(game: Game) -> Tensor:
    """(maps, D, D)."""
    weight = game.modules["maps"].weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def rotation(seeds: int, effort: Effort) -> Result:
    """Words whose vectors were turned by what nobody is told, and put into another order."""
    torch.manual_seed(0)
    names, points = vectors(brown())
    points = points / points.norm(dim=1).mean()
    found = [turned(names, points, seed, effort) for seed in seeds_of(seeds)]
    claims = [
        Claim("the adversary alone, the map chosen", "words right", [f["before"] for f in found], reference=True),
        Claim("refined, the map chosen", "words right", [f["chosen"] for f in found], LEAST, 1, f"at least {LEAST}"),
        Claim("refined, the map chosen", "nearness", [f["near"] for f in found], reference=True),
        Claim("refined, the worst map", "words right", [f["worst"] for f in found], reference=True),
        Claim("refined, the worst map", "nearness", [f["far"] for f in found], reference=True),
        Claim("word_translation", "CPU seconds", [f["seconds"] for f in found], reference=True),
        Claim("refined from chance", "words right", [f["control"] for f in found], LEAST, 1, "must fail", True),
    ]
    text = (
        f"Vectors of {NUMBERS} numbers of the {MOST_WORDS:,} most frequent words of the Brown corpus (what stands "
        f"within {WINDOW} words of each), nine tenths of them in training, turned and put into another order. All are "
        "then looked for among all. The map is chosen by its nearness, for which no pair is known; the control is "
        "refined without having met an adversary."
    )
    return of_claims("rotation", 216, "Translation without pairs: words whose vectors were turned", text, claims)


def turned(names: Sequence[str], points: Tensor, seed: int, effort: Effort) -> dict[str, float]:
    """One training against one rotation, another for every seed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "brown.vec"
        rows = (f"{name} {' '.join(map(str, row))}" for name, row in zip(names, points.tolist(), strict=True))
        file.write_text("\n".join(rows), encoding="utf-8")
        source = open_data(Data(data=str(file), source=f"turned:{seed}"))["train"]
    secret, before = points @ turned_by(points.shape[1], seed), list[float]()
    changes: dict[str, Any] = {} if effort == "full" else {"rounds": 20}

    def watch(game: Game, done: Round) -> None:
        if done.state.round == game.player("refinement").start:
            of_sources, of_points = game.modules["centre of sources"], game.modules["centre of points"]
            before.extend(named_rightly(weights_of(game), of_sources(secret), of_points(points)))

    done = played("word_translation", None, changes, source, seed, watch=watch)
    found = done.modules
    x, y = found["centre of sources"](secret), found["centre of points"](points)
    right = named_rightly(found["maps"].weight, x, y)
    near = done.modules["choice"].nearness
    best, worst = int(near.argmax()), int(near.argmin())
    chance = played("word_translation", None, {"rounds": 60, "maps": 1, "generator": Adam(1e-9)}, source, seed)
    (control,) = named_rightly(chance.modules["maps"].weight, x, y)
    return {
        "before": before[best], "chosen": right[best], "worst": right[worst], "near": float(near[best]),
        "far": float(near[worst]), "seconds": done.cpu_seconds, "control": control,
    }  # fmt: skip
