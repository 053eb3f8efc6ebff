"""Image metrics against published or peer-verified values, closed forms, invariances and wrong inputs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparring.metrics.classes import class_coverage, inception_score
from sparring.metrics.frechet import Moments, frechet_distance, frechet_from_moments, moments
from sparring.metrics.kernel import kernel_distance
from sparring.metrics.neighbours import Prdc, prdc

Features = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def vectors() -> Features:
    """Real and fake features on which the peers (pytorch-fid, torch-fidelity, prdc) were run."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(256, 256, generator=generator) / 16
    real = torch.relu(torch.randn(3000, 256, generator=generator) @ mixing)
    fake = torch.relu(1.1 * (torch.randn(3000, 256, generator=generator) @ mixing) + 0.05)
    return real, fake


def normal(rows: int, dims: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(rows, dims, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rotation(dims: int, seed: int) -> Tensor:
    rotated: Tensor = torch.linalg.qr(normal(dims, dims, seed)).Q
    return rotated


def gaussian(mean: Tensor, covariance: Tensor) -> Moments:
    return Moments(1000, mean.double(), covariance.double())


# --- reference values ---------------------------------------------------------------------------------------


def test_vectors_are_the_ones_the_values_belong_to(vectors: Features) -> None:
    real, fake = vectors
    assert float(real.mean()) == pytest.approx(0.398857863, abs=1e-7)
    assert float(fake.mean()) == pytest.approx(0.464029586, abs=1e-7)
    assert real[0, :3].tolist() == pytest.approx([0.4282509, 1.3802459, 0], abs=1e-6)


def test_frechet_reference_in_either_order(vectors: Features) -> None:
    real, fake = vectors
    # The features may differ in the last bit with the BLAS, hence 1e-6; the two orders share the features.
    assert frechet_distance(real, fake) == pytest.approx(5.9222334139, rel=1e-6)
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(fake, real), rel=1e-9)


def test_frechet_reference_below_full_rank(vectors: Features) -> None:
    real, fake = vectors
    exact = 84.1672538
    assert frechet_distance(real[:100], fake[:100]) == pytest.approx(exact, rel=1e-6)
    assert frechet_from_moments(moments(real[:100]), moments(fake[:100])) == pytest.approx(exact, rel=1e-6)


def test_kernel_distance_reference(vectors: Features) -> None:
    assert kernel_distance(*vectors) == pytest.approx(0.02399777, abs=1e-7)


def test_inception_score_reference(vectors: Features) -> None:
    logits = 3 * vectors[1][:, :100]
    mean, deviation = inception_score(logits, splits=10)
    assert mean == pytest.approx(14.652720, abs=1e-5)
    assert deviation == pytest.approx(0.548889, abs=1e-5)
    assert inception_score(logits)[0] == pytest.approx(15.309769, abs=1e-5)
    assert inception_score(logits)[1] == 0


@pytest.mark.parametrize(
    ("k", "expected"),
    [(3, (0.0750, 0.9290, 0.049222, 0.130333)), (5, (0.1130, 0.953333, 0.053133, 0.223000))],
)
def test_prdc_reference(vectors: Features, k: int, expected: tuple[float, ...]) -> None:
    result = prdc(*vectors, k=k)
    found = (result.precision, result.recall, result.density, result.coverage)
    assert found == pytest.approx(expected, abs=5e-7)  # the digits that were written down


# --- moments and Fréchet distance ---------------------------------------------------------------------------


def test_moments_keep_their_digits_far_from_the_origin() -> None:
    features = normal(5000, 3, 1)
    found = moments((features + 1e7).requires_grad_())
    assert found.count == 5000
    assert found.mean.dtype == found.covariance.dtype == torch.float64
    assert not found.covariance.requires_grad
    torch.testing.assert_close(found.mean - 1e7, features.mean(0), rtol=0, atol=1e-7)
    torch.testing.assert_close(found.covariance, features.T.cov(), rtol=0, atol=1e-7)


def test_moments_of_float32_are_computed_in_float64() -> None:
    features = normal(300, 4, 2, torch.float32) + 1000
    torch.testing.assert_close(moments(features).covariance, features.double().T.cov(), rtol=0, atol=1e-11)


def test_frechet_of_diagonal_gaussians() -> None:
    m1, m2 = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([1.0, 1.0, 2.0])
    s1, s2 = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 2.0, 1.0])
    found = frechet_from_moments(gaussian(m1, s1.square().diag()), gaussian(m2, s2.square().diag()))
    assert found == pytest.approx(17 + 4 + 0.25, rel=1e-12)


