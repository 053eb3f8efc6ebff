"""What can only be proven in the repository, and the tables of its README.

    sparring prove --full --into docs/proofs                  the proofs that come with the package
    python benchmarks/prove.py demo                           what `make demo` leaves
    python benchmarks/prove.py kill                           kill -9 ten times, end bitwise the same
    python benchmarks/prove.py pictures                       emoji and daisies at 64x64
    python benchmarks/prove.py mixed                          500 pictures of every kind, 5 of them broken
    python benchmarks/prove.py clock                          wall-clock on two quiet cores, added to the MNIST rows
    python benchmarks/prove.py render                         docs/proofs.md and the tables from docs/proofs/*.json

Needs SPARRING_DATA for the sets that do not come with the package.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sparring
from sparring.proofs import record
from sparring.proofs.ladder import RUNGS
from sparring.runs import read_events

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "proofs"
SPARRING = [sys.executable, "-c", "import sys; from sparring.cli import main; sys.exit(main())"]


def write(
    name: str,
    order: int,
    title: str,
    text: str,
    command: str,
    columns: Sequence[str],
    rows: Sequence[Any],
    passed: bool | None,
) -> None:
    """One result, as JSON."""
    print(record.write(record.Result(name, order, title, text, command, columns, rows, passed), RESULTS).read_text())


def trained(recipe: str, folder: str, **settings: Any) -> tuple[sparring.Run, dict[str, Any], dict[str, Any]]:
    """A run, its evaluation and the last of its losses."""
    run = sparring.train(recipe, runs=folder, **settings)
    losses = [event for event in read_events(run.path) if event["event"] == "losses"]
    return run, json.loads((run.path / "evaluation.json").read_text()), losses[-1]


def two_cores(recipe: str, settings: Mapping[str, Any]) -> float:
    """Wall-clock seconds that the same rounds take on two threads, from timed rounds. Only a quiet machine tells."""
    from sparring import recipes, training
    from sparring.data import open_data
    from sparring.machine import find_machine
    from sparring.session import plan_of

    settings = dict(settings)
    plan = plan_of(recipe, settings.pop("preset", None), {"data": "mnist", "threads": 2, **settings})
    source = recipes.find(recipe).data(plan.model, open_data(plan.data)["train"])
    measured = training.trial(plan, source, find_machine(plan.how, "image"), seconds=8)
    return round(measured.seconds_per_round * plan.model.rounds, 1)


def clock() -> None:
    """Add the wall-clock on two cores to the MNIST results. Needs a quiet machine."""
    rows = {f"mnist-{name}": (rung.recipe, rung.settings) for name, rung in RUNGS.items()}
    for name, (recipe, settings) in {**rows, "classifier": ("classifier", {})}.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text()) | {"two_core_seconds": two_cores(recipe, settings)}
            path.write_text(json.dumps(found, indent=1) + "\n")


def demo() -> None:
    """`make demo`: at most two minutes, ten classes of 5 to 15 % each."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        arguments = ["train", "cdcgan", "--data", "digits", "--runs", folder, "--name", "demo"]
        subprocess.run([*SPARRING, *arguments], check=True)
        seconds = time.perf_counter() - begin
        found = json.loads((Path(folder) / "demo" / "evaluation.json").read_text())
        shutil.copy(Path(folder) / "demo" / "grid.png", ROOT / "docs" / "demo.png")
    shares, distance = found["classes"]["shares"], found["metrics"]["frechet distance"]
    passed = seconds <= 120 and min(shares) >= 0.05 and max(shares) <= 0.15
    columns = ["wall s", "classes", "least class", "largest class", "x floor", "confidence", "judge's accuracy"]
    row = [
        round(seconds, 1),
        found["classes"]["present"],
        round(min(shares), 3),
        round(max(shares), 3),
        round(distance["times_floor"], 2),
        round(found["metrics"]["confidence"]["value"], 3),
        round(found["extractor"]["accuracy"], 4),
    ]
    write(
        "demo",
        10,
        "The demo",
        "Real handwritten digits from nothing: at most 120 s after set-up, with training, judge and "
        "report; every class at 5 to 15 %.",
        "make demo",
        columns,
        [row],
        passed,
    )


