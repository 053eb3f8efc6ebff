"""The lab's duel: the engine's own, broken and healed, and measured against known distances."""

import io
import math
from dataclasses import replace

import pytest
import torch

from sparring import training
from sparring.cli import parsed_plan
from sparring.config import UserError
from sparring.data import Data
from sparring.data.loader import batches
from sparring.data.toys import gaussians
from sparring.engine import Train, train
from sparring.recipes import mlp
from sparring.runs import How, Plan
from sparring.studio.lab.child import Child
from sparring.studio.lab.measures import kl, measured, sliced_wasserstein
from sparring.studio.lab.numbers import OFFERED, USUAL, changed, flags, flat, told
from sparring.studio.lab.play import ARROWS, CPU, HEAT, Lab, Setup, carried, setup_of_sick
from sparring.studio.lab.sets import SETS, VIEW, drawn, sources
from sparring.studio.lab.sick import SICK

QUICK = changed(USUAL, {"batch": 16, "hidden": [8], "discriminator_hidden": [8]})


def weights(lab: Lab, name: str) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in lab.game.modules[name].parameters()])


def play(lab: Lab, most: int, kind: str = "") -> None:
    while lab.state.round < most and kind not in [finding.kind for finding in lab.findings]:
        lab.turn()


HEALED = {
    # (measure, at most when it is broken, at least when it is healed), after so many rounds
    "collapse": ("modes", 3, 7, 500),
    "oscillation": ("js", 0.4, 0.25, 600),
    "vanishing": ("js", 0.69, 0.1, 300),
}


@pytest.mark.parametrize("name", SICK)
def test_what_is_broken_is_named_by_the_doctor_and_healed_by_its_remedy(name: str) -> None:
    lab, sick = Lab(setup_of_sick(SICK[name])), SICK[name]
    play(lab, 600, sick.kind)
    found = {finding.kind: finding for finding in lab.findings}
    assert sick.kind in found, f"after {lab.state.round} rounds the doctor says {list(found)}"
    broken, push = lab.measures(), float(lab.pushes().norm(dim=1).median())
    config, done = lab.cure_of(found[sick.kind])
    assert done
    lab.begin(replace(lab.setup, config=config))
    assert lab.findings == []
    measure, ill, well, rounds = HEALED[name]
    play(lab, rounds)
    healed = lab.measures()
    print(name, broken, push, healed)
    assert sick.kind not in [finding.kind for finding in lab.findings]
    if measure == "modes":
        assert broken[measure] <= ill < well <= healed[measure]
    else:
        assert broken[measure] >= ill > well >= healed[measure]
    if name == "vanishing":
        assert push < 1e-5 < float(lab.pushes().norm(dim=1).median())


def test_it_is_the_engine_that_plays() -> None:
    lab = Lab(Setup("two", (), QUICK, seed=3))
    for _ in range(12):
        lab.turn()
    source, _ = sources(SETS["two"])
    game = training.assemble(Plan("mlp", "lab", QUICK, Data(), How(seed=3)), source.about, CPU)
    train(game, batches(source, QUICK.batch, 3), Train(12, 3))
    for name in ("generator", "discriminator"):
        alone = torch.cat([p.detach().flatten() for p in game.modules[name].parameters()])
        assert torch.equal(weights(lab, name), alone)


@pytest.mark.parametrize(("who", "still"), [("discriminator", "generator"), ("generator", "discriminator")])
def test_a_step_of_one_moves_that_one_alone(who: str, still: str) -> None:
    lab = Lab(Setup(config=QUICK))
    lab.turn()
    before = {name: weights(lab, name) for name in (who, still)}
    lab.turn(who)
    lab.turn(who)
    assert torch.equal(weights(lab, still), before[still])
    assert not torch.equal(weights(lab, who), before[who])
    assert lab.state.round == 3


def test_other_numbers_go_on_and_other_networks_begin_anew() -> None:
    lab = Lab(Setup(config=QUICK))
    for _ in range(3):
        lab.turn()
    before, game = weights(lab, "generator"), lab.game
    assert lab.change(changed(QUICK, {"objective": "hinge", "generator.lr": 1e-6}))
    assert lab.game is not game
    assert torch.equal(weights(lab, "generator"), before)
    memory = [g.player("generator").optimizer.state_dict()["state"][0]["exp_avg_sq"] for g in (game, lab.game)]
    assert torch.equal(*memory)
    lab.turn()
    assert lab.state.round == 4
    moved = float((weights(lab, "generator") - before).abs().max())
    assert 0 < moved < 1e-5  # the new rate, not the old one
    assert not lab.change(changed(lab.setup.config, {"hidden": [9]}))
    assert lab.state.round == 0
    assert not carried(game, lab.game)


