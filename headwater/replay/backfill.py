"""A backfill: one scope of source rows, and how a row is said again.

The same `scope` select serves the pages that are published, the counts, and the digests that are
compared with the application: what is compared is what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from headwater.database import Connection, Row
from headwater.errors import DeclarationError
from headwater.event import Event
from headwater.publish.scope import Holds, Scope
from headwater.replay import reach

PROBED = 1000
"""Rows that show whether `key_column` is the key."""
SPELLED = {
    "uuid": ("uuid", "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    **dict.fromkeys(("int2", "int4", "int8"), ("bigint", "^-?[0-9]{1,18}$")),
    **dict.fromkeys(("text", "varchar"), ("text", "")),
}
"""By a column's type: what its keys are cast to, and which texts can be."""
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
    key_column: str | None = None
    """The scope's column whose text is the key: rows are looked up by it, through its index."""
    holds: Holds | None = None
    """What `scope` says of rows, said of an event: `(event, app) -> bool`, pure. A live state that is not in
    an application's scope takes its key out of there. None: a state belongs to everyone it reaches."""
    unversioned: tuple[str, ...] = ()
    """Attributes of its events that may change without a new version: contents are compared without them."""
    detail: Detail = lambda row: {"key": row["key"]}
    """What a report says about one row; its first member names the row."""

    def event(self, row: Any) -> Event:
        """What says a row. Raises what `say` raises, and ValueError for a time that Python can not hold."""
        reach.check(row)
        return self.say(row)

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
        """The order columns of the row with the last key in scope. Parameters: tenant, app."""
        backwards = ", ".join(f"scope.{name} DESC" for name in self.order)
        return f"SELECT {self._columns} FROM (\n{self.scope}\n) AS scope ORDER BY {backwards} LIMIT 1"

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

    def named(self, types: Mapping[str, str]) -> str:
        """Rows in scope by key. Parameters: tenant, app, keys."""
        query = f"{self._from} WHERE scope.key = ANY ($3::text[])"
        spelled = SPELLED.get(types.get(self.key_column or "", ""))
        if spelled is None:
            return query
        kind, pattern = spelled
        # Whoever asks may hold keys that are no value of this type: the source has no row of such a key.
        keys = f"SELECT one::{kind} FROM unnest($3::text[]) AS one WHERE one ~ '{pattern}'"
        return f"{query} AND scope.{self.key_column} = ANY (ARRAY({keys}))"

    async def lookup(self, connection: Connection, tenant: str, app: str) -> str:
        """SQL for rows in scope by key. Parameters: tenant, app, keys.

        Raises DeclarationError where rows show that `key_column` is not the key: by another column, a row
        that is there would be taken for gone.
        """
        if self.key_column is not None:
            key = await connection.fetchval(self._unlike, tenant, app)
            if key is not None:
                raise DeclarationError(
                    f"the key {key!r} of {self.subject} is not its {self.key_column}",
                    hint="correct key_column of its backfill, or leave it out",
                )
        return self.named(await self.types(connection))

    @property
    def _unlike(self) -> str:
        some = f"SELECT scope.key, scope.{self.key_column}::text AS own FROM (\n{self.scope}\n) AS scope"
        return f"SELECT key FROM ({some} LIMIT {PROBED}) AS probe WHERE key <> own LIMIT 1"

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


def scopes(backfills: Iterable[Backfill]) -> dict[str, Scope]:
    """What live events are asked, by subject: the scopes of those backfills that say it of events, too."""
    return {one.subject: Scope(one.holds, one.gone) for one in backfills if one.holds is not None}


def chosen(backfills: Sequence[Backfill], subjects: set[str], options: Mapping[str, bool]) -> list[Backfill]:
    """The backfills of an application's subjects that the options leave switched on, in order."""
    return [one for one in backfills if one.subject in subjects and options.get(one.option, True)]
