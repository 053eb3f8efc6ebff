"""What the proofs of texts measure with."""

import torch

from sparring.data import About, tensor_source
from sparring.data.oracle import Trigrams
from sparring.proofs.play import played
from sparring.proofs.sequences import CONSTANT, constant, of_form, of_oracle

POEM = "床前看月光，疑是地上霜。舉頭望山月，低頭思故鄉。"


def test_a_poem_has_its_signs_in_their_places() -> None:
    assert of_form(POEM)
    assert not of_form("床前看月光疑，是地上霜。舉頭望山月，低頭思故鄉。")
    assert not of_form("床前，月光，，疑是地上霜。舉頭望山月，低頭思故鄉")
    assert not of_form(POEM[:-1] + "鄉")


def test_a_reward_that_says_nothing_is_the_same_for_all_texts_and_stays_so() -> None:
    letters = torch.randint(0, 3, (500,), generator=torch.Generator().manual_seed(0))
    oracle = Trigrams.of(letters, 3, 0.1)
    about = About("letters", "text", (4,), vocabulary=tuple("abc"), whole=True)
    source, test = tensor_source(about, {"text": oracle.draw(64, 4, 1)}), oracle.draw(50, 4, 2)
    settings = {**CONSTANT, "rounds": 3, "likelihood": 0.0, "early": 0.0, "batch": 8, "hidden": 8}
    run = played("sequence", "seqgan", settings, source, 0, other=constant)
    assert run.game.score is not None
    assert run.game.score(test, None).tolist() == [0.0] * 50
    before = played("sequence", "seqgan", {**settings, "usual": 0.9}, source, 0, other=constant)
    moved = [of_oracle(each, oracle, test)["NLL of held-out texts"] for each in (run, before)]
    assert moved[0] != moved[1]  # with a baseline, nothing is left of a reward that is always usual
    still = played("sequence", "seqgan", {**settings, "usual": 0.9, "rounds": 1}, source, 0, other=constant)
    assert of_oracle(still, oracle, test) == of_oracle(before, oracle, test)
