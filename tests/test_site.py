"""The documentation as a site: it builds without a warning, needs no network, and says what the files say."""

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from sparring.recipes import RECIPES, find, measured
from sparring.studio.form import settings_of
from tests.studio.browser import chromium

ROOT = Path(__file__).parent.parent
if find_spec("mkdocs") is None or find_spec("material") is None or find_spec("mkdocstrings") is None:
    pytest.skip("mkdocs-material is not installed: pip install -e '.[docs]'", allow_module_level=True)


def hook(name: str) -> ModuleType:
    spec = spec_from_file_location(f"docs_{name}", ROOT / "docs" / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    assert "mkdocs build --strict" in (ROOT / "Makefile").read_text()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Fetched(HTMLParser):
    """What a browser would fetch for a page, and the text that it would show."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched, self.text = list[str](), ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        fetches = tag in ("script", "img", "iframe", "source") or (tag == "link" and named.get("rel") != "canonical")
        self.fetched += [named[key] or "" for key in ("src", "href") if fetches and key in named]

    def handle_data(self, data: str) -> None:
        self.text += data


def pages(site: Path) -> Iterator[Path]:
    return (path for path in site.rglob("*.html") if path.name != "404.html")


def test_every_page_is_there_and_fetches_only_its_own_files(site: Path) -> None:
    made = {str(path.relative_to(site).with_suffix("")) for path in pages(site)}
    assert {f"systems/{name}" for name in RECIPES} | {"index", "extend", "tour/en", "tour/zh", "api/testing"} <= made
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= made
    for path in pages(site):
        for address in filter(None, Fetched(path).fetched):
            assert not re.match(r"\w+:|//", address) or address.startswith("data:"), f"{path}: {address}"
            assert (path.parent / address.partition("?")[0]).exists(), f"{path}: {address}"
    assert not (site / "hooks").exists()


@pytest.mark.parametrize("name", ["cdcgan", "pix2pix", "sequence"])
def test_a_page_of_a_system_says_what_the_files_say(site: Path, name: str) -> None:
    source = (site / "systems" / f"{name}.html").read_text(encoding="utf-8")
    text = html.unescape(Fetched(site / "systems" / f"{name}.html").text)
    recipe = find(name)
    assert (recipe.__doc__ or "").splitlines()[0] in text
    for line in re.findall(r"^    (sparring \S+ \S+ --data \S+)", recipe.__doc__ or "", re.M):
        assert line in text
    for preset in recipe.PRESETS.values():
        assert all(f"--{entry.name.replace('_', '-')}" in text for entry in settings_of(preset, "model"))
    assert all(preset in text for preset in recipe.PRESETS)
    if name in measured():
        assert measured()[name]["score"] in text
    found = {path.stem: json.loads(path.read_text()) for path in (ROOT / "docs" / "proofs").glob("*.json")}
    mine = {"cdcgan": "mnist-cdcgan", "pix2pix": "filled", "sequence": "trigrams"}[name]
    verdict = {True: "holds", False: "falls short", None: "for reference"}[found[mine]["passed"]]
    assert re.search(rf"{re.escape(found[mine]['title'])}\s+{verdict}", text)
    anchor = re.search(r'proofs\.html#([^"]+)"', source)
    assert anchor is not None
    assert f'id="{anchor[1]}"' in (site / "proofs.html").read_text(encoding="utf-8")


def test_pictures_are_those_of_docs_and_of_systems_that_there_are() -> None:
    systems = hook("systems")
    assert set(systems.PICTURES) <= set(RECIPES)
    assert all((ROOT / "docs" / picture).is_file() for row in systems.PICTURES.values() for picture, _ in row)


def test_files_of_the_repository_become_pages_of_the_site(site: Path) -> None:
    systems = hook("systems")
    assert systems.site_page("src/sparring/objectives.py") == "api/objectives.md"
    assert systems.site_page("src/sparring/data/__init__.py") == "api/data.md"
    assert systems.site_page("src/sparring/recipes") == "systems/index.md"
    assert systems.site_page("src/sparring/cli.py") == "../src/sparring/cli.py"  # which mkdocs refuses
    index = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="systems/index.html"' in index
    assert "../src" not in index


def test_words_of_a_docstring_stay_words() -> None:
    systems = hook("systems")
    told = "\n".join(
        systems.told("Says <x, y>.\n\n    sparring train a   quick\n\n    loss   x * y\n\nSee docs/data.md.")
    )
    assert "Says &lt;x, y>." in told
    assert "```sh\nsparring train a   # quick\n" in told
    assert "```text\nloss   x * y\n```" in told
    assert "[docs/data.md](../data.md)" in told


def test_the_tour_is_the_studios_own(site: Path) -> None:
    tour = hook("tour")
    source = tour.WORDS.read_text(encoding="utf-8")
    for language in ("en", "zh"):
        words, text = tour.strings(source)[language], Fetched(site / "tour" / f"{language}.html").text
        told = [key for key in words if re.match(r"tour\.\d+\.", key)]
        assert len([key for key in told if key.endswith(".title")]) == 10
        for key in told:
            assert all(line in text for line in words[key].split("\n")), key
    assert '<html lang="zh"' in (site / "tour" / "zh.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="no longer holds"):
        tour.strings(source.replace('"tour.1.title"', '"tour.1.name"', 1))


def test_opened_as_a_file_it_is_searched_in_both_languages(site: Path) -> None:
    with chromium() as browser:
        page, strange = browser.new_page(), list[str]()
        page.on("request", lambda request: strange.append(request.url) if request.url.startswith("http") else None)
        page.on("pageerror", lambda error: strange.append(str(error)))
        for start, word, found in (("systems/ae", "jackknife", "Proofs"), ("index", "侦探", "十步导览")):
            page.goto((site / f"{start}.html").as_uri())
            page.click(".md-search__input")
            page.keyboard.type(word)
            page.wait_for_selector(f".md-search-result__item h1:has-text('{found}')", timeout=30_000)
        assert not strange
