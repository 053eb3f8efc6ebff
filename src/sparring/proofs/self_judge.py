"""The judge that learns without labels, judged: what it knows, which sickness it sees, how it orders generators."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from sparring import self_supervised, session
from sparring.data import About, Batch, Data, Source, TensorSource, open_data, tensor_source
from sparring.data.clusters import unlabelled
from sparring.data.loader import batches
from sparring.engine import Train
from sparring.engine import train as play
from sparring.game import Game, Loss, Player, linear_decay
from sparring.judge import extractor_alone, judge_of, numbers_alone, self_judge, trained_alone
from sparring.machine import Machine, find_machine
from sparring.metrics.features import Extractor, extract, pixels
from sparring.metrics.frechet import frechet_distance
from sparring.nn.image import ConvEncoder
from sparring.optimizers import Adam
from sparring.proofs.judge import ERRORS, every_score, fresh, named, sets
from sparring.proofs.record import Claim, Effort, Result, of_claims
from sparring.runs import How

SETS = ("mnist", "fashion-mnist")
LABELLED = 10_000
"""Pictures whose labels the linear probe learns."""
ROUNDS: Mapping[Effort, Sequence[int]] = {"full": (50, 100, 200, 400, 800), "quick": (5, 50)}
"""Of generators, from bad to good."""
SAMPLES = 2500


def proof(seeds: int, effort: Effort) -> Result:
    """Self-supervised features beside the labelled judge's and `pixels`, on the same tasks."""
    machine = find_machine(How(threads=1), "image")
    claims = [claim for name in SETS for claim in _known(name, machine)]
    judges = _judges("mnist", machine)
    made = {f"dcgan, {rounds} rounds": _samples(rounds) for rounds in ROUNDS[effort]}
    healthy = fresh(effort)
    claims += [*_sick(judges, healthy), *_ordered(judges, {**made, "cdcgan": healthy})]
    text = (
        "Features learnt from MNIST's (or Fashion-MNIST's) training pictures without their labels, as every set "
        "without labels is judged. Linear probe: logistic regression of 10,000 training labels, accuracy on the 10,000 "
        "test pictures; it must come half way from the same network with random weights (which beats raw pixels, the "
        "first bar, and was therefore put in its place after a look at MNIST) to the judge that knows the labels, and "
        "the same training on pictures of noise must not. Scenarios: as in the "
        "proof of that name, and blurred pictures (3x3 mean); standard errors by which the surest metric names a set "
        f"(beyond {ERRORS:g}, and by a margin that matters), 0 where none does; healthy rows must be named by none. "
        "Order: Fréchet distances of generators from bad to good, rank correlation (Spearman) with the judge that "
        "knows the labels."
    )
    return of_claims("self-judge", 143, "The judge without labels", text, claims)


def _judges(name: str, machine: Machine) -> dict[str, Extractor]:
    quiet, splits = Console(stderr=True, quiet=True), open_data(Data(data=name))
    return {
        "self": self_judge(splits["train"], machine, quiet),
        "pixels 8x8": pixels(),
        "labelled judge": judge_of(splits, machine, quiet),
    }


def _known(name: str, machine: Machine) -> list[Claim]:
    """How much of the labels a line can read from the features."""
    splits = open_data(Data(data=name))
    train = splits["train"][torch.arange(LABELLED)]
    test = splits["test"][torch.arange(len(splits["test"]))]

    def accuracy(extractor: Extractor) -> float:
        seen, unseen = (extract(extractor, part["image"]).features for part in (train, test))
        return probe(seen, unseen, train["label"], test["label"])

    found = {judge: accuracy(extractor) for judge, extractor in _judges(name, machine).items()}
    found["raw pixels"] = accuracy(pixels(side=max(splits["train"].about.shape)))
    random = found["random network"] = accuracy(random_network(splits["train"], machine))
    half = max(found["raw pixels"], (random + found["labelled judge"]) / 2)
    case, target = f"linear probe, {name}", "half way from the random network to the labelled judge"
    own = found.pop("self")
    claims = [Claim(case, "self-supervised", [own], half, target=target)]
    if name == "mnist":
        control = [accuracy(taught_by_noise(splits["train"], machine))]
        claims.append(Claim(case, "the same training on noise", control, half, target="not as far", control=True))
    return claims + [Claim(case, other, [value], reference=True) for other, value in found.items()]


