"""Texts: against oracles whose every probability is known, by BLEU, and quatrains by their form."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring import sampling
from sparring.data import About, Data, Source, carve, open_data, tensor_source
from sparring.data.oracle import Oracle, Trigrams, read_oracle
from sparring.data.texts import LETTERS
from sparring.data.words import numbered, written
from sparring.game import Game
from sparring.metrics.text import bleu as bleu_of
from sparring.metrics.text import copied, nearest, repeated, self_bleu
from sparring.optimizers import Adam
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
    uniform = torch.rand(test.shape, generator=random)
    made = torch.cat([writer.draw(part, temperature) for part in torch.split(uniform, 500)])
    with torch.no_grad():
        nats = torch.cat([-writer.log_prob(part, temperature).mean(1) for part in torch.split(test, 500)])
    return {
        "NLL of samples": float(oracle.nll(made).mean()),
        "NLL of held-out texts": float(nats.mean()),
        "unique samples": len(torch.unique(made, dim=0)) / len(made),
    }


def cooled(found: Sequence[Sequence[Mapping[str, float]]]) -> list[Claim]:
    """What a lower temperature alone does: figures of each seed at each of `TEMPERATURES`, for reference."""
    every = [[each[place] for each in found] for place in range(len(TEMPERATURES))]
    return [
        claim
        for t, each in zip(TEMPERATURES, every, strict=True)
        for claim in claims_of(f"the same, temperature {t}", each, {})
    ]


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
        tagged = "\n".join(archive.read(name).decode() for name in names)
    text = re.sub("[^a-z]+", " ", re.sub(r"/[^/\s]+(?=\s)", "", tagged).lower())  # each word has its part of speech
    number = torch.zeros(256, dtype=torch.int64)
    number[list(LETTERS.encode())] = torch.arange(len(LETTERS))
    return number[torch.tensor(list(text.encode()))]


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
            run = played("sequence", preset, settings, source, seed, other=constant if still else lambda game: game)
            found.append({**of_oracle(run, oracle, test), "CPU seconds": run.cpu_seconds})
            cooler.append([of_oracle(run, oracle, test, each) for each in TEMPERATURES])
        alone = case.endswith("alone") and preset != "likelihood"
        held = {"NLL of samples": (0.0, 2.8, "at most 2.8 on every seed")} if alone else {}
        if alone and not still:
            held["unique samples"] = (0.95, 1.0, "at least .95 on every seed")
        claims += claims_of(case, found, held, still)
        claims += cooled(cooler) if preset == "likelihood" else []
    text = (
        "Windows of 16 letters drawn from the letter trigrams of the Brown corpus, so that every probability is "
        "known. In nats per letter: of 2,000 samples under the oracle, and of 2,000 texts of the oracle under the "
        "model. The first alone can be had for nothing: see what a lower temperature does, and a reward that says "
        "nothing."
    )
    return of_claims("trigrams", 230, "Texts: an oracle of letters", text, claims)


def captions(name: str) -> list[list[str]]:
    """Of a file of Texygen, each its words."""
    lines = Path(kept("texygen-text", name)).read_text(encoding="utf-8").splitlines()
    return [words for line in lines if (words := line.split())]


def bleu(seeds: int, effort: Effort) -> Result:
    """What real captions score against others, and what the same words in another order do."""
    said = [captions(name) for name in ("image_coco.txt", "test_coco.txt")]
    length = max(len(words) for words in said[0] + said[1])
    vocabulary = sorted({word for words in said[0] + said[1] for word in words})
    train, test = (numbered(words, vocabulary, length) for words in said)
    train, test = (train, test) if effort == "full" else (train[:300], test[:300])
    real, claims = bleu_of(train, test), list[Claim]()
    for order, each in real.items():
        claims.append(Claim("training captions", f"BLEU-{order}", [float(each.mean())], reference=True))
    few = bleu_of(train, test[:500])
    for order, each in few.items():
        claims.append(Claim("against 500 of them", f"BLEU-{order}", [float(each.mean())], reference=True))
    for order, each in self_bleu(train).items():
        claims.append(Claim("training captions", f"self-BLEU-{order}", [float(each.mean())], reference=True))
    random, keys = torch.Generator().manual_seed(seeds_of(seeds)[0]), (train == 0).float()
    mixed = train.gather(1, (torch.rand(train.shape, generator=random) + keys).argsort(1))
    for order, each in bleu_of(mixed, test).items():
        least = float(real[order].mean()) / 2
        held = {"low": least, "high": 1.0, "target": "at least half of theirs", "control": True} if order > 2 else {}
        value = [float(each.mean())]
        claims.append(Claim("their words in another order", f"BLEU-{order}", value, **held, reference=not held))  # type: ignore[arg-type]
    shares = (("copied share", copied(train, test)), ("duplicate share", repeated(train)))
    claims += [Claim("training captions", name, [float(each.double().mean())], reference=True) for name, each in shares]
    text = (
        "10,000 training captions of Texygen's COCO set against its 10,000 test captions, all of them references; "
        "self-BLEU leaves each caption itself out. These are the floors of models that are judged so. Against 500 "
        "references everything scores less, so that tables made with so few compare with none of these. Copied: share "
        "of training captions that are test captions too."
    )
    return of_claims("bleu", 231, "Texts: BLEU of real captions", text, claims)


ORACLE: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "likelihood alone": ("likelihood", {"rounds": 9400}),
    "likelihood, then the adversary": ("tuned", {"rounds": 10_400, "likelihood": 9400 / 10_400, "early": 0.02}),
    "likelihood, then a constant reward": ("seqgan", {"rounds": 9800, "likelihood": 9400 / 9800}),
}
SMALL: Mapping[str, Any] = {"cell": "lstm", "embedding": 32, "hidden": 32, "learning": Adam(1e-2, 0.9, 0.999)}
"""SeqGAN's generator."""


