"""A small convolutional classifier: the discriminative counterpart of a GAN, and the judge of its samples.

A generative model learns p(x), or p(x | label); this learns p(label | x). Its features and class scores are what
samples of labelled sets are judged by, because a judge that knows digits sees what a picture of a digit lacks.

    sparring train classifier --data mnist
    sparring train classifier --data my_reviews --preset recurrent     # texts, read word by word

Expected: at least 99.2 % of MNIST's test set, after 3 epochs (about 50 CPU seconds).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn
from torch.nn.functional import cross_entropy

from sparring.average import Average
from sparring.config import UserError
from sparring.data.kinds import KINDS
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Loss, Player, linear_decay
from sparring.nn.image import ConvClassifier
from sparring.nn.sequence import RecurrentClassifier, TextClassifier
from sparring.nn.video import ClipClassifier
from sparring.nn.waves import SoundClassifier
from sparring.optimizers import SGD


@dataclass(frozen=True)
class Config:
    """Numbers of the classifier."""

    rounds: int = 2400
    """Updates; 2400 of 75 pictures are 3 epochs of MNIST."""
    batch: int = 75
    """Pictures per update."""
    width: int = 16
    """Channels of the first convolution."""
    optimizer: SGD = field(default_factory=SGD)
    """Nesterov, decaying linearly to zero over the whole run."""
    augment: Augment = field(default_factory=lambda: Augment(shift=2))
    """Shifts of up to two pixels; mirrored digits are other digits."""
    average: float = 0.99
    """Fraction of the averaged weights kept per round."""
    recurrent: bool = False
    """Texts are read word by word, both ways, in place of runs of words."""


def _of_pictures(about: About, width: int) -> nn.Module:
    channels, height, side = about.shape
    return ConvClassifier((channels, height, side), len(about.classes), width)


def _of_clips(about: About, width: int) -> nn.Module:
    channels, length, height, side = about.shape
    return ClipClassifier((channels, length, height, side), len(about.classes), width)


def _of_texts(about: About, width: int) -> nn.Module:
    return TextClassifier(len(about.vocabulary), about.shape[0], len(about.classes), width)


def _of_texts_by_word(about: About, width: int) -> nn.Module:
    return RecurrentClassifier(len(about.vocabulary), len(about.classes), width)


def _of_sounds(about: About, width: int) -> nn.Module:
    return SoundClassifier(about.shape[1], about.rate, len(about.classes), width)


NETWORKS: Mapping[str, Callable[[About, int], nn.Module]] = {
    "image": _of_pictures, "clip": _of_clips, "text": _of_texts, "sound": _of_sounds,
}  # fmt: skip
"""By the kind of what is read: (facts of the data, width) -> a module with `features` and `head`."""
PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "small": Config(rounds=600, batch=64, augment=Augment(shift=1)),
    "recurrent": Config(
        rounds=2000, batch=64, recurrent=True, augment=Augment(), optimizer=SGD(lr=0.5, weight_decay=1e-5)
    ),
}


def data(config: Config, source: Source) -> Source:
    """Labels are required."""
    if not source.about.classes:
        raise UserError(
            f"--data {source.about.name} has no labels, and a classifier learns labels; put the pictures of each "
            "class into a sub-folder of its own, or name a CSV file with --labels"
        )
    return source


def build(config: Config, about: About) -> Game:
    """One player that lowers the cross-entropy of the label."""
    if about.key not in NETWORKS:
        what = " and ".join(KINDS[key].what for key in NETWORKS)
        raise UserError(f"--data {about.name} has {about.what}, and this classifier reads {what}")
    if config.recurrent and about.key != "text":
        raise UserError(f"recurrent: --data {about.name} has {about.what}, and only texts have words; leave it out")
    network = (_of_texts_by_word if config.recurrent else NETWORKS[about.key])(about, config.width)
    optimizer = config.optimizer.over(network.parameters())

    def loss(batch: Batch) -> Loss:
        logits = network(batch[about.key]).float()
        correct = (logits.argmax(1) == batch["label"]).float().mean()
        return Loss({"cross-entropy": cross_entropy(logits, batch["label"])}, {"accuracy": correct})

    return Game(
        modules={"classifier": network},
        players=[Player("classifier", loss, optimizer)],
        product=("classifier",),
        average=Average(config.average),
        on_round=linear_decay([optimizer], start=0.0, end=0.0),
    )
