"""Whether source tables carry versions as they are declared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headwater.database import Connection, Row, load
from headwater.database.attach import Attached

_TRIGGERS = {"delete", "insert", "truncate", "update"}


class Attachment(NamedTuple):
    """One declared table."""

    table: str
    subject: str
    state: str
    """attached · missing_table · not_attached · differs."""
    detail: str


async def attachments(connection: Connection, attached: Sequence[Attached]) -> list[Attachment]:
    """Each declared table as the database has it; changes nothing."""
    rows = await connection.fetch(load(__file__, "attachment"), [one.table for one in attached])
    found = {row["name"]: row for row in rows}
    return [Attachment(one.table, one.subject, *_judge(one, found[one.table])) for one in attached]


def _judge(one: Attached, row: Row) -> tuple[str, str]:
    if not row["present"]:
        return "missing_table", "there is no such table"
    if row["subject"] is None or not row["versioned"]:
        return "not_attached", "its rows carry no versions"
    lacking = (_TRIGGERS | {"inserted"} if one.recurring else _TRIGGERS) - set(row["triggers"])
    if lacking:
        return "differs", f"triggers are missing or off: {', '.join(sorted(lacking))}"
    watched = None if row["columns"] is None else set(row["columns"])
    recorded = (row["subject"], row["tenant_column"], row["key_column"], watched, row["recurring"])
    declared = (
        *(one.subject, one.tenant_column or "", one.key_column),
        *(None if one.watched is None else set(one.watched), one.recurring),
    )
    if recorded != declared:
        return "differs", "it was attached under an older declaration"
    return "attached", ""
