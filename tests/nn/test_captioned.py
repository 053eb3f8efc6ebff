"""What reads captions, and what is told them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sparring import training
from sparring.data import Data, Source, open_data
from sparring.duel import Penalties
from sparring.game import Game
from sparring.machine import Machine
from sparring.nn.text import TextEncoder, TextGenerator
from sparring.recipes import text_to_image
from sparring.runs import How, Plan

CPU = Machine(torch.device("cpu"), "test", "float32", 1)


@pytest.fixture(scope="module")
def source() -> Source:
    return open_data(Data(data="shapes", captions="own", size=16, limit=200))["train"]


def test_a_fresh_encoder_tells_captions_apart(source: Source) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        read = TextEncoder(len(source.about.vocabulary), 128)(source[torch.arange(100)]["caption"])
    assert torch.allclose(read.norm(dim=1), torch.ones(100), atol=1e-5)
    assert float((read @ read.T).mean()) < 0.75  # .9 with what was cut off before the sum: colours were read late


def test_a_caption_is_told_to_every_layer_and_sizes_need_not_be_powers_of_two(source: Source) -> None:
    caption = source[torch.arange(4)]["caption"]
    for height, width in ((16, 16), (24, 20), (33, 17)):
        generator = TextGenerator(8, (3, height, width), 8, len(source.about.vocabulary), 16).eval()
        latent = torch.randn(4, 8)
        assert generator(latent, caption).shape == (4, 3, height, width)
        with torch.no_grad():
            before = generator(latent, caption)
            torch.nn.init.zeros_(generator.dense.weight)  # so the map that it starts from is the same for all
            generator.dense.bias.zero_()
            after = generator(latent, caption)
        assert not torch.allclose(before, after)
        assert float(after.std(0).amax()) > 1e-3


def test_pictures_are_drawn_again_first_and_fakes_made_from_begin_on(source: Source) -> None:
    def game_of(**changes: object) -> Game:
        config = dataclasses.replace(text_to_image.PRESETS["tuned"], batch=8, rounds=10, **changes)
        return training.assemble(Plan("text_to_image", "tuned", config, Data(), How()), source.about, CPU)

    plain, game = game_of(rebuild=False), game_of()
    assert plain.modules["generator"].picture is None
    assert [player.name for player in plain.players] == ["discriminator", "generator"]
    acting = [{player.name for player in game.players if player.acts(number)} for number in range(10)]
    assert acting == [{"rebuilder"}] * 7 + [{"rebuilder", "discriminator", "generator"}] * 3
    lazy = game_of(penalty=Penalties(r1=1.0, every=2))
    assert {player.name for player in lazy.players if player.acts(0)} == {"rebuilder"}
    assert lazy.player("penalty").acts(7)
    columns = source[torch.arange(16)]
    batch = {"image": columns["image"].float() / 127.5 - 1, "caption": columns["caption"]}
    assert game.on_round is not None
    assert game.prepare is not None
    for number, there in ((6, False), (7, True)):
        game.on_round(number / 10)
        assert ("fake" in game.prepare(batch)) is there
    with torch.no_grad():
        again = game.player("rebuilder").loss(batch).terms
        mean, log_variance = game.modules["generator"].latents(batch["image"])
    assert float(again["rebuilding"]) > float((batch["image"] - batch["image"].mean((2, 3), True)).square().mean())
    assert mean.shape == log_variance.shape == (16, 64)
    assert float(log_variance.abs().max()) <= 8
