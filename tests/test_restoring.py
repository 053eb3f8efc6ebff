"""The game that recipes of restoration share: when the critic plays, what each loss sees, what is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sparring import session
from sparring.config import UserError
from sparring.data import Data, Source, open_data
from sparring.data.loader import batches
from sparring.engine import Train, rounds
from sparring.game import Game
from sparring.recipes import inpaint, superres


def game_of(recipe: Any, source: str, **changes: Any) -> tuple[Game, Source, Any]:
    torch.manual_seed(0)
    config = dataclasses.replace(recipe.PRESETS["tuned"], batch=8, width=8, critic_width=8, **changes)
    data = recipe.data(config, open_data(Data(source=source))["train"])
    return recipe.build(config, data.about), data, config


def losses(game: Game, data: Source, total: int) -> list[dict[str, float]]:
    settings, found = Train(total, check_every=1), []
    for done in rounds(game, batches(data, 8, 0), settings):
        assert done.losses is not None
        found.append(dict(done.losses.values))
    return found


@pytest.mark.parametrize(("share", "begins"), [(0.0, 0), (0.3, 3), (0.75, 8)])
def test_the_critic_plays_from_its_round_on_and_is_heard_from_the_same(share: float, begins: int) -> None:
    game, data, _ = game_of(superres, "reduced:2", critic_after=share, rounds=10)
    before = {name: value.clone() for name, value in game.modules["critic"].state_dict().items()}
    seen = losses(game, data, 10)
    for name in ("discriminator/objective", "generator/objective"):
        assert [name in values for values in seen] == [number >= begins for number in range(10)]
    assert any(not torch.equal(before[name], value) for name, value in game.modules["critic"].state_dict().items())


def test_without_an_adversary_there_is_no_critic_and_features_need_one() -> None:
    game, data, _ = game_of(superres, "reduced:2", adversarial=0.0, rounds=4)
    assert set(game.modules) == {"generator"}
    assert set(losses(game, data, 4)[-1]) & {"generator/distance", "generator/objective"} == {"generator/distance"}
    with pytest.raises(UserError, match="those of a critic"):
        game_of(superres, "reduced:2", adversarial=0.0, features=1.0)


def test_features_weigh_what_the_critics_layers_see() -> None:
    weights = {}
    for weight, objective in ((1.0, "relativistic"), (3.0, "relativistic"), (0.0, "hinge"), (2.0, "hinge")):
        changes = {"critic_after": 0.0, "features": weight, "objective": objective}
        game, data, _ = game_of(inpaint, "masked", rounds=4, **changes)
        values = losses(game, data, 1)[0]
        assert math.isfinite(values["generator/objective"])
        weights[weight] = values.get("generator/features", 0.0)
    assert weights[0.0] == 0
    assert weights[3.0] == pytest.approx(3 * weights[1.0], rel=1e-5)
    assert weights[1.0] > 0


def test_known_pixels_weigh_nothing_and_samples_stay_in_range() -> None:
    game, data, _ = game_of(inpaint, "masked:4", adversarial=0.0, rounds=4)
    batch = next(batches(data, 8, 0))
    made = game.modules["generator"](batch["source"]).detach()
    hole = batch["source"][:, 1:] > 0
    away = (made - batch["image"]).abs()
    assert float(away.masked_fill(hole, 0).max()) == 0
    assert game.prepare is not None
    loss = game.player("generator").loss(game.prepare(batch)).terms["distance"]
    torch.testing.assert_close(loss.detach(), (away * hole).mean())
    assert game.sample is not None

    def wild(source: Tensor) -> Tensor:
        return 9 * torch.ones_like(source[:, :1])

    assert float(game.sample({"generator": wild}, batch).max()) == 1


def test_tiles_of_a_run_are_the_picture_and_methods_refuse_what_they_cannot(tmp_path: Any) -> None:
    run = session.train(
        "superres", data="digits", source="reduced:2", rounds=4, batch=8, width=8, runs=str(tmp_path), threads=1,
        snapshots=1, evaluate=False, quiet=True,
    )  # fmt: skip
    picture = torch.arange(70 * 90).remainder(256).byte().view(1, 1, 70, 90)
    made = run.upscale(picture)
    assert made.shape == (1, 1, 140, 180)
    assert run.factor == 2
    with torch.no_grad():
        whole = run.model.modules["generator"](picture.float() * 2 / 255 - 1)
    inner = (slice(None), slice(None), slice(40, 100), slice(40, 140))
    levels = (whole.clamp(-1, 1) + 1) * 127.5
    assert float((made.float() - levels)[inner].abs().mean()) < 2  # tiles differ from the whole by their borders alone
    with pytest.raises(UserError, match="fills no holes"):
        run.inpaint(picture, torch.ones(1, 1, 70, 90, dtype=torch.bool))
    with pytest.raises(UserError, match=r"uint8 \(N, 1, H, W\)"):
        run.upscale(picture.float())
    filler = session.train(
        "inpaint", data="digits", source="masked", rounds=4, batch=8, width=8, runs=str(tmp_path), threads=1,
        snapshots=1, evaluate=False, quiet=True,
    )  # fmt: skip
    with pytest.raises(UserError, match="does not enlarge"):
        filler.upscale(picture)
    with pytest.raises(UserError, match=r"the hole is \(1, 7, 9\) and pictures are \(1, 70, 90\)"):
        filler.inpaint(picture, torch.ones(1, 1, 7, 9, dtype=torch.bool))
    nothing = torch.zeros(1, 1, 70, 90, dtype=torch.bool)
    assert torch.equal(filler.inpaint(picture, nothing), picture)
