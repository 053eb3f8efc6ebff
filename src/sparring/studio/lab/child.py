"""The process that plays: reads messages from standard input, writes frames to standard output, ends with its page.

python -m sparring.studio.lab.child
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

import torch
from torch import Tensor

from sparring.config import UserError, no_outside_code
from sparring.data.toys import TOYS
from sparring.studio.lab.messages import frame, parse
from sparring.studio.lab.numbers import changed, flags, flat, told
from sparring.studio.lab.play import LOOK, SHOWN, Lab, Setup, setup_of, setup_of_sick
from sparring.studio.lab.sets import DRAWN, SETS, VIEW
from sparring.studio.lab.sick import SICK

TURN = 0.035
"""Seconds of training between two frames, at full speed."""
AHEAD = 2
"""Frames that may be on their way: a page that does not look costs nothing."""
MEASURED_EVERY = 0.2
"""Seconds between two measurements while it plays."""
REAL = 500
"""Real points that are shown."""


class Child:
    """The lab of one page."""

    def __init__(self, out: BinaryIO) -> None:
        self.out, self.lab = out, Lab(Setup())
        self.playing, self.pace, self.next = False, 0.0, 0.0
        self.end: int | None = None
        self.sent = self.seen = self.told_looks = 0
        self.measured = 0.0
        self.sick = ""

    def say(self, head: Mapping[str, Any], arrays: Any = ()) -> None:
        """One frame, at once."""
        self.out.write(frame(head, arrays))
        self.out.flush()

    def greet(self) -> None:
        """What there is to choose from, and how it stands."""
        sick = {name: {"kind": one.kind, "set": one.set} for name, one in SICK.items()}
        head = {"kind": "ready", "settings": told(), "sets": [*SETS, DRAWN], "sick": sick, "view": VIEW, "look": LOOK}
        self.say(head)
        self.stand()

    def stand(self) -> None:
        """After any change: the whole setup, the real points, a frame."""
        lab = self.lab
        data = lab.setup.set if lab.setup.set in TOYS else "ring"
        head = {
            "kind": "state", "set": lab.setup.set, "seed": lab.setup.seed, "settings": flat(lab.setup.config),
            "modes": 0 if lab.toy.centres is None else len(lab.toy.centres), "floor": clean(lab.floor),
            "command": flags(lab.setup.config, data), "round": lab.state.round, "sick": self.sick,
        }  # fmt: skip
        self.say(head, [array("real", lab.real[:REAL])])
        self.told_looks = -1
        self.show(measure=True)

    def handle(self, message: Mapping[str, Any]) -> None:
        """One message of the page. `UserError` leaves everything as it was."""
        do = message["do"]
        if do == "seen":
            self.seen = max(self.seen, min(int(message.get("frame", 0)), self.sent))
        elif do == "play":
            if self.lab.broken:
                raise UserError(self.lab.broken)
            self.playing, self.pace, self.next = True, float(message.get("pace", 0)), time.monotonic()
            self.end = self.lab.state.round + message["rounds"] if message.get("rounds") else None
        elif do == "pause":
            self.playing = False
            self.show(measure=True)
        elif do == "step":
            self.playing = False
            for _ in range(int(message.get("count", 1))):
                self.lab.turn(str(message.get("who", "both")))
            self.show(measure=True)
        else:
            self.rebuild(do, message)

    def rebuild(self, do: str, message: Mapping[str, Any]) -> None:
        """Messages after which the lab is another."""
        lab, sick = self.lab, ""
        if do == "begin":
            lab.begin(setup_of(message, Setup(seed=lab.setup.seed)))
        elif do == "change":
            lab.change(changed(lab.setup.config, message.get("settings", {})))
            sick = self.sick
        elif do == "sick":
            if message.get("name") not in SICK:
                raise UserError(f"sick: name is not one of {', '.join(SICK)}")
            sick = str(message["name"])
            lab.begin(setup_of_sick(SICK[sick]))
        elif do == "cure":
            found = next((each for each in lab.findings if each.kind == message.get("kind")), None)
            if found is None:
                raise UserError("cure: the doctor has found no such thing now")
            config, done = lab.cure_of(found)
            if not done:
                raise UserError(f"cure: no setting of the lab to change; {found.remedy}")
            setup = setup_of({"settings": flat(config)}, lab.setup)
            lab.begin(setup) if message.get("anew", True) else lab.change(config)
        self.sick, self.playing = sick, False if do in ("begin", "sick") else self.playing
        self.stand()

    def advance(self) -> None:
        """Play for a moment, and show."""
        until = time.monotonic() + TURN
        while True:
            self.lab.turn()
            self.playing = not self.lab.broken and self.lab.state.round != self.end
            if not self.playing or self.pace or time.monotonic() >= until:
                break
        if self.pace:
            self.next = max(self.next + 1 / self.pace, time.monotonic())
        self.show(measure=not self.playing or time.monotonic() - self.measured > MEASURED_EVERY)

    def show(self, measure: bool) -> None:
        """A frame of what can be seen now."""
        lab, values = self.lab, clean(self.lab.losses)
        self.sent += 1
        head: dict[str, Any] = {
            "kind": "frame", "number": self.sent, "round": lab.state.round, "playing": self.playing, "values": values,
            "boundary": lab.boundary,
        }  # fmt: skip
        if measure:
            self.measured = time.monotonic()
            head["measures"] = clean(lab.measures())
        fakes = lab.fakes(SHOWN)
        arrays = [("fakes", fakes), ("heat", lab.heat()), ("pushes", lab.pushes()), ("lines", lab.manifold())]
        self.say(head, [array(name, value) for name, value in arrays])
        if lab.looks != self.told_looks:
            self.told_looks = lab.looks
            self.say({"kind": "doctor", "looks": lab.looks, "round": lab.state.round, "findings": self.findings()})

    def findings(self) -> list[dict[str, Any]]:
        """The doctor's, each with what its remedy would change here."""
        rows = []
        for finding in self.lab.findings:
            _, done = self.lab.cure_of(finding)
            rows.append({**finding.as_json(), "evidence": clean(finding.evidence), "cure": done})
        return rows

    def wait(self) -> float | None:
        """Seconds until there is something to do without a message; None: only a message can bring it."""
        if not self.playing or self.sent - self.seen >= AHEAD:
            return None
        return max(0.0, self.next - time.monotonic()) if self.pace else 0.0


