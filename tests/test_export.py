"""Every recipe exported: bitwise the same from its model file, within 1e-4 as ONNX, or refused for a stated reason."""

import dataclasses
import functools
import hashlib
import html
import json
import random
import re
import shutil
import struct
import subprocess
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import sparring
from sparring import UserError, checkpoint, cli, recipes, sampling, trained, weights
from sparring.data import TensorSource
from sparring.data.kinds import KINDS
from sparring.data.words import FIRST
from sparring.export import card, export, facts_of, graph, hub, network, page
from sparring.export.hub import Model
from sparring.runs import write_config
from tests.cases import CASES, plan_of
from tests.test_kill import TRAIN, kill_at_a_random_moment
from tests.test_recipes import job_of, play

BY_RECIPE: dict[str, Any] = {}
for case in CASES:
    recipe, preset, data = getattr(case, "values", case)
    BY_RECIPE.setdefault(recipe, (preset, data))
SLOW = {"vqvae"}  # its graph unrolls every code of a picture: half a minute
OF_TWO_DOMAINS = ("stargan", "paper", {"data": "digits", "source": "inverted"})
OF_PICTURES = ("pacgan", "pictures", {"data": "digits"})
OF_SOUNDS = ("classifier", "tuned", {"data": "sounds", "labels": "names"})
EXPORTED = [
    pytest.param(name, *of, marks=[pytest.mark.long] if name in SLOW else [], id=name)
    for name, of in BY_RECIPE.items()
    if name not in network.REFUSED
] + [pytest.param(*OF_TWO_DOMAINS, id="stargan-two-domains"), pytest.param(*OF_PICTURES, id="pacgan-pictures")]


@pytest.fixture
def few_latents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch-norm statistics of averaged weights, and directions, from fewer samples: these tests compare only."""
    monkeypatch.setattr(trained.sampling, "for_sampling", functools.partial(sampling.for_sampling, latents=16))
    monkeypatch.setattr(page, "TRIED", 20)


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
    if trained.CLASSIFIER in run.model.modules and about.key == "image":
        found["classify"] = run.classify(some(about.shape))
    if game.reconstruct is not None:
        found["reconstruct"] = run.reconstruct(some(about.shape))
    return found


def in_node(made: Path) -> float | None:
    """How far a page's model is from PyTorch, by the page's own interpreter; none where there is no node to run it."""
    node = shutil.which("node")
    if node is None:
        return None
    interpreter = Path(page.__file__).with_name("interpret.js")
    command = [node, str(Path(__file__).with_name("interpret_page.js")), str(interpreter), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return float(json.loads(done.stdout)["worst"])


def runs_its_card(run: sparring.Run, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the code of its card makes, run beside its model file."""
    monkeypatch.chdir(run.path)
    told = card.card(run, facts_of(run), {}, None)
    found: dict[str, Any] = {}
    exec(told.partition("```python\n")[2].partition("\n```\n")[0], found)
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor | str) and name[0] != "_"}


def shows_pictures(run: sparring.Run) -> bool:
    return run.about.key == "image" and not run.about.hop and run.model.game.sample is not None


@pytest.mark.usefixtures("few_latents")
@pytest.mark.parametrize(("recipe", "preset", "data"), [p for p in EXPORTED if p.id not in SLOW])
def test_a_model_file_is_the_run_and_graphs_are_near(
    recipe: str, preset: str, data: dict[str, Any], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(recipe, preset, data, pictures, tmp_path / "run")
    done = export(run, "safetensors")
    assert runs_its_card(run, monkeypatch)
    again = sparring.load(done.path, device="cpu")
    ours, theirs = everything(run), everything(again)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name, module in run.model.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, again.model.modules[name].state_dict()[key]), f"{name}/{key}"
    made = network.network_of(again)
    data_of = graph.traced(made)
    assert graph.difference(graph.told(data_of, made, {}), made) <= graph.BOUND
    if shows_pictures(run):
        (tmp_path / "page.html").write_text(page.filled(data_of, made, facts_of(run)))
        assert (in_node(tmp_path / "page.html") or 0.0) <= graph.BOUND


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
    case: tuple[str, str, dict[str, Any]], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(*case, pictures, tmp_path / "run")
    with pytest.raises(UserError, match=r"(program and no network|Fourier transform).*--to safetensors"):
        export(run, "onnx")
    again = sparring.load(export(run, "safetensors").path)
    assert runs_its_card(run, monkeypatch)
    ours, theirs = everything(run), everything(again)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.usefixtures("few_latents")
