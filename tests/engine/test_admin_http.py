"""The admin interface over real sockets: keys, tenants, bodies, limits and answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from headwater.admin import (
    KeyRing,
    Problem,
    admin_application,
    issue,
    policy,
    principal,
    read_json,
    reply,
    require,
    run_admin,
)
from headwater.config import AdminKey, AdminSettings
from headwater.errors import BrokerUnavailable, DeclarationError, JobRefused, SettingsError
from headwater.telemetry import Metrics
from headwater.testing import until

MINE, FOREIGN = "7d0c0000-0000-4000-8000-000000000001", "7d0c0000-0000-4000-8000-000000000002"
LIMITS = AdminSettings(header_timeout=0.3, keepalive=0.5, body_timeout=0.3, connections=6, stop_timeout=2.0)

OPS, OPS_LINE = issue("ops", ["read", "write"], ["*"])
READER, READER_LINE = issue("reader", ["read"], [MINE])
EXPIRED, EXPIRED_LINE = issue(
    "old", ["read", "write"], ["*"], expires=datetime.now(UTC) - timedelta(seconds=1)
)
KEYS = [AdminKey.parse(line) for line in (OPS_LINE, READER_LINE, EXPIRED_LINE)]


class Wanted(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    is_enabled: bool = True
    limit: int = 1


class System:
    """An application as a project would mount it, with a dependency that can be made to fail."""

    def __init__(self) -> None:
        self.trouble: Exception | str | None = None
        self.entered, self.go = asyncio.Event(), asyncio.Event()
        self.http = web.Application()
        self.http.router.add_get("/tenants/{orgId}", self.tenant)
        self.http.router.add_post("/tenants/{orgId}/toggle", self.toggle)
        self.http.router.add_post("/batch", self.batch)
        self.http.router.add_get("/broken/{how}", self.broken)
        self.http.router.add_get("/slow", self.slow)

    @policy("read", tenant="orgId")
    async def tenant(self, request: web.Request) -> web.Response:
        return reply({"who": principal(request).id, "at": datetime(2026, 1, 1, tzinfo=UTC)})

    @policy("write", tenant="orgId")
    async def toggle(self, request: web.Request) -> web.Response:
        wanted = await read_json(request, Wanted)
        return reply({"isEnabled": wanted.is_enabled}, 202)

    @policy("write")
    async def batch(self, request: web.Request) -> web.Response:
        for tenant in await read_json(request, list[str]):
            require(request, "write", tenant)
        return reply({"ok": True})

    @policy("read")
    async def broken(self, request: web.Request) -> web.Response:
        raise {
            "defect": RuntimeError("postgres://u:canary@h"),
            "refused": JobRefused("a job is running", hint="cancel it"),
            "away": BrokerUnavailable("redis://u:canary@h is away"),
            "problem": Problem(409, "not now", job="j1"),
            "moved": web.HTTPFound("/livez"),
        }[request.match_info["how"]]

    @policy("read")
    async def slow(self, _: web.Request) -> web.Response:
        self.entered.set()
        await self.go.wait()
        return reply({"done": True})

    async def check(self) -> str | None:
        if isinstance(self.trouble, Exception):
            raise self.trouble
        return self.trouble


class Client:
    """A browser of one server, with or without a key."""

    def __init__(self, session: aiohttp.ClientSession, address: tuple[str, int], system: System) -> None:
        self.session, self.address, self.system = session, address, system

    async def __call__(self, method: str, path: str, key: str = OPS, **details: Any) -> tuple[int, Any, Any]:
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **details.pop("headers", {})}
        url = f"http://{self.address[0]}:{self.address[1]}{path}"
        async with self.session.request(
            method, url, headers=headers, allow_redirects=False, **details
        ) as answer:
            raw = await answer.read()
            kind = answer.content_type
            return answer.status, json.loads(raw) if raw and "json" in kind else raw, answer.headers


@contextlib.asynccontextmanager
async def serving(system: System, **changes: Any) -> AsyncIterator[tuple[str, int]]:
    app = admin_application(
        changes.get("keys", KeyRing(KEYS)),
        checks={"redis": system.check},
        mounts={"/admin": system.http},
        metrics=Metrics("1"),
        limits=changes.get("limits", LIMITS),
    )
    async with run_admin(app, "127.0.0.1", 0) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="session")
async def call() -> AsyncIterator[Client]:
    system = System()
    connector = aiohttp.TCPConnector(force_close=True)
    async with serving(system) as address, aiohttp.ClientSession(connector=connector) as session:
        yield Client(session, address, system)


async def test_a_key_is_taken_as_bearer_or_as_api_key(call: Client) -> None:
    bearer = await call("GET", f"/admin/tenants/{MINE}")
    own = await call("GET", f"/admin/tenants/{MINE}", key="", headers={"X-API-Key": READER})

    assert (bearer[0], bearer[1]) == (200, {"who": "ops", "at": "2026-01-01T00:00:00Z"})
    assert (own[0], own[1]["who"]) == (200, "reader")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, ""),
        ({}, "nonsense"),
        ({}, OPS + "x"),
        ({}, "hwk_nobody_" + OPS.split("_", 2)[2]),
        ({}, "hwk_reader_" + OPS.split("_", 2)[2]),
        ({}, EXPIRED),
        ({"Authorization": "Basic b3BzOm9wcw=="}, ""),
        ({"X-API-Key": OPS}, OPS),
    ],
    ids=("no", "nonsense", "longer", "nobody's", "another's", "expired", "basic", "elsewhere"),
)
async def test_no_other_credential_is_taken(call: Client, headers: dict[str, str], key: str) -> None:
    """None, a wrong one, another's secret, an expired one, another kind, two at once."""
    status, body, answered = await call("GET", f"/admin/tenants/{MINE}", key=key, headers=headers)

    assert status == 401
    assert body["title"] == "Unauthorized"
    assert answered["WWW-Authenticate"].startswith("Bearer")


