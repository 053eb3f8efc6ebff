"""Every recipe exported: bitwise the same from its model file, within 1e-4 as ONNX, or refused for a stated reason."""

import functools
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import sparring
from sparring import UserError, checkpoint, cli, recipes, sampling, session, weights
from sparring.data.kinds import KINDS
from sparring.data.words import FIRST
from sparring.export import export, graph, network
from sparring.runs import write_config
from tests.test_recipes import CASES, job_of, pictures, plan_of, play

__all__ = ["pictures"]  # a fixture

BY_RECIPE: dict[str, Any] = {}
for case in CASES:
    recipe, preset, data = getattr(case, "values", case)
    BY_RECIPE.setdefault(recipe, (preset, data))
SLOW = {"vqvae"}  # its graph unrolls every code of a picture: half a minute
OF_TWO_DOMAINS = ("stargan", "paper", {"data": "digits", "source": "inverted"})
OF_SOUNDS = ("classifier", "tuned", {"data": "sounds", "labels": "names"})
EXPORTED = [
    pytest.param(name, *of, marks=[pytest.mark.long] if name in SLOW else [], id=name)
    for name, of in BY_RECIPE.items()
    if name not in network.REFUSED
] + [pytest.param(*OF_TWO_DOMAINS, id="stargan-two-domains")]


