"""As whom Postgres runs, because it refuses to run as root, and `initdb` as a user without a name.

First choice is a user namespace in which we are `nobody`: files stay ours, the system is not touched. Where
the kernel or the container refuses that, root hands data and a copy of unreachable binaries to uid 65534.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

NOBODY = 65534


class PopenOptions(TypedDict, total=False):
    """Arguments of `subprocess.Popen` that change the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """How a server process gets the right to run: a command before its own, or another uid."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None

    def popen_options(self) -> PopenOptions:
        """What `subprocess.Popen` needs to start a process as this account."""
        return {} if self.uid is None else {"user": self.uid, "group": self.uid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make `path` and all below it this account's, unless it is already."""
        owner = os.geteuid() if self.uid is None else self.uid
        if path.stat().st_uid != owner:
            for each in (path, *path.rglob("*")):
                os.chown(each, owner, owner, follow_symlinks=False)

    def reaches(self, path: Path) -> bool:
        """Whether every folder above `path` lets this account through."""
        return self.uid is None or all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)

    def can_run(self, program: Path) -> bool:
        """Whether `program --version` works as this account."""
        try:
            done = subprocess.run(  # noqa: S603 (a binary we chose)
                [*self.prefix, str(program), "--version"],
                capture_output=True,
                check=False,
                cwd="/",
                **self.popen_options(),
            )
        except PermissionError:
            return False
        return done.returncode == 0


OURS = Account()


def postgres_account() -> Account:
    """An account that `initdb` and `postgres` accept, found by trying."""
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return OURS
    if (unshare := shutil.which("unshare")) and (true := shutil.which("true")):
        prefix = (unshare, "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
        if subprocess.run([*prefix, true], capture_output=True, check=False).returncode == 0:  # noqa: S603 (ours)
            return Account(prefix=prefix)
    return Account(uid=NOBODY) if os.geteuid() == 0 else OURS


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
