import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring import augment
from sparring.augment import BGC, OPERATIONS, Adaptive, Augmented, DiffAugment, Draws, warp
from sparring.config import UserError
from sparring.nn.image import ConvDiscriminator
from sparring.penalties import r1

EACH = [pytest.param(lambda n=name: DiffAugment((n,)), id=f"DiffAugment-{name}") for name in augment.CHANGES]
EACH += [pytest.param(lambda n=name: Adaptive((n,), p=1.0), id=f"Adaptive-{name}") for name in OPERATIONS]
ALL = [
    pytest.param(DiffAugment, id="DiffAugment-all"),
    pytest.param(lambda: Adaptive(OPERATIONS, p=0.7), id="Adaptive-all"),
]
# of the chosen pictures, those that a change leaves as they are: an even flip, no turn, a shift below half a pixel
IDLE = {"flip": 1 / 2, "luma": 1 / 2, "turn": 1 / 4, "shift": 1 / 4}

Make = Callable[[], nn.Module]


def pictures(n: int, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    torch.manual_seed(1)
    return torch.rand(n, channels, height, width) * 2 - 1


def changed(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).flatten(1).any(1)


def draws(n: int, p: float = 1.0, side: int = 8) -> Draws:
    torch.manual_seed(2)
    return Draws(torch.zeros(n, 3, side, side, dtype=torch.float64), torch.tensor(p))


def close(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) < tolerance


# derivatives


@pytest.mark.parametrize("make", EACH + ALL)
@pytest.mark.parametrize("channels", [3, 1])
def test_first_and_second_derivatives_are_right(make: Make, channels: int) -> None:
    change = make()
    x = pictures(2, channels, 4, 5).double().requires_grad_()

    def seeded(points: Tensor) -> Tensor:
        torch.manual_seed(3)
        return change(points)

    assert torch.autograd.gradcheck(seeded, (x,))
    assert torch.autograd.gradgradcheck(seeded, (x,))


@pytest.mark.parametrize("make", ALL)
def test_r1_through_it_moves_the_discriminator(make: Make) -> None:
    torch.manual_seed(0)
    net = Augmented(ConvDiscriminator((3, 8, 8), 8, spectral=False), make())
    x = pictures(6)
    value = r1(lambda p: net(p), x, x)
    assert value.shape == (6,)
    found = torch.autograd.grad(value.mean(), list(net.parameters()), allow_unused=True)
    gradients = [g for g in found if g is not None]
    assert all(bool(torch.isfinite(g).all()) for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_r1_is_on_the_pictures_before_the_change() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
            return x.sum((1, 2, 3))

    x = pictures(200)
    plain = r1(lambda p: Augmented(Sum(), Adaptive((), p=1.0))(p), x, x)
    torch.testing.assert_close(plain, torch.full((200,), 0.5 * x[0].numel()))
    torch.manual_seed(0)
    value = r1(lambda p: Augmented(Sum(), DiffAugment(("cutout",)))(p), x, x)  # the part cut out has no slope
    torch.manual_seed(0)
    kept = DiffAugment(("cutout",))(torch.ones_like(x)).sum((1, 2, 3))
    torch.testing.assert_close(value, 0.5 * kept)


# what does not change


@pytest.mark.parametrize("name", [*OPERATIONS, None])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 7, 10), (3, 1, 5), (5, 32, 32)])
def test_nothing_changes_at_probability_zero(name: str | None, shape: tuple[int, int, int]) -> None:
    x = pictures(20, *shape)
    assert torch.equal(Adaptive(OPERATIONS if name is None else (name,), p=0.0)(x), x)


def test_a_warp_by_the_identity_is_exact() -> None:
    for shape in ((3, 8, 8), (1, 7, 10), (2, 31, 1)):
        x = pictures(3, *shape)
        assert torch.equal(warp(x, torch.eye(3).expand(3, 3, 3)), x)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_type_shape_and_memory_order_stay(make: Make, dtype: torch.dtype) -> None:
    change, x = make(), pictures(4, 3, 8, 10).to(dtype)
    for memory in (torch.contiguous_format, torch.channels_last):
        out = change(x.contiguous(memory_format=memory))
        assert (out.dtype, out.shape) == (dtype, x.shape)
        assert out.is_contiguous(memory_format=memory)
        assert bool(torch.isfinite(out).all())


