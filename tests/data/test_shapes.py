import math
import re

import pytest
import torch
from torch import Tensor

from sparring.config import UserError
from sparring.data import shapes
from sparring.data.settings import Data
from sparring.data.shapes import (
    COLOURS,
    PLACES,
    SHAPES,
    SIZES,
    TURNS,
    caption,
    captions,
    draw,
    fit,
    log_probability,
    open_shapes,
    parse,
    recover,
    render,
    world,
)


def seeded(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def row(shape: str, colour: str = "white", size: str = "large", place: str = "centre", turn: int = 0) -> Tensor:
    numbers = [SHAPES.index(shape), COLOURS.index(colour), SIZES.index(size), PLACES.index(place)]
    return torch.tensor([[*numbers, TURNS.index(turn)]])


def cover(factors: Tensor, side: int = 64, jitter: Tensor | None = None) -> Tensor:
    """How much white lies on each pixel, 0..1, (N, side, side)."""
    return (render(factors, side, side, jitter)[:, 0].float() - 128) / (250 - 128)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "TRAIN_PICTURES", 300)
    monkeypatch.setattr(shapes, "TEST_PICTURES", 60)


def test_splits_by_default() -> None:
    assert (shapes.TRAIN_PICTURES, shapes.TEST_PICTURES) == (20_000, 2_000)


@pytest.mark.usefixtures("few")
def test_columns_and_about_agree() -> None:
    splits = open_shapes(Data(data="shapes"))
    assert {name: len(split) for name, split in splits.items()} == {"train": 300, "test": 60}
    train = splits["train"]
    columns = train[torch.arange(300)]
    assert columns["image"].dtype == torch.uint8
    assert columns["image"].shape[1:] == train.about.shape == (3, 32, 32)
    assert train.about.classes == SHAPES
    assert torch.equal(columns["label"], columns["factors"][:, 0])
    assert columns["factors"].shape == (300, 5)
    assert torch.equal(recover(columns["image"]), columns["factors"])


@pytest.mark.usefixtures("few")
def test_splits_are_repeatable_and_different() -> None:
    first, again = open_shapes(Data()), open_shapes(Data())
    assert first["train"].about.sha256 == again["train"].about.sha256
    index = torch.arange(60)
    for column in first["train"][index]["factors"].T - first["test"][index]["factors"].T:
        assert column.any()


@pytest.mark.usefixtures("few")
def test_size_is_drawn_and_color_applied() -> None:
    assert open_shapes(Data(size="24x40"))["train"].about.shape == (3, 24, 40)
    assert open_shapes(Data(color="gray"))["train"].about.shape == (1, 32, 32)


@pytest.mark.parametrize(("size", "advice"), [("8", "16 or more"), ("300x300", "256x256 or less"), ("big", "64")])
def test_impossible_sizes_say_what_to_do(size: str, advice: str) -> None:
    with pytest.raises(UserError, match=f"size={size}.*{advice}"):
        open_shapes(Data(size=size))


def test_world_and_its_probabilities_are_exact() -> None:
    everything = world()
    assert len(everything) == (1 + 2 + 8 + 2 + 8 + 2) * 8 * 2 * 9 == 3312
    assert len(set(map(tuple, everything.tolist()))) == 3312
    assert log_probability(everything).exp().sum().item() == pytest.approx(1, abs=1e-12)
    values = log_probability(torch.cat([row("circle"), row("heart", turn=90), row("circle", turn=90)]))
    assert values.tolist() == pytest.approx([-math.log(864), -math.log(864 * 8), -math.inf])