@pytest.fixture
def few_latents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch-norm statistics of averaged weights from fewer samples than usual: these tests compare, and judge not."""
    monkeypatch.setattr(session.sampling, "for_sampling", functools.partial(sampling.for_sampling, latents=16))


def run_of(
    recipe: str, preset: str, data: dict[str, Any], pictures: Path, folder: Path, rounds: int = 0
) -> sparring.Run:
    """The folder of a run of a few rounds, as the engine leaves it."""
    plan, source = plan_of(recipe, preset, data, pictures)
    job = job_of(plan, source, folder)
    if rounds:
        play(job, rounds)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, plan, source.about, {})
    checkpoint.save(folder / "checkpoints", job.game, job.state)
    return sparring.load(folder, device="cpu")


def everything(run: sparring.Run) -> dict[str, torch.Tensor]:
    """All that a model can be asked without its data."""
    about, game, found = run.about, run.model.game, {}
    chance = torch.Generator().manual_seed(0)

    def some(shape: tuple[int, ...]) -> torch.Tensor:
        if about.key == "text":
            return torch.randint(FIRST, FIRST + len(about.source_vocabulary or about.vocabulary), (3, *shape))
        stored = (torch.rand((3, *shape), generator=chance) * 255).to(KINDS[about.key].dtype)
        return stored

    torch.manual_seed(0)
    if game.sample is not None and not game.given:
        found["sample"] = run.sample(4, seed=5)
    if game.given == ("caption",):
        found["sample"] = run.sample(4, seed=5, caption=about.vocabulary[0])
    if game.given == ("source",):
        label = {"label": about.classes[0]} if about.classes else {}
        found["translate"] = run.translate(some(about.source), seed=3, **label)
    if session.CLASSIFIER in run.model.modules and about.key == "image":
        found["classify"] = run.classify(some(about.shape))
    if game.reconstruct is not None:
        found["reconstruct"] = run.reconstruct(some(about.shape))
    return found


@pytest.mark.usefixtures("few_latents")
@pytest.mark.parametrize(("recipe", "preset", "data"), [p for p in EXPORTED if p.id not in SLOW])
def test_a_model_file_is_the_run_and_onnx_is_near(
    recipe: str, preset: str, data: dict[str, Any], pictures: Path, tmp_path: Path
) -> None:
    run = run_of(recipe, preset, data, pictures, tmp_path / "run")
    done = export(run, "safetensors")
    again = sparring.load(done.path, device="cpu")
    ours, theirs = everything(run), everything(again)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name, module in run.model.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, again.model.modules[name].state_dict()[key]), f"{name}/{key}"
    made = network.network_of(again)
    assert graph.difference(graph.told(graph.traced(made), made, {}), made) <= graph.BOUND


@pytest.mark.long
@pytest.mark.usefixtures("few_latents")
def test_even_a_prior_over_codes_has_a_graph(pictures: Path, tmp_path: Path) -> None:
    run = run_of("vqvae", *BY_RECIPE["vqvae"], pictures, tmp_path / "run")
    export(run, "onnx")


@pytest.mark.usefixtures("few_latents")
@pytest.mark.parametrize(
    "case", [*((name, *BY_RECIPE[name]) for name in network.REFUSED), OF_SOUNDS], ids=lambda c: c[0]
)
def test_what_has_no_graph_is_refused_with_the_reason_and_has_a_model_file(
    case: tuple[str, str, dict[str, Any]], pictures: Path, tmp_path: Path
) -> None:
    run = run_of(*case, pictures, tmp_path / "run")
    with pytest.raises(UserError, match=r"(program and no network|Fourier transform).*--to safetensors"):
        export(run, "onnx")
    again = sparring.load(export(run, "safetensors").path)
    ours, theirs = everything(run), everything(again)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_every_recipe_is_covered() -> None:
    assert set(BY_RECIPE) == set(recipes.RECIPES)
    assert set(network.REFUSED) < set(recipes.RECIPES)


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    """Of a few rounds, so that averaged and live weights differ."""
    return run_of("cdcgan", "tuned", {"data": "digits"}, pictures, tmp_path_factory.mktemp("export") / "run", rounds=4)


@pytest.fixture(scope="module")
def file(run: sparring.Run) -> Path:
    return export(run, "safetensors").path


def test_it_is_the_averaged_weights_with_statistics_of_their_own(run: sparring.Run, file: Path) -> None:
    tensors, facts = weights.read(file)
    assert facts.averaged
    assert facts.round == 4
    [newest] = checkpoint.listed(run.path / "checkpoints")
    kept, _ = checkpoint.read(newest)
    assert torch.equal(tensors["generator/out.weight"], kept["averages/generator/out.weight"])
    assert not torch.equal(tensors["generator/out.weight"], kept["modules/generator/out.weight"])
    assert {n.split("/")[0] for n in tensors} == {"generator"}
    assert torch.equal(sparring.load(file).sample(8, label=7), run.sample(8, label=7))


def test_the_command_line_writes_and_uses_it(
    run: sparring.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", str(run.path), "-o", str(tmp_path / "digits.safetensors")]) == 0
    assert (
        cli.main(["export", str(tmp_path / "digits.safetensors"), "--to", "onnx", "-o", str(tmp_path / "d.onnx")]) == 0
    )
    told = capsys.readouterr()
    assert "differs from the live network by at most" in told.err
    assert told.out.split() == [str(tmp_path / "digits.safetensors"), str(tmp_path / "d.onnx")]
    assert cli.main(["sample", str(tmp_path / "digits.safetensors"), "--n", "4", "--label", "3"]) == 0
    assert (tmp_path / "digits" / "samples-seed0-3.png").is_file()
    for words, message in (
        (["evaluate", "digits.safetensors"], "is not a run"),
        (["report", "digits.safetensors"], "is not a run"),
        (["resume", "digits.safetensors"], "resume the run"),
        (["sample", "digits.safetensors", "--checkpoint", "best"], "holds one model"),
    ):
        capsys.readouterr()
        assert cli.main([words[0], str(tmp_path / words[1]), *words[2:]]) == 2
        assert message in capsys.readouterr().err


def rewritten(file: Path, to: Path, **changes: Any) -> Path:
    """The file with other facts: `a__b=1` for b of a. Its hash still fits."""
    data = file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    told = json.loads(header["__metadata__"]["sparring"])
    for path, value in changes.items():
        part = told
        *above, last = path.split("__")
        for name in above:
            part = part[name]
        part[last] = value
    header["__metadata__"]["sparring"] = json.dumps(told)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    to.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    return to


class _Holding(torch.nn.Module):
    """Tensors under the names that they have, one level deeper."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.held = tensors

    def state_dict(self, *_: Any, **__: Any) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return self.held


def test_a_model_file_says_what_it_cannot(file: Path) -> None:
    opened = sparring.load(file)
    for ask, message in (
        (lambda: opened.evaluate(), "judge the run it was exported from"),
        (lambda: opened.report(), "report the run it was exported from"),
        (lambda: opened.reconstruct(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)), "has no codes"),
    ):
        with pytest.raises(UserError, match=message):
            ask()