def test_frechet_of_equal_covariances_is_the_distance_of_the_means() -> None:
    one = moments(normal(600, 20, 3))
    shifted = Moments(one.count, one.mean + 0.5, one.covariance)
    assert frechet_from_moments(one, shifted) == pytest.approx(20 * 0.25, rel=1e-10)
    assert frechet_distance(torch.zeros(4, 2048), torch.ones(3, 2048)) == pytest.approx(2048, rel=1e-12)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_frechet_of_singular_covariances(rank: int) -> None:
    """In one rotated frame both covariances are diagonal, with 4 - rank zeros in different places."""
    frame = rotation(4, 4)
    s1 = torch.tensor([1.0, 2.0, 3.0, 4.0]).double() * (torch.arange(4) < rank)
    s2 = torch.tensor([2.0, 2.0, 5.0, 1.0]).double() * (torch.arange(4) >= 4 - rank)
    first = gaussian(torch.zeros(4), frame @ s1.square().diag() @ frame.T)
    second = gaussian(torch.ones(4), frame @ s2.square().diag() @ frame.T)
    expected = 4 + float((s1 - s2).square().sum())
    assert frechet_from_moments(first, second) == pytest.approx(expected, rel=1e-9)


def test_frechet_ignores_a_dead_feature() -> None:
    a, b = normal(200, 8, 5), 2 * normal(200, 8, 6) + 1
    dead = torch.zeros(200, 1)
    assert frechet_distance(torch.cat([a, dead], 1), torch.cat([b, dead], 1)) == pytest.approx(
        frechet_distance(a, b), rel=1e-9
    )


def test_frechet_of_a_set_with_itself_is_zero_and_never_negative() -> None:
    for rows in (20, 200):
        sets = [normal(rows, 32, seed) for seed in range(20)]  # in about half of them rounding passes below 0
        assert all(0 <= frechet_distance(features, features) < 1e-10 for features in sets)


@pytest.mark.parametrize(("n", "m"), [(12, 15), (12, 300), (300, 40)])
def test_frechet_of_few_rows_equals_the_eigenvalue_route(n: int, m: int) -> None:
    a, b = normal(n, 40, 8), 1.5 * normal(m, 40, 9) + 0.3
    s1, s2 = moments(a), moments(b)
    eigenvalues = torch.linalg.eigvals(s1.covariance @ s2.covariance).real.clamp(min=0)
    traces = s1.covariance.trace() + s2.covariance.trace()
    expected = float((s1.mean - s2.mean).square().sum() + traces - 2 * eigenvalues.sqrt().sum())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_from_moments(s1, s2), rel=1e-10)


def test_frechet_ignores_order_rotation_and_offset() -> None:
    a, b = normal(400, 16, 10), 1.3 * normal(300, 16, 11) + 0.2
    distance, frame = frechet_distance(a, b), rotation(16, 12)
    assert distance > 1
    assert frechet_distance(a.flip(0), b.roll(7, 0)) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(a @ frame, b @ frame) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(a + 1e4, b + 1e4) == pytest.approx(distance, rel=1e-8)


# --- kernel distance ----------------------------------------------------------------------------------------


def test_kernel_distance_by_its_definition_across_tiles() -> None:
    a, b = normal(700, 5, 13), normal(530, 5, 14) + 0.5  # more than one tile of either

    def mean_kernel(x: Tensor, y: Tensor, pairs: Tensor) -> Tensor:
        return ((x @ y.T / 5 + 1) ** 3)[pairs].mean()

    within = [mean_kernel(x, x, ~torch.eye(len(x), dtype=torch.bool)) for x in (a, b)]
    expected = within[0] + within[1] - 2 * mean_kernel(a, b, torch.ones(700, 530, dtype=torch.bool))
    assert kernel_distance(a, b) == pytest.approx(float(expected), rel=1e-10)
    assert kernel_distance(a, b) == pytest.approx(kernel_distance(b, a), rel=1e-10)


def test_kernel_distance_has_mean_zero_for_one_distribution() -> None:
    values = torch.tensor([kernel_distance(normal(100, 8, i), normal(80, 8, 1000 + i)) for i in range(100)])
    standard_error = float(values.std()) / 10
    assert abs(float(values.mean())) < 4 * standard_error
    assert standard_error < 0.005  # the biased statistic is above 0.1 here, and fails by far
    assert float(values.min()) < 0


