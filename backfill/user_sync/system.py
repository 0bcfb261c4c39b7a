"""The user sync as a system of its own: the same project, seen from the database of users.

Its source is that database, its one application the chat, and its realm stands where a tenant would. So
relay, worker, backfill jobs and retention are the engine's own, on other databases.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec

import streams
from backfill.accounts import accounts
from consumers import chat
from headwater import failpoints
from headwater.cli.invocation import Invocation
from headwater.cli.project import Project, find
from headwater.cli.wiring import Wiring
from headwater.config import Settings
from headwater.database import Database
from headwater.errors import SettingsError
from producers.accounts import attached

CHAT = "chat"
EVERYBODY = f"SELECT one AS tenant, '{CHAT}' AS app FROM unnest($1::text[]) AS one"
"""Nobody has to enable the chat."""


class UserSync(Wiring):
    """One process's connections to the source of users, Redis and the chat."""

    @property
    def realm(self) -> str:
        """Stands where a tenant would."""
        return self.settings.realm

    async def chat(self) -> Database:
        """A pool on the chat's database. Raises SettingsError, DatabaseUnavailable."""
        self.app_url(CHAT)
        return (await self.open_sinks([CHAT]))[CHAT]

    async def _database(self, url: str) -> Database:
        sync = self.settings.user_sync
        most = sync.source_pool_size if url == self.source_url else sync.chat_pool_size
        limits = msgspec.structs.replace(
            self.settings.database, pool_max=most, pool_min=min(most, self.settings.database.pool_min)
        )
        database = await Database.open(url, limits=limits)
        self._open.push_async_callback(database.close)
        return database


def settings_of(settings: Settings) -> Settings:
    """The settings as this system reads them. Raises SettingsError: no source of users is named."""
    sync = settings.user_sync
    if sync.source is None:
        raise SettingsError(
            "no source of users is named", hint="set SOURCE_DB_HOST and SOURCE_DB_NAME, as in .env.example"
        )
    delivery = msgspec.structs.replace(
        settings.delivery,
        max_attempts=1 + sync.max_retries,
        backoff_initial=sync.retry_initial_delay,
        backoff_max=sync.retry_max_delay,
        drain_timeout=30.0,
    )
    backfill = msgspec.structs.replace(settings.backfill, chunk=sync.bulk_batch)
    return msgspec.structs.replace(settings, source_url=sync.source, delivery=delivery, backfill=backfill)


def project_of(project: Project, settings: Settings) -> Project:
    """The project as this system sees it."""
    catalogue, prefix = streams.users, project.catalogue.keys.prefix
    aside = [one for one in settings.backfill.side_streams if one in {CHAT, "*"}]
    return msgspec.structs.replace(
        project,
        catalogue=catalogue.with_prefix(prefix).with_side_streams(aside),
        enablement=EVERYBODY,
        attached=(attached,),
        backfills=(accounts,),
        applications={CHAT: chat.declare(settings.user_sync.leavers)},
        migrations={CHAT: chat.migrations},
    )


@contextlib.asynccontextmanager
async def opened(invocation: Invocation) -> AsyncIterator[UserSync]:
    """The system's wiring under the settings in force, closed at the end. Raises what loading raises."""
    settings = settings_of(invocation.settings)
    project = find(invocation.project_dir, prefix=settings.key_prefix)
    failpoints.arm(settings.failpoints)
    wiring = UserSync(project_of(project, settings), settings)
    try:
        yield wiring
    finally:
        await wiring.close()
