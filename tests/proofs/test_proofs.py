import dataclasses
import importlib
import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch

from sparring import cli, proofs, worth
from sparring.data import Data, open_data
from sparring.data.toys import TOYS
from sparring.metrics.features import Extractor, extract
from sparring.objectives import DIVERGENCES
from sparring.proofs import draw, emoji, fgan, modes, restore, semi, speech, stacked, theory
from sparring.proofs import worth as worth_proof
from sparring.proofs.ladder import RUNGS
from sparring.proofs.line import GRID, bound, exact, gaussian, integral
from sparring.proofs.record import Claim, Result, of_claims, page, quick_look, write
from sparring.recipes import RECIPES


def test_integrated_divergences_have_their_closed_forms() -> None:
    p, q = gaussian(0.0, 1.0), gaussian(0.8, 0.95)  # not symmetric: log(s) + (1 + m^2) / (2 s^2) - 1/2, and back
    forward, backward = math.log(0.95) + 1.64 / (2 * 0.9025) - 0.5, -math.log(0.95) + (0.9025 + 0.64) / 2 - 0.5
    assert exact(DIVERGENCES["kl"], p, q) == pytest.approx(forward, abs=1e-6)
    assert exact(DIVERGENCES["reverse-kl"], p, q) == pytest.approx(backward, abs=1e-6)
    assert exact(DIVERGENCES["jeffrey"], p, q) == pytest.approx(forward + backward, abs=1e-6)
    q = gaussian(0.8, 1.0)
    assert exact(DIVERGENCES["jeffrey"], p, q) == pytest.approx(0.64, abs=1e-6)
    assert exact(DIVERGENCES["pearson"], p, q) == pytest.approx(math.exp(0.64) - 1, abs=1e-6)
    assert exact(DIVERGENCES["neyman"], p, q) == pytest.approx(math.exp(0.64) - 1, abs=1e-6)
    assert exact(DIVERGENCES["squared-hellinger"], p, q) == pytest.approx(2 - 2 * math.exp(-0.08), abs=1e-6)
    overlap = math.erf(0.8 / 2 / math.sqrt(2))
    assert exact(DIVERGENCES["total-variation"], p, q) == pytest.approx(overlap, abs=1e-5)
    assert integral(p.log_density(GRID).exp()) == pytest.approx(1.0, abs=1e-9)
    with pytest.raises(ValueError, match="may be infinite"):
        exact(DIVERGENCES["pearson"], gaussian(0.0, 4.0), gaussian(0.0, 0.4))


def test_the_optima_of_the_fgan_table_are_optima() -> None:
    for name, (value, mean, deviation) in fgan.OPTIMA.items():
        at = exact(DIVERGENCES[name], fgan.TARGET, gaussian(mean, deviation))
        assert at == pytest.approx(value, abs=2e-4)
        for other in (gaussian(mean + 0.03, deviation), gaussian(mean, deviation - 0.03)):
            assert exact(DIVERGENCES[name], fgan.TARGET, other) > at


def test_a_bound_at_the_true_ratio_is_the_divergence() -> None:
    p, q = gaussian(0.0, 1.0), gaussian(0.8, 1.0)

    def score(x: torch.Tensor) -> torch.Tensor:  # V of KL at its optimum: 1 + log(p/q)
        return (1 + p.log_density(x) - q.log_density(x)).squeeze(1)

    assert bound(DIVERGENCES["kl"], score, p, q) == pytest.approx(0.32, abs=1e-4)
    assert bound(DIVERGENCES["kl"], lambda x: score(x) + 0.1, p, q) < 0.32


def test_training_raises_the_bound_and_the_mistake_of_the_control_keeps_it_low() -> None:
    truth = exact(DIVERGENCES["kl"], theory.P, theory.Q)
    right = theory.measured(DIVERGENCES["kl"], theory.P, theory.Q, seed=0, rounds=150)
    wrong = theory.measured(DIVERGENCES["kl"], theory.P, theory.Q, seed=0, rounds=150, squash=True)
    assert wrong < 0.7 * truth < right <= truth


def test_real_points_have_perfect_coverage_and_one_mode_has_not() -> None:
    toy = TOYS["grid"]
    assert toy.centres is not None
    real = open_data(Data(data="grid"))["test"][torch.arange(2500)]["point"]
    found = modes.coverage(real, toy)
    assert found.modes == 25
    assert found.high_quality == pytest.approx(0.989, abs=0.006)
    assert found.reverse_kl < 0.01
    assert found.width == pytest.approx(0.974, abs=0.02)
    assert modes.good(found, 25)
    one = modes.coverage(toy.centres[:1].repeat(100, 1), toy)
    assert (one.modes, one.high_quality) == (1, 1.0)
    assert one.reverse_kl == pytest.approx(math.log(25), abs=1e-5)
    assert one.width == 0
    assert math.isfinite(modes.coverage(toy.centres.repeat(7, 1), toy).with_elsewhere)  # not one is elsewhere
    lost = modes.coverage(torch.full((50, 2), 100.0), toy)
    assert (lost.modes, lost.high_quality) == (0, 0.0)
    assert lost.with_elsewhere == pytest.approx(4.5, abs=1e-5)