def test_draws_follow_the_probabilities() -> None:
    factors, jitter = draw(50_000, seeded())
    assert torch.isfinite(log_probability(factors)).all()
    for column, levels in enumerate((6, 8, 2, 9)):
        shares = torch.bincount(factors[:, column], minlength=levels) / len(factors)
        assert (shares - 1 / levels).abs().max() < 0.01
    for shape, turns in (
        ("circle", 1),
        ("square", 2),
        ("triangle", 8),
        ("star", 2),
        ("heart", 8),
        ("cross", 2),
    ):
        counts = torch.bincount(factors[factors[:, 0] == SHAPES.index(shape), 4], minlength=8).float()
        assert int((counts > 0).sum()) == turns
        assert (counts[counts > 0] / counts.sum() - 1 / turns).abs().max() < 0.02
    colour_and_place = factors[:, 1] * 9 + factors[:, 3]
    assert (torch.bincount(colour_and_place, minlength=72) / len(factors) - 1 / 72).abs().max() < 0.003
    assert jitter.abs().max() <= shapes.JITTER
    assert jitter.mean(dim=0).abs().max() < 0.001
    assert jitter.std(dim=0).tolist() == pytest.approx([shapes.JITTER / math.sqrt(3)] * 2, rel=0.02)


def test_every_combination_is_recovered() -> None:
    everything = world()
    some = everything[torch.randperm(len(everything), generator=seeded())[:1200]]
    assert (recover(render(some, 32, 32)) == some).all(dim=1).float().mean() >= 0.999


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 16), (32, 48)])
def test_recovered_under_jitter_and_at_other_sizes(height: int, width: int) -> None:
    factors, jitter = draw(700, seeded())
    assert (recover(render(factors, height, width, jitter)) == factors).all(dim=1).float().mean() >= 0.999


def test_recovered_from_noisy_pictures() -> None:
    factors, jitter = draw(300, seeded())
    images = render(factors, 32, 32, jitter).float()
    noisy = (images + 40 * torch.randn(images.shape, generator=seeded())).round().clamp(0, 255).to(torch.uint8)
    assert (recover(noisy) == factors).all(dim=1).float().mean() >= 0.95


def test_fit_tells_position_and_strangers() -> None:
    factors, jitter = draw(300, seeded())
    known = fit(render(factors, 32, 32, jitter))
    assert (known.jitter - jitter).abs().max() * 16 < 0.2  # pixels
    assert known.error.max() < 5
    strangers = torch.randint(0, 256, (20, 3, 32, 32), generator=seeded(), dtype=torch.uint8)
    assert fit(strangers).error.min() > 50
    two_shapes = torch.minimum(
        render(row("star", "black", place="left"), 32, 32),
        render(row("heart", "black", place="right"), 32, 32),
    )
    assert fit(two_shapes).error.item() > 10


