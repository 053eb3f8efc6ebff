"""Networks of texts: probabilities that sum to 1, draws that follow them, and gradients through whole words."""

from __future__ import annotations

import itertools

import pytest
import torch

from sparring.data.words import FIRST
from sparring.nn.sequence import Baseline, Cell, TextClassifier, TextCritic, TokenGenerator


def writer(first: int, cell: Cell = "gru", length: int = 3, places: bool = False) -> TokenGenerator:
    torch.manual_seed(0)
    network = TokenGenerator(3, first, length, 4, 8, cell, places)
    torch.nn.init.normal_(network.out.weight)
    if network.place is not None:
        torch.nn.init.normal_(network.place)
    return network.requires_grad_(True)


def every_text(network: TokenGenerator) -> torch.Tensor:
    """All texts that it can write: behind an end there are only ends."""
    texts = itertools.product(range(network.first, network.first + 3), repeat=network.length)
    proper = [text for text in texts if all(b == 0 for a, b in itertools.pairwise(text) if a == 0)]
    return torch.tensor(proper)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("first", [0, FIRST])
@pytest.mark.parametrize(("temperature", "places"), [(1.0, False), (0.5, False), (1.0, True)])
@torch.no_grad()
def test_probabilities_sum_to_one_and_draws_follow_them(
    first: int, cell: Cell, temperature: float, places: bool
) -> None:
    network = writer(first, cell, places=places)
    texts = every_text(network)
    assert len(texts) == (27 if first else 15)
    share = network.log_prob(texts, temperature).sum(1).exp()
    assert float(share.sum()) == pytest.approx(1.0, abs=1e-5)
    drawn = network.draw(torch.rand(20_000, 3), temperature)
    found = (drawn[:, None] == texts).all(2).float().mean(0)
    torch.testing.assert_close(found, share, atol=0.012, rtol=0.0)


@pytest.mark.parametrize("first", [0, FIRST])
def test_relaxed_texts_are_whole_words_drawn_alike_with_a_gradient(first: int) -> None:
    network = writer(first)
    texts = every_text(network)
    share = network.log_prob(texts).sum(1).exp().detach()
    relaxed = network.relaxed(20_000, 0.7)
    assert set(relaxed.detach().unique().tolist()) == {0.0, 1.0}
    assert bool((relaxed.detach().sum(2) == 1).all())
    index = relaxed.detach().argmax(2) + first
    found = (index[:, None] == texts).all(2).float().mean(0)
    torch.testing.assert_close(found, share, atol=0.012, rtol=0.0)
    before = float(relaxed[:, -1, 1].detach().mean())
    rising = torch.autograd.grad(relaxed[:, -1, 1].mean(), list(network.parameters()))
    assert all(float(g.norm()) > 0 for g in rising)
    with torch.no_grad():
        for p, g in zip(network.parameters(), rising, strict=True):
            p.add_(g, alpha=2.0)
    assert float(network.relaxed(20_000, 0.7)[:, -1, 1].detach().mean()) > before + 0.02


@torch.no_grad()
def test_texts_go_on_from_what_is_given() -> None:
    network = writer(FIRST)
    given = torch.tensor([[2, 4], [3, 3]])
    ended = network.draw(torch.rand(2, 3), given=given)
    assert torch.equal(ended[:, :2], given)
    stopped = writer(0).draw(torch.rand(50, 3), given=torch.zeros(50, 1, dtype=torch.int64))
    assert not bool(stopped.any())


@torch.no_grad()
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_what_is_given_is_not_foretold_and_goes_on_bit_for_bit(cell: Cell) -> None:
    network, uniform, asked = writer(0, cell, length=6), torch.rand(40, 6), []
    whole = network.draw(uniform)
    network.out.register_forward_hook(lambda *_: asked.append(1))
    assert torch.equal(network.draw(uniform, given=whole[:, :4]), whole)
    assert len(asked) == 2


@pytest.mark.parametrize("spectral", [True, False])
def test_a_critic_reads_numbers_and_one_hot_rows_alike(spectral: bool) -> None:
    critic = TextCritic(5, 6, 8, (1, 3, 9), 4, spectral).eval()  # a width of 9 does not fit, and is left out
    index = torch.randint(0, 5, (7, 6))
    rows = torch.nn.functional.one_hot(index, 5).float()
    torch.testing.assert_close(critic(index), critic(rows))
    assert critic(index).shape == (7,)
    assert not torch.allclose(critic(index), critic(index.flip(1)))


def test_a_classifier_of_texts_has_features_and_a_head() -> None:
    network = TextClassifier(9, 6, 3, 2).eval()
    texts = torch.randint(0, 11, (5, 6))
    torch.testing.assert_close(network(texts), network.head(network.features(texts)))
    assert network(texts).shape == (5, 3)


def test_what_is_usual_is_subtracted() -> None:
    usual = Baseline(2, 0.5)
    torch.testing.assert_close(usual(torch.tensor([[1.0, 4.0], [3.0, 4.0]])), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    torch.testing.assert_close(usual(torch.tensor([[5.0, 4.0]])), torch.tensor([[3.0, 0.0]]))
    usual.eval()
    kept = usual.mean.clone()
    torch.testing.assert_close(usual(torch.tensor([[4.0, 5.0]])), torch.tensor([[0.0, 1.0]]))
    assert torch.equal(usual.mean, kept)