@pytest.mark.parametrize("data", ["ring", "grid"])
def test_the_centres_of_clusters_alone_do_not_pass(data: str) -> None:
    found = modes.centroids(data)
    assert found.modes == TOYS[data].modes  # which is why modes and quality prove nothing by themselves
    assert found.high_quality > 0.95
    assert not modes.good(found, TOYS[data].modes)


def test_claims_hold_only_when_every_seed_does() -> None:
    assert Claim("a", "b", [1.0, 1.9], high=2.0).held
    assert not Claim("a", "b", [1.0, 2.1], high=2.0).held
    assert not Claim("a", "b", [float("nan")], high=2.0).held
    assert Claim("a", "b", [9.0], reference=True).held
    assert Claim("a", "b", [9.0, 8.0], 1, 2, control=True).held  # a control must miss
    assert not Claim("a", "b", [9.0, 1.5], 1, 2, control=True).held
    assert not Claim("a", "b", [float("nan")], 1, 2, control=True).held


def test_results_become_files_and_a_page(tmp_path: Path) -> None:
    held = of_claims("one", 2, "First", "How.", [Claim("case", "figure", [1.0, 1.2], high=2.0, target="<= 2")])
    short = Result("two", 1, "Second", "", "sparring prove two", ("a", "b"), [[1, True]], False)
    for result in (held, short, quick_look(held)):
        write(result, tmp_path / "proofs", seconds=3.0)
    quick = json.loads((tmp_path / "proofs" / "one-quick.json").read_text())
    assert (quick["passed"], quick["command"]) == (None, "sparring prove one")
    assert json.loads((tmp_path / "proofs" / "one.json").read_text())["passed"] is True
    text = page(tmp_path / "proofs")
    assert text.index("Second") < text.index("First")
    assert "**holds**" in text
    assert "**falls short**" in text
    assert "| case | figure | 1.1 +- 0.14 | 1, 1.2 | <= 2 | holds |" in text


def test_a_name_is_found_by_chance_or_by_likeness() -> None:
    caption, n = torch.arange(400)[:, None], 400
    assert emoji.among(torch.eye(n), caption) == 1.0
    assert emoji.among(1 - torch.eye(n), caption) == 0.0
    by_chance = emoji.among(torch.rand(n, n, generator=torch.Generator().manual_seed(1)), caption)
    assert by_chance == pytest.approx(0.1, abs=0.05)
    pairs = (torch.arange(n) // 2)[:, None]  # each name is there twice, and the other one is no mistake
    twin = torch.eye(n)[torch.arange(n) ^ 1]
    assert emoji.among(torch.eye(n) + 2 * twin, pairs) == 1.0


def test_every_proof_exists_and_every_recipe_has_one() -> None:
    for name, entry in proofs.PROOFS.items():
        module, _, function = entry.home.partition(":")
        assert callable(getattr(importlib.import_module(f"sparring.proofs.{module}"), function)), name
        assert set(entry.recipes) <= set(RECIPES)
    assert {f"mnist-{name}" for name in RUNGS} <= set(proofs.PROOFS)
    assert {recipe for entry in proofs.PROOFS.values() for recipe in entry.recipes} == set(RECIPES)


def test_the_command_lists_renders_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["prove", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("lines", "fgan", "Wasserstein"))
    assert cli.main(["prove", "linse"]) == 2
    assert "did you mean 'lines'" in " ".join(capsys.readouterr().err.split())
    assert cli.main(["prove", "lines", "--seeds", "0"]) == 2
    assert "seeds=0 must be at least 1" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "file").write_text("")
    assert cli.main(["prove", "lines", "--into", "file"]) == 2
    assert "into=file is not a folder" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "foreign.json").write_text("[1]")
    assert cli.main(["prove", "--render", "--into", "odd"]) == 2
    assert "not the result of a proof" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "proofs").mkdir()
    assert cli.main(["prove", "--render"]) == 0
    assert (tmp_path / "proofs.md").read_text().startswith("# Proofs")


