"""The wrapper's HTTP API as a source, for an application that may not read its database.

Always holds: a collection ends only behind its last page, with as many different rows as the API says there
are; what moved to another page while it was read is found by reading again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from backfill.tenant_sync import shapes
from backfill.tenant_sync.correlation import HEADER
from backfill.tenant_sync.errors import AuthError, InvalidError, NetworkError, SyncError, of_status
from backfill.tenant_sync.retrying import Patience, tried
from backfill.tenant_sync.source import ORGANIZATION, ROLE_ASSIGNMENT, TENANT, Collection, Page
from headwater import clock, telemetry

log = telemetry.logger(__name__)
LIMIT = 100
"""Rows of a page: the API gives no more."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How the API is reached."""

    url: str
    """Without `/api/wrapper`."""
    token: str = ""
    """Of the person who signs in; empty: a service's own token is asked for at once."""
    key: str = ""
    """The internal API key that a service's token is asked for with."""
    service: str = "crm"
    timeout: float = 30.0
    """Seconds that one request may take."""
    at_once: int = 4
    """Pages asked for at the same time."""
    patience: Patience = Patience()


class _Pagination(msgspec.Struct):
    # The API gives some numbers as texts: what a count(*) gives its driver.
    page: int | str = 1
    limit: int | str = LIMIT
    total: int | str = 0


class _Answer(msgspec.Struct):
    success: bool = False
    data: Any = None
    pagination: _Pagination | None = None
    error: Any = None


