"""Migrations: once each, one runner at a time, and history is not rewritten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headwater.cli.databases import Place, migrate_all
from headwater.database import connect
from headwater.database.migrate import APP, SOURCE, migrate, status
from headwater.errors import DeclarationError, HeadwaterError
from headwater.testing import RunningServers


@pytest_asyncio.fixture(loop_scope="session")
async def empty(servers: RunningServers) -> AsyncIterator[str]:
    async with servers.fresh_database() as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001_first", "CREATE TABLE first (id int);")
    write(tmp_path, "0002_second", "CREATE TABLE second (id int); INSERT INTO second VALUES (1);")
    return tmp_path


def write(folder: Path, name: str, up: str, down: str = "") -> None:
    text = f"-- migrate:up\n{up}\n-- migrate:down\n{down}\n"
    (folder / f"{name}.sql").write_text(text, encoding="utf-8")


async def value(url: str, query: str) -> object:
    connection = await connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_files_are_applied_in_order_and_only_once(empty: str, folder: Path) -> None:
    roles = [SOURCE, ("shop", folder)]

    before = await status(empty, roles)
    applied = await migrate(empty, roles)
    again = await migrate(empty, roles)

    assert not any(one.applied for one in before)
    assert applied == [one.name for one in before]
    assert applied[-2:] == ["0001_first", "0002_second"]
    assert again == []
    assert all(one.applied for one in await status(empty, roles))


async def test_many_runners_at_once_apply_each_file_once(empty: str, folder: Path) -> None:
    results = await asyncio.gather(*(migrate(empty, [APP, ("shop", folder)]) for _ in range(5)))

    ours = [file.stem for file in APP[1].glob("*.sql")]
    assert sorted(name for one in results for name in one) == sorted([*ours, "0001_first", "0002_second"])
    assert await value(empty, "SELECT count(*) FROM second") == 1


async def test_a_file_that_changed_after_it_was_applied_is_refused(empty: str, folder: Path) -> None:
    await migrate(empty, [("shop", folder)])
    write(folder, "0001_first", "CREATE TABLE first (id bigint);")
    write(folder, "0003_third", "CREATE TABLE third (id int);")

    with pytest.raises(HeadwaterError, match="0001_first") as raised:
        await migrate(empty, [("shop", folder)])

    assert raised.value.hint
    assert await value(empty, "SELECT to_regclass('third')") is None


async def test_how_a_file_is_taken_back_may_change(empty: str, folder: Path) -> None:
    await migrate(empty, [("shop", folder)])
    write(folder, "0001_first", "CREATE TABLE first (id int);", down="DROP TABLE first;")

    assert await migrate(empty, [("shop", folder)]) == []


async def test_a_file_that_fails_leaves_nothing_and_those_before_it_stay(empty: str, folder: Path) -> None:
    write(folder, "0003_broken", "CREATE TABLE half (id int); SELECT 1 / 0;")

    with pytest.raises(HeadwaterError, match="0003_broken"):
        await migrate(empty, [("shop", folder)])

    assert await value(empty, "SELECT to_regclass('half')") is None
    assert await value(empty, "SELECT to_regclass('second') IS NOT NULL")
    write(folder, "0003_broken", "CREATE TABLE half (id int);")
    assert await migrate(empty, [("shop", folder)]) == ["0003_broken"]


async def test_a_file_without_its_first_line_is_refused(empty: str, folder: Path) -> None:
    (folder / "0003_bare.sql").write_text("SELECT 1", encoding="utf-8")

    with pytest.raises(DeclarationError, match="migrate:up"):
        await migrate(empty, [("shop", folder)])


async def test_one_database_s_error_does_not_cut_off_the_others(
    empty: str, servers: RunningServers, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = tmp_path_factory.mktemp("bare")
    (bare / "0001_bare.sql").write_text("SELECT 1", encoding="utf-8")
    async with servers.fresh_database() as other:
        wanted = [Place("books", other, (("books", bare),)), Place("shop", empty, (("shop", folder),))]

        with pytest.raises(HeadwaterError, match=r"database 'books': 0001_bare.sql has no"):
            await migrate_all(wanted)

    assert await value(empty, "SELECT to_regclass('second') IS NOT NULL")


async def test_source_and_application_may_share_a_database_and_both_can_be_taken_back(empty: str) -> None:
    applied = await migrate(empty, [SOURCE, APP])
    connection = await connect(empty)
    try:
        for _, files in (APP, SOURCE):
            for file in sorted(files.glob("*.sql"), reverse=True):
                await connection.execute(file.read_text(encoding="utf-8").partition("-- migrate:down")[2])
        left = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'headwater'")
        await connection.execute("DELETE FROM headwater.migration")
    finally:
        await connection.close()

    assert [row["tablename"] for row in left] == ["migration"]
    assert await migrate(empty, [SOURCE, APP]) == applied
