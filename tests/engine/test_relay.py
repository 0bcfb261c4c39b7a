"""The relay moves what was committed: in order, one relay at a time, through every outage."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from headwater.broker import Broker
from headwater.cli.readings import Backlog, backlog
from headwater.database import Connection, connect
from headwater.errors import ServerUnavailable
from headwater.event import Codec, Event, Registry
from headwater.event.limits import SIZE_LIMIT
from headwater.publish import Outgoing, Relay, Said
from headwater.publish.moving import Mover
from headwater.testing import FaultProxy, controls, until
from headwater.testing.controls import GoodSold
from headwater.topology import Catalogue, Group, Stream
from tests.engine.conftest import Shop


async def names(shop: Shop, stream: str = "sales") -> list[str]:
    entries = await shop.broker.range(shop.key(stream), count=1000)
    return [(entry.fields or {})[b"key"].decode() for entry in entries]


async def has(shop: Shop, expected: list[str], stream: str = "sales") -> list[str]:
    async def there() -> bool:
        return await names(shop, stream) == expected

    await until(there)
    return expected


async def waiting(shop: Shop) -> int:
    query = "SELECT count(*) FROM headwater.outbox WHERE published_at IS NULL AND error IS NULL"
    return int(await shop.source.fetchval(query))


async def all_moved(shop: Shop) -> bool:
    return await waiting(shop) == 0


async def end_leader(shop: Shop) -> bool:
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return bool(await shop.source.fetchval(query))


@contextlib.asynccontextmanager
async def connected(shop: Shop) -> AsyncIterator[Connection]:
    connection = await connect(shop.source.url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_events_are_on_their_stream_in_the_order_in_which_they_were_said(shop: Shop) -> None:
    expected = [f"s{number:03}" for number in range(120)]
    for name in expected:
        await shop.sell(name)

    shop.start(Relay(shop.source.url, shop.broker, shop.outgoing, controls.ENABLEMENT, batch=50))

    await has(shop, expected)
    await until(lambda: all_moved(shop))
    row = await shop.source.fetchrow("SELECT entries, published_at FROM headwater.outbox ORDER BY id LIMIT 1")
    first = (await shop.broker.range(shop.key("sales"), count=1))[0]
    assert row is not None
    assert row["entries"] == f"{shop.key('sales')}@{first.id}"


async def test_a_transaction_that_commits_late_is_not_passed_over(shop: Shop) -> None:
    shop.start(shop.relay())
    async with shop.source.transaction() as slow:
        late = GoodSold(sale_id="late", good_id="g", amount=1)
        await shop.producer.publish(slow, late, tenant=shop.tenant)
        await shop.sell("early")
        await has(shop, ["early"])

    await has(shop, ["early", "late"])
    ids = await shop.source.fetch("SELECT key FROM headwater.outbox ORDER BY id")
    assert [row["key"] for row in ids] == ["late", "early"]


async def test_of_two_relays_one_leads_and_the_other_takes_over_when_its_connection_ends(shop: Shop) -> None:
    first = shop.start(shop.relay(), poll=0.1)
    await until(lambda: first.leading)
    second = shop.start(shop.relay(), poll=0.1)
    await shop.sell("s1")
    await has(shop, ["s1"])
    await until(lambda: all_moved(shop))
    assert not second.leading

    assert await end_leader(shop)

    await shop.sell("s2")
    await has(shop, ["s1", "s2"])
    await until(lambda: first.leading != second.leading)


async def test_a_standby_does_not_hammer_the_database(shop: Shop) -> None:
    first = shop.start(shop.relay(), poll=0.1)
    await until(lambda: first.leading)
    async with FaultProxy.before(shop.source.url) as proxy:
        second = Relay(proxy.url, shop.broker, shop.outgoing, controls.ENABLEMENT)
        shop.start(second, poll=60.0)
        await until(lambda: proxy.requests > 0)
        asked = proxy.requests
        for number in range(30):
            await shop.sell(f"s{number}")

        assert not second.leading
        assert proxy.requests <= asked + 10
        await shop.stop(second)


async def test_a_leader_that_stops_hands_over(shop: Shop) -> None:
    first = shop.start(shop.relay(), poll=0.1)
    await until(lambda: first.leading)
    second = shop.start(shop.relay(), poll=0.1)

    await shop.stop(first)

    await until(lambda: second.leading)
    await shop.sell("s1")
    await has(shop, ["s1"])


async def written_large(shop: Shop, size: int) -> None:
    """The row with the key `large`, as somebody may have written it past the function that refuses such."""
    large = "UPDATE headwater.outbox SET data = json_build_object('x', repeat('x', $1)) WHERE key = 'large'"
    assert await shop.source.execute(large, size) == "UPDATE 1"


async def test_a_row_that_can_not_be_encoded_is_set_aside_and_its_neighbours_flow(shop: Shop) -> None:
    await shop.enable()
    await shop.sell("before")
    say = "SELECT headwater.publish($1, $2, $3, $4::json, op => $5, version => $6)"
    good = str(uuid.uuid4())
    bad: list[tuple[Any, ...]] = [
        ("good.sold", "bad", '{"saleId": "bad"}', "x", None),
        ("good.sold", "bad", '{"saleId": "other", "goodId": "g", "amount": 1}', "x", None),
        ("good.sold", "bad", '{"saleId": "bad", "goodId": "a\\u0000b", "amount": 1}', "x", None),
        ("good.sold", "bad", '{"saleId": "bad", "goodId": "\\ud800", "amount": 1}', "x", None),
        ("good.sold", "large", "{}", "x", None),
        ("good.invented", "bad", "{}", "x", None),
        ("good.removed", good, f'{{"goodId": "{good}"}}', "u", 7),
    ]
    for kind, key, data, op, version in bad:
        await shop.source.execute(say, kind, shop.tenant, key, data, op, version)
    await written_large(shop, 270_000)
    await shop.sell("behind")

    shop.start(shop.relay())

    await has(shop, ["before", "behind"])
    rows = await shop.source.fetch("SELECT error FROM headwater.outbox WHERE error IS NOT NULL ORDER BY id")
    reasons = [row["error"].partition(":")[0] for row in rows]
    assert reasons == ["malformed", "malformed", "nul", "surrogate", "oversize", "unknown_event", "malformed"]
    assert await waiting(shop) == 0


async def test_a_row_that_breaks_the_program_that_reads_it_is_set_aside_too(shop: Shop) -> None:
    def broken(old: object) -> Event:
        raise KeyError("\x00 is in no table")

    registry = Registry([GoodSold], {("good.sold", 0): (msgspec.defstruct("Old", []), broken)})
    outgoing = Outgoing(Codec(registry), shop.catalogue)
    say = "SELECT headwater.publish('good.sold', $1, 'bad', '{}', op => 'x', schema_version => 0)"
    await shop.source.execute(say, shop.tenant)
    await shop.sell("behind")

    shop.start(Relay(shop.source.url, shop.broker, outgoing, controls.ENABLEMENT))

    await has(shop, ["behind"])
    assert "is in no table" in await shop.source.fetchval(
        "SELECT error FROM headwater.outbox ORDER BY id LIMIT 1"
    )


async def test_of_a_row_that_is_too_large_only_its_beginning_is_read(shop: Shop) -> None:
    say = "SELECT headwater.publish('good.sold', $1, 'large', '{}', op => 'x')"
    await shop.source.execute(say, shop.tenant)
    await written_large(shop, 2_000_000)
    async with connected(shop) as connection:
        mover = Mover(shop.broker, shop.outgoing, controls.ENABLEMENT, epoch=1)
        batch = await mover.take(connection, 10)

    assert [len(row["data"]) for row in batch.rows] == [SIZE_LIMIT + 1]
    assert [error.partition(":")[0] for error in batch.errors.values()] == ["oversize"]


async def test_a_statement_that_somebody_ends_does_not_end_the_relay(shop: Shop) -> None:
    relay = shop.start(shop.relay())
    await until(lambda: relay.leading)
    async with connected(shop) as looking, connected(shop) as admin, admin.transaction():
        await admin.execute("LOCK TABLE headwater.outbox IN ACCESS EXCLUSIVE MODE")
        cancel = (
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'outbox'"
        )
        await until(lambda: looking.fetchval(cancel))  # a transaction goes on seeing what it saw first
        await until(lambda: "ended a statement" in relay.last_error)
    await shop.sell("s1")

    await has(shop, ["s1"])


async def test_where_an_event_goes_is_decided_when_it_is_moved_and_not_when_it_was_said(shop: Shop) -> None:
    early = await shop.put("said before, moved after the application was enabled")
    await shop.enable()
    relay = shop.start(shop.relay())
    await has(shop, [early], "shelf:goods")
    await shop.stop(relay)
    await shop.put("said while it was enabled, moved after")
    await shop.source.execute("DELETE FROM enabled")

    shop.start(shop.relay())

    await until(lambda: all_moved(shop))
    assert await names(shop, "shelf:goods") == [early]


async def test_what_is_said_while_redis_is_away_arrives_when_it_is_back(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url, timeout=1.0)
        relay = Relay(shop.source.url, broker, shop.outgoing, controls.ENABLEMENT)
        shop.start(relay, poll=0.1)
        await shop.sell("s1")
        await has(shop, ["s1"])
        await until(lambda: all_moved(shop))
        await proxy.refuse()
        await shop.sell("s2")
        await until(lambda: relay.last_error)
        asked = proxy.connections
        await shop.sell("s3")

        await proxy.heal()

        await has(shop, ["s1", "s2", "s3"])
        assert proxy.connections - asked < 20
        await shop.stop(relay)
        await broker.close()


async def test_an_append_whose_answer_is_lost_is_said_again_under_the_same_id(shop: Shop) -> None:
    async with FaultProxy.before(shop.redis_url) as proxy:
        broker = Broker(proxy.url, timeout=1.0)
        relay = shop.start(Relay(shop.source.url, broker, shop.outgoing, controls.ENABLEMENT), poll=0.1)
        await until(lambda: relay.leading)
        proxy.lose_reply(to=b"XADD")
        await shop.sell("s1")

        await has(shop, ["s1", "s1"])
        ids = {(entry.fields or {})[b"eventId"] for entry in await shop.broker.range(shop.key("sales"))}
        assert len(ids) == 1
        await shop.stop(relay)
        await broker.close()


async def test_one_refused_stream_does_not_make_the_others_grow(shop: Shop) -> None:
    await shop.enable()
    relay = shop.start(shop.relay())
    await until(lambda: relay.leading)
    await shop.broker.execute("DEL", shop.key("shelf:goods"))
    await shop.broker.execute("SET", shop.key("shelf:goods"), "not a stream")
    good = await shop.put("tea")
    await shop.sell("s1")
    await until(lambda: "WRONGTYPE" in relay.last_error)

    async def only_the_refused_waits() -> bool:
        return await waiting(shop) == 1

    await until(only_the_refused_waits)
    await shop.broker.execute("DEL", shop.key("shelf:goods"))

    await has(shop, [good], "shelf:goods")
    assert await names(shop) == ["s1"]


async def test_a_source_database_that_goes_silent_gives_the_lead_to_another(shop: Shop) -> None:
    """The database's kernel notices a dead client, so that its lock does not stay for hours."""
    connection = await connect(shop.source.url)
    try:
        idle = await connection.fetchval("SHOW tcp_keepalives_idle")
    finally:
        await connection.close()

    assert int(idle) in range(1, 61)


