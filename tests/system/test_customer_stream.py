"""Edits of two services that meet by the stream `customers`, by whatever way they were made."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from backfill.customer_sync.following import Following, project_of
from backfill.customer_sync.saying import event_of, incoming_of
from consumers.customer_records.meeting import MOST_EDITS, SIDES, Copy, Edit, Field, Side, Vector
from consumers.customer_records.store import Record
from consumers.customer_records.vault import Key, Vault
from headwater.broker import Broker
from headwater.cli.project import find
from headwater.cli.wiring import Wiring
from headwater.config import Dsn, Settings
from headwater.config.settings import BrokerSettings
from headwater.errors import EventError
from headwater.testing import RunningServers, until
from schemas.customers import CustomerChanged, CustomerDeleted
from tests.system.running import ROOT
from tests.system.test_customer_endpoints import KEY, of
from tests.system.test_customer_histories import counted, writes
from tests.system.test_customer_sync import PLANTED, VAULT, Sided, both

__all__ = ["both", "counted"]


@dataclass
class Streamed:
    """Both services following the stream, in processes of their own as far as anybody can tell."""

    both: dict[Side, Sided]
    settings: Settings
    broker: Broker
    following: dict[Side, Following] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def follow(self, *sides: Side) -> AsyncIterator[None]:
        """Those sides follow as long as the block."""
        async with contextlib.AsyncExitStack() as stack:
            for side in sides or SIDES:
                await stack.enter_async_context(self._follow(side))
            yield

    @contextlib.asynccontextmanager
    async def _follow(self, side: Side) -> AsyncIterator[None]:
        wiring = Wiring(project_of(find(ROOT), self.settings.key_prefix), self.settings)
        stop = asyncio.Event()
        try:
            one = self.following[side] = Following(wiring)
            await one.open([side])
            running = asyncio.create_task(one.run(stop))
            yield
            stop.set()
            await running
        finally:
            await wiring.close()

    async def same(self) -> bool:
        """Both have the same copies."""
        return bool(await self.both["auth"].all() == await self.both["customer"].all())

    async def quiet(self) -> None:
        """Both have the same, all of it was said, and what was said was taken."""

        async def at_rest() -> bool:
            unsaid = [await one.store.unsaid(1, "") for one in self.both.values()]
            lags = [one.workers[side].statistics()["in_hand"] for side, one in self.following.items()]
            return not any(unsaid) and not any(lags) and await self.same()

        await until(at_rest, within=60)


@pytest_asyncio.fixture
async def streamed(both: dict[Side, Sided], servers: RunningServers) -> AsyncIterator[Streamed]:
    prefix = f"customers-{random.randrange(10**9)}:"
    settings = Settings(
        customer_sync=of("auth"),
        redis_url=Dsn(servers.redis_url),
        key_prefix=prefix,
        apps={side: Dsn(one.database.url) for side, one in both.items()},
        broker=BrokerSettings(block=0.2),
    )
    broker = Broker(servers.redis_url)
    yield Streamed(both, settings, broker)
    if keys := await broker.execute("KEYS", prefix + "*"):
        await broker.execute("DEL", *keys)
    await broker.close()


async def test_an_edit_of_either_side_is_at_the_other_without_anybody_asking(streamed: Streamed) -> None:
    auth, customer = streamed.both["auth"], streamed.both["customer"]
    async with streamed.follow():
        await auth.store.edit("a1", name="Ada", email=f"ada@{PLANTED}")
        await customer.store.edit("c1", name="Bob", email=f"bob@{PLANTED}")
        await streamed.quiet()
        await customer.store.edit("a1", name="Ada Byron", email=f"ada@{PLANTED}")
        await auth.store.delete("c1")
        await streamed.quiet()

    assert await auth.sql("SELECT name FROM TABLE WHERE id = 'a1'") == "Ada Byron"
    assert await customer.sql("SELECT count(*) FROM TABLE WHERE id = 'c1'") == 0


async def test_plain_sql_of_a_service_that_knows_nothing_of_a_sync_is_said_too(streamed: Streamed) -> None:
    auth, customer = streamed.both["auth"], streamed.both["customer"]
    sealed = VAULT.seal("client_auth", "s1", f"sql@{PLANTED}")
    async with streamed.follow():
        await auth.sql("INSERT INTO TABLE (id, name, email_encrypted) VALUES ('s1', 'Eve', $1)", sealed)
        await streamed.quiet()
        await auth.sql("UPDATE TABLE SET name = 'Eva' WHERE id = 's1'")
        await streamed.quiet()

    assert await customer.sql("SELECT name FROM TABLE WHERE id = 's1'") == "Eva"


async def test_after_every_edit_has_arrived_nothing_is_written_or_said_any_more(
    counted: dict[Side, Sided], streamed: Streamed
) -> None:
    async with streamed.follow():
        for number in range(20):
            side: Side = SIDES[number % 2]
            await counted[side].store.edit(f"n{number:02}", name="Ada", email=f"n{number}@{PLANTED}")
        await streamed.quiet()
        written = await writes(counted)
        entries = await streamed.broker.execute("XLEN", f"{streamed.settings.key_prefix}customers")
        for one in streamed.following.values():
            for teller in one.tellers.values():
                assert await teller.say_all() == 0

    assert written == 40  # the edit, and its copy
    assert entries == 20
    assert await writes(counted) == written


async def test_edits_of_both_sides_at_once_are_joined_told_as_conflicts_and_come_to_the_same(
    streamed: Streamed,
) -> None:
    auth, customer = streamed.both["auth"], streamed.both["customer"]
    async with streamed.follow():
        await auth.store.edit("b1", name="Ada", email=f"b1@{PLANTED}")
        await streamed.quiet()
    await auth.store.edit("b1", name="Ada of auth", email=f"b1@{PLANTED}")
    await customer.store.edit("b1", name="Ada", email=f"new@{PLANTED}")
    async with streamed.follow():
        await streamed.quiet()

    copy = (await auth.all())["b1"]
    assert (copy.name.value, copy.email.value) == ("Ada of auth", f"new@{PLANTED}")
    told = [
        await one.database.fetchval("SELECT count(*) FROM customer_sync.conflict") for one in (auth, customer)
    ]
    assert any(told)


async def test_a_copy_that_does_not_open_is_parked_with_its_reason_and_the_rest_goes_on(
    streamed: Streamed,
) -> None:
    customer = streamed.both["customer"]
    foreign = Vault(Key.of("0f" * 31 + "aa"))
    edit = Edit("auth", 1)
    copy = Copy(Vector(1, 0), Field("Mallory", edit), Field(f"m@{PLANTED}", edit))
    record = Record("m1", copy, None, None, None)
    async with streamed.follow():
        producer = streamed.following["auth"].tellers["auth"]._producer
        await producer.publish(event_of(record, "auth", foreign), tenant="", operation_id="m1")
        await streamed.both["auth"].store.edit("z1", name="Zoe", email=f"z@{PLANTED}")
        await streamed.quiet()
        letters = "SELECT to_jsonb(one)::text FROM headwater.dead_letter AS one"
        await until(lambda: customer.database.fetchval(letters))

    letter = await customer.database.fetchval(letters)
    assert "m1" in letter
    assert '"reason": "rejected"' in letter
    assert PLANTED not in letter
    assert await customer.sql("SELECT count(*) FROM TABLE") == 1


async def test_what_redis_forgot_comes_with_the_next_sync_by_the_clock(streamed: Streamed) -> None:
    auth, customer = streamed.both["auth"], streamed.both["customer"]
    async with streamed.follow("auth"):
        await auth.store.edit("f1", name="Ada", email=f"f1@{PLANTED}")

        async def said() -> bool:
            return not await auth.store.unsaid(1, "")

        await until(said)
    await streamed.broker.execute("DEL", f"{streamed.settings.key_prefix}customers")
    assert await customer.all() == {}
    page = await auth.records.page(10, "", unsynced=True)

    assert [one.id for one in page] == ["f1"]  # not marked as synced: an exchange still brings it
    for one in page:
        assert (await customer.records.take(one)).verdict == "applied"  # type: ignore[arg-type]
    async with streamed.follow():
        await streamed.quiet()


async def test_no_address_is_in_redis_in_the_clear(streamed: Streamed) -> None:
    auth = streamed.both["auth"]
    async with streamed.follow():
        for number in range(5):
            await auth.store.edit(f"p{number}", name="Ada", email=f"p{number}@{PLANTED}")
        await auth.store.delete("p3")
        await streamed.quiet()
    entries: Any = await streamed.broker.execute(
        "XRANGE", f"{streamed.settings.key_prefix}customers", "-", "+"
    )

    text = repr(entries)
    assert len(entries) >= 5
    assert "customer.changed" in text
    assert PLANTED not in text


@pytest.mark.parametrize("seed", range(2))
async def test_histories_with_stops_and_repeats_in_between_end_the_same_on_both_sides(
    streamed: Streamed, seed: int
) -> None:
    chance = random.Random(seed)
    for round_ in range(4):
        sides = chance.choice([SIDES, SIDES, ("auth",), ("customer",)])
        async with streamed.follow(*sides):
            for _ in range(12):
                one, key = streamed.both[chance.choice(SIDES)], f"h{chance.randrange(6)}"
                if chance.random() < 0.2:
                    await one.store.delete(key)
                else:
                    name = f"name {chance.randrange(1000)}"
                    await one.store.edit(key, name=name, email=f"{key}-{round_}@{PLANTED}")
    async with streamed.follow():
        await streamed.quiet()

    assert await streamed.same()
    for one in streamed.both.values():
        assert await one.database.fetchval("SELECT count(*) FROM headwater.dead_letter") == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"auth_edits": MOST_EDITS + 1},
        {"name_number": 3},
        {"gone_auth": 9},
        {"auth_edits": 0, "name_number": 0, "email_number": 0},
        {"name_side": "nobody"},
        {"name": "x" * 257},
    ],
)
def test_a_copy_that_can_not_have_come_to_be_is_refused(changes: dict[str, Any]) -> None:
    edit = Edit("auth", 1)
    copy = Copy(Vector(1, 0), Field("Ada", edit), Field("", edit))
    event = event_of(Record("r1", copy, None, None, None), "auth", VAULT)
    assert isinstance(event, CustomerChanged)
    assert incoming_of(event, VAULT).copy == copy

    with pytest.raises(EventError):
        incoming_of(msgspec.structs.replace(event, **changes), VAULT)


def test_a_copy_comes_back_from_an_event_as_it_was() -> None:
    edits = Edit("auth", 2), Edit("customer", 1)
    for gone in (Vector(), Vector(2, 1)):
        copy = Copy(Vector(2, 1), Field("Ada", edits[0]), Field("ada@x.example", edits[1]), gone)
        event = event_of(Record("r1", copy, None, None, None), "auth", VAULT)
        assert isinstance(event, CustomerDeleted if gone.version else CustomerChanged)
        assert "ada@" not in json.dumps(msgspec.to_builtins(event))
        assert incoming_of(event, VAULT).copy == copy  # type: ignore[arg-type]


async def test_processes_that_are_killed_while_people_edit_lose_nothing_and_write_nothing_twice(
    counted: dict[Side, Sided], streamed: Streamed, servers: RunningServers
) -> None:
    environ = {
        "PATH": "",
        "PYTHONPATH": str(ROOT),
        "HEADWATER_REDIS_URL": servers.redis_url,
        "HEADWATER_KEY_PREFIX": streamed.settings.key_prefix,
        "HEADWATER_APP_AUTH_URL": counted["auth"].database.url,
        "HEADWATER_APP_CUSTOMER_URL": counted["customer"].database.url,
        "HEADWATER_BROKER_MIN_IDLE": "1s",
        "HEADWATER_BROKER_HEARTBEAT": "0.3",
        "ENCRYPTION_KEY": KEY.reveal(),
    }
    for turn in range(3):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "headwater", "sync", "customers", "follow"),
            cwd=ROOT,
            env=environ,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        for number in range(10):
            one = counted[SIDES[number % 2]]
            await one.store.edit(f"k{turn}{number}", name="Ada", email=f"k{turn}{number}@{PLANTED}")
        other = counted[SIDES[turn % 2]]

        async def some_arrived(sided: Sided = other, least: int = 5 * turn + 6) -> bool:
            return bool(await sided.sql("SELECT count(*) >= $1 FROM TABLE", least))

        await until(some_arrived, within=60)
        process.kill()
        await process.wait()
    async with streamed.follow():
        await streamed.quiet()

    assert len(await counted["auth"].all()) == 30
    assert await writes(counted) == 60
