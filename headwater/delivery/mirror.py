"""One statement a batch: gate, upsert what passed it. What is gone goes by a second one.

Compiled once from the declaration and the table's own column types, so that a wrong column is
known when the worker starts and not when the first event comes.

Always holds: a row is removed by a statement that began after its ledger row was locked. A removal
within the gate's own statement would not see a row that another worker committed while the gate
waited for it, and would leave that row standing beside its tombstone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from headwater.database import Connection, load
from headwater.delivery.columns import (
    AS_TEXT,
    Packer,
    booleans,
    integers,
    packer,
    parameter,
    taken_apart,
    text,
)
from headwater.delivery.consumer import Upsert
from headwater.errors import DeclarationError
from headwater.event import Envelope

_MANY_SPELLINGS = {"::uuid", "::bigint", "::integer", "::smallint"}
_GATED = ("version::bigint AS version", "gone::bool AS gone")


class Mirror(msgspec.Struct, frozen=True):
    """An upsert, ready to run."""

    upsert: Upsert
    statement: str
    """Takes each column as one text."""
    typed: str
    """The same with arrays, for batches that a text can not carry."""
    removal: str
    read: Callable[[Any], Sequence[Any]]
    convert: tuple[Callable[[Any], Any] | None, ...]
    packers: tuple[Packer, ...]

    async def apply(
        self, connection: Connection, app: str, generation: int, batch: Sequence[Envelope]
    ) -> int:
        """Apply states, each key once, sorted by key; how many were newer than what was there."""
        arguments = self.arguments(app, generation, batch)
        packed = self.packed(arguments)
        if packed is None:
            (done,) = await connection.fetch(self.typed, *arguments)
        else:
            (done,) = await connection.fetch(self.statement, *packed)
        if done["tenants"]:
            await connection.execute(self.removal, done["tenants"], done["keys"])
        return done["newer"]  # type: ignore[no-any-return]

    def arguments(self, app: str, generation: int, batch: Sequence[Envelope]) -> list[Any]:
        """What the typed statement takes for a batch."""
        empty = (None,) * len(self.convert)
        rows = [empty if one.op == "d" else self.read(one.event) for one in batch]
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if self.convert else []
        for place, convert in enumerate(self.convert):
            if convert is not None:
                columns[place] = [None if value is None else convert(value) for value in columns[place]]
        return [
            app,
            self.upsert.subject,
            generation,
            [one.tenant for one in batch],
            [one.key for one in batch],
            [one.version for one in batch],
            [one.op == "d" for one in batch],
            *columns,
        ]

    def packed(self, arguments: Sequence[Any]) -> list[Any] | None:
        """The same for the statement; None when it can not take them."""
        head, columns = arguments[:3], arguments[3:]
        texts = [pack(column) for pack, column in zip(self.packers, columns, strict=True)]
        return None if any(one is None for one in texts) else [*head, *texts]


async def compile_mirror(connection: Connection, upsert: Upsert) -> Mirror:
    """The mirror of a declaration. Raises DeclarationError for a table or column that does not exist."""
    types = {
        row["name"]: row["type"] for row in await connection.fetch(load(__file__, "columns"), upsert.table)
    }
    if not types:
        raise DeclarationError(f"table {upsert.table!r} does not exist", hint="run: headwater db migrate")
    wanted = ("tenant_id", upsert.key, *upsert.columns, *([upsert.retire] if upsert.retire else []))
    missing = [name for name in wanted if name not in types]
    if missing:
        raise DeclarationError(f"table {upsert.table!r} has no columns {missing}")
    arrays = [name for name in upsert.columns if types[name].endswith("[]")]
    if arrays:
        raise DeclarationError(f"columns {arrays} of {upsert.table!r} are arrays", hint="use jsonb")
    converters = tuple(_converter(types[name]) for name in upsert.columns)
    packers = [packer(types[name]) for name in upsert.columns]
    return Mirror(
        *(upsert, statement(upsert, types), statement(upsert, types, typed=True), removal(upsert, types)),
        *(_reader(upsert.columns), converters, (text, text, integers, booleans, *packers)),
    )


def _reader(columns: tuple[str, ...]) -> Callable[[Any], Sequence[Any]]:
    if len(columns) == 1:
        single = attrgetter(columns[0])
        return lambda event: (single(event),)
    return attrgetter(*columns) if columns else lambda _: ()


def _converter(column_type: str) -> Callable[[Any], Any] | None:
    if column_type == "numeric":
        return str
    return (lambda value: msgspec.json.encode(value).decode()) if column_type in {"json", "jsonb"} else None


def statement(upsert: Upsert, types: dict[str, str], *, typed: bool = False) -> str:
    """The SQL of one batch; `typed`: taking arrays.

    $1 app, $2 subject, $3 generation, $4 tenants, $5 keys, $6 versions, $7 gone, $8… columns
    -> how many were newer; tenants and keys of those of them that are gone, null when none is
    """
    names = [f"c{place}" for place in range(len(upsert.columns))]
    columns = (_arrays if typed else _texts)([types[name] for name in upsert.columns])
    tenant, key = f"::{types['tenant_id']}", f"::{types[upsert.key]}"
    values = "".join(
        f", ev.{alias}::{types[name]}" for alias, name in zip(names, upsert.columns, strict=True)
    )
    changes = (
        ", ".join(f"{name} = excluded.{name}" for name in upsert.columns)
        or f"{upsert.key} = excluded.{upsert.key}"
    )
    return f"""