async def test_a_relay_waits_for_a_source_that_is_not_there_yet(shop: Shop) -> None:
    async with FaultProxy.before(shop.source.url) as proxy:
        await proxy.refuse()
        relay = shop.start(Relay(proxy.url, shop.broker, shop.outgoing, controls.ENABLEMENT), poll=0.1)
        await until(lambda: relay.last_error)
        await shop.sell("s1")

        await proxy.heal()

        await has(shop, ["s1"])
        await until(lambda: all_moved(shop))
        proxy.cut()
        await shop.sell("s2")
        await has(shop, ["s1", "s2"])
        await shop.stop(relay)


async def test_a_stream_that_refuses_more_than_a_pass_does_not_hold_up_the_others(shop: Shop) -> None:
    await shop.enable()
    await shop.broker.execute("SET", shop.key("sales"), "somebody else's")
    for number in range(4):
        await shop.sell(f"s{number}")
    good = await shop.put("tea")

    shop.start(Relay(shop.source.url, shop.broker, shop.outgoing, controls.ENABLEMENT, batch=3))
    await has(shop, [good], "shelf:goods")
    await shop.broker.execute("DEL", shop.key("sales"))

    await has(shop, [f"s{number}" for number in range(4)])
    await until(lambda: all_moved(shop))


async def test_an_outbox_row_from_outside_the_calendar_does_not_end_the_relay(shop: Shop) -> None:
    moments = ["0044-03-15 BC", "294276-01-01", "infinity", "-infinity"]
    for number, moment in enumerate(moments):
        await shop.sell(f"s{number}")
        query = "UPDATE headwater.outbox SET said_at = $1::text::timestamptz WHERE key = $2"
        await shop.source.execute(query, moment, f"s{number}")
    await shop.sell("usual")

    shop.start(shop.relay())

    await has(shop, ["s0", "s1", "s2", "s3", "usual"])
    usual = (await shop.broker.range(shop.key("sales"), count=1000))[-1].fields or {}
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", usual[b"timestamp"])


