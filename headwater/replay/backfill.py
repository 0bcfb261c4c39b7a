"""A backfill: one scope of source rows, and how a row is said again.

The same `scope` select serves the pages that are published, the counts, and the digests that are
compared with the application: what is compared is what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from headwater.database import Connection, Row
from headwater.event import Event

Detail = Callable[[Any], dict[str, Any]]


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """How one subject's past is said again. `scope`: see `docs/backfill.md`."""

    subject: str
    scope: str
    """A select for ($1 tenant, $2 app) with key, version, created_at, changed_at and the order columns."""
    order: tuple[str, ...]
    """Columns that page it: unique together, indexed behind the tenant."""
    say: Callable[[Any], Event]
    gone: Callable[[str], Event]
    """The event that says a key is gone."""
    option: str
    """Its switch in a request: `syncCredits`."""
    unversioned: tuple[str, ...] = ()
    """Attributes of its events that may change without a new version: contents are compared without them."""
    detail: Detail = lambda row: {"key": row["key"]}
    """What a report says about one row; its first member names the row."""

    def page(self, types: Mapping[str, str], *, after: bool, since: bool, bound: bool = False) -> str:
        """Rows behind a key, up to another, in key order.

        Parameters: tenant, app, limit, [since], [last key, its parts as text], [key before, likewise].
        """
        condition, number = "", 4
        if since:
            condition = " AND (scope.changed_at >= $4 OR scope.created_at >= $4)"
            number += 1
        for given, how in ((bound, "<="), (after, ">")):
            if given:
                condition += f" AND ({self._columns}) {how} ({self._parts(types, number)})"
                number += len(self.order)
        return f"{self._from} WHERE true{condition} ORDER BY {self._columns} LIMIT $3"

    @property
    def bound(self) -> str:
        """The row with the last key in scope. Parameters: tenant, app."""
        backwards = ", ".join(f"scope.{name} DESC" for name in self.order)
        return f"{self._from} ORDER BY {backwards} LIMIT 1"

    def _parts(self, types: Mapping[str, str], first: int) -> str:
        return ", ".join(f"${first + place}::text::{types[name]}" for place, name in enumerate(self.order))

    @property
    def _columns(self) -> str:
        return ", ".join(f"scope.{name}" for name in self.order)

    @property
    def _from(self) -> str:
        return f"SELECT scope.* FROM (\n{self.scope}\n) AS scope"

    @property
    def count(self) -> str:
        """How many rows are in scope, changed since $3 where given. Parameters: tenant, app, since."""
        return (
            f"SELECT count(*) FROM (\n{self.scope}\n) AS scope "
            "WHERE $3::timestamptz IS NULL OR scope.changed_at >= $3 OR scope.created_at >= $3"
        )

    @property
    def named(self) -> str:
        """Rows in scope by key. Parameters: tenant, app, keys."""
        return f"{self._from} WHERE scope.key = ANY ($3::text[])"

    @property
    def versions(self) -> str:
        """(key, version) of everything in scope. Parameters: tenant, app."""
        return f"SELECT scope.key, scope.version FROM (\n{self.scope}\n) AS scope"

    async def types(self, connection: Connection) -> dict[str, str]:
        """Types of the scope's columns, by name."""
        prepared = await connection.prepare(self.scope)
        return {one.name: one.type.name for one in prepared.get_attributes()}

    def position(self, row: Row) -> list[str]:
        """A row's place in the order, as it is kept in a checkpoint."""
        return [str(row[name]) for name in self.order]


def chosen(backfills: Sequence[Backfill], subjects: set[str], options: Mapping[str, bool]) -> list[Backfill]:
    """The backfills of an application's subjects that the options leave switched on, in order."""
    return [one for one in backfills if one.subject in subjects and options.get(one.option, True)]
