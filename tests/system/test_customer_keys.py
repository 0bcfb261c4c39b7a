"""Rows come under a new key while services go on, also when the work is killed in between."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from backfill.customer_sync.keys import TABLES, rotate
from consumers.customer_records.vault import FORM, Key, Vault
from headwater.database import Database
from headwater.testing import RunningServers, until

OLD, NEW, FOREIGN = (sign * 31 + "02" for sign in ("a1", "b1", "c1"))
BEFORE, AFTER, ONLY_NEW = Vault(Key.of(OLD)), Vault(Key.of(NEW), [Key.of(OLD)]), Vault(Key.of(NEW))
AUTH = TABLES["auth"]
CHILD = Path(__file__).parent / "rotate_child.py"


@pytest_asyncio.fixture
async def database(servers: RunningServers) -> AsyncIterator[Database]:
    async with servers.fresh_database() as url:
        opened = await Database.open(url)
        await opened.execute(
            "CREATE TABLE client_auth (id text PRIMARY KEY, name text NOT NULL, "
            "email_encrypted text NOT NULL, email_index text UNIQUE)"
        )
        try:
            yield opened
        finally:
            await opened.close()


def address(number: int) -> str:
    return f"p{number}@planted.example"


async def fill(database: Database, count: int, *, versioned: bool = False) -> None:
    rows = []
    for number in range(count):
        record = f"c{number:05}"
        sealed = (
            BEFORE.seal(AUTH.name, record, address(number))
            if versioned
            else BEFORE.seal_as_of_old(address(number))
        )
        rows.append((record, "Ada", sealed, BEFORE.index(address(number))))
    await database.execute(
        "INSERT INTO client_auth SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])",
        *zip(*rows, strict=True),
    )


async def texts(database: Database) -> dict[str, str]:
    return {row["id"]: row["email_encrypted"] for row in await database.fetch("SELECT * FROM client_auth")}


async def new(database: Database) -> int:
    count: int = await database.fetchval(
        "SELECT count(*) FROM client_auth WHERE email_encrypted LIKE $1", f"{FORM}.{AFTER.key.id}.%"
    )
    return count


@pytest.mark.parametrize("versioned", [False, True])
async def test_every_row_comes_under_the_new_key_and_a_second_run_finds_nothing(
    database: Database, versioned: bool
) -> None:
    await fill(database, 1201)
    seen: list[int] = []

    first = await rotate(database, AUTH, AFTER, versioned=versioned, tell=seen.append)
    again = await rotate(database, AUTH, AFTER, versioned=versioned)

    assert (first.rows, first.changed, first.missed, first.broken) == (1201, 1201, 0, [])
    assert (again.rows, again.changed) == (1201, 0)
    assert seen == [500, 1000, 1201]
    for record, text in (await texts(database)).items():
        assert ONLY_NEW.open(AUTH.name, record, text) == address(int(record[1:]))
        assert text.startswith(f"{FORM}.") == versioned
    row = await database.fetchrow(
        "SELECT * FROM client_auth WHERE email_index = $1", ONLY_NEW.index(address(7))
    )
    assert row is not None
    assert row["id"] == "c00007"


async def test_a_dry_run_counts_and_writes_nothing(database: Database) -> None:
    await fill(database, 30)
    before = await texts(database)

    assert (await rotate(database, AUTH, AFTER, versioned=True, dry_run=True)).changed == 30
    assert await texts(database) == before


async def test_tampered_and_foreign_rows_are_told_left_as_they_are_and_the_rest_goes_on(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    await fill(database, 20)
    bad = {
        "c00003": Vault(Key.of(FOREIGN)).seal_as_of_old(address(3)),
        "c00007": BEFORE.seal(AUTH.name, "c00008", address(7)),
        "c00011": address(11),
    }
    for record, text in bad.items():
        await database.execute("UPDATE client_auth SET email_encrypted = $2 WHERE id = $1", record, text)

    done = await rotate(database, AUTH, AFTER, versioned=True)

    assert {one.id for one in done.broken} == set(bad)
    assert done.changed == 17
    assert {record: text for record, text in (await texts(database)).items() if record in bad} == bad
    assert "planted" not in repr(done)
    assert "planted" not in "".join(capfd.readouterr())


async def test_a_row_that_somebody_writes_meanwhile_stays_as_he_wrote_it(database: Database) -> None:
    await fill(database, 3)
    theirs = BEFORE.seal_as_of_old("new@planted.example")

    async with database.transaction() as tx:
        await tx.execute("UPDATE client_auth SET email_encrypted = $1 WHERE id = 'c00001'", theirs)
        rotating = asyncio.create_task(rotate(database, AUTH, AFTER, versioned=True))
        await until(lambda: database.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))
    done = await rotating

    assert (done.changed, done.missed, done.complete) == (2, 1, False)
    assert (await texts(database))["c00001"] == theirs
    assert (await rotate(database, AUTH, AFTER, versioned=True)).changed == 1


async def test_an_address_that_two_records_have_under_two_keys_is_told(database: Database) -> None:
    await fill(database, 5)
    await database.execute(
        "INSERT INTO client_auth VALUES ('z', 'Eve', $1, $2)",
        *(AFTER.seal(AUTH.name, "z", address(2)), AFTER.index(address(2))),
    )

    done = await rotate(database, AUTH, AFTER, versioned=True)

    assert [(one.id, one.reason) for one in done.broken] == [
        ("c00002", "another record has the same address")
    ]
    assert done.changed == 4


async def test_killed_in_the_middle_it_goes_on_where_it_was_and_both_keys_read_meanwhile(
    database: Database,
) -> None:
    await fill(database, 4000)
    child = await asyncio.create_subprocess_exec(sys.executable, str(CHILD), database.url, OLD, NEW)
    await until(lambda: new(database), every=0.005)
    child.send_signal(signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    half = await new(database)

    assert 0 < half < 4000
    for record, text in (await texts(database)).items():
        assert AFTER.open(AUTH.name, record, text) == address(int(record[1:]))
    done = await rotate(database, AUTH, AFTER, versioned=True)
    assert half + done.changed >= 4000
    assert await new(database) == 4000