# --- inception score ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [100.0, 1e4])  # at 1e4 a class has probability 0 in every float format
def test_inception_score_of_balanced_and_of_constant_predictions(scale: float) -> None:
    one_hot = scale * torch.eye(7)
    balanced = inception_score(one_hot.repeat(6, 1), splits=3)
    assert balanced[0] == pytest.approx(7)
    assert balanced[1] == pytest.approx(0, abs=1e-6)
    assert inception_score(one_hot[:1].repeat(20, 1))[0] == pytest.approx(1)


def test_inception_score_splits_are_consecutive_and_cover_every_row() -> None:
    logits = 50 * torch.eye(2)[[0, 0, 0, 1, 0, 1, 1]]  # rows 0-2 are constant; rows 3-6 are 1, 0, 1, 1
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    scores = (1.0, math.exp(entropy))
    mean, deviation = inception_score(logits, splits=2)
    assert mean == pytest.approx(sum(scores) / 2, rel=1e-9)
    assert deviation == pytest.approx((scores[1] - scores[0]) / 2, rel=1e-9)


# --- precision, recall, density, coverage -------------------------------------------------------------------


def test_prdc_of_a_line_counted_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0], [10.0]])  # radii for k = 1: 1, 1, 2, 7
    fake = torch.tensor([[0.5], [4.0], [30.0]])  # radii 3.5, 3.5, 26
    # 0.5 lies in the balls of 0 and 1; 4 in those of 3 and 10; 30 in none. 0, 1, 3 and 10 lie in fake balls.
    assert prdc(real, fake, k=1) == Prdc(precision=2 / 3, recall=1.0, density=4 / 3, coverage=1.0)
    assert prdc(fake, real, k=1) == Prdc(precision=1.0, recall=2 / 3, density=6 / 4, coverage=1.0)


def test_prdc_surface_belongs_to_the_ball() -> None:
    real = torch.tensor([[0.0], [2.0], [100.0]])  # radii for k = 1: 2, 2, 98
    fake = torch.tensor([[-2.0], [-60.0], [-900.0]])  # -2 is on the surface of the ball of 0, and in no other
    result = prdc(real, fake, k=1)
    assert (result.precision, result.density, result.coverage) == (1 / 3, 1 / 3, 1 / 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e5])
def test_prdc_of_identical_constant_sets(value: float, dtype: torch.dtype) -> None:
    constant = torch.full((256, 16), value, dtype=dtype)
    assert prdc(constant, constant.clone(), k=5) == Prdc(1.0, 1.0, 256 / 5, 1.0)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_prdc_of_copies_finds_every_copy_on_the_surface(offset: float) -> None:
    features = normal(300, 24, 15, torch.float32) + offset
    result = prdc(features, features.flip(0), k=4)
    assert (result.precision, result.recall, result.coverage) == (1.0, 1.0, 1.0)
    assert result.density == (300 * 5) / (300 * 4)  # every ball holds its centre and k neighbours, no more


def test_prdc_of_repeated_rows_has_balls_of_radius_zero() -> None:
    """Distance 0 must come out as the same number from the products that give radii and membership."""
    rows = normal(20, 1000, 28, torch.float32)
    copies = rows.flip(0)[:9].repeat(7, 1)  # each of the 6 x 20 rows has 5 neighbours at distance 0
    assert prdc(rows.repeat(6, 1), copies, k=5) == Prdc(1.0, 9 / 20, 6 / 5, 9 / 20)


def test_prdc_collapse_convention() -> None:
    result = prdc(3 * normal(200, 16, 16), 0.1 * normal(200, 16, 17))
    assert result.precision > 0.8
    assert result.recall < 0.3


def test_prdc_equals_the_definition_across_blocks() -> None:
    real, fake, k = normal(150, 6, 18), 0.8 * normal(131, 6, 19) + 0.3, 3

    def radii(x: Tensor) -> Tensor:
        return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").sort().values[:, k]

    distances = torch.cdist(real, fake, compute_mode="donot_use_mm_for_euclid_dist")
    in_real, in_fake = distances <= radii(real)[:, None], distances <= radii(fake)
    assert prdc(real, fake, k) == Prdc(
        precision=int(in_real.any(0).sum()) / 131,
        recall=int(in_fake.any(1).sum()) / 150,
        density=int(in_real.sum()) / (k * 131),
        coverage=int(in_real.any(1).sum()) / 150,
    )


def test_prdc_ignores_order_rotation_and_a_shared_offset() -> None:
    real, fake = normal(200, 8, 20), 1.2 * normal(150, 8, 21)
    expected, frame = prdc(real, fake), rotation(8, 22)
    assert 0 < expected.precision < 1
    assert 0 < expected.coverage < 1
    assert prdc(real.flip(0), fake.roll(5, 0)) == expected
    assert prdc(real @ frame, fake @ frame) == expected
    assert prdc(real + 1e4, fake + 1e4) == expected


