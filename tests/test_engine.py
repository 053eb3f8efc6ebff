from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sparring.average import Average
from sparring.config import UserError
from sparring.engine import NonFiniteLossError, State, Train, rounds, start, train, update
from sparring.game import Batch, Game, Latent, Loss, Player, linear_decay
from sparring.nn.image import ConvDiscriminator
from sparring.objectives import OBJECTIVES, Objective, hinge
from sparring.optimizers import SGD, Adam
from sparring.penalties import r1
from sparring.seeds import mix
from sparring.testing import toy_game


def points(seed: int = 0, first: int = 0) -> Iterator[dict[str, Tensor]]:
    number = first
    while True:
        generator = torch.Generator().manual_seed(seed * 1000 + number)
        yield {"point": torch.randn(16, 2, generator=generator) + 3}
        number += 1


def parameters(game: Game) -> list[Tensor]:
    return [p.detach().clone() for m in game.modules.values() for p in m.parameters()]


def test_a_player_moves_what_its_optimizer_owns_and_nothing_else() -> None:
    game = toy_game()
    batch = next(points())
    for name, other in (("discriminator", "generator"), ("generator", "discriminator")):
        mine = [p.detach().clone() for p in game.modules[name].parameters()]
        theirs = [p.detach().clone() for p in game.modules[other].parameters()]
        update(game, game.player(name), batch)
        assert any(not torch.equal(a, b) for a, b in zip(mine, game.modules[name].parameters(), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(theirs, game.modules[other].parameters(), strict=True))
        assert all(p.requires_grad for m in game.modules.values() for p in m.parameters())
        assert all(p.grad is None for m in game.modules.values() for p in m.parameters())


def test_a_loss_that_raises_leaves_nothing_frozen() -> None:
    game = toy_game()
    broken = Player("broken", lambda batch: 1 / 0, game.player("generator").optimizer)
    with pytest.raises(ZeroDivisionError):
        update(game, broken, next(points()))
    assert all(p.requires_grad for m in game.modules.values() for p in m.parameters())


def test_an_update_is_one_step_of_the_plain_loop() -> None:
    game, twin = toy_game(seed=3), toy_game(seed=3)
    batch = next(points())
    torch.manual_seed(5)
    update(game, game.player("discriminator"), batch)
    torch.manual_seed(5)
    real = batch["point"]
    fake = twin.modules["generator"](torch.randn(16, 3)).detach()
    score = twin.modules["discriminator"]
    loss = torch.relu(1 - score(real)).mean() + torch.relu(1 + score(fake)).mean()
    optimizer = twin.player("discriminator").optimizer
    loss.backward()
    optimizer.step()
    for a, b in zip(parameters(game), parameters(twin), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("gamma", [0.0, 3.0])
def test_fused_steps_equal_plain_ones_whatever_the_layout(gamma: float) -> None:
    # gradients of channels-last weights may come in another order than the weights, above all under a penalty
    def network() -> nn.Module:
        torch.manual_seed(0)
        net = ConvDiscriminator((3, 16, 16), 8, spectral=False)
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    fused, plain = network(), network()
    x = torch.randn(8, 3, 16, 16).contiguous(memory_format=torch.channels_last)

    def loss(net: nn.Module) -> Loss:
        penalty = r1(net, x, x).mean() * gamma if gamma else torch.zeros(())
        return Loss({"score": net(x).mean(), "r1": penalty})

    player = Player("d", lambda batch: loss(fused), Adam(1e-2).over(fused.parameters()))
    reference = torch.optim.Adam(plain.parameters(), 1e-2, (0.5, 0.999), foreach=False)
    for _ in range(3):
        update(Game({"d": fused}, [player]), player, {})
        sum(loss(plain).terms.values()).backward()  # type: ignore[union-attr]
        reference.step()
        reference.zero_grad()
    for a, b in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_mistaken_games_and_losses_are_named() -> None:
    game = toy_game()
    with pytest.raises(ValueError, match="different names"):
        game.plus(game.player("generator"))
    with pytest.raises(ValueError, match="product names"):
        replace(game, product=("decoder",))
    with pytest.raises(ValueError, match="every=0"):
        game.with_player("generator", every=0)
    for terms, message in (({}, "has no terms"), ({"t": torch.ones(3)}, "take its mean")):
        with pytest.raises(ValueError, match=message):
            update(game, replace(game.player("generator"), loss=lambda batch, t=terms: Loss(t)), next(points()))


def test_a_penalty_player_may_share_an_optimizer_and_act_rarely() -> None:
    game = toy_game()
    owner = game.player("discriminator")
    weight = game.modules["discriminator"].linear.weight
    lazy = Player("lazy", lambda batch: Loss({"decay": weight.square().sum()}), owner.optimizer, every=4, shares=False)
    state = train(game.plus(lazy), points(), Train(8))
    assert state.drawn == 8 + 2


def test_rounds_in_which_nobody_acts_have_no_losses() -> None:
    game = toy_game().with_player("discriminator", start=50).with_player("generator", start=50)
    seen = [done.losses.values for done in rounds(game, points(), Train(20)) if done.losses]
    assert seen == [{}, {}]


def test_terms_of_several_turns_are_averaged() -> None:
    net = nn.Linear(1, 1, bias=False)
    values = iter(range(1, 100))
    player = Player(
        "p",
        lambda b: Loss({"t": net.weight.sum() * 0 + float(next(values))}),
        SGD(0.1).over(net.parameters()),
        repeat=3,
    )
    game = Game({"net": net}, [player])
    assert [d.losses.values["p/t"] for d in rounds(game, points(), Train(4, check_every=2)) if d.losses] == [3.5, 9.5]


def test_players_act_when_they_say() -> None:
    player = Player("p", lambda batch: Loss({}), None, every=3, start=2, stop=9)  # type: ignore[arg-type]
    assert [r for r in range(12) if player.acts(r)] == [2, 5, 8]


def test_batches_are_drawn_per_turn_or_shared() -> None:
    shared = toy_game().with_player("discriminator", repeat=3)
    assert train(shared, points(), Train(4)).drawn == 4 * 3  # the generator looks at the first of three
    apart = shared.with_player("generator", shares=False)
    assert train(apart, points(), Train(4)).drawn == 4 * (3 + 1)


def test_sharing_fakes_saves_a_pass_of_the_generator_and_still_trains_it() -> None:
    game = toy_game()
    passes = []
    game.modules["generator"].register_forward_hook(lambda *_: passes.append(1))
    before = game.modules["generator"].linear.weight.detach().clone()
    train(game, points(), Train(3))
    assert len(passes) == 3
    assert not torch.equal(before, game.modules["generator"].linear.weight)


@pytest.mark.parametrize("share", [True, False])
def test_two_shards_of_a_run_equal_the_whole_bitwise(share: bool) -> None:
    whole, halves = (replace(toy_game(share_fakes=share), average=Average(0.9)) for _ in range(2))
    settings = Train(11, seed=4)
    a = train(whole, points(), settings)
    b = start(halves)
    for done in rounds(halves, points(), settings, b):
        if done.state.round == 5:
            break
    b = train(halves, points(first=b.drawn), settings, b)
    assert all(torch.equal(x, y) for x, y in zip(parameters(whole), parameters(halves), strict=True))
    for x, y in zip(a.averages["generator"].parameters(), b.averages["generator"].parameters(), strict=True):
        assert torch.equal(x, y)


def test_the_seed_decides() -> None:
    runs = []
    for seed in (0, 0, 1):
        game = toy_game()
        train(game, points(), Train(3, seed))
        runs.append(parameters(game))
    assert all(torch.equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(runs[0], runs[2], strict=True))
    assert len({mix(s, n) for s in range(100) for n in range(100)}) == 10_000
    assert all(0 <= mix(s, n) < 2**63 for s in (0, 7, 2**62) for n in (0, 10**9))


def test_losses_are_means_since_the_last_look() -> None:
    net = nn.Linear(1, 1, bias=False)
    values = iter(range(1, 100))
    player = Player(
        "p", lambda batch: Loss({"t": net.weight.sum() * 0 + float(next(values))}), SGD(0.1).over(net.parameters())
    )
    game = Game({"net": net}, [player])
    seen = [done.losses.values["p/t"] for done in rounds(game, points(), Train(7, check_every=3)) if done.losses]
    assert seen == [2.0, 5.0, 7.0]


def test_a_non_finite_loss_stops_and_names_round_player_and_term() -> None:
    game = toy_game()
    late = iter([0.0] * 13 + [float("nan")] * 50)
    honest = game.player("generator").loss

    def loss(batch: Batch) -> Loss:
        told = honest(batch)
        return Loss({**told.terms, "extra": told.terms["objective"] * 0 + next(late)})

    with pytest.raises(NonFiniteLossError, match=r"'extra' of player 'generator' became nan in round 13.*half"):
        train(game.with_player("generator", loss=loss), points(), Train(100))


def test_an_unpaired_objective_that_reads_real_scores_fails_loudly() -> None:
    careless = Objective(hinge.discriminator, lambda real, fake: real - fake)
    with pytest.raises(NonFiniteLossError, match="generator"):
        train(toy_game(careless), points(), Train(10))
    paired = replace(careless, paired=True)
    assert train(toy_game(paired), points(), Train(10)).round == 10


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_pulls_the_fakes_towards_the_data(name: str) -> None:
    game = toy_game(OBJECTIVES[name])
    train(game, points(), Train(300))
    fake = game.modules["generator"](torch.randn(500, 3))
    assert (fake.mean(0) - 3).norm() < 2.0  # it began about 4.2 away


def test_linear_decay_is_flat_then_a_line() -> None:
    optimizer = Adam(1e-2).over(nn.Linear(1, 1).parameters())
    rate = linear_decay([optimizer], 0.4, 0.1)
    seen = []
    for progress in (0.0, 0.4, 0.7, 1.0):
        rate(progress)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([1e-2, 1e-2, 0.55e-2, 1e-3])


def test_unknown_players_are_suggested() -> None:
    with pytest.raises(UserError, match="did you mean 'generator'"):
        toy_game().with_player("generater", every=2)


def test_a_game_without_rounds_left_does_nothing() -> None:
    game = toy_game()
    before = parameters(game)
    train(game, points(), Train(3), State(round=3))
    assert all(torch.equal(a, b) for a, b in zip(before, parameters(game), strict=True))


def test_labels_keep_to_their_shares_and_are_in_no_order() -> None:
    latent = Latent(2, (0.5, 0.3, 0.0, 0.2))
    label = latent(1000, torch.Generator().manual_seed(0))["label"]
    counts = torch.bincount(label, minlength=4).tolist()
    assert counts[2] == 0
    assert all(abs(count - 1000 * share) <= 1 for count, share in zip(counts, latent.prior, strict=True))
    assert 0.3 < (label[:500] == 0).float().mean() < 0.7
    firsts = [int(latent(1, torch.Generator().manual_seed(seed))["label"]) for seed in range(2000)]
    assert torch.bincount(torch.tensor(firsts), minlength=4).div(2000).tolist() == pytest.approx(latent.prior, abs=0.04)
