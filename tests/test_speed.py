"""The benchmark of speed: both sides train the same networks by the same losses; the page says what was measured."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparring.machine import isolated
from sparring.objectives import OBJECTIVES

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
try:
    from stopwatch import child, measure, page
    from stopwatch.cases import CASES, Case, parameters, source_of
    from stopwatch.ours import arithmetic_alone, engine_alone
    from stopwatch.plain import discriminator_loss, generator_loss, plain
finally:
    sys.path.remove(str(ROOT / "benchmarks"))

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (16,), "discriminator_hidden": (16,)},
    "r3": {"width": 8, "top": 8},
    "dcgan": {"width": 4, "discriminator_width": 4},
    "cyclegan": {"width": 8, "blocks": 1, "critic_width": 8},
}


def small(name: str) -> Case:
    case = CASES[name]
    classic = case.recipe == "dcgan" and case.preset != "tuned"  # of one size
    shape = case.shape if classic else (case.shape[0], 16, 16)
    settings = {**case.settings, **({} if classic else SMALL[case.recipe])}
    return replace(case, shape=shape, settings=settings, batch=min(case.batch, 4), samples=16)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with isolated():
        torch.set_num_threads(1)
        yield


@pytest.mark.parametrize("name", [name for name in CASES if name != "dcgan-28-apart"])
def test_both_sides_train_the_same_networks(name: str) -> None:
    case = small(name)
    source = source_of(case)
    counts = []
    for loop in (plain(case, source), engine_alone(case, source, threads=1)):
        before = {key: [p.detach().clone() for p in m.parameters()] for key, m in loop.modules.items()}
        next(loop.steps)
        for key, old in before.items():
            new = list(loop.modules[key].parameters())
            assert not old or any(not torch.equal(a, b) for a, b in zip(old, new, strict=True)), key
        counts.append(parameters(loop.modules))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["hinge", "non-saturating"])
def test_the_plain_losses_are_the_recipes(name: str) -> None:
    real, fake = torch.randn(2, 32)
    told = OBJECTIVES[name]
    ours = told.discriminator(real, fake).mean(), told.generator(torch.full_like(fake, torch.nan), fake).mean()
    torch.testing.assert_close((discriminator_loss(name, real, fake), generator_loss(name, fake)), ours)


@pytest.mark.parametrize("name", ["dcgan-28", "dcgan-28-tuned"])
def test_the_arithmetic_alone_does_what_the_engine_does(name: str) -> None:
    """The same number of operations in a round: nothing is left out of what the engine is held against."""
    from torch.utils.flop_counter import FlopCounterMode

    case, counts = small(name), []
    for make in (engine_alone, arithmetic_alone):
        loop = make(case, source_of(case), 1)
        with FlopCounterMode(display=False) as counter:
            next(loop.steps)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


def test_a_race_from_process_to_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(task: str, case: Case | None = None, **told: Any) -> dict[str, Any]:
        told |= {"case": small(case.name), "born": 0.0} if case else {}
        found: dict[str, Any] = json.loads(json.dumps(child.TASKS[task](**told)))
        return found

    monkeypatch.setattr(measure, "child", here)
    effort = replace(measure.QUICK, pairs=2, seconds=0.02, cases=("dcgan-28-tuned",))
    measure.run("race", effort, tmp_path)
    (found,) = json.loads((tmp_path / "race.json").read_text())["found"].values()
    assert found["plain"]["precision"] == ["float32"] * 2
    assert found["ours"]["memory"] > 2**20
    ratio = found["ratio images_per_second"]
    assert 0 < ratio["least"] <= ratio["median"] <= ratio["most"]
    text = page.section("race", tmp_path)
    assert "Quick: not a figure" in text
    assert f"| `dcgan-28-tuned` 28x28 | 64 | **{ratio['median']:.2f} (" in text


def test_a_process_of_its_own_measures() -> None:
    assert measure.child("environment")["torch"] == torch.__version__


def test_verdicts_follow_the_figures(tmp_path: Path) -> None:
    def spread(middle: float) -> dict[str, float]:
        return {"median": middle, "least": middle - 0.01, "most": middle + 0.01}

    def write(mode: str, found: Any) -> None:
        machine = {"processor": "P", "cores": 2, "torch": "2"}
        told = {"command": "c", "date": "d", "machine": machine, "load_before": 0, "effort": {"quick": False}}
        (tmp_path / f"{mode}.json").write_text(json.dumps({**told, "found": found}))

    write("start", {"sparring --help": spread(0.3), "sparring train mlp": spread(4.5), "python -c pass": spread(0.02)})
    write("overhead", {"dcgan-28": {"engine": spread(0.02), "recorded": spread(0.04)}})
    marks = "\n".join(f"<!-- speed:{m} -->\nold {m}\n<!-- /speed:{m} -->" for m in ("start", "overhead", "busy"))
    text = page.filled(f"before\n{marks}\nafter", tmp_path)
    assert "| `sparring --help` | 0.30 (0.29 to 0.31) | ≤ 0.4 s | holds |" in text
    assert "| `sparring train mlp` | 4.50 (4.49 to 4.51) | ≤ 4.0 s | **falls short** |" in text
    assert "| `dcgan-28` | 2.0% (1.0% to 3.0%) | 4.0% (3.0% to 5.0%) | ≤ 3 % | **falls short** |" in text
    assert f"*{page.EMPTY}:* `python benchmarks/speed.py busy`" in text
    assert "\nold" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert page.filled(text, tmp_path) == text


def test_the_page_is_what_the_results_say() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert all(f"<!-- speed:{mode} -->" in text for mode in measure.MODES)
    for name in page.PAGES:
        text = (ROOT / name).read_text()
        assert page.filled(text, ROOT / "docs" / "performance") == text


def test_the_plot_shows_every_case(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    ratio = {"median": 2.0, "least": 1.9, "most": 2.2}
    found = {n: {"ratio images_per_second": ratio, "case": {"target": c.target}} for n, c in CASES.items()}
    page.plot({"found": found, "machine": {"processor": "P", "cores": 2}}, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 5000
