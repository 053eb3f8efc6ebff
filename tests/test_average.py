import pytest
import torch
from torch import nn

from sparring.average import Average, HalfLife, follow, recalibrate, shadow
from sparring.schedules import Schedule


def test_following_is_the_exponential_average() -> None:
    live = nn.Linear(3, 2)
    average = shadow(live)
    expected = live.weight.detach().clone()
    for _ in range(5):
        with torch.no_grad():
            live.weight.add_(torch.randn(2, 3))
        expected = 0.9 * expected + 0.1 * live.weight.detach()
        follow(average, live, 0.9)
    torch.testing.assert_close(average.weight, expected)
    assert not average.weight.requires_grad


def test_warm_up_forgets_the_first_weights() -> None:
    average = Average(0.999)
    assert average.at(0) == pytest.approx(0.1)
    assert average.at(90) == pytest.approx(0.91)
    assert average.at(10**6) == 0.999
    assert Average(0.999, warm_up=False).at(0) == 0.999


def test_recalibrated_statistics_are_those_of_the_data_and_the_momentum_stays() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm1d(4, momentum=0.3)).eval()
    data = 5 + 2 * torch.randn(6, 500, 4)
    recalibrate([net], lambda: [net(part) for part in data])
    torch.testing.assert_close(net[0].running_mean, data.mean((0, 1)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(net[0].running_var, data.var(1).mean(0), rtol=1e-4, atol=1e-4)
    assert net[0].momentum == 0.3
    assert not net[0].training


def test_recalibration_without_batch_norm_runs_nothing() -> None:
    recalibrate([nn.Linear(2, 2)], lambda: pytest.fail("there is nothing to estimate"))


def test_a_half_life_is_in_samples() -> None:
    average = HalfLife(1000.0, batch=100)
    weight = 1.0
    for _ in range(10):
        weight *= average.at(0)
    assert weight == pytest.approx(0.5)
    assert HalfLife(Schedule(0.0, 100.0), batch=100).at(5, 0.0) == 0.0
    assert HalfLife(Schedule(0.0, 100.0), batch=100).at(5, 1.0) == pytest.approx(0.5)
