"""What doctor asks of the customer sync: the key, and whether the other service has the same one."""

from __future__ import annotations

from collections.abc import AsyncIterator

from backfill.customer_sync.peer import Peer
from backfill.customer_sync.service import terms_of, vault_of
from consumers.customer_records.meeting import SIDES, Side
from headwater import telemetry
from headwater.cli.checks import Finding, fail, ok, warn
from headwater.config import Settings
from headwater.config.seeds import CustomerSyncSettings
from headwater.errors import HeadwaterError, ServerUnavailable


async def checks(settings: Settings) -> AsyncIterator[Finding]:
    """Nothing where no customer sync is set up."""
    sync = settings.customer_sync
    if sync.encryption_key is None and not any(getattr(sync, f"{side}_service_url") for side in SIDES):
        return
    vault = vault_of(sync)
    yield ok("customers key", f"fingerprint {vault.key.id}")
    for side in SIDES:
        if getattr(sync, f"{side}_service_url") is not None:
            yield await _peer(sync, side, vault.key.id)
    for named in sync.anonymous:
        yield warn(
            f"customers {named} anonymous",
            f"whoever can reach the endpoints is taken for the {named} service",
            "give it a key, and take it out of HEADWATER_CUSTOMER_SYNC_ANONYMOUS",
        )


async def _peer(sync: CustomerSyncSettings, side: Side, mine: str) -> Finding:
    check = f"customers {side} service"
    try:
        terms = terms_of(sync, side)
        if terms is None or terms.legacy:
            return warn(check, "declared legacy: e-mail travels in the clear", "replace it when you can")
        async with Peer(terms._replace(attempts=1, timeout=5.0)) as peer:
            theirs = await peer.fingerprint()
    except ServerUnavailable as error:
        return warn(check, telemetry.safe_text(error), "start it, or correct its address")
    except HeadwaterError as error:
        return fail(check, telemetry.safe_text(error), error.hint or "see its log")
    if not theirs:
        fix = f"put {side} into HEADWATER_CUSTOMER_SYNC_LEGACY"
        return fail(check, "it names no key: it is none of ours", fix)
    if theirs != mine:
        fix = "one ENCRYPTION_KEY for both; the one before it goes into HEADWATER_CUSTOMER_SYNC_OLDER_KEYS"
        return fail(check, f"its key has the fingerprint {theirs}, ours {mine}", fix)
    return ok(check, "it has the same key")
