"""How fast it is: the engine against the plain loop that tutorials write, of the same networks, on this machine.

    python benchmarks/speed.py                        everything; about an hour, wants quiet cores
    python benchmarks/speed.py --quick --into quick  does it run?  A minute or two, not for figures
    python benchmarks/speed.py race                   images a second, ours to plain, in pairs of fresh processes
    python benchmarks/speed.py race --cases mlp r3-32
    python benchmarks/speed.py quality                what both have learnt from as many pictures
    python benchmarks/speed.py overhead               what the engine costs beside the networks' arithmetic
    python benchmarks/speed.py growth                 as batch, resolution and set grow
    python benchmarks/speed.py peak                   the machine's measured peak, and the share of it that is reached
    python benchmarks/speed.py profile                what a DCGAN's round is spent on
    python benchmarks/speed.py busy                   beside a program that keeps one core busy
    python benchmarks/speed.py start                  from the command to the first step; --help
    python benchmarks/speed.py render                 the tables of docs/performance.md and the plot, from the results

Every figure is a middle with its range. Ratios come from pairs that were measured one after the other; times alone
are of one machine on one day. Several modes may be named. OMP_NUM_THREADS must not be set: both sides choose.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from stopwatch import page
from stopwatch.cases import CASES, Case
from stopwatch.measure import MODES, QUICK, Effort, run

RESULTS = page.ROOT / "docs" / "performance"


def child(words: str) -> None:
    """One measurement in a process of its own."""
    from stopwatch.child import TASKS

    asked: dict[str, Any] = json.loads(words)
    told, case = asked["told"], asked["case"]
    if case is not None:
        told["case"] = Case(**{**case, "shape": tuple(case["shape"])})
    if asked["task"] == "race":
        told["born"] = asked["born"]
    print(json.dumps(TASKS[asked["task"]](**told)))


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        return child(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modes", nargs="*", metavar="mode", help=f"{', '.join(MODES)} or render; none is all")
    parser.add_argument("--quick", action="store_true", help="two short pairs of two cases")
    parser.add_argument("--into", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), help="only these")
    parser.add_argument("--pairs", type=int, help="of processes per case")
    given = parser.parse_args()
    if unknown := set(given.modes) - {*MODES, "render"}:
        parser.error(f"there is no mode {', '.join(sorted(unknown))}; use {', '.join(MODES)} or render")
    effort = QUICK if given.quick else Effort()
    effort = replace(effort, cases=tuple(given.cases or effort.cases), pairs=given.pairs or effort.pairs)
    if "OMP_NUM_THREADS" in os.environ:
        print("note: OMP_NUM_THREADS is set, so neither side chooses its threads", file=sys.stderr)
    for mode in given.modes or MODES:
        if mode != "render":
            print(f"written: {run(mode, effort, given.into)}")
    if given.into == RESULTS:  # results that are elsewhere do not belong on the page
        page.render(RESULTS)


if __name__ == "__main__":
    main()