def test_without_matplotlib_a_proof_keeps_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["lines"])
    assert set(draw.where_possible(lambda: {next(names): [draw.pulls(["hinge"])]})) == {"lines"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert draw.where_possible(lambda: {"lines": [draw.pulls(["hinge"])]}) == {}


def test_a_tone_is_named_by_its_pitch_and_noise_by_none() -> None:
    real = speech.whole(speech.tones(60, 1))
    assert torch.equal(speech.named(real["sound"]), real["label"])
    generator = torch.Generator().manual_seed(0)
    noise = (3000 * torch.randn(60, 1, speech.LENGTH, generator=generator)).to(torch.int16)
    assert float((speech.named(noise) == -1).float().mean()) > 0.95
    higher = torch.cat([real["sound"][:1, :, ::4]] * 4, 2)  # two octaves above: its pitch is not among the twelve
    assert int(speech.named(higher)[0]) == -1


def test_modes_of_triples_are_counted_from_what_the_judge_names() -> None:
    def run(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        number = images[:, :, 0, 0].long() @ torch.tensor([100, 10, 1])
        return number[:, None].float(), torch.nn.functional.one_hot(number, 1000).float()

    judge = Extractor("test", "", run)
    images = torch.zeros(3000, 3, 2, 2, dtype=torch.uint8)
    images[:, :, 0, 0] = torch.cartesian_prod(*[torch.arange(10)] * 3).repeat(3, 1)
    every = stacked.count(judge, images)
    assert (every.modes, every.kl) == (1000, pytest.approx(0.0, abs=1e-6))
    few = stacked.count(judge, images[:10])  # 000 to 009
    assert (few.modes, few.kl) == (10, pytest.approx(math.log(100), abs=1e-5))


def test_the_cells_of_the_ablation_differ_in_their_loss_alone() -> None:
    best = stacked.config_of(stacked.BEST, 7)
    for cell, (objective, both) in stacked.CELLS.items():
        config = stacked.config_of(cell, 7)
        assert set(config.penalty.chosen()) == ({"r1", "r2"} if both else {"r1"})
        assert config.objective == objective
        same = dataclasses.replace(config, objective=best.objective, penalty=best.penalty)
        assert same == best


def test_restored_pictures_are_measured_against_their_own_truth_and_held_to_their_task() -> None:
    def run(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        bright = images.float().flatten(1).mean(1) / 255
        return torch.stack([bright, 1 - bright], 1), torch.stack([1 - bright, bright], 1)

    judge, images = Extractor("test", "", run), torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    images[20:] = 200
    labels = torch.arange(40) // 20
    truth = restore.Truth(images, images, labels, judge, extract(judge, images))
    task = restore.FILLING
    right = restore.figures(images, task, truth)
    assert right["read rightly"] == 1
    assert right["Fréchet distance"] == pytest.approx(0, abs=1e-6)
    off = images.clone()
    off[:, :, 7:21, 7:21] += 51  # a quarter of the pixels by a fifth of the range
    found = restore.figures(off, task, truth)
    near = -10 * math.log10(0.25 * 0.2**2)
    assert found["PSNR over 28x28, dB"] == pytest.approx(near)
    framed = torch.nn.functional.pad(off - images, (2, 2, 2, 2)).double() / 255
    assert found["PSNR over 32x32, dB"] == pytest.approx(-10 * math.log10(float(framed.square().mean())))
    held = restore.claims_of(task, "case", [found], "held")
    assert [claim.held for claim in held] == [True] * 4
    dark = {**found, "PSNR over 32x32, dB": 12.0, "read rightly": 0.5}
    assert [claim.held for claim in restore.claims_of(task, "case", [found, dark], "held")] == [
        True,
        False,
        False,
        True,
    ]
    assert all(claim.held for claim in restore.claims_of(task, "case", [dark], "control"))
    assert not all(claim.held for claim in restore.claims_of(task, "case", [found], "control"))
    sheet = restore.sheet({"small": torch.zeros(12, 1, 7, 7, dtype=torch.uint8), "large": images[:12]})
    assert sheet.width > 12 * 56


def test_a_probe_holds_only_where_training_helped_on_every_seed() -> None:
    found = {(name, n): [2.0 * n, 3.0 * n] for name in ("pixels", "untrained") for n in semi.BUDGETS}
    found |= {("pixels", n): [9.0 * n, 9.0 * n] for n in semi.BUDGETS}
    found |= {("trained", n): [1.0 * n, 2.5 * n] for n in semi.BUDGETS}  # above the other seed's control
    assert all(claim.held for claim in semi.probe_claims("mnist", found))
    found["trained", 100] = [100.0, 300.0]
    assert not all(claim.held for claim in semi.probe_claims("mnist", found))
    found["trained", 100], found["pixels", 100] = [100.0, 250.0], [100.0, 900.0]  # a control that does not fail
    assert not all(claim.held for claim in semi.probe_claims("mnist", found))


def test_the_table_of_generated_pictures_says_who_knew_what() -> None:
    arms = {worth.REAL: (0.8, 0.7, 0.75), "+ 1 x generated": (0.9, 0.81, 0.855), worth.ALL: (0.97, 0.98, 0.975)}
    sets = [worth.Worth(100, 60_000, {arm: [values[i]] for arm, values in arms.items()}) for i in range(3)]
    real, made, every = worth_proof.rows_of(sets)
    assert [row[:2] for row in (real, made, every)] == [
        ["60,000", "100 real"], ["60,000", "+ 1 x generated"], ["60,000", "all real"],
    ]  # fmt: skip
    assert real[2:] == ["0.7500 +- 0.0289", "0.8000, 0.7000, 0.7500", "", ""]
    assert made[4].startswith("+0.1050 +- 0.0029: helps")
