"""The six endpoints of the customer sync: three a side, at the paths of the existing services.

GET lists records, POST takes one or many and answers for each, POST …/trigger syncs in both directions. Each
wants a credential, of the other service or of the admin interface; only a service that the settings call
anonymous needs none. Addresses of people leave sealed, in the clear only to a service that they call legacy.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from aiohttp import web

from backfill.customer_sync.dialect import Known, Unreadable, read, write
from backfill.customer_sync.exchange import Exchange, Line, Outcome, Records, counted, take
from backfill.customer_sync.peer import AFTER, FINGERPRINT, PATHS, PeerRefused, PeerUnavailable
from consumers.customer_records.meeting import SIDES, Side
from consumers.customer_records.vault import Vault
from headwater import telemetry
from headwater.admin import EVERY, Problem, policy, read_json, reply, require

log = telemetry.logger(__name__)
PREFIX = "/api/v3"
MOST = 1000
"""Records of one POST, and of one page."""
_BODY = 4 * 2**20
_WITHIN = 30.0
_PAGE = 500


class Caller(NamedTuple):
    """Who asks."""

    name: str
    legacy: bool
    """Whether it is the existing service: it gets e-mail in the clear, and its edits are not counted."""


class Endpoints:
    """One side's three."""

    def __init__(
        self,
        side: Side,
        records: Records,
        vault: Vault,
        *,
        exchange: Exchange | None = None,
        anonymous: frozenset[str] = frozenset(),
        legacy: frozenset[str] = frozenset(),
    ) -> None:
        """`exchange`: None where the other service is not named; `anonymous`, `legacy`: names of services."""
        self.side: Side = side
        self._records, self._vault, self._exchange = records, vault, exchange
        self._anonymous, self._legacy = anonymous, legacy

    def add_to(self, app: web.Application) -> None:
        """Serve them, in an application at `PREFIX`."""
        path = PATHS[self.side].removeprefix(PREFIX)
        app.router.add_get(path, self.listed, allow_head=False)
        app.router.add_post(path, self.told)
        app.router.add_post(f"{path}/trigger", self.trigger)

    @policy("open")  # asked for in _caller: a peer's key opens these, and nothing else of the admin interface
    async def listed(self, request: web.Request) -> web.StreamResponse:
        """All records in order of their ids, or `?unsynced=true`; `?limit=` and `&after=` for a page.

        A full page names in `X-Next-After` what the next one comes after.
        """
        caller = self._caller(request, "read")
        limit, after = _page(request)
        unsynced = _flag(request, "unsynced")
        page = await self._records.page(limit or _PAGE, after, unsynced=unsynced)
        headers = {FINGERPRINT: self._vault.key.id, "Content-Type": "application/json"}
        if limit is not None and len(page) == limit:
            headers[AFTER] = quote(page[-1].id, safe="")
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b"[")
        begun = False
        while page:
            text = self._written(page, caller, begun=begun)
            await response.write(text)
            begun = begun or bool(text)
            more = limit is None and len(page) == _PAGE
            page = await self._records.page(_PAGE, page[-1].id, unsynced=unsynced) if more else []
        await response.write(b"]\n")
        await response.write_eof()
        return response

    @policy("open")
    async def told(self, request: web.Request) -> web.Response:
        """Take one record or a list; 200 with what became of each, 422 when none was taken."""
        caller = self._caller(request, "write")
        try:
            data = await read_json(request, object, limit=_BODY, within=_WITHIN)
        except Problem as problem:
            problem.extra["error"] = problem.detail  # the name that the existing services give it
            raise
        if isinstance(data, list) and len(data) > MOST:
            raise Problem(413, f"more than {MOST} records", error=f"more than {MOST} records")
        lines = await take(self._records, read(data, self._vault, legacy=caller.legacy))
        taken = any(line.done for line in lines) or not lines
        for line in lines:
            if not line.done:
                log.warning("customers.not_taken", record=line.id, verdict=line.verdict, reason=line.reason)
        results = [_line(line) for line in lines]
        if not taken:
            return reply({"error": "no record was taken", "results": results}, 422)
        counts = counted(lines)
        return reply({"message": "sync completed successfully", "counts": counts, "results": results})

    @policy("open")
    async def trigger(self, request: web.Request) -> web.Response:
        """Sync in both directions now; who asks while that goes on gets the same outcome."""
        self._caller(request, "write")
        if self._exchange is None:
            raise Problem(409, "no other service is named", error="failed to sync data")
        try:
            outcome = await self._exchange.both()
        except PeerUnavailable as error:
            again = {"Retry-After": "5"}
            raise Problem(503, str(error), headers=again, error="failed to sync data") from None
        except PeerRefused as error:
            raise Problem(502, str(error), hint=error.hint, error="failed to sync data") from None
        return reply({"message": "full sync completed successfully", **as_data(outcome)})

    def _caller(self, request: web.Request, scope: str) -> Caller:
        other = SIDES[1 - SIDES.index(self.side)]
        bare = not {"Authorization", "X-API-Key"} & set(request.headers)
        if bare and other in self._anonymous:
            return Caller(other, other in self._legacy)
        who = require(request, "write" if scope == "write" else "read", EVERY)
        if who.id == self.side:
            raise Problem(403, f"this is the {self.side} service itself")
        return Caller(who.id, who.id == other and other in self._legacy)

    def _written(self, page: list[Known | Unreadable], caller: Caller, *, begun: bool) -> bytes:
        parts = [text for one in page if (text := self._one(one, caller))]
        return (b"," if begun and parts else b"") + b",".join(parts)

    def _one(self, one: Known | Unreadable, caller: Caller) -> bytes:
        if isinstance(one, Unreadable) or one.copy is None or (caller.legacy and not one.copy.alive):
            return b""
        times = (one.created_at, one.updated_at, one.last_sync_at)
        return msgspec.json.encode(write(one.id, one.copy, times, None if caller.legacy else self._vault))


def as_data(outcome: Outcome) -> dict[str, Any]:
    """An outcome as it is answered."""
    return {
        name: {
            "counts": tally.verdicts,
            "failed": tally.failed,
            "problems": [_line(line) for line in tally.problems],
        }
        for name, tally in (("pulled", outcome.pulled), ("pushed", outcome.pushed))
    } | {"seconds": round(outcome.seconds, 3)}


def _line(line: Line) -> dict[str, str]:
    return {name: value for name, value in line._asdict().items() if value or name == "id"}


def _page(request: web.Request) -> tuple[int | None, str]:
    text, after = request.query.get("limit"), request.query.get("after", "")
    if len(after) > 256 or "\0" in after:
        raise Problem(400, "after is the id of a record", field="after", error="after is the id of a record")
    if text is None:
        return None, after
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        wrong = f"limit is a number from 1 to {MOST}"
        raise Problem(400, wrong, field="limit", error=wrong)
    return int(text), after


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false").lower()
    if text not in {"true", "false", "1", "0"}:
        raise Problem(400, f"{name} is true or false", field=name, error=f"{name} is true or false")
    return text in {"true", "1"}
