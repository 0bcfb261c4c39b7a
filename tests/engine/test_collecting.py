"""What is old goes from the databases; what an older copy could still undo stays until none can arrive."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from headwater.config import RetentionSettings
from headwater.database import Database, Tx
from headwater.delivery import Context
from headwater.errors import DatabaseUnavailable
from headwater.retention import Collector, Ground, Keep, Leases, Swept, trim
from headwater.retention.horizon import Horizon
from headwater.retention.keeper import Keeper
from headwater.retention.sweeping import Sweeper
from headwater.testing import until
from headwater.testing.controls import GoodSold
from tests.engine.conftest import Shop
from tests.engine.entries import GOODS, sold_by

HOUR = 3600.0
SHORT = RetentionSettings(
    streams=HOUR, outbox=HOUR, inbox=HOUR, tombstones=HOUR, records=HOUR, jobs=HOUR, every=60.0
)
"""The shortest of everything: what happens within a test is made older by hand."""


def ground(shop: Shop, *apps: str) -> Ground:
    sinks = dict.fromkeys(apps or ("shelf", "till"), shop.sink)
    return Ground(broker=shop.broker, catalogue=shop.catalogue, source=shop.source, sinks=sinks)


async def age(shop: Shop, days: float) -> None:
    """Everything that both databases remember happened so much earlier."""
    for database, columns in (
        (shop.source, ("outbox.said_at", "outbox.published_at", "tombstone.deleted_at")),
        (shop.source, ("job.created_at", "job.finished_at", "outbox_age.at", "outbox_age.said")),
        (shop.sink, ("ledger.applied_at", "inbox.handled_at", "dead_letter.parked_at")),
        (shop.sink, ("dead_letter.settled_at", "gap.detected_at", "gap.closed_at", "failure.retry_at")),
    ):
        for table, column in (one.split(".") for one in columns):
            shift = f"{column} = {column} - $1::float8 * interval '1 day'"
            await database.execute(f"UPDATE headwater.{table} SET {shift}", days)


async def collected(shop: Shop, settings: RetentionSettings = SHORT, **options: Any) -> dict[str, Swept]:
    """What became of each table."""
    collector = Collector(ground(shop), settings, **options)
    return {one.table: one for one in (*await collector.source(), *await collector.application("shelf"))}


async def emptied(shop: Shop) -> None:
    """Let every entry go: no group lacks any."""
    keeps = dict.fromkeys(shop.catalogue.streams, Keep(seconds=0.0))
    await trim(ground(shop), keeps, Leases(-1.0, -1.0))
    assert [await shop.broker.execute("XLEN", key) for key in shop.catalogue.all_keys()] == [0, 0]


async def deleted(shop: Shop) -> str:
    """A good that was put, and removed, and both applied."""
    await shop.enable()
    shop.start(shop.relay())
    shop.start(shop.worker())
    good = await shop.put("first")
    await shop.remove(good)

    async def buried() -> bool:
        return bool(await shop.sink.fetchval("SELECT deleted FROM headwater.ledger WHERE key = $1", good))

    await until(buried, within=60.0)
    await marked(shop)
    return good


async def marked(shop: Shop) -> None:
    """The relay has written down where everything went: it would write over what a test changes."""

    async def all_are() -> bool:
        query = "SELECT count(*) = 0 FROM headwater.outbox WHERE published_at IS NULL"
        return bool(await shop.source.fetchval(query))

    await until(all_are, within=60.0)


async def said_again(shop: Shop, good: str) -> None:
    """The older copy comes once more, and something after it, so that it is known to have been settled."""
    await marked(shop)
    stream = shop.key(GOODS)
    before = (await shop.broker.stream(stream)).entries_added  # type: ignore[union-attr]
    await shop.source.execute(
        "UPDATE headwater.outbox SET published_at = NULL, entries = NULL WHERE key = $1 AND op = 'u'", good
    )
    after = await shop.put("after")

    async def arrived() -> bool:
        return after in await shop.goods()

    await until(arrived, within=60.0)
    assert (await shop.broker.stream(stream)).entries_added == before + 2  # type: ignore[union-attr,operator]


LONG_OUTBOX = msgspec.structs.replace(SHORT, outbox=60 * 86_400.0)


@pytest.mark.parametrize("streams_are_empty", [True, False])
async def test_an_older_copy_brings_no_deleted_row_back_after_collection(
    shop: Shop, streams_are_empty: bool
) -> None:
    good = await deleted(shop)
    await age(shop, 30)
    if streams_are_empty:
        await emptied(shop)

    found = await collected(shop, LONG_OUTBOX)
    why = "the oldest row of the outbox" if streams_are_empty else "entries from before the first look"
    assert (found["ledger"].removed, found["outbox"].removed) == (0, 0)
    assert found["ledger"].held_by.startswith(why)
    await said_again(shop, good)

    assert good not in await shop.goods()


async def test_without_the_floor_an_older_copy_brings_a_deleted_row_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the floor is there for happens when it is taken away."""
    good = await deleted(shop)
    await age(shop, 30)

    async def nothing_holds(*_: Any) -> dict[str, Horizon]:
        return dict.fromkeys(("shelf", "till"), Horizon(datetime.now(UTC), ""))

    monkeypatch.setattr("headwater.retention.evidence.horizons", nothing_holds)
    found = await collected(shop, LONG_OUTBOX)
    assert (found["ledger"].removed, found["outbox"].removed) == (1, 0)
    await said_again(shop, good)

    assert good in await shop.goods()


