"""`python -m sparring`, where the command is not on the path."""

import sys

from sparring.cli import main

sys.exit(main())