def test_memory_order_does_not_matter_for_the_result() -> None:
    x = pictures(8)
    for change in (DiffAugment(), Adaptive(BGC, p=0.7)):
        torch.manual_seed(4)
        expected = change(x)
        torch.manual_seed(4)
        torch.testing.assert_close(change(x.contiguous(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize("make", ALL)
def test_autocast_does_not_coarsen_it(make: Make) -> None:
    change, x = make(), pictures(16, 3, 32, 32)
    torch.manual_seed(5)
    expected = change(x)
    torch.manual_seed(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(change(x), expected)


def test_a_discriminator_that_does_not_train_sees_pictures_as_they_are() -> None:
    torch.manual_seed(0)
    inner = ConvDiscriminator((3, 8, 8), 8, classes=4)
    net, x, label = Augmented(inner, DiffAugment()), pictures(6), torch.arange(6) % 4
    assert torch.equal(net.eval()(x, label), inner(x, label))
    assert not torch.equal(net.train()(x, label), inner(x, label))


# how much changes


@pytest.mark.parametrize("make", EACH)
def test_pictures_change_each_in_its_own_way(make: Make) -> None:
    torch.manual_seed(6)
    x = pictures(1, 3, 16, 16).repeat(400, 1, 1, 1)
    out = make()(x)
    assert float(changed(x, out).float().mean()) > 0.4
    assert len(out.flatten(1).unique(dim=0)) > 1


@pytest.mark.parametrize("make", ALL)
def test_a_picture_does_not_depend_on_its_neighbours(make: Make) -> None:
    change, x = make(), pictures(6)
    torch.manual_seed(7)
    before = change(x)
    x[1:] = 0
    torch.manual_seed(7)
    assert torch.equal(change(x)[0], before[0])


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_share_of_changed_pictures_is_the_probability(name: str) -> None:
    x = pictures(4000)
    share = float(changed(x, Adaptive((name,), p=0.3)(x)).float().mean())
    assert close(share, 0.3 * (1 - IDLE.get(name, 0)), 0.03)


def test_changes_are_chosen_independently() -> None:
    x = pictures(4000)
    out = Adaptive(("brightness", "drift", "noise"), p=0.3)(x)
    assert close(float(changed(x, out).float().mean()), 1 - 0.7**3, 0.03)


def test_luma_hue_and_saturation_are_left_out_without_three_channels() -> None:
    x = pictures(20, 1)
    assert torch.equal(Adaptive(augment.NEEDS_RGB, p=1.0)(x), x)
    assert bool(changed(x, Adaptive(("contrast", "luma"), p=1.0)(x)).all())


# geometry


def test_flips_are_exact() -> None:
    x = pictures(200, 3, 7, 10)
    out = Adaptive(("flip",), p=1.0)(x)
    flipped = changed(x, out)
    assert torch.equal(out[flipped], x[flipped].flip(3))
    assert close(float(flipped.float().mean()), 0.5, 0.15)


def test_quarter_turns_are_exact() -> None:
    for side in (7, 8):
        x = pictures(400, 3, side, side)
        out = Adaptive(("turn",), p=1.0)(x)
        matches = torch.stack([(out == x.rot90(k, (2, 3))).flatten(1).all(1) for k in range(4)], 1)
        assert bool((matches.sum(1) == 1).all())
        assert bool(((matches.float().mean(0) - 0.25).abs() < 0.1).all())


def moves(right: float, down: float) -> Tensor:
    return torch.tensor([[[1, 0, right], [0, 1, down], [0, 0, 1]]], dtype=torch.float64)


def test_a_known_move_is_indexing_with_reflection() -> None:
    x = pictures(1, 2, 6, 9).double()
    padded = F.pad(x, (4, 4, 4, 4), mode="reflect")
    for right in range(-4, 5):
        for down in range(-4, 5):
            assert torch.equal(warp(x, moves(right, down)), padded[:, :, 4 + down : 10 + down, 4 + right : 13 + right])


def test_half_a_pixel_is_the_mean_of_two() -> None:
    x = pictures(1).double()
    torch.testing.assert_close(warp(x, moves(0.5, 0))[..., :-1], (x[..., :-1] + x[..., 1:]) / 2)
    torch.testing.assert_close(warp(x, moves(0, 0.25))[:, :, :-1], 0.75 * x[:, :, :-1] + 0.25 * x[:, :, 1:])


def test_far_away_is_reflected_again_and_again() -> None:
    x = pictures(1, 1, 4, 6).double()
    assert torch.equal(warp(x, moves(3 * 10, -5 * 6)), x)  # periods are 2 (side - 1)


def test_a_warp_looks_where_the_matrix_says() -> None:
    n, side = 50, 33
    torch.manual_seed(8)
    matrix = torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)
    matrix[:, :2, :2] += 0.05 * torch.randn(n, 2, 2, dtype=torch.float64)
    matrix[:, :2, 2] = torch.randn(n, 2, dtype=torch.float64)
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    down, across = torch.meshgrid(place, place, indexing="ij")
    ramps = torch.stack([across, down]).expand(n, -1, -1, -1)  # bilinear interpolation of a ramp is exact
    expected = torch.einsum("nij,jhw->nihw", matrix, torch.stack([across, down, torch.ones_like(across)]))[:, :2]
    inner = slice(8, -8)
    torch.testing.assert_close(warp(ramps, matrix)[..., inner, inner], expected[..., inner, inner])


def test_both_shifts_are_by_at_most_an_eighth() -> None:
    side, centre = 24, 12
    x = torch.zeros(3000, 1, side, side)
    x[:, 0, centre, centre] = 1
    for change in (DiffAugment(("translation",)), Adaptive(("shift",), p=1.0)):
        out = change(x)
        assert bool((out.flatten(1).sort(1).values[:, -1] == 1).all())
        place = out.flatten(1).argmax(1)
        for moved in (place // side - centre, place % side - centre):
            assert moved.unique().tolist() == [-3, -2, -1, 0, 1, 2, 3]
            assert abs(float(moved.float().mean())) < 0.2


def test_translation_is_a_crop_of_the_picture_padded_with_zeros() -> None:
    x = pictures(100, 3, 16, 24)
    padded = F.pad(x, (3, 3, 2, 2))
    crops = [padded[:, :, top : top + 16, left : left + 24] for top in range(5) for left in range(7)]
    out = DiffAugment(("translation",))(x)
    found = torch.stack([(out == crop).flatten(1).all(1) for crop in crops], 1)
    assert bool((found.sum(1) == 1).all())


def test_amounts_follow_the_paper() -> None:
    d = draws(20_000)
    across = augment.scale(d)[:, 0, 0].log2()
    assert close(float(across.std()), 0.2, 0.01)
    assert close(float(across.mean()), 0.0, 0.01)
    assert torch.equal(augment.scale(d)[:, 2, 2], torch.ones(20_000, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.det(augment.stretch(d)), torch.ones(20_000, dtype=torch.float64))
    assert close(float(augment.stretch(d)[:, 0, 0].log2().std()), 0.2, 0.01)
    assert close(float(augment.drift(d)[:, 0, 2].std()), 0.125 * 8, 0.03)
    angle = torch.atan2(*augment.rotation(d)[:, :2, 0].flip(1).unbind(1))
    assert close(float(angle.std()), math.pi / math.sqrt(3), 0.03)
    torch.testing.assert_close(torch.linalg.det(augment.rotation(d)), torch.ones(20_000, dtype=torch.float64))


def test_each_rotation_is_chosen_so_that_one_of_two_has_the_probability() -> None:
    turned = augment.rotation(draws(20_000, p=0.64))[:, 0, 1] != 0
    assert close(float(turned.float().mean()), 0.4, 0.015)


# colour


def test_color_of_diffaugment_keeps_to_its_ranges() -> None:
    torch.manual_seed(9)
    x = torch.zeros(4000, 3, 2, 2)
    x[:, 0], x[:, 1, 0] = 1.0, 0.5
    out = DiffAugment(("color",))(x)
    mean, was = out.mean((1, 2, 3)), x.mean((1, 2, 3))
    assert close(float((mean - was).min()), -0.5, 0.01)
    assert close(float((mean - was).max()), 0.5, 0.01)
    contrast = (out.mean(1)[:, 0, 0] - out.mean(1)[:, 1, 0]) / (x.mean(1)[:, 0, 0] - x.mean(1)[:, 1, 0])
    assert close(float(contrast.min()), 0.5, 0.01)
    assert close(float(contrast.max()), 1.5, 0.01)
    saturation = (out[:, 0, 0, 0] - out[:, 2, 0, 0]) / contrast
    assert 0 <= float(saturation.min()) < 0.01
    assert 1.99 < float(saturation.max()) < 2.001


def test_brightness_and_contrast() -> None:
    x = pictures(4000)
    added = Adaptive(("brightness",), p=1.0)(x) - x
    assert float(added.flatten(1).std(1).max()) < 1e-6
    assert close(float(added[:, 0, 0, 0].std()), 0.2, 0.01)
    power = (Adaptive(("contrast",), p=1.0)(x) / x).flatten(1).log2()
    assert float(power.std(1).max()) < 1e-4
    assert close(float(power[:, 0].std()), 0.5, 0.02)


def grey_and_rest(x: Tensor) -> tuple[Tensor, Tensor]:
    grey = x.mean(1, keepdim=True)
    return grey, x - grey


def test_luma_hue_and_saturation_each_leave_the_other_two() -> None:
    x = pictures(4000)
    grey, rest = grey_and_rest(x)

    flipped_grey, same_rest = grey_and_rest(Adaptive(("luma",), p=1.0)(x))
    torch.testing.assert_close(same_rest, rest)
    torch.testing.assert_close(flipped_grey.abs(), grey.abs())
    assert close(float((flipped_grey * grey < 0).float().mean()), 0.5, 0.05)

    same_grey, turned = grey_and_rest(Adaptive(("hue",), p=1.0)(x))
    torch.testing.assert_close(same_grey, grey)
    torch.testing.assert_close(turned.norm(dim=1), rest.norm(dim=1))
    cos = (turned * rest).sum(1) / rest.square().sum(1)
    assert float(cos.min()) < -0.99
    assert close(float(cos.mean()), 0.0, 0.05)

    same_grey, scaled = grey_and_rest(Adaptive(("saturation",), p=1.0)(x))
    torch.testing.assert_close(same_grey, grey, atol=1e-5, rtol=1e-5)
    power = (scaled.norm(dim=1) / rest.norm(dim=1)).flatten(1).log2()
    assert close(float(power[:, 0].std()), 1.0, 0.04)


def test_colours_happen_in_the_order_of_the_paper() -> None:
    x = pictures(1000)
    out = Adaptive(("brightness", "contrast"), p=1.0)(x)  # (x + b) * c, so b * c is what black becomes
    c = (out[:, 0, 0, 0] - out[:, 0, 0, 1]) / (x[:, 0, 0, 0] - x[:, 0, 0, 1])
    b = out[:, 0, 0, 0] / c - x[:, 0, 0, 0]
    assert close(float(b.std()), 0.2, 0.02)
    assert abs(float(torch.corrcoef(torch.stack([b.abs(), c]))[0, 1])) < 0.15


# cutout and noise


@pytest.mark.parametrize(("height", "width"), [(16, 16), (9, 20)])
def test_cutouts_are_half_as_high_and_half_as_wide_and_lie_anywhere(height: int, width: int) -> None:
    torch.manual_seed(10)
    for change in (DiffAugment(("cutout",)), Adaptive(("cutout",), p=1.0)):
        hole = change(torch.ones(4000, 3, height, width)) == 0
        assert bool((hole == hole[:, :1]).all())
        rows, columns = hole[:, 0].any(2), hole[:, 0].any(1)
        assert torch.equal(hole[:, 0], rows[:, :, None] & columns[:, None, :])
        for line, side in ((rows, height), (columns, width)):
            half = int(side / 2 + 0.5)
            lengths = line.sum(1)
            assert int(lengths.max()) == half
            assert int(lengths.min()) == (half + 1) // 2  # its centre is never outside
            runs = (line[:, 1:] != line[:, :-1]).sum(1)
            assert int(runs.max()) <= 2
            share = line.float().mean(0)
            torch.testing.assert_close(share, share.flip(0), atol=0.04, rtol=0)


def test_noise_has_a_deviation_per_picture() -> None:
    x = torch.zeros(2000, 3, 16, 16)
    deviation = Adaptive(("noise",), p=1.0)(x).flatten(1).std(1)
    assert close(float(deviation.square().mean().sqrt()), 0.1, 0.01)
    assert float(deviation.std()) > 0.04


# the probability


def observed(change: Adaptive, real_scores: Tensor, times: int) -> float:
    for _ in range(times):
        change.observe(real_scores.float().sign().mean(), real_scores.numel())
    return float(change.p)


def test_p_rises_when_the_discriminator_is_sure_and_falls_no_lower_than_zero() -> None:
    sure, unsure = torch.full((50,), 3.0), torch.full((50,), -3.0)
    change = Adaptive(speed=10_000)
    assert observed(change, sure, 3) == 0
    assert observed(change, sure, 1) == pytest.approx(200 / 10_000)
    assert observed(change, sure, 4) == pytest.approx(400 / 10_000)
    assert observed(change, unsure, 4) == pytest.approx(200 / 10_000)
    assert observed(change, unsure, 40) == 0
    assert observed(change, sure, 4000) == pytest.approx(0.8)


def test_the_target_divides_rising_from_falling() -> None:
    scores = torch.cat([torch.ones(79), -torch.ones(21)])  # mean sign .58
    assert observed(Adaptive(p=0.5, speed=10_000), scores, 4) == pytest.approx(0.5 - 0.04)
    assert observed(Adaptive(p=0.5, speed=10_000, target=0.5), scores, 4) == pytest.approx(0.5 + 0.04)
    mixed = Adaptive(p=0.5, speed=10_000)  # the four steps count together
    for count in (100, 100, 100, 0):
        mixed.observe(torch.tensor((2 * count - 100) / 100), 100)
    assert float(mixed.p) == pytest.approx(0.46)


def test_scores_in_half_precision_are_counted_exactly() -> None:
    scores = torch.cat([torch.ones(1619), -torch.ones(381)]).bfloat16()  # mean sign .619
    assert observed(Adaptive(p=0.5, speed=100_000), scores, 4) == pytest.approx(0.5 + 0.08)


def test_p_set_from_outside_stays() -> None:
    change = Adaptive(p=0.25, speed=None)
    assert observed(change, torch.ones(64), 8) == 0.25
    change.set_p(0.95)
    assert observed(change, torch.ones(64), 8) == pytest.approx(0.95)
    with pytest.raises(UserError, match=r"p=1\.5"):
        change.set_p(1.5)


def test_all_state_is_in_buffers() -> None:
    torch.manual_seed(11)
    scores = [torch.randn(32) + 1.5 for _ in range(30)]
    one = Augmented(nn.Identity(), Adaptive(p=0.1, speed=5000))
    change = one.augmentation
    assert isinstance(change, Adaptive)
    for values in scores[:14]:  # not a multiple of 4: a tally is under way
        change.observe(values.float().sign().mean(), values.numel())
    two = Augmented(nn.Identity(), Adaptive(speed=5000))
    two.load_state_dict(one.state_dict())
    assert isinstance(two.augmentation, Adaptive)
    for values in scores[14:]:
        change.observe(values.float().sign().mean(), values.numel())
        two.augmentation.observe(values.float().sign().mean(), values.numel())
    assert float(change.p) > 0
    assert not list(change.parameters())
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name


def test_p_may_move_between_a_pass_and_its_gradient() -> None:
    torch.manual_seed(0)
    change = Adaptive(OPERATIONS, p=0.5, every=1)
    net, x = Augmented(ConvDiscriminator((3, 8, 8), 8), change), pictures(6).requires_grad_()
    scores = net(x)
    change.observe(scores.float().sign().mean(), scores.numel())
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    assert bool(gradient.any())


def test_nothing_looks_at_values() -> None:
    # a tensor on the meta device has none, so a look (and with it a wait for the device) would raise
    x, p = torch.empty(4, 3, 8, 8, device="meta"), torch.empty((), device="meta")
    assert augment.augmented(x, p, OPERATIONS).shape == x.shape
    for change in augment.CHANGES.values():
        assert change(x).shape == x.shape
    Adaptive().to("meta").observe(torch.empty((), device="meta"), 4)


def test_the_same_seed_gives_the_same_changes() -> None:
    x = pictures(8)
    for change in (DiffAugment(), Adaptive(OPERATIONS, p=0.5)):
        outs = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            outs.append(change(x))
        assert torch.equal(outs[0], outs[1])
        assert not torch.equal(outs[0], outs[2])


# mistakes


def test_a_mistyped_policy_is_told() -> None:
    with pytest.raises(UserError, match=r"'tranlation' is not one of color, .*did you mean 'translation'"):
        DiffAugment(("color", "tranlation"))
    with pytest.raises(UserError, match=r"'rotate' is not one of flip, .*did you mean 'rotation'"):
        Adaptive(("rotate",))


def test_impossible_settings_are_told() -> None:
    for wrong in ({"p": -0.1}, {"every": 0}, {"speed": 0.0}, {"p": math.nan}, {"speed": math.nan}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            Adaptive(**wrong)  # type: ignore[arg-type]


def test_what_is_no_picture_is_told() -> None:
    for wrong in (torch.zeros(4, 2), torch.zeros(4, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(UserError, match="float pictures"):
            DiffAugment()(wrong)
