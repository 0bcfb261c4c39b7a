"""Stop in the middle of a statement, with a row of the inbox held: `python frozen_child.py URL EVENT`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from headwater.database import connect


async def freeze(url: str, event_id: str) -> None:
    """The statement is parsed by the server, and never bound."""
    connection = await connect(url)
    await connection.execute(
        "SET idle_in_transaction_session_timeout = '200ms'; SET statement_timeout = '200ms'"
    )
    await connection.execute("BEGIN")
    await connection.execute("INSERT INTO headwater.inbox VALUES ('shelf', $1)", event_id)
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGSTOP)
    await connection.prepare("SELECT count(*) FROM headwater.inbox")


asyncio.run(freeze(*sys.argv[1:]))
