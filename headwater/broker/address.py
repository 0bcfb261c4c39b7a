"""The address of Redis, and connections to it: what is wrong with it is said at once, in words for people."""

from __future__ import annotations

import re

import redis.asyncio as redis
import redis.exceptions as raised
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from headwater.errors import SettingsError

ONE_SERVER = "one server: redis://[user:password@]host[:port][/database]; no Sentinel, no Cluster"


def new_pool(url: str, timeout: float, size: int, name: str) -> redis.BlockingConnectionPool:
    """`size` connections at most, made when they are needed. Raises SettingsError."""
    # A socket in the file system has no keepalive, and no need of one.
    alive = {} if url.startswith("unix://") else {"socket_keepalive": True}
    try:
        pool = redis.BlockingConnectionPool.from_url(
            re.sub(r"^valkey(s?)://", r"redis\1://", url),
            max_connections=size,
            timeout=timeout,
            protocol=2,
            decode_responses=False,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            client_name=name,
            driver_info=None,
            **alive,
        )
        # A wrong option shows here, and not at the first command.
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, raised.RedisError) as error:
        said = re.sub(r".*unexpected keyword argument", "no such option:", str(error))
        raise SettingsError(
            f"the address of Redis can not be used ({said})",
            hint=ONE_SERVER,
        ) from error
    return pool
