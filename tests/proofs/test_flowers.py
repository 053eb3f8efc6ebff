"""The pieces of the proofs on photographs; those that need the photographs are skipped where they are not."""

import importlib.util
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.config import UserError
from sparring.metrics.linear import fitted
from sparring.proofs import daisies, flowers
from sparring.proofs.record import Claim


def layers(pictures: Tensor) -> list[Tensor]:
    """Two maps that see colours, and no network."""
    return [pictures, F.avg_pool2d(pictures, 4)]


def photographs(n: int = 30) -> Tensor:
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return (255 * F.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)).byte()


def test_psnr_of_a_hole_counts_its_pixels_alone() -> None:
    wanted, hole = photographs(2), torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    hole[0, :, :8, :8], hole[1, :, 5, 5] = True, True
    made = wanted.float()
    made[0, :, :8, :8] += 30 * torch.where(made[0, :, :8, :8] > 128, -1.0, 1.0)
    made[0, :, 20:] = 0  # not in the hole
    found = flowers.psnr_within(made.byte(), wanted, hole)
    assert float(found[0]) == pytest.approx(20 * math.log10(255 / 30))
    assert float(found[1]) == 100


def test_figures_of_the_truth_are_perfect_and_a_filling_changes_the_hole_alone() -> None:
    images, hole = photographs(), torch.zeros(30, 1, 64, 64, dtype=torch.bool)
    hole[:, :, 20:40, 20:40] = True
    truth = flowers.Truth(images, images, layers, hole)
    right = flowers.figures(images, truth)
    assert right["PSNR, dB"] == right["PSNR in the hole, dB"] == 100
    assert right["SSIM"] == pytest.approx(1)
    assert right["layer distance"] == pytest.approx(0, abs=1e-9)
    assert right["Fréchet distance"] == pytest.approx(0, abs=1e-6)
    mean = images.float().mean(0).byte()
    for made in flowers.fillings(images, hole, mean).values():
        assert torch.equal(made.masked_fill(hole, 0), images.masked_fill(hole, 0))
        found = flowers.figures(made, truth)
        assert found["PSNR in the hole, dB"] < found["PSNR, dB"] < 40
        assert found["layer distance"] > 0.001


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed: sparring[peers]")
def test_opencv_continues_what_is_around_a_hole() -> None:
    ramp = torch.arange(64).mul(4).byte().expand(1, 3, 64, 64)
    hole = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    hole[..., 28:34, 28:34] = True
    found = flowers.fillings(ramp, hole, torch.zeros(3, 64, 64, dtype=torch.uint8))
    for name in ("Telea", "Navier-Stokes"):
        assert float((found[name].float() - ramp.float()).abs().max()) < 20, name


def test_enlargements_are_those_of_pillow_and_keep_a_plain_picture() -> None:
    plain = torch.full((2, 3, 16, 16), 77, dtype=torch.uint8)
    found = flowers.enlargements(plain)
    assert set(found) == {"nearest", "bicubic", "Lanczos"}
    assert all(torch.equal(made, torch.full((2, 3, 64, 64), 77, dtype=torch.uint8)) for made in found.values())
    small = photographs(1)[..., ::4, ::4]
    assert torch.equal(flowers.enlargements(small)["nearest"][..., ::4, ::4], small)


def held(claims: list[Claim], case: str) -> list[bool]:
    return [claim.held for claim in claims if claim.case == case and not claim.reference]


