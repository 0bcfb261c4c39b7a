"""What tests make of the machine they run on: neither compiling nor a slow disk takes most of their time.

Tests kill dozens of processes, and one that compiles what it imports takes five times as long to start. They
copy hundreds of databases, which takes ten times as long on a disk as in memory.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

BYTECODE = Path(__file__).parents[1] / ".pytest_cache" / "bytecode"
MEMORY = Path("/dev/shm")  # noqa: S108 (as /tmp: whoever makes a file there makes it unguessable)
ROOM = 4 << 30
"""Bytes; the tests need a fifth of them."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def prepare() -> None:
    """For this process and all that it starts: keep bytecode, and keep files in memory when that is plenty.

    A `TMPDIR` of the environment is left alone.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    if "TMPDIR" not in os.environ and is_roomy():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def is_roomy() -> bool:
    """Whether programs can run from files in memory, and all limits leave room for more of them."""
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(MEMORY)
    if found.f_flag & os.ST_NOEXEC:
        return False
    return min(found.f_bavail * found.f_frsize, _available(), _allowed()) >= ROOM


def _available() -> int:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) << 10


def _allowed() -> int:
    """What the control group of a container may have."""
    told = [path.read_text().strip() for path in LIMITS if path.exists()]
    return min([int(text) for text in told if text != "max"], default=ROOM)
