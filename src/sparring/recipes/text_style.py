"""Sentences rewritten in another style, without one that is known in both: cross-aligned, Shen et al. 2017.

An editor reads a sentence and the style that is asked for, and says of each word whether it stays, and what else to
write. First it learns to foretell words from those around them and the style (a masked language model: mask and infill,
Wu et al. 2019), from texts alone. Then a critic of each style tells its real sentences from edited ones, and from real
ones of another style; what it says reaches single words through their draw (straight-through, Jang et al. 2017).

    discriminator   the objective on x, and on G(x, c) and real texts of other styles, of every word in its place
    generator       the objective  +  changed |words replaced|  +  cycle |nats of coming back|  +  identity
    likelihood      nats of each word given the others and the style; goes on, now and then, against the critic

What holds on to the content is the price of a change: the cheapest sentence of another style differs by few words.
Sentences keep their length.

    sparring train text_style --data reviews          # a folder: positive.txt and negative.txt, a sentence a line
    sparring translate runs/text_style-reviews-1 mine.txt --label positive

Expected on Yelp's sentences by sentiment, in 69 CPU seconds: 89 to 92 % read as the other sentiment, at a BLEU of .44
to .47 against the input. Swapping words by their odds has 86 % at .57, and many edits do not agree: docs/languages.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from sparring.average import Average
from sparring.config import UserError
from sparring.data.source import About, Source
from sparring.data.views import domains
from sparring.game import Game, Latent, Player
from sparring.nn.style import Editor, StyleCritic
from sparring.optimizers import Adam, steered
from sparring.restyling import Restyling
from sparring.translating import single_scores


@dataclass(frozen=True)
class Config:
    """Numbers of the editor, its critic and their phases."""

    rounds: int = 1000
    """Rounds of all phases together."""
    batch: int = 32
    """Texts per round."""
    likelihood: float = 0.3
    """Progress until which the editor learns to foretell words, and nothing else."""
    early: float = 0.05
    """Share of the run by which the critic begins before the editor's adversarial turns."""
    anchor: int = 4
    """Against the critic, it foretells words in every so many-th round."""
    heard: float = 0.8
    """Share of the words that others are foretold from."""
    objective: str = "hinge"
    """Any objective that looks at single scores; of every word."""
    strange: float = 0.5
    """Share of real texts of another style in what the critic learns to refuse."""
    changed: float = 0.4
    """Weight of the share of words that are replaced: lower rewrites more."""
    cycle: float = 0.05
    """Weight of the nats, of keeping and of writing, by which the text comes back."""
    identity: float = 0.2
    """Weight of the nats of keeping every word of a text that has its style already."""
    width: int = 64
    """Numbers by which the editor knows a word."""
    hidden: int = 96
    """Numbers by which it knows what stands before it, and behind it."""
    critic_width: int = 64
    """Channels of the critic."""
    critic_layers: int = 2
    """Its convolutions over 3 places."""
    learning: Adam = field(default_factory=lambda: Adam(3e-3, 0.9, 0.999))
    """Of likelihood alone."""
    generator: Adam = field(default_factory=lambda: Adam(1e-3, 0.5, 0.99))
    """Of the editor against the critic."""
    discriminator: Adam = field(default_factory=lambda: Adam(2e-3, 0.5, 0.99))
    """Of the critic."""
    decay: float = 0.7
    """Share of the run after which learning rates fall to 0."""
    average: float = 0.99
    """Fraction of the averaged editor kept per round."""


PRESETS: Mapping[str, Config] = {"tuned": Config()}


def data(config: Config, source: Source) -> Source:
    """Texts of several styles, each beside one that is to be rewritten."""
    about = source.about
    if about.key != "text" or about.source or len(about.classes) < 2:
        raise UserError(
            f"--data {about.name}: text_style needs texts of two styles or more: a folder with a .txt of each, such as "
            "positive.txt and negative.txt, and no --source"
        )
    return domains(source)


def build(config: Config, about: About) -> Game:
    """An editor that learns to foretell words, then against a critic of styles."""
    if not (0 <= config.likelihood < 1 and 0 <= config.early <= 1 and 0 <= config.strange <= 1):
        raise UserError(
            f"likelihood={config.likelihood} must lie in [0, 1), early={config.early} and strange={config.strange} in "
            "[0, 1]"
        )
    if config.anchor < 1:
        raise UserError(f"anchor={config.anchor} is a number of rounds, at least 1; more than --rounds is never")
    words, styles, length = len(about.vocabulary), len(about.classes), about.shape[0]
    objective = single_scores(config.objective)
    editor = Editor(words, styles, length, config.width, config.hidden)
    critic = StyleCritic(words, styles, config.critic_width, config.critic_layers)
    weights = config.changed, config.cycle, config.identity
    both = Restyling(editor, critic, objective, styles, config.heard, config.strange, *weights)
    adams = config.learning, config.generator, config.discriminator
    learner, writer, judge = (
        adam.over(m.parameters()) for adam, m in zip(adams, (editor, editor, critic), strict=True)
    )
    turn, early = round(config.likelihood * config.rounds), round(config.early * config.rounds)
    players = [
        Player("likelihood", both.likelihood, learner, stop=turn),
        Player("anchor", both.likelihood, writer, start=turn, every=config.anchor),
        Player("discriminator", both.judge, judge, start=max(0, turn - early)),
        Player("generator", both.rewriter, writer, start=turn),
    ]
    latent = Latent(0, about.prior)
    modules: dict[str, nn.Module] = {"generator": editor, "critic": critic}
    return Game(
        modules=modules,
        players=[player for player in players if player.stop != 0],
        product=("generator",),
        given=("source",),
        draw=lambda n, generator: {"label": latent(n, generator)["label"]},
        sample=lambda found, drawn: found["generator"](drawn["source"], drawn["label"]),
        score=lambda x, label: critic(x, label).mean(1),
        average=Average(config.average) if config.average else None,
        on_round=steered(zip(adams, (learner, writer, judge), strict=True), config.decay, 0.0),
    )