def taught_by_noise(source: Source, machine: Machine) -> Extractor:
    """The same training on as many pictures of independent random pixels: what does not come from the data."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (len(source), *source.about.shape), dtype=torch.uint8, generator=generator)
    learnt_from = TensorSource(unlabelled(source).about, {"image": noise})
    network = trained_alone(numbers_alone(len(source)), learnt_from, machine)
    return extractor_alone(network.requires_grad_(False), source.about, machine.device)


def random_network(source: Source, machine: Machine) -> Extractor:
    """The same network before its training, its features brought to scale all the same."""
    torch.manual_seed(0)
    network = self_supervised.build(numbers_alone(len(source)), source.about).modules["encoder"].eval()
    assert isinstance(network, ConvEncoder)
    network.even_out(source[torch.arange(min(2000, len(source)))]["image"] / 127.5 - 1)
    return extractor_alone(network.requires_grad_(False), source.about, machine.device)


def probe(train: Tensor, test: Tensor, learnt: Tensor, labels: Tensor) -> float:
    """Accuracy on `test` (M, d) of a logistic regression of `learnt` on `train` (N, d), all brought to scale."""
    mean, deviation = train.mean(0), train.std(0).clamp(min=1e-3)
    about = About("features", "point", tuple(train.shape[1:]), tuple(map(str, range(int(learnt.max()) + 1))))
    source = tensor_source(about, {"point": (train - mean) / deviation, "label": learnt})
    line = nn.Linear(train.shape[1], len(about.classes))
    for parameter in line.parameters():
        nn.init.zeros_(parameter)
    optimizer = Adam(lr=5e-3, beta1=0.9).over(line.parameters())

    def loss(batch: Batch) -> Loss:
        return Loss({"cross-entropy": F.cross_entropy(line(batch["point"]), batch["label"])})

    slower = linear_decay([optimizer], start=0.0, end=0.0)
    game = Game({"line": line}, [Player("line", loss, optimizer)], on_round=slower)
    play(game, batches(source, min(500, len(train)), seed=0), Train(600))
    with torch.no_grad():
        return float((line((test - mean) / deviation).argmax(1) == labels).float().mean())


def _sick(judges: Mapping[str, Extractor], healthy: Tensor) -> list[Claim]:
    """Which sets are told from held-out ones, by how many standard errors."""
    splits = open_data(Data(data="mnist"))
    train, test = (splits[split][torch.arange(len(splits[split]))]["image"] for split in ("train", "test"))
    labels = splits["test"][torch.arange(len(test))]["label"]
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
    pool = test[order[5000:]]
    found = sets(pool, labels[order[5000:]], train, torch.Generator().manual_seed(1), healthy)
    blurred = F.avg_pool2d(pool[SAMPLES:].float(), 3, 1, 1).round().byte()
    told = {}
    for name, extractor in judges.items():
        if name == "labelled judge":  # has a proof of its own
            continue
        seen = [extract(extractor, x) for x in (test[order[:5000]], test[order[5000:7500]], train[:20_000])]
        reference, floor, learnt = seen
        base = every_score(floor, reference, learnt, ())
        for what, (images, expected) in {**found, "blurred": (blurred, ("precision",))}.items():
            surest = named(every_score(extract(extractor, images), reference, learnt, ()), base)
            told[name, what] = (max(surest.values(), default=0.0), bool(expected))
    return [_told(judge, what, *value) for (judge, what), value in told.items()]


def _told(judge: str, what: str, errors: float, sick: bool) -> Claim:
    low, high = (ERRORS, float("inf")) if sick else (float("-inf"), 0.0)
    target = f">= {ERRORS:g}" if sick else "0"
    errors = min(errors, 1000.0)
    return Claim(f"scenarios, {judge}", what, [errors], low, high, target, reference=judge != "self")


def _ordered(judges: Mapping[str, Extractor], made: Mapping[str, Tensor]) -> list[Claim]:
    """Whether Fréchet distances put generators in the order in which the labelled judge puts them."""
    held_out = open_data(Data(data="mnist"))["test"]
    real = held_out[torch.arange(len(held_out))]["image"]
    distances = {
        name: [frechet_distance(extract(extractor, x).features, reference) for x in made.values()]
        for name, extractor in judges.items()
        for reference in (extract(extractor, real).features,)
    }
    claims = [
        Claim(f"Fréchet distance, {judge}", which, [value], reference=True)
        for judge, values in distances.items()
        for which, value in zip(made, values, strict=True)
    ]
    best = distances["labelled judge"]
    for judge in ("self", "pixels 8x8"):
        agreed = spearman(distances[judge], best)
        target = "at least .9" if judge == "self" else ""
        claims.append(Claim("order of generators", judge, [agreed], 0.9, target=target, reference=judge != "self"))
    return claims


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation of two lists without ties, in [-1, 1]. Spearman 1904."""
    ranks = torch.tensor([a, b], dtype=torch.float64).argsort(1).argsort(1).double()
    return float(torch.corrcoef(ranks)[0, 1])


def _samples(rounds: int) -> Tensor:
    with tempfile.TemporaryDirectory() as folder:
        run = session.train(
            "dcgan",
            runs=folder,
            data="mnist",
            rounds=rounds,
            seed=0,
            threads=1,
            snapshots=1,
            quiet=True,
            evaluate=False,
        )
        return run.sample(SAMPLES, seed=1)
