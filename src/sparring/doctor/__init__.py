"""The doctor: what is wrong with a training, since when, by what evidence, and what to change.

It reads what a run wrote down (losses, probes), never the game itself, so that it can look at a finished run, at one
that another program logged, or at one that is being trained now.
"""

from __future__ import annotations

from sparring.doctor.checks import CHECKS, diagnose
from sparring.doctor.record import Change, Finding, Record, record_of

__all__ = ["CHECKS", "Change", "Finding", "Record", "diagnose", "record_of"]
