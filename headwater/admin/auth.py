"""Who may do what.

A key is `hwk_<id>_<secret>`; only the SHA-256 of its secret is stored. Every handler declares what
it asks for with `@policy`; an application with a handler that does not, does not start. A tenant
that is not among a key's looks exactly like one that does not exist: 404.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal, NamedTuple, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from headwater.admin.problem import Problem
from headwater.clock import now
from headwater.config import AdminKey
from headwater.errors import DeclarationError

Scope = Literal["read", "write", "open"]
Function = TypeVar("Function", bound=Callable[..., object])
EVERY = "*"
"""In place of a tenant: all of them."""
_PREFIX = "hwk_"
_NOBODY = "0" * 64


class Policy(NamedTuple):
    """What a handler asks for."""

    scope: Scope
    tenant: str
    """Name of the part of the path that is a tenant id; empty for none, EVERY for what tells of them all."""


class Principal(msgspec.Struct, frozen=True):
    """Who makes a request."""

    id: str
    scopes: frozenset[str]
    tenants: frozenset[str]

    def sees(self, tenant: str) -> bool:
        """Whether the tenant is among the key's."""
        return EVERY in self.tenants or tenant.lower() in self.tenants


_PRINCIPAL = web.RequestKey("principal", Principal)
_POLICY = "__headwater_policy__"


class KeyRing:
    """The keys that are accepted."""

    def __init__(self, keys: Iterable[AdminKey], *, clock: Callable[[], datetime] = now) -> None:
        """Raises DeclarationError when two keys have one id."""
        self._keys: dict[str, AdminKey] = {}
        self._clock = clock
        for key in keys:
            if key.id in self._keys:
                raise DeclarationError(f"two admin keys have the id {key.id!r}")
            self._keys[key.id] = key

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, presented: str) -> Principal | None:
        """Who presents this key; None when it is unknown, wrong or expired."""
        if not presented.startswith(_PREFIX):
            return None
        key_id, _, secret = presented.removeprefix(_PREFIX).partition("_")
        key = self._keys.get(key_id)
        # An unknown id takes the same way, so that ids can not be told apart by the time it takes.
        matches = hmac.compare_digest(_digest(secret), key.digest if key else _NOBODY)
        if key is None or not matches or (key.expires is not None and key.expires <= self._clock()):
            return None
        return Principal(key.id, key.scopes, key.tenants)


_KEYS = web.AppKey("keys", KeyRing)


def issue(
    key_id: str, scopes: Iterable[str], tenants: Iterable[str], *, expires: datetime | None = None
) -> tuple[str, str]:
    """(the key to give away, the line to put among `HEADWATER_ADMIN_KEYS`).

    Raises ValueError when the id, a scope or the tenants are not acceptable.
    """
    secret = secrets.token_urlsafe(32)
    line = f"{key_id}:{_digest(secret)}:{'+'.join(sorted(scopes))}:{'+'.join(sorted(tenants))}"
    if expires is not None:
        line += f":{expires.isoformat()}"
    AdminKey.parse(line)
    return f"{_PREFIX}{key_id}_{secret}", line


def policy(scope: Scope, *, tenant: str = "") -> Callable[[Function], Function]:
    """Declare what a handler asks for; with `tenant`, which part of its path must be one of the key's.

    EVERY as `tenant`: what it tells is of everybody, and a key for some tenants does not open it.
    """

    def declare(handler: Function) -> Function:
        setattr(handler, _POLICY, Policy(scope, tenant))
        return handler

    return declare


def principal(request: web.Request) -> Principal:
    """Who makes this request. Raises the 401 problem when nobody known does."""
    known = request.get(_PRINCIPAL)
    if known is None:
        known = request[_PRINCIPAL] = _authenticate(request)
    return known


def require(request: web.Request, scope: Scope, tenant: str = "") -> Principal:
    """Who makes this request, having the scope and, where one is named, the tenant.

    Raises problems: 401 without a valid key, 403 without the scope, 404 for a tenant that is not
    the key's, 403 for EVERY one with a key for some. To be called for every record of a body that
    names a tenant.
    """
    who = principal(request)
    if scope not in who.scopes:
        raise Problem(403, f"this key has no {scope} scope")
    if tenant and not who.sees(tenant):
        raise Problem(403, "this key is for some tenants only") if tenant == EVERY else Problem(404)
    return who


def stands(request: web.Request) -> bool:
    """Whether the key of a request that is still being answered is valid yet."""
    try:
        return _authenticate(request) == principal(request)
    except Problem:
        return False


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Ask for what the handler's policy says before it runs."""
    asked = policy_of(request.match_info.handler)
    if asked is not None and asked.scope != "open":
        named = asked.tenant and asked.tenant != EVERY
        require(request, asked.scope, request.match_info.get(asked.tenant, "") if named else asked.tenant)
    return await handler(request)


def policy_of(handler: object) -> Policy | None:
    """What a handler declared."""
    declared = getattr(handler, _POLICY, None)
    return declared if isinstance(declared, Policy) else None


def accept(app: web.Application, keys: KeyRing) -> None:
    """Let the application's requests present these keys."""
    app[_KEYS] = keys


def has_keys(app: web.Application) -> bool:
    """Whether anybody can present a key."""
    return bool(app[_KEYS])


def check_policies(app: web.Application) -> None:
    """Raises DeclarationError naming every route, mounted ones too, that declares no policy."""
    bare = []
    for route in app.router.routes():
        declared = policy_of(route.handler)
        path = route.resource.canonical if route.resource else "?"
        if declared is None:
            bare.append(f"{route.method} {path}")
        elif declared.tenant not in {"", EVERY} and f"{{{declared.tenant}}}" not in path:
            bare.append(f"{route.method} {path} (no {{{declared.tenant}}} in it)")
    if bare:
        raise DeclarationError(
            f"routes without a policy ({', '.join(bare)})", hint="put @policy(...) on their handlers"
        )


def _authenticate(request: web.Request) -> Principal:
    bearer, own = request.headers.getall("Authorization", []), request.headers.getall("X-API-Key", [])
    if len(bearer) + len(own) > 1:
        raise _unauthorized("two credentials in one request")
    presented = own[0] if own else ""
    if bearer:
        kind, _, presented = bearer[0].partition(" ")
        presented = presented if kind.lower() == "bearer" else ""
    found = request.config_dict[_KEYS].find(presented.strip())
    if found is None:
        raise _unauthorized("a valid key is needed: Authorization: Bearer hwk_…, or X-API-Key")
    return found


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="headwater"'})


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
