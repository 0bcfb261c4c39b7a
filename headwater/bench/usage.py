"""What processes needed, seen from outside: CPU and memory by /proc, where there is one.

A process that this machine does not show (another host, another namespace, no Linux) is None, never 0.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def cpu_of(pid: int) -> float | None:
    """Seconds of CPU that a living process took so far."""
    fields = _fields(pid)
    return None if fields is None else sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def cpu_of_family(pid: int, name: str) -> float | None:
    """Seconds that a process called `name`, its living children and those it has buried took so far."""
    if _name(pid) != name:
        return None
    fields = _fields(pid)
    own = sum(map(int, fields[11:15])) if fields else 0
    living = [_fields(child) for child in _children(pid)]
    ticks = own + sum(int(value) for one in living if one for value in one[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def parent_of(pid: int, name: str) -> int | None:
    """The process that started `pid`, if both are called `name`."""
    fields = _fields(pid)
    parent = int(fields[1]) if fields else 0
    return parent if parent and _name(pid) == _name(parent) == name else None


def resident(pid: int) -> float | None:
    """MiB of memory a process holds now."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> float | None:
    """Largest MiB of memory a living process held so far."""
    return _status(pid, "VmHWM")


def _children(pid: int) -> list[int]:
    try:
        text = (_PROC / str(pid) / "task" / str(pid) / "children").read_text()
    except OSError:  # it has ended, or its kernel tells nothing
        return []
    return [int(one) for one in text.split()]


def _fields(pid: int) -> list[str] | None:
    """What stands behind the name in /proc/<pid>/stat: state, parent, ..."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _status(pid: int, key: str) -> float | None:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:")]
    return found[0] if found else None