def oracle(seeds: int, effort: Effort) -> Result:
    """SeqGAN's oracle of 5,000 words at length 20, by the pair of scores."""
    settings = Data(data=kept("seqgan-oracle", "oracle_lstm.npz"))
    truth, splits = read_oracle(Path(settings.data)), open_data(settings)
    test = splits["test"][torch.arange(SAMPLES if effort == "full" else 20)]["text"]
    entropy = float(truth.nll(splits["test"][torch.arange(5 * len(test))]["text"]).mean())
    claims = [Claim("the oracle's own texts", "NLL of samples", [entropy], 5.75, 5.77, "5.75 to 5.77")]
    for case, (preset, changes) in ORACLE.items():
        still = "constant" in case
        model = {**SMALL, **changes, **({"rollouts": 0, "usual": 0.0, "average": 0.99} if still else {})}
        model |= {} if effort == "full" else {"rounds": 4, "batch": 8}
        found, cooler = [], []
        for seed in seeds_of(seeds):
            run = played(
                "sequence", preset, model, splits["train"], seed, other=constant if still else lambda game: game
            )
            found.append({**of_oracle(run, truth, test), "CPU seconds": run.cpu_seconds})
            cooler.append([of_oracle(run, truth, test, each) for each in TEMPERATURES])
        most = {"NLL of samples": (0.0, 9.04, "at most 9.04 on every seed")} if preset == "likelihood" else {}
        claims += claims_of(case, found, most)
        claims += cooled(cooler) if preset == "likelihood" else []
    text = (
        "10,000 texts of 20 words drawn from SeqGAN's oracle, a random LSTM over 5,000 words; the model is an LSTM of "
        "32, as theirs. In nats per word. Published for samples: likelihood 9.038, SeqGAN 8.736, RelGAN 6.680; none of "
        "the papers prints what held-out texts cost beside it."
    )
    return of_claims("oracle", 232, "Texts: SeqGAN's oracle", text, claims)


QUATRAIN = 24
"""Characters: four lines of five, each with the sign behind it."""
COMMON = 2500
"""Characters; poems that have others are left out."""
COOLER = 0.8
"""Temperature of the samples that are held to the form."""
STOPS = {5: "，", 11: "。", 17: "，", 23: "。"}


