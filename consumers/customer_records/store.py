"""One side's records in Postgres: what a sync reads of them, and what becomes of another side's copy.

The row is locked first, then how it came to be; a copy is taken, joined or dropped in one transaction, with
the conflict it may be. Writes of the sync are no edits: they count nothing and leave no row unsynced.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import msgspec

from consumers.customer_records.meeting import (
    Copy,
    Edit,
    Field,
    Meeting,
    Side,
    Vector,
    Verdict,
    decided,
    edited,
    first,
    meet,
)
from consumers.customer_records.vault import Sealed, Vault
from headwater import telemetry
from headwater.database import Database, Row, Tx, load

log = telemetry.logger(__name__)
TABLES: dict[Side, str] = {"auth": "client_auth", "customer": "customers"}
QUIET = "SELECT set_config('headwater.customer_sync', 'on', true)"
"""Makes the writes of a transaction no edits of somebody."""


class _Raced(Exception):
    pass


class Record(NamedTuple):
    """A record as one side has it. What was deleted stands there with what it had last."""

    id: str
    copy: Copy
    created_at: datetime | None
    updated_at: datetime | None
    last_sync_at: datetime | None


class Broken(NamedTuple):
    """A record whose e-mail does not open."""

    id: str
    reason: str


class Incoming(NamedTuple):
    """Another side's copy."""

    id: str
    copy: Copy | None
    """None: from a service that counts no edits, but has a `version`."""
    name: str
    email: str
    version: int
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Taken(NamedTuple):
    """What became of a copy."""

    verdict: str
    """applied, dropped, conflict, quarantined or refused."""
    reason: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One side's records, as they stand."""

    records: int
    unsynced: int
    """The other side has not been told of their last change."""
    conflicts: int
    """Open ones."""
    quarantined: int
    """Whose e-mail does not open."""
    age: float | None
    """Seconds since anything was synced; None when nothing ever was."""


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A conflict that nobody has resolved; of the values only the names."""

    id: str
    clashes: list[str]
    mine: str
    theirs: str
    found_at: datetime


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of a conflict; its e-mail is not told."""

    name: str
    edits: Vector
    """Of both sides."""
    deleted: bool


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Both copies of an open conflict, as they were when it was last found."""

    id: str
    clashes: list[str]
    mine: Seen
    theirs: Seen
    same_email: bool
    found_at: datetime


class Store:
    """The records of one side."""

    def __init__(self, database: Database, side: Side, vault: Vault, prefer: Side | None = "auth") -> None:
        """`prefer`: whose value counts where both edited one field; None leaves that to people."""
        self.side: Side = side
        self._prefer: Side | None = prefer
        self._table = TABLES[side]
        self._database, self._vault = database, vault

    async def page(self, limit: int, after: str, *, unsynced: bool) -> list[Record | Broken]:
        """In order of their ids, tombstones among them; those that do not open are set aside, too."""
        rows = await self._database.fetch(load(__file__, "page"), after, limit, unsynced)
        found = [self._opened(row) for row in rows]
        broken = [one for one in found if isinstance(one, Broken)]
        well = [one.id for one in found if isinstance(one, Record)]
        columns = [one.id for one in broken], [one.reason for one in broken], well
        await self._database.execute(load(__file__, "set_aside"), *columns)
        return found

    async def receive(self, incoming: Incoming) -> Taken:
        """Take, join or drop another side's copy. Raises DatabaseUnavailable."""
        async with self._database.transaction() as tx:
            await tx.execute(QUIET)
            return await self.receive_in(tx, incoming)

    async def receive_in(self, tx: Tx, incoming: Incoming) -> Taken:
        """The same in a transaction of the caller's that is QUIET."""
        while True:
            try:
                async with tx.transaction():
                    return await self._receive(tx, incoming)
            except (_Raced, asyncpg.DeadlockDetectedError):
                continue  # whoever was faster has committed: this time his copy is seen
            except asyncpg.UniqueViolationError as error:
                if "email_index" not in str(error.constraint_name):
                    raise
                return Taken("refused", "another record has the same address")

    async def unsaid(self, limit: int, after: str) -> list[Record | Broken]:
        """Those that the stream has not had as they are, in order of their ids; deleted ones among them.

        Those that do not open are set aside, and not given again.
        """
        rows = await self._database.fetch(load(__file__, "unsaid"), after, limit)
        found = [self._opened(row) for row in rows]
        broken = [one for one in found if isinstance(one, Broken)]
        if broken:
            columns = [one.id for one in broken], [one.reason for one in broken], list[str]()
            await self._database.execute(load(__file__, "set_aside"), *columns)
        return found

    async def mark_said(self, records: Sequence[tuple[str, Vector]]) -> None:
        """The stream has had these copies; records edited since are still to be said."""
        if records:
            columns = [(record, *vector) for record, vector in sorted(records)]
            await self._database.execute(load(__file__, "said"), *zip(*columns, strict=True))

    async def _receive(self, tx: Tx, incoming: Incoming) -> Taken:
        row = await _locked(tx, incoming.id)
        mine = None if row is None else self._opened(row)
        if isinstance(mine, Broken):
            await tx.execute(load(__file__, "set_aside"), [mine.id], [mine.reason], [])
            return Taken("quarantined", mine.reason)
        theirs = incoming.copy or self._of_old(incoming, mine)
        met = meet(mine.copy, theirs, self._prefer) if mine else Meeting(Verdict.NEWER, theirs)
        if mine is None or met.copy != mine.copy:
            await self._write(tx, incoming, met.copy, new=mine is None)
        if incoming.copy is None or met.copy.vector == theirs.vector:
            await self._mark(tx, [(incoming.id, met.copy.vector)])
        return await self._told(tx, incoming.id, met, (mine.copy if mine else theirs, theirs))

    def _of_old(self, incoming: Incoming, mine: Record | None) -> Copy:
        other: Side = "customer" if self.side == "auth" else "auth"
        version = max(1, incoming.version)
        if mine is None:
            made = first(other, incoming.name, incoming.email)
            vector = Vector()._replace(**{other: version})
            return made._replace(vector=vector)
        ahead = incoming.version - mine.copy.vector.version
        if ahead <= 0:
            return mine.copy
        counted = mine.copy.vector._replace(**{other: getattr(mine.copy.vector, other) + ahead - 1})
        return edited(mine.copy._replace(vector=counted), other, name=incoming.name, email=incoming.email)

    async def _told(self, tx: Tx, record: str, met: Meeting, both: tuple[Copy, Copy]) -> Taken:
        if met.verdict is not Verdict.CONCURRENT:
            if met.verdict is Verdict.NEWER:
                await tx.execute(load(__file__, "settle"), record, "a later copy came")
            return Taken("applied" if met.verdict is Verdict.NEWER else "dropped")
        left = bool(met.clashes) and self._prefer is None
        how = None if left else f"{self._prefer} was preferred" if met.clashes else "joined field by field"
        shown = [json.dumps(self._sealed(record, one)) for one in both]
        if not left:
            await tx.execute(load(__file__, "settle"), record, how)
        await tx.execute(load(__file__, "conflict"), record, list(met.clashes), *shown, how)
        return Taken(
            "conflict", f"{', '.join(met.clashes) or 'no field'} clashed: {how or 'left to somebody'}"
        )

    def _sealed(self, record: str, copy: Copy) -> dict[str, Any]:
        email = self._vault.seal(self._table, record, copy.email.value) if copy.email.value else ""
        return {
            "name": [copy.name.value, *copy.name.edit],
            "email": [email, *copy.email.edit],
            "vector": list(copy.vector),
            "gone": list(copy.gone),
        }

    async def _write(self, tx: Tx, incoming: Incoming, copy: Copy, *, new: bool) -> None:
        email, versioned = copy.email.value, await tx.fetchval("SELECT versioned FROM customer_sync.form")
        seal = self._vault.seal_as_of_old if not versioned else None
        text = "" if not email else seal(email) if seal else self._vault.seal(self._table, incoming.id, email)
        buried = (None, None) if copy.alive else (copy.name.value, text)
        head = (*copy.vector, *copy.name.edit, *copy.email.edit, *copy.gone)
        if await tx.execute(load(__file__, "keep_copy"), incoming.id, *head, *buried, new) == "INSERT 0 0":
            raise _Raced
        if not copy.alive:
            await tx.execute(load(__file__, "remove"), incoming.id)
            return
        index = self._vault.index(email)
        values = (incoming.id, copy.name.value, text, index, copy.vector.version)
        if not new and (had := await tx.fetchval(load(__file__, "displace"), index, incoming.id)):
            # Two that swapped addresses would each wait for the other for ever.
            log.warning("customers.address_moved", record=incoming.id, from_record=had)
        joined = incoming.copy is not None and incoming.copy.vector != copy.vector  # nobody else has it yet
        when = None if joined else incoming.updated_at
        await tx.execute(load(__file__, "write"), *values, incoming.created_at, when)

    async def mark_synced(self, records: Sequence[tuple[str, Vector]]) -> None:
        """The other side has these copies; records edited since stay unsynced."""
        async with self._database.transaction() as tx:
            await tx.execute(QUIET)
            await self._mark(tx, records)

    async def _mark(self, tx: Tx, records: Sequence[tuple[str, Vector]]) -> None:
        if records:
            columns = [(record, *vector) for record, vector in sorted(records)]
            await tx.execute(load(__file__, "synced"), *zip(*columns, strict=True))

    async def edit(self, record: str, *, name: str, email: str) -> None:
        """Somebody edits a record here, or makes it.

        Raises asyncpg.UniqueViolationError: another record has the address.
        """
        async with self._database.transaction() as tx:
            versioned = await tx.fetchval("SELECT versioned FROM customer_sync.form")
            await tx.fetch(load(__file__, "lock"), record)
            row = await tx.fetchrow(load(__file__, "held"), record)
            held = None if row is None else self._opened(row)
            if isinstance(held, Record) and held.copy.alive and held.copy.email.value == email:
                await tx.execute("UPDATE customer_sync.record SET name = $2 WHERE id = $1", record, name)
                return
            text = self._vault.seal(self._table, record, email) if email else ""
            if email and not versioned:
                text = self._vault.seal_as_of_old(email)
            values = (record, name, text, self._vault.index(email))
            await tx.execute(load(__file__, "edit"), *values)

    async def delete(self, record: str) -> None:
        """Somebody deletes a record here; its tombstone stays, and travels."""
        await self._database.execute(load(__file__, "remove"), record)

    async def conflicts(self) -> list[Open]:
        """Those that wait for somebody, the oldest first."""
        rows = await self._database.fetch(load(__file__, "open_conflicts"), None)
        return [
            Open(
                id=row["id"],
                clashes=row["clashes"],
                mine=json.loads(row["mine"])["name"][0],
                theirs=json.loads(row["theirs"])["name"][0],
                found_at=row["found_at"],
            )
            for row in rows
        ]

    async def conflict(self, record: str) -> Compared | None:
        """Both copies of one; None where it has no open one. Raises Sealed: one of the two does not open."""
        row = await self._database.fetchrow(load(__file__, "open_conflicts"), record)
        if row is None:
            return None
        mine, theirs = (self._unsealed(record, json.loads(row[name])) for name in ("mine", "theirs"))
        return Compared(
            id=record,
            clashes=row["clashes"],
            mine=_seen(mine),
            theirs=_seen(theirs),
            same_email=mine.email.value == theirs.email.value,
            found_at=row["found_at"],
        )

    async def resolve(
        self, record: str, prefer: Side, *, name: str | None = None, dry_run: bool = False
    ) -> bool:
        """Join what stands here with the other copy, clashing fields as one side has them.

        A decision is an edit of this side; so is `name`, what it is to be called. False: no open conflict.
        The joined copy has both sides' edits in it, so the other side takes it as it is. Raises Sealed: one
        of the two does not open.
        """
        while True:
            try:
                async with self._database.transaction() as tx:
                    await tx.execute(QUIET)
                    resolved = await self._resolve(tx, record, prefer, name)
                    return resolved is not None and (dry_run or await self._keep(tx, resolved, prefer))
            except _Raced:
                continue

    async def _resolve(
        self, tx: Tx, record: str, prefer: Side, name: str | None
    ) -> tuple[Incoming, Copy] | None:
        row = await _locked(tx, record)
        conflict = await tx.fetchrow(load(__file__, "open_conflicts"), record)
        if row is None or conflict is None:
            return None
        mine, theirs = self._opened(row), self._unsealed(record, json.loads(conflict["theirs"]))
        if isinstance(mine, Broken):
            raise Sealed(mine.reason)
        met = meet(mine.copy, theirs, prefer)
        joined = decided(met.copy, self.side, met.clashes)
        if name is not None:
            joined = edited(joined, self.side, name=name)
        return Incoming(record, theirs, theirs.name.value, theirs.email.value, theirs.vector.version), joined

    async def _keep(self, tx: Tx, resolved: tuple[Incoming, Copy], prefer: Side) -> bool:
        await self._write(tx, *resolved, new=False)
        await tx.execute(load(__file__, "settle"), resolved[0].id, f"somebody preferred {prefer}")
        return True

    def _unsealed(self, record: str, data: dict[str, Any]) -> Copy:
        (name, *name_edit), (sealed, *email_edit) = data["name"], data["email"]
        email = self._vault.open(self._table, record, sealed)
        fields = Field(name, Edit(*name_edit)), Field(email, Edit(*email_edit))
        return Copy(Vector(*data["vector"]), *fields, gone=Vector(*data["gone"]))

    async def standing(self) -> Standing:
        """How this side stands."""
        row = await self._database.fetchrow(load(__file__, "standing"))
        return msgspec.convert(dict(row or {}), Standing)

    def _opened(self, row: Row) -> Record | Broken:
        try:
            email = self._vault.open(self._table, row["id"], row["email_encrypted"])
        except Sealed as error:
            return Broken(row["id"], str(error))
        copy = Copy(
            Vector(row["auth_edits"], row["customer_edits"]),
            Field(row["name"], Edit(row["name_side"], row["name_number"])),
            Field(email, Edit(row["email_side"], row["email_number"])),
            Vector(row["gone_auth"], row["gone_customer"]),
        )
        return Record(row["id"], copy, row["created_at"], row["updated_at"], row["last_sync_at"])


def _seen(copy: Copy) -> Seen:
    return Seen(name=copy.name.value, edits=copy.vector, deleted=not copy.alive)


async def _locked(tx: Tx, record: str) -> Row | None:
    """Row, then copy, then both as they are now. Raises _Raced: the row was made in between."""
    stood = await tx.fetch(load(__file__, "lock"), record)
    await tx.fetch(load(__file__, "lock_copy"), record)
    row = await tx.fetchrow(load(__file__, "held"), record)
    if row is not None and row["stands"] and not stood:
        raise _Raced
    return row
