"""What one side edits, said on the stream `customers`, by whichever process leads; and how it is read.

The side's own table is the outbox: a copy is unsaid until the stream has had it as it is, whoever edited it
and however. So an edit waits for nobody, a crash says a copy twice under one id, and many edits of one record
in a row are said as the one state they end in. E-mail travels sealed under the transport key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from consumers.customer_records.meeting import SIDES, Copy, Edit, Field, Side, Vector
from consumers.customer_records.store import Broken, Incoming, Record, Store
from consumers.customer_records.vault import TRANSPORT, Vault
from headwater import telemetry
from headwater.database import connect
from headwater.errors import EventError, ServerUnavailable
from headwater.patience import backoff, either, pause
from headwater.publish import DirectProducer
from headwater.publish.said import REALM, Said
from schemas.customers import CustomerChange, CustomerChanged, CustomerDeleted

log = telemetry.logger(__name__)
PAGE = 500
"""Copies that are said together."""
NAME = 256
"""Signs of a name, as far as the columns of both services go."""
_LEADER = 0x637573746F  # "custo": the advisory lock that says who speaks for a side


class Teller:
    """Says one side's copies, until stopped. Any number of processes may; one leads."""

    def __init__(self, store: Store, url: str, producer: DirectProducer, vault: Vault) -> None:
        self._store, self._url = store, url
        self._producer, self._vault = producer, vault
        self._stopping = asyncio.Event()
        self.rung = asyncio.Event()
        """Look now."""
        self.said = 0
        """Copies so far."""

    def stop(self) -> None:
        """End after the page in hand. Idempotent."""
        self._stopping.set()

    async def run(self, *, poll: float = 1.0) -> None:
        """Look when it rings, and every `poll` seconds; an outage only delays."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._session(poll)
                failures = 0
            except (ServerUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                failures += 1
                log.warning("customers.waiting", side=self._store.side, error=telemetry.safe_text(error))
                await pause(self._stopping, backoff(failures))

    async def _session(self, poll: float) -> None:
        lock = await connect(self._url, command_timeout=5.0)
        try:
            while not self._stopping.is_set():
                if await lock.fetchval("SELECT pg_try_advisory_lock($1)", _LEADER):
                    await self._lead(lock, poll)
                await pause(self._stopping, poll)
        finally:
            lock.terminate()

    async def _lead(self, lock: asyncpg.Connection[asyncpg.Record], poll: float) -> None:
        while not self._stopping.is_set():
            self.rung.clear()
            await self.say_all()
            await either(self.rung, self._stopping, poll)
            await lock.fetchval("SELECT 1")  # while it answers nobody else leads

    async def say_all(self) -> int:
        """Everything that is unsaid now; how many. Raises ServerUnavailable: the rest stays unsaid."""
        after, count = "", 0
        while page := await self._store.unsaid(PAGE, after):
            count += await self._say([one for one in page if isinstance(one, Record)])
            for one in page:
                if isinstance(one, Broken):
                    log.warning("customers.not_said", record=one.id, reason=one.reason)
            after = page[-1].id
        return count

    async def _say(self, records: Sequence[Record]) -> int:
        side, done, lost = self._store.side, [], ""
        published = await self._producer.publish_many(_said(one, side, self._vault) for one in records)
        for record, one in zip(records, published, strict=True):
            if one.outcome == "ok":
                done.append((record.id, record.copy.vector))
            else:
                lost = one.error
        await self._store.mark_said(done)
        self.said += len(done)
        if lost:
            raise ServerUnavailable(f"not all of them were said ({lost})")
        return len(done)


def _said(record: Record, side: Side, vault: Vault) -> Said:
    vector = record.copy.vector
    fact = f"{record.id}:{side}:{vector.auth}.{vector.customer}"
    return Said(event_of(record, side, vault), REALM, operation_id=fact)


def event_of(record: Record, side: Side, vault: Vault) -> CustomerChange:
    """A copy as one side says it."""
    copy, email = record.copy, record.copy.email.value
    about: dict[str, Any] = {
        "customer_id": record.id,
        "side": side,
        "auth_edits": copy.vector.auth,
        "customer_edits": copy.vector.customer,
        "email_sealed": vault.seal(TRANSPORT, record.id, email) if email else None,
        "name_side": copy.name.edit.side,
        "name_number": copy.name.edit.number,
        "email_side": copy.email.edit.side,
        "email_number": copy.email.edit.number,
        "gone_auth": copy.gone.auth,
        "gone_customer": copy.gone.customer,
        "name": copy.name.value,
    }
    if not copy.alive:
        return CustomerDeleted(**about, deleted_at=record.updated_at)
    return CustomerChanged(**about, created_at=record.created_at, updated_at=record.updated_at)


def incoming_of(event: CustomerChanged | CustomerDeleted, vault: Vault) -> Incoming:
    """The copy that an event states. Raises Sealed: its e-mail does not open; EventError: it states none."""
    email = vault.open(TRANSPORT, event.customer_id, event.email_sealed) if event.email_sealed else ""
    vector, gone = (
        Vector(event.auth_edits, event.customer_edits),
        Vector(event.gone_auth, event.gone_customer),
    )
    fields = (
        Field(event.name, Edit(_side(event.name_side), event.name_number)),
        Field(email, Edit(_side(event.email_side), event.email_number)),
    )
    copy = Copy(vector, *fields, gone)
    if not copy.sound:
        raise EventError("malformed", "edits that the copy has not in it")
    if len(event.name) > NAME:
        raise EventError("malformed", f"a name of more than {NAME} signs")
    times = (event.created_at, event.updated_at) if isinstance(event, CustomerChanged) else (None, None)
    return Incoming(event.customer_id, copy, event.name, email, vector.version, *times)


def _side(text: str | None) -> Side:
    for side in SIDES:
        if side == text:
            return side
    raise EventError("malformed", f"no side of the customer sync ({text!r})")


async def nobody(_: object) -> Mapping[str, set[str]]:
    """Which applications a tenant has: the stream of customers belongs to none."""
    return {}
