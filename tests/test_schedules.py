import pytest

from sparring.config import check_limits, from_json, to_json
from sparring.optimizers import Adam
from sparring.schedules import Schedule, at, ever, parse, written


def test_a_linear_and_a_cosine_ramp() -> None:
    line, wave = Schedule(1.0, 0.0, 0.5), Schedule(1.0, 0.0, 0.5, "cosine")
    assert [line.at(p) for p in (0, 0.25, 0.5, 1)] == pytest.approx([1, 0.5, 0, 0])
    assert [wave.at(p) for p in (0, 0.125, 0.25, 0.5, 1)] == pytest.approx([1, 0.853553, 0.5, 0, 0])
    late = Schedule(1.0, 3.0, 0.5, after=0.5)
    assert [late.at(p) for p in (0, 0.5, 0.75, 1)] == pytest.approx([1, 1, 2, 3])
    assert at(0.3, 0.9) == 0.3


def test_text_json_and_value_are_the_same_schedule() -> None:
    schedule = Schedule(2e-3, 2e-4, 0.5, "cosine", 0.25)
    assert parse(written(schedule)) == schedule
    assert to_json(schedule) == {"from": 2e-3, "to": 2e-4, "over": 0.5, "shape": "cosine", "after": 0.25}
    adam = Adam(lr=schedule)
    assert from_json(Adam, to_json(adam), "test") == adam
    assert parse("0.25") == 0.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from=1", "from=... and to="),
        ("from=1,to=2,shape=square", "not linear or cosine"),
        ("from=1,until=2", "until"),
        ("x", "convert"),
        ("from=1,to=", "must be numbers"),
        ("from=1,from=2,to=1", "each of its parts once"),
        ("from=1,to=2,after=.9,over=.5", "within the run"),
    ],
)
def test_a_wrong_schedule_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_a_ramp_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="over in"):
        Schedule(1.0, 2.0, 0.0)
    with pytest.raises(ValueError, match="finite"):
        Schedule(float("nan"), 2.0)
    assert ever(Schedule(0.0, 1.0))
    assert not ever(0.0)


def test_an_optimizer_is_steered() -> None:
    import torch

    adam = Adam(Schedule(1.0, 0.0), 0.0, Schedule(0.9, 0.99))
    optimizer = adam.over([torch.nn.Parameter(torch.zeros(1))])
    adam.steer(optimizer, 0.5, scale=0.1)
    group = optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(0.05)
    assert group["betas"] == pytest.approx((0.0, 0.945))


def test_a_rate_may_fall_to_zero() -> None:
    check_limits(Adam(Schedule(1e-3, 0.0)))