def test_prdc_survives_one_exploded_sample() -> None:
    real, fake = normal(200, 8, 23), normal(200, 8, 24)
    expected = prdc(real, fake[1:])
    fake[0] = -1e12
    found = prdc(real, fake)
    assert found.density == pytest.approx(expected.density * 199 / 200, rel=1e-12)
    assert found.coverage == expected.coverage
    # The other radii are as before; rounding errors of 1e24 x 1e-16 in them would lose or add neighbours.
    assert expected.recall <= found.recall < 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_promoted(dtype: torch.dtype) -> None:
    a, b = normal(60, 4, 26).to(dtype), 1.5 * normal(50, 4, 27).to(dtype)
    for metric in (prdc, frechet_distance, kernel_distance):
        assert metric(a, b) == metric(a.double(), b.double())


# --- class coverage -----------------------------------------------------------------------------------------


def test_class_coverage_of_known_shares() -> None:
    result = class_coverage(torch.tensor([0, 0, 0, 2]), 4, (0.25, 0.25, 0.25, 0.25))
    assert result.present == 2
    assert result.shares == (0.75, 0.0, 0.25, 0.0)
    assert result.kl == pytest.approx(0.75 * math.log(3), rel=1e-12)


def test_class_coverage_is_zero_for_the_prior_and_infinite_outside_it() -> None:
    labels = torch.tensor([0, 1, 1, 1], dtype=torch.uint8)
    assert class_coverage(labels, 2, (0.25, 0.75)).kl == 0
    assert class_coverage(labels, 3, (1.0, 0.0, 0.0)).kl == math.inf
    assert class_coverage(labels, 3, (0.25, 0.75, 0.0)).kl == 0


# --- wrong inputs -------------------------------------------------------------------------------------------


def with_nan(features: Tensor) -> Tensor:
    features[3, 1] = math.nan
    return features


A = normal(10, 4, 25)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(A, normal(10, 5, 0)), "a has 4 features and b has 5; use one extractor"),
        (lambda: frechet_from_moments(moments(A), moments(A[:, :3])), "a has 4 features and b has 3"),
        (lambda: kernel_distance(A, A[:1]), "b has 1 rows; use at least 2"),
        (lambda: moments(A[:1]), "features has 1 rows"),
        (lambda: moments(A[0]), r"features has shape \(4,\); flatten to \(N, d\)"),
        (lambda: moments(A[:, :0]), r"features has shape \(10, 0\)"),
        (lambda: frechet_distance(A, with_nan(A.clone())), "b has NaN or infinity in 1 of 10 rows"),
        (lambda: kernel_distance(A / 0, A), "a has NaN or infinity in 10 of 10 rows"),
        (lambda: inception_score(with_nan(A.clone())), "logits has NaN or infinity in 1 of 10"),
        (lambda: inception_score(A, splits=11), "splits=11 for 10 logits; use 1 to 10"),
        (lambda: inception_score(A, splits=0), "splits=0 for 10 logits"),
        (lambda: prdc(A, A, k=0), "k=0 for 10 real features; use 1 to 9"),
        (lambda: prdc(A, A[:5]), "k=5 for 5 fake features; use 1 to 4"),
        (lambda: prdc(A[:5], A), "k=5 for 5 real features"),
        (lambda: prdc(with_nan(A.clone()), A), "real has NaN"),
        (lambda: prdc(A, A[:, :2]), "real has 4 features and fake has 2"),
        (lambda: class_coverage(torch.tensor([0, 3]), 3, (1 / 3,) * 3), "from 0 to 3 but classes=3"),
        (lambda: class_coverage(torch.tensor([-1, 0]), 3, (1 / 3,) * 3), "from -1 to 0 but classes=3"),
        (lambda: class_coverage(torch.tensor([0.0]), 1, (1.0,)), "use one integer per sample"),
        (lambda: class_coverage(torch.tensor([], dtype=torch.long), 1, (1.0,)), "use one integer per sample"),
        (lambda: class_coverage(torch.tensor([0]), 2, (1.0,)), "prior has 1 shares but classes=2"),
        (lambda: class_coverage(torch.tensor([0]), 2, (30, 70)), "sum 100; give shares >= 0 that sum to 1"),
        (lambda: class_coverage(torch.tensor([0]), 2, (1.5, -0.5)), "minimum -0.5"),
    ],
)
def test_wrong_input_names_the_setting_the_value_and_the_fix(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