def kill() -> None:
    """Ten kills with -9, then bitwise equality with the unkilled run."""
    command = [sys.executable, "-m", "pytest", "tests/test_kill.py", "-m", "long", "-s", "-k", "killed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = re.search(r"killed after rounds \[(.*)\] of (\d+)", done.stdout)
    rounds = told[1] if told else "?"
    write(
        "kill",
        40,
        "Exact resume",
        "A run is killed with -9 ten times at random moments and resumed; all parameters, averages "
        "and optimizer states end bitwise equal to those of a run that was never killed. Each kill comes up to .15 s after the first checkpoint that follows a start, so ten to twenty rounds on.",
        "pytest tests/test_kill.py -m long",
        ["kills", "last checkpoint before each", "bitwise equal"],
        [[len(rounds.split(",")), rounds, done.returncode == 0]],
        done.returncode == 0,
    )


def pictures() -> None:
    """Emoji and daisies: the sheets go to docs/ to be looked at."""
    data = Path(os.environ["SPARRING_DATA"])
    sets = {
        "emoji": {"data": str(data / "noto-emoji" / "noto-emoji-png128.zip"), "color": "rgb"},
        "daisies": {"data": str(data / "flowers" / "flowers-daisy.zip"), "augment": {"flip": True}},
    }
    rows = []
    for name, settings in sets.items():
        with tempfile.TemporaryDirectory() as folder:
            run, found, last = trained("dcgan", folder, size=64, threads=1, rounds=2000, **settings)
            sheet = ROOT / "docs" / f"{name}.png"
            shutil.copy(run.path / "grid.png", sheet)
            m = found["metrics"]
            rows.append(
                [
                    name,
                    found["samples"],
                    round(last["cpu_seconds"]),
                    round(m["frechet distance"]["value"], 4),
                    round(m["frechet distance"]["times_floor"], 1),
                    round(m["precision"]["value"], 3),
                    round(m["recall"]["value"], 3),
                    round(m["coverage"]["value"], 3),
                    round(m["coverage"]["floor"], 3),
                ]
            )
    write(
        "pictures",
        50,
        "Pictures of one's own, 64x64",
        "No labels, so the extractor is `pixels 8x8`, which knows nothing of "
        "content: compare only with itself. Sheets: emoji.png and daisies.png.",
        "sparring train dcgan --data FOLDER --size 64 --threads 1 --rounds 2000 (emoji: --color rgb; daisies: --augment.flip)",
        ["set", "samples", "CPU s", "Fréchet distance", "x floor", "precision", "recall", "coverage", "its floor"],
        rows,
        None,
    )


def mixed() -> None:
    """500 pictures of mixed size, shape and mode; five are broken, each in its own way, and all are named."""
    sys.path.insert(0, str(ROOT))
    from tests.mixed import mixed_folder

    with tempfile.TemporaryDirectory() as folder:
        broken = mixed_folder(Path(os.environ["SPARRING_DATA"]), Path(folder) / "pictures")
        arguments = [
            "train",
            "dcgan",
            "--data",
            str(Path(folder) / "pictures"),
            "--rounds",
            "200",
            "--runs",
            folder,
            "--name",
            "m",
        ]
        done = subprocess.run([*SPARRING, *arguments], capture_output=True, text=True, check=False)
        told = done.stderr.replace("\n", " ")
        rows = [[name, kind, name in told] for name, kind in broken.items()]
        finished = (Path(folder) / "m" / "report.html").exists()
    write(
        "mixed",
        60,
        "A folder of everything",
        "500 pictures of many sizes, shapes and modes (RGB, RGBA, palette, 16 bit, gray, "
        "CMYK, rotated by EXIF) from flowers and emoji; 5 are broken. Training runs and names all five.",
        "sparring train dcgan --data FOLDER",
        ["broken file", "how", "named"],
        rows,
        finished and done.returncode == 0 and all(row[2] for row in rows),
    )


def render() -> str:
    """docs/proofs.md as text."""
    return record.page(RESULTS)


def measured() -> dict[str, dict[str, str]]:
    """Cost and score per recipe for `sparring recipes`, from the results on file."""
    table: dict[str, dict[str, str]] = {}
    for key in ("mlp", "dcgan", "cdcgan"):
        path = RESULTS / f"mnist-{key}.json"
        if not path.exists():
            path = RESULTS / f"mnist-{key}-classic.json"
        if path.exists():
            r = json.loads(path.read_text())
            table[key] = {
                "cost": f"MNIST, {statistics.median(row[1] for row in r['rows']):.0f} CPU s",
                "score": f"{statistics.median(row[3] for row in r['rows']):.1f} x floor",
            }
    path = RESULTS / "classifier.json"
    if path.exists():
        rows = json.loads(path.read_text())["rows"]
        table["classifier"] = {
            "cost": f"MNIST, {statistics.median(row[1] for row in rows):.0f} CPU s",
            "score": f"{100 * statistics.median(row[2] for row in rows):.2f} % right",
        }
    return table


PURPOSES: Mapping[str, Mapping[str, str]] = {
    "README.md": {
        "head": "| system | what | training on MNIST | score |",
        "mlp": "the first GAN, fully connected; no labels needed",
        "dcgan": "convolutional, any size of picture; no labels",
        "cdcgan": "by class, on demand",
        "classifier": "what a picture shows; the judge",
    },
    "README.zh-CN.md": {
        "head": "| 系统 | 是什么 | 在 MNIST 上训练 | 得分 |",
        "mlp": "最早的 GAN，全连接；不需要标签",
        "dcgan": "卷积，任意尺寸的图片；不需要标签",
        "cdcgan": "按类别生成，要什么给什么",
        "classifier": "图片里是什么；也是评判者",
    },
}


def table(language: str) -> str:
    """The README's table of measured figures."""
    words = PURPOSES[language]
    lines = [words["head"], "|---|---|---|---|"]
    for name, found in measured().items():
        lines.append(f"| `{name}` | {words[name]} | {found['cost'].split(', ')[1]} | {found['score']} |")
    return "\n".join(lines)


def fill(language: str) -> None:
    """Put the table between its marks."""
    path = ROOT / language
    before, _, rest = path.read_text().partition("<!-- figures -->")
    _, _, after = rest.partition("<!-- /figures -->")
    path.write_text(f"{before}<!-- figures -->\n{table(language)}\n<!-- /figures -->{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["demo", "kill", "pictures", "mixed", "clock", "render"])
    given = parser.parse_args()
    table: Mapping[str, Callable[[], None]] = {
        "demo": demo,
        "kill": kill,
        "pictures": pictures,
        "mixed": mixed,
        "clock": clock,
        "render": lambda: None,
    }
    table[given.what]()
    (ROOT / "docs" / "proofs.md").write_text(render())
    (ROOT / "src" / "sparring" / "recipes" / "measured.json").write_text(json.dumps(measured(), indent=1) + "\n")
    for language in PURPOSES:
        fill(language)


if __name__ == "__main__":
    main()