async def test_a_foreign_tenant_looks_like_one_that_does_not_exist(call: Client) -> None:
    own = await call("GET", f"/admin/tenants/{MINE.upper()}", key=READER)
    foreign = await call("GET", f"/admin/tenants/{FOREIGN}", key=READER)
    absent = await call("GET", "/admin/absent", key=READER)

    assert own[0] == 200
    assert foreign[0] == absent[0] == 404
    assert {**foreign[1], "correlationId": ""} == {**absent[1], "correlationId": ""}


async def test_a_key_without_the_scope_is_refused_whatever_the_tenant(call: Client) -> None:
    answers = [
        await call("POST", f"/admin/tenants/{tenant}/toggle", key=READER) for tenant in (MINE, FOREIGN)
    ]

    assert [answer[0] for answer in answers] == [403, 403]


async def test_every_record_of_a_batch_is_compared_with_the_tenants_of_the_key() -> None:
    key, line = issue("t", ["write"], [MINE])
    system = System()
    async with (
        serving(system, keys=KeyRing([AdminKey.parse(line)])) as address,
        aiohttp.ClientSession() as session,
    ):
        call = Client(session, address, system)

        assert (await call("POST", "/admin/batch", key=key, json=[MINE]))[0] == 200
        assert (await call("POST", "/admin/batch", key=key, json=[MINE, FOREIGN]))[0] == 404


async def test_every_route_asks_for_a_key_except_the_open_ones(call: Client) -> None:
    open_paths = {"/livez", "/live", "/healthz", "/readyz", "/ready"}
    paths = [
        ("GET", f"/admin/tenants/{MINE}"),
        ("POST", f"/admin/tenants/{MINE}/toggle"),
        ("POST", "/admin/batch"),
        ("GET", "/admin/broken/defect"),
        ("GET", "/admin/slow"),
        ("GET", "/metrics"),
        ("GET", "/readyz?verbose"),
    ]

    assert {(await call(method, path, key=""))[0] for method, path in paths} == {401}
    assert {(await call("GET", path, key=""))[0] for path in open_paths} == {200}


async def test_an_application_with_a_route_without_a_policy_does_not_start() -> None:
    async def bare(_: web.Request) -> web.Response:
        return web.Response()

    mounted = web.Application()
    mounted.router.add_get("/bare", bare)
    with pytest.raises(DeclarationError, match=r"without a policy \(HEAD /x/bare, GET /x/bare\)|GET /x/bare"):
        admin_application(KeyRing([]), mounts={"/x": mounted})

    misnamed = web.Application()
    misnamed.router.add_get("/{org}", policy("read", tenant="orgId")(bare))
    with pytest.raises(DeclarationError, match="orgId"):
        admin_application(KeyRing([]), mounts={"/x": misnamed})


async def test_a_public_address_without_keys_is_refused() -> None:
    with pytest.raises(SettingsError, match="open to everyone"):
        async with run_admin(admin_application(KeyRing([])), "0.0.0.0", 0):  # noqa: S104 (that it is refused)
            pass
    async with run_admin(admin_application(KeyRing(KEYS)), "0.0.0.0", 0) as (_, port):  # noqa: S104 (with keys)
        assert port > 0


