"""Which rows are sealed anew when keys change, and as what. Pure.

Always holds: a row that is as it should be is left alone, so work that was cut off goes on where it was; a
row that does not open is told and left as it is.
"""

from __future__ import annotations

from typing import NamedTuple

from consumers.customer_records.vault import FORM, Sealed, Vault


class Row(NamedTuple):
    """What a table has of one e-mail."""

    id: str
    text: str
    lookup: str | None


class Change(NamedTuple):
    """A row to write, if it is still as it `was`."""

    id: str
    was: str
    text: str
    lookup: str | None


class Broken(NamedTuple):
    """A row that does not open, and why."""

    id: str
    reason: str


def judge(table: str, row: Row, vault: Vault, *, versioned: bool) -> Change | Broken | None:
    """What is to be done with a row; None: nothing.

    `versioned`: whether the format of old is to go; else rows keep their format, under the newest key.
    """
    try:
        address = vault.open(table, row.id, row.text)
    except Sealed as error:
        return Broken(row.id, str(error))
    index = vault.index(address)
    new = versioned or row.text.startswith(f"{FORM}.")
    if row.lookup == index and _newest(table, row, vault, versioned=new):
        return None
    if not address:
        return Change(row.id, row.text, row.text, None)
    sealed = vault.seal(table, row.id, address) if new else vault.seal_as_of_old(address)
    return Change(row.id, row.text, sealed, index)


def _newest(table: str, row: Row, vault: Vault, *, versioned: bool) -> bool:
    if versioned or not row.text:
        return vault.current(row.text)
    try:
        Vault(vault.key).open(table, row.id, row.text)  # the format of old names no key: it is tried
    except Sealed:
        return False
    return True
