"""The one place that knows both vocabularies: ours, and those of the systems that exist already.

`read_foreign` reads every dialect they wrote, in each of its generations; `respell` writes theirs
for streams declared so. What they send without a version gets one where that is safe: a state
gets its time in milliseconds, which no sequence version is below; a credit increment gets none
and is applied once, by its id.
"""

from __future__ import annotations

import hashlib

import msgspec

from headwater.clock import stamp
from headwater.errors import EventError
from headwater.event import Envelope, Event, Fields, event_id
from headwater.event.codec import explained
from schemas.wire.entry import Entry, read_entry
from schemas.wire.facts import read_fact
from schemas.wire.old import is_respelled, respell, unspell
from schemas.wire.spelling import CLOCKED
from schemas.wire.values import free, milliseconds

__all__ = ["CLOCKED", "read_foreign", "respell"]


def read_foreign(fields: Fields) -> Envelope:
    """The envelope of an entry that is not of our dialect.

    Raises EventError, and nothing else, whatever the entry holds. Receipts and events from one
    application to another are `unknown_event`: they are no facts of ours.
    """
    try:
        return unspell(fields) if is_respelled(fields) else _envelope(read_entry(fields), fields)
    except (RecursionError, msgspec.MsgspecError, ValueError, ArithmeticError) as error:
        raise explained(error, b"".join(fields.values())) from error


def _envelope(entry: Entry, fields: Fields) -> Envelope:
    fingerprint = entry.id or _fingerprint(fields)
    event = read_fact(entry, fingerprint)
    version = _version(event, entry)
    return Envelope(
        id=entry.id
        or event_id(event.type, entry.tenant, event.key, fingerprint if version is None else version),
        event=event,
        tenant=entry.tenant,
        time=stamp(entry.moment) if entry.moment else "",
        source=entry.source,
        version=version,
        op=event.op,
        target=entry.target,
        historical=entry.historical,
        correlation=str(entry.metadata.get("correlationId") or ""),
        metadata=free(entry.metadata),
    )


def _fingerprint(fields: Fields) -> str:
    digest = hashlib.sha256()
    for name in sorted(fields):
        digest.update(b"%d:%s=%d:%s" % (len(name), name, len(fields[name]), fields[name]))
    return digest.hexdigest()


def _version(event: Event, entry: Entry) -> int | None:
    if event.subject.name not in CLOCKED:
        return None
    if entry.moment is None:
        raise EventError("missing_version", f"neither a version nor a time orders this ({event.type!r})")
    return milliseconds(entry.moment)
