"""What comes from elsewhere, a run, a zip, reaches neither a terminal nor a place nor an address of its own choice."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import sparring
from sparring import UserError, cli
from sparring.data import Data
from tests.test_export import BY_RECIPE, run_of

ESCAPE = "\x1b]0;owned\x07\x1b[2J"
"""Gives a terminal another title and empties it."""


@pytest.mark.parametrize(
    ("recipe", "command", "name"),
    [
        ("cdcgan", ["sample"], "samples-seed0.png"),
        ("cdcgan", ["sample", "--separate"], "samples-seed0"),
        ("cut", ["translate"], "translated"),
        ("superres", ["upscale"], "upscaled"),
        ("inpaint", ["inpaint", "--mask", "magenta"], "inpainted"),
    ],
)
def test_a_link_in_a_run_leads_nowhere(
    recipe: str, command: list[str], name: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(recipe, *BY_RECIPE[recipe], pictures, tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (run.path / name).symlink_to(tmp_path / "mine")
    first, *flags = command
    files = [] if first == "sample" else [str(pictures / "0.png")]
    assert cli.main([first, str(run.path), *files, *flags]) == 2
    assert f"{name} is a link" in " ".join(capsys.readouterr().err.split())
    assert not list((tmp_path / "mine").iterdir())


def test_a_link_within_the_folder_leads_nowhere(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("cut", *BY_RECIPE["cut"], pictures, tmp_path / "run")
    own = tmp_path / "photos" / "sub" / "1.png"
    own.parent.mkdir(parents=True)
    own.write_bytes((pictures / "0.png").read_bytes())
    (tmp_path / "mine").mkdir()
    (run.path / "translated").mkdir()
    (run.path / "translated" / "sub").symlink_to(tmp_path / "mine")
    assert cli.main(["translate", str(run.path), str(tmp_path / "photos")]) == 2
    assert "is a link to another place" in " ".join(capsys.readouterr().err.split())
    assert not list((tmp_path / "mine").iterdir())


def test_names_of_a_zip_do_not_speak_to_the_terminal(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("cut", *BY_RECIPE["cut"], pictures, tmp_path / "run")
    with zipfile.ZipFile(tmp_path / "given.zip", "w") as archive:
        archive.writestr(f"{ESCAPE}.png", b"no picture")
    assert cli.main(["translate", str(run.path), str(tmp_path / "given.zip")]) == 2
    assert cli.main(["train", "dcgan", "--data", str(tmp_path / "given.zip")]) == 2
    assert cli.main([f"{ESCAPE}\nof two lines"]) == 2
    told = capsys.readouterr().err
    assert "passed over" in told
    assert "\x1b]" not in told
    assert "\x1b[2J" not in told
    assert "\nof two lines" in told


def test_a_run_names_no_address_but_its_user_may(pictures: Path, tmp_path: Path) -> None:
    run = run_of("cdcgan", *BY_RECIPE["cdcgan"], pictures, tmp_path / "run")
    told = json.loads((run.path / "config.json").read_text())
    told["data"]["data"] = "https://me@localhost/set"  # which is refused for its user, before anybody is contacted
    (run.path / "config.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="reading a run does not contact it"):
        sparring.load(run.path).evaluate()
    for asked in (sparring.load(run.path, trust=True), run):
        with pytest.raises(UserError, match="a user or password in it"):
            asked.evaluate(against=Data(data="https://me@localhost/set"))
