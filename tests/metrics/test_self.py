"""The judge that learns without labels."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from sparring import judge
from sparring.config import UserError
from sparring.data import About, Data, Source, TensorSource, open_data, subset, tensor_source
from sparring.data.clusters import unlabelled
from sparring.judge import extractor_alone, judge_named, judge_of, self_judge
from sparring.machine import Machine
from sparring.metrics.evaluate import with_floor
from sparring.metrics.features import Extractor, extract, pixels
from sparring.nn.image import LARGEST, ConvEncoder
from sparring.proofs.self_judge import probe, random_network, spearman
from sparring.self_supervised import Config, Views, contrast, view

CPU = Machine(torch.device("cpu"), "test", "float32", 1)
QUIET = Console(quiet=True)
DIGITS = open_data(Data())
TRAIN, TEST = (DIGITS[split][torch.arange(len(DIGITS[split]))] for split in ("train", "test"))


@pytest.fixture(scope="module")
def learnt() -> Extractor:
    """Features of the digits, with half of the usual rounds: some seconds."""
    config = replace(judge.numbers_alone(len(TRAIN["image"])), rounds=150)
    encoder = judge.trained_alone(config, DIGITS["train"], CPU).requires_grad_(False)
    return extractor_alone(encoder, DIGITS["train"].about, CPU.device)


def seen(extractor: Extractor, images: Tensor) -> Tensor:
    return extract(extractor, images).features


def test_a_line_learns_digits_from_100_labels_where_it_had_none(learnt: Extractor) -> None:
    def known(extractor: Extractor) -> float:
        few = seen(extractor, TRAIN["image"][:100])
        return probe(few, seen(extractor, TEST["image"]), TRAIN["label"][:100], TEST["label"])

    accuracy = known(learnt)
    assert accuracy > known(random_network(DIGITS["train"], CPU)) + 0.05
    assert accuracy > known(pixels()) + 0.05


class NoLabels:
    """The same pictures under labels that mean nothing."""

    def __init__(self, source: Source) -> None:
        self.source, self.about = source, source.about

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: Tensor) -> dict[str, Tensor]:
        columns = self.source[index]
        return {"image": columns["image"], "label": torch.full((len(index),), -(10**6))}  # out of every range


def brief(monkeypatch: pytest.MonkeyPatch, rounds: int = 4) -> None:
    small = replace(Config(), rounds=rounds, batch=32, width=4)
    monkeypatch.setattr(judge, "numbers_alone", lambda pictures: small)


def test_no_label_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch)
    plain = judge.trained_alone(judge.numbers_alone(0), DIGITS["train"], CPU)
    other = judge.trained_alone(judge.numbers_alone(0), NoLabels(DIGITS["train"]), CPU)
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), other.state_dict().values(), strict=True))
    assert extractor_alone(plain, DIGITS["train"].about, CPU.device).run(TRAIN["image"][:4])[1] is None


def test_the_same_pictures_give_the_same_judge_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    brief(monkeypatch)
    first = self_judge(DIGITS["train"], CPU, QUIET)
    renamed = TensorSource(replace(DIGITS["train"].about, name="other"), TRAIN)
    with monkeypatch.context() as within:
        within.setattr(judge, "trained_alone", lambda *_: pytest.fail("trained again"))
        again = self_judge(renamed, CPU, QUIET)
    assert again.sha256 == first.sha256
    assert torch.equal(seen(again, TEST["image"]), seen(first, TEST["image"]))
    (file,) = (tmp_path / "judges").iterdir()
    file.unlink()
    assert self_judge(DIGITS["train"], CPU, QUIET).sha256 == first.sha256  # trained afresh, to the same bits
    fewer = subset(DIGITS["train"], torch.arange(600))
    assert self_judge(fewer, CPU, QUIET).sha256 != first.sha256
    file.write_bytes(b"torn")
    assert self_judge(DIGITS["train"], CPU, QUIET).sha256 == first.sha256


def test_it_judges_what_has_no_labels_and_is_large_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    brief(monkeypatch)
    bare = {name: unlabelled(source) for name, source in DIGITS.items()}
    assert judge_of(bare, CPU, QUIET).name == "self-supervised on digits"
    assert judge_named("self", DIGITS, CPU, QUIET).sha256 == judge_of(bare, CPU, QUIET).sha256
    few = {"train": subset(bare["train"], torch.arange(judge.FEWEST_ALONE - 1)), "test": bare["test"]}
    assert judge_of(few, CPU, QUIET).name == "pixels 8x8"
    with pytest.raises(UserError, match="judge=self needs 500 pictures, and digits has 499 pictures"):
        judge_named("self", few, CPU, QUIET)
    with pytest.raises(UserError, match="ring has points"):
        judge_named("self", open_data(Data(data="ring")), CPU, QUIET)
    with pytest.raises(UserError, match="did you mean 'self'"):
        judge_named("sefl", DIGITS, CPU, QUIET)


def test_sick_sets_are_told_from_held_out_ones(learnt: Extractor) -> None:
    train, some, real = (extract(learnt, x) for x in (TRAIN["image"], TRAIN["image"][:300], TEST["image"]))
    generator = torch.Generator().manual_seed(0)
    noise = (TEST["image"] + torch.randn(TEST["image"].shape, generator=generator) * 80).clamp(0, 255).byte()
    few = TRAIN["image"][:20].repeat(15, 1, 1, 1)
    told = {
        name: with_floor(extract(learnt, images), some, real, train)
        for name, images in {"noise": noise, "few": few, "copies": TRAIN["image"][:300]}.items()
    }
    assert told["few"]["coverage"]["value"] < told["few"]["coverage"]["floor"] - 0.2
    assert told["copies"]["authentic share"]["value"] < 0.05
    assert told["copies"]["copying z"]["value"] < -5
    assert told["noise"]["kernel distance"]["value"] > 10


def test_the_features_have_one_scale(learnt: Extractor) -> None:
    deviations = seen(learnt, TRAIN["image"]).std(0)
    alive = deviations > 0
    assert float(alive.float().mean()) > 0.9
    assert deviations[alive].tolist() == pytest.approx([1.0] * int(alive.sum()), rel=0.05)


def test_contrast_has_its_closed_forms() -> None:
    pairs = torch.eye(8)[:4].repeat(2, 1)  # each view is its other's equal, and at right angles to all others
    value, found = contrast(pairs, temperature=0.5)
    assert float(value) == pytest.approx(math.log(1 + 6 * math.exp(-2)), rel=1e-6)
    assert float(found) == 1
    value, _ = contrast(torch.ones(8, 3), temperature=0.5)  # all alike: one of the 7 others
    assert float(value) == pytest.approx(math.log(7), rel=1e-6)
    assert torch.equal(contrast(3 * pairs, 0.5)[0], contrast(pairs, 0.5)[0])


STILL = Views(shift=0, zoom=1, out=1, aspect=0, turn=0, cut=0, light=0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 10)])
def test_views_move_only_what_they_are_told_to(shape: Sequence[int]) -> None:
    torch.manual_seed(0)
    x = torch.rand(16, *shape) * 2 - 1
    assert torch.allclose(view(x, STILL), x, atol=1e-5)
    mirrored = view(x, replace(STILL, flip=True))
    whether = [torch.allclose(y, z.flip(-1), atol=1e-5) for y, z in zip(mirrored, x, strict=True)]
    plain = [torch.allclose(y, z, atol=1e-5) for y, z in zip(mirrored, x, strict=True)]
    assert all(a != b for a, b in zip(whether, plain, strict=True))
    assert 0 < sum(whether) < 16
    lighter = view(x, replace(STILL, light=0.2))
    assert not torch.allclose(lighter, x, atol=1e-2)
    hidden = view(x, replace(STILL, cut=0.5)) == 0
    assert 0 < float(hidden.float().mean()) <= 0.25 + 1e-6
    assert view(x, Views()).shape == x.shape
    assert not torch.equal(view(x, Views()), view(x, Views()))


@pytest.mark.parametrize("shape", [(3, 130, 90), (4, 20, 33), (1, 8, 8)])
def test_pictures_of_any_size_and_colour_have_features(shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, (40, *shape), dtype=torch.uint8)
    source = tensor_source(About("noise", "image", shape), {"image": images})
    config = replace(Config(), rounds=2, batch=8, width=4)
    encoder = judge.trained_alone(config, source, CPU).eval()
    found = encoder.features(source[torch.arange(5)]["image"] / 127.5 - 1)
    assert found.shape == (5, len(encoder.spread))
    assert found.isfinite().all()
    assert encoder.shrink == math.ceil(max(shape[1:]) / LARGEST)


def test_a_feature_that_never_changes_stays_finite() -> None:
    encoder = ConvEncoder((1, 8, 8), 4).eval()
    encoder.even_out(torch.zeros(6, 1, 8, 8))
    assert encoder.features(torch.randn(3, 1, 8, 8)).isfinite().all()


def test_rank_correlation_is_of_ranks() -> None:
    assert spearman([1.0, 2.0, 30.0], [5.0, 6.0, 7.0]) == pytest.approx(1)
    assert spearman([1.0, 2.0, 3.0, 4.0], [4.0, 30.0, 2.0, 1.0]) == pytest.approx(-0.8)
