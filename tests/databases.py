"""The project's databases, migrated as an installation would have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumers import chat, migrations
from headwater.database import connect
from headwater.database.attach import attach
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.publish import REALM
from headwater.testing import RunningServers
from producers import accounts, attached, wrapper_schema
from producers.accounts.setup import set_up


@asynccontextmanager
async def migrated(servers: RunningServers) -> AsyncIterator[dict[str, str]]:
    """URLs by name: `source` with the wrapper's tables attached, one an application; dropped at the end."""
    async with (
        servers.fresh_database() as source,
        servers.fresh_database() as crm,
        servers.fresh_database() as hr,
        servers.fresh_database() as users,
        servers.fresh_database() as talk,
        servers.fresh_database() as auth,
        servers.fresh_database() as customer,
    ):
        await migrate(source, [SOURCE])
        connection = await connect(source)
        await connection.execute(wrapper_schema)
        await connection.close()
        await attach(source, attached)
        for app, url in (("crm", crm), ("hr", hr)):
            await migrate(url, [APP, (app, migrations[app])])
        await accounts_ready(users)
        await chat_ready(talk)
        for app, url in (("auth", auth), ("customer", customer)):
            await migrate(url, [APP, (app, migrations[app])])
        yield {
            "accounts": users,
            "chat": talk,
            "source": source,
            "crm": crm,
            "hr": hr,
            "auth": auth,
            "customer": customer,
        }


async def accounts_ready(url: str) -> None:
    """Make an empty database a source of users that is set up."""
    connection = await connect(url)
    await connection.execute(accounts.table)
    await connection.close()
    await set_up(url, REALM)


async def chat_ready(url: str) -> None:
    """Make an empty database a chat that is set up."""
    connection = await connect(url)
    await connection.execute(chat.chat_schema)
    await connection.close()
    await migrate(url, [APP, ("chat", chat.migrations)])
