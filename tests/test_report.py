from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sparring.config import UserError
from sparring.report import curves, pictures, write_report
from tests.studio.browser import chromium

EVIL = '</script><script>alert("1")</script><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """What a browser would see of a report."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.feed(self.html)
        self.data = json.loads(self.raw["script"][0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.raw:
            self.raw[self._inside].append(data)
        else:
            self.text += data

    def frames(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


def picture(seed: int, size: tuple[int, int] = (20, 30), mode: str = "L") -> Image.Image:
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, *channels), dtype=np.uint8))


def losses(round_: int, **values: float) -> dict[str, Any]:
    values = values or {"discriminator/objective": 1.3, "discriminator/real score": 0.4, "generator/objective": 0.7}
    return {"event": "losses", "round": round_, "images": 64 * round_, "seconds": round_ / 9, "values": values}


def samples(run: Path, round_: int, sheet: Image.Image, columns: int = 3, rows: int = 2) -> dict[str, Any]:
    name = f"samples/{round_:08d}.png"
    (run / "samples").mkdir(exist_ok=True)
    sheet.save(run / name)
    return {
        "event": "samples",
        "round": round_,
        "images": 64 * round_,
        "file": name,
        "columns": columns,
        "rows": rows,
    }


def write_events(run: Path, *events: dict[str, Any]) -> None:
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def write_config(run: Path, **about: Any) -> Path:
    run.mkdir(exist_ok=True)
    config = {"format": 1, "sparring": "0.1.0", "recipe": "dcgan", "preset": "tuned", "model": {"rounds": 200}}
    config |= {"data": {"data": "toy"}, "how": {"seed": 0}, "about": {"name": "toy", "classes": [], **about}}
    (run / "config.json").write_text(json.dumps(config))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A small complete run of three classes."""
    folder = write_config(tmp_path / "run", classes=["cat", "dog", "owl"], prior=[0.5, 0.25, 0.25])
    (folder / "environment.json").write_text('{"device": "cpu", "threads": 2, "torch": "2.6"}')
    evaluation = {
        "round": 200,
        "samples": 1000,
        "extractor": {"name": "judge of toy", "accuracy": 0.9955},
        "metrics": {
            "frechet distance": {"value": 0.1012, "floor": 0.048, "times_floor": 2.108, "better": "lower"},
            "recall": {"value": 0.9, "floor": 0.95, "better": "higher"},
            "kernel distance": None,
        },
        "classes": {"names": ["cat", "dog", "owl"], "shares": [0.6, 0.3, 0.1], "kl": 0.1},
        "floor": "1000 real training samples",
    }
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    sheets = [samples(folder, i, picture(i)) for i in (0, 100, 200)]
    start, done = {"event": "start", "round": 0, "time": "2026-01-02T03:04:05"}, {"event": "done", "round": 200}
    write_events(folder, start, sheets[0], losses(100), sheets[1], losses(200), sheets[2], done)
    return folder


def test_a_complete_run_is_told_whole(run: Path) -> None:
    path = write_report(run)
    page = Page(path)
    assert path == run / "report.html"
    for words in ("dcgan on toy", "2.11× floor", "0.0480", "0.95×", "lower is better", "60.0%", "1000 real training"):
        assert words in page.text
    assert page.data["snapshots"] == [0, 100, 200]
    assert page.data["rounds"] == [100, 200]
    assert [len(chart) for chart in page.data["charts"]] == [1, 1, 1]
    assert {p.name for p in run.iterdir()} >= {"grid.png", "learning.gif"}
    assert not [p for p in run.iterdir() if p.name.startswith(".")]


def test_the_page_draws_its_curves_beside_what_the_doctor_found(run: Path) -> None:
    found = {"event": "finding", "kind": "plateau", "round": 100, "since": 100, "what": "no", "remedy": "yes"}
    events = (run / "events.jsonl").read_text().splitlines()
    (run / "events.jsonl").write_text("\n".join([*events[:-1], json.dumps({**found, "evidence": {}}), events[-1], ""]))
    path = write_report(run)
    assert "plateau" in Page(path).text
    with chromium() as browser:
        page, wrong = browser.new_page(), list[str]()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.as_uri())
        drawn = page.evaluate("[...document.querySelectorAll('.chart svg')].map((svg) => svg.children.length)")
        assert wrong == []
        assert len(drawn) == len(Page(path).data["charts"])
        assert all(count > 5 for count in drawn)


def test_the_page_loads_nothing(run: Path) -> None:
    page = Page(write_report(run))
    loading = ("src", "href", "srcset", "data", "action", "poster", "background", "formaction", "xlink:href")
    urls = [value or "" for _, attributes in page.tags for name, value in attributes.items() if name in loading]
    assert urls
    assert all(url.startswith("data:") for url in urls)
    assert not re.search(r"url\(|@import", "".join(page.raw["style"]))
    assert not re.search(r"//|fetch\(|XMLHttp|import\(|WebSocket|sendBeacon|new Image|eval\(", page.raw["script"][1])
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a) or ""
    digest = base64.b64encode(hashlib.sha256(page.raw["script"][1].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "{{" not in page.html


def test_words_of_the_run_cannot_break_out(run: Path) -> None:
    write_config(run, name=EVIL, classes=[EVIL, "b", "c"], notes=[EVIL], prior=[0.5, 0.25, 0.25])
    (run / "environment.json").write_text(json.dumps({"device": EVIL, EVIL: EVIL}))
    evaluation = json.loads((run / "evaluation.json").read_text())
    evaluation["classes"]["names"][0] = evaluation["floor"] = evaluation["extractor"]["name"] = EVIL
    evaluation["metrics"][EVIL] = {"value": 1, "better": EVIL}
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    sheet = samples(run, 0, picture(0))
    write_events(run, sheet, losses(100, **{EVIL: 1.0, f"{EVIL}/score": 2.0, "\ud800": 3.0}), losses(200))
    page = Page(write_report(run))
    names = [tag for tag, _ in page.tags]
    assert names.count("script") == 2
    assert names.count("img") == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.text.count(EVIL) >= 6
    assert set(page.data) == {"snapshots", "rounds", "charts"}
    assert not re.search(r"[<>&]|alert", page.raw["script"][0])


def test_words_that_look_like_placeholders_stay_words(run: Path) -> None:
    write_config(run, name="{{data}} {{nothing}}")
    assert "dcgan on {{data}} {{nothing}}" in Page(write_report(run)).text


@pytest.mark.parametrize("missing", ["environment.json", "evaluation.json", "events.jsonl", "samples"])
def test_missing_parts_are_left_out(run: Path, missing: str) -> None:
    if missing == "samples":
        for path in (run / "samples").iterdir():
            path.unlink()
    else:
        (run / missing).unlink()
    page = Page(write_report(run))
    pictures = missing not in ("samples", "events.jsonl")
    assert bool(page.frames()) is pictures
    assert (run / "grid.png").exists() is pictures
    assert ("Not judged yet" in page.text) is (missing == "evaluation.json")
    assert ("No losses recorded yet" in page.text) is (missing == "events.jsonl")


@pytest.mark.parametrize(
    "nulls", ['{"metrics": null}', '{"classes": null, "metrics": {"recall": {"value": null}}}', "{}"]
)
def test_an_evaluation_may_have_holes(run: Path, nulls: str) -> None:
    (run / "evaluation.json").write_text(nulls)
    page = Page(write_report(run))
    assert "dcgan on toy" in page.text
    assert "Share of each class" not in page.text


def test_points_have_numbers_without_floors(run: Path) -> None:
    (run / "evaluation.json").write_text('{"modes": 8, "high quality share": 0.91}')
    text = Page(write_report(run)).text
    assert "Centres of the data" in text
    assert "0.910" in text
    assert "At 1× the floor" not in text


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["config", "environment", "evaluation"])
def test_json_of_the_wrong_kind_is_named(run: Path, name: str) -> None:
    (run / f"{name}.json").write_text("[1]")
    with pytest.raises(UserError, match=rf"{name}\.json holds a list"):
        write_report(run)


def test_a_torn_last_line_and_numbers_that_are_none_do_not_matter(run: Path) -> None:
    bad = '{"event": "losses", "round": 200, "values": {"a/b": NaN, "a/c": Infinity, "a/d": "x", "a/e": 2}}'
    lines = [
        json.dumps(losses(100, **{"a/b": 1.0})),
        bad,
        "nonsense",
        '{"event": "losses", "round": "x"}',
        '{"event":"lo',
    ]
    (run / "events.jsonl").write_text("\n".join(lines))
    page = Page(write_report(run))
    assert page.data["rounds"] == [100, 200]
    assert [line["values"] for line in page.data["charts"][0]] == [[1.0, None], [None, None], [None, None], [None, 2.0]]


def test_what_a_resume_did_again_is_told_once(run: Path) -> None:
    resume = {"event": "resume", "round": 100, "time": "2026-01-02T04:00:00"}
    write_events(
        run, losses(100), losses(150), losses(200), resume, losses(140), losses(180, **{"generator/objective": 9.0})
    )
    page = Page(write_report(run))
    assert page.data["rounds"] == [100, 140, 180]
    assert page.data["charts"][-1][0]["values"] == [0.7, 0.7, 9.0]
    assert "180of 200, no end recorded yet" in page.text


def test_long_curves_are_thinned_to_means(run: Path) -> None:
    write_events(run, *(losses(i, **{"a/b": float(i % 2)}) for i in range(1, 4001)))
    page = Page(write_report(run))
    values = page.data["charts"][0][0]["values"]
    assert len(values) == len(page.data["rounds"]) <= curves.POINTS
    assert page.data["rounds"][-1] == 4000
    assert np.mean(values) == pytest.approx(0.5)


def test_many_snapshots_keep_the_first_and_the_last(run: Path) -> None:
    write_events(run, *(samples(run, i, picture(i)) for i in range(130)))
    page = Page(write_report(run))
    shown = page.data["snapshots"]
    assert len(shown) == len(page.frames()) == pictures.FRAMES
    assert (shown[0], shown[-1]) == (0, 129)
    assert max(np.diff(shown)) - min(np.diff(shown)) <= 1
    assert [("hidden" in frame) for frame in page.frames()] == [True] * (pictures.FRAMES - 1) + [False]
    with Image.open(run / "learning.gif") as animation:
        assert animation.n_frames == pictures.FRAMES
        animation.seek(animation.n_frames - 1)
        assert animation.info["duration"] == 2000


def test_heavy_snapshots_become_fewer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "EMBEDDED", 100_000)
    write_events(run, *(samples(run, i, picture(i, (60, 90), "RGB")) for i in range(20)))
    page = Page(write_report(run))
    sizes = [len(frame["src"] or "") for frame in page.frames()]
    assert 60_000 < sum(sizes) < 110_000
    assert (page.data["snapshots"][0], page.data["snapshots"][-1]) == (0, 19)


def test_the_animation_shrinks_until_it_fits(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_events(run, *(samples(run, i, picture(i, (60, 90))) for i in range(40)))
    write_report(run)
    free = (run / "learning.gif").stat().st_size
    monkeypatch.setattr(pictures, "ANIMATED", free // 2)
    write_report(run)
    assert (run / "learning.gif").stat().st_size <= free // 2


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_the_grid_is_enlarged_by_a_whole_number(run: Path, mode: str) -> None:
    sheet = picture(1, (20, 30), mode)
    write_events(run, samples(run, 0, picture(0, (20, 30), mode)), samples(run, 1, sheet))
    write_report(run)
    with Image.open(run / "grid.png") as grid:
        assert grid.size == (1200, 800)
        assert np.array_equal(np.asarray(grid)[::40, ::40], np.asarray(sheet))
        assert np.array_equal(np.asarray(grid)[39::40, 39::40], np.asarray(sheet))


def test_plots_stay_as_they_are_and_huge_pictures_shrink(run: Path) -> None:
    write_events(run, samples(run, 0, picture(0, (48, 48), "RGB"), columns=1, rows=1))
    write_report(run)
    with Image.open(run / "grid.png") as plot:
        assert plot.size == (48, 48)
    write_events(run, samples(run, 0, Image.new("L", (3000, 1500)), columns=10, rows=5))
    page = Page(write_report(run))
    with Image.open(io.BytesIO(base64.b64decode((page.frames()[0]["src"] or "").partition(",")[2]))) as embedded:
        assert embedded.size == (1024, 512)


def test_pictures_that_cannot_be_trusted_are_passed_over(run: Path, tmp_path: Path) -> None:
    good = [samples(run, i, picture(i)) for i in (0, 1)]
    torn, bomb = samples(run, 2, picture(2)), samples(run, 3, picture(3))
    whole = (run / torn["file"]).read_bytes()
    (run / torn["file"]).write_bytes(whole[: len(whole) // 2])
    header = b"IHDR" + 2 * (20_000).to_bytes(4, "big") + whole[24:29]
    checksum = zlib.crc32(header).to_bytes(4, "big")
    (run / bomb["file"]).write_bytes(whole[:12] + header + checksum + whole[33:])
    picture(4).save(tmp_path / "secret.png")
    outside = {**good[0], "round": 4, "file": "../secret.png"}
    absent = {**good[0], "round": 5, "file": "samples/no.png"}
    write_events(run, *good, torn, bomb, outside, absent, {"event": "samples", "round": 6})
    assert Page(write_report(run)).data["snapshots"] == [0, 1]


@pytest.mark.parametrize(
    ("about", "shown"), [({}, True), ({"invented": True}, False), ({"classes": ["cat", "dog"]}, False)]
)
def test_columns_are_named_only_where_each_is_a_class(run: Path, about: dict[str, Any], shown: bool) -> None:
    write_config(run, **{"classes": ["cat", "dog", "owl"], **about})
    page = Page(write_report(run))
    assert any(attributes.get("class") == "classes" for _, attributes in page.tags) is shown


def test_commands_name_the_run_as_a_shell_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_config(tmp_path / "my run")
    monkeypatch.chdir(tmp_path)
    text = Page(write_report(run)).text
    for verb in ("resume", "sample", "evaluate"):
        assert f"sparring {verb} 'my run'" in text
    assert str(tmp_path) not in text


def test_controls_have_names(run: Path) -> None:
    page = Page(write_report(run))
    controls = [attributes for tag, attributes in page.tags if tag in ("button", "input")]
    assert len(controls) == 2
    assert all(attributes.get("aria-label") for attributes in controls)
    assert all(frame["alt"] for frame in page.frames())
    assert all(a.get("aria-label") or a.get("aria-hidden") for tag, a in page.tags if tag == "svg")


def test_writing_again_gives_the_same_bytes(run: Path) -> None:
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
