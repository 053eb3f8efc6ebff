"""Views with a hole, and views at a smaller size."""

from __future__ import annotations

import pytest
import torch

from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.data.holes import GRAY, LEAST, MOST, strokes
from sparring.data.loader import Augment, batches
from sparring.data.views import masked, masked_freely, reduced, view_named

PICTURES = torch.arange(6 * 3 * 32 * 32).mul(37).remainder(251).byte().view(6, 3, 32, 32)


def test_a_square_hole_is_in_the_middle_and_told_in_a_channel_of_its_own() -> None:
    source = masked(PICTURES, 10)
    assert source.shape == (6, 4, 32, 32)
    hole = source[:, 3:] == 255
    assert int(hole[0].sum()) == 100
    assert bool(hole[:, :, 11:21, 11:21].all())
    assert set(source[:, 3].unique().tolist()) == {0, 255}
    assert torch.equal(source[:, :3][~hole.expand(-1, 3, -1, -1)], PICTURES[~hole.expand(-1, 3, -1, -1)])
    assert bool((source[:, :3][hole.expand(-1, 3, -1, -1)] == GRAY).all())
    assert int((masked(PICTURES)[0, 3] == 255).sum()) == 16 * 16  # half of each side
    with pytest.raises(UserError, match="32x32 in pictures of 32x32"):
        masked(PICTURES, 32)


def test_free_holes_follow_the_picture_and_nothing_else() -> None:
    source = masked_freely(PICTURES)
    again = masked_freely(PICTURES.flip(0)).flip(0)
    assert torch.equal(source, again)  # whatever lies beside it
    assert len({bytes(hole.numpy()) for hole in source[:, 3]}) == len(PICTURES)
    shares = torch.tensor([float(strokes(64, 48, key).float().mean()) for key in range(60)])
    assert float(shares.min()) >= LEAST
    assert float(shares.max()) <= MOST + 0.3
    assert 0.2 < float(shares.mean()) < 0.4
    assert float(strokes(8, 8, 3).float().mean()) < 1


def test_names_of_views_with_numbers() -> None:
    view = view_named("masked:4")
    assert view is not None
    assert int((view(PICTURES)[0, 3] == 255).sum()) == 16
    assert view_named("masked:x") is None
    about = open_data(Data(source="masked:4"))["train"].about
    assert (about.source, about.masked, about.paired) == ((2, 8, 8), True, True)
    other = open_data(Data(source="masked:free"))["train"].about
    assert other.masked
    assert about.sha256 != other.sha256
    assert not open_data(Data(source="inverted"))["train"].about.masked


def test_reduced_is_what_small_enlarges() -> None:
    flat = torch.full((1, 1, 8, 8), 200, dtype=torch.uint8)
    assert torch.equal(reduced(flat, 4), flat[..., :2, :2])
    assert reduced(PICTURES, 2).shape == (6, 3, 16, 16)
    about = open_data(Data(source="reduced:4"))["train"].about
    assert (about.shape, about.source) == ((1, 8, 8), (1, 2, 2))
    with pytest.raises(UserError, match="8x8 is no multiple of 3"):
        reduced(flat, 3)
    with pytest.raises(UserError, match="choose a --size that is"):
        open_data(Data(source="reduced:4", size=10))


def test_smaller_sources_are_mirrored_with_their_pictures_and_never_shifted() -> None:
    source = open_data(Data(source="reduced:2"))["train"]
    plain, flipped = (next(batches(source, 64, 0, augment=Augment(flip=flip))) for flip in (False, True))
    turned = (plain["image"] != flipped["image"]).flatten(1).any(1)
    assert 16 < int(turned.sum()) < 48
    for name in ("image", "source"):
        assert torch.equal(flipped[name], torch.where(turned[:, None, None, None], plain[name].flip(3), plain[name]))
    with pytest.raises(UserError, match="sources are smaller"):
        next(batches(source, 8, 0, augment=Augment(shift=1)))
