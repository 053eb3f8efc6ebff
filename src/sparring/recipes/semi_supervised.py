"""A classifier learnt from few labels, with generated pictures as one class more. Salimans et al. 2016, section 5.

    sparring train semi_supervised --data mnist --labelled 100
    sparring train semi_supervised --data mnist --labelled 100 --preset labels-only
    sparring evaluate runs/semi_supervised-mnist-1

The discriminator is a classifier of K classes; that a picture is generated is a class K + 1 whose logit is 0, so that
D(x) = Z / (Z + 1) with log Z = logsumexp of the logits (section 5). It learns the labels of `labelled` pictures by
cross-entropy, and to tell all pictures, whose labels it does not see, from generated ones. The generator matches the
mean of the last hidden layer (section 3.1): such samples lie around the classes, not on them, and that is what
sharpens the boundaries, so do not expect them to look best. No batch norm in either network; noise on what the
discriminator sees; its averaged weights are the product.

`labels-only` is the control: the same network on the labelled pictures alone. `paper`: the networks and numbers of
Table 1 (dense, weight norm, Gaussian noise), with PyTorch's initial weights instead of data-dependent ones; 300
epochs take hours on a CPU, and gave 93 +- 6.5 errors of 10,000 with 100 labels of MNIST.

Expected: 308 +- 16 errors of 10,000 with 100 labels of MNIST after 100 CPU seconds, where `labels-only` makes 1,112 +-
150 (three seeds, each with labels of its own): sparring prove semi-supervised --full
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from sparring.average import Average
from sparring.config import UserError
from sparring.data.few import LABELLED, few_labels
from sparring.data.loader import Augment
from sparring.data.source import About, Source
from sparring.game import Batch, Game, Latent, Loss, Player
from sparring.nn import noisy
from sparring.nn.dense import DenseGenerator
from sparring.nn.image import ConvGenerator
from sparring.optimizers import Adam, steered


@dataclass(frozen=True)
class Config:
    """Numbers of the semi-supervised game."""

    rounds: int = 4000
    """Rounds, each a step of both players."""
    batch: int = 32
    """Pictures without labels per step; as many with labels, and as many generated."""
    labelled: int = 100
    """Pictures whose labels are seen, in all, evenly of each class."""
    labelled_seed: int = 0
    """Another one chooses others."""
    unlabelled: bool = True
    """Learn from pictures without labels and from generated ones, too; off: there is no generator."""
    networks: Literal["convolutional", "dense"] = "convolutional"
    """Whose layers: for pictures of any size, or the paper's."""
    width: int = 16
    """Channels of the discriminator's first convolution."""
    generator_width: int = 8
    """Channels of the generator at full size."""
    latent: int = 64
    """Random numbers that a picture is made from."""
    noise: float = 0.3
    """Standard deviation of the noise on pictures in [-1, 1]; the dense network has .5 in hidden layers, too."""
    classifier: Adam = field(default_factory=lambda: Adam(3e-3, 0.5, 0.999))
    """The discriminator's optimizer."""
    generator: Adam = field(default_factory=lambda: Adam(3e-3, 0.5, 0.999))
    """The generator's optimizer."""
    decay: float = 0.5
    """Progress from which the learning rates fall, on a line, to a fiftieth."""
    average: float = 0.998
    """Fraction of the averaged weights kept per round."""
    augment: Augment = field(default_factory=lambda: Augment(shift=2))
    """Changes of the real pictures, labelled or not: shifts of up to two pixels."""


PRESETS: Mapping[str, Config] = {
    "tuned": Config(),
    "labels-only": Config(rounds=1500, unlabelled=False),
    "paper": Config(
        rounds=180_000,
        batch=100,
        networks="dense",
        latent=100,
        noise=0.6,
        decay=1,
        average=0.9999,
        augment=Augment(),
    ),
}
HIDDEN, GENERATOR_HIDDEN, INNER = (1000, 500, 250, 250, 250), (500, 500), 0.5


