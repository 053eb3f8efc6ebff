"""The judge is judged: agreement with others, honest errors, and which sickness of samples each metric names."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence

import torch
from rich.console import Console
from torch import Tensor

from sparring import session
from sparring.data import Data, open_data
from sparring.judge import judge_of
from sparring.machine import find_machine
from sparring.metrics.classes import class_kl, inception_score
from sparring.metrics.copying import copying, memorisation_distance, mifid
from sparring.metrics.diversity import vendi_of_kernel
from sparring.metrics.errors import Estimate
from sparring.metrics.evaluate import scores
from sparring.metrics.features import Features, extract
from sparring.metrics.frechet import frechet, frechet_distance
from sparring.metrics.kernel import kernel, kernel_distance
from sparring.metrics.neighbours import neighbours, prdc
from sparring.proofs.record import Claim, Effort, Result, of_claims
from sparring.runs import How


def vectors() -> tuple[Tensor, Tensor]:
    """(3000, 256) real and fake features on which other implementations were run."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(256, 256, generator=generator) / 16
    real = torch.relu(torch.randn(3000, 256, generator=generator) @ mixing)
    return real, torch.relu(1.1 * (torch.randn(3000, 256, generator=generator) @ mixing) + 0.05)


def near(case: str, figure: str, value: float, wanted: float, within: float) -> Claim:
    """A figure that another implementation, or a closed form, gives."""
    return Claim(case, figure, [value], wanted - within, wanted + within, f"{wanted:.10g} within {within:.0e}")


def agreement(seeds: int, effort: Effort) -> Result:
    """Ours beside public implementations on identical features, and beside closed forms."""
    real, fake = vectors()
    claims = [*_beside_peers(real, fake), *_published(real, fake), *_closed_forms()]
    text = (
        "3,000 x 256 features from a fixed seed. torchmetrics with an extractor of its own kind, prdc, and figures of "
        "other packages that were measured on the same features. KID: theirs is a mean over random subsets, ours takes "
        "all pairs, and must lie within its noise. MiFID: torchmetrics looks for the nearest fake of every real "
        "sample, so that copying is rewarded; here a model that copies must score worse than one that does not."
    )
    return of_claims("agreement", 140, "The judge: agreement", text, claims)


def _beside_peers(real: Tensor, fake: Tensor) -> list[Claim]:
    claims = []
    try:
        from prdc import compute_prdc
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.kid import KernelInceptionDistance
    except ImportError:
        return [Claim("peers", "not here: pip install sparring[peers]", [0.0], reference=True)]

    class Passing(torch.nn.Module):
        num_features = 256

        def forward(self, x: Tensor) -> Tensor:
            return x

    peer = FrechetInceptionDistance(feature=Passing(), normalize=True, input_img_size=(1, 1, 256)).set_dtype(
        torch.float64
    )
    noise = KernelInceptionDistance(feature=Passing(), subsets=100, subset_size=1000, normalize=True)
    torch.manual_seed(0)
    for metric in (peer, noise):
        metric.update(real.double() if metric is peer else real, real=True)
        metric.update(fake.double() if metric is peer else fake, real=False)
    claims.append(near("torchmetrics", "FID", frechet_distance(fake, real), float(peer.compute()), 1e-10))
    mean, deviation = (float(value) for value in noise.compute())
    claims.append(near("torchmetrics", "KID", kernel_distance(fake, real), mean, 2 * deviation / 10))
    for k in (3, 5):
        theirs, ours = compute_prdc(real.numpy(), fake.numpy(), nearest_k=k), prdc(real, fake, k)
        for name in ("precision", "recall", "density", "coverage"):
            claims.append(near("prdc", f"{name}, k={k}", getattr(ours, name), float(theirs[name]), 1e-12))
    return claims


def _published(real: Tensor, fake: Tensor) -> list[Claim]:
    logits = 3 * fake[:, :100]
    jack = frechet(fake, real)
    assert jack.se is not None
    assert jack.corrected is not None
    return [
        near("pytorch-fid and four others", "FID", frechet_distance(fake, real), 5.9222334139, 1e-5),
        near("exact, below full rank", "FID of 100 rows", frechet_distance(real[:100], fake[:100]), 84.1672538, 1e-4),
        near("numpy, by its definition", "jackknife error", jack.se, 0.06332, 1e-4),
        near("numpy, by its definition", "corrected", jack.corrected, 4.22316, 1e-4),
        near("full sample", "KID", kernel_distance(fake, real), 0.02399777, 1e-7),
        near("torch-fidelity", "IS, 10 splits", inception_score(logits, 10)[0], 14.652720, 1e-5),
        near("torch-fidelity", "its sd", inception_score(logits, 10)[1], 0.548889, 1e-5),
    ]