def test_a_setup_that_cannot_be_leaves_the_lab_as_it_was() -> None:
    lab = Lab(Setup(config=QUICK))
    lab.turn()
    with pytest.raises(UserError, match="slope is bounded"):
        lab.change(changed(QUICK, {"objective": "wasserstein", "penalty.r1": 0, "penalty.r2": 0}))
    with pytest.raises(UserError, match="set: 'rong'"):
        lab.begin(Setup("rong", (), QUICK))
    lab.turn()
    assert lab.state.round == 2
    assert lab.setup.config == QUICK


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "/tmp/mine.py:objective"}, "objective: "),
        ({"objective": ["hinge"]}, "objective: "),
        ({"rounds": 10}, "no setting of the lab"),
        ({"generator.lr": {"from": 1, "to": 0}}, "generator.lr="),
        ({"generator.lr": 1e6}, "generator.lr="),
        ({"batch": True}, "batch=True"),
        ({"hidden": [64] * 9}, "hidden: 9 layers"),
        ({"hidden": [4096]}, "hidden=4096"),
        ({"batch": 16.5}, "batch"),
        ({"uniform": "perhaps"}, "uniform"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        changed(USUAL, settings)


def test_the_command_that_is_shown_means_the_same_numbers() -> None:
    settings = {"objective": "wasserstein", "penalty.gradient": 10.0, "penalty.one_sided": True, "spectral_norm": True,
                "penalty.r1": 0.0, "generator.lr": 3e-4, "hidden": [8, 16], "uniform": True}  # fmt: skip
    for config in (USUAL, changed(USUAL, settings)):
        words = flags(config, "ring").split()
        assert words[:4] == ["sparring", "train", "mlp", "--data"]
        plan = parsed_plan("mlp", words[3:])
        assert flat(plan.model) == flat(config)
        assert (plan.model.clusters, plan.model.average, plan.model.decay) == (0, 0, 1)


def test_every_setting_is_told_with_the_recipe_s_help() -> None:
    rows = {row["name"]: row for row in told()}
    assert list(rows) == list(OFFERED)
    assert all(row["help"] for row in rows.values())
    assert rows["penalty.r1"]["help"].startswith("Gamma of R1")
    assert "f-divergence" in rows["objective"]["help"]


def test_measures_against_known_distances() -> None:
    toy = SETS["ring"]
    cloud = toy.sample(2000, torch.Generator().manual_seed(0))[0]
    for shift in ([0.3, 0.0], [0.0, -0.3], [0.18, 0.24]):
        assert sliced_wasserstein(cloud, cloud + torch.tensor(shift)) == pytest.approx(0.3, rel=2e-3)
    far = measured(cloud, torch.zeros(2000, 2), toy)
    assert far["js"] == pytest.approx(math.log(2), abs=0.01)
    assert far["modes"] == far["quality"] == 0
    same = measured(cloud, cloud, toy)
    assert same["kl"] == same["js"] == same["wasserstein"] == 0
    assert (same["modes"], same["quality"] > 0.98) == (8, True)
    half = torch.where(cloud[:, :1] > 0, cloud, -cloud)  # part of the real is never made: KL sees it, its reverse less
    told = measured(cloud, half, toy)
    assert told["kl"] > 2 > 2 * told["reverse kl"]
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    assert kl(p, q) == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(5))


def test_kl_of_two_gaussians_is_the_exact_one_but_for_the_blur() -> None:
    """Two round Gaussians of width s, d apart: KL = d^2 / 2 s^2; blurred by one cell, s^2 grows by its square."""
    a, b = (gaussians("one", torch.tensor([[x, 0.0]]), 0.3) for x in (-0.15, 0.15))
    draws = [toy.sample(50_000, torch.Generator().manual_seed(i))[0] for i, toy in enumerate((a, b))]
    found = measured(*draws, a)
    exact = 0.3**2 / 2 / (0.3**2 + (2 * VIEW / 48) ** 2 * (1 + 1 / 12))
    assert found["kl"] == pytest.approx(exact, rel=0.06)
    assert found["wasserstein"] == pytest.approx(0.3, rel=0.03)


def test_drawn_points_become_a_set() -> None:
    lab = Lab(Setup("drawn", [[0.5, -0.5], [-1, 1]], QUICK))
    near = torch.cdist(lab.real, torch.tensor([[0.5, -0.5], [-1.0, 1.0]])).min(1)
    assert float(near.values.max()) < 0.2
    assert 0.4 < float(near.indices.float().mean()) < 0.6
    assert "modes" not in lab.measures()
    for points in ([], [[0.0, 9.0]], [[math.nan, 0.0]]):
        with pytest.raises(UserError, match="points"):
            drawn(points)


@pytest.mark.parametrize("latent", [1, 2, 3])
@pytest.mark.parametrize("objective", ["relativistic", "hinge"])
def test_what_is_shown_has_its_shape(latent: int, objective: str) -> None:
    lab = Lab(Setup(config=changed(QUICK, {"latent": latent, "objective": objective})))
    lab.turn()
    lines = {1: 1, 2: 26, 3: 0}[latent]
    assert lab.heat().shape == (HEAT, HEAT)
    assert lab.pushes().shape == (ARROWS, 2)
    assert lab.manifold().shape == (lines, 49, 2)
    assert bool(lab.pushes().isfinite().all())


def test_a_push_is_the_way_the_generator_s_loss_falls() -> None:
    lab = Lab(Setup(config=QUICK))
    for _ in range(20):
        lab.turn()
    score = lab.game.score
    assert score is not None
    fake, pushes = lab.fakes(ARROWS), lab.pushes()
    with torch.no_grad():
        before, after = (score(x, None) for x in (fake, fake + 1e-3 * pushes / pushes.norm(dim=1, keepdim=True)))
    assert bool((after > before).float().mean() > 0.95)  # non-saturating: up the score


def test_a_lab_that_breaks_says_why_and_can_begin_again() -> None:
    lab = Lab(Setup(config=QUICK))
    with torch.no_grad():
        next(lab.game.modules["generator"].parameters())[0, 0] = math.nan
    for _ in range(12):
        if not lab.broken:
            lab.turn()
    assert "became nan" in lab.broken
    assert [finding.kind for finding in lab.findings] == ["divergence"]
    assert lab.measures() == {}
    with pytest.raises(UserError, match="became nan"):
        lab.turn()
    child = Child(io.BytesIO())
    child.lab = lab
    with pytest.raises(UserError, match="became nan"):
        child.handle({"do": "play"})
    assert child.wait() is None  # and not a process that ends in the next round
    lab.begin(lab.setup)
    lab.turn()
    assert not lab.broken


def test_the_recipe_is_the_package_s_own() -> None:
    assert isinstance(USUAL, mlp.Config)
