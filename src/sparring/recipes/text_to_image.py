"""Pictures of what a sentence says. Reed et al. 2016 (GAN-INT-CLS); Bao et al. 2017 (CVAE-GAN); Tao et al. 2022.

    sparring train text_to_image --data shapes --captions own --size 24
    sparring sample runs/text_to_image-shapes-1 --caption "a small red heart at the top left"

    discriminator     the objective on (x, its caption) and (G(z, caption), caption)
                      + mismatch * the objective on (x, its caption) and (x, the caption with words of another)
    generator         the objective on (G(z, caption), caption)
    rebuilder         |x - G(e, caption)|^2 + divergence * KL(q(e | x) | N(0, 1)), e drawn from q

Pairs that do not belong together make the discriminator read the caption; where some words are right and some wrong,
it must read all of them. Even so it asks for the colour and the place that a caption names long before it asks for the
shape, whose pixels are few: alone, the two had not learnt shapes after 2,000 rounds. So the generator's hand first
draws real pictures again, from their captions and from the little that an encoder may add (KL). That teaches it what
words mean; from `begin` on discriminator and generator make sharp what squares leave blurred. Squares are summed over
pixels. Each network has an encoder of captions of its own, which is trained with it: no language model is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sparring.config import UserError, resolve
from sparring.data.clusters import unlabelled
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Batch, Game, Loss, Player
from sparring.metrics.likelihood import gaussian_kl
from sparring.nn.autoencoder import drawn
from sparring.nn.text import TextDiscriminator, TextGenerator
from sparring.objectives import OBJECTIVES
from sparring.optimizers import Adam
from sparring.schedules import falling


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the pair and of its readers."""

    rounds: int = 4500
    """Rounds, each one step of every player."""
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
    rebuild: bool = True
    """Draw real pictures again too; without it, GAN-INT-CLS, from the first round on."""
    divergence: float = 0.3
    """Weight, in that, of what the encoder tells: twice the variance that is granted to a pixel."""
    begin: float = 0.75
    """Progress from which discriminator and generator play; before it, real pictures are only drawn again."""
    generator: Adam = field(default_factory=lambda: Adam(1e-3, 0.0, 0.99))
    """The generator's optimizer."""
    discriminator: Adam = field(default_factory=lambda: Adam(2e-3, 0.0, 0.99))
    """The discriminator's optimizer."""
    rebuilder: Adam = field(default_factory=lambda: Adam(2e-3, 0.9, 0.99))
    """The rebuilder's optimizer."""


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
    generator = TextGenerator(config.latent, shape, config.width, words, config.text, config.rebuild)
    discriminator = TextDiscriminator(shape, config.discriminator_width, words, config.text, config.spectral)
    game = duel(config, about, generator, discriminator, condition="caption")
    if config.mismatch:
        game = with_mismatch(config, game)
    if config.rebuild:
        game = with_rebuilder(config, game, generator)
    notes = (MIRRORED,) if config.augment.flip else ()
    return replace(game, given=("caption",), score=None, notes=notes)  # a score is of a picture and its caption


def with_mismatch(config: Config, game: Game) -> Game:
    """The game whose discriminator also sees real pictures with captions that are not theirs. Reed et al. 2016."""
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

    return game.with_player("discriminator", loss=matched)


def with_rebuilder(config: Config, game: Game, generator: TextGenerator) -> Game:
    """The game with a third player, who draws real pictures again by the generator's hand. Bao et al. 2017."""
    optimizer, steered, shared = config.rebuilder.over(generator.parameters()), game.on_round, game.prepare
    assert steered is not None
    begin = int(config.begin * config.rounds)
    playing = [False]

    def rebuilt(batch: Batch) -> Loss:
        image = batch["image"]
        mean, log_variance = generator.latents(image)
        again = generator(drawn(mean, log_variance)[:, 0], batch["caption"]).float()
        error = (again - image).square().sum((1, 2, 3)).mean()
        return Loss({"rebuilding": error, "divergence": config.divergence * gaussian_kl(mean, log_variance).mean()})

    def on_round(progress: float) -> None:
        steered(progress)
        playing[0] = round(progress * config.rounds) >= begin
        config.rebuilder.steer(optimizer, progress, falling(progress, config.decay, config.decay_to))

    def prepare(batch: Batch) -> dict[str, Tensor]:
        assert shared is not None
        return shared(batch) if playing[0] else dict(batch)

    for player in game.players:  # a lazy penalty too: alone it would flatten the discriminator before it begins
        game = game.with_player(player.name, start=begin)
    game = game.plus(Player("rebuilder", rebuilt, optimizer))
    return replace(game, on_round=on_round, prepare=shared and prepare)
