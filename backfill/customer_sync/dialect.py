"""How a customer's record is written between two services, and read from either kind of them. Pure.

The existing services write five fields, e-mail in the clear, no version, and `null` for no records at all.
Ours write `edits` beside them, which say how the copy came to be, and the e-mail sealed for the way. What can
not be read is told record by record: one bad record costs the others nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec

from consumers.customer_records.meeting import MOST_EDITS, Copy, Edit, Field, Side, Vector
from consumers.customer_records.vault import TRANSPORT, Sealed, Vault

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_EDITS)]
Version = Annotated[int, msgspec.Meta(ge=0, le=2 * MOST_EDITS)]
Text = Annotated[str, msgspec.Meta(max_length=256)]
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
"""A time outside is unknown: the zero of the existing services is the year 1."""
_QUOTED = re.compile(r"'[^']*'")


class Edits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many edits of each side a copy has in it, and by which its fields came to be."""

    auth: Count
    customer: Count
    name: tuple[Side, Count]
    email: tuple[Side, Count]
    gone: tuple[Count, Count] = (0, 0)
    """Of each side, the edits that somebody deleted."""


class Sent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record as it travels; fields that are not ours are not read."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    name: Text
    email: Annotated[str, msgspec.Meta(max_length=2048)]
    created_at: datetime | None = None
    updated_at: datetime | None = None
    sync_version: Version = 0
    last_sync_at: datetime | None = None
    edits: Edits | None = None


class Unreadable(NamedTuple):
    """A record that is none, and why; never with a value of it but its id."""

    id: str
    reason: str


class Known(NamedTuple):
    """A record that was read: its e-mail opened."""

    id: str
    copy: Copy | None
    """None: from a service that knows no edits."""
    name: str
    email: str
    version: int
    created_at: datetime | None
    updated_at: datetime | None
    last_sync_at: datetime | None

    @property
    def unsynced(self) -> bool:
        """Whether the service that has it has not yet handed it over, as the existing services see it."""
        return self.last_sync_at is None or self.updated_at is None or self.last_sync_at < self.updated_at


def read(data: Any, vault: Vault, *, legacy: bool) -> list[Known | Unreadable]:
    """What a service said: one record, a list of them, or null for none; in the order it was said.

    `legacy`: e-mail is in the clear and edits are not believed; else it is sealed, and edits are required.
    """
    given: Sequence[Any] = [] if data is None else data if isinstance(data, list) else [data]
    return [_one(one, vault, legacy=legacy) for one in given]


def _one(data: Any, vault: Vault, *, legacy: bool) -> Known | Unreadable:
    identity = data.get("id") if isinstance(data, dict) else None
    shown = identity if isinstance(identity, str) and identity.isprintable() and len(identity) <= 256 else ""
    try:
        sent = msgspec.convert(data, Sent)
        _check_texts(sent)
        if legacy:
            if sent.sync_version > MOST_EDITS:
                raise _Refused(f"a version above {MOST_EDITS} - at `$.sync_version`")
            return _known(sent, None, sent.email)
        if sent.edits is None:
            raise _Refused("no edits: this service is not declared legacy")
        email = vault.open(TRANSPORT, sent.id, sent.email) if _sealed(sent.email) else ""
        return _known(sent, _copy(sent.edits, sent.name, email), email)
    except Sealed as error:
        return Unreadable(shown, f"the e-mail does not open: {error}")
    except (msgspec.ValidationError, _Refused) as error:
        return Unreadable(shown, _QUOTED.sub("'…'", str(error)))


class _Refused(ValueError):
    """A record that has the right shape, and yet is none."""


def _sealed(text: str) -> bool:
    if text and text.count(".") != 2:
        raise _Refused("an e-mail in the clear: this service is not declared legacy")
    return bool(text)


def _check_texts(sent: Sent) -> None:
    for name in ("id", "name", "email"):
        text = getattr(sent, name)
        if "\0" in text or (not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text)):
            raise _Refused(f"signs that no database takes - at `$.{name}`")


def _known(sent: Sent, copy: Copy | None, email: str) -> Known:
    return Known(
        *(sent.id, copy, sent.name, email, sent.sync_version),
        *(_instant(one) for one in (sent.created_at, sent.updated_at, sent.last_sync_at)),
    )


def _instant(given: datetime | None) -> datetime | None:
    if given is None:
        return None
    aware = given if given.tzinfo else given.replace(tzinfo=UTC)
    return aware if _FIRST <= aware < _LAST else None


def _copy(edits: Edits, name: str, email: str) -> Copy:
    vector, gone = Vector(edits.auth, edits.customer), Vector(*edits.gone)
    one, other = Field(name, Edit(*edits.name)), Field(email, Edit(*edits.email))
    if not vector.version:
        raise _Refused("a copy that nobody edited")
    copy = Copy(vector, one, other, gone)
    if not copy.sound:
        raise _Refused("edits that the copy has not in it")
    return copy


def edits_of(copy: Copy) -> Edits:
    """What travels of how a copy came to be."""
    return Edits(
        auth=copy.vector.auth,
        customer=copy.vector.customer,
        name=(copy.name.edit.side, copy.name.edit.number),
        email=(copy.email.edit.side, copy.email.edit.number),
        gone=(copy.gone.auth, copy.gone.customer),
    )


def write(record: str, copy: Copy, times: tuple[datetime | None, ...], vault: Vault | None) -> Sent:
    """A record to send; `times`: created, updated, last synced. Without a vault for the existing services."""
    created_at, updated_at, last_sync_at = times
    email = copy.email.value
    return Sent(
        id=record,
        name=copy.name.value,
        email=email if vault is None or not email else vault.seal(TRANSPORT, record, email),
        created_at=created_at,
        updated_at=updated_at,
        sync_version=copy.vector.version,
        last_sync_at=last_sync_at,
        edits=None if vault is None else edits_of(copy),
    )


def readable(found: Iterable[Known | Unreadable]) -> tuple[list[Known], list[Unreadable]]:
    """Those that were read, and those that were not."""
    known: list[Known] = []
    unreadable: list[Unreadable] = []
    for one in found:
        if isinstance(one, Known):
            known.append(one)
        else:
            unreadable.append(one)
    return known, unreadable