def test_no_picture_and_plain_grey_are_no_accident() -> None:
    assert recover(torch.zeros(0, 3, 32, 32, dtype=torch.uint8)).shape == (0, 5)
    assert fit(torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)).error.item() > 5


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_centred_and_stays_inside(shape: str) -> None:
    numbers = world()
    kinds = numbers[(numbers[:, 0] == SHAPES.index(shape)) & (numbers[:, 1] == COLOURS.index("white"))]
    jitter = torch.tensor([[1.0, -1.0]]).repeat(len(kinds), 1) * shapes.JITTER
    white = cover(kinds, jitter=jitter)
    middle = torch.arange(64) - 31.5
    mass = white.sum(dim=(1, 2))
    right, down = (white.sum(dim=1) @ middle) / mass, (white.sum(dim=2) @ middle) / mass
    steps = torch.stack([kinds[:, 3] % 3 - 1, kinds[:, 3] // 3 - 1], dim=1) * 0.46 + jitter
    assert (torch.stack([right, down], dim=1) - steps * 32).abs().max() < 0.35
    canvas = shapes._coverage(kinds, steps * 32, 72, 72, 32)  # a margin of 4 pixels around the picture
    canvas[:, 4:-4, 4:-4] = 0
    assert canvas.max() < 0.2  # the soft edge of a tip; a shape that crossed the border would cover half a pixel


def test_area_follows_the_formula() -> None:
    radius = 0.44 * 32
    areas = cover(torch.cat([row("circle"), row("square"), row("triangle"), row("cross")])).sum(dim=(1, 2))
    expected = [
        math.pi * 0.85**2,
        (2 * 0.69) ** 2,
        1.47 * 0.68,
        4 * (2 * 0.92 * 0.3 - 0.3**2),
    ]
    assert (areas / radius**2).tolist() == pytest.approx(expected, rel=0.01)


def test_turns_are_clockwise() -> None:
    upright = cover(row("triangle"))[0]
    quarter = cover(row("triangle", turn=90))[0]
    torch.testing.assert_close(quarter, upright.rot90(-1), atol=0.01, rtol=0)
    widths = upright.sum(dim=1)
    assert widths[24] < widths[36]  # it stands on its base


def test_turns_that_are_left_out_look_the_same() -> None:
    for shape, turn in (("circle", 135), ("square", 90), ("cross", 180)):
        torch.testing.assert_close(cover(row(shape, turn=turn)), cover(row(shape)), atol=0.01, rtol=0)
    assert (cover(row("star", turn=180)) - cover(row("star"))).abs().max() > 0.5


def test_edges_are_soft_and_insides_flat() -> None:
    image = render(row("circle", "red"), 32, 32)[0]
    assert image[:, 16, 16].tolist() == [220, 30, 40]
    assert image[:, 0, 0].tolist() == [128, 128, 128]
    between = (image[0] > 128) & (image[0] < 220)
    assert 0.5 < between.sum().item() / (2 * math.pi * 0.44 * 0.85 * 16) < 1.5  # about one pixel per edge length


def test_colours_are_far_apart() -> None:
    colours = torch.tensor([*shapes._RGB, shapes._BACKGROUND]).float()
    distance = torch.cdist(colours, colours) + 1000 * torch.eye(len(colours))
    assert distance.min() > 75


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    factors, jitter = draw(50, seeded())
    whole = render(factors, 32, 32, jitter)
    monkeypatch.setattr(shapes, "_CHUNK", 7)
    assert torch.equal(render(factors, 32, 32, jitter), whole)
    assert torch.equal(recover(whole), factors)


def test_captions_by_hand() -> None:
    assert caption(row("circle", "red", "small", "top left")[0]) == "a small red circle at the top left"
    turned = row("heart", "orange", "large", "bottom", 225)
    assert captions(turned) == ["a large orange heart at the bottom, turned by 225 degrees"]


def test_every_caption_reads_back() -> None:
    everything = world()
    sentences = captions(everything)
    assert len(set(sentences)) == len(everything)
    assert torch.equal(torch.stack([parse(sentence) for sentence in sentences]), everything)


def test_parse_forgives_capitals_spaces_and_a_full_stop() -> None:
    assert torch.equal(parse("  A large  Blue star at the Centre. "), row("star", "blue")[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a small rde circle at the top", "colour 'rde' is not one of red, .*did you mean 'red'"),
        ("a tiny red circle at the top", "size 'tiny'"),
        ("a small red dog at the top", "shape 'dog'"),
        ("a small red circle at the middle", "place 'middle'"),
        ("a small red heart at the top, turned by 50 degrees", "turn '50'"),
        (
            "a small red square at the top, turned by 90 degrees",
            "a square is turned by 0 or 45 degrees, not 90",
        ),
        ("a red circle", "does not read like 'a small red heart at the top left, turned by 45 degrees'"),
        ("", "does not read like"),
    ],
)
def test_parse_names_the_wrong_word(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (torch.tensor([[0, 8, 0, 0, 0]]), "colour=8 in row 0; 0 to 7 exist"),
        (torch.tensor([[0, 0, 0, -1, 0]]), "place=-1"),
        (torch.zeros(1, 5), "float32"),
        (torch.zeros(5, dtype=torch.int64), "(5,)"),
    ],
)
def test_impossible_factors_are_refused(factors: Tensor, message: str) -> None:
    for use in (captions, log_probability, lambda numbers: render(numbers, 32, 32)):
        with pytest.raises(ValueError, match=re.escape(message)):
            use(factors)


def test_caption_of_a_turn_that_is_never_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="a circle is turned by 0 degrees, not 90"):
        captions(row("circle", turn=90))


def test_fit_refuses_other_tensors() -> None:
    for images in (torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"uint8 \(N, 3, H, W\) is needed"):
            fit(images)
