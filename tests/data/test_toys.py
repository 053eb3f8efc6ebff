import math

import pytest
import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data.settings import Data
from sparring.data.toys import TOYS, Toy, captured, open_toy


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def density(toy: Toy, points: Tensor) -> Tensor:
    assert toy.log_density is not None
    return toy.log_density(points)


def points_of(toy: Toy, n: int) -> Tensor:
    return toy.sample(n, seeded())[0]


@pytest.mark.parametrize("name", TOYS)
def test_splits_are_large_different_and_repeatable(name: str) -> None:
    splits, again = open_toy(name, Data(data=name)), open_toy(name, Data(data=name))
    train, test = splits["train"], splits["test"]
    assert (len(train), len(test)) == (100_000, 10_000)
    assert train.about.sha256 == again["train"].about.sha256
    first = train[torch.arange(10_000)]
    point = first["point"]
    assert point.dtype == torch.float32
    assert point.shape[1:] == train.about.shape == (2,)
    for key, column in test[torch.arange(10_000)].items():
        assert not torch.equal(first[key], column)


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25), ("lines", 2), ("swiss-roll", 0)])
def test_labels_name_the_modes_evenly(name: str, modes: int) -> None:
    train = open_toy(name, Data(data=name))["train"]
    assert train.about.classes == tuple(str(mode) for mode in range(modes))
    assert ("label" in train[torch.tensor([0])]) == (modes > 0)
    assert train.about.prior == pytest.approx([1 / modes] * modes if modes else [], abs=0.01)


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_label_is_the_nearest_centre(name: str) -> None:
    toy = TOYS[name]
    points, labels = toy.sample(2000, seeded())
    assert toy.centres is not None
    assert labels is not None
    assert torch.equal(torch.cdist(points, toy.centres).argmin(dim=1), labels)


def test_centres_are_those_of_pacgan() -> None:
    ring, grid = TOYS["ring"].centres, TOYS["grid"].centres
    assert ring is not None
    assert grid is not None
    torch.testing.assert_close(ring.norm(dim=1), torch.ones(8))
    assert ring[0].tolist() == [1, 0]
    assert sorted(grid.tolist()) == [[x, y] for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]
    assert (TOYS["ring"].sigma, TOYS["grid"].sigma) == (0.01, 0.05)


@pytest.mark.parametrize("name", ["ring", "grid", "lines"])
def test_density_integrates_to_one(name: str) -> None:
    toy = TOYS[name]
    step = toy.sigma / 2
    # One mode, times the number of modes, which are alike: the whole plane at this step would be large.
    centre = torch.tensor([0.0, 0.5]) if toy.centres is None else toy.centres[0]
    reach = torch.tensor([1.2, 0.2]) if toy.centres is None else torch.full((2,), 10 * toy.sigma)
    axes = [torch.arange(-r, r, step, dtype=torch.float64) + c for r, c in zip(reach, centre, strict=True)]
    total = density(toy, torch.cartesian_prod(*axes)).exp().sum() * step**2 * toy.modes
    assert total.item() == pytest.approx(1, abs=1e-6)


def test_density_of_gaussians_by_hand() -> None:
    # At a centre only its own Gaussian counts: 1 / (K 2 pi sigma^2).
    assert density(TOYS["ring"], torch.tensor([[1.0, 0.0]])).item() == pytest.approx(
        -math.log(8 * 2 * math.pi * 1e-4), abs=1e-4
    )
    # Two sigma off: less by 2.
    off = density(TOYS["grid"], torch.tensor([[2.1, -4.0]], dtype=torch.float64)).item()
    assert off == pytest.approx(-math.log(25 * 2 * math.pi * 0.0025) - 2, abs=1e-9)


def test_density_of_lines_by_hand_and_far_away() -> None:
    toy = TOYS["lines"]
    middle, end, far = density(toy, torch.tensor([[0.3, 0.5], [1.0, 0.5], [3.0, -0.5]])).tolist()
    expected = -math.log(2 * 2 * math.sqrt(2 * math.pi) * toy.sigma)
    assert middle == pytest.approx(expected, abs=1e-5)
    assert end == pytest.approx(expected - math.log(2), abs=1e-5)
    # 100 sigma beyond the end: log of the normal tail, -100^2 / 2 - log(100 sqrt(2 pi)).
    assert far == pytest.approx(expected - 5000 - math.log(100 * math.sqrt(2 * math.pi)), abs=0.01)


@pytest.mark.parametrize("name", ["ring", "grid", "lines"])
def test_mean_log_density_is_the_negative_entropy(name: str) -> None:
    """Samples and density belong together: of separate modes the entropy is log K + entropy of one."""
    toy = TOYS[name]
    noise = 0.5 * math.log(2 * math.pi * math.e * toy.sigma**2)
    one = 2 * noise if toy.centres is not None else noise + math.log(2)
    measured = -density(toy, points_of(toy, 20_000)).mean().item()
    assert measured == pytest.approx(math.log(toy.modes) + one, abs=0.03)


def test_swiss_roll_lies_on_its_spiral() -> None:
    points = points_of(TOYS["swiss-roll"], 5000)
    assert points.norm(dim=1).min() > 1 / 3 - 0.1
    assert points.norm(dim=1).max() < 1 + 0.1
    # Angle modulo a turn follows from the radius: angle = 4.5 pi radius.
    angle = torch.atan2(points[:, 1], points[:, 0]) - 4.5 * math.pi * points.norm(dim=1)
    assert angle.cos().mean() > 0.9


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_perfect_samples_capture_every_mode(name: str) -> None:
    modes, share = captured(points_of(TOYS[name], 10_000), TOYS[name])
    assert modes == TOYS[name].modes
    assert share == pytest.approx(1 - math.exp(-4.5), abs=0.004)


def test_captured_counts_by_hand() -> None:
    ring = TOYS["ring"]
    inside, outside = [1.029, 0.0], [1.031, 0.0]
    assert captured(torch.tensor([inside, outside]), ring) == (1, 0.5)
    assert captured(torch.tensor([outside]), ring) == (0, 0.0)
    assert captured(torch.tensor([inside, [-1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]), ring) == (3, 0.75)
    assert captured(torch.tensor([[math.nan, 0.0], [math.inf, 0.0], inside, inside]), ring) == (1, 0.5)


def test_captured_refuses_what_it_cannot_count() -> None:
    with pytest.raises(ValueError, match="use ring or grid"):
        captured(torch.zeros(5, 2), TOYS["lines"])
    for shape in ((0, 2), (5, 3), (2,)):
        with pytest.raises(ValueError, match=r"\(N, 2\)"):
            captured(torch.zeros(shape), TOYS["ring"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [(Data(size="32"), "size=32: ring is made of points"), (Data(color="rgb"), "color=rgb: .* have no color")],
)
def test_settings_of_pictures_are_refused(settings: Data, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_toy("ring", settings)


def test_unknown_name_lists_the_choices() -> None:
    with pytest.raises(UserError, match=r"ring, grid, lines, swiss-roll.*did you mean 'ring'"):
        open_toy("rings", Data())
