import json
from pathlib import Path

import pytest
from PIL import Image

from sparring import cli
from sparring.config import UserError
from sparring.data.words import STRANGE

QUICK = ["--rounds", "12", "--batch", "16", "--threads", "1", "--snapshots", "2"]


def run(*words: str) -> int:
    return cli.main(list(words))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("cli") / "runs"
    assert run("train", "cdcgan", *QUICK, "--runs", str(runs), "--name", "one", "--no-evaluate") == 0
    return runs / "one"


def test_results_are_on_stdout_and_talk_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "mlp", *QUICK, "--runs", str(tmp_path), "--no-evaluate", "--generator.lr", "0.01") == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(tmp_path / "mlp-digits-1")
    for word in ("data", "networks", "device", "length", "memory", "results", "Ctrl-C"):
        assert word in told.err
    config = json.loads((tmp_path / "mlp-digits-1" / "config.json").read_text())
    assert config["model"]["generator"]["lr"] == 0.01


def test_an_objective_of_ones_own_trains(tmp_path: Path) -> None:
    # the ten lines of the README, outside the package
    mine = tmp_path / "my.py"
    mine.write_text(
        "from sparring import Objective\n"
        "from torch.nn.functional import softplus\n\n"
        "objective = Objective(  # a margin between pairs: the relativistic idea\n"
        "    discriminator=lambda real, fake: softplus(-(real - fake)),\n"
        "    generator=lambda real, fake: softplus(-(fake - real)),\n"
        "    paired=True,\n"
        ")\n"
    )
    assert (
        run("train", "dcgan", *QUICK, "--objective", f"{mine}:objective", "--runs", str(tmp_path), "--no-evaluate") == 0
    )
    config = json.loads((tmp_path / "dcgan-digits-1" / "config.json").read_text())
    assert config["model"]["objective"] == f"{mine}:objective"


def test_a_run_is_repeated_from_its_config(trained: Path, tmp_path: Path) -> None:
    from sparring import checkpoint

    again = ["train", "cdcgan", "--config", str(trained / "config.json"), "--runs", str(tmp_path), "--name", "two"]
    assert run(*again) == 0
    (a,), (b,) = (checkpoint.listed(folder / "checkpoints") for folder in (trained, tmp_path / "two"))
    assert a.name == b.name  # the hash of all weights, averages and optimizer states