def array(name: str, values: Tensor) -> tuple[str, list[int], bytes]:
    """Float32, little, as a page reads it; NaN and infinity far outside."""
    kept = torch.nan_to_num(values.detach().float(), 9e9, 9e9, -9e9).contiguous()
    return name, list(kept.shape), kept.numpy().astype("<f4").tobytes()


def clean(values: Mapping[str, float]) -> dict[str, float]:
    """JSON has no NaN."""
    return {name: float(f"{value:.5g}") for name, value in values.items() if math.isfinite(value)}


def read(inbox: queue.Queue[str | None]) -> None:
    """Lines of standard input, then None."""
    for line in sys.stdin:
        inbox.put(line)
    inbox.put(None)


def main() -> None:
    """Until standard input ends."""
    torch.set_num_threads(1)
    with contextlib.suppress(OSError):
        os.nice(5)
    inbox: queue.Queue[str | None] = queue.Queue(maxsize=200)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints goes where people look, not into the frames
    threading.Thread(target=read, args=(inbox,), daemon=True).start()
    child = Child(out)
    with no_outside_code():
        child.greet()
        while True:
            try:
                text = inbox.get(timeout=child.wait())
            except queue.Empty:
                child.advance()
                continue
            if text is None:
                return
            try:
                child.handle(parse(text))
            except UserError as error:
                child.say({"kind": "error", "text": str(error)})


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        main()
