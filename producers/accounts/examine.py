"""What a source of users lacks: for set-up's dry run and for doctor. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from headwater.database import Connection, load
from headwater.database.migrate import SOURCE, status
from producers.accounts import MIGRATIONS
from producers.accounts.setup import INDEXES, lacking_columns
from producers.rows import Row

TRIGGER, FUNCTION, BELL = "user_changes_trigger", "notify_user_changes", "user_changes"


class Lack(NamedTuple):
    """One thing that is not as it should be."""

    what: str
    detail: str
    serious: bool = True
    """Whether changes are missed or late because of it."""


async def lacks(connection: Connection, url: str) -> list[Lack]:
    """Everything that set-up would mend, and what only a person can."""
    if columns := await lacking_columns(connection):
        return [Lack("table users", f"missing: {', '.join(columns)}")]
    found = [
        Lack("migrations", f"not applied: {one.role} {one.name}")
        for one in await status(url, [SOURCE, MIGRATIONS])
        if not one.applied
    ]
    found += judge(await connection.fetch(load(__file__, "triggers")))
    if found and found[0].what == "migrations":
        return found
    there = {
        row["name"]: row["valid"] for row in await connection.fetch(load(__file__, "indexes"), list(INDEXES))
    }
    for name in INDEXES:
        if not there.get(name, False):
            state = "not whole: its building was cut off" if name in there else "missing"
            found.append(Lack(f"index {name}", state, serious=False))
    return found


def judge(triggers: Iterable[Row]) -> list[Lack]:
    """What is wrong with the doorbell: missing, foreign, switched off or doubled. Pure."""
    every = list(triggers)
    own = [one for one in every if one["name"] == TRIGGER]
    others = [one for one in every if one["name"] != TRIGGER]
    if not own:
        found = [Lack(f"trigger {TRIGGER}", "missing: changes wait for the next sweep")]
    else:
        found = [Lack(f"trigger {TRIGGER}", why) for why in _foreign(own[0])]
    for one in others:
        if one["function"] == FUNCTION or BELL in one["source"]:
            why = f"{one['name']} ({one['function']}) rings the same bell: each change rings twice"
            found.append(Lack(f"trigger {TRIGGER}", f"doubled: {why}"))
    return found


def _foreign(one: Row) -> list[str]:
    """Why a trigger of that name is not ours."""
    if not one["enabled"]:
        return ["switched off: changes wait for the next sweep"]
    if one["function"] != FUNCTION:
        return [f"foreign: it runs {one['function']}"]
    if not one["statement"]:
        why = "once a row, as the existing service makes it: a large row fails the application's write"
        return [f"foreign: {why}"]
    if "row_to_json" in one["source"] or "json_build" in one["source"]:
        return ["foreign: its function sends the row; a large one fails the application's write"]
    return [] if one["events"] else ["foreign: it does not ring for INSERT, UPDATE and DELETE alike"]
