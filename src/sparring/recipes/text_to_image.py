"""Pictures of what a sentence says. Reed et al. 2016 (GAN-INT-CLS); Miyato and Koyama 2018.

    sparring train text_to_image --data shapes --captions own
    sparring sample runs/text_to_image-shapes-1 --caption "a small red heart at the top left"

    discriminator     the objective on (x, its caption) and (G(z, caption), caption)
                      + mismatch * the objective on (x, its caption) and (x, the caption with words of another)
    generator         the objective on (G(z, caption), caption)

Without the pairs that do not belong together the discriminator may ask only whether a picture looks real; where some
words are right and some wrong, it must read all of them. Each network has an encoder of its own, which is trained with
it: no language model is needed for captions of a small world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from sparring.config import UserError, resolve
from sparring.data.clusters import unlabelled
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Batch, Game, Loss
from sparring.nn.text import TextDiscriminator, TextGenerator
from sparring.objectives import OBJECTIVES


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the pair and of its readers."""

    width: int = 16
    """Channels of the generator at full size, doubling towards its small maps."""
    discriminator_width: int = 32
    """Channels of the discriminator's first layer."""
    spectral: bool = True
    """Spectral norm in the discriminator; without it, use a penalty."""
    text: int = 128
    """Features that a caption is read as."""
    mismatch: float = 1.0
    """Weight of real pictures beside captions of which a random share of the words is another's."""


PRESETS: Mapping[str, Config] = {"tuned": Config()}
MIRRORED = "augment.flip mirrors pictures and not their captions: leave it out where these say left or right"


def data(config: Config, source: Source) -> Source:
    """Captions are required."""
    if source.about.key != "image":
        raise UserError(f"--data {source.about.name} has {source.about.what}, and text_to_image makes pictures")
    if not source.about.caption:
        raise UserError(
            f"--data {source.about.name} has no captions, and text_to_image draws what they say: --captions names (of "
            "the files), a table of `file, sentence`, classes, or own for --data shapes"
        )
    return unlabelled(source)


def build(config: Config, about: About) -> Game:
    """Two networks that read, and their game."""
    channels, height, width = about.shape
    shape, words = (channels, height, width), len(about.vocabulary)
    generator = TextGenerator(config.latent, shape, config.width, words, config.text)
    discriminator = TextDiscriminator(shape, config.discriminator_width, words, config.text, config.spectral)
    game = duel(config, about, generator, discriminator, condition="caption")
    objective, plain = resolve(config.objective, OBJECTIVES, "objective"), game.player("discriminator").loss
    judge = game.modules["discriminator"]  # with what changes its pictures, if anything does

    def matched(batch: Batch) -> Loss:
        told, image, caption = plain(batch), batch["image"], batch["caption"]
        share = torch.rand(len(caption), 1, device=caption.device)  # of words that are another's: few are hard to see
        exchanged = torch.rand(caption.shape, device=caption.device) < share
        wrong = torch.where(exchanged, caption.roll(1, 0), caption)
        scores = judge(torch.cat([image, image]), torch.cat([caption, wrong])).float()
        apart = objective.discriminator(scores[: len(image)], scores[len(image) :])
        other = (caption != wrong).any(1)  # two captions may have the same words
        return Loss({**told.terms, "mismatch": config.mismatch * (apart * other).mean()}, told.watch)

    if config.mismatch:
        game = game.with_player("discriminator", loss=matched)
    notes = (MIRRORED,) if config.augment.flip else ()
    return replace(game, given=("caption",), score=None, notes=notes)  # a score is of a picture and its caption
