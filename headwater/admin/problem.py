"""Every error as RFC 9457 problem JSON: what, with which correlation id, and nothing of our insides.

{"type": "about:blank", "title": "Not Found", "status": 404, "correlationId": "4f…"}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from headwater import telemetry
from headwater.errors import EventError, HeadwaterError, JobRefused, ServerUnavailable
from headwater.telemetry.context import acceptable

log = telemetry.logger(__name__)
HEADER = "X-Correlation-Id"


class Problem(Exception):
    """Ends a request with an error answer. `extra` become members of the problem beside the usual ones."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        title: str = "",
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or title or str(status))
        self.status, self.detail, self.headers, self.extra = status, detail, dict(headers or {}), extra
        self.title = title or HTTPStatus(status).phrase

    def body(self) -> bytes:
        """The problem as JSON."""
        members = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        members |= {"correlationId": telemetry.correlation(), **self.extra}
        return orjson.dumps({name: value for name, value in members.items() if value != ""}, default=str)

    def response(self) -> web.Response:
        """The answer."""
        return web.Response(
            status=self.status,
            body=self.body(),
            content_type="application/problem+json",
            headers=self.headers,
        )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its correlation id, and turn whatever it raises into a problem."""
    given = request.headers.get(HEADER, "")
    with telemetry.correlated(given if acceptable(given) else telemetry.new_correlation()) as correlation_id:
        try:
            response = await handler(request)
        except Problem as problem:
            response = _response(request, problem)
        except web.HTTPException as raised:
            if raised.status < 400:  # a redirect is no error
                raise
            response = _response(request, _of_aiohttp(raised))
        except HeadwaterError as error:
            response = _response(request, _of_ours(error))
        except Exception:
            log.exception("admin.failed", method=request.method, route=_route(request))
            response = _response(request, Problem(500))
        if not response.prepared:
            response.headers[HEADER] = correlation_id
            if response.status in {408, 413}:
                response.force_close()  # what is left of the body is not worth reading
        return response


class Beside(NamedTuple):
    """What the problems of an application carry beside the usual members: what its clients know."""

    members: Callable[[Problem], Mapping[str, Any]]


BESIDE = web.AppKey("beside", Beside)


def _response(request: web.Request, problem: Problem) -> web.Response:
    # Not `config_dict`: that is of the application whose middleware runs, and this is the outermost one.
    for app in request.match_info.apps:
        if beside := app.get(BESIDE):
            problem.extra = {**beside.members(problem), **problem.extra}
    return problem.response()


def _of_aiohttp(raised: web.HTTPException) -> Problem:
    kept = {name: raised.headers[name] for name in ("Allow", "Retry-After") if name in raised.headers}
    return Problem(raised.status, headers=kept)


def _of_ours(error: HeadwaterError) -> Problem:
    text = telemetry.safe_text(error)
    if isinstance(error, ServerUnavailable):
        log.warning("admin.server_unavailable", reason=text)
        return Problem(503, "a server that this needs does not answer", headers={"Retry-After": "5"})
    if isinstance(error, JobRefused):
        return Problem(409, text, hint=error.hint)
    if isinstance(error, EventError):
        return Problem(400, text, hint=error.hint, reason=error.reason)
    log.error("admin.refused", reason=text, hint=error.hint)
    return Problem(500)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""
