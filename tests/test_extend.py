"""The code of docs/extend.md is run as its reader would run it, its trainings shortened."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from sparring import Objective, cli
from sparring.config import resolve
from sparring.doctor import Record
from sparring.doctor.record import Series

PAGE = (Path(__file__).parent.parent / "docs" / "extend.md").read_text()
BLOCKS = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.S)
SHORT = ["--rounds", "12", "--batch", "16", "--threads", "1", "--snapshots", "2", "--no-evaluate"]
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    for line in block.splitlines()
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page's files lie, under their names."""
    for name, code in BLOCKS:
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_page_has_all_parts_and_no_other_code() -> None:
    assert len(BLOCKS) == PAGE.count("```python") == 7
    assert {name for name, _ in BLOCKS} >= {
        f"my_{part}.py" for part in ("objective", "recipe", "source", "metric", "check")
    }
    assert all(words[0] == "sparring" for words in COMMANDS)


def test_every_command_works_and_then_the_scripts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in COMMANDS:
        assert cli.main(words[1:] + (SHORT if words[1] == "train" else [])) == 0, words
    assert isinstance(resolve("my_objective.py:objective", {}, "objective"), Objective)
    assert len([*(folder / "runs").iterdir()]) == 5
    capsys.readouterr()
    for name in ("my_metric.py", "look.py"):
        code = (folder / name).read_text()
        try:
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
        finally:
            sys.modules.pop("my_check", None)
    made, floor = re.findall(r": ([\d.]+) \+- ", capsys.readouterr().out)
    assert float(made) > 1.2 * float(floor) > 0  # after 12 rounds samples are nowhere near


def test_the_check_speaks_and_keeps_silent(folder: Path) -> None:
    too_sure = resolve("my_check.py:too_sure", {}, "check")
    rounds = range(10, 101, 10)
    sure, beaten = (Record(100, 0, {"told apart": Series(rounds, [share] * 10)}) for share in (0.99, 0.7))
    assert too_sure(sure).kind == "too sure"  # type: ignore[operator]
    assert too_sure(sure).since == 30  # type: ignore[operator]
    assert too_sure(beaten) is None  # type: ignore[operator]
    from sparring.doctor import diagnose

    mine = resolve("my_check.py:MINE", {}, "checks")
    assert [found.kind for found in diagnose(sure, mine)] == ["too sure"]  # type: ignore[arg-type]
    assert diagnose(sure) == []