def _closed_forms() -> list[Claim]:
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.randn(10_000, 1000, generator=generator) for _ in range(2))
    ball = prdc(one, two, 5)
    kernels = [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    train = torch.randn(2000, 32, generator=generator)
    fresh = torch.randn(2000, 32, generator=generator)
    held = torch.randn(2000, 32, generator=generator)
    copies = train[torch.randint(2000, (2000,), generator=generator)]
    scored = [mifid(frechet_distance(x, held), memorisation_distance(x, train).value, 0.5) for x in (fresh, copies)]
    return [
        near("prdc's README", "precision of N(0, I), 1,000 dimensions", ball.precision, 0.4772, 0.02),
        near("prdc's README", "recall", ball.recall, 0.4705, 0.02),
        near("prdc's README", "density", ball.density, 1.0555, 0.05),
        near("prdc's README", "coverage", ball.coverage, 0.9735, 0.01),
        near("Vendi's README", "three different", vendi_of_kernel(torch.tensor(kernels[0])), 3.0, 1e-6),
        near("Vendi's README", "two alike", vendi_of_kernel(torch.tensor(kernels[1])), 2.1573, 1e-4),
        Claim("MiFID", "of copies, over that of fresh samples", [scored[1] / scored[0]], low=1.5, target="above 1.5"),
    ]


def honesty(seeds: int, effort: Effort) -> Result:
    """Stated errors against the true spread over fresh samples."""
    repeats = 200 if effort == "full" else 10
    times = {"classes": 20 * repeats}  # its bias is small beside its spread, and a repetition costs a millisecond
    claims = [c for name, of in _experiments().items() for c in _honest(name, of, times.get(name, repeats))]
    text = (
        f"{repeats} fresh samples of 2,000 against one reference of 5,000 from a standard Gaussian in 64 dimensions "
        f"(classes: {20 * repeats} samples of 1,000 labels at unequal shares). The error that is stated (root mean "
        "square over the repetitions) must be within 20 % of the spread of the values, and the bias of the corrected "
        "value below a tenth of the raw one's. "
        "The truth of the Fréchet distance is that of one set of 400,000 samples; of class KL, of the shares."
    )
    return of_claims("jackknife", 141, "The judge: are its errors honest?", text, claims)


Draw = Callable[[torch.Generator], Mapping[str, Estimate]]


def _experiments() -> dict[str, tuple[Draw, Mapping[str, float]]]:
    generator = torch.Generator().manual_seed(1)
    reference = torch.randn(5000, 64, generator=generator)

    def features(seed: torch.Generator, n: int = 2000) -> Tensor:
        return 0.95 * torch.randn(n, 64, generator=seed) + 0.05

    truth = frechet_distance(features(generator, 400_000), reference)
    shares = torch.arange(1.0, 11) / 55
    true_kl = float(torch.xlogy(shares, shares * 10).sum())

    def clouds(seed: torch.Generator) -> Mapping[str, Estimate]:
        fake = features(seed)
        return {"Fréchet distance": frechet(fake, reference), "kernel distance": kernel(fake, reference),
                **neighbours(reference, fake)}  # fmt: skip

    def classes(seed: torch.Generator) -> Mapping[str, Estimate]:
        labels = torch.multinomial(shares, 1000, replacement=True, generator=seed)
        return {"class KL": class_kl(labels, 10, [0.1] * 10)}

    return {"64 dimensions": (clouds, {"Fréchet distance": truth}), "classes": (classes, {"class KL": true_kl})}


def _honest(case: str, of: tuple[Draw, Mapping[str, float]], repeats: int) -> list[Claim]:
    draw, truths = of
    found = [draw(torch.Generator().manual_seed(1000 + repeat)) for repeat in range(repeats)]
    claims = []
    for name in found[0]:
        values = [estimates[name].value for estimates in found]
        errors = [estimates[name].se or 0.0 for estimates in found]
        stated = statistics.fmean(error**2 for error in errors) ** 0.5
        claims.append(
            Claim(
                case, f"{name}: stated error / true spread", [stated / statistics.stdev(values)], 0.8, 1.2, ".8 to 1.2"
            )
        )
        if name in truths:
            bias = statistics.fmean(values) - truths[name]
            left = statistics.fmean(estimates[name].corrected or 0.0 for estimates in found) - truths[name]
            claims.append(Claim(case, f"{name}: bias left / raw bias", [left / bias], -0.1, 0.1, "-.1 to .1"))
            claims.append(Claim(case, f"{name}: raw bias", [bias], reference=True))
    return claims


NAMES: Mapping[str, str] = {
    "precision": "bad pictures",
    "recall": "variety lost",
    "coverage": "modes dropped",
    "class kl": "classes missing",
    "copying z": "copies",
    "authentic share": "copies",
}
ERRORS = 5.0
MARGIN: Mapping[str, float] = {
    "precision": 0.05,
    "recall": 0.1,
    "coverage": 0.1,
    "class kl": 0.02,
    "authentic share": 0.1,
}
"""What matters: smaller differences are real, with enough samples, and no sickness."""


def named(found: Mapping[str, Estimate], floor: Mapping[str, Estimate]) -> dict[str, float]:
    """Metrics that name a sickness, and by how many standard errors."""
    told = {}
    for name in (name for name in NAMES if name in found):  # class KL asks for a judge that knows classes
        value, real = found[name], floor[name]
        worse = value.value - real.value if name == "class kl" else real.value - value.value
        error = ((value.se or 0.0) ** 2 + (real.se or 0.0) ** 2) ** 0.5
        if worse > MARGIN.get(name, 0.0) and worse > ERRORS * error:
            told[name] = worse / error if error else float("inf")
    return told


def scenarios(seeds: int, effort: Effort) -> Result:
    """Sick and healthy sets of MNIST pictures, and what names them."""
    splits = open_data(Data(data="mnist"))
    extractor = judge_of(splits, find_machine(How(), "image"), Console(stderr=True, quiet=True))
    train, test = (splits[split][torch.arange(len(splits[split]))] for split in ("train", "test"))
    order = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
    pool, labels = test["image"][order[5000:]], test["label"][order[5000:]]
    reference, floor = (extract(extractor, test["image"][rows]) for rows in (order[:5000], order[5000:7500]))
    learnt = extract(extractor, train["image"][:20_000])
    prior = splits["train"].about.prior
    base = every_score(floor, reference, learnt, prior)
    generator = torch.Generator().manual_seed(1)
    rows: list[list[str]] = []
    for what, (images, expected) in sets(pool, labels, train["image"], generator, fresh(effort)).items():
        found = every_score(extract(extractor, images), reference, learnt, prior)
        told = named(found, base)
        right = bool(set(told) & set(expected)) if expected else not told
        rows.append(
            [
                what,
                *(f"{found[name].value:.3g} ± {found[name].se or 0:.1g}" for name in SHOWN),
                "; ".join(f"{NAMES[name]} ({name}, {told[name]:.0f})" for name in told) or "nothing",
                "holds" if right else "falls short",
            ]
        )
    text = (
        "2,500 pictures a row against 5,000 test pictures of MNIST, in features of the judge; copies are looked for "
        "among 20,000 training pictures. A metric names a sickness when it is worse than 2,500 other real pictures by "
        f"{ERRORS:g} standard errors and by a margin that matters (precision .05, recall and coverage .1, authentic "
        "share .1, class KL .02 nats). Healthy rows must be named by none, sick ones by the metric meant for them."
    )
    passed = all(row[-1] == "holds" for row in rows) if effort == "full" else None
    columns = ("samples", *SHOWN, "named (metric, standard errors)", "verdict")
    return Result(
        "scenarios",
        142,
        "The judge: which metric names which sickness",
        text,
        "sparring prove scenarios --full",
        columns,
        rows,
        passed,
    )


SHOWN = ("frechet distance", "precision", "recall", "coverage", "class kl", "copying z", "authentic share")


def every_score(fake: Features, reference: Features, learnt: Features, prior: Sequence[float]) -> dict[str, Estimate]:
    """Of a set against held-out pictures, copies among the learnt ones included."""
    copied = copying(fake.features, learnt.features, reference.features)
    return {**scores(fake, reference, prior), "copying z": copied.z, "authentic share": copied.authentic}


def sets(
    pool: Tensor, labels: Tensor, train: Tensor, generator: torch.Generator, made: Tensor
) -> dict[str, tuple[Tensor, tuple[str, ...]]]:
    """(pictures, metrics of which one must speak; none for healthy ones)."""
    n, real = 2500, pool[2500:]
    copies = train[torch.randperm(20_000, generator=generator)[:n]]
    few = train[torch.randint(50, (n,), generator=generator)]

    def noisy(images: Tensor, scale: float) -> Tensor:
        noise = torch.randn(images.shape, generator=generator) * scale * 255
        return (images + noise).round().clamp(0, 255).byte()

    def again(rows: Tensor) -> Tensor:
        return pool[rows[torch.randint(len(rows), (n,), generator=generator)]]

    variety = ("recall", "coverage")
    return {
        "held-out real": (real, ()),
        "a healthy generator (cdcgan)": (made[:n], ()),
        "with noise of .15": (noisy(real, 0.15), ("precision", *variety)),
        "copies of training pictures": (copies, ("copying z", "authentic share")),
        "copies with noise of .03": (noisy(copies, 0.03), ("copying z", "authentic share")),
        "half copies": (torch.cat([copies[: n // 2], real[: n // 2]]), ("copying z", "authentic share")),
        "no nines": (again(torch.nonzero(labels != 9).squeeze(1)), ("class kl",)),
        "digits 0 to 4 only": (again(torch.nonzero(labels < 5).squeeze(1)), ("class kl", *variety)),
        "50 pictures with noise of .03": (noisy(few, 0.03), variety),
    }


def fresh(effort: Effort) -> Tensor:
    """2,500 digits of a healthy generator."""
    with tempfile.TemporaryDirectory() as folder:
        rounds = 6000 if effort == "full" else 100
        run = session.train(
            "cdcgan",
            runs=folder,
            data="mnist",
            rounds=rounds,
            seed=0,
            threads=1,
            snapshots=2,
            quiet=True,
            evaluate=False,
        )
        return run.sample(2500, seed=1)
