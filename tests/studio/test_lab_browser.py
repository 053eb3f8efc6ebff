"""The lab and the tour as their user has them, in Chromium."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.studio.browser import Served, chromium, opened, shoot, studio

from sparring.doctor import CHECKS
from sparring.objectives import OBJECTIVES
from sparring.studio.lab.numbers import OFFERED
from sparring.studio.lab.sets import DRAWN, SETS
from sparring.studio.lab.sick import SICK

STEPS = 10


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with studio(tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("data")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def at(page: Any, served: Served, where: str) -> None:
    """A page of the studio, its lab awake."""
    page.wait_for_selector("#nav a")
    page.goto(f"{served.origin}/{where}")
    page.wait_for_selector(".lab-wait[hidden]", state="attached")


def holds(page: Any, expression: str, seconds: float = 90) -> None:
    """Waits for it from outside: the page's policy lets nobody evaluate strings within."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression} did not come to hold"
        page.wait_for_timeout(50)


def rounds(page: Any, least: int) -> None:
    holds(page, f"Number(document.querySelector('.lab-rounds').dataset.rounds) >= {least}")


def measure(page: Any, name: str) -> float:
    return float(page.inner_text(f'[data-value="{name}"]').split("/")[0])


def test_the_lab_is_broken_named_and_cured(served: Served, browser: Any) -> None:
    with opened(browser, served.address, 1240, 900) as page:
        at(page, served, "#/lab")
        page.click('[data-sick="collapse"]')
        page.wait_for_selector('.lab-finding[data-kind="mode collapse"]', timeout=120_000)
        assert "samples are alike" in page.inner_text(".lab-what").lower()
        assert measure(page, "modes") <= 3
        assert page.input_value('[data-setting="objective"]') == "minimax"
        assert "--objective minimax" in page.inner_text(".lab-command")
        shoot(page, "lab-broken")
        page.click('.lab-finding[data-kind="mode collapse"] [data-cure="anew"]')
        holds(page, "document.querySelector('[data-setting=objective]').value === 'relativistic'")
        rounds(page, 300)
        holds(page, "parseInt(document.querySelector('[data-value=modes]').textContent) >= 7")
        assert page.locator(".lab-finding").count() == 0


def test_a_distribution_is_drawn_by_mouse_and_by_keys(served: Served, browser: Any) -> None:
    with opened(browser, served.address) as page:
        at(page, served, "#/lab")
        page.click('[data-set="drawn"]')
        box = page.locator(".lab-plane").bounding_box()
        page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.25 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.25 * box["height"], steps=8)
        page.mouse.up()
        page.wait_for_selector('[data-set="drawn"][aria-pressed="true"]')
        page.focus(".lab-plane")
        for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Space"):
            page.keyboard.press(key)
        holds(page, "document.querySelector('.lab-plane').getAttribute('aria-label').includes('10 points')")
        page.click('[data-do="step.both"]')
        rounds(page, 1)
        assert not page.is_visible('[data-chart="modes"]')


def test_a_setting_that_cannot_be_is_told_and_taken_back(served: Served, browser: Any) -> None:
    with opened(browser, served.address) as page:
        at(page, served, "#/lab")
        page.fill('[data-setting="penalty.r1"]', "-3")
        page.keyboard.press("Tab")
        page.wait_for_selector(".lab-trouble:not([hidden])")
        assert "penalty.r1=-3 is out of range" in page.inner_text(".lab-trouble")
        holds(page, "document.querySelector('[data-setting=\"penalty.r1\"]').value === '0.1'")
        page.select_option('[data-setting="objective"]', "kl")
        holds(page, "document.querySelector('.lab-command').textContent.includes('--objective kl')")
        assert page.is_hidden(".lab-trouble")


def test_every_step_of_the_tour_by_keys_in_both_languages(served: Served, browser: Any) -> None:
    titles: dict[str, list[str]] = {"en": [], "zh": []}
    for language, told in titles.items():
        with opened(browser, served.address, language=language) as page:
            at(page, served, "#/tour")
            for number in range(1, STEPS + 1):
                page.wait_for_selector(f'.tour-dots [aria-current="step"]:text-is("{number}")')
                told.append(page.inner_text(".tour-text h1"))
                assert "tour." not in page.inner_text(".tour-text")
                if number in (1, STEPS):
                    page.keyboard.press("p")
                    rounds(page, 1)
                page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowLeft")
            page.wait_for_selector(f'.tour-dots [aria-current="step"]:text-is("{STEPS - 1}")')
            # in the other language the same step goes on
            page.click("#language")
            page.wait_for_selector(f'.tour-dots [aria-current="step"]:text-is("{STEPS - 1}")')
    assert all(len(set(told)) == STEPS for told in titles.values())
    assert titles["en"][6] == "Mode collapse"
    assert titles["zh"][6] == "模式崩溃"
    assert not set(titles["en"]) & set(titles["zh"])


def test_a_step_s_lab_is_set_to_it_and_fits_a_phone(served: Served, browser: Any) -> None:
    with opened(browser, served.address, 390, 800) as page:
        at(page, served, "#/tour/6")
        page.wait_for_selector('.lab-finding[data-kind="vanishing gradient"]', timeout=120_000)
        assert measure(page, "js") > 0.69
        assert measure(page, "push") < 1e-4
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.set_viewport_size({"width": 1240, "height": 860})
        shoot(page, "tour")


def test_everything_has_its_words_in_both_languages(served: Served, browser: Any) -> None:
    with opened(browser, served.address) as page:
        page.wait_for_selector("#nav a")
        keys = [
            *(f"lab.objective.{name}" for name in OBJECTIVES), *(f"lab.set.{name}" for name in OFFERED),
            *(f"lab.data.{name}" for name in [*SETS, DRAWN]), *(f"lab.sick.{name}" for name in SICK),
            *(f"finding.{kind}" for kind in CHECKS if kind != "classes missing"),
            *(f"tour.{n}.{part}" for n in range(1, STEPS + 1) for part in ("title", "text", "try", "act1", "see")),
        ]  # fmt: skip
        found = page.evaluate(
            """async (keys) => {
              const words = await import("/static/strings.js");
              await import("/static/lab_words.js");
              await import("/static/findings.js");
              await import("/static/tour_words.js");
              const missing = [];
              for (const name of ["en", "zh"]) {
                words.setLanguage(name);
                for (const key of keys) if (words.t(key) === key) missing.push(name + ": " + key);
              }
              words.setLanguage("en");
              return { missing, lacking: words.lacking() };
            }""",
            keys,
        )
        assert found == {"missing": [], "lacking": []}, json.dumps(found, ensure_ascii=False)
