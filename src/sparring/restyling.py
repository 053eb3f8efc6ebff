"""The losses of an editor that rewrites texts in another style, and of its critic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from sparring.data.words import FIRST
from sparring.game import Batch, Loss
from sparring.nn.style import Editor, Rewritten, StyleCritic
from sparring.objectives import Objective
from sparring.translating import fooled


@dataclass(frozen=True)
class Restyling:
    """The losses of both networks over all styles. A mean is over all places, those without a word too."""

    editor: Editor
    critic: StyleCritic
    objective: Objective
    styles: int
    heard: float
    """Share of the words that others are foretold from."""
    strange: float
    """Share of real texts of another style in what the critic learns to refuse."""
    changed: float
    """Weight of the share of words that are replaced."""
    cycle: float
    """Of the nats by which a text comes back."""
    identity: float
    """Of the nats of keeping a text that has its style."""

    def elsewhere(self, own: Tensor) -> Tensor:
        """(N,) another style than each text has."""
        return (own + torch.randint(1, self.styles, own.shape, device=own.device)) % self.styles

    def likelihood(self, batch: Batch) -> Loss:
        """Each word from some of the others, and the style: of real texts."""
        text, known = batch["text"], batch["text"] >= FIRST
        heard = torch.rand(text.shape, device=text.device) < self.heard
        beside = self.editor.beside(self.editor.table[text] * heard[..., None], batch["label"])[known]
        nats = cross_entropy(self.editor.write(beside, None), text[known] - FIRST, reduction="sum")
        return Loss({"nats": nats / text.numel()})

    def rewriter(self, batch: Batch) -> Loss:
        """Texts in another style that fool the critic, at the price of what is replaced."""
        x, own = batch["text"], batch["label"]
        to = self.elsewhere(own)
        made = self.editor.rewrite(x, to)
        changed, cycle = (1 - made.kept).sum() / x.numel(), self.back(made, own) / x.numel()
        table = self.editor.table[x]
        stays = -logsigmoid(self.editor.keep(self.editor.beside(table, own), table))[x > 0].sum() / x.numel()
        terms = {
            "objective": fooled(self.objective, self.critic(made, to)),
            "changed": self.changed * changed,
            "cycle": self.cycle * cycle,
            "identity": self.identity * stays,
        }
        return Loss(terms, {"share changed": 1 - made.kept.detach().mean()})

    def back(self, made: Rewritten, own: Tensor) -> Tensor:
        """Nats of keeping again what was kept, and of writing again what was replaced."""
        vectors, was = made.vectors(self.editor.table), made.text[made.places]
        beside = self.editor.beside(vectors, own)[made.places]
        vectors = vectors[made.places]
        replaced = made.kept.detach() < 0.5
        keep = self.editor.keep(beside, vectors)
        gates = -logsigmoid(torch.where(replaced, -keep, keep)).sum()
        lost = replaced & (was >= FIRST)
        words = self.editor.write(beside[lost], vectors[lost])
        return gates + ((1 - made.kept[lost]) * cross_entropy(words, was[lost] - FIRST, reduction="none")).sum()

    def judge(self, batch: Batch) -> Loss:
        """Real texts of a style against those rewritten in it, and real ones of another."""
        x, own, strange = batch["text"], batch["label"], self.strange
        to = self.elsewhere(own)
        real, fake, other = self.critic(torch.cat([x, self.editor.draw(x, to), x]), torch.cat([own, to, to])).chunk(3)
        refused = (1 - strange) * self.objective.discriminator(real, fake)
        told = refused + strange * self.objective.discriminator(real, other)
        watch = {"real score": real, "fake score": fake, "score of another style": other}
        return Loss({"objective": told.mean()}, {name: scores.detach().mean() for name, scores in watch.items()})