async def test_a_port_that_is_taken_is_a_matter_of_settings(call: Client) -> None:
    with pytest.raises(SettingsError, match="can not listen"):
        async with run_admin(admin_application(KeyRing([])), *call.address):
            pass


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"isEnabled": "yes"}', "isEnabled"),
        (b'{"limit": 1.5}', "limit"),
        (b'{"limit": ' + b"9" * 5000 + b"}", ""),
        (b'{"limit": NaN}', ""),
        (b'{"limit": 1, "limit": 2}', ""),
        (b'{"unknown": 1}', ""),
        (b'{"isEnabled": "\xff"}', ""),
        (b"[" * 30_000 + b"]" * 30_000, ""),
        (b'{"a":' * 10_000, ""),
        (b"[1]", ""),
        (b"{", ""),
        (b"null", ""),
        (b"\xef\xbb\xbf{}", ""),
        (b'{"limit": 1e400}', ""),
    ],
)
async def test_a_body_that_is_not_what_was_asked_for_is_a_400_that_names_the_field(
    call: Client, body: bytes, detail: str
) -> None:
    status, problem, headers = await call(
        "POST", f"/admin/tenants/{MINE}/toggle", data=body, headers={"Content-Type": "application/json"}
    )

    assert status == 400
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["detail"]
    assert problem.get("field", "") == detail or not detail


async def test_an_absent_body_stands_for_an_empty_object(call: Client) -> None:
    assert (await call("POST", f"/admin/tenants/{MINE}/toggle"))[:2] == (202, {"isEnabled": True})


async def test_a_body_of_another_type_is_refused(call: Client) -> None:
    status, problem, _ = await call(
        "POST", f"/admin/tenants/{MINE}/toggle", data=b"a=1", headers={"Content-Type": "text/plain"}
    )

    assert (status, problem["title"]) == (415, "Unsupported Media Type")


async def test_a_body_that_is_too_large_is_refused_also_when_it_was_packed(call: Client) -> None:
    path, kind = f"/admin/tenants/{MINE}/toggle", {"Content-Type": "application/json"}
    bomb = zlib.compress(b'"' + b"a" * 50_000_000 + b'"')

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 1024

    declared = await call("POST", path, data=b" " * 70_000, headers=kind)
    packed = await call("POST", path, data=bomb, headers={**kind, "Content-Encoding": "deflate"})
    undeclared = await call("POST", path, data=endless(), headers=kind)

    assert [answer[0] for answer in (declared, packed, undeclared)] == [413, 413, 413]


