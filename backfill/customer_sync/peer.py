"""The other service, over HTTP.

What fails on the way is tried again with growing pauses, or when the service says; what it refuses is not.
Always holds: no redirect is followed, no answer is read beyond a limit, nothing of an answer's content is put
into an error, and the key and the records go over `https`, this machine, or a host allowed by name.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from backfill.customer_sync.dialect import Sent
from consumers.customer_records.meeting import Side
from headwater import telemetry
from headwater.admin import is_loopback
from headwater.config import Dsn, Secret
from headwater.errors import HeadwaterError, ServerUnavailable, SettingsError

log = telemetry.logger(__name__)
PATHS: dict[Side, str] = {"auth": "/api/v3/auth/sync", "customer": "/api/v3/customers/sync"}
"""Where each service answers."""
FINGERPRINT = "X-Key-Fingerprint"
"""The header in which a service names the id of its key."""
AFTER = "X-Next-After"
"""The header in which a full page says after which id the next one begins."""
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be others a moment later."""
_LONGEST_ANSWER = 64 * 2**20


class PeerUnavailable(ServerUnavailable):
    """The other service did not answer, or not in time."""


class PeerRefused(HeadwaterError):
    """The other service answered, and not with what was asked for: asking again will not help."""


Answer = tuple[Any, Mapping[str, str]]
"""Body and headers."""


class Terms(NamedTuple):
    """How to speak to the other service."""

    side: Side
    """Which one it is."""
    url: str
    """Its address, without path."""
    key: Secret | None = None
    """What opens its endpoints."""
    legacy: bool = False
    """Whether it is the existing one: no versions, no pages, e-mail in the clear."""
    page: int = 500
    """Records asked for, or sent, at once."""
    timeout: float = 30.0
    """Seconds that one request may take."""
    attempts: int = 5
    first_pause: float = 0.5
    longest_pause: float = 30.0


class _Later(PeerUnavailable):
    """Not now; `after`: seconds that the service asks to be left alone, 0 where it says nothing."""

    def __init__(self, text: str, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


def checked(side: Side, url: Dsn, plain: Sequence[str]) -> str:
    """The address of a service, fit to carry addresses of people; `plain`: hosts that need no encryption.

    Raises SettingsError: `http://` to another machine that is not allowed by name, or more than an address.
    """
    name = f"{side.upper()}_SERVICE_URL"
    parts = urlsplit(url.reveal())
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(f"{name} holds more than an address", hint="write only https://host:port")
    host = parts.hostname or ""
    if parts.scheme != "https" and not is_loopback(host) and host not in plain:
        raise SettingsError(
            f"{name} is not encrypted: http://{host}",
            hint="write https://, or name the host in HEADWATER_CUSTOMER_SYNC_PLAIN_HTTP",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


class Peer:
    """The other service; use as a block. One request at a time goes to it."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Accept": "application/json", "User-Agent": "headwater"}
        if self.terms.key is not None:
            headers["Authorization"] = f"Bearer {self.terms.key.reveal()}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self.terms.timeout, connect=min(5.0, self.terms.timeout)),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def pages(self) -> AsyncIterator[Any]:
        """What it has, page by page, as JSON. Raises PeerUnavailable, PeerRefused."""
        if self.terms.legacy:
            yield (await self._ask("GET", ""))[0]
            return
        after: str | None = ""
        seen = set()
        while after is not None and after not in seen:
            seen.add(after)
            page, headers = await self._ask("GET", f"?limit={self.terms.page}&after={quote(after, safe='')}")
            yield page
            after = unquote(headers[AFTER]) if AFTER in headers else None

    async def say(self, records: Sequence[Sent]) -> Any:
        """Its answer to records of ours: to one, where it takes one at a time. Raises as `pages`."""
        body = msgspec.json.encode(records[0] if self.terms.legacy else records)
        return (await self._ask("POST", "", body))[0]

    async def fingerprint(self) -> str:
        """The id of its key; empty where it does not say. Raises as `pages`."""
        _, headers = await self._ask("GET", "?limit=1")
        return headers.get(FINGERPRINT, "")

    async def _ask(self, method: str, query: str, body: bytes | None = None) -> Answer:
        patient = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, _Later)),
            stop=stop_after_attempt(self.terms.attempts),
            wait=_wait(wait_random_exponential(self.terms.first_pause, self.terms.longest_pause), self.terms),
            before_sleep=self._told,
            reraise=True,
        )
        return await patient(self._once, method, query, body)

    def _told(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "customers.peer_again",
            side=self.terms.side,
            attempt=state.attempt_number,
            seconds=round(state.upcoming_sleep, 2),
            reason=str(error),
        )

    async def _once(self, method: str, query: str, body: bytes | None) -> Answer:
        async with self._answer(method, query, body) as answer:
            return _json(await _read(answer)), answer.headers

    @contextlib.asynccontextmanager
    async def _answer(
        self, method: str, query: str, body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("use the peer as a block")
        url = f"{self.terms.url}{PATHS[self.terms.side]}{query}"
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self._session.request(
                method, url, data=io.BytesIO(body) if body else None, headers=headers, allow_redirects=False
            ) as answer:
                _check(self.terms.side, answer)
                yield answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            # Of the error only its kind: some carry what was read so far.
            raise _Later(f"the {self.terms.side} service does not answer ({type(error).__name__})") from None


def _check(side: Side, answer: aiohttp.ClientResponse) -> None:
    if answer.status in AGAIN:
        raise _Later(f"the {side} service answers {answer.status}", _after(answer))
    if answer.status in {401, 403}:
        raise PeerRefused(
            f"the {side} service does not accept our key ({answer.status})",
            hint=f"its key for us goes into HEADWATER_CUSTOMER_SYNC_{side.upper()}_SERVICE_KEY",
        )
    if answer.status not in {200, 422}:  # 422: it says which records it refused
        raise PeerRefused(f"the {side} service answers {answer.status}")


def _after(answer: aiohttp.ClientResponse) -> float:
    given = answer.headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 7 else 0.0


def _wait(usual: Callable[[RetryCallState], float], terms: Terms) -> Callable[[RetryCallState], float]:
    def seconds(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.after if isinstance(error, _Later) else 0.0
        return max(usual(state), min(asked, terms.longest_pause))

    return seconds


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for piece in answer.content.iter_any():
        found += piece
        if len(found) > _LONGEST_ANSWER:
            raise PeerRefused(f"an answer of more than {_LONGEST_ANSWER} bytes")
    return bytes(found)


def _json(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PeerRefused("an answer that is no JSON") from None