def test_sampling_writes_a_sheet_or_files(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    sheet = tmp_path / "sheet.png"
    assert run("sample", str(trained), "--label", "7", "--n", "9", "--out", str(sheet)) == 0
    assert capsys.readouterr().out.strip() == str(sheet)
    with Image.open(sheet) as picture:
        assert picture.size == (26 * 24, 26 * 24)  # 3 x 3 tiles of 8 with gaps of 1, enlarged 24 times
    assert run("sample", str(trained), "--n", "5", "--separate", "--out", str(tmp_path / "files")) == 0
    assert len(list((tmp_path / "files").glob("*.png"))) == 5


def test_evaluate_prints_json_on_stdout_and_a_table_on_stderr(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", str(trained)) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["metrics"]["frechet distance"]["floor"] > 0
    assert "floor" in told.err
    assert run("report", str(trained)) == 0
    assert (trained / "report.html").stat().st_size > 10_000


def test_translate_writes_a_picture_for_each_and_names_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "pix2pix", "--data", "digits", "--source", "inverted", *QUICK, "--runs", str(tmp_path)]
    assert run(*words, "--name", "one") == 0
    assert (tmp_path / "one" / "evaluation.json").exists()
    (tmp_path / "own" / "more").mkdir(parents=True)
    Image.new("RGB", (20, 30), (9, 99, 199)).save(tmp_path / "own" / "more" / "a.jpg")
    (tmp_path / "own" / "b.png").write_bytes(b"no picture")
    Image.new("L", (8, 8), 77).save(tmp_path / "c.png")
    capsys.readouterr()
    made = ["translate", str(tmp_path / "one"), str(tmp_path / "own"), str(tmp_path / "c.png")]
    assert run(*made, "--out", str(tmp_path / "out")) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(tmp_path / "out")
    assert "b.png" in told.err
    for name in ("more/a.png", "c.png"):
        with Image.open(tmp_path / "out" / name) as made_of:
            assert (made_of.size, made_of.mode) == ((8, 8), "L")
    assert run(*made, "--fit", "whole", "-o", str(tmp_path / "whole")) == 0
    with Image.open(tmp_path / "whole" / "more" / "a.png") as made_of:
        assert made_of.size == (20, 30)
    assert run("translate", str(tmp_path / "one"), str(tmp_path / "absent.png")) == 2
    assert run("translate", str(tmp_path / "one")) == 2


def test_only_translators_translate(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("translate", str(trained), "x.png") == 2
    assert "does not translate" in capsys.readouterr().err


def test_lines_of_text_are_learnt_judged_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs"]
    lines = [" ".join(words[(i * j) % 9] for j in range(1, 4 + i % 4)) for i in range(150)]
    (tmp_path / "verses.txt").write_text("\n".join(lines))
    made = ["--runs", str(tmp_path), "--name", "one", "--test", "0.3", "--hidden", "16", "--critic-maps", "8"]
    assert run("train", "sequence", "--data", str(tmp_path / "verses.txt"), *QUICK, *made) == 0
    scores = json.loads((tmp_path / "one" / "evaluation.json").read_text())["metrics"]
    assert {"bleu 4", "self-bleu 4", "duplicate share", "nearest training text", "nll (texts)"} <= set(scores)
    assert 0 <= scores["bleu 2"]["value"] <= 1
    assert scores["nll (texts)"]["better"] == "lower"
    assert "cat" in (tmp_path / "one" / "report.html").read_text()
    capsys.readouterr()
    for more in ([], ["--temperature", "0.02"]):
        assert run("sample", str(tmp_path / "one"), "--n", "50", *more) == 0
    written = capsys.readouterr().out.splitlines()
    assert len(written) == 100
    assert set(" ".join(written).split()) <= {*words, STRANGE}
    assert len(set(written[50:])) < len(set(written[:50])) / 2
    for wrong in ("0", "warm"):
        assert run("sample", str(tmp_path / "one"), "--temperature", wrong) == 2
        assert f"temperature={wrong}" in capsys.readouterr().err.replace(".0 ", " ")


@pytest.fixture(scope="module")
def restorers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that enlarge and that fill holes, of gray pictures of 8x8."""
    runs = tmp_path_factory.mktemp("restorers")
    for recipe, source in (("superres", "reduced:2"), ("inpaint", "masked")):
        words = ["train", recipe, "--data", "digits", "--source", source, *QUICK, "--runs", str(runs)]
        assert run(*words, "--name", recipe) == 0
        assert json.loads((runs / recipe / "evaluation.json").read_text())["metrics"]["psnr"]["value"] > 5
    return runs


def test_upscale_keeps_the_shape_of_every_picture(
    restorers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.linear_gradient("L").resize((90, 70)).save(tmp_path / "a.png")
    Image.new("RGB", (5, 3), (9, 200, 60)).save(tmp_path / "b.jpg")
    (tmp_path / "c.png").write_bytes(b"no picture")
    files = [str(tmp_path / name) for name in ("a.png", "b.jpg", "c.png")]
    capsys.readouterr()
    assert run("upscale", str(restorers / "superres"), *files, "-o", str(tmp_path / "out")) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(tmp_path / "out")
    assert "c.png" in told.err
    for name, size in (("a.png", (180, 140)), ("b.png", (10, 6))):
        with Image.open(tmp_path / "out" / name) as made:
            assert (made.size, made.mode) == (size, "L")
    with Image.open(tmp_path / "out" / "a.png") as made, Image.open(files[0]) as before:
        bicubic = before.resize(made.size, Image.Resampling.BICUBIC)
        away = [abs(x - y) for x, y in zip(made.tobytes(), bicubic.tobytes(), strict=True)]
        assert sum(away) / len(away) < 12  # trained for 12 rounds, it is still near to where it began
    assert run("upscale", str(restorers / "inpaint"), files[0]) == 2
    assert "does not enlarge; use superres" in capsys.readouterr().err
    assert run("translate", str(restorers / "superres"), files[0], "--out", str(tmp_path / "small")) == 0
    with Image.open(tmp_path / "small" / "a.png") as made:
        assert made.size == (8, 8)  # at the size of training


def test_inpaint_fills_what_a_mask_or_a_colour_names_and_nothing_else(
    restorers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hole, grays = (20, 10, 50, 30), Image.linear_gradient("L").resize((90, 70))
    grays.save(tmp_path / "gray.png")
    mask = Image.new("L", grays.size)
    mask.paste(255, hole)
    mask.save(tmp_path / "mask.png")
    marked = grays.convert("RGB")
    marked.paste((255, 0, 255), hole)
    marked.save(tmp_path / "marked.png")
    inpaint = ["inpaint", str(restorers / "inpaint")]
    out = ["-o", str(tmp_path / "out")]
    assert run(*inpaint, str(tmp_path / "gray.png"), "--mask", str(tmp_path / "mask.png"), *out) == 0
    assert run(*inpaint, str(tmp_path / "marked.png"), "--mask", "magenta", *out) == 0
    made = {}
    for name in ("gray", "marked"):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            made[name] = picture.copy()
        assert (made[name].size, made[name].mode) == (grays.size, "L")
    assert made["gray"].tobytes() == made["marked"].tobytes()  # what is missing is not looked at
    filled = made["gray"].crop(hole)
    assert filled.tobytes() != grays.crop(hole).tobytes()
    made["gray"].paste(grays.crop(hole), hole)
    assert made["gray"].tobytes() == grays.tobytes()
    capsys.readouterr()
    Image.new("L", (9, 9)).save(tmp_path / "little.png")
    assert run(*inpaint, str(tmp_path / "gray.png"), "--mask", str(tmp_path / "little.png")) == 2
    assert "it is 70x90 and the mask 9x9; passed over" in " ".join(capsys.readouterr().err.split())
    assert run(*inpaint, str(tmp_path / "gray.png"), "--mask", "no-such-file.png") == 2
    assert "neither a file here nor a colour" in capsys.readouterr().err
    assert run(*inpaint, str(tmp_path / "gray.png")) == 2
    assert "what is missing: --mask FILE" in " ".join(capsys.readouterr().err.split())
    assert run("inpaint", str(restorers / "superres"), str(tmp_path / "gray.png"), "--mask", "magenta") == 2
    assert "fills no holes; use inpaint" in capsys.readouterr().err
    assert run("translate", str(restorers / "inpaint"), str(tmp_path / "gray.png")) == 2
    assert "sparring inpaint" in capsys.readouterr().err


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipes") == 0
    assert "cdcgan" in capsys.readouterr().out
    assert run("data", "list") == 0
    assert "fashion-mnist" in capsys.readouterr().out
    assert run("--version") == 0
    assert run() == 0
    assert "sparring train cdcgan" in capsys.readouterr().out


def test_inspect_names_every_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for i in range(6):
        Image.new("RGB", (10 + i, 12), (40 * i, 9, 200)).save(tmp_path / f"good{i}.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good0.png").read_bytes()[:40])
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert run("data", "inspect", str(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "6 good pictures, 2 bad files" in told
    assert "bad: cut.png" in told
    assert "bad: empty.jpg" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "dcgna"], "did you mean 'dcgan'"),
        (["train", "--data", "ring"], "recipe mlp"),
        (["train", "dcgan", "--preset", "tunned"], "did you mean 'tuned'"),
        (["train", "dcgan", "--preset"], "needs a value"),
        (["train", "dcgan", "--objective", "hing"], "did you mean 'hinge'"),
        (["sample", "nowhere"], "not a run"),
        (["evaluate", "nowhere"], "not a run"),
        (["resume", "nowhere"], "not a run"),
        (["report", "nowhere"], "nowhere"),
        (["data", "lst"], "did you mean 'list'"),
        (["data", "inspect", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_end_with_code_2_and_a_hint(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_mistyped_flag_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run("train", "dcgan", "--bathc", "3")
    assert stop.value.code == 2
    assert "--batch" in capsys.readouterr().err


def test_help_teaches_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("train", "dcgan", "--help")
    told = capsys.readouterr().out
    for word in ("--data", "--generator.lr", "--clusters", "--minutes", "--fit", "Radford", "Presets"):
        assert word in told


def test_a_config_of_another_recipe_is_refused(trained: Path) -> None:
    with pytest.raises(UserError, match="of the recipe cdcgan"):
        cli.parsed_plan("dcgan", ["--config", str(trained / "config.json")])


def test_without_a_recipe_it_is_that_of_the_config_or_the_default(tmp_path: Path) -> None:
    short = ["--rounds", "2", "--batch", "8", "--no-evaluate", "--threads", "1", "--snapshots", "0"]
    where = ["--runs", str(tmp_path)]
    assert cli.main(["train", "--data", "digits", *short, *where, "--name", "one"]) == 0
    assert json.loads((tmp_path / "one" / "config.json").read_text())["recipe"] == "dcgan"
    assert cli.main(["train", "mlp", *short, *where, "--name", "two"]) == 0
    config = str(tmp_path / "two" / "config.json")
    assert cli.main(["train", "--config", config, *where, "--name", "three"]) == 0
    assert json.loads((tmp_path / "three" / "config.json").read_text())["recipe"] == "mlp"