async def test_marks_of_deleted_things_go_when_no_older_copy_is_left(shop: Shop) -> None:
    good = await deleted(shop)
    await age(shop, 30)
    assert (await collected(shop))["outbox"].removed == 2
    await emptied(shop)

    found = await collected(shop)

    assert (found["ledger"].removed, found["tombstone"].removed) == (1, 1)
    assert await shop.sink.fetchval("SELECT count(*) FROM headwater.ledger WHERE key = $1", good) == 0


async def test_a_dead_letter_a_backfill_and_an_open_transaction_hold_marks_of_deleted_things(
    shop: Shop,
) -> None:
    await deleted(shop)
    await age(shop, 30)
    await collected(shop)
    await emptied(shop)
    letter = await shop.sink.fetchval(
        "INSERT INTO headwater.dead_letter (app, stream, entry, reason, error, size, parked_at) "
        "VALUES ('shelf', 's', '1-0', 'exhausted', '', 1, now() - interval '40 days') RETURNING id"
    )
    held = (await collected(shop))["ledger"]
    assert (held.removed, held.before) == (0, None)
    await shop.sink.execute("DELETE FROM headwater.dead_letter WHERE id = $1", letter)

    job = uuid.uuid4()
    await shop.source.execute(
        "INSERT INTO headwater.job (id, tenant, app, state, asked_by, reason, created_at) "
        "VALUES ($1, $2, 'shelf', 'paused', 'me', 'test', now() - interval '40 days')",
        *(job, shop.tenant),
    )
    held = (await collected(shop))["ledger"]
    assert (held.removed, held.held_by) == (0, "a backfill that runs, or whose entries still stand")
    await shop.source.execute("DELETE FROM headwater.job WHERE id = $1", job)

    async with shop.source.transaction() as tx:
        await shop.producer.publish(
            tx, GoodSold(sale_id="open", good_id="g", amount=1), tenant=shop.tenant, operation_id="open"
        )
        wide = await collected(shop)
        assert wide["ledger"].before is not None
        started = await tx.fetchval("SELECT now()")
        assert wide["ledger"].before < started


async def test_a_dry_run_counts_and_removes_nothing(shop: Shop) -> None:
    await deleted(shop)
    await age(shop, 30)
    looks = await shop.source.fetchval("SELECT count(*) FROM headwater.outbox_age")

    found = await collected(shop, dry=True)

    assert found["outbox"].removed == 2
    assert await shop.source.fetchval("SELECT count(*) FROM headwater.outbox") == 2
    assert await shop.source.fetchval("SELECT count(*) FROM headwater.outbox_age") == looks


async def test_a_duplicate_has_no_second_effect_while_it_can_still_arrive(shop: Shop) -> None:
    effects: list[str] = []

    async def count(event: GoodSold, tx: Tx, context: Context) -> None:
        effects.append(event.sale_id)

    shop.start(shop.relay())
    shop.start(shop.worker(sold_by(count)))
    await shop.sell("once")
    await until(lambda: effects == ["once"], within=60.0)
    await age(shop, 30)

    found = await collected(shop, RetentionSettings(inbox=HOUR, outbox=60 * 86400.0, streams=HOUR))
    assert (found["inbox"].removed, found["outbox"].removed) == (0, 0)
    await again(shop)

    async def handled() -> bool:
        return bool(await shop.sink.fetchval("SELECT count(*) = 2 FROM headwater.inbox"))

    await until(handled, within=60.0)
    assert effects == ["once", "after1"]

    # The control: without its mark the same copy has an effect again.
    sweeper = Sweeper(shop.sink, dry=False, stopping=asyncio.Event())
    assert await sweeper.walk("inbox", "shelf", datetime.now(UTC)) == 2
    await again(shop, "after2")
    await until(lambda: "after2" in effects, within=60.0)
    assert effects.count("once") == 2