WITH ev AS (
    SELECT {", ".join([_canonical("tenant", tenant), _canonical("key", key), *_GATED, *names])}
      FROM unnest({columns})
           AS e ({", ".join(["tenant", "key", "version", "gone", *names])})
), gate AS (
    INSERT INTO headwater.ledger AS l (app, tenant, subject, key, generation, version, deleted)
    SELECT $1, tenant, $2, key, $3, version, gone FROM ev ORDER BY tenant, key
    ON CONFLICT (app, tenant, subject, key) DO UPDATE
       SET generation = excluded.generation, version = excluded.version, deleted = excluded.deleted,
           applied_at = clock_timestamp()
     WHERE (l.generation, l.version) < (excluded.generation, excluded.version)
    RETURNING tenant, key, deleted
), kept AS (
    INSERT INTO {upsert.table} ({", ".join(["tenant_id", upsert.key, *upsert.columns])})
    SELECT gate.tenant{tenant}, gate.key{key}{values}
      FROM gate JOIN ev USING (tenant, key) WHERE NOT gate.deleted
    ON CONFLICT (tenant_id, {upsert.key}) DO UPDATE SET {changes}
)
SELECT count(*) AS newer, array_agg(tenant) FILTER (WHERE deleted) AS tenants,
       array_agg(key) FILTER (WHERE deleted) AS keys
  FROM gate
"""


def _arrays(types: list[str]) -> str:
    columns = ["text", "text", "bigint", "bool", *("text" if one in AS_TEXT else one for one in types)]
    return ", ".join(f"${place}::{one}[]" for place, one in enumerate(columns, 4))


def _texts(types: list[str]) -> str:
    columns = [*map(taken_apart, range(4, 8)), *(parameter(place, one) for place, one in enumerate(types, 8))]
    return ", ".join(columns)


def _canonical(name: str, cast: str) -> str:
    # A UUID or a number has many spellings and one row: the ledger must not have a line for each of them.
    return f"{name}{cast}::text AS {name}" if cast in _MANY_SPELLINGS else name


def removal(upsert: Upsert, types: dict[str, str]) -> str:
    """The SQL that removes, or retires, what is gone. $1 tenants, $2 keys -> nothing"""
    gone = "unnest($1::text[], $2::text[]) AS gone (tenant, key)"
    match = (
        f"t.tenant_id = gone.tenant::{types['tenant_id']} AND t.{upsert.key} = gone.key::{types[upsert.key]}"
    )
    if upsert.retire:
        return f"UPDATE {upsert.table} AS t SET {upsert.retire} = false FROM {gone} WHERE {match}"
    return f"DELETE FROM {upsert.table} AS t USING {gone} WHERE {match}"
