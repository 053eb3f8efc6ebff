"""The studio's model: a service of its own on a loopback port, for who knows the token, gone when the studio is.

    python -m sparring.serve.worker RUN        a line on stdin is the token; a line of JSON on stdout says where it is

It ends when stdin does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from sparring.config import UserError


def main(arguments: list[str]) -> int:
    """Serve the run until stdin ends; 2 where it cannot be opened, and a line on stdout that says why."""
    from sparring import trained
    from sparring.serve.model import Limits
    from sparring.serve.run import serve

    token = sys.stdin.readline().strip()

    def watch() -> None:
        while sys.stdin.readline():
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()

    def told(address: str) -> None:
        print(json.dumps({"port": int(address.rpartition(":")[2])}), flush=True)

    try:
        from sparring.serve.explore import routes

        run = trained.load(Path(arguments[0]))
        serve(run, "127.0.0.1", 0, Limits(seconds=60), 0, told, routes, token)
    except (UserError, OSError, ImportError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
