"""What a failed test left behind: told before it is swept away, for failures that do not come again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.engine.conftest import Shop

WAITING = """
SELECT format('outbox: %s rows, %s published, %s held, %s with an error; waiting: %s',
              count(*), count(published_at), count(held), count(error),
              (array_agg(format('%s %s v%s %s', id, key, version, op) ORDER BY id)
                  FILTER (WHERE published_at IS NULL))[:10])
  FROM headwater.outbox
"""
SOURCE = "SELECT good_id::text AS key, headwater_version AS version, name::text FROM goods"
SINK = """
SELECT key, version, deleted, name::text
  FROM headwater.ledger FULL JOIN goods ON good_id::text = key WHERE subject = 'goods' OR subject IS NULL
"""
SESSIONS = """
SELECT format('session %s of %s: %s %s for %s s: %s', pid, datname, state, wait_event, round(extract(epoch
              FROM clock_timestamp() - xact_start)), left(query, 80))
  FROM pg_stat_activity WHERE xact_start < clock_timestamp() - interval '1 s' AND pid <> pg_backend_pid()
"""


async def told(shop: Shop) -> str:
    """Outbox, streams, groups, rows that differ, long transactions, and where each task stands."""
    lines = [str(await shop.source.fetchval(WAITING)), *await _streams(shop), *await _differing(shop)]
    lines += [row[0] for row in await shop.source.fetch(SESSIONS)]
    return "\n".join([*lines, *map(_standing, shop.running)])


async def _streams(shop: Shop) -> list[str]:
    found = []
    for key in sorted(await shop.broker.execute("KEYS", shop.catalogue.keys.prefix + "*")):
        if await shop.broker.execute("TYPE", key) == b"stream":
            groups = await shop.broker.execute("XINFO", "GROUPS", key)
            found.append(f"{key.decode()}: {await shop.broker.execute('XLEN', key)} entries; {groups}")
    return found


async def _differing(shop: Shop) -> list[str]:
    there = {row["key"]: row for row in await shop.source.fetch(SOURCE)}
    here = {row["key"]: row for row in await shop.sink.fetch(SINK)}
    return [
        f"{key}: source {_plain(there.get(key))} application {_plain(here.get(key))}"
        for key in sorted(there.keys() | here.keys())
        if _name(there, key) != _name(here, key)
    ][:10]


def _plain(row: Any) -> list[Any] | None:
    return None if row is None else list(row.values())[1:]


def _name(rows: dict[str, Any], key: str) -> Any:
    return rows[key]["name"] if key in rows else None


def _standing(pair: Any) -> str:
    thing, task = pair
    said = vars(thing).get("last_error", "")
    return f"{type(thing).__name__} {said}: " + " > ".join(_waits(task.get_coro()))


def _waits(coroutine: Any) -> Iterator[str]:
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        yield f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        coroutine = coroutine.cr_await