async def test_a_tenant_that_the_enablement_query_can_not_take_does_not_keep_the_others(shop: Shop) -> None:
    """Another language wrote a tenant that is no UUID; the shop's query casts it."""
    await shop.enable()
    async with shop.source.transaction() as tx:
        event = controls.GoodChanged(good_id=str(uuid.uuid4()), name="tea")
        await shop.producer.publish(tx, event, tenant="no uuid", version=1)
    good = await shop.put("coffee")

    shop.start(shop.relay())

    assert await has(shop, [good], "shelf:goods") == [good]
    assert await until(lambda: all_moved(shop))


async def test_a_leader_that_was_cut_off_from_its_lock_marks_nothing_and_steps_down(shop: Shop) -> None:
    """Its process lives on, with a connection that still works: only the epoch keeps it from writing."""
    first, second = shop.relay(), shop.relay()
    async with connected(shop) as one, connected(shop) as other:
        await shop.sell("s1")
        assert (await first.move(one)).rows == 1
        await shop.sell("s2")
        assert (await second.move(other)).rows == 1
        await shop.sell("s3")

        with pytest.raises(ServerUnavailable, match="another relay leads"):
            await first.move(one)

        assert await waiting(shop) == 1
        assert (await second.move(other)).rows == 1
    assert await names(shop) == ["s1", "s2", "s3", "s3"]


