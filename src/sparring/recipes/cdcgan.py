"""Class-conditional DCGAN: pictures on demand. Mirza and Osindero 2014; Miyato and Koyama 2018.

    sparring train cdcgan --data mnist
    sparring sample runs/cdcgan-mnist-1 --label 7

`tuned`: the label joins the latent as a one-hot vector; the discriminator scores linear(h) + <embedding(label), h>
(projection); hinge loss; spectral norm on every layer of D; Adam with beta1 0, learning rates decaying linearly over
the last 60 %; averaged weights whose batch-norm statistics are estimated anew. `concatenation`: the older way, the
label as extra channels of the discriminator's input (Mirza and Osindero 2014). `classifier`: the discriminator reads
the label instead of being told it, and both players gain when it is read rightly (Odena et al. 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.config import UserError
from sparring.data.source import About, Source
from sparring.duel import Duel, duel
from sparring.game import Batch, Game, Loss
from sparring.nn.image import ConvDiscriminator, ConvGenerator, LabelChannels, LabelReader


@dataclass(frozen=True)
class Config(Duel):
    """Numbers of the conditional DCGAN."""

    condition: Literal["projection", "concatenation", "classifier"] = "projection"
    """How the discriminator sees the label; with classifier it reads it."""
    class_weight: float = 1.0
    """Of the cross-entropy of the label that is read, in both losses; only with classifier."""
    label_dropout: float = 0.0
    """Share of labels that are replaced by `none`, so that one model makes pictures with and without; try .1."""
    width: int = 16
    """Channels of the generator at full size, doubling towards its small maps."""
    discriminator_width: int = 32
    """Channels of the discriminator's first layer."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "concatenation": Config(condition="concatenation"),
    "classifier": Config(condition="classifier"),
}
KNOWN = (
    "condition=classifier rewards samples that are easy to read: the classes' differences grow and what differs within "
    "a class is lost (Odena et al. 2017, section 4.4; Gong et al. 2019); watch recall, or use projection"
)


def data(config: Config, source: Source) -> Source:
    """Labels are required."""
    if not source.about.classes:
        raise UserError(
            f"--data {source.about.name} has no labels, and cdcgan makes pictures by label; put the pictures of each "
            "class into a sub-folder of its own, name a CSV file with --labels, or use the recipe dcgan"
        )
    return source


def build(config: Config, about: About) -> Game:
    """Two conditional networks and their game."""
    if len(about.shape) != 3:
        raise UserError(
            f"--data {about.name} has {about.what}, not pictures; use the recipe mlp, or wgan_gp, sngan, fgan, pacgan"
        )
    if not 0 <= config.label_dropout < 1:
        raise UserError(f"label_dropout={config.label_dropout} must be a share from 0 to below 1, such as 0.1")
    channels, height, width = about.shape
    shape = (channels, height, width)
    classes = len(about.classes) + (config.label_dropout > 0)  # `none` is a class of its own
    generator = ConvGenerator(config.latent, shape, config.width, classes)
    if config.condition == "classifier":
        return reading(config, about, generator, LabelReader(shape, config.discriminator_width, classes))
    discriminator = (
        ConvDiscriminator(shape, config.discriminator_width, classes)
        if config.condition == "projection"
        else LabelChannels(shape, config.discriminator_width, classes)
    )
    return duel(config, about, generator, discriminator)


def reading(config: Config, about: About, generator: nn.Module, discriminator: LabelReader) -> Game:
    """The game with a discriminator that reads labels."""
    if not config.share_fakes or config.discriminator_augment.module() is not None:
        raise UserError("condition=classifier reads the round's own fakes: leave share_fakes on, augmentation of D off")
    game = duel(config, about, generator, discriminator)
    told, fooled = game.player("discriminator").loss, game.player("generator").loss

    none = len(about.classes) if config.label_dropout else -100  # says nothing of what is to be seen

    def read(images: Tensor, batch: Batch) -> Tensor:
        logits, label = discriminator.logits(images).float(), batch["label"]
        each = cross_entropy(logits, label, ignore_index=none, reduction="none")
        return config.class_weight * each.mean()

    def told_and_read(batch: Batch) -> Loss:
        loss = told(batch)
        both = 0.5 * (read(batch["image"], batch) + read(batch["fake"].detach(), batch))  # its equation 2 has both
        return replace(loss, terms={**loss.terms, "class": both})

    def fooled_and_read(batch: Batch) -> Loss:
        loss = fooled(batch)
        return replace(loss, terms={**loss.terms, "class": read(batch["fake"], batch)})

    game = game.with_player("discriminator", loss=told_and_read).with_player("generator", loss=fooled_and_read)
    return replace(game, notes=(KNOWN,))
