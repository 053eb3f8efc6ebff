"""Standard errors, tests of copying, diversity, pairs of pictures, stamps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sparring.metrics.classes import class_kl, confidence, inception, inception_score
from sparring.metrics.copying import copying, mann_whitney, memorisation_distance, mifid
from sparring.metrics.diversity import vendi, vendi_of_kernel
from sparring.metrics.errors import Estimate, edges, group_numbers, jackknife, of_mean, slices
from sparring.metrics.evaluate import StampError, differences, row
from sparring.metrics.frechet import frechet, frechet_distance
from sparring.metrics.kernel import kernel, kernel_distance
from sparring.metrics.neighbours import Prdc, clouds, nearest, neighbours, prdc, share_error
from sparring.metrics.pairs import pair_scores, psnr, ssim


def normal(rows: int, dims: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(rows, dims, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def without(x: Tensor, rows: slice) -> Tensor:
    return torch.cat([x[: rows.start], x[rows.stop :]])


# --- the jackknife --------------------------------------------------------------------------------------------------


def test_groups_are_consecutive_and_cover_every_row() -> None:
    assert edges(10, 3) == [0, 3, 6, 10]
    assert group_numbers(10, 3).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = normal(50, 1, 0, torch.float64).squeeze(1)
    deleted = [float(without(values, slice(i, i + 1)).mean()) for i in range(50)]
    found = jackknife(float(values.mean()), deleted)
    assert found.se == pytest.approx(of_mean(values).se, rel=1e-9)
    assert found.corrected == pytest.approx(found.value, abs=1e-12)


@pytest.mark.parametrize(("n", "d"), [(300, 8), (60, 40), (50, 80)])
def test_every_fast_jackknife_equals_the_one_by_deletion(n: int, d: int) -> None:
    fake, reference = 1.2 * normal(n, d, 1), normal(400, d, 2)
    parts = slices(n, 10)
    for estimate, value in ((frechet, frechet_distance), (kernel, kernel_distance)):
        slow = jackknife(value(fake, reference), [value(without(fake, rows), reference) for rows in parts])
        found = estimate(fake, reference, 10)
        assert found.value == pytest.approx(slow.value, rel=1e-6)
        assert found.se == pytest.approx(slow.se, rel=1e-4)
    assert found.corrected is None  # the kernel distance has no bias
    found, raw = frechet(fake, reference, 10).corrected, frechet_distance(fake, reference)
    assert (found is not None and found < raw) if n >= 2 * d else found is None  # of too few, no correction is good


@pytest.mark.parametrize("d", [3, 70])
def test_neighbours_without_each_group_equal_the_definition(d: int) -> None:
    real, fake = normal(150, d, 3), 0.9 * normal(120, d, 4)
    parts = slices(120, 6)
    slow = [prdc(real, without(fake, rows), 3) for rows in parts]
    found = neighbours(real, fake, 3, 6)
    distance = torch.cdist(real.double(), fake.double())
    reach = {
        "recall": torch.cdist(fake.double(), fake.double()).kthvalue(4, dim=1).values,
        "coverage": torch.cdist(real.double(), real.double()).kthvalue(4, dim=1).values[:, None],
    }
    for name in ("precision", "recall", "density", "coverage"):
        by_hand = jackknife(getattr(prdc(real, fake, 3), name), [getattr(one, name) for one in slow])
        assert found[name].value == by_hand.value
        expected = by_hand.se
        if name in reach:
            expected = by_definition([set(row.nonzero().flatten().tolist()) for row in distance <= reach[name]], 120)
        if name == "recall":
            expected = math.sqrt(expected * (by_hand.se or 0))
        assert expected is not None
        assert expected > 0
        assert found[name].se == pytest.approx(expected, rel=1e-6)


def by_definition(places: list[set[int]], drawn: int) -> float:
    """The error of the share of places that are not empty, from all pairs of places that hold the same points."""
    weight = {1: 7 / 8, 2: -4 / 8, 3: 1 / 8}
    pairs = [len(a) for a in places for b in places if a == b and len(a) in weight]
    once = sum(len(a) == 1 for a in places) ** 2 / drawn
    variance = sum(weight[held] for held in pairs) - once
    return math.sqrt(variance if variance > 0 else pairs.count(1) - once) / len(places)


@pytest.mark.parametrize("mean", [0.5, 1.5])
def test_the_error_of_a_share_of_places_is_its_spread_over_fresh_points(mean: float) -> None:
    places, drawn, draws = 400, 400, 200
    generator = torch.Generator().manual_seed(5)
    cells = int(drawn / mean)
    pair = torch.arange(places) // 2 % cells  # places lie two by two on the same cell
    shares, errors = [], []
    for _ in range(draws):
        cell = torch.randint(cells, (drawn,), generator=generator)
        held = pair[:, None] == cell
        key = torch.rand(drawn, generator=generator, dtype=torch.float64)
        shares.append(float(held.any(1).double().mean()))
        errors.append(share_error(held.sum(1), (held.double() @ key * 2**40).long(), drawn))
    spread = float(torch.tensor(shares).std())
    assert math.sqrt(sum(e * e for e in errors) / draws) == pytest.approx(spread, rel=0.2)


def test_neighbours_within_a_set_are_the_same_in_tiles() -> None:
    x = normal(1300, 70, 8)
    x[700] = x[3]  # a double in another tile
    cloud = clouds(x)[0]
    distances, numbers = nearest(cloud, cloud, 4, itself=True)
    exact = torch.cdist(x.double(), x.double()).square()
    exact.fill_diagonal_(math.inf)
    slow = exact.topk(4, largest=False)
    assert torch.allclose(distances, slow.values, atol=1e-9)
    assert numbers[3, 0] == 700
    assert numbers[700, 0] == 3
    assert torch.equal(exact.gather(1, numbers).sort(1).values, slow.values)


def test_most_groups_of_many_dimensions_are_told_by_a_series() -> None:
    fake, reference = normal(1500, 300, 1) * torch.linspace(0.1, 2, 300), normal(2000, 300, 2)
    slow = jackknife(
        frechet_distance(fake, reference),
        [frechet_distance(without(fake, rows), reference) for rows in slices(1500, 10)],
    )
    found = frechet(fake, reference, 10)
    assert found.value == pytest.approx(slow.value, rel=1e-9)
    assert found.se == pytest.approx(slow.se, rel=0.01)
    assert found.corrected == pytest.approx(slow.corrected, abs=0.1 * (slow.se or 0))


def test_classes_and_inception_without_each_group_equal_the_definition() -> None:
    logits = 2 * normal(200, 5, 5)
    parts = slices(200, 20)
    slow = jackknife(inception_score(logits)[0], [inception_score(without(logits, rows))[0] for rows in parts])
    assert inception(logits).value == pytest.approx(slow.value, rel=1e-9)
    assert inception(logits).se == pytest.approx(slow.se, rel=1e-6)
    assert inception(logits).corrected == pytest.approx(slow.corrected, rel=1e-6)
    labels = logits.argmax(1)
    fair = class_kl(labels, 5, [0.2] * 5)
    assert fair.corrected is not None
    assert fair.corrected < fair.value
    assert class_kl(labels, 6, [0.2] * 5 + [0.0]).se is not None
    assert class_kl(labels, 5, [0.0] + [0.25] * 4).value == math.inf
    assert 0.2 < confidence(logits).value <= 1


def test_too_few_samples_for_groups_say_so() -> None:
    with pytest.raises(ValueError, match="groups=1 of 3 rows"):
        frechet(normal(3, 2, 0), normal(9, 2, 1), 1)


# --- neighbours -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-5])
def test_the_nearest_are_exact_however_close_they_lie_together(scale: float) -> None:
    """Clouds of a tiny width, far from each other: products in float32 alone would name neighbours at random."""
    centres = 20 * normal(5, 80, 6)
    points = centres.repeat_interleave(60, 0) + scale * normal(300, 80, 7)
    [cloud] = clouds(points)
    found, numbers = nearest(cloud, cloud, 4, itself=True)
    exact = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    exact.fill_diagonal_(math.inf)
    wanted = exact.topk(4, largest=False)
    torch.testing.assert_close(found, wanted.values, rtol=1e-9, atol=1e-18)
    torch.testing.assert_close(exact.gather(1, numbers), wanted.values, rtol=1e-9, atol=1e-18)


# --- copying --------------------------------------------------------------------------------------------------------


def test_copies_are_named_and_fresh_samples_are_not() -> None:
    train, held, fresh = (normal(500, 20, seed) for seed in (8, 9, 10))
    clean, copied = copying(fresh, train, held), copying(train[:300], train, held)
    assert abs(clean.z.value) < 4
    assert clean.authentic.value == pytest.approx(clean.authentic_held_out.value, abs=0.1)
    assert copied.z.value < -20
    assert copied.authentic.value == 0
    assert copied.nearest.tolist() == list(range(300))
    half = copying(torch.cat([train[:150], fresh[:150]]), train, held)
    assert copied.z.value < half.z.value < -5


def test_a_training_set_with_doubles_does_not_break_the_test() -> None:
    train = normal(100, 5, 11).repeat(2, 1)
    found = copying(normal(80, 5, 12), train, normal(90, 5, 13))
    assert found.authentic.value == 1.0  # every training sample has another at distance 0


def test_mann_whitney_is_standard_normal_under_the_null_and_counts_ties() -> None:
    values = torch.tensor([mann_whitney(normal(40, 1, 2 * s), normal(50, 1, 2 * s + 1)) for s in range(300)])
    assert abs(float(values.mean())) < 0.2
    assert float(values.std()) == pytest.approx(1, abs=0.15)
    same = torch.ones(30)
    assert mann_whitney(same, same) == 0
    a, b = torch.tensor([1.0, 1, 2, 3]), torch.tensor([1.0, 2, 4])  # by hand: U = 4.5, ties of 3 and 2
    sd = math.sqrt(4 * 3 / 12 * (8 - (24 + 6) / (7 * 6)))
    assert mann_whitney(a, b) == pytest.approx((4.5 - 6) / sd, rel=1e-9)


def test_memorisation_rewards_no_copying() -> None:
    train, fresh, held = (normal(400, 16, seed) for seed in (14, 15, 16))
    clean, copied = (memorisation_distance(x, train).value for x in (fresh, train[:200]))
    assert copied < 1e-6 < clean
    assert mifid(frechet_distance(train[:200], held), copied, 0.5) > 100 * mifid(
        frechet_distance(fresh, held), clean, 0.5
    )
    assert mifid(3.0, 0.4, 0.1) == 3.0


# --- diversity, pairs -----------------------------------------------------------------------------------------------


def test_vendi_counts_different_directions() -> None:
    eye = torch.eye(6).repeat(10, 1)
    assert vendi(eye).value == pytest.approx(6, rel=1e-6)
    assert vendi(torch.ones(20, 4)).value == pytest.approx(1, rel=1e-6)
    assert vendi_of_kernel(torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])) == pytest.approx(
        2.1573, abs=1e-4
    )
    x = normal(30, 50, 17)
    unit = x / x.norm(dim=1, keepdim=True)
    assert vendi(x).value == pytest.approx(vendi_of_kernel(unit @ unit.T), rel=1e-5)
    with pytest.raises(ValueError, match="2 rows of zeros"):
        vendi(torch.cat([x, torch.zeros(2, 50)]))


def test_vendis_error_is_the_spread_over_fresh_samples() -> None:
    found = [vendi(normal(400, 6, 100 + seed) * torch.tensor([3, 2, 1, 1, 1, 1.0])) for seed in range(60)]
    spread = float(torch.tensor([one.value for one in found]).std())
    stated = sum(one.se or 0 for one in found) / len(found)
    assert stated == pytest.approx(spread, rel=0.3)


def test_pairs_of_pictures() -> None:
    a = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    b = a.clone()
    b[0, 0, 0, 0] = (int(b[0, 0, 0, 0]) + 128) % 256
    assert psnr(a, a).tolist() == [math.inf] * 3
    assert float(psnr(a, b)[0]) == pytest.approx(10 * math.log10(255**2 / (128**2 / 256)), rel=1e-9)
    assert ssim(a, a).tolist() == pytest.approx([1.0] * 3)
    flat, grey = torch.full((1, 1, 16, 16), 100, dtype=torch.uint8), torch.full((1, 1, 16, 16), 200, dtype=torch.uint8)
    c1 = (0.01 * 255) ** 2
    assert float(ssim(flat, grey)) == pytest.approx((2 * 100 * 200 + c1) / (100**2 + 200**2 + c1), rel=1e-9)
    assert set(pair_scores(a, b)) == {"l1", "psnr", "ssim"}
    with pytest.raises(ValueError, match="smaller than SSIM's window"):
        ssim(a[..., :8], b[..., :8])
    with pytest.raises(ValueError, match="use two of"):
        psnr(a, b.float())  # type: ignore[arg-type,unused-ignore]


# --- comparing ------------------------------------------------------------------------------------------------------


def result(value: float, se: float | None, **stamp: Any) -> dict[str, Any]:
    made = {"extractor": "a", "samples": 100, **stamp}
    return {"stamp": made, "metrics": {"frechet distance": row("frechet distance", Estimate(value, se))}}


def test_differences_are_told_apart_by_their_errors() -> None:
    [close] = differences(result(1.0, 0.1), result(1.2, 0.1))
    assert close.verdict == "neither"
    [far] = differences(result(1.0, 0.1), result(2.0, 0.1))
    assert far.verdict == "first"
    assert far.errors == pytest.approx(1 / math.hypot(0.1, 0.1))
    [back] = differences(result(2.0, 0.1), result(1.0, 0.1))
    assert back.verdict == "second"
    [unknown] = differences(result(1.0, None), result(2.0, 0.1))
    assert unknown.verdict == "unknown"


def test_different_stamps_are_refused_with_the_difference() -> None:
    with pytest.raises(StampError, match="samples: 100 and 200"):
        differences(result(1.0, 0.1), result(1.0, 0.1, samples=200))
    with pytest.raises(StampError, match="no stamp"):
        differences({"metrics": {}}, result(1.0, 0.1))


def test_prdc_is_what_neighbours_say() -> None:
    real, fake = normal(80, 4, 20), normal(70, 4, 21)
    found = neighbours(real, fake, 5)
    wanted = Prdc(*(found[name].value for name in ("precision", "recall", "density", "coverage")))
    assert prdc(real, fake) == wanted