class ApiSource:
    """Reads the wrapper's API."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @contextlib.asynccontextmanager
    async def reading(self, tenant: str, correlation: str) -> AsyncIterator[ApiReading]:
        """A client of its own for one run."""
        limits = aiohttp.ClientTimeout(total=self._access.timeout)
        headers = {"X-Request-Source": f"{self._access.service}-backend", HEADER: correlation}
        async with aiohttp.ClientSession(timeout=limits, headers=headers) as session:
            yield ApiReading(session, self._access, tenant, correlation)


class ApiReading:
    """One run's look at a tenant, with the token it has at the time."""

    steady = False

    def __init__(self, session: aiohttp.ClientSession, access: Access, tenant: str, correlation: str) -> None:
        self._session, self._access = session, access
        self._tenant, self._correlation = shapes.identity(tenant), correlation
        self._token = access.token
        self._renewing = asyncio.Lock()
        self._roots: list[str] | None = None

    async def pages(self, collection: Collection) -> AsyncGenerator[Page, None]:
        """All of a collection, in the API's order. Raises a SyncError."""
        if collection == TENANT:
            answer, at = await self._ask("")
            yield shapes.page(collection, [answer.data], shapes.Seen(self._tenant, at))
            return
        root = await self._root() if collection == ROLE_ASSIGNMENT else None
        async for items, at in self._items(collection):
            yield shapes.page(collection, items, shapes.Seen(self._tenant, at, root))

    async def count(self, collection: Collection) -> int:
        """As the API says beside its first page. Raises a SyncError."""
        answer, _ = await self._ask(collection.path, 1)
        return _read(answer)[1]

    async def _items(self, collection: Collection) -> AsyncGenerator[tuple[list[Any], int], None]:
        count, number, last = 0, 1, 1
        seen: set[str] = set()
        while number <= last:
            numbers = range(number, min(number + self._access.at_once, last + 1))
            found = await _together(self._ask(collection.path, one) for one in numbers)
            together: list[Any] = []
            for answer, _ in found:
                items, count, last = _read(answer)
                together += items
            seen.update(shapes.names(collection, together, len(seen)))
            yield together, min(at for _, at in found)
            number = numbers[-1] + 1
        if len(seen) < count:
            # Rows moved between pages: to believe them would leave some out, and take those for gone.
            raise NetworkError(f"{collection.name} changed while they were read: {len(seen)} of {count} came")

    async def _root(self) -> str | None:
        """The organization without a parent, where there is exactly one."""
        if self._roots is None:
            self._roots = []
            async for items, at in self._items(ORGANIZATION):
                page = shapes.page(ORGANIZATION, items, shapes.Seen(self._tenant, at))
                self._roots += [fact.event.key for fact in page.facts if shapes.is_root(fact.event)]
        return self._roots[0] if len(self._roots) == 1 else None

    async def _ask(self, path: str, page: int = 0) -> tuple[_Answer, int]:
        """An answer, and when it was asked for. Raises a SyncError that was tried as often as is worth it."""
        url = f"{self._access.url}/api/wrapper/tenants/{self._tenant}" + (f"/{path}" if path else "")
        about = {"page": str(page), "limit": str(LIMIT)} if page else {}

        async def once() -> tuple[_Answer, int]:
            at = time.time_ns() // 1_000_000
            return _decoded(await self._authorized("GET", url, about)), at

        return await tried(once, self._access.patience, self._report)

    async def _authorized(self, method: str, url: str, query: dict[str, str]) -> bytes:
        token = self._token or await self._renewed("")
        try:
            return await self._request(method, url, token, params=query)
        except AuthError:
            return await self._request(method, url, await self._renewed(token), params=query)

    async def _renewed(self, old: str) -> str:
        """A token other than `old`: what another request got, or a service's own. Raises AuthError."""
        async with self._renewing:
            if self._token == old:
                self._token = await self._service_token()
            return self._token

    async def _service_token(self) -> str:
        if not self._access.key:
            raise AuthError("the token was refused, and no internal API key is set to get another one with")
        body = {
            "service": self._access.service,
            "tenant_id": self._tenant,
            "permissions": ["read", "sync"],
        }
        url = f"{self._access.url}/api/internal/service-auth"
        answer = _decoded(await self._request("POST", url, "", json=body))
        token = answer.data.get("token") if isinstance(answer.data, dict) else None
        if not isinstance(token, str) or not token:
            raise AuthError("service-auth gave no token")
        return token

    async def _request(self, method: str, url: str, token: str, **more: Any) -> bytes:
        header = {"Authorization": f"Bearer {token}"} if token else {"x-internal-api-key": self._access.key}
        about = f"{method} {url}"
        try:
            async with self._session.request(method, url, headers=header, **more) as answer:
                body = await answer.read()
                if answer.status >= 400:
                    raise of_status(answer.status, about, _after(answer.headers.get("Retry-After")))
                return body
        except TimeoutError as error:
            raise NetworkError(f"no answer within {self._access.timeout:g}s ({about})") from error

    def _report(self, error: SyncError, attempt: int, wait: float) -> None:
        log.info(
            "tenant_sync.asking_again",
            correlation=self._correlation,
            tenant=self._tenant,
            type=error.type,
            error=str(error),
            attempt=attempt,
            wait=wait,
        )


async def _together(asked: Iterable[Any]) -> list[tuple[_Answer, int]]:
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _decoded(body: bytes) -> _Answer:
    answer = msgspec.json.decode(body, type=_Answer)
    if not answer.success:
        raise InvalidError(f"the wrapper's API answered without success ({str(answer.error)[:200]})")
    return answer


def _read(answer: _Answer) -> tuple[list[Any], int, int]:
    """Items, how many there are in all, and which page is the last. Raises a SyncError, ValueError."""
    if not isinstance(answer.data, list):
        raise InvalidError(f"the wrapper's API gave no list ({type(answer.data).__name__})")
    if answer.pagination is None:  # credit configurations come at once
        return answer.data, len(answer.data), 1
    count, limit = int(answer.pagination.total), max(1, int(answer.pagination.limit))
    return answer.data, count, -(-count // limit)


def _after(header: str | None) -> float:
    """Seconds that a Retry-After asks for: a number, or a date. Pure but for the clock."""
    if header is None:
        return 0.0
    with contextlib.suppress(ValueError):
        return max(0.0, float(header))
    with contextlib.suppress(ValueError):
        return max(0.0, (parsedate_to_datetime(header) - clock.now()).total_seconds())
    return 0.0
