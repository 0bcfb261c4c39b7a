"""Bodies: read with limits on type, size and time, decoded strictly, refused by name of the field."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import orjson
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from headwater.admin.problem import Problem
from headwater.clock import stamp
from headwater.config import AdminSettings

Body = TypeVar("Body")
LIMITS = web.AppKey("limits", AdminSettings)
_AT = re.compile(r" - at `\$\.?(.*)`$")


async def read_json(
    request: web.Request, shape: type[Body], *, limit: int | None = None, within: float | None = None
) -> Body:
    """The body as a `shape`; an absent one is `{}`.

    At most `limit` bytes, counted after unpacking, arrived `within` seconds; the settings
    `admin.body_limit` and `admin.body_timeout` say how many where the call does not.

    Raises problems: 400 not such JSON, naming the `field`; 408 too slow; 413 too large; 415 not JSON.
    """
    limits = request.config_dict[LIMITS]
    raw = await _read(request, limit or limits.body_limit, within or limits.body_timeout)
    if raw and request.content_type != "application/json":
        raise Problem(415, "the body must be application/json")
    try:
        text = (raw or b"{}").decode()
        json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_not_a_number)
        return msgspec.json.decode(text, type=shape)
    except msgspec.ValidationError as error:
        at = _AT.search(str(error))
        field = at[1] if at else ""
        raise Problem(400, str(error)[: at.start()] if at else str(error), field=field) from None
    except UnicodeDecodeError:
        raise Problem(400, "the body is not UTF-8") from None
    except RecursionError:
        raise Problem(400, "the body is nested too deeply") from None
    except _Refused as error:
        raise Problem(400, str(error)) from None
    except ValueError:  # also a number of more digits than can be read
        raise Problem(400, "the body is not valid JSON") from None


async def _read(request: web.Request, limit: int, within: float) -> bytes:
    if request.content_length is not None and request.content_length > limit:
        raise Problem(413, f"the body is larger than {limit} bytes")
    found = bytearray()
    try:
        async with asyncio.timeout(within):
            async for piece in request.content.iter_any():
                found += piece
                if len(found) > limit:
                    raise Problem(413, f"the body is larger than {limit} bytes")
    except TimeoutError:
        raise Problem(408, f"the body did not arrive within {within:g} s") from None
    except (ClientPayloadError, HttpProcessingError, web.RequestPayloadError):
        raise Problem(400, "the body can not be unpacked") from None
    return bytes(found)


def reply(data: Any, status: int = 200) -> web.Response:
    """An answer in JSON: times in UTC, structs by their declared names, unknown kinds as text."""
    option = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
    body = orjson.dumps(data, default=_builtin, option=option)
    return web.Response(status=status, body=body, content_type="application/json")


def _builtin(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value, precision="auto")
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, builtin_types=(datetime,))
    return str(value)


class _Refused(ValueError):
    """A body that is JSON, and yet not acceptable."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("a name stands twice in one object")
    return found


def _not_a_number(constant: str) -> Any:
    raise _Refused(f"{constant} is not JSON")
