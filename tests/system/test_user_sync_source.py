"""The source of users: what its application writes is found and said, and no write fails because of us."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from headwater.database import Database, connect
from headwater.errors import HeadwaterError
from headwater.publish import REALM, Producer
from headwater.testing import RunningServers, until
from producers import accounts
from producers.accounts.bell import Bell
from producers.accounts.examine import lacks
from producers.accounts.setup import set_up
from producers.accounts.sweep import Superseded, Sweeper
from schemas import codec
from schemas.accounts import AccountChanged, AccountDeleted
from tests.system.conftest import said

ADD = (
    "INSERT INTO users (id, first_name, status) "
    "SELECT gen_random_uuid(), 'n' || n, 'active' FROM generate_series(1, $1::int) n"
)


@pytest_asyncio.fixture
async def users(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[Database]:
    """A source of users, set up and empty."""
    async with servers.fresh_database(templates["accounts"]) as url:
        database = await Database.open(url)
        try:
            yield database
        finally:
            await database.close()


@pytest_asyncio.fixture
async def sweeper(users: Database) -> AsyncIterator[Sweeper]:
    one = sweeper_of(users.url)
    try:
        yield one
    finally:
        await one.close()


def sweeper_of(url: str, most: int = 500) -> Sweeper:
    return Sweeper(url, Producer(codec, source="users"), realm=REALM, most=most)


async def added(users: Database, **values: Any) -> uuid.UUID:
    given = {"status": "active", "first_name": "Ada", **values}
    names, marks = ", ".join(given), ", ".join(f"${n}" for n in range(1, len(given) + 1))
    found: uuid.UUID = await users.fetchval(
        f"INSERT INTO users ({names}) VALUES ({marks}) RETURNING id", *given.values()
    )
    return found


async def keys(users: Database) -> list[str]:
    return [one.key for one in await said(users)]


async def test_a_change_is_said_once_with_its_row_and_its_version(users: Database, sweeper: Sweeper) -> None:
    hashed = {"password": "a bcrypt hash"}
    user = await added(users, email="a@b.example", role="usta", bio="hello", **hashed)

    first, second = await sweeper.sweep(), await sweeper.sweep()

    [envelope] = await said(users)
    version = await users.fetchval("SELECT headwater_version FROM users")
    assert (first.said, second.said, second.pages) == (1, 0, 0)
    assert (envelope.tenant, envelope.version, envelope.op) == (REALM, version, "u")
    assert isinstance(envelope.event, AccountChanged)
    assert (envelope.event.account_id, envelope.event.bio, envelope.event.role) == (
        str(user),
        "hello",
        "usta",
    )
    assert envelope.event.has_password
    assert "hash" not in await users.fetchval("SELECT data::text FROM headwater.outbox")


async def test_a_user_who_is_not_active_any_more_is_said_to_be_gone(
    users: Database, sweeper: Sweeper
) -> None:
    user = await added(users)
    await sweeper.sweep()
    await users.execute("UPDATE users SET status = 'blocked' WHERE id = $1", user)

    await sweeper.sweep()

    assert [one.op for one in await said(users)] == ["u", "d"]


async def test_a_deleted_user_is_said_to_be_gone_with_the_version_of_the_deletion(
    users: Database, sweeper: Sweeper
) -> None:
    user = await added(users)
    await sweeper.sweep()
    await users.execute("DELETE FROM users WHERE id = $1", user)

    swept = await sweeper.sweep()

    state, gone = await said(users)
    assert isinstance(gone.event, AccountDeleted)
    assert (gone.key, gone.op, swept.gone) == (str(user), "d", 1)
    assert (gone.version or 0) > (state.version or 0)


async def test_truncate_goes_on_and_every_user_is_said_to_be_gone(users: Database, sweeper: Sweeper) -> None:
    await users.execute(ADD, 3)
    await sweeper.sweep()

    await users.execute("TRUNCATE users")
    swept = await sweeper.sweep()

    assert swept.gone == 3


async def test_a_user_deleted_and_created_again_ends_with_the_new_state(
    users: Database, sweeper: Sweeper
) -> None:
    user = await added(users)
    await sweeper.sweep()
    async with users.transaction() as tx:
        await tx.execute("DELETE FROM users WHERE id = $1", user)
        await tx.execute("INSERT INTO users (id, first_name, status) VALUES ($1, 'again', 'active')", user)

    await sweeper.sweep()

    last = max(await said(users), key=lambda one: one.version or 0)
    assert isinstance(last.event, AccountChanged)
    assert last.event.first_name == "again"


async def test_what_was_rolled_back_is_never_said(users: Database, sweeper: Sweeper) -> None:
    user = await added(users)
    await sweeper.sweep()
    async with users.connection() as connection:
        open_one = connection.transaction()
        await open_one.start()
        await connection.execute("UPDATE users SET bio = 'never' WHERE id = $1", user)
        await connection.execute("INSERT INTO users (status) VALUES ('active')")
        await sweeper.sweep()
        await open_one.rollback()

    await sweeper.sweep()

    assert len(await said(users)) == 1


async def test_a_transaction_open_through_many_sweeps_is_said_when_it_commits_and_delays_nobody(
    users: Database, sweeper: Sweeper
) -> None:
    async with users.connection() as connection:
        long = connection.transaction()
        await long.start()
        await connection.execute("INSERT INTO users (id, status) VALUES ($1, 'active')", uuid.UUID(int=1))
        others = [await added(users) for _ in range(3) if await sweeper.sweep()]
        await sweeper.sweep()
        before = await keys(users)
        waited = await users.fetchval("SELECT stuck_since IS NOT NULL FROM user_sync.sweep")
        await long.commit()

    await sweeper.sweep()

    assert sorted(before) == sorted(str(one) for one in others)
    assert await keys(users) == [*before, str(uuid.UUID(int=1))]
    assert waited


async def test_a_20_kb_bio_does_not_fail_the_application_s_update(users: Database, sweeper: Sweeper) -> None:
    user = await added(users)
    await users.execute("UPDATE users SET bio = repeat('x', 20000) WHERE id = $1", user)

    await sweeper.sweep()

    [envelope] = await said(users)
    assert isinstance(envelope.event, AccountChanged)
    assert len(envelope.event.bio or "") == 20_000


async def test_a_row_that_no_event_can_carry_costs_only_itself(users: Database, sweeper: Sweeper) -> None:
    large = await added(users, bio="x" * 300_000)
    good = await added(users)

    swept = await sweeper.sweep()

    assert await keys(users) == [str(good)]
    assert list(swept.refused) == [str(large)]
    assert swept.refused[str(large)].startswith("oversize")


async def test_50_000_rows_in_one_update_are_all_said_and_ring_once(users: Database) -> None:
    rung: list[str] = []
    ear = await connect(users.url)
    sweeper = sweeper_of(users.url, most=5000)
    try:
        async with users.transaction() as tx:
            await tx.execute("SET LOCAL session_replication_role = replica")  # no versions: they are old
            await tx.execute(ADD, 50_000)
        await ear.add_listener("user_changes", lambda *heard: rung.append(str(heard[3])))

        await users.execute("UPDATE users SET bio = 'all at once'")
        swept = await sweeper.sweep()

        assert swept.said == 50_000
        assert await users.fetchval("SELECT count(DISTINCT key) FROM headwater.outbox") == 50_000
        await until(lambda: rung)
        assert rung == [""]
    finally:
        await ear.close()
        await sweeper.close()


async def test_a_role_without_any_right_on_headwater_s_tables_can_write(
    users: Database, sweeper: Sweeper
) -> None:
    role = f"plain_{uuid.uuid4().hex[:8]}"
    await users.execute(f"CREATE ROLE {role}")
    try:
        await users.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON users TO {role}")
        async with users.transaction() as tx:
            await tx.execute(f"SET LOCAL ROLE {role}")
            await tx.execute(ADD, 2)
            await tx.execute("UPDATE users SET bio = 'mine'")
            await tx.execute("DELETE FROM users WHERE first_name = 'n1'")
            await tx.execute("TRUNCATE users")
        swept = await sweeper.sweep()
    finally:
        await users.execute(f"DROP OWNED BY {role}")
        await users.execute(f"DROP ROLE {role}")

    assert swept.gone == 2


async def test_a_sweep_that_was_cut_off_goes_on_behind_its_last_page(users: Database) -> None:
    await users.execute(ADD, 100)
    lost = sweeper_of(users.url, most=40)
    await users.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT count(*) FROM headwater.outbox) > 40 THEN RAISE EXCEPTION 'cut off'; END IF; "
        "RETURN NULL; END $$;"
        "CREATE TRIGGER fail AFTER INSERT ON headwater.outbox EXECUTE FUNCTION fail()"
    )
    with pytest.raises(asyncpg.RaiseError):
        await lost.sweep()
    after_the_cut = await keys(users)
    await users.execute("DROP TRIGGER fail ON headwater.outbox")

    other = sweeper_of(users.url)
    swept = await other.sweep()
    await other.close()

    assert len(after_the_cut) == 40
    assert swept.said == 60
    assert len(set(await keys(users))) == 100


async def test_two_sweepers_say_each_change_once(users: Database) -> None:
    several = [sweeper_of(users.url, most=30) for _ in range(3)]
    await users.execute(ADD, 300)

    async def one(sweeper: Sweeper) -> int:
        try:
            return (await sweeper.sweep()).said
        except Superseded:
            return 0

    done = await asyncio.gather(*map(one, several))
    for sweeper in several:
        await sweeper.close()

    assert sum(done) == 300
    assert len(await keys(users)) == 300


async def test_a_pass_that_was_taken_over_writes_nothing_more(users: Database) -> None:
    stood_still, other = sweeper_of(users.url, most=50), sweeper_of(users.url)
    await users.execute(ADD, 60)
    await users.execute("UPDATE user_sync.sweep SET epoch = 7")
    await users.execute(
        "CREATE FUNCTION overtake() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE user_sync.sweep SET epoch = epoch + 1; RETURN NULL; END $$;"
        "CREATE TRIGGER overtake AFTER INSERT ON headwater.outbox EXECUTE FUNCTION overtake()"
    )

    with pytest.raises(Superseded):
        await stood_still.sweep()
    nothing = await keys(users)
    await users.execute("DROP TRIGGER overtake ON headwater.outbox")
    swept = await other.sweep()
    await other.close()

    assert nothing == []
    assert swept.said == 60


async def test_after_a_restore_everything_is_said_again(users: Database, sweeper: Sweeper) -> None:
    await added(users)
    await sweeper.sweep()
    await users.execute("UPDATE headwater.meta SET epoch = epoch + 1")

    by_epoch = await sweeper.sweep()
    await users.execute("UPDATE user_sync.sweep SET seen = '900000000:900000000:'")
    by_number = await sweeper.sweep()

    assert (by_epoch.said, by_number.said) == (1, 1)


async def test_a_source_that_was_never_set_up_is_told_what_to_do(servers: RunningServers) -> None:
    async with servers.fresh_database() as url:
        with pytest.raises(HeadwaterError, match="no table 'users'"):
            await set_up(url, REALM)


async def test_what_the_existing_service_left_is_found_replaced_and_then_nothing_lacks(
    servers: RunningServers,
) -> None:
    async with servers.fresh_database() as url:
        connection = await connect(url)
        try:
            await connection.execute(accounts.table)
            await connection.execute("INSERT INTO users (status) VALUES ('active'), ('blocked')")
            await connection.execute(OLD_SERVICE)
            before = [one.what for one in await lacks(connection, url)]
            done = await set_up(url, REALM)
            after = await lacks(connection, url)
            await connection.execute(OLD_SERVICE.replace("user_changes_trigger", "second"))
            doubled = await lacks(connection, url)
            again = await set_up(url, REALM)
        finally:
            await connection.close()

    assert "trigger user_changes_trigger" in before
    assert (done.stamped, len(done.indexes), after) == (2, 3, [])
    assert [one.detail.partition(":")[0] for one in doubled] == ["doubled", "foreign"] or doubled
    assert (again.stamped, again.indexes) == (0, [])


OLD_SERVICE = """
CREATE OR REPLACE FUNCTION notify_user_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('user_changes', json_build_object('operation', TG_OP, 'data', row_to_json(NEW))::text);
    RETURN NEW; END $$;
DROP TRIGGER IF EXISTS user_changes_trigger ON users;
CREATE TRIGGER user_changes_trigger AFTER INSERT OR UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION notify_user_changes();
"""


async def test_the_bell_rings_for_changes_and_again_after_its_connection_was_ended(users: Database) -> None:
    rung, lost = asyncio.Event(), []

    async def tell(why: str) -> None:
        lost.append(why)

    bell = Bell(users.url, rung, heartbeat=0.2)
    bell.tell_losses(tell)
    running = asyncio.create_task(bell.run())
    try:
        await until(lambda: bell.listening)
        rung.clear()
        await added(users)
        await until(rung.is_set)
        rung.clear()
        ended = await users.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query ILIKE '%listen%' AND pid <> pg_backend_pid()"
        )
        await until(lambda: bell.reconnects == 1)
        await until(rung.is_set)
    finally:
        bell.stop()
        await running

    assert ended == 1
    assert len(lost) == 1
    assert bell.attempts == 0
