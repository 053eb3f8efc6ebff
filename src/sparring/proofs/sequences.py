"""Texts: against oracles whose every probability is known, by BLEU, and quatrains by their form."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sparring.data import About, tensor_source
from sparring.data.oracle import Oracle, Trigrams
from sparring.data.texts import LETTERS
from sparring.game import Game
from sparring.proofs.emoji import kept
from sparring.proofs.play import Played, played
from sparring.proofs.record import Claim, Effort, Result, of_claims, seeds_of

SAMPLES = 2000
SMOOTHING = 0.01
"""Added to the counts of trigrams: a random text then has 6.6 nats per letter."""
TRIGRAMS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "the adversary alone": ("adversarial", {"rounds": 700}),
    "likelihood alone": ("likelihood", {"rounds": 600}),
    "likelihood, then the adversary": ("tuned", {"rounds": 900, "likelihood": 600 / 900}),
    "a constant reward alone": ("seqgan", {"rounds": 600, "likelihood": 0.0, "early": 0.0}),
    "likelihood, then a constant reward": ("seqgan", {"rounds": 900, "likelihood": 600 / 900}),
}
CONSTANT: Mapping[str, Any] = {"rollouts": 0, "usual": 0.0, "cell": "gru", "hidden": 96, "average": 0.99}
"""Of both controls: SeqGAN subtracts nothing from its reward, so that a constant one still moves the generator."""
TEMPERATURES = (0.8, 0.6)


def constant(game: Game) -> Game:
    """A discriminator that says the same of every text, and stays so."""
    for p in game.modules["critic"].parameters():
        p.data.zero_()
    return replace(game, players=[p for p in game.players if p.name != "discriminator"])


def of_oracle(run: Played, oracle: Oracle, test: Tensor, temperature: float = 1.0) -> dict[str, float]:
    """How likely samples are to the oracle, and its texts to the model, in nats per word."""
    writer, random = run.modules["generator"], torch.Generator().manual_seed(1)
    uniform = torch.rand(SAMPLES, test.shape[1], generator=random)
    made = torch.cat([writer.draw(part, temperature) for part in torch.split(uniform, 500)])
    with torch.no_grad():
        nats = torch.cat([-writer.log_prob(part, temperature).mean(1) for part in torch.split(test, 500)])
    return {
        "NLL of samples": float(oracle.nll(made).mean()),
        "NLL of held-out texts": float(nats.mean()),
        "unique samples": len(torch.unique(made, dim=0)) / SAMPLES,
    }


def claims_of(
    case: str, found: Sequence[Mapping[str, float]], held: Mapping[str, tuple[float, float, str]], control: bool = False
) -> list[Claim]:
    """A claim for each figure; those of `held` (low, high, target) are held to it, the others are for comparison."""
    claims = []
    for name in found[0]:
        low, high, target = held.get(name, (float("-inf"), float("inf"), ""))
        values = [each[name] for each in found]
        claims.append(Claim(case, name, values, low, high, target, control and bool(target), reference=not target))
    return claims


def brown() -> Tensor:
    """(n,) the Brown corpus as letters 0..26, the last a space."""
    with zipfile.ZipFile(kept("brown", "brown.zip")) as archive:
        names = sorted(name for name in archive.namelist() if re.fullmatch(r"brown/c[a-r]\d\d", name))
        tagged = " ".join(archive.read(name).decode() for name in names).split()
    text = re.sub("[^a-z]+", " ", " ".join(word.rpartition("/")[0] for word in tagged).lower())
    number = {letter: index for index, letter in enumerate(LETTERS)}
    return torch.tensor([number[letter] for letter in text])


def trigrams(seeds: int, effort: Effort) -> Result:
    """Sixteen letters from the trigrams of a corpus: samples and held-out texts, each by the other's model."""
    oracle, length = Trigrams.of(brown(), len(LETTERS), SMOOTHING), 16
    about = About("letters", "text", (length,), vocabulary=tuple(LETTERS), characters=True, whole=True)
    source = tensor_source(about, {"text": oracle.draw(100_000, length, 1)})
    test = oracle.draw(SAMPLES, length, 2)
    entropy = float(oracle.nll(test).mean())
    noise = torch.randint(2, 2 + len(LETTERS), test.shape, generator=torch.Generator().manual_seed(3))
    claims = [
        Claim("the oracle's own texts", "NLL of samples", [entropy], reference=True),
        Claim("random letters", "NLL of samples", [float(oracle.nll(noise).mean())], reference=True),
    ]
    for case, (preset, changes) in TRIGRAMS.items():
        still = "constant" in case
        settings = {**changes, **(CONSTANT if still else {})} | ({} if effort == "full" else {"rounds": 10})
        found, cooler = [], []
        for seed in seeds_of(seeds):
            run = played("sequence", preset, settings, source, seed, constant if still else lambda game: game)
            found.append({**of_oracle(run, oracle, test), "CPU seconds": run.cpu_seconds})
            cooler.append([of_oracle(run, oracle, test, each) for each in TEMPERATURES])
        alone = case.endswith("alone") and preset != "likelihood"
        held = {"NLL of samples": (0.0, 2.8, "at most 2.8 on every seed")} if alone else {}
        if alone and not still:
            held["unique samples"] = (0.95, 1.0, "at least .95 on every seed")
        claims += claims_of(case, found, held, still)
        if preset == "likelihood":
            for place, temperature in enumerate(TEMPERATURES):
                claims += claims_of(f"the same, temperature {temperature}", [each[place] for each in cooler], {})
    text = (
        "Windows of 16 letters drawn from the letter trigrams of the Brown corpus, so that every probability is "
        "known. In nats per letter: of 2,000 samples under the oracle, and of 2,000 texts of the oracle under the "
        "model. The first alone can be had for nothing: see what a lower temperature does, and a reward that says "
        "nothing."
    )
    return of_claims("trigrams", 230, "Texts: an oracle of letters", text, claims)