async def again(shop: Shop, after: str = "after1") -> None:
    await marked(shop)
    await shop.source.execute(
        "UPDATE headwater.outbox SET published_at = NULL, entries = NULL WHERE key = 'once'"
    )
    await shop.sell(after)


async def test_the_outbox_keeps_what_waits_what_is_young_and_what_an_open_gap_needs(shop: Shop) -> None:
    await shop.enable()
    for _ in range(3):
        await shop.put("said")
    await shop.source.execute("UPDATE headwater.outbox SET published_at = now() WHERE id % 3 = 1")
    await shop.source.execute(
        "UPDATE headwater.outbox SET published_at = now() - interval '30 days' WHERE id % 3 = 2"
    )
    since = int((datetime.now(UTC) - timedelta(days=40)).timestamp() * 1000)
    await shop.sink.execute(
        "INSERT INTO headwater.gap (app, stream, kind, entries, since) VALUES ('till', 's', 'x', 1, $1)",
        f"{since}-0",
    )

    held = (await collected(shop))["outbox"]
    await shop.sink.execute("UPDATE headwater.gap SET state = 'closed', closed_at = now()")
    gone = (await collected(shop))["outbox"]

    assert (held.removed, held.held_by) == (0, "an open gap, or a run that says rows again")
    assert (gone.removed, gone.held_by) == (1, "")
    assert await shop.source.fetchval("SELECT count(*) FROM headwater.outbox") == 2


async def test_where_an_application_is_not_known_the_source_keeps_everything(shop: Shop) -> None:
    collector = Collector(ground(shop, "shelf"), SHORT)

    found = await collector.source()

    assert {one.held_by for one in found} == {"no database is named here for till"}
    assert {one.before for one in found} == {None}


async def test_while_somebody_says_something_whose_age_can_not_be_seen_every_tombstone_stays(
    shop: Shop,
) -> None:
    await deleted(shop)
    await age(shop, 40)
    clerk = f"clerk_{uuid.uuid4().hex[:8]}"
    await shop.source.execute(
        f"CREATE ROLE {clerk}; GRANT USAGE ON SCHEMA public, headwater TO {clerk}; "
        f"GRANT ALL ON ALL TABLES IN SCHEMA public, headwater TO {clerk}"
    )
    own = await Database.open(f"{shop.source.url}?role={clerk}")
    collector = Collector(msgspec.structs.replace(ground(shop), source=own), SHORT)
    try:
        async with shop.source.transaction() as tx:
            event = GoodSold(sale_id="s", good_id="g", amount=1)
            await shop.producer.publish(tx, event, tenant=shop.tenant, operation_id="s")
            found = {one.table: one for one in await collector.source()}
        gone = {one.table: one for one in await Collector(collector._ground, SHORT, dry=True).source()}
    finally:
        await own.close()
        await shop.source.execute(f"DROP OWNED BY {clerk}; DROP ROLE {clerk}")

    assert (found["tombstone"].removed, found["tombstone"].before) == (0, None)
    assert "pg_read_all_stats" in found["tombstone"].held_by
    assert "pg_read_all_stats" not in gone["tombstone"].held_by


async def test_settled_letters_closed_gaps_and_ended_jobs_go_and_the_last_of_each_stays(shop: Shop) -> None:
    letters = "INSERT INTO headwater.dead_letter (app, stream, entry, state, reason, error, size, settled_at)"
    for n, state in enumerate(("replayed", "discarded", "parked")):
        settled = None if state == "parked" else datetime.now(UTC)
        values = f" VALUES ('shelf', 's', '{n}-1', '{state}', '', '', 1, $1)"
        await shop.sink.execute(letters + values, settled)
    for state in ("closed", "open", "closed"):
        await shop.sink.execute(
            "INSERT INTO headwater.gap (app, stream, kind, state, closed_at) "
            "VALUES ('shelf', 's', 'x', $1, CASE WHEN $1 = 'closed' THEN now() END)",
            state,
        )
    for _ in range(3):
        await shop.source.execute(
            "INSERT INTO headwater.job (id, tenant, app, state, asked_by, reason, finished_at) "
            "VALUES ($1, $2, 'shelf', 'verified', 'me', 'test', clock_timestamp())",
            *(uuid.uuid4(), shop.tenant),
        )
    await age(shop, 3)
    await shop.sink.execute("UPDATE headwater.dead_letter SET parked_at = now() WHERE state = 'parked'")
    await shop.sink.execute("UPDATE headwater.dead_letter SET entry = 'x' WHERE state = 'parked'")
    await shop.source.execute("INSERT INTO headwater.outbox_age VALUES (now() - interval '9 days', now())")

    found = await collected(shop)

    assert (found["dead_letter"].removed, found["gap"].removed, found["job"].removed) == (2, 1, 2)
    assert await shop.sink.fetchval("SELECT array_agg(state ORDER BY id) FROM headwater.gap") == [
        "open",
        "closed",
    ]
    again = await collected(shop)
    assert sum(one.removed for one in again.values()) == 0


