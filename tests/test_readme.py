"""The README's commands and code are run, shortened; both languages hold the same ones."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import Objective, cli, show
from sparring.recipes import measured

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = (ROOT / "README.md").read_text(), (ROOT / "README.zh-CN.md").read_text()
SHORT = ["--rounds", "10", "--batch", "16", "--threads", "1", "--snapshots", "2", "--no-evaluate"]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands() -> list[list[str]]:
    lines = [line for block in blocks(ENGLISH, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("sparring")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader might be: with pictures, poems and an objective of their own."""
    (tmp_path / "my_pictures").mkdir()
    for i in range(40):
        Image.new("RGB", (30 + i, 40), (6 * i, 250 - 6 * i, 99)).save(tmp_path / "my_pictures" / f"{i}.jpg")
    words = ["moon", "frost", "home", "light", "bright"]
    lines = [" ".join(words[(i * j + j) % 5] for j in range(4)) for i in range(60)]
    (tmp_path / "my_poems.txt").write_text("\n".join(lines))
    (tmp_path / "my_reviews").mkdir()
    for mood in ("positive", "negative"):
        (tmp_path / "my_reviews" / f"{mood}.txt").write_text("\n".join(f"{line} {mood}" for line in lines))
    for i in range(40):
        (tmp_path / "my_sounds" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        tone = torch.sin(torch.arange(1500) * (0.1 + 0.01 * i))
        (tmp_path / "my_sounds" / "ab"[i % 2] / f"{i}.wav").write_bytes(
            show.wave_file((9000 * tone).to(torch.int16), 8000)
        )
    (own,) = (b for b in blocks(ENGLISH, "python") if b.startswith("# my_objective.py"))
    (tmp_path / "my_objective.py").write_text(own)
    (tmp_path / "plain.txt").write_text("it was a dark night and all the world lay asleep " * 80)
    words = (f"w{i} {' '.join(map(str, row))}\n" for i, row in enumerate(np.random.default_rng(0).normal(size=(60, 5))))
    (tmp_path / "english.vec").write_text("".join(words))
    np.savez(tmp_path / "made_elsewhere.npz", np.zeros((30, 8, 8), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_readme_works(words: list[str]) -> None:
    if "mnist" in words and not os.environ.get("SPARRING_DATA"):
        pytest.skip("SPARRING_DATA names no folder with mnist, and tests download nothing")
    arguments = words[1:]
    if "--minutes" in arguments:
        arguments = arguments[: arguments.index("--minutes")]
    if arguments[0] == "train":
        arguments += SHORT
    if arguments[0] == "augment":
        arguments += ["--seeds", "2", "--rounds", "5"]
    if arguments[0] == "prove" and "--list" not in arguments:
        arguments += ["--seeds", "1"]
    for run in (word for word in arguments if word.startswith("runs/")):
        judged = [word for word in SHORT if word != "--no-evaluate" or arguments[0] != "compare"]
        assert cli.main(["train", "cdcgan", *judged, "--name", run.removeprefix("runs/")]) == 0
    assert cli.main(arguments) == 0


@pytest.mark.usefixtures("folder")
def test_the_python_of_the_readme_works(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (b for b in blocks(ENGLISH, "python") if b.startswith("import sparring"))
    assert "rounds=2000" in code
    assert len([line for line in code.splitlines() if line]) <= 8
    exec(compile(code.replace("rounds=2000", "rounds=20, threads=1, snapshots=2"), "README.md", "exec"), {})
    assert "report.html" in capsys.readouterr().out


def test_the_convex_function_of_the_readme_passes_its_check() -> None:
    (code,) = (b for b in blocks(ENGLISH, "python") if b.startswith("# my_convex.py"))
    names: dict[str, object] = {}
    exec(compile(code, "my_convex.py", "exec"), names)  # raises when the check fails
    assert isinstance(names["objective"], Objective)


def test_ci_calls_the_commands_of_the_readme() -> None:
    first = blocks(ENGLISH, "sh")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    dry = subprocess.run(["make", "-n", "demo", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "sparring train cdcgan --data digits" in dry


def bare(text: str, language: str) -> list[str]:
    """Code without its comments, which are translated."""
    return [re.sub(r"\s*#.*", "", block) for block in blocks(text, language)]


def test_both_languages_have_the_same_code_links_and_figures() -> None:
    for language in ("sh", "python"):
        assert bare(ENGLISH, language) == bare(CHINESE, language)
    links = [set(re.findall(r"\]\(([^)]+)\)", text)) - {"README.md", "README.zh-CN.md"} for text in (ENGLISH, CHINESE)]
    assert links[0] == links[1]
    assert all((ROOT / link).exists() for link in links[0])
    files = [re.findall(r"^  (\w[\w.]*/?) ", text, re.M) for text in (ENGLISH, CHINESE)]
    assert files[0] == files[1]


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_file_tree_is_the_package() -> None:
    told = set(re.findall(r"^  (\w[\w.]*/?) ", ENGLISH, re.M))
    package = ROOT / "src" / "sparring"
    there = {p.name + "/" * p.is_dir() for p in package.iterdir() if p.name[0] not in "_." and p.name != "py.typed"}
    assert there == told


def test_every_figure_in_the_readme_is_a_measured_one() -> None:
    for text in (ENGLISH, CHINESE):
        table = text.split("<!-- figures -->")[1].split("<!-- /figures -->")[0]
        for name, found in measured().items():
            (row,) = [line for line in table.splitlines() if line.startswith(f"| `{name}`")]
            assert found["cost"].split(", ")[1].removesuffix(" CPU s") in row
            assert found["score"].split()[0] in row


def test_the_proofs_page_is_what_the_results_say() -> None:
    import sys

    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import prove
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    assert (ROOT / "docs" / "proofs.md").read_text() == prove.render()
    assert measured() == prove.measured()
