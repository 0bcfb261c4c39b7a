"""Whether a process that wrote its identity down is still there, as far as this place can tell.

A place is one boot of one machine, seen from one set of process numbers; a container is a place of
its own. Elsewhere than on Linux there are no places, and nothing is ever proved dead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Process(NamedTuple):
    """One process of one place; an empty place is nowhere that could be looked at."""

    place: str
    identity: str
    """Its number and the moment it began: numbers are used again."""


def this() -> Process:
    """The process that asks."""
    return Process(_place(), _identity(os.getpid()))


def is_dead(process: Process) -> bool:
    """True only when it was surely here, and surely is not any more."""
    if not process.place or process.place != _place():
        return False
    number, _, _ = process.identity.partition(":")
    return number.isdigit() and _identity(int(number)) != process.identity


def _place() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _identity(number: int) -> str:
    """Empty for one that is gone, or has ended and was not yet waited for."""
    try:
        text = (_PROC / str(number) / "stat").read_text()
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()
    return "" if state in {"Z", "X"} else f"{number}:{rest[18]}"
