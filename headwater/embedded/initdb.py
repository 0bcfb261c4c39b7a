"""What `initdb` is told, and from where it runs when another account has to reach it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from headwater.embedded.account import Account
from headwater.embedded.choice import Binary


def initdb_flags(binary: Binary) -> list[str]:
    """UTF-8, a password for everybody, one sort order on every machine, no fsync of an empty database."""
    flags = ["--no-sync", "--no-instructions", "--auth=scram-sha-256", "--encoding=UTF8"]
    if binary.version >= (17,):
        return [*flags, "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    return [*flags, "--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]


def runnable_folder(binary: Binary, account: Account, place: Path) -> Path:
    """The folder of `binary`, or of a copy below `place` when `account` can not get at the original."""
    if account.uid is None or account.can_run(binary.path / "postgres"):
        return binary.path
    install = binary.path.parent
    copy = place / "programs" / str(binary) / "package"
    if not (copy / "complete").exists():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(install, copy / install.name, symlinks=True)
        # The wheel's programs look for their libraries here, relative to themselves.
        libraries = install.parent.parent / f"{install.parent.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, copy.parent / libraries.name, symlinks=True, dirs_exist_ok=True)
        (copy / "complete").touch()
    account.own(place / "programs")
    return copy / install.name / "bin"