def quatrain_source() -> Source:
    """Four lines of five characters each, whole or cut from longer poems of the Tang."""
    poems = []
    with zipfile.ZipFile(kept("chinese-poetry", "quan-tang-shi.zip")) as archive:
        for name in sorted(archive.namelist()):
            for poem in json.loads(archive.read(name)):
                couplets = [line for line in poem["paragraphs"] if re.fullmatch(r"\w{5}，\w{5}。", line)]
                if len(couplets) == len(poem["paragraphs"]):
                    poems += ["".join(couplets[i : i + 2]) for i in range(0, len(couplets) - 1, 2)]
    counts = Counter(character for poem in poems for character in poem)
    vocabulary = sorted(character for character, _ in counts.most_common(COMMON))
    common = set(vocabulary)
    poems = sorted({poem for poem in poems if set(poem) <= common})
    about = About("quatrains", "text", (QUATRAIN,), vocabulary=tuple(vocabulary), characters=True, whole=True)
    return tensor_source(about, {"text": numbered(poems, vocabulary, QUATRAIN)})


def of_form(poem: str) -> bool:
    """Signs where they belong and nowhere else."""
    return all((poem[i] == STOPS[i]) if i in STOPS else poem[i] not in "，。" for i in range(QUATRAIN))


def quatrains(seeds: int, effort: Effort) -> Result:
    """Quatrains of the Tang, character by character."""
    train, test = carve(quatrain_source(), 0.1)
    learnt, held_out = (split[torch.arange(len(split))]["text"] for split in (train, test))
    short = {} if effort == "full" else {"rounds": 4, "batch": 8}
    model = {"cell": "lstm", "embedding": 96, "hidden": 192, "places": True, "likelihood": 0.92, "early": 0.03}
    model |= {"rounds": 1000, **short}
    found, cooler, shown = [], [], list[str]()
    for seed in seeds_of(seeds):
        run = played("sequence", "tuned", model, train, seed)
        drawn = sampling.draw(run.game, 1000, 1)
        made = sampling.generate(run.game, run.modules, drawn)
        found.append({**of_poems(made, held_out, learnt, train.about), "CPU seconds": run.cpu_seconds})
        drawn["temperature"] = torch.full((len(made), 1), COOLER)
        made = sampling.generate(run.game, run.modules, drawn)
        cooler.append(of_poems(made, held_out, learnt, train.about))
        shown = shown or written(made[:16], train.about)
    random = torch.Generator().manual_seed(1)
    mixed = held_out[:1000].gather(1, torch.rand(held_out[:1000].shape, generator=random).argsort(1))
    form = {"of the form": (0.95, 1.0, "at least .95 on every seed")}
    claims = [
        *claims_of("held-out poems", [of_poems(held_out[:1000], learnt[:10_000], learnt, train.about)], {}),
        *claims_of("their characters in another order", [of_poems(mixed, held_out, learnt, train.about)], form, True),
        *claims_of("sequence", found, {}),
        *claims_of(f"sequence, temperature {COOLER}", cooler, form),
    ]
    text = (
        f"{len(train):,} quatrains of five characters a line, whole or from longer poems of the Tang, to learn from, "
        f"and {len(test):,} held out. 1,000 samples. Of the form: each sign in its place and none elsewhere. "
        "The writer is told which place it writes at. Poets do repeat a character; see how often. Nearest training "
        "poem: the largest share of a poem's pairs of characters that one has."
    )
    result = of_claims("quatrains", 233, "Texts: quatrains of the Tang", text, claims)
    return replace(result, more={"samples": shown})


def of_poems(poems: Tensor, reference: Tensor, train: Tensor, about: About) -> dict[str, float]:
    """Form, variety and copies of (N, 24) poems."""
    said = written(poems, about)
    twice = sum(any(a == b for a, b in pairwise(poem)) for poem in said)
    return {
        "of the form": sum(map(of_form, said)) / len(said),
        "a character twice in a row": twice / len(said),
        "BLEU-3": float(bleu_of(poems, reference, (3,))[3].mean()),
        "self-BLEU-3": float(self_bleu(poems, (3,))[3].mean()),
        "nearest training poem": float(nearest(poems, train)[0].mean()),
        "copied share": float(copied(poems, train).double().mean()),
    }