async def test_many_marks_go_in_bounded_transactions_that_a_stop_ends(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.retention.sweeping.PAGES", 20)
    await shop.sink.execute(
        "INSERT INTO headwater.inbox (app, event_id, handled_at) "
        "SELECT 'shelf', md5(n::text), now() - interval '90 days' FROM generate_series(1, 20000) AS n"
    )
    await shop.sink.execute("INSERT INTO headwater.inbox (app, event_id) VALUES ('shelf', 'young')")
    stopping = asyncio.Event()
    before = datetime.now(UTC) - timedelta(days=60)
    commits = await transactions(shop.sink)

    stopped = asyncio.create_task(
        Sweeper(shop.sink, dry=False, stopping=stopping).walk("inbox", "shelf", before)
    )
    stopping.set()
    assert await stopped == 0
    removed = await Sweeper(shop.sink, dry=False, stopping=asyncio.Event()).walk("inbox", "shelf", before)

    assert removed == 20_000
    assert await shop.sink.fetchval("SELECT array_agg(event_id) FROM headwater.inbox") == ["young"]
    assert await transactions(shop.sink) - commits >= 5


async def transactions(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT txid_current()"))


async def test_what_a_worker_writes_at_this_moment_is_passed_by(shop: Shop) -> None:
    await shop.sink.execute(
        "INSERT INTO headwater.ledger (app, tenant, subject, key, version, deleted, applied_at) "
        "SELECT 'shelf', 't', 'goods', n::text, 1, true, now() - interval '9 days' "
        "FROM generate_series(1, 3) AS n"
    )
    sweeper = Sweeper(shop.sink, dry=False, stopping=asyncio.Event())
    async with shop.sink.transaction() as tx:
        await tx.execute("UPDATE headwater.ledger SET version = 2, deleted = false WHERE key = '2'")

        assert await sweeper.walk("ledger", "shelf", datetime.now(UTC)) == 2

    assert await sweeper.walk("ledger", "shelf", datetime.now(UTC)) == 0
    assert await shop.sink.fetchval("SELECT array_agg(key) FROM headwater.ledger") == ["2"]


async def test_retention_is_done_when_it_is_due_by_one_process(shop: Shop) -> None:
    async def reach() -> Ground:
        return ground(shop)

    keepers = [Keeper(shop.source.url, reach, SHORT) for _ in range(2)]

    assert await keepers[0].turn() == ["streams", "source", "shelf", "till"]
    assert await keepers[1].turn() == []
    await shop.source.execute(
        "UPDATE headwater.upkeep SET done_at = now() - interval '1 day' WHERE what = 'till'"
    )
    assert await keepers[1].turn() == ["till"]


async def test_what_is_due_is_done_without_being_asked_and_an_outage_is_waited_out(shop: Shop) -> None:
    asked: list[bool] = []

    async def reach() -> Ground:
        asked.append(len(asked) >= 2)
        if not asked[-1]:
            raise DatabaseUnavailable("no connection")
        return ground(shop)

    async def done() -> bool:
        return bool(await shop.source.fetchval("SELECT count(*) = 4 FROM headwater.upkeep"))

    keeper = shop.start(Keeper(shop.source.url, reach, msgspec.structs.replace(SHORT, every=0.05)))
    await until(done, within=60.0)
    await shop.stop(keeper)
    assert asked[:3] == [False, False, True]

    seen = len(asked)
    never = shop.start(Keeper(shop.source.url, reach, msgspec.structs.replace(SHORT, every=0.0)))
    await shop.stop(never)
    assert len(asked) == seen