def data(config: Config, source: Source) -> Source:
    """Pictures without their labels, beside the few that keep theirs."""
    about = source.about
    if about.key != "image" or not about.classes:
        raise UserError(
            f"--data {about.name} has no {'labels' if about.key == 'image' else 'pictures'}, and semi_supervised "
            "learns from a few labelled pictures; put those of each class into a sub-folder, or give --labels FILE.csv"
        )
    return few_labels(source, config.labelled, config.labelled_seed)


def networks(config: Config, about: About) -> tuple[nn.Module, nn.Module]:
    """(generator, classifier)."""
    channels, height, across = about.shape
    shape, classes = (channels, height, across), len(about.classes)
    if config.networks == "dense":
        generator: nn.Module = DenseGenerator(config.latent, shape, GENERATOR_HIDDEN, batch_norm=False)
        return generator, noisy.dense(shape, classes, HIDDEN, config.noise, INNER)
    generator = ConvGenerator(config.latent, shape, config.generator_width, norm=False)
    return generator, noisy.convolutional(shape, classes, config.width, config.noise)


def build(config: Config, about: About) -> Game:
    """The classifier and the generator, or the classifier alone."""
    generator, classifier = networks(config, about)
    latent, optimizer = Latent(config.latent), config.classifier.over(classifier.parameters())

    def labelled_terms(logits: Tensor, label: Tensor) -> Loss:
        correct = (logits.argmax(1) == label).float().mean()
        return Loss({"cross-entropy": cross_entropy(logits, label)}, {"accuracy": correct})

    def from_labels(batch: Batch) -> Loss:
        return labelled_terms(classifier(batch[LABELLED]).float(), batch["label"])

    def prepare(batch: Batch) -> dict[str, Tensor]:
        return {**batch, "fake": generator(latent.noise(len(batch["image"]), batch["image"].device))}

    def from_all(batch: Batch) -> Loss:
        x, fake = batch["image"], batch["fake"].detach()
        logits = classifier(torch.cat([batch[LABELLED], x, fake])).float()
        known, real, made = logits.split([len(batch["label"]), len(x), len(fake)])
        found = labelled_terms(known, batch["label"])
        # -log D(x) and -log(1 - D(G(z))) of D = Z / (Z + 1), log Z = logsumexp
        real_score, fake_score = real.logsumexp(1), made.logsumexp(1)
        terms = {"real": softplus(-real_score).mean() / 2, "fake": softplus(fake_score).mean() / 2}
        watch = {"real score": real_score.detach().mean(), "fake score": fake_score.detach().mean()}
        return Loss({**found.terms, **terms}, {**found.watch, **watch})

    def matched(batch: Batch) -> Loss:
        features = classifier.features(torch.cat([batch["image"], batch["fake"]])).float()  # type: ignore[operator]
        real, fake = features.chunk(2)
        return Loss({"feature matching": (real.mean(0) - fake.mean(0)).square().mean()})

    def sample(modules: Mapping[str, nn.Module], drawn: Batch) -> Tensor:
        out: Tensor = modules["generator"](drawn["latent"])
        return out.float()

    learner, average = Player("classifier", from_labels, optimizer), Average(config.average)
    if not config.unlabelled:
        steer = steered([(config.classifier, optimizer)], config.decay, 0.02)
        return Game({"classifier": classifier}, [learner], ("classifier",), average=average, on_round=steer)
    other = config.generator.over(generator.parameters())
    return Game(
        modules={"generator": generator, "classifier": classifier},
        players=[Player("classifier", from_all, optimizer), Player("generator", matched, other)],
        product=("generator", "classifier"),
        draw=latent,
        sample=sample,
        average=average,
        prepare=prepare,  # no `score`: where features are matched, a discriminator that wins is no sickness
        on_round=steered([(config.classifier, optimizer), (config.generator, other)], config.decay, 0.02),
    )