def test_damaged_and_strange_files_are_refused_by_name(file: Path, tmp_path: Path) -> None:
    data, bad = file.read_bytes(), tmp_path / "bad.safetensors"
    flipped = bytearray(data)
    flipped[-100] ^= 1
    tensors = load_file(file)
    name = "generator/out.weight"
    save_file(tensors, tmp_path / "plain.safetensors")
    torch.save(tensors, tmp_path / "pickled.pt")
    for content, message in (
        (bytes(flipped), "its weights do not match the hash"),
        (data[: len(data) // 2], "not a safetensors file"),
        (b"", "not a safetensors file"),
        ((tmp_path / "plain.safetensors").read_bytes(), "not a model of sparring"),
        ((tmp_path / "pickled.pt").read_bytes(), "not a safetensors file"),
    ):
        bad.write_bytes(content)
        with pytest.raises(weights.BadModelError, match=message):
            sparring.load(bad)
    _, facts = weights.read(file)
    for changed, message in (
        ({**tensors, name: tensors[name].half()}, "out.weight is torch.float16"),
        ({**tensors, name: tensors[name][:, :1]}, r"out.weight is torch.float32 \(1, 1, 3, 3\)"),
        ({k: v for k, v in tensors.items() if k != name}, "out.weight is missing"),
        ({**tensors, "generator/other": torch.zeros(2)}, "have no generator/other"),
        ({**tensors, "discriminator/x": torch.zeros(2)}, "have no discriminator/x"),
    ):
        weights.write(bad, _parted(changed), facts)
        with pytest.raises(weights.BadModelError, match=message):
            sparring.load(bad).sample(1)
    with pytest.raises(UserError, match="NaN"):
        weights.write(bad, _parted({**tensors, name: tensors[name] * torch.nan}), facts)


def _parted(tensors: dict[str, torch.Tensor]) -> dict[str, torch.nn.Module]:
    names = {key.partition("/")[0] for key in tensors}
    return {n: _Holding({k.partition("/")[2]: v for k, v in tensors.items() if k.startswith(f"{n}/")}) for n in names}


def test_forged_facts_run_nothing_and_reach_nothing(file: Path, tmp_path: Path) -> None:
    trap, ran = tmp_path / "trap.py", tmp_path / "ran"
    trap.write_text(f"open({str(ran)!r}, 'w').close()\nrecipe = objective = function = None\n")
    forged = tmp_path / "forged.safetensors"
    before = sorted(tmp_path.iterdir())
    for changes, message in (
        ({"run__recipe": f"{trap}:recipe"}, "is code outside the package"),
        ({"run__model__objective": f"{trap}:objective"}, None),  # for training only: it samples, and never imports
        ({"run__data__data": f"{trap}:function"}, None),
        ({"run__data__data": "/etc"}, None),
        ({"run__model__width": 10**9}, "width=1000000000 is out of range"),
        ({"run__model__nothing": 1}, "nothing"),
        ({"run__about__shape": [1, 10**6, 10**6]}, "cannot be"),
        ({"run__about__shape": [1, -8, 8]}, "cannot be"),
        ({"run__about__key": "nothing"}, "cannot be"),
        ({"round": "many"}, "round"),
        ({"run__sparring_": 1}, "sparring_"),
    ):
        forged.unlink(missing_ok=True)
        rewritten(file, forged, **changes)
        if message is None:
            sparring.load(forged).sample(2)
        else:
            with pytest.raises(UserError, match=message):
                sparring.load(forged).sample(2)
    forged.unlink()
    assert sorted(tmp_path.iterdir()) == before
    assert not ran.exists()


def test_no_folder_of_mine_goes_into_the_file(pictures: Path, tmp_path: Path) -> None:
    run = run_of("pix2pix", "tuned", {"data": "pictures", "source": "edges", "size": "32"}, pictures, tmp_path / "run")
    file = export(run, "safetensors").path
    assert str(pictures.parent).encode() not in file.read_bytes()
    assert b"/root" not in file.read_bytes()
    _, facts = weights.read(file)
    assert (facts.run.data.data, facts.run.data.source) == ("pictures", "edges")


def test_folders_are_cut_off_and_nothing_else() -> None:
    for text, left in (
        ("/home/me/my pictures/cats", "cats"),
        ("~/x/y.py:objective", "y.py:objective"),
        ("24 pictures in /home/me/cats, 3 bad", "24 pictures in cats, 3 bad"),
        ("C:\\Users\\me\\cats.zip", "cats.zip"),
        ("CC BY 4.0, https://example.org/licence/by", "CC BY 4.0, https://example.org/licence/by"),
        ("and/or", "and/or"),
        ("mnist", "mnist"),
    ):
        assert weights.bare(text) == left
