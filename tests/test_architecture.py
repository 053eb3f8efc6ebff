"""The shape of the package: imports run downward only, and what exists once exists once."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SOURCE = Path(__file__).parent.parent / "src" / "sparring"

# From the bottom up; a module may import from its own line's left-hand sides only when they stand lower.
LAYERS = [
    ["__init__", "config", "files", "flags", "seeds"],
    ["schedules", "augment", "data", "hosts", "objectives", "pace", "penalties", "nn.layers"],
    ["optimizers", "average", "nn.dense", "nn.image", "nn.classic", "nn.pretrained", "nn.dino", "nn.likelihoods"],
    ["nn.pairs", "nn.residual", "nn.r3", "nn.autoencoder", "nn.translate", "nn.text", "nn.noisy", "nn.sequence"],
    ["nn.cipher", "nn.alignment", "nn.signal", "nn.style", "meeting"],
    ["nn.restore", "nn.video", "nn.waves"],
    ["game", "metrics", "runs", "doctor", "distributed"],
    ["engine"],
    ["duel", "machine", "checkpoint", "sampling", "show", "testing", "report", "restoring", "tiles", "translating"],
    ["sinks"],
    ["weights"],
    ["probes", "sheet", "snapshots", "writing", "restyling"],
    ["recipes", "self_supervised"],
    ["judge"],
    ["care"],
    ["training"],
    ["judging", "trial"],
    ["trained"],
    ["session"],
    ["worth", "export"],
    ["serve"],
    ["proofs"],
    ["studio"],
    ["cli_use", "cli_data", "cli_judge", "cli_doctor", "cli_export", "cli_serve", "cli_studio"],
    ["cli"],
    ["studio.form", "studio.begin"],
    ["__main__"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    named = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return named


def layer(module: str) -> int:
    while module not in RANK and "." in module:
        module = module.rpartition(".")[0]
    return RANK.get(module, -1)


def imports(path: Path) -> set[str]:
    """Modules of the package that run-time code imports, wherever in the file."""
    tree, found = ast.parse(path.read_text()), set()
    typing_only = {
        id(n)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for n in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only or not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module == "sparring":
            found |= {alias.name for alias in node.names if alias.name != "__version__"}
        elif node.module.startswith("sparring."):
            inner = node.module.removeprefix("sparring.")
            found |= {f"{inner}.{a.name}" if f"{inner}.{a.name}" in modules() else inner for a in node.names}
    return found


def test_every_module_has_a_place() -> None:
    packages = {"data", "nn", "metrics"}
    homeless = {m for m in modules() if layer(m) < 0 and m not in packages}
    assert not homeless


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_run_downward(module: str) -> None:
    for other in imports(modules()[module]):
        same_package = module.partition(".")[0] == other.partition(".")[0] and module.partition(".")[0] != "recipes"
        assert layer(other) < layer(module) or same_package, f"{module} imports {other}"


def test_no_recipe_imports_another_and_metrics_know_no_game() -> None:
    for module, path in modules().items():
        if module.startswith("recipes."):
            assert not {other for other in imports(path) if other.startswith("recipes")}
        if module.startswith("metrics"):
            assert not {other for other in imports(path) if other.partition(".")[0] in ("game", "engine", "recipes")}


def test_there_is_one_training_loop_and_no_pickle() -> None:
    for module, path in modules().items():
        text = path.read_text()
        assert module == "engine" or ".backward(" not in text, module
        assert module == "engine" or ".step()" not in text, module
        for word in ("import pickle", "torch.load(", "torch.save(", "eval(", "extractall("):
            allowed = word == "eval(" and text.count("eval(") == text.count(".eval(")
            lines = [line for line in text.splitlines() if word in line]
            allowed |= word == "torch.load(" and all("weights_only=True" in line for line in lines)
            assert word not in text or allowed, f"{module} has {word}"


def test_help_needs_no_torch() -> None:
    code = (
        "import sys, sparring.cli as c; c.main(['--help']); c.main(['recipes']); assert 'torch' not in sys.modules, 1"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_recipes_are_short() -> None:
    for module, path in modules().items():
        text = path.read_text()
        told = ast.get_docstring(ast.parse(text), clean=False) or ""
        if module.startswith("recipes."):
            assert len(text.splitlines()) - len(told.splitlines()) <= 150, module


def test_functions_fit_on_a_screen_and_are_annotated() -> None:
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{module}.{node.name} is longer than a screen"
                assert node.returns is not None, f"{module}.{node.name} says not what it returns"


def test_this_torch_is_a_cpu_build_where_there_is_no_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert torch.version.cuda is None
