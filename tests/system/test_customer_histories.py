"""Two services edit the same people, by the store and by plain SQL: what counts, what is told, what stays."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from consumers.customer_records.meeting import SIDES, Copy, Side
from consumers.customer_records.store import Incoming, Store
from headwater.database import Database, connect
from headwater.errors import DatabaseUnavailable
from headwater.testing import until
from tests.system.test_customer_endpoints import ISSUED, KEY, of, served
from tests.system.test_customer_sync import PLANTED, VAULT, Sided, both, headwater, other, started

__all__ = ["both"]
COUNTING = """
CREATE TABLE public.writes (number bigserial, id text, op text);
CREATE FUNCTION public.count_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR (NEW.name, NEW.email_encrypted, NEW.sync_version)
            IS DISTINCT FROM (OLD.name, OLD.email_encrypted, OLD.sync_version) THEN
        INSERT INTO public.writes (id, op) VALUES (coalesce(NEW.id, OLD.id), TG_OP);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON customer_table
    FOR EACH ROW EXECUTE FUNCTION public.count_write();
"""
COPY = (
    "INSERT INTO customer_sync.copy (id, name_side, name_number, email_side, email_number) "
    "VALUES ($1, 'auth', 1, 'auth', 1)"
)
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest_asyncio.fixture
async def counted(both: dict[Side, Sided]) -> AsyncIterator[dict[Side, Sided]]:
    """Every write that changes a row is counted by a trigger of the test."""
    for one in both.values():
        name = "client_auth" if one.side == "auth" else "customers"
        await one.database.execute(COUNTING.replace("customer_table", name))
    yield both


async def writes(both: dict[Side, Sided]) -> int:
    return sum([await one.database.fetchval("SELECT count(*) FROM writes") for one in both.values()])


async def waits(one: Sided) -> bool:
    """Whether somebody waits for a lock there."""
    return bool(await one.database.fetchval(WAITING))


def address(record: str, number: int) -> str:
    return f"{record}-{number}@{PLANTED}"


class History:
    """Edits, deletions and what is on the way between two sides: late, twice, lost."""

    def __init__(self, both: dict[Side, Sided], seed: int) -> None:
        self.both, self.chance = both, random.Random(seed)
        self.way: list[tuple[Side, str, Copy]] = []
        self.old: list[tuple[Side, str, Copy]] = []
        self.edits = self.concurrent = self.crashes = 0

    async def edit(self, one: Sided, record: str, step: int) -> None:
        before = (await one.all()).get(record)
        match self.chance.randrange(6):
            case 0:
                await one.store.edit(record, name=f"n{step}", email=address(record, self.chance.randrange(3)))
            case 1:
                await one.store.delete(record)
            case 2:
                await one.sql("DELETE FROM TABLE WHERE id = $1", record)
            case 3:
                await one.sql("UPDATE TABLE SET name = $2 WHERE id = $1", record, f"s{step}")
            case 4:
                sealed = VAULT.seal_as_of_old(address(record, step))
                await one.sql("UPDATE TABLE SET email_encrypted = $2 WHERE id = $1", record, sealed)
            case _:
                sealed = VAULT.seal_as_of_old(address(record, step))
                await one.sql(
                    "INSERT INTO TABLE (id, name, email_encrypted) VALUES ($1, $2, $3) "
                    "ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                    record,
                    f"u{step}",
                    sealed,
                )
        after = (await one.all()).get(record)
        self.edits += after != before
        grown = sum(after.vector) - (sum(before.vector) if before else 0) if after else 0
        assert grown == (after != before), "an edit counts once"

    async def send(self, one: Sided) -> None:
        for record, copy in (await one.all()).items():
            self.way += [(other(one.side), record, copy)] * self.chance.choice([0, 1, 1, 2])

    async def arrive(self) -> None:
        to, record, copy = self.way.pop(self.chance.randrange(len(self.way)))
        self.old.append((to, record, copy))
        await self.take(to, record, copy)

    async def take(self, to: Side, record: str, copy: Copy, *, counting: bool = True) -> None:
        mine = (await self.both[to].all()).get(record)
        apart = mine is not None and not (mine.vector.holds(copy.vector) or copy.vector.holds(mine.vector))
        incoming = Incoming(record, copy, copy.name.value, copy.email.value, copy.vector.version)
        taken = await self.both[to].store.receive(incoming)
        assert (taken.verdict == "conflict") == apart
        self.concurrent += apart and counting

    async def settle(self) -> None:
        for _ in range(3):
            for side in SIDES:
                for record, copy in (await self.both[side].all()).items():
                    await self.take(other(side), record, copy)

    async def crash(self) -> None:
        """A copy arrives, and the database ends every session somewhere in the middle; it will come again."""
        to, record, copy = self.way[self.chance.randrange(len(self.way))]
        before = await self._conflicts(to)
        ending = asyncio.create_task(_end(self.both[to].database, self.chance.uniform(0, 0.004)))
        try:
            await self.take(to, record, copy, counting=False)
        except DatabaseUnavailable:
            self.crashes += 1
        finally:
            await ending
        await until(lambda: _answers(self.both[to].database))  # every connection of the pool is a new one
        self.concurrent += await self._conflicts(to) - before  # it may have been committed, or not

    async def _conflicts(self, side: Side) -> int:
        count: int = await until(
            lambda: self.both[side].database.fetchval("SELECT 1 + count(*) FROM customer_sync.conflict")
        )
        return count


async def _answers(database: Database) -> bool:
    return all(await asyncio.gather(*(database.fetchval("SELECT true") for _ in range(8))))


async def _end(database: Database, after: float) -> None:
    connection = await connect(database.url)
    await asyncio.sleep(after)
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def played(both: dict[Side, Sided], seed: int, *, steps: int = 70, crashes: bool = False) -> History:
    """One history to its end, looked at: both alike, every concurrent edit told, nothing written any more."""
    history = History(both, seed)
    for step in range(steps):
        one = both[history.chance.choice(SIDES)]
        match history.chance.randrange(5):
            case 0 | 1:
                await history.edit(one, f"c{history.chance.randrange(3)}", step)
            case 2:
                await history.send(one)
            case 3 if history.way and crashes:
                await history.crash()
            case _ if history.way:
                await history.arrive()
    await history.settle()

    assert await both["auth"].all() == await both["customer"].all()
    reported = [
        await one.database.fetchval("SELECT count(*) FROM customer_sync.conflict") for one in both.values()
    ]
    assert sum(reported) == history.concurrent
    rested = await writes(both)
    for entry in history.old:
        await history.take(*entry)
    await history.settle()
    assert await writes(both) == rested
    return history


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_both_sides_write_and_however_late_it_arrives_both_end_alike_and_rest(
    counted: dict[Side, Sided], seed: int
) -> None:
    assert (await played(counted, seed)).concurrent > 0


async def test_a_database_that_ends_its_sessions_in_the_middle_costs_no_edit_and_tells_each_conflict_once(
    counted: dict[Side, Sided],
) -> None:
    history = await played(counted, 11, crashes=True)

    assert history.crashes > 0
    assert history.concurrent > 0


async def test_an_edit_behind_quiet_costs_one_write_on_each_side(counted: dict[Side, Sided]) -> None:
    history = History(counted, 1)
    for number in range(3):
        await counted["auth"].store.edit(f"c{number}", name="Ada", email=address(f"c{number}", 0))
    await history.settle()
    for step in range(12):
        before, edits = await writes(counted), history.edits
        await history.edit(counted[SIDES[step % 2]], f"c{step % 3}", step)
        await history.settle()
        assert await writes(counted) - before == 2 * (history.edits - edits)
    assert history.edits > 6


async def test_the_count_of_writes_sees_two_services_that_chase_each_other(
    counted: dict[Side, Sided],
) -> None:
    """What the rule of old does, a new version after every sync, told by the same trigger."""
    await counted["auth"].store.edit("c1", name="Ada", email="")
    history = History(counted, 1)
    await history.settle()
    before = await writes(counted)
    for _ in range(5):
        for one in counted.values():
            await one.sql("UPDATE TABLE SET sync_version = sync_version + 1")
    assert await writes(counted) - before == 10


async def test_an_upsert_that_changes_only_the_address_leaves_the_name_to_the_other_side(
    counted: dict[Side, Sided],
) -> None:
    auth, customer = counted["auth"], counted["customer"]
    await auth.store.edit("c1", name="Ada", email=address("c1", 0))
    history = History(counted, 1)
    await history.settle()

    await auth.store.edit("c1", name="Ada", email=address("c1", 1))
    await customer.store.edit("c1", name="Ada Byron", email=address("c1", 0))
    await history.settle()

    copy = (await auth.all())["c1"]
    assert (copy.name.value, copy.email.value, copy.vector) == ("Ada Byron", address("c1", 1), (2, 1))
    assert await customer.database.fetchval("SELECT clashes FROM customer_sync.conflict") == []


async def test_an_edit_is_unsynced_though_the_other_sides_clock_was_ahead(counted: dict[Side, Sided]) -> None:
    auth, customer = counted["auth"], counted["customer"]
    await customer.store.edit("c1", name="Ada", email="")
    copy = (await customer.all())["c1"]
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await auth.store.receive(Incoming("c1", copy, "Ada", "", 1, ahead, ahead))
    assert (await auth.store.standing()).unsynced == 0

    await auth.sql("UPDATE TABLE SET name = 'Ada Byron'")

    assert [one.id for one in await auth.store.page(9, "", unsynced=True)] == ["c1"]
    await auth.store.mark_synced([("c1", (await auth.all())["c1"].vector)])
    await auth.store.delete("c1")
    assert [one.id for one in await auth.store.page(9, "", unsynced=True)] == ["c1"]


async def test_a_row_made_again_while_a_copy_arrives_is_met_as_it_is_then(counted: dict[Side, Sided]) -> None:
    auth, customer = counted["auth"], counted["customer"]
    await auth.store.edit("c1", name="Ada", email=address("c1", 0))
    await History(counted, 1).settle()
    await customer.store.edit("c1", name="Ada Byron", email=address("c1", 0))
    await auth.store.delete("c1")
    copy = (await customer.all())["c1"]
    incoming = Incoming("c1", copy, copy.name.value, copy.email.value, copy.vector.version)
    sealed = VAULT.seal_as_of_old(address("c1", 7))
    insert = "INSERT INTO client_auth (id, name, email_encrypted) VALUES ('c1', 'Eve', $1)"

    async with auth.database.transaction() as tx:
        await tx.execute(insert, sealed)
        arriving = asyncio.create_task(auth.store.receive(incoming))

        await until(lambda: waits(auth))
    assert (await arriving).verdict == "conflict"

    copy = (await auth.all())["c1"]
    assert (copy.name.value, copy.email.value) == ("Eve", address("c1", 7))


async def test_who_may_write_only_the_table_writes_it_as_before(counted: dict[Side, Sided]) -> None:
    auth = counted["auth"].database
    await auth.execute(
        "CREATE ROLE of_old; GRANT SELECT, INSERT, UPDATE, DELETE ON client_auth TO of_old;"
        "GRANT INSERT ON writes TO of_old; GRANT USAGE ON SEQUENCE writes_number_seq TO of_old;"
    )
    try:
        async with auth.transaction() as tx:
            await tx.execute("SET LOCAL ROLE of_old")
            await tx.execute("INSERT INTO client_auth (id, name, email_encrypted) VALUES ('c1', 'Ada', '')")
            await tx.execute("UPDATE client_auth SET name = 'Ada Byron'")
            await tx.execute("DELETE FROM client_auth")
        assert (await counted["auth"].all())["c1"].vector == (3, 0)
    finally:
        await auth.execute("DROP OWNED BY of_old; DROP ROLE of_old")


@pytest.mark.parametrize("side", SIDES)
async def test_an_exchange_killed_half_way_is_ended_by_the_next_one_and_writes_nothing_twice(
    counted: dict[Side, Sided], side: Side
) -> None:
    """Killed where it takes the fifth record of one side: auth pulls, then pushes."""
    for one in counted.values():
        for number in range(9):
            record = f"{other(one.side)}{number}"
            await one.store.edit(record, name="Ada", email=address(record, number))
    held = counted[side]
    async with served("customer", counted["customer"].records, of("customer")) as serving:
        names = {
            "HEADWATER_APP_AUTH_URL": counted["auth"].database.url,
            "HEADWATER_EMBEDDED": "off",
            "HEADWATER_CUSTOMER_SYNC_CUSTOMER_SERVICE_KEY": ISSUED["auth"][0],
            "HEADWATER_CUSTOMER_SYNC_PAGE": "3",
            "CUSTOMER_SERVICE_URL": serving.url,
            "ENCRYPTION_KEY": KEY.reveal(),
        }
        async with held.database.transaction() as tx:
            await tx.execute(COPY, f"{side}4")
            child = await started("sync", "customers", "trigger", **names)
            await until(lambda: waits(held))
            child.kill()
            said = b"".join(await child.communicate()).decode()
            assert await writes(counted) == (18 + 4 if side == "auth" else 18 + 9 + 4)
            await tx.execute("DELETE FROM customer_sync.copy WHERE id = $1", f"{side}4")
        assert (child.returncode, PLANTED in said) == (-signal.SIGKILL, False)
        child = await started("sync", "customers", "trigger", **names)
        said = b"".join(await child.communicate()).decode()
        assert (child.returncode, PLANTED in said) == (0, False)
    assert await counted["auth"].all() == await counted["customer"].all()
    assert [(await one.store.standing()).unsynced for one in counted.values()] == [0, 0]
    assert await writes(counted) == 36


async def test_somebody_looks_at_a_conflict_and_says_what_is_right_and_both_sides_have_it(
    counted: dict[Side, Sided],
) -> None:
    await counted["auth"].store.edit("c1", name="Ada", email=address("c1", 0))
    await History(counted, 1).settle()
    for one in counted.values():
        one.store = Store(one.database, one.side, VAULT, None)
        await one.store.edit("c1", name=f"Ada of {one.side}", email=address("c1", 0))
    history = History(counted, 1)
    await history.settle()
    names = {"HEADWATER_APP_AUTH_URL": counted["auth"].database.url, "HEADWATER_EMBEDDED": "off"}
    names |= {"ENCRYPTION_KEY": KEY.reveal()}

    code, text = await headwater("--json", "conflicts", "show", "c1", "--side", "auth", **names)
    found = json.loads(text)["conflict"]
    assert (code, found["mine"]["name"], found["theirs"]["name"]) == (0, "Ada of auth", "Ada of customer")
    words = ("conflicts", "resolve", "c1", "--side", "auth", "--prefer", "customer", "--name", "Ada Byron")
    assert (await headwater(*words, "--dry-run", **names))[0] == 0
    assert await counted["auth"].sql("SELECT name FROM TABLE") == "Ada of auth"
    assert (await headwater(*words, **names))[0] == 0
    assert (await headwater("conflicts", "show", "c1", "--side", "auth", **names))[0] == 1

    await history.settle()
    assert [await one.sql("SELECT name FROM TABLE") for one in counted.values()] == ["Ada Byron"] * 2
    assert await counted["auth"].all() == await counted["customer"].all()
    assert [(await one.store.standing()).conflicts for one in counted.values()] == [0, 0]


async def test_the_question_of_the_seed_about_the_state_of_a_sync_is_answered_on_both_sides(
    counted: dict[Side, Sided],
) -> None:
    await counted["auth"].store.edit("c1", name="Ada", email=address("c1", 0))
    await History(counted, 1).settle()
    question = "SELECT id, name, sync_version, last_sync_at, updated_at FROM {} ORDER BY updated_at DESC"

    for one, table in ((counted["auth"], "client_auth"), (counted["customer"], "customers")):
        (row,) = await one.database.fetch(question.format(table))
        assert (row["id"], row["name"], row["sync_version"]) == ("c1", "Ada", 1)
