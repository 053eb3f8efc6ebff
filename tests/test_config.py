from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sparring.config import UserError, Withheld, from_json, no_outside_code, read_json, resolve, to_json


@dataclass(frozen=True)
class Inner:
    lr: float = 0.1


@dataclass(frozen=True)
class Outer:
    name: str = "x"
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)
    limit: int | None = None


def test_json_round_trip_is_exact() -> None:
    value = Outer("y", (3,), Inner(2e-4), 7)
    assert from_json(Outer, to_json(value), "here") == value
    assert to_json(value) == {"name": "y", "sizes": [3], "inner": {"lr": 2e-4}, "limit": 7}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nmae": "z"}, r"here: nmae: .* \(did you mean 'name'\?\)"),
        ({"inner": {"lrr": 1}}, r"inner\.lrr: .* \(did you mean 'lr'\?\)"),
        ({"sizes": ["a"]}, r"sizes\.0: .*integer.*'a'"),
        ({"limit": "lots"}, r"limit: .*'lots'"),
    ],
)
def test_mistakes_are_named_by_their_path(values: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_json(Outer, values, "here")


def test_resolve_finds_names_modules_and_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("thing = 42\n_hidden = 1\n")
    assert resolve("one", {"one": 1}, "setting") == 1
    assert resolve("math:pi", {}, "setting") == pytest.approx(3.14159, abs=1e-5)
    assert resolve(f"{file}:thing", {}, "setting") == 42
    file.write_text("thing = 43\n")
    assert resolve(f"{file}:thing", {}, "setting") == 43


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hing", r"setting: 'hing' is not one of hinge \(did you mean 'hinge'\?\)\. Your own goes as"),
        ("zzz", r"'zzz' is not one of hinge\. Your own"),
        ("nowhere.py:x", "there is no file"),
        ("no_such_module_at_all:x", "importing no_such_module_at_all failed: ModuleNotFoundError"),
        ("math:pie", r"math has no 'pie' \(did you mean 'pi'\?\)"),
        (":x", "not one of"),
    ],
)
def test_resolve_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve(text, {"hinge": 1}, "setting")


def test_a_broken_file_is_told_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(UserError, match="ZeroDivisionError"):
        resolve(f"{tmp_path / 'broken.py'}:x", {}, "setting")


def test_without_trust_nothing_is_imported_and_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')\n")
    with no_outside_code():
        value = resolve(f"{tmp_path / 'evil.py'}:x", {"hinge": 1}, "objective")
        assert resolve("hinge", {"hinge": 1}, "objective") == 1
    assert isinstance(value, Withheld)
    with pytest.raises(UserError, match=r"objective=.*does not execute"):
        _ = value.generator


def test_unreadable_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{")
    for path, message in ((tmp_path / "x.json", "not valid JSON"), (tmp_path / "y.json", "there is no file")):
        with pytest.raises(UserError, match=message):
            read_json(path)