async def test_a_body_that_can_not_be_unpacked_is_refused(call: Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    assert (await call("POST", f"/admin/tenants/{MINE}/toggle", data=b"not gzip at all", headers=headers))[
        0
    ] == 400


async def raw(call: Client, text: bytes) -> bytes:
    """What comes back until the server closes the connection, for something written by hand."""
    reader, writer = await asyncio.open_connection(*call.address)
    writer.write(text)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


async def test_a_body_that_does_not_arrive_in_time_is_a_408(call: Client) -> None:
    head = f"POST /admin/tenants/{MINE}/toggle HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPS}\r\n"

    answer = await raw(
        call, head.encode() + b'Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"is'
    )

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in answer


async def test_a_connection_that_sends_no_whole_head_is_closed(call: Client) -> None:
    """A silent one, and one that stops in the middle of a header."""
    assert await raw(call, b"") == b""
    assert await raw(call, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""


async def test_an_idle_connection_is_closed(call: Client) -> None:
    answer = await raw(call, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200")


async def test_what_is_not_http_is_answered_as_a_problem(call: Client) -> None:
    answer = await raw(call, b"GET /\x00 nonsense\r\n\r\n")

    assert answer.startswith(b"HTTP/1.0 400")
    assert b"application/problem+json" in answer
    assert b"correlationId" in answer
    assert b"aiohttp" not in answer


async def test_more_connections_than_allowed_are_turned_away_and_later_ones_served(call: Client) -> None:
    held = [await asyncio.open_connection(*call.address) for _ in range(LIMITS.connections)]

    refused = await raw(call, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    for _, writer in held:
        writer.close()

    async def served() -> bool:
        return (await call("GET", "/livez"))[0] == 200

    assert refused.startswith(b"HTTP/1.1 503")
    assert await until(served)


@pytest.mark.parametrize(
    ("how", "status", "extra"),
    [
        ("defect", 500, {}),
        ("refused", 409, {"detail": "a job is running", "hint": "cancel it"}),
        ("away", 503, {}),
        ("problem", 409, {"detail": "not now", "job": "j1"}),
    ],
)
async def test_every_error_is_a_problem_without_our_insides(
    call: Client, how: str, status: int, extra: dict[str, str]
) -> None:
    answered, problem, headers = await call("GET", f"/admin/broken/{how}")

    assert answered == problem["status"] == status
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["correlationId"] == headers["X-Correlation-Id"]
    assert extra.items() <= problem.items()
    assert "canary" not in json.dumps(problem)


async def test_an_unknown_path_and_a_wrong_method_are_problems(call: Client) -> None:
    absent = await call("GET", "/absent")
    wrong = await call("DELETE", "/livez")

    assert (absent[0], absent[1]["title"]) == (404, "Not Found")
    assert (wrong[0], wrong[2]["Allow"]) == (405, "GET,HEAD")
    assert wrong[2]["Content-Type"] == "application/problem+json"


async def test_a_redirect_is_no_error(call: Client) -> None:
    status, _, headers = await call("GET", "/admin/broken/moved")

    assert (status, headers["Location"]) == (302, "/livez")


async def test_a_correlation_id_is_taken_over_only_when_it_is_harmless(call: Client) -> None:
    kept = await call("GET", "/livez", headers={"X-Correlation-Id": "sync-12345678"})
    made = await call("GET", "/livez", headers={"X-Correlation-Id": "<script>alert(1)</script>"})

    assert kept[2]["X-Correlation-Id"] == "sync-12345678"
    assert "<" not in made[2]["X-Correlation-Id"]


async def test_readiness_says_which_check_fails_only_to_a_key(call: Client) -> None:
    call.system.trouble = BrokerUnavailable("redis://u:canary@h does not answer")

    bare = await call("GET", "/readyz", key="")
    verbose = await call("GET", "/readyz?verbose")

    assert (bare[0], bare[1]) == (503, {"status": "fail"})
    assert verbose[1]["checks"]["redis"]["status"] == "fail"
    assert verbose[1]["checks"]["redis"]["output"] == "BrokerUnavailable: redis://u:***@h does not answer"


async def test_what_tells_of_every_tenant_is_closed_to_a_key_for_some() -> None:
    app = admin_application(KeyRing(KEYS), metrics=Metrics("1"))
    async with run_admin(app, "127.0.0.1", 0) as address, aiohttp.ClientSession() as session:
        ask = Client(session, address, System())
        for path in ("/metrics", "/readyz?verbose", "/readyz?verbose=1", "/ready?verbose"):
            status, body, _ = await ask("GET", path, key=READER)
            assert (status, json.loads(body)["detail"] if isinstance(body, bytes) else body["detail"]) == (
                403,
                "this key is for some tenants only",
            ), path
            assert (await ask("GET", path))[0] == 200
        assert (await ask("GET", "/readyz", key=READER))[:2] == (200, {"status": "pass"})


async def test_readiness_returns_when_the_trouble_is_over(call: Client) -> None:
    call.system.trouble = "no group"
    assert (await call("GET", "/readyz"))[0] == 503
    call.system.trouble = None

    async def ready() -> bool:
        return (await call("GET", "/readyz"))[0] == 200

    assert await until(ready)


async def test_metrics_are_served_to_a_key_even_while_sampling_fails() -> None:
    async def sample() -> None:
        raise BrokerUnavailable("away")

    app = admin_application(KeyRing(KEYS), metrics=Metrics("1"), sample=sample)
    async with run_admin(app, "127.0.0.1", 0) as address, aiohttp.ClientSession() as session:
        status, body, headers = await Client(session, address, System())("GET", "/metrics")

    assert status == 200
    assert b'headwater_build_info{version="1"} 1.0' in body
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_metrics_can_be_opened_by_name() -> None:
    app = admin_application(KeyRing(KEYS), metrics=Metrics(), limits=AdminSettings(open_metrics=True))
    async with run_admin(app, "127.0.0.1", 0) as address, aiohttp.ClientSession() as session:
        assert (await Client(session, address, System())("GET", "/metrics", key=""))[0] == 200


async def test_no_answer_tells_which_software_this_is(call: Client) -> None:
    for path in ("/livez", "/absent", "/admin/broken/defect"):
        _, body, headers = await call("GET", path)
        assert headers["Server"] == "headwater"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "aiohttp" not in str(body)


async def test_a_request_in_hand_finishes_before_the_server_stops() -> None:
    system = System()
    async with aiohttp.ClientSession() as session, contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(system))
        request = asyncio.create_task(Client(session, address, system)("GET", "/admin/slow"))
        await system.entered.wait()

        stopping = asyncio.create_task(stack.aclose())
        await until(lambda: refused(address))
        system.go.set()
        await stopping

        assert (await request)[:2] == (200, {"done": True})


async def refused(address: tuple[str, int]) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


def test_a_key_is_stored_only_as_its_digest() -> None:
    key, line = issue("ops", ["read"], ["*"])

    assert key.startswith("hwk_ops_")
    assert len(key) >= 50
    assert key.split("_", 2)[2] not in line
    assert KeyRing([AdminKey.parse(line)]).find(key) is not None


def test_two_keys_with_one_id_are_refused() -> None:
    with pytest.raises(DeclarationError, match="'ops'"):
        KeyRing([AdminKey.parse(OPS_LINE), AdminKey.parse(issue("ops", ["read"], ["*"])[1])])
