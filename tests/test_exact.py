"""The proof of exactness: what its page says is what is on file, and a difference is called one."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def exact() -> ModuleType:
    spec = importlib.util.spec_from_file_location("exact", ROOT / "benchmarks" / "exact.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_says_what_is_on_file(exact: ModuleType) -> None:
    found = json.loads(exact.RESULT.read_text())
    assert exact.table(found) in exact.PAGE.read_text()
    for result in found.values():
        assert len(set(result.get("hashes", {"": ""}).values())) == 1


def test_a_difference_is_called_one(exact: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {"1 process": "00000200-aa", "2 processes": "00000200-aa"}
    assert "one hash, `00000200-aa`" in exact.table({"worlds": {"what": "w", "hashes": hashes}})
    monkeypatch.setattr(exact, "RESULT", tmp_path / "exact.json")
    monkeypatch.setattr(exact, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text("before\n<!-- exact -->\nold\n<!-- /exact -->\nafter\n")
    differing = {"worlds": {"what": "w", "hashes": {**hashes, "2 processes": "00000200-bb"}}}
    (tmp_path / "exact.json").write_text(json.dumps(differing))
    monkeypatch.setattr("sys.argv", ["exact.py", "render"])
    assert exact.main() == 1
    text = (tmp_path / "page.md").read_text()
    assert "they differ" in text
    assert text.startswith("before\n")
    assert text.endswith("<!-- /exact -->\nafter\n")