async def test_a_zombie_sets_no_row_aside(shop: Shop) -> None:
    first, second = shop.relay(), shop.relay()
    async with connected(shop) as one, connected(shop) as other:
        await first.move(one)
        await second.move(other)
        await shop.source.execute(
            "SELECT headwater.publish('good.invented', $1, 'bad', '{}', op => 'x')", shop.tenant
        )

        with pytest.raises(ServerUnavailable, match="another relay leads"):
            await first.move(one)

    assert await waiting(shop) == 1


async def test_a_relay_stopped_in_the_middle_and_continued_later_writes_nothing_over_its_successor(
    shop: Shop,
) -> None:
    async with FaultProxy.before(shop.source.url) as proxy:
        paused = shop.start(Relay(proxy.url, shop.broker, shop.outgoing, controls.ENABLEMENT), poll=0.1)
        await until(lambda: paused.leading)
        proxy.black_hole()  # as a process that is stopped: what it sends comes much later
        await shop.sell("s1")
        await end_leader(shop)
        second = shop.start(shop.relay(), poll=0.1)
        await has(shop, ["s1"])
        await until(lambda: all_moved(shop))
        epoch = await shop.source.fetchval("SELECT epoch FROM headwater.relay")

        await proxy.heal()

        await until(lambda: not paused.leading)
        await shop.sell("s2")
        await has(shop, ["s1", "s2"])
        assert second.leading
        assert await shop.source.fetchval("SELECT epoch FROM headwater.relay") == epoch
        await shop.stop(paused)


async def test_where_one_application_refuses_the_others_have_the_event_once(shop: Shop) -> None:
    """One row goes to the streams of two applications; one of them is somebody else's key."""
    catalogue = Catalogue(
        [Stream(name="{app}:sales", events=(GoodSold,))],
        [Group(app=app, name=app, streams=("{app}:sales",)) for app in ("shelf", "till")],
        prefix=shop.catalogue.keys.prefix,
    )
    for app in ("shelf", "till"):
        await shop.enable(app)
    await shop.broker.execute("SET", shop.key("shelf:sales"), "somebody else's")
    outgoing = Outgoing(controls.CODEC, catalogue)
    relay = shop.start(Relay(shop.source.url, shop.broker, outgoing, controls.ENABLEMENT))
    expected = [f"s{number}" for number in range(20)]
    for name in expected:
        await shop.sell(name)

    await has(shop, expected, "till:sales")
    assert "WRONGTYPE" in await until(lambda: relay.last_error)
    assert await waiting(shop) == 20
    await shop.broker.execute("DEL", shop.key("shelf:sales"))

    await has(shop, expected, "shelf:sales")
    await until(lambda: all_moved(shop))
    assert await names(shop, "till:sales") == expected
    await until(lambda: not relay.last_error)


async def test_while_a_pass_is_on_its_way_the_next_rows_are_read_and_every_row_moves_once(shop: Shop) -> None:
    expected = [f"s{number:04}" for number in range(900)]
    async with shop.source.transaction() as tx:
        said = [Said(GoodSold(sale_id=name, good_id="g", amount=1), shop.tenant) for name in expected]
        await shop.producer.publish_many(tx, said)

    shop.start(Relay(shop.source.url, shop.broker, shop.outgoing, controls.ENABLEMENT, batch=40))

    await has(shop, expected)
    assert await until(lambda: all_moved(shop))


async def test_how_long_a_transaction_holds_its_events_back_can_be_seen(shop: Shop) -> None:
    async with shop.source.transaction() as slow:
        await shop.producer.publish(slow, GoodSold(sale_id="s", good_id="g", amount=1), tenant=shop.tenant)
        held_back = await backlog(shop.source)
        later = await until(lambda: grown(shop, held_back.horizon))

    assert held_back.waiting == 0
    assert later.horizon > held_back.horizon > 0
    assert (await backlog(shop.source)).horizon == 0


async def grown(shop: Shop, horizon: float) -> Backlog | None:
    now = await backlog(shop.source)
    return now if now.horizon > horizon else None
