"""Figures of the user sync: `python -m tests.bench.user_sync --users 10000 --large 1000000`.

Servers of its own, source and chat in one Postgres. Bulk: every user said, applied, and the job ended.
Sweep: so many users changed in one statement, read and put into the outbox. Latency: from the commit of a
single change to its row in the chat, through bell, outbox, relay, stream and worker. Memory is the peak of
this one process, which does it all.

The limit of bulk and sweep: a loop by hand that reads the same users in pages by key, transforms them and
writes them with the chat's own statements (for a sweep: drops them), one transaction a page, no events.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from typing import Any

import backfill.accounts as backfilled
from backfill.user_sync.bulk import run_bulk
from consumers.chat.users import write
from headwater.bench import usage
from headwater.cli.output import Output
from headwater.database import connect
from headwater.database import load as sql
from headwater.publish import REALM, Producer
from headwater.testing import running_servers, until
from producers.accounts.rows import account
from producers.accounts.sweep import Sweeper
from schemas import codec
from tests.databases import accounts_ready
from tests.system.user_sync import World, opened

FILL = """
INSERT INTO users (id, first_name, last_name, email, email_verified, phone, status, role, password, bio,
                   customer_preferences, job_budget, headwater_version, headwater_xid)
SELECT (to_char(n, 'FM00000000') || '-0000-4000-9000-000000000000')::uuid, 'Ada ' || n, 'Byron',
       'u' || n || '@acme.example', true, '+355 69 ' || n, 'active', 'customer', 'hash', 'the bio of ' || n,
       '{"a": [1, 2, 3]}', '{"min": 0, "max": 500000, "currency": "ALL"}', (1::bigint << 48) | n, '3'
  FROM generate_series(1, $1::int) AS n
"""
PAGE = f"""
SELECT * FROM ({sql(backfilled.__file__, "accounts")}) AS users
 WHERE key::uuid > $3::text::uuid ORDER BY id LIMIT $4
"""
SEEN = """
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('seen', NEW."externalId"::text); RETURN NULL; END $$;
CREATE TRIGGER seen AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION seen();
"""


async def fill(world: World, rows: int) -> None:
    """Users as they are after set-up, without the cost of a trigger each."""
    async with world.source.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute("DELETE FROM users")
        await tx.execute(FILL, rows, timeout=600)
    await world.source.execute("SELECT setval('headwater.version_seq', $1::bigint)", rows + 1)
    await world.source.execute("ANALYZE users")


async def bulk(world: World, rows: int) -> dict[str, Any]:
    """One bulk sync of so many users."""
    await fill(world, rows)
    async with world.wired() as wiring:
        begun, cpu = time.perf_counter(), time.process_time()
        job = await run_bulk(wiring, Output(quiet=True))
        took, used = time.perf_counter() - begun, time.process_time() - cpu
    there = await world.chat.fetchval("SELECT count(*) FROM users")
    figure = {"rows": rows, "state": job.state, "in_chat": there, "seconds": took, "cpu_seconds": used}
    return {**figure, "rows_per_second": rows / took, "peak_mib": usage.peak(os.getpid())}


async def by_hand(world: World, page: int = 1000) -> dict[str, Any]:
    """A loop that copies all users into an empty chat; then the same that only reads them."""
    await world.chat.execute("DELETE FROM users")
    figure: dict[str, Any] = {}
    for name in ("copied", "read"):
        begun, count, last = time.perf_counter(), 0, "00000000-0000-0000-0000-000000000000"
        while rows := await world.source.fetch(PAGE, REALM, "chat", last, page):
            events = [account(row) for row in rows]
            if name == "copied":
                async with world.chat.transaction() as tx:
                    if await write(tx, events):
                        raise AssertionError("a user was refused")
            count, last = count + len(rows), rows[-1]["key"]
        figure[f"{name}_per_second"] = count / (time.perf_counter() - begun)
    return figure


async def sweep(world: World, rows: int) -> dict[str, Any]:
    """One sweep of so many users that one statement changed."""
    sweeper = Sweeper(world.source.url, Producer(codec, source="users"), realm=REALM)
    await sweeper.sweep()
    await world.source.execute("UPDATE users SET bio = 'changed'")
    cpu = time.process_time()
    swept = await sweeper.sweep()
    used = time.process_time() - cpu
    await sweeper.close()
    return {
        "rows": swept.said,
        "asked": rows,
        "seconds": swept.seconds,
        "cpu_seconds": used,
        "pages": swept.pages,
    }


async def latency(world: World, changes: int) -> dict[str, Any]:
    """Single changes, each after the one before it was seen."""
    await world.chat.execute(SEEN)
    await world.source.execute("UPDATE user_sync.sweep SET bulk_at = now()")
    ear, heard = await connect(world.chat.url), asyncio.Event()
    await ear.add_listener("seen", lambda *_: heard.set())
    keys = [row["id"] for row in await world.source.fetch("SELECT id FROM users LIMIT $1", changes)]
    took: list[float] = []
    async with world.running() as run:
        await until(lambda: run.process.bell.listening and run.process.turns.passes)
        for number, key in enumerate(keys):
            heard.clear()
            begun = time.perf_counter()
            await world.source.execute("UPDATE users SET first_name = $2 WHERE id = $1", key, f"n{number}")
            await asyncio.wait_for(heard.wait(), 30)
            took.append((time.perf_counter() - begun) * 1000)
    await ear.close()
    took.sort()
    return {"changes": len(took), "p50_ms": took[len(took) // 2], "p99_ms": took[int(len(took) * 0.99)]}


async def main(users: int, large: int, changes: int) -> dict[str, Any]:
    """Every leg, on databases of its own each."""
    found: dict[str, Any] = {}
    async with running_servers() as servers, servers.fresh_database() as template:
        await accounts_ready(template)
        name = template.rpartition("/")[2]
        async with opened(servers, name) as world:
            found["bulk"] = await bulk(world, users)
            found["sweep"] = await sweep(world, users)
            found["limit"] = limit = await by_hand(world)
            found["bulk"]["of_limit"] = found["bulk"]["rows_per_second"] / limit["copied_per_second"]
            found["sweep"]["of_limit"] = users / found["sweep"]["seconds"] / limit["read_per_second"]
        async with opened(servers, name) as world:
            await fill(world, changes)
            found["latency"] = await latency(world, changes)
        if large:
            async with opened(servers, name) as world:
                found["bulk_large"] = await bulk(world, large)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option, default in (("users", 10_000), ("large", 1_000_000), ("changes", 500)):
        parser.add_argument(f"--{option}", type=int, default=default)
    print(json.dumps(asyncio.run(main(**vars(parser.parse_args()))), indent=2))
