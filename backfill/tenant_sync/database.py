"""The wrapper's database as a source: one snapshot, pages by key.

Always holds: all pages of one reading are of one moment, whatever commits meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import msgspec

from backfill.assignments import assignments
from backfill.credits import credits  # noqa: A004
from backfill.organizations import organizations
from backfill.roles import role_assignments, roles
from backfill.tenant_sync.source import Collection, Fact, Page
from backfill.users import users
from headwater.database import Connection, Database, Row, load
from headwater.errors import EventError
from headwater.event import Event
from headwater.replay import Backfill
from producers import rows
from schemas.credits import CONFIGS
from schemas.tenants import TENANTS

CHUNK = 1000
"""Rows of a page."""


class Scope(msgspec.Struct, frozen=True):
    """What of a subject is a tenant's: the same rows, said the same way, as a backfill says."""

    query: str
    """A select for ($1 tenant, $2 app) with key, version and the order columns."""
    order: tuple[str, ...]
    say: Callable[[Any], Event]

    def page(self, types: dict[str, str]) -> str:
        """SQL of a page: tenant, app, limit, whether one came before, and that one's place in the order."""
        columns = ", ".join(f"scope.{name}" for name in self.order)
        parts = ", ".join(f"${place}::text::{types[name]}" for place, name in enumerate(self.order, 5))
        return (
            f"SELECT scope.* FROM (\n{self.query}\n) AS scope\n"
            f" WHERE NOT $4::bool OR ({columns}) > ({parts}) ORDER BY {columns} LIMIT $3"
        )


def _of(backfill: Backfill) -> Scope:
    return Scope(backfill.scope, backfill.order, backfill.event)


SCOPES = {
    **{
        one.subject: _of(one) for one in (organizations, users, roles, role_assignments, assignments, credits)
    },
    TENANTS.name: Scope(load(__file__, "tenants"), ("tenant_id",), rows.tenant),
    CONFIGS.name: Scope(load(__file__, "credit_configs"), ("config_id",), rows.credit_config),
}
"""By subject."""


class DatabaseSource:
    """Reads the wrapper's tables."""

    def __init__(self, database: Database, app: str, *, chunk: int = CHUNK) -> None:
        """`app`: whose rows are meant, where some are for one application only."""
        self._database = database
        self._app = app
        self._chunk = chunk

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str, correlation: str) -> AsyncIterator[Snapshot]:
        """A snapshot, held until the block ends. Raises DatabaseUnavailable."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            # Seen in pg_stat_activity beside what it holds back.
            await connection.execute("SELECT set_config('application_name', $1, true)", correlation[:63])
            yield Snapshot(connection, tenant, self._app, self._chunk)


class Snapshot:
    """One moment of the wrapper's database."""

    steady = True

    def __init__(self, connection: Connection, tenant: str, app: str, chunk: int) -> None:
        self._connection = connection
        self._about = (tenant, app, chunk)

    async def pages(self, collection: Collection) -> AsyncGenerator[Page, None]:
        """All of a collection in the order of its backfill."""
        scope, connection = SCOPES[collection.subject], self._connection
        prepared = await connection.prepare(scope.query)
        types = {one.name: one.type.name for one in prepared.get_attributes()}
        query = scope.page(types)
        place: list[str | None] = [None] * len(scope.order)
        while some := await connection.fetch(query, *self._about, place[0] is not None, *place):
            yield _said(scope, some)
            if len(some) < self._about[2]:
                return
            place = [str(some[-1][name]) for name in scope.order]

    async def count(self, collection: Collection) -> int:
        """Rows of a collection in the snapshot."""
        tenant, app, _ = self._about
        query = f"SELECT count(*) FROM (\n{SCOPES[collection.subject].query}\n) AS scope"
        found: int = await self._connection.fetchval(query, tenant, app)
        return found


def _said(scope: Scope, some: list[Row]) -> Page:
    page = Page([], {})
    for row in some:
        try:
            if row["version"] is None:
                raise ValueError("has no version yet: run headwater db attach")
            page.facts.append(Fact(scope.say(row), row["version"]))
        except (EventError, ValueError, TypeError, KeyError) as error:
            page.refused[row["key"]] = f"{type(error).__name__}: {error}"[:300]
    return page
