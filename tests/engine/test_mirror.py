"""An upsert on Postgres: a batch as texts and the same batch as arrays leave the same rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any, ClassVar

import asyncpg
import msgspec

from headwater.delivery import Consumer
from headwater.delivery.mirror import Mirror, compile_mirror
from headwater.event import Envelope, Event, Subject
from tests.engine.conftest import Shop

TABLE = """
CREATE TABLE things (
    tenant_id text, thing_id text, word text, small smallint, big bigint, yes boolean, ratio float8,
    share real, amount numeric, moment timestamptz, extra jsonb, ident uuid, code varchar(300),
    day date, bytes bytea, PRIMARY KEY (tenant_id, thing_id))
"""
KEYS = ["a", "é", "ß b", "'", '"', "\\", "{}", "null", "a,b", "\t", "\n", "x\x1fy", "\x1e", "z" * 300]
WORDS = ["", *KEYS, "%s", "$1", "𝄞", None]


class ThingChanged(Event, frozen=True, kw_only=True):
    """A column of every usual type."""

    type: ClassVar[str] = "thing.changed"
    subject: ClassVar[Subject] = Subject("things")

    thing_id: str
    word: str | None = None
    small: int | None = None
    big: int | None = None
    yes: bool | None = None
    ratio: float | None = None
    share: float | None = None
    amount: Decimal | None = None
    moment: datetime | None = None
    extra: dict[str, Any] | None = None
    ident: str | None = None
    code: str | None = None
    day: Any = None
    bytes: Any = None

    @property
    def key(self) -> str:
        """The thing's id."""
        return self.thing_id


def things() -> Consumer:
    consumer = Consumer("things")

    @consumer.upsert(ThingChanged, table="things", key="thing_id")
    class Thing:
        word: str | None
        small: int | None
        big: int | None
        yes: bool | None
        ratio: float | None
        share: float | None
        amount: Decimal | None
        moment: datetime | None
        extra: dict[str, Any] | None
        ident: str | None
        code: str | None
        day: Any
        bytes: Any

    return consumer


def thing(key: str, chance: Random) -> ThingChanged:
    zone = chance.choice([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=8))])
    moment = datetime(chance.randint(1, 9998), 2, 3, 4, 5, 6, chance.randint(0, 999_999), zone)
    full = ThingChanged(
        thing_id=key,
        word=chance.choice(WORDS),
        small=chance.randint(-(2**15), 2**15 - 1),
        big=chance.randint(-(2**63), 2**63 - 1),
        yes=chance.choice([True, False]),
        ratio=chance.choice([0.1, -0.0, 1e300, 5e-324, float("inf"), float("nan"), chance.random()]),
        share=chance.choice([0.5, -2.25, 1024.0]),
        amount=Decimal(chance.randint(-(10**12), 10**12)) / 10**4,
        moment=moment,
        extra={"word": chance.choice(WORDS), "list": [1, None, "\x1f"]},
        ident=f"{chance.getrandbits(128):032x}",
        code=chance.choice(WORDS),
        day=moment.date(),
        bytes=chance.randbytes(3),
    )
    absent = {name: None for name in ThingChanged.__struct_fields__[1:] if chance.random() < 0.2}
    return msgspec.structs.replace(full, **absent)


def batch(chance: Random, *, plain: bool) -> list[Envelope]:
    keys = chance.sample([key for key in KEYS if not plain or key.isprintable()], chance.randint(1, 6))
    made = [thing(key, chance) for key in sorted(keys)]
    if plain:
        clean = [msgspec.structs.replace(one, word="plain", code="c") for one in made]
        made = [msgspec.structs.replace(one, extra={"a": "b"}) for one in clean]
    return [
        Envelope(id=one.key, event=one, tenant=f"t {one.key}", time="", source="test", version=1)
        for one in made
    ]


async def rows(connection: Any, apply: Callable[[], Awaitable[int]]) -> tuple[int, list[Any]]:
    """How many were newer, and what stands in both tables; nothing of it stays."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        newer = await apply()
        table = await connection.fetch("SELECT t.*, float8send(ratio) FROM things AS t ORDER BY 1, 2")
        ledger = await connection.fetch(
            "SELECT tenant, key, version, deleted FROM headwater.ledger ORDER BY 1, 2"
        )
        return newer, [repr(tuple(row)) for row in (*table, *ledger)]
    finally:
        await transaction.rollback()


async def test_texts_and_arrays_leave_the_same_rows_whatever_is_in_them(shop: Shop) -> None:
    connection = await asyncpg.connect(shop.sink.url)
    await connection.execute(TABLE)
    mirror = await compile_mirror(connection, things().mirrors["things"])
    chance, as_text = Random(7), 0

    for turn in range(120):
        envelopes = batch(chance, plain=turn % 2 == 0)
        arguments = mirror.arguments("things", 1, envelopes)
        as_text += mirror.packed(arguments) is not None

        async def typed(arguments: list[Any] = arguments) -> int:
            (done,) = await connection.fetch(mirror.typed, *arguments)
            return done["newer"]  # type: ignore[no-any-return]

        async def usual(envelopes: list[Envelope] = envelopes) -> int:
            return await mirror.apply(connection, "things", 1, envelopes)

        assert await rows(connection, usual) == await rows(connection, typed)

    await connection.execute("DROP TABLE things")
    await connection.close()
    assert 50 < as_text < 120  # both ways were gone


async def test_one_row_whose_only_text_is_empty_is_a_row(shop: Shop) -> None:
    connection = await asyncpg.connect(shop.sink.url)
    await connection.execute(TABLE)
    mirror: Mirror = await compile_mirror(connection, things().mirrors["things"])
    event = ThingChanged(thing_id="k", word="")
    envelope = Envelope(id="i", event=event, tenant="t", time="", source="test", version=1)

    newer = await mirror.apply(connection, "things", 1, [envelope])

    assert newer == 1
    assert await connection.fetchval("SELECT word FROM things") == ""
    await connection.close()