@pytest.mark.parametrize(
    ("case", "tag", "made"),
    [
        (("vqvae", *BY_RECIPE["vqvae"]), "unconditional-image-generation", "samples"),
        (("classifier", "tuned", {"data": "moods"}), "text-classification", "probabilities"),
    ],
    ids=lambda v: v[0] if isinstance(v, tuple) else "",
)
def test_a_folder_for_the_hub_of_any_kind_of_model(
    case: tuple[str, str, dict[str, Any]], tag: str, made: str, pictures: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    run = run_of(*case, pictures, tmp_path / "run")
    folder = export(run, "hub").path
    assert f"pipeline_tag: {tag}\n" in (folder / "README.md").read_text()
    assert (folder / "samples.png").is_file() == shows_pictures(run)
    export(run, "safetensors")
    assert made in runs_its_card(run, monkeypatch)


def test_a_translator_refuses_pictures_of_another_size_unless_it_goes_over_them_by_tiles(
    pictures: Path, tmp_path: Path
) -> None:
    run = run_of("cut", *BY_RECIPE["cut"], pictures, tmp_path / "run")
    channels, high, wide = run.about.source
    for size in ((high, wide + 1), (high + 4, wide - 4), (2 * high, 2 * wide)):
        given = torch.zeros(1, channels, *size, dtype=torch.uint8)
        with pytest.raises(UserError, match=f"are {size[0]}x{size[1]}, .* at {high}x{wide}; whole=True .*--fit whole"):
            run.translate(given)
        assert run.translate(given, whole=True).shape[2:] == size


def test_only_an_earlier_export_is_written_over(run: sparring.Run, tmp_path: Path) -> None:
    config = (run.path / "config.json").read_bytes()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("my own notes")
    for folder, why in ((run.path, "is a run's own folder"), (mine, "holds files"), (mine / "README.md", "is a file")):
        with pytest.raises(UserError, match=f"{why}.*--out"):
            export(run, "hub", folder)
    assert (run.path / "config.json").read_bytes() == config
    assert (mine / "README.md").read_text() == "my own notes"
    empty = tmp_path / "empty"
    (empty / ".git").mkdir(parents=True)
    for _ in range(2):
        assert (export(run, "hub", empty).path / "README.md").is_file()


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
    assert cli.main(["export", str(run.path), "--to", "hub", "--licence", "mit", "-o", str(tmp_path / "repo")]) == 0
    assert 'license: "mit"' in (tmp_path / "repo" / "README.md").read_text()
    for words, message in (
        (["export", "digits.safetensors", "--push", "me/mine"], "belong to --to hub"),
        (["evaluate", "digits.safetensors"], "is not a run"),
        (["report", "digits.safetensors"], "is not a run"),
        (["resume", "digits.safetensors"], "resume the run"),
        (["sample", "digits.safetensors", "--checkpoint", "best"], "holds one model"),
    ):
        capsys.readouterr()
        assert cli.main([words[0], str(tmp_path / words[1]), *words[2:]]) == 2
        assert message in capsys.readouterr().err


def test_what_is_written_is_what_the_ending_says(
    run: sparring.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, begins in (("m.ONNX", b"\x08"), ("m.html", b"<!"), ("m.safetensors", None), ("m", None)):
        assert cli.main(["export", str(run.path), "-o", str(tmp_path / name)]) == 0
        data = (tmp_path / name).read_bytes()
        assert data[2:3] + data[8:9] == b"\0{" if begins is None else data.lower().startswith(begins), name
    for to, name in (("onnx", "x.html"), ("safetensors", "x.onnx"), ("hub", "x.safetensors")):
        assert cli.main(["export", str(run.path), "--to", to, "-o", str(tmp_path / name)]) == 2
        assert f"and to={to}" in " ".join(capsys.readouterr().err.split())
        assert not (tmp_path / name).exists()


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


def test_facts_that_are_no_text_are_refused(file: Path, tmp_path: Path) -> None:
    data, bad = file.read_bytes(), tmp_path / "bad.safetensors"
    size = struct.unpack("<Q", data[:8])[0]
    for told in (5, [], {}, None):
        text = json.dumps({**json.loads(data[8 : 8 + size]), "__metadata__": {"sparring": told}}).encode()
        bad.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
        with pytest.raises(weights.BadModelError, match="not a safetensors file"):
            sparring.load(bad)
        kept = tmp_path / f"00000004-{hashlib.sha256(bad.read_bytes()).hexdigest()[:16]}.safetensors"
        kept.write_bytes(bad.read_bytes())
        with pytest.raises(checkpoint.CorruptCheckpointError, match="not a safetensors file"):
            checkpoint.read(kept)


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
    given = [export(run, to).path for to in ("onnx", "html", "hub")]
    for written in [*given[:2], *given[2].iterdir()]:
        assert str(pictures.parent).encode() not in written.read_bytes(), written.name
    _, facts = weights.read(file)
    assert (facts.run.data.data, facts.run.data.source) == ("pictures", "edges")


def test_no_token_and_no_host_goes_into_the_file(run: sparring.Run, file: Path, tmp_path: Path) -> None:
    told, address = json.loads((run.path / "config.json").read_text()), "https://SECRET@example.org/set?sig=SECRET"
    told["facts"] = {"launch": "SECRET:12:", "samples": 9}
    told["data"]["data"] = told["about"]["name"] = address
    told["about"]["notes"] = [f"9 pictures in 1 shards at {address}"]
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(json.dumps(told))
    scores = {"reference": {"data": address}, "metrics": {"copies": {"value": 0.0}}}
    (tmp_path / "run" / "evaluation.json").write_text(json.dumps(scores))
    ours = sparring.load(tmp_path / "run")
    older = rewritten(file, tmp_path / "older.safetensors", run__facts=told["facts"], run__data=told["data"])
    given = [export(ours, to).path for to in ("safetensors", "onnx", "hub")]
    given += [export(sparring.load(older), "safetensors", tmp_path / "again.safetensors").path, *given[-1].iterdir()]
    for written in given:
        assert written.is_dir() or b"SECRET" not in written.read_bytes(), written.name
    assert weights.read(given[0])[1].run.data.data == "https://example.org/set"
    assert weights.read(given[0])[1].run.facts == {"samples": 9}


def test_folders_are_cut_off_and_nothing_else() -> None:
    for text, left in (
        ("/home/me/my pictures/cats", "cats"),
        ("~/x/y.py:objective", "y.py:objective"),
        ("24 pictures in /home/me/cats, 3 bad", "24 pictures in cats, 3 bad"),
        ("C:\\Users\\me\\cats.zip", "cats.zip"),
        ("CC BY 4.0, https://example.org/licence/by", "CC BY 4.0, https://example.org/licence/by"),
        ("2 at https://me:pw@host/set/{0..9}.tar?sv=1&sig=S#x, and", "2 at https://host/set/{0..9}.tar and"),
        ("simplecache::https://token@example.org/a", "simplecache::https://example.org/a"),
        ("hf://datasets/me/cats@main/1.tar", "hf://datasets/me/cats@main/1.tar"),
        ("file:///home/me/cats.tar", "cats.tar"),
        ("and/or", "and/or"),
        ("mnist", "mnist"),
    ):
        assert weights.bare(text) == left


@pytest.mark.usefixtures("few_latents")
@pytest.mark.parametrize(
    ("case", "message"),
    [
        (("mlp", "tuned", {"data": "ring"}), "these are points"),
        (("video", "tuned", {"data": "moving-digits"}), "these are clips"),
        (("wavegan", *BY_RECIPE["wavegan"]), "these are sounds"),
        (("melgan", *BY_RECIPE["melgan"]), "spectrograms of sounds"),
        (("text_translation", *BY_RECIPE["text_translation"]), "these are texts"),
        (("classifier", "tuned", {"data": "digits"}), "a classifier makes no pictures"),
    ],
    ids=lambda v: v[0] if isinstance(v, tuple) else "",
)
def test_what_a_page_cannot_show_is_refused(
    case: tuple[str, str, dict[str, Any]], message: str, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"--to html: .*{message}"):
        export(run_of(*case, pictures, tmp_path / "run"), "html")
    assert not list((tmp_path / "run").glob("*.html"))


def in_chromium(file: Path) -> str:
    """The page as it is once its scripts have run, with no network to reach."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium to open the page")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--proxy-server=127.0.0.1:9", "--virtual-time-budget=20000"]
    command = [browser, *flags, f"--user-data-dir={file.parent / 'profile'}", "--dump-dom", file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout


@pytest.mark.usefixtures("few_latents")
@pytest.mark.parametrize("recipe", ["cdcgan", "text_to_image", "stargan", "inpaint"])
def test_a_page_runs_offline_in_a_browser(recipe: str, pictures: Path, tmp_path: Path) -> None:
    run = run_of(recipe, *BY_RECIPE[recipe], pictures, tmp_path / "run")
    dom = in_chromium(export(run, "html").path)
    found = re.search(r'<html[^>]*data-difference="([^"]+)"', dom)
    assert found, dom[:2000]
    assert float(found[1]) <= graph.BOUND
    assert 'class="good"' in dom
    assert re.search(r'id="took"[^>]*>\d+ ms', dom)
    if recipe == "cdcgan":
        assert dom.count('type="range"') >= 9  # directions, variety, and the brush that it hides
        assert dom.count('aria-pressed="') == 11  # ten classes and none


VISITOR = """<script>
const see = () => document.getElementById("stage").toDataURL(), seen = {};
const wait = () => new Promise((done) => setTimeout(done, 500));
const click = (of) => document.querySelector(of).click();
(async () => {
  while (!document.documentElement.dataset.difference) await wait();
  seen.first = see();
  click("#classes button:nth-child(9)"); await wait(); seen.seven = see();
  click("#classes button:nth-child(2)"); await wait(); seen.zero = see();
  const slider = document.querySelector("#sliders input");
  slider.value = 4; slider.dispatchEvent(new Event("input")); await wait(); seen.moved = see();
  click("#level"); await wait(); seen.back = see();
  click("#others button:nth-child(3)"); await wait(); seen.other = see();
  click("#language"); await wait();
  document.documentElement.dataset.seen = JSON.stringify(seen);
})();
</script></body>"""


@pytest.mark.usefixtures("few_latents")
def test_a_visitor_chooses_moves_and_goes_back(run: sparring.Run, tmp_path: Path) -> None:
    text = export(run, "html", tmp_path / "page.html").path.read_text()
    text = re.sub(r"<meta http-equiv=[^>]*>", "", text)  # which would not let a stranger's script in
    (tmp_path / "page.html").write_text(text.replace("</body>", VISITOR))
    dom = in_chromium(tmp_path / "page.html")
    found = re.search(r'data-seen="([^"]+)"', dom)
    assert found, dom[:2000]
    seen = json.loads(html.unescape(found[1]))
    assert len({seen[name] for name in ("seven", "zero", "moved", "other")}) == 4
    assert seen["back"] == seen["zero"]
    assert 'lang="zh"' in dom
    assert "变化最大的方向" in dom


def test_a_page_names_no_other_place_and_holds_forged_names_as_text(file: Path, tmp_path: Path) -> None:
    evil = "</script><script>document.title='x'</script>{{code}}{{told}}"
    forged = rewritten(file, tmp_path / "forged.safetensors", run__about__classes=[evil, *"123456789"])
    text = export(sparring.load(forged), "html", tmp_path / "page.html").path.read_text()
    assert text.count("</script>") == 2
    assert evil not in text
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", re.sub(r'<script id="told".*?</script>', "", text)))
    assert not addresses
    assert "default-src 'none'" in text


def test_the_interpreter_knows_its_own_table() -> None:
    known = page.operations()
    assert {"Gemm", "Conv", "ConvTranspose", "Resize", "Identity", "ReduceL2", "CumSum", "Where"} <= known
    assert len(known) > 60


class Standing:
    """Stands in for the Hub: keeps what it is sent."""

    def __init__(self) -> None:
        self.made: list[tuple[str, bool]] = []
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.made.append((repo_id, private))

    def upload_folder(self, repo_id: str, folder_path: str) -> None:
        self.files = {p.name: p.read_bytes() for p in Path(folder_path).iterdir()}


def test_the_three_verbs_of_the_hub(run: sparring.Run, tmp_path: Path) -> None:
    folder = Model(run).save_pretrained(tmp_path / "mine", licence="cc-by-4.0")
    names = {"README.md", "config.json", "model.safetensors", "samples.png", "neighbours.png"}
    assert {p.name for p in folder.iterdir()} == names
    again = Model.from_pretrained(str(folder))
    assert torch.equal(again.run.sample(5), run.sample(5))
    told = (folder / "README.md").read_text()
    for words in ("cc-by-4.0", "## Limits", "## Scores", "Mirza and Osindero 2014", "digits", "Classes: 0, 1"):
        assert words in told
    there = Standing()
    assert Model(run).push_to_hub("me/mine", api=there) == "https://huggingface.co/me/mine"
    assert (there.made, set(there.files)) == ([("me/mine", True)], names)
    with pytest.raises(UserError, match="my-name/my-model"):
        Model(run).push_to_hub("mine", api=there)
    with pytest.raises(UserError, match=r"holds no model.safetensors"):
        Model.from_pretrained(str(tmp_path))


def test_the_card_tells_scores_with_errors_and_holds_names_as_text(run: sparring.Run, tmp_path: Path) -> None:
    assert "Nobody has judged it" in card.card(run, facts_of(run), {}, None)
    metrics = {"frechet distance": {"value": 3.25, "se": 0.5, "floor": 1.5}, "copies": {"value": 0.0}}
    result = {
        "round": 4,
        "samples": 100,
        "seed": 1,
        "reference": {"data": "digits|`", "split": "test"},
        "metrics": metrics,
    }
    (run.path / "evaluation.json").write_text(json.dumps(result))
    told = card.card(run, facts_of(run), {}, None)
    (run.path / "evaluation.json").unlink()
    assert "| frechet distance | 3.25 | 0.5 | 1.5 |" in told
    assert "digits\\|\\`" in told
    assert "was not measured" not in told


def test_the_nearest_training_pictures_are_found(run: sparring.Run) -> None:
    source = hub.learnt_from(run)
    assert source is not None
    own = source[torch.tensor([3, 700, 11])]["image"]
    assert torch.equal(hub.nearest(own, source), own)
    many = torch.zeros(20_100, 1, 2, 2, dtype=torch.uint8)
    many[-1] = 9
    about = dataclasses.replace(source.about, shape=(1, 2, 2), classes=())
    assert torch.equal(hub.nearest(many[-1:], TensorSource(about, {"image": many})), many[-1:])


def test_a_forged_run_folder_runs_nothing_and_shows_nothing_of_mine(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("dcgan", "classic64", {"data": "pictures", "color": "rgb"}, pictures, tmp_path / "run")
    mine, ran, trap = tmp_path / "mine", tmp_path / "ran", tmp_path / "trap.py"
    shutil.copytree(pictures, mine)
    (mine / "0.png").unlink()  # other pictures than those that it learnt from
    trap.write_text(f"open({str(ran)!r}, 'w').close()\nrecipe = objective = data = None\n")
    config = run.path / "config.json"
    told = json.loads(config.read_text())
    forged = {**told, "data": {**told["data"], "data": str(mine)}, "model": {**told["model"], "objective": f"{trap}:x"}}
    config.write_text(json.dumps(forged))
    folder = export(sparring.load(run.path), "hub").path
    assert {p.name for p in folder.iterdir()} == {*hub.FILES, "samples.png"}
    config.write_text(json.dumps({**told, "recipe": f"{trap}:recipe"}))
    assert cli.main(["export", str(run.path)]) == 2
    assert "is code outside the package" in capsys.readouterr().err
    config.write_text(json.dumps(told))
    shutil.rmtree(folder)
    folder.symlink_to(mine, target_is_directory=True)
    assert cli.main(["export", str(run.path), "--to", "hub"]) == 2
    assert "is a link" in capsys.readouterr().err
    assert not (mine / "README.md").exists()
    [only] = checkpoint.listed(run.path / "checkpoints")
    torch.save({"x": Trap(str(ran))}, only)
    only.rename(only.with_name(f"00000000-{hashlib.sha256(only.read_bytes()).hexdigest()[:16]}.safetensors"))
    assert cli.main(["export", str(run.path)]) == 2
    assert "not a safetensors file" in capsys.readouterr().err
    assert not ran.exists()


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def test_directions_are_where_pictures_change_most() -> None:
    class Two(torch.nn.Module):
        def forward(self, latent: torch.Tensor) -> torch.Tensor:
            """Pictures of 2x2 that hang on two of five latents, three times as much on the one."""
            strong, weak = latent[:, 1] + latent[:, 2], latent[:, 4]
            return torch.stack([3 * strong, weak, 0 * weak, 0 * weak], 1).view(-1, 1, 2, 2)

    game = types.SimpleNamespace(draw=lambda n, chance: {"latent": torch.randn(n, 5, generator=chance)}, sample=len)
    made = network.Network(Two(), {"latent": (5,)}, "image", None, game)  # type: ignore[arg-type]
    rows = torch.tensor(page.directions(made))
    assert rows.shape[1] == 5
    torch.testing.assert_close(rows[:2].norm(dim=1), torch.ones(2), atol=1e-5, rtol=0)
    assert float((rows[0] * torch.tensor([0, 1, 1, 0, 0]) / 2**0.5).sum().abs()) > 0.98
    assert float(rows[1, 4].abs()) > 0.9


def test_a_run_killed_in_the_middle_is_exported_as_far_as_it_came(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "killed"
    kill_at_a_random_moment([*TRAIN, "--name", "killed"], tmp_path, folder, random.Random(0))
    kept = [int(p.name[:8]) for p in checkpoint.listed(folder / "checkpoints")]
    assert kept
    assert kept[-1] < 600, "the kill came too late to prove anything"
    done = export(sparring.load(folder), "safetensors")
    assert f"round {kept[-1]:,}" in done.told[0]
    opened = sparring.load(done.path)
    assert opened.model.round == kept[-1]
    assert torch.equal(opened.sample(4), sparring.load(folder).sample(4))
    for to in ("onnx", "html"):
        assert export(sparring.load(folder), to).path.stat().st_size > 100_000


def test_without_a_good_checkpoint_the_reason_is_told(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("cdcgan", "tuned", {"data": "digits"}, pictures, tmp_path / "run", rounds=2)
    [only] = checkpoint.listed(run.path / "checkpoints")
    data = bytearray(only.read_bytes())
    data[-1] ^= 1
    only.write_bytes(data)
    assert cli.main(["export", str(run.path)]) == 2
    assert "none of its 1 checkpoint(s) can be read" in capsys.readouterr().err
    only.unlink()
    assert cli.main(["export", str(run.path)]) == 2
    assert "has no checkpoint yet" in capsys.readouterr().err
    assert not list(run.path.glob("model*"))


def test_there_is_a_node_for_the_pages_of_all_recipes() -> None:
    if shutil.which("node") is None:
        pytest.skip("there is no node: pages are checked in Chromium alone, where that is")


def test_a_part_that_onnx_lacks_is_named_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    class Strange(torch.nn.Module):
        def forward(self, latent: torch.Tensor) -> torch.Tensor:
            """Eigenvalues."""
            return torch.linalg.eigh(latent)[0]

    game = types.SimpleNamespace(draw=lambda n, chance: {"latent": torch.rand(n, 3, 3, generator=chance)}, sample=len)
    made = network.Network(Strange(), {"latent": (3, 3)}, "point", None, game)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"linalg_eigh.*use --to safetensors"):
        graph.traced(made)
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_differs_is_refused() -> None:
    class Switching(torch.nn.Module):
        def forward(self, latent: torch.Tensor) -> torch.Tensor:
            """Another answer for more than three rows, which no tracing sees."""
            return latent * (2 if len(latent) > 3 else 1)

    game = types.SimpleNamespace(draw=lambda n, chance: {"latent": torch.rand(n, 3, generator=chance)}, sample=len)
    made = network.Network(Switching(), {"latent": (3,)}, "point", None, game)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="differs from the live one by"):
        graph.difference(graph.traced(made), made)


@pytest.mark.usefixtures("few_latents")
def test_a_graph_is_compared_with_the_live_network_and_not_with_the_copy_it_is_made_of(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = network.settled

    def wrongly(module: torch.nn.Module) -> torch.nn.Module:
        """As a mistake in settling would be."""
        made = right(module)
        with torch.no_grad():
            next(made.parameters()).mul_(1.5)
        return made

    monkeypatch.setattr(network, "settled", wrongly)
    for recipe in ("cdcgan", "classifier", "vocoder"):
        run = run_of(recipe, *BY_RECIPE[recipe], pictures, tmp_path / recipe)
        with pytest.raises(UserError, match="differs from the live one by"):
            export(run, "onnx")
