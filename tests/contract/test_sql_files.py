"""Every SQL file of the repository is one that Postgres accepts, on the database it is meant for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from backfill import backfills
from consumers import applications
from headwater.database import connect
from headwater.delivery.consumer import Upsert
from headwater.delivery.mirror import compile_mirror
from headwater.replay import Backfill
from headwater.testing import RunningServers
from tests.databases import migrated

ROOT = Path(__file__).parents[2]
FOLDERS = ("headwater", "schemas", "streams", "producers", "consumers", "backfill")
ON_APPLICATIONS = (
    "headwater/delivery/",
    "headwater/database/sql/override",
    "headwater/replay/sql/key_types.sql",
    "headwater/replay/sql/loss_signals.sql",
    "headwater/replay/sql/close_compared.sql",
    "headwater/replay/sql/signals.sql",
    "headwater/replay/sql/letters_of.sql",
    "headwater/replay/sql/letters_of_job.sql",
    "headwater/replay/sql/reopen.sql",
    "headwater/replay/sql/table_columns.sql",
    "headwater/replay/sql/tenants_held.sql",
)
ON_BOTH = ("headwater/cli/", "headwater/replay/", "headwater/retention/", "backfill/tenant_sync/")
SCRIPTS = (
    "producers/sql/wrapper.sql",
    "producers/accounts/sql/table.sql",
    "producers/accounts/sql/doorbell.sql",
    "consumers/chat/sql/chat.sql",
)
"""Many statements, run as a whole by the fixture."""

SKELETON = "headwater/cli/skeleton/"
"""A project of its own, whose tables are not here: tests/system/test_init.py runs each of its statements."""

FILES = sorted(
    str(file.relative_to(ROOT))
    for folder in FOLDERS
    for file in (ROOT / folder).rglob("*.sql")
    if "migrations" not in file.parts and not str(file).endswith(SCRIPTS) and SKELETON not in str(file)
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def databases(servers: RunningServers) -> AsyncIterator[dict[str, str]]:
    """Migrated databases by name: `source` and one an application."""
    async with migrated(servers) as urls:
        yield urls


def places(file: str) -> tuple[str, ...]:
    """Databases on one of which a file has to be accepted."""
    if file.startswith(("producers/accounts/", "backfill/sql/accounts", "consumers/chat/sql/source_")):
        return ("accounts",)
    if file.startswith("backfill/user_sync/"):
        return ("chat",)
    if file.startswith("consumers/customer_records/"):
        return ("auth", "customer")
    if file.startswith("consumers/"):
        return (Path(file).parts[1],)
    if file.startswith(ON_APPLICATIONS):
        return ("crm",)
    return ("source", "crm") if file.startswith(ON_BOTH) else ("source",)


async def refusal(url: str, statement: str) -> str:
    """Why Postgres does not accept a statement; empty when it does."""
    connection = await connect(url)
    try:
        await connection.prepare(statement)
    except asyncpg.PostgresError as error:
        return str(error)
    finally:
        await connection.close()
    return ""


@pytest.mark.parametrize("file", FILES)
async def test_every_sql_file_is_accepted_by_its_database(file: str, databases: dict[str, str]) -> None:
    statement = (ROOT / file).read_text(encoding="utf-8")

    refusals = [await refusal(databases[place], statement) for place in places(file)]

    assert not all(refusals), refusals


@pytest.mark.parametrize("file", FILES)
def test_every_sql_file_says_what_it_does_and_what_goes_in_and_comes_out(file: str) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines[:4] if line.startswith("-- ")]

    assert lines[0].startswith("-- ")
    assert lines[1].startswith("-- ")
    assert "->" in " ".join(comments)


@pytest.mark.parametrize("app", [one.app for one in applications])
async def test_every_declared_upsert_compiles_to_an_accepted_statement(
    app: str, databases: dict[str, str]
) -> None:
    consumer = next(one for one in applications if one.app == app)
    connection = await connect(databases[app])
    mirrors = [await compile_mirror(connection, one) for one in consumer.steps if isinstance(one, Upsert)]
    await connection.close()

    refusals = {
        one.upsert.table: why
        for one in mirrors
        for query in (one.statement, one.typed)
        if (why := await refusal(databases[app], query))
    }

    assert not refusals
    assert mirrors


@pytest.mark.parametrize("backfill", backfills, ids=lambda one: one.subject)
async def test_every_backfill_has_the_columns_and_the_queries_that_the_engine_needs(
    backfill: Backfill, databases: dict[str, str]
) -> None:
    connection = await connect(databases["source"])
    types = await backfill.types(connection)
    await connection.close()

    queries = [
        backfill.count,
        backfill.named(types),
        backfill.versions,
        backfill.bound,
        *(
            backfill.page(types, after=after, since=since, bound=bound)
            for after in (False, True)
            for since in (False, True)
            for bound in (False, True)
        ),
    ]

    assert [await refusal(databases["source"], query) for query in queries] == [""] * len(queries)
    assert {
        "key": "text",
        "version": "int8",
        "created_at": "timestamptz",
        "changed_at": "timestamptz",
    }.items() <= (types.items())
    assert {*backfill.order, backfill.key_column} <= types.keys()
