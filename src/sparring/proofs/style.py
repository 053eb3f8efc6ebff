"""Sentences of reviews rewritten from the one sentiment to the other, read by a classifier that no editor meets."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring import sampling
from sparring.data import About, Data, Source, open_data
from sparring.data.clusters import Relabelled
from sparring.data.few import labels_of
from sparring.data.words import FIRST, numbered, written
from sparring.metrics.text import bleu_of_pairs, runs
from sparring.proofs.emoji import kept
from sparring.proofs.play import played
from sparring.proofs.record import FIRST_SEED, Claim, Effort, Result, of_claims, seeds_of

STYLES = ("negative", "positive")
"""As the files 0 and 1 are."""
WORDS, ASKED, SHOWN = 3000, 10_000, 16
"""Words that are known, held-out sentences that are rewritten, and that are shown."""
LEAST = 0.75
ODDS, FEWEST = 3.0, 20
"""A word is of a style that has it so many times as often as the other, if it occurs so often at least."""


@dataclass(frozen=True, eq=False)
class Reviews:
    """Sentences with their sentiment."""

    learnt: Source
    """Half of the file `test`: what editors learn from."""
    judged: Source
    """The other half: what the judge learns from."""
    text: Tensor
    """(n, L) of the file `dev`."""
    label: Tensor
    """(n,)."""

    @property
    def about(self) -> About:
        """Of what editors learn from."""
        return self.learnt.about


def reviews() -> Reviews:
    """Shen et al. 2017: the file `test` to learn from, since that for training could not be had, `dev` held out."""
    files = {
        split: [Path(kept("yelp-sentiment", f"sentiment.{split}.{i}")) for i in (0, 1)] for split in ("test", "dev")
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, file in zip(STYLES, files["test"], strict=True):
            (Path(folder) / f"{name}.txt").write_bytes(file.read_bytes())
        splits = open_data(Data(data=folder, vocabulary=WORDS, test=0.5))
    about = splits["train"].about
    said = [[line.split() for line in file.read_text(encoding="utf-8").splitlines()] for file in files["dev"]]
    text = numbered((line for lines in said for line in lines), about.vocabulary, about.shape[0])
    label = torch.repeat_interleave(torch.arange(2), torch.tensor([len(lines) for lines in said]))
    few = torch.randperm(len(text), generator=torch.Generator().manual_seed(0))[:ASKED]
    few = few[(text[few] > 0).any(1)]
    return Reviews(splits["train"], splits["test"], text[few], label[few])


@torch.no_grad()
def read_as(judge: nn.Module, text: Tensor, label: Tensor) -> float:
    """Share of the texts that the judge takes for their label."""
    return float((torch.cat([judge(part) for part in torch.split(text, 1000)]).argmax(1) == label).double().mean())


def known_runs(made: Tensor, learnt: Tensor) -> float:
    """Share of runs of three words that some text that was learnt from has as well."""
    found = runs(torch.cat([made, learnt]), 3)[2]
    ours = found.text < len(made)
    there = torch.zeros(found.kinds, dtype=torch.bool).index_fill_(0, found.run[~ours], True)
    return float((there[found.run[ours]] * found.times[ours]).sum() / found.times[ours].sum())


def swapped(text: Tensor, label: Tensor, learnt: Mapping[str, Tensor], words: int) -> Tensor:
    """Words that one style has far more often, each as the word of the other that is as frequent there, by its rank."""
    counts = torch.stack([
        torch.bincount(learnt["text"][learnt["label"] == style].flatten(), minlength=words + FIRST) for style in (0, 1)
    ]).double()  # fmt: skip
    counts[:, :FIRST] = 0
    shares = (counts + 1) / (counts + 1).sum(1, keepdim=True)
    often = counts.sum(0) >= FEWEST
    marked = [(often & (shares[own] > ODDS * shares[1 - own])).nonzero()[:, 0] for own in (0, 1)]
    ranked = [each[counts[own, each].argsort(descending=True)] for own, each in enumerate(marked)]
    table = torch.arange(words + FIRST).repeat(2, 1)
    for own in (0, 1):
        mine, theirs = ranked[own], ranked[1 - own]
        table[own, mine] = theirs[torch.arange(len(mine)).clamp(max=len(theirs) - 1)]
    return table[label[:, None], text]


def sentiment(seeds: int, effort: Effort) -> Result:
    """Yelp's sentences, by an editor, beside what costs nothing."""
    found = reviews()
    text, label, learnt = found.text, found.label, found.learnt[torch.arange(len(found.learnt))]
    less: dict[str, Any] = {} if effort == "full" else {"rounds": 20}
    judge = played("classifier", "recurrent", less, found.judged, 0).modules["classifier"]

    def scored(made: Tensor) -> dict[str, float]:
        return {
            "read as the other sentiment": read_as(judge, made, 1 - label),
            "BLEU against the input": bleu_of_pairs(made, text),
            "known runs of three words": known_runs(made, learnt["text"]),
        }

    def edited(source: Source, seed: int) -> tuple[Tensor, float]:
        done = played("text_style", None, less, source, seed)
        return sampling.generate(done.game, done.modules, {"source": text, "label": 1 - label}), done.cpu_seconds

    made = [edited(found.learnt, seed) for seed in seeds_of(seeds)]
    mixed = torch.randperm(len(found.learnt), generator=torch.Generator().manual_seed(FIRST_SEED))
    control = edited(Relabelled(found.about, found.learnt, labels_of(found.learnt)[mixed]), FIRST_SEED)[0]
    claims = [Claim("real", "read as their own sentiment", [read_as(judge, text, label)], reference=True)]
    for case, texts in (
        ("untouched", [text]),
        ("words swapped by their odds", [swapped(text, label, learnt, len(found.about.vocabulary))]),
        ("text_style", [texts for texts, _ in made]),
        ("the same, labels shuffled, one seed", [control]),
    ):
        every, own, wrong = [scored(each) for each in texts], case == "text_style", "labels" in case
        for figure in every[0]:
            held = (own or wrong) and figure.startswith("read")
            target = f"{'must fail' if wrong else 'at least'} {LEAST}" if held else ""
            values, low = [each[figure] for each in every], LEAST if held else 0.0
            claims.append(Claim(case, figure, values, low, 1, target, wrong and held, reference=not held))
    claims.append(Claim("text_style", "CPU seconds", [seconds for _, seconds in made], reference=True))
    lines = [
        [STYLES[int(label[i])], *(written(t[i : i + 1], found.about)[0] for t in (text, made[0][0]))]
        for i in range(SHOWN)
    ]
    told = (
        f"Yelp's sentences by sentiment (Shen et al. 2017), the {WORDS:,} most frequent words. The training files "
        "could not be had: half of the test files is what the editor learns from, the other half what the judge does, "
        f"a recurrent classifier that no editor meets; {len(text):,} sentences of the dev files are rewritten. BLEU is "
        "that of all sentences together, each against itself before. Runs of three words are known if a sentence that "
        "was learnt from has them. Swapped: every word that one sentiment has three times as often, by the word of the "
        "same rank of the other."
    )
    result = of_claims("sentiment", 217, "Sentences in another style: sentiment without pairs", told, claims)
    return replace(result, more={"lines": lines})