def test_a_critic_must_cost_pixels_and_win_in_layers_and_as_a_set_on_every_seed() -> None:
    def of(near: float, away: float, far: float) -> dict[str, float]:
        return {"PSNR, dB": near, "layer distance": away, "Fréchet distance": far}

    task = flowers.UPSCALING[0]
    found = {
        "nearest": [of(20, 9, 9)], "bicubic": [of(24, 5, 5)], "Lanczos": [of(25, 5, 5)],
        flowers.ALONE: [of(27, 4, 4), of(26, 4, 4)], flowers.BOTH: [of(26, 3, 3), of(25.5, 2, 2)],
    }  # fmt: skip
    claims = flowers.claims_of(task, found, "x2: ")
    assert all(claim.held for claim in claims)
    assert [claim.values for claim in claims if claim.figure.startswith("gained on Lanczos")] == [[2, 1], [-5]]
    better = {**found, flowers.BOTH: [of(26, 3, 3), of(26.5, 4.5, 2)]}  # in pixels, and worse in layers, on one seed
    assert held(flowers.claims_of(task, better), "what the critic changes") == [False, False, True]
    worse = {**found, flowers.ALONE: [of(27, 4, 4), of(24.9, 4, 4)]}
    assert held(flowers.claims_of(task, worse), flowers.ALONE) == [False]
    begun = {**found, flowers.NOTHING: [of(24.9, 4, 4), of(25.1, 4, 4)]}  # learns, from nothing, more than none
    assert held(flowers.claims_of(task, begun), flowers.NOTHING) == [False]
    sharp = {**found, "bicubic": [of(24, 3.5, 5)]}  # a control that does not fail
    assert held(flowers.claims_of(task, sharp), "bicubic in the critic's place") == [False, True]


def test_recoloured_pictures_have_the_colours_of_the_other_kind() -> None:
    first, second = photographs(40) // 2 + 20, photographs(40).flip(0) // 3 + 100
    made = daisies.recoloured(first, first, second)
    assert float((made.double().mean((0, 2, 3)) - second.double().mean((0, 2, 3))).abs().max()) < 0.5
    assert float((made.double().std((0, 2, 3)) - second.double().std((0, 2, 3))).abs().max()) < 0.5


def test_a_way_holds_where_translations_come_near_and_recolouring_does_not() -> None:
    drawn = torch.Generator().manual_seed(0)
    textures = [F.interpolate(torch.rand(120, 3, side, side, generator=drawn), (64, 64)) for side in (4, 64)]
    here, there = ((255 * texture).byte() for texture in textures)

    def rough(pictures: Tensor) -> list[Tensor]:
        steep = (pictures - pictures.roll(1, 3)).abs()
        return [pictures, torch.cat([pictures, 4 * steep], 1)]

    kinds = [here[:60], there[:60]], [here[60:], there[60:]]
    seen = [flowers.features(flowers.looked(rough, each)) for each in kinds[1]]
    learnt = [flowers.features(flowers.looked(rough, each)) for each in kinds[0]]
    reader = fitted(torch.cat(learnt), torch.arange(2).repeat_interleave(60), 2)
    sets = daisies.Kinds(*kinds, seen, learnt, reader, rough)
    way = next(iter(daisies.WAYS))
    right = daisies.way_of(way, sets, [[there[:60], here[:60]]])
    assert all(claim.held for claim in right)
    idle = daisies.way_of(way, sets, [[there[:60], here[:60]], [here[60:], there[60:]]])
    assert held(idle, f"{way}: cyclegan") == [False]
    read = {claim.case: claim.values[0] for claim in right if claim.figure == "read as that kind"}
    assert read[f"{way}: cyclegan"] > 0.9 > 0.1 > read[f"{way}: untouched"]


def test_without_the_photographs_a_proof_says_what_is_missing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path_factory.mktemp("empty")))
    with pytest.raises(UserError, match="set SPARRING_DATA to the folder that holds flowers"):
        flowers.opened("masked:free")


def test_both_kinds_are_held_out_alike() -> None:
    try:
        splits = flowers.opened("reduced:4")
    except UserError as error:
        pytest.skip(str(error))
    columns = splits["test"][torch.arange(len(splits["test"]))]
    assert columns["image"].shape[1:] == (3, 64, 64)
    assert columns["source"].shape[1:] == (3, 16, 16)
    assert len(splits["test"]) == pytest.approx(flowers.HELD_OUT * (len(splits["test"]) + len(splits["train"])), abs=2)
