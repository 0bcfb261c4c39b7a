"""What a failed test left behind: told before it is swept away, for failures that do not come again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.engine.conftest import Shop

WAITING = """
SELECT format('outbox: %s rows, %s published, %s held, %s with an error, to %s under epoch %s; waiting: %s',
              count(*), count(published_at), count(held), count(error),
              array_agg(DISTINCT split_part(entries, '@', 1)), (SELECT max(epoch) FROM headwater.relay),
              (array_agg(format('%s %s v%s %s', id, key, version, op) ORDER BY id)
                  FILTER (WHERE published_at IS NULL))[:10])
  FROM headwater.outbox
"""
SOURCE = "SELECT good_id::text AS key, headwater_version AS version, name, price::text FROM goods"
SINK = """
SELECT key, version, name, price::text, deleted
  FROM headwater.ledger FULL JOIN goods ON good_id::text = key WHERE subject = 'goods' OR subject IS NULL
"""
SESSIONS = """
SELECT format('session %s of %s: %s %s for %s s: %s', pid, datname, state, wait_event, round(extract(epoch
              FROM clock_timestamp() - xact_start)), left(query, 80))
  FROM pg_stat_activity
 WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
   AND (xact_start < clock_timestamp() - interval '1 s' OR datname = current_database())
"""


async def told(shop: Shop) -> str:
    """Outbox, streams, groups, rows that differ, sessions there, and where each task stands."""
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
        if _held(there, key) != _held(here, key)
    ][:10]


def _plain(row: Any) -> list[Any] | None:
    return None if row is None else list(row.values())[1:]


def _held(rows: dict[str, Any], key: str) -> list[Any] | None:
    found = _plain(rows.get(key))
    return found and found[:3]


def _standing(pair: Any) -> str:
    thing, task = pair
    said = vars(thing).get("last_error", "")
    return f"{type(thing).__name__} {said}: " + " > ".join(_waits(task.get_coro()))


def _waits(coroutine: Any) -> Iterator[str]:
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        yield f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        coroutine = coroutine.cr_await
