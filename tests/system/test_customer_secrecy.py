"""Addresses of people, planted everywhere and carried every way, stand nowhere in the clear."""

from __future__ import annotations

import base64
import json
import logging

import pytest

from backfill.customer_sync.saying import event_of
from consumers.customer_records.meeting import SIDES, Copy, Edit, Field, Side, Vector
from consumers.customer_records.store import Record
from consumers.customer_records.vault import Key, Vault
from headwater.database import Database
from headwater.testing import until
from tests.system.test_customer_endpoints import of, sealed, served
from tests.system.test_customer_stream import Streamed, streamed
from tests.system.test_customer_sync import VAULT, both

__all__ = ["both", "streamed"]
WHO = "zoraquill"
TABLES = (
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
    "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
)


def shapes(secret: str) -> list[str]:
    """As it would stand in a text, in bytes shown as hex, and in each of the three places of base64."""
    encoded = [base64.b64encode(b"x" * shift + secret.encode())[4 * bool(shift) : -4] for shift in range(3)]
    return [secret, secret.encode().hex(), *(one.decode() for one in encoded)]


def found_in(text: str) -> list[str]:
    """In which shapes an address of somebody is there."""
    low = text.lower()
    plain = [shape for shape in shapes(WHO)[:2] if shape in low]
    return plain + [shape for shape in shapes(WHO)[2:] if shape in text]


async def dumped(database: Database) -> str:
    """Every column of every table."""
    rows: list[str] = []
    for table in await database.fetch(TABLES):
        found = await database.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table[0]} AS t")
        rows += [f"{table[0]} {one['row']}" for one in found]
    return "\n".join(rows)


async def in_redis(streamed: Streamed) -> str:
    """Every key, and every entry of every stream."""
    keys = await streamed.broker.execute("KEYS", streamed.settings.key_prefix + "*")
    parts = [repr(keys)]
    for key in keys:
        if await streamed.broker.execute("TYPE", key) in {"stream", b"stream"}:
            parts.append(repr(await streamed.broker.execute("XRANGE", key, "-", "+")))
    return "\n".join(parts)


async def troubled(streamed: Streamed) -> None:
    """Edits, a conflict, a taken address, a foreign key, a tampered row, deletions: by the stream."""
    auth, customer = (streamed.both[side] for side in SIDES)
    for number in range(4):
        await auth.store.edit(f"c{number}", name="Ada", email=f"{WHO}{number}@a.example")
    async with streamed.follow():
        await streamed.quiet()
    await auth.store.edit("c0", name="Ada of auth", email=f"{WHO}-auth@a.example")
    await customer.store.edit("c0", name="Ada of customer", email=f"{WHO}-customer@a.example")
    await auth.store.edit("n1", name="Eve", email=f"{WHO}-same@a.example")
    await customer.store.edit("n2", name="Eve", email=f"{WHO}-same@a.example")
    await customer.store.delete("c1")
    edit = Edit("auth", 1)
    copy = Copy(Vector(1, 0), Field("M", edit), Field(f"{WHO}@m.example", edit))
    foreign = event_of(Record("m1", copy, None, None, None), "auth", Vault(Key.of("0f" * 31 + "aa")))
    await auth.sql(
        "UPDATE TABLE SET email_encrypted = left(email_encrypted, -8) || 'AAAAAAA=' WHERE id = 'c2'"
    )
    async with streamed.follow():
        producer = streamed.following["auth"].tellers["auth"]._producer
        await producer.publish(foreign, tenant="", operation_id="m1")
        letters = "SELECT count(*) FROM headwater.dead_letter"
        await until(lambda: customer.database.fetchval(letters), within=60)
        conflicts = "SELECT count(*) FROM customer_sync.conflict"
        await until(lambda: customer.database.fetchval(conflicts), within=60)
        await until(
            lambda: auth.database.fetchval("SELECT count(*) FROM customer_sync.quarantine"), within=60
        )


async def asked(streamed: Streamed, side: Side) -> str:
    """What one side answers to good, plain, foreign, taken and broken records, and to who has no key."""
    told = []
    taken = VAULT.seal("transport", "t1", f"{WHO}-same@a.example")
    foreign = Vault(Key.of("0f" * 31 + "aa")).seal("transport", "f1", f"{WHO}@a.example")
    records = [sealed("h1", email=f"{WHO}.h.1@a.example"), sealed("t1", email=taken)]
    records += [sealed("f1", email=foreign), sealed("g1", email=f"{WHO}@a.example")]
    async with served(side, streamed.both[side].records, of(side)) as serving:
        told.append(await serving.ask())
        for body in (records, records[0], {"id": "b1", "email": [f"{WHO}@a.example"]}):
            told.append(await serving.ask("POST", json=body))
        told.append(await serving.ask("POST", key="", json=records))
        told.append(await serving.ask(path=f"?limit={WHO}@a.example"))
    assert [status for status, _ in told] == [200, 422, 422, 422, 401, 400]
    return json.dumps(told)


async def test_no_address_stands_in_the_clear_in_redis_databases_logs_or_answers(
    streamed: Streamed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await troubled(streamed)
    answers = [await asked(streamed, side) for side in SIDES]
    bases = [await dumped(one.database) for one in streamed.both.values()]
    redis = await in_redis(streamed)

    assert "customer.changed" in redis
    assert "m1" in bases[1]
    logged = "\n".join(f"{one.getMessage()} {one.__dict__}" for one in caplog.records)
    assert "customers." in logged
    for text in (*answers, *bases, redis, logged):
        assert found_in(text) == []


@pytest.mark.parametrize("shift", range(3))
def test_the_search_finds_an_address_in_whatever_shape_it_stands(shift: int) -> None:
    address = f"{'x' * shift}{WHO}@a.example".encode()
    for text in (
        address.decode(),
        address.decode().upper(),
        address.hex(),
        base64.b64encode(address).decode(),
    ):
        assert found_in(text)
