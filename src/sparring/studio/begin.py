"""A command that the studio begins, `python -P -m sparring.studio.begin train ...`, as on the command line.

But for one thing: code outside the package is not run, whatever a setting names.
"""

from __future__ import annotations

import sys

from sparring.cli import main
from sparring.config import no_outside_code

if __name__ == "__main__":
    with no_outside_code():
        sys.exit(main())
