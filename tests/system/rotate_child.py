"""Rotate the keys of a table in a process that a test can kill: `python rotate_child.py URL OLD NEW`."""

from __future__ import annotations

import asyncio
import sys

from backfill.customer_sync import keys
from consumers.customer_records.vault import Key, Vault
from headwater.database import Database


async def main(url: str, old: str, new: str) -> None:
    keys.PAGE = 50
    database = await Database.open(url)
    await keys.rotate(database, keys.TABLES["auth"], Vault(Key.of(new), [Key.of(old)]), versioned=True)
    await database.close()


asyncio.run(main(*sys.argv[1:]))
