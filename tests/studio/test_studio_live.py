"""The studio as it is used: a command of its own, real trainings, a real browser."""

import io
import json
import re
import runpy
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import tyro
from PIL import Image
from tests.studio.browser import SHOTS, Served, chromium, opened, shoot, studio
from tests.studio.test_studio_runs import losses, picture, written

from sparring.cli import main, parsed_plan
from sparring.config import UserError
from sparring.data import Data, open_data
from sparring.runs import only_one
from sparring.studio import form

SHORT = {"batch": "16", "snapshots": "8", "evaluate": "off", "threads": "1", "on_trouble": "ignore"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs, of which two are to be compared, and a folder of pictures."""
    root = tmp_path_factory.mktemp("studio")
    for number, name in enumerate(("first", "second")):
        run = written(root / "runs" / name, [], 400, model={"rounds": 400, "batch": 64, "generator": {"lr": number}})
        found = {
            "kind": "<img src=x onerror=alert(1)>",
            "what": "</script><script>alert(1)</script>",
            "remedy": "--x 1",
        }
        events = [{"event": "start", "round": 0, "time": "2026-01-01T10:00:00+0000"}]
        for at in range(0, 401, 40):
            events += [picture(run, at), losses(at + 1)]
            events += [{"event": "finding", "round": at, "since": at, **found}] if at == 200 else []
        (run / "events.jsonl").write_text(
            "".join(json.dumps(event) + "\n" for event in [*events, {"event": "done", "round": 400}])
        )
        metric = {
            "value": 2.0 - number / 2,
            "se": 0.1,
            "better": "lower",
            "floor": 1.0,
            "floor_se": 0.05,
            "times_floor": 2.0,
        }
        (run / "evaluation.json").write_text(json.dumps({"metrics": {"frechet distance": metric}}))
    for number in range(30):
        file = root / "data" / "pictures" / ("cats", "dogs")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((24, 24), 10 + number).save(file)
    return root


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Served]:
    with studio(place / "runs", place / "data") as made:
        yield made


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


def until(done: Callable[[], Any], seconds: float = 60) -> Any:
    """What `done` says as soon as it says something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := done():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


@pytest.mark.parametrize("recipe", ["dcgan", "text_translation"])
@pytest.mark.filterwarnings("ignore:get_parser")
def test_the_form_is_the_command_line(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, help and defaults are those that the parser itself has."""
    theirs: dict[str, str] = {}

    def parser(kind: Any, **more: Any) -> None:
        for action in tyro.extras.get_parser(kind, default=more["default"])._actions:
            name = next(text for text in action.option_strings if text.startswith("--"))[2:]
            theirs[name.replace("-", "_")] = " ".join((action.help or "").split())
        raise UserError("enough")

    with monkeypatch.context() as patched:
        patched.setattr(tyro, "cli", parser)
        with pytest.raises(UserError, match="enough"):
            parsed_plan(recipe, [])
    made = {entry["name"]: entry for entry in form.form(recipe, None)["settings"]}
    assert set(made) | {"help", "runs"} == set(theirs)
    for name, entry in made.items():
        assert theirs[name].startswith(entry["help"][:-1]), name
        shown = {"on": "True", "off": "False"}.get(entry["default"], entry["default"])
        assert f"(default: {shown}" in theirs[name], name
    values = {name: entry["default"] for name, entry in made.items()}
    assert form.check(recipe, None, values)["rounds"] == int(values["rounds"])


@pytest.mark.parametrize(
    ("settings", "field", "told"),
    [
        ({"rounds": "ten"}, "rounds", "invalid literal"),
        ({"rounds": "0"}, "rounds", "from 1 to"),
        ({"generator.lr": "nan"}, "generator.lr", ""),
        ({"generator.lr": "from=1"}, "generator.lr", "to=..."),
        ({"color": "blue"}, "color", "'gray'"),
        ({"objective": "hingee"}, "objective", "did you mean 'hinge'"),
        ({"objective": "os:system"}, "objective", "outside the package"),
        ({"objective": "mine.py:loss"}, "objective", "outside the package"),
        ({"data": "/etc"}, "data", "outside"),
        ({"labels": "../../labels.csv"}, "labels", "outside"),
        ({"data": "http://example.org/a.tar"}, "data", "outside"),
        ({"name": "a/b"}, "name", "without slashes"),
        ({"name": ".."}, "name", "without slashes"),
        ({"runs": "/tmp"}, None, "no setting 'runs'"),
        ({"ruonds": "1"}, None, "no setting 'ruonds'"),
        ({"discriminator_augment.diffaugment": "color --runs=/tmp"}, "discriminator_augment.diffaugment", "dashes"),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_command_line(
    client: httpx.Client, settings: dict[str, str], field: str | None, told: str
) -> None:
    answer = client.post("/api/check", json={"recipe": "dcgan", "settings": settings})
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert told in answer.json()["error"]
    assert "─" not in answer.json()["error"]


def test_a_training_is_begun_paused_gone_on_with_and_stopped(client: httpx.Client, place: Path, served: Served) -> None:
    (place / "data" / "torch.py").write_text("raise SystemExit('a file among the data was run')")
    asked = {"recipe": "mlp", "settings": {**SHORT, "rounds": "2000000", "name": "steered", "save_every": "3600"}}
    assert client.post("/api/start", json=asked).json() == {"name": "steered"}

    def row() -> dict[str, Any]:
        answer = client.get("/api/runs/steered").json()
        assert answer["row"]["status"] != "failed", answer
        found: dict[str, Any] = answer["row"]
        return found

    until(lambda: row()["status"] == "training" and (row()["round"] or 0) > 50)
    assert row()["left"] > 1
    assert client.post("/api/runs/steered/resume").status_code == 409
    assert client.post("/api/runs/steered/pause").status_code == 200
    until(lambda: row()["status"] == "paused")
    before = row()["round"]
    assert client.post("/api/runs/steered/resume").status_code == 200
    until(lambda: row()["status"] == "training" and row()["round"] > before)
    assert client.post("/api/runs/steered/stop").status_code == 200
    until(lambda: row()["status"] in ("interrupted", "paused"), 15)
    assert client.post("/api/runs/steered/stop").status_code == 409
    if Path("/proc").is_dir():
        assert "libtorch" not in Path(f"/proc/{served.process.pid}/maps").read_text()


def test_code_that_a_setting_names_is_not_run(
    client: httpx.Client, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mark, code = place / "data" / "ran", place / "data" / "mine.py"
    code.write_text(f"open({str(mark)!r}, 'w').close()\ndata = recipe = loss = None")
    answer = client.post("/api/start", json={"recipe": "mlp", "settings": {**SHORT, "data": "mine.py:data"}})
    assert (answer.status_code, answer.json()["field"]) == (400, "data")
    more = ["--runs", str(place / "runs"), "--threads", "1"]  # and if one came through to the process that trains
    for words in ([f"{code}:recipe"], ["mlp", "--data", f"{code}:data"], ["mlp", "--objective", f"{code}:loss"]):
        monkeypatch.setattr(sys, "argv", ["sparring", "train", *words, *more])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("sparring.studio.begin", run_name="__main__")
        assert ended.value.code == 2
        assert "outside the package" in capsys.readouterr().err
    assert not mark.exists()


def test_a_training_that_cannot_begin_says_why(client: httpx.Client) -> None:
    name = client.post("/api/start", json={"recipe": "mlp", "settings": {"data": "nothing-here"}}).json()["name"]
    job = until(lambda: (found := client.get(f"/api/runs/{name}").json()["job"])["status"] == "failed" and found)
    assert job["message"].startswith("data: 'nothing-here' is neither a folder or zip file")
    assert name in [entry["name"] for entry in client.get("/api/runs").json()["jobs"]]


def test_uploaded_pictures_are_looked_at_before_training(client: httpx.Client, place: Path) -> None:
    out = io.BytesIO()
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\2\0\0\0" + b"\0" * 99
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((place / "data" / "pictures").rglob("*.png")):
            archive.write(file, f"{file.parent.name}/{file.name}")
        archive.writestr("cats/bomb.png", bomb)
        archive.writestr("dogs/endless.png", b"\0" * 300_000_000)
        archive.writestr("../../out.png", bomb)
    made = client.post("/api/uploads", json={"name": "pets"}).json()["set"]
    data = client.put(f"/api/uploads/{made}/pets.zip", content=out.getvalue()).json()["data"]
    look = client.post("/api/inspect", json={"data": data, "size": "16"}).json()["look"]
    found = until(lambda: client.get(f"/api/inspect/{look}").json()["found"])
    assert found["files"]["good"] == 30
    assert {bad["file"].rpartition("/")[2] for bad in found["files"]["bad"]} >= {"bomb.png", "endless.png"}
    sheet = Image.open(io.BytesIO(client.get(f"/api/inspect/{look}/sheet.png").content))
    assert sheet.width > 100
    assert not list(place.rglob("out.png"))
    assert sum(len(entry["name"]) > 0 for entry in client.get("/api/data").json()["folders"]) == 1


def test_a_run_is_begun_from_the_form_and_watched_to_its_end(served: Served, browser: Any, place: Path) -> None:
    with opened(browser, served.address) as page:
        page.get_by_role("link", name="Train", exact=True).click()
        page.select_option("#recipe", "mlp")
        page.wait_for_selector("#field-rounds")
        page.fill("#field-rounds", "0")
        page.locator("#field-rounds").blur()
        page.wait_for_selector("#told-rounds:has-text('from 1 to')")
        page.wrong.clear()  # the browser notes that the studio refused this
        for name, value in {"rounds": "400", "name": "watched", "snapshots": "12", "threads": "1"}.items():
            page.eval_on_selector(f"#field-{name}", "node => node.closest('details')?.setAttribute('open', '')")
            page.fill(f"#field-{name}", value)
        page.uncheck("#field-evaluate")
        page.select_option("#field-on_trouble", "ignore")
        assert page.inner_text(".command").startswith("sparring train mlp --rounds 400 --name watched")
        page.click("#start")
        page.wait_for_selector(".status-training", timeout=120_000)
        page.wait_for_selector(".frame-a img[src]")
        page.wait_for_selector(".status-finished", timeout=120_000)
        page.wait_for_selector("#where:has-text('round 400')")  # it stays at the newest
        page.evaluate("const s = document.getElementById('slider'); s.value = 0; s.dispatchEvent(new Event('input'))")
        assert "round 0, 0 images" in page.inner_text("#where")
        assert "00000000.png" in page.get_attribute(".frame-a img", "src")
        assert (
            page.eval_on_selector(".frame-a img", "async image => { await image.decode(); return image.naturalWidth }")
            > 0
        )
        at = float(page.get_attribute(".chart .marker", "x1"))
        page.keyboard.press("Tab")
        page.locator("#slider").press("ArrowRight")
        assert "round 0," not in page.inner_text("#where")
        assert float(page.get_attribute(".chart .marker", "x1")) >= at
        curve = page.locator(".chart svg").first
        curve.click(position={"x": curve.bounding_box()["width"] / 2, "y": 60})
        assert 100 < int(re.sub(r"\D", "", page.inner_text("#where b").split(",")[0])) < 300
    assert (place / "runs" / "watched" / "samples" / "00000000.png").is_file()


@pytest.mark.parametrize(("language", "dark", "width"), [("en", False, 1240), ("zh", True, 1240), ("en", True, 390)])
def test_two_runs_side_by_side(served: Served, browser: Any, language: str, dark: bool, width: int) -> None:
    with opened(browser, served.address, width=width, language=language, dark=dark) as page:
        page.wait_for_selector("tr:has-text('second')")
        assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for run in ("first", "second"):
            page.locator(f"tr:has-text('{run}') input").check()
        page.get_by_role("button", name={"en": "Compare the two", "zh": "比较这两个"}[language]).click()
        page.wait_for_selector(".settings.two tr:has-text('generator.lr')")
        assert page.locator(".settings.two tbody tr").count() == 1
        page.wait_for_selector(".frame-b img[src]")
        page.evaluate(
            "const s = document.querySelector('input.wipe'); s.value = 25; s.dispatchEvent(new Event('input'))"
        )
        assert "25%" in page.eval_on_selector(".frame-b", "node => node.style.clipPath")
        before = page.locator(".finding").first
        page.evaluate("const s = document.getElementById('slider'); s.value = 2; s.dispatchEvent(new Event('input'))")
        assert "ahead" in before.get_attribute("class")  # the doctor's words belong to a later time
        assert "<img src=x onerror=alert(1)>" in before.inner_text()  # as text
        before.get_by_role("button").click()
        assert "ahead" not in before.get_attribute("class")
        assert "200" in page.inner_text("#where")
        page.select_option("#with", ":moment")  # of the same run: its first samples, wherever the slider stands
        page.wait_for_selector("#where span:has-text('0')")
        assert "00000000.png" in page.get_attribute(".frame-b img", "src")
        assert "00000200.png" in page.get_attribute(".frame-a img", "src")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_is_held_or_open_stays_while_a_run_goes_on(served: Served, browser: Any, place: Path) -> None:
    start = {"event": "start", "round": 0}
    runs = [written(place / "runs" / f"held-{number}", [start, losses(1)]) for number in range(3)]
    with opened(browser, served.address) as page, only_one(runs[0]), (runs[0] / "events.jsonl").open("a") as events:

        def told(number: int) -> None:
            events.write(json.dumps(losses(number)) + "\n")
            events.flush()

        for run in runs:
            page.locator(f"tr:has-text('{run.name}') input").check()
        chosen = "[...document.querySelectorAll('.runs input:checked')].map(each => each.closest('tr').innerText)"
        page.wait_for_function(f"{chosen}.length === 2")  # the third takes the place of the first
        assert not any("held-0" in row for row in page.evaluate(chosen))
        page.get_by_role("link", name="held-0").focus()
        told(50)
        page.wait_for_selector("tr:has-text('held-0'):has-text('50 of')")
        assert page.evaluate("document.activeElement.innerText") == "held-0"

        page.keyboard.press("Enter")
        page.wait_for_selector("#pause")
        page.get_by_text("Configuration", exact=True).click()
        told(60)
        page.wait_for_selector(".state:has-text('60 of')")
        assert page.locator(".details details[open] .settings").count() == 1
        page.select_option("#with", ":moment")  # no samples are drawn yet
        told(70)
        page.wait_for_selector(".state:has-text('70 of')")
        assert page.inner_text("#told") == ""


def test_an_empty_list_goes_on_asking_after_a_mistake(browser: Any, tmp_path: Path) -> None:
    with studio(tmp_path / "runs", tmp_path) as made, opened(browser, made.address) as page:
        page.wait_for_selector(".empty a")
        page.route("**/api/runs?*", lambda route: route.fulfill(status=500, body="{}"), times=1)
        page.wait_for_selector("[data-lost]")
        page.wrong.clear()  # the browser notes the mistake
        written(tmp_path / "runs" / "late", [losses(1)])
        page.wait_for_selector("tr:has-text('late')")


def test_what_was_changed_of_another_run_s_settings_is_kept_in_another_language(served: Served, browser: Any) -> None:
    with opened(browser, served.address) as page:
        page.goto(served.origin + "/#/new?like=first")
        page.wait_for_selector("#field-rounds", timeout=120_000)
        assert page.input_value("#field-rounds") == "400"
        page.fill("#field-rounds", "123")
        page.click("#language")
        page.wait_for_selector("h1:has-text('训练')")
        page.wait_for_selector("#field-rounds")
        assert page.input_value("#field-rounds") == "123"
        assert page.input_value("#recipe") == "mlp"


def test_every_word_is_there_in_both_languages(served: Served, browser: Any) -> None:
    with opened(browser, served.address) as page:
        page.wait_for_selector("tr:has-text('first')")
        found = page.evaluate(
            "async () => { for (const name of ['runs', 'run', 'new']) await import(`/static/${name}.js`);"
            " return (await import('/static/strings.js')).lacking() }"
        )
        assert found == []
        page.click("#language")
        page.wait_for_selector("h1:has-text('训练记录')")
        page.click("#language")
        page.wait_for_selector("h1:has-text('Runs')")
        page.goto(served.origin + "/#/nowhere")
        page.wait_for_selector(".problem:has-text('nowhere')")
        page.goto(served.origin + "/#/run/none")
        page.wait_for_selector(".problem")
        page.wrong.clear()  # that there is no such run


def test_pictures_chosen_in_the_page_are_looked_at(served: Served, browser: Any, place: Path) -> None:
    with opened(browser, served.address) as page:
        page.goto(served.origin + "/#/new")
        page.wait_for_selector("#field-rounds")
        page.set_input_files(
            "#files", [str(file) for file in sorted((place / "data" / "pictures" / "cats").glob("*.png"))]
        )
        page.wait_for_selector(".look img.sheet")
        assert (
            page.eval_on_selector("img.sheet", "async image => { await image.decode(); return image.naturalWidth }")
            > 100
        )
        assert page.input_value("#field-data").endswith("-1")
        page.click("#browse")
        page.get_by_role("button", name="pictures/").click()
        page.get_by_role("button", name="This folder").click()
        assert page.input_value("#field-data") == "pictures"


@pytest.mark.skipif(SHOTS is None, reason="SPARRING_SHOTS names no folder for screenshots")
def test_screens_for_the_documentation(browser: Any, tmp_path: Path) -> None:
    """Of real runs, one of which goes wrong."""
    for name, rate, rounds in (("usual-rates", "0.004", 1500), ("high-rate", "0.12", 600)):
        words = [
            "train",
            "dcgan",
            "--rounds",
            str(rounds),
            "--discriminator.lr",
            rate,
            "--name",
            name,
            "--threads",
            "1",
        ]
        assert main([*words, "--runs", str(tmp_path / "runs")]) == 0
    with studio(tmp_path / "runs", tmp_path) as served:
        for language, dark, width in (("en", False, 1240), ("zh", True, 1240), ("en", False, 390)):
            more = f"{'-zh' if language == 'zh' else ''}{'-phone' if width < 500 else ''}"
            with opened(browser, served.address, width=width, language=language, dark=dark) as page:
                page.wait_for_selector("tr:has-text('usual-rates')")
                page.wait_for_timeout(500)
                shoot(page, f"runs{more}")
                page.goto(served.origin + "/#/run/high-rate?with=usual-rates")
                page.wait_for_selector(".settings.two")
                page.wait_for_timeout(500)
                shoot(page, f"compare{more}", full_page=not more)


@pytest.mark.skipif(SHOTS is None, reason="SPARRING_SHOTS names no folder for screenshots")
def test_screens_of_the_form_for_the_documentation(browser: Any, tmp_path: Path) -> None:
    """Its own message at a field; a torn file and a copy among pictures."""
    folder = tmp_path / "data" / "my_pictures" / "digits"
    folder.mkdir(parents=True)
    splits = open_data(Data(data="digits"))
    for number, pixels in enumerate(splits["train"][torch.arange(120)]["image"]):
        Image.fromarray(pixels[0].numpy()).resize((32, 32)).save(folder / f"{number}.png")
    (folder / "torn.png").write_bytes((folder / "0.png").read_bytes()[:80])
    shutil.copy(folder / "1.png", folder / "copy.png")
    with studio(tmp_path / "runs", tmp_path / "data") as served:
        with opened(browser, served.address, height=1180) as page:
            page.goto(served.origin + "/#/new")
            page.wait_for_selector("#field-rounds")
            page.fill("#field-data", "my_pictures")
            page.fill("#field-rounds", "0")
            page.locator("#field-rounds").blur()
            page.wait_for_selector("#told-rounds:has-text('from 1 to')")
            page.wrong.clear()
            shoot(page, "train")
        with opened(browser, served.address, height=1880) as page:
            page.goto(served.origin + "/#/new")
            page.wait_for_selector("#field-rounds")
            page.fill("#field-data", "my_pictures")
            page.click("#look")
            page.wait_for_selector(".look img.sheet")
            page.wait_for_timeout(500)
            shoot(page, "look")
