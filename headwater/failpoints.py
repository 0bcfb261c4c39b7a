"""Named places where a test may make a process fail, to show what is left behind.

Off unless `HEADWATER_FAILPOINTS` names them: `name[=pass][:action]`, several with commas. The number
says at which pass, default the first; each bites once. Actions:

    kill            end as `kill -9` does: no clean-up runs (the default)
    raise           raise `Injected` there
    drop            break every TCP connection of this process, Redis and Postgres alike
    stop            stop as SIGSTOP does, until somebody sends SIGCONT
    hang(seconds)   do nothing at all for so long: no heartbeat either, as in a long pause of the machine

    HEADWATER_FAILPOINTS="worker.committed=3:drop,relay.appended:hang(2.5)" headwater worker crm

Always holds: a failpoint that bites says so in the log first, so a test can prove that it did.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import time
from typing import NamedTuple

from headwater.errors import SettingsError

POINTS = {
    "worker.read": "entries are pending under the worker's name; nothing has looked at them",
    "worker.decoded": "the batch is sorted into work, what to skip, and what nobody can read",
    "worker.applying": "the transaction is open and empty",
    "worker.applied": "effect, ledger, inbox and position are written, and not committed",
    "worker.committed": "the transaction is committed, and Redis has not heard of it",
    "worker.acknowledging": "everything about the batch is settled in Postgres",
    "worker.acknowledged": "Redis has taken the entries off the pending list",
    "worker.parking": "an entry is to be parked, and no row says so yet",
    "worker.parked": "the dead letter is committed, and its entry still pending",
    "worker.failed": "a failure is counted in Postgres, and the entry waits for its next attempt",
    "worker.reclaimed": "entries of another worker are now pending under this one's name",
    "worker.heartbeat": "what is in hand was touched, so that nobody takes it over",
    "worker.stopping": "a stop was asked for; a read may still be blocked, batches are in hand",
    "worker.finished": "what was in hand is finished, the rest still stands under the worker's name",
    "worker.released": "the rest was given away; nothing stands under the worker's name",
    "relay.leading": "this relay is the one that moves events, and has moved none",
    "relay.fetched": "rows were read from the outbox, and nothing was appended",
    "relay.appended": "events are on their streams, and their rows do not say so",
    "relay.marked": "the rows say so",
    "republish.appended": "rows that are said again are on their streams, and no checkpoint says so",
    "republish.checkpointed": "the checkpoint says so",
    "producer.sent": "events of a direct producer are on their streams, and its caller does not know",
    "backfill.appending": "rows were read and are events now; nothing of them was appended",
    "backfill.appended": "a part of a chunk is on its streams, and no checkpoint says so",
    "backfill.checkpointed": "the checkpoint says so",
    "retention.cut": "entries that a group lacks were removed, and no gap says so",
    "reconcile.reopened": "the gate lets versions through once more, and nothing of them was appended",
    "reconcile.said": "what mends some keys is on its streams, and nothing says what became of it",
    "backfill.subject": "a subject is said to its end, and its part is not done yet",
    "backfill.caught_up": "the application has applied everything the job appended; nothing was compared",
    "backfill.compared": "both sides were compared, and the job has not ended",
}
"""Every failpoint: what is true at that moment."""

_SPEC = re.compile(
    r"(?P<name>[\w.]+)(=(?P<count>\d+))?(:(?P<action>kill|raise|drop|stop|hang\((?P<s>[\d.]+)\)))?"
)
_FORM = "name[=pass][:kill|raise|drop|stop|hang(seconds)]"

log = logging.getLogger(__name__)


class Injected(Exception):
    """What a failpoint with the action `raise` raises."""


class Armed(NamedTuple):
    """What one failpoint is to do."""

    due: int
    """At which pass from now."""
    action: str = "kill"
    seconds: float = 0.0


_armed: dict[str, Armed] = {}


def parse(spec: str) -> dict[str, Armed]:
    """What a text arms, by name.

    Raises SettingsError for a name that is none, and for what is not spelled as it must be.
    """
    found = {}
    for part in filter(None, (piece.strip() for piece in spec.split(","))):
        match = _SPEC.fullmatch(part)
        if match is None:
            raise SettingsError(f"not a failpoint ({part!r})", hint=f"Write {_FORM}.")
        if match["name"] not in POINTS:
            raise SettingsError(f"unknown failpoint {match['name']!r}", hint=f"Known: {', '.join(POINTS)}.")
        action = (match["action"] or "kill").partition("(")[0]
        found[match["name"]] = Armed(int(match["count"] or 1), action, _seconds(match["s"], part))
    return found


def _seconds(text: str | None, part: str) -> float:
    try:
        return float(text or 0)
    except ValueError as error:
        raise SettingsError(f"not a failpoint ({part!r})", hint=f"Write {_FORM}.") from error


def arm(spec: str) -> None:
    """Set the failpoints of this process; an empty text disarms all. Raises SettingsError as `parse`."""
    armed = parse(spec)
    _armed.clear()
    _armed.update(armed)


def reached(name: str) -> None:
    """Fail here when the failpoint is armed and this is its pass. Raises Injected if that is its action."""
    if _armed and name in _armed:
        _count(name)


def _count(name: str) -> None:
    armed = _armed.pop(name)
    if armed.due > 1:
        _armed[name] = armed._replace(due=armed.due - 1)
        return
    log.log(logging.WARNING, "failpoint %s: %s", name, armed.action)
    _bite(name, armed)


def _bite(name: str, armed: Armed) -> None:
    if armed.action == "raise":
        raise Injected(name)
    if armed.action == "drop":
        break_connections()
    elif armed.action == "hang":
        time.sleep(armed.seconds)
    else:
        os.kill(os.getpid(), signal.SIGSTOP if armed.action == "stop" else signal.SIGKILL)


def break_connections() -> int:
    """Shut every TCP connection of this process down, in both directions; how many there were."""
    broken = 0
    for number in os.listdir("/dev/fd"):
        try:
            connection = socket.socket(fileno=os.dup(int(number)))
        except OSError:
            continue  # not a socket, or the folder's own number, closed by now
        with connection:
            broken += _broken(connection)
    return broken


def _broken(connection: socket.socket) -> bool:
    if connection.family not in {socket.AF_INET, socket.AF_INET6} or connection.type != socket.SOCK_STREAM:
        return False
    try:
        connection.getpeername()  # one that listens would be shut as well
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True
