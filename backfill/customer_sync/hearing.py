"""One side's consumer of the stream `customers`: another side's copy meets ours, by the rule of every way.

What a side said itself it does not take back. A copy whose e-mail does not open is parked with its reason,
and the rest goes on; one that is known already changes nothing, however often it comes.
"""

from __future__ import annotations

from backfill.customer_sync.saying import incoming_of
from consumers.customer_records.meeting import Side
from consumers.customer_records.store import QUIET, Store
from consumers.customer_records.vault import Sealed, Vault
from headwater import telemetry
from headwater.database import Tx
from headwater.delivery import Consumer, Context
from headwater.errors import EventError, Reject
from schemas.customers import CustomerChanged, CustomerDeleted

log = telemetry.logger(__name__)


def declare(side: Side, store: Store, vault: Vault) -> Consumer:
    """The consumer of a side."""
    consumer = Consumer(side)

    @consumer.on(CustomerChanged)
    async def changed(event: CustomerChanged, tx: Tx, context: Context) -> None:
        await _take(store, vault, event, tx)

    @consumer.on(CustomerDeleted)
    async def deleted(event: CustomerDeleted, tx: Tx, context: Context) -> None:
        await _take(store, vault, event, tx)

    return consumer


async def _take(store: Store, vault: Vault, event: CustomerChanged | CustomerDeleted, tx: Tx) -> None:
    if event.side == store.side:
        return
    try:
        incoming = incoming_of(event, vault)
    except (Sealed, EventError) as error:
        raise Reject(str(error)) from None
    await tx.execute(QUIET)
    taken = await store.receive_in(tx, incoming)
    if taken.verdict == "refused":
        raise Reject(taken.reason)
    if taken.verdict in {"conflict", "quarantined"}:
        log.warning("customers.not_taken", record=incoming.id, verdict=taken.verdict, reason=taken.reason)
