"""The six endpoints over real HTTP: between two of ours, with the existing services, with whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backfill.customer_sync.checks import checks
from backfill.customer_sync.endpoints import MOST, PREFIX
from backfill.customer_sync.figures import Figures
from backfill.customer_sync.peer import AFTER, FINGERPRINT, PATHS
from backfill.customer_sync.service import Service, application, keys_of, vault_of
from consumers.customer_records.meeting import SIDES, Side
from headwater.admin import KeyRing, admin_application, issue, run_admin
from headwater.cli.checks import Finding
from headwater.config import AdminKey, AdminSettings, Dsn, Secret, Settings
from headwater.config.seeds import CustomerSyncSettings
from headwater.telemetry import Metrics
from headwater.testing import until
from tests.system.kept_customers import Kept
from tests.system.peers import old_service

KEY = Secret("a1" * 31 + "02")
ADA = "ada@planted.example"
ISSUED = {name: issue(name, ["read", "write"], ["*"]) for name in ("auth", "customer", "ops")}
READER, READER_LINE = issue("reader", ["read"], ["*"])
SOME, SOME_LINE = issue("some", ["read", "write"], ["7d0c0000-0000-4000-8000-000000000001"])
LIMITS = AdminSettings(
    keys=tuple(AdminKey.parse(line) for line in (ISSUED["ops"][1], READER_LINE, SOME_LINE)), open_metrics=True
)


def of(side: Side, **changed: Any) -> CustomerSyncSettings:
    other = "customer" if side == "auth" else "auth"
    usual: dict[str, Any] = {
        "encryption_key": KEY,
        "peers": (AdminKey.parse(ISSUED[other][1]),),
        f"{other}_service_key": Secret(ISSUED[side][0]),
        "interval": 0.0,
        "attempts": 2,
    }
    return CustomerSyncSettings(**{**usual, **changed})


class Running:
    """One side that is being served."""

    def __init__(self, side: Side, url: str, kept: Any, service: Service) -> None:
        self.url, self.kept, self.service = url, kept, service
        self.path = url + PATHS[side]

    async def ask(
        self, method: str = "GET", path: str = "", *, key: str = ISSUED["ops"][0], **given: Any
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= given.pop("headers", {})
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.path + path, headers=headers, **given) as answer,
        ):
            return answer.status, await answer.json(content_type=None)


Pair = tuple[Running, Running]


@contextlib.asynccontextmanager
async def served(side: Side, kept: Any, settings: CustomerSyncSettings) -> AsyncIterator[Running]:
    metrics = Metrics()
    service = Service(side, kept, settings, Figures(metrics))
    together = Settings(customer_sync=settings, admin=LIMITS)
    app = admin_application(
        KeyRing(LIMITS.keys),
        mounts={PREFIX: application([service], keys_of(together))},
        metrics=metrics,
        limits=LIMITS,
    )
    async with run_admin(app, "127.0.0.1", 0) as (_, port):
        yield Running(side, f"http://127.0.0.1:{port}", kept, service)


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    """Auth, which knows where customer is, and customer, which only answers."""
    async with served("customer", Kept("customer"), of("customer")) as customer:
        named = of("auth", customer_service_url=Dsn(customer.url), page=3)
        async with served("auth", Kept("auth"), named) as auth:
            yield auth, customer


async def test_a_trigger_syncs_in_both_directions_and_the_next_one_writes_nothing(
    pair: Pair,
) -> None:
    auth, customer = pair
    for number in range(7):
        auth.kept.edit(f"a{number}", name="Ada", email=f"{number}{ADA}")
        customer.kept.edit(f"c{number}", name="Bob", email=f"{number}{ADA}")

    status, first = await auth.ask("POST", "/trigger")

    assert status == 200
    assert first["message"] == "full sync completed successfully"
    assert first["pulled"]["counts"] == {"applied": 7}
    assert auth.kept.copies == customer.kept.copies
    assert len(auth.kept.copies) == 14
    assert [(await one.kept.standing()).unsynced for one in pair] == [0, 0]
    _, second = await auth.ask("POST", "/trigger")
    assert second["pushed"]["counts"] == {}
    assert (auth.kept.writes, customer.kept.writes) == (7, 7)


async def test_a_deletion_travels_and_a_concurrent_edit_is_told(pair: Pair) -> None:
    auth, customer = pair
    for record in ("c1", "c2"):
        auth.kept.edit(record, name="Ada", email=ADA)
    await auth.ask("POST", "/trigger")
    auth.kept.delete("c1")
    auth.kept.edit("c2", name="Ada of auth")
    customer.kept.edit("c2", name="Ada of customer")

    _, told = await auth.ask("POST", "/trigger")

    assert not customer.kept.copies["c1"].alive
    assert auth.kept.copies == customer.kept.copies
    assert [one["verdict"] for one in told["pulled"]["problems"]] == ["conflict"]


async def test_a_record_that_does_not_open_is_told_and_the_rest_goes_on(
    pair: Pair,
) -> None:
    auth, customer = pair
    for record in ("c1", "c2", "c3"):
        auth.kept.edit(record, name="Ada", email=record + ADA)
    auth.kept.broken = {"c2"}

    _, told = await auth.ask("POST", "/trigger")

    assert sorted(customer.kept.copies) == ["c1", "c3"]
    assert told["pushed"]["failed"] == 1
    assert told["pushed"]["problems"] == [
        {"id": "c2", "verdict": "quarantined", "reason": "it does not open"}
    ]


async def test_a_list_is_in_order_whole_or_by_pages_or_of_what_is_unsynced(
    pair: Pair,
) -> None:
    auth, _ = pair
    for number in range(501):
        auth.kept.edit(f"c{number:03}", name="Ada", email=f"{number}{ADA}")
    auth.kept.synced = {name: copy.vector for name, copy in auth.kept.copies.items() if name != "c400"}

    assert [one["id"] for one in (await auth.ask())[1]] == sorted(auth.kept.copies)
    assert [one["id"] for one in (await auth.ask(path="?unsynced=true"))[1]] == ["c400"]
    assert [one["id"] for one in (await auth.ask(path="?limit=2&after=c007"))[1]] == ["c008", "c009"]


async def test_a_full_page_says_what_the_next_comes_after_and_with_which_key_it_is_sealed(
    pair: Pair,
) -> None:
    auth, _ = pair
    for name in ("a b", "ö/1", "z"):
        auth.kept.edit(name, name="Ada", email=name + ADA)
    headers = {"Authorization": f"Bearer {READER}"}
    seen = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for path in ("?limit=2", "?limit=2&after=z"):
            async with session.get(auth.path + path) as answer:
                seen.append(answer.headers.get(AFTER))
                assert answer.headers[FINGERPRINT] == vault_of(of("auth")).key.id

    assert seen == ["z", None]


async def test_no_address_leaves_in_the_clear_but_to_a_service_called_legacy(
    pair: Pair,
) -> None:
    auth, _ = pair
    auth.kept.edit("c1", name="Ada", email=ADA)
    for key in (ISSUED["customer"][0], ISSUED["ops"][0]):
        _, listed = await auth.ask(key=key)
        assert listed[0]["sync_version"] == 1
        assert "planted" not in json.dumps(listed)

    async with served("auth", auth.kept, of("auth", legacy=("customer",))) as old:
        _, plain = await old.ask(key=ISSUED["customer"][0])
        assert plain[0]["email"] == ADA
        assert "planted" not in json.dumps((await old.ask())[1])


WRONG = {
    "nothing": "",
    "no key of ours": "secret",
    "a wrong secret": ISSUED["ops"][0] + "x",
    "an unknown id": "hwk_nobody_x",
}


@pytest.mark.parametrize("what", WRONG)
async def test_without_a_key_nobody_gets_or_gives_anything(pair: Pair, what: str) -> None:
    auth, _ = pair
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/trigger")):
        status, body = await auth.ask(
            method, path, key=WRONG[what], data=b"x" * 9 if method == "POST" else None
        )
        assert (status, body["status"]) == (401, 401)


@pytest.mark.parametrize(
    ("key", "method", "path"),
    [(READER, "POST", ""), (READER, "POST", "/trigger"), (SOME, "GET", ""), (ISSUED["auth"][0], "GET", "")],
    ids=["a reader tells", "a reader triggers", "some tenants' reads", "the service itself reads"],
)
async def test_a_key_opens_what_it_is_for(pair: Pair, key: str, method: str, path: str) -> None:
    async with served("auth", pair[0].kept, of("auth", peers=(AdminKey.parse(ISSUED["auth"][1]),))) as auth:
        assert (await auth.ask(method, path, key=key))[0] == 403


async def test_the_key_of_a_service_opens_nothing_else_of_the_process(pair: Pair) -> None:
    auth, _ = pair
    key = ISSUED["customer"][0]
    assert (await auth.ask(key=key))[0] == 200
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.get(f"{auth.url}/readyz?verbose") as answer,
    ):
        assert answer.status == 401


async def test_a_service_called_anonymous_needs_no_key_and_a_wrong_key_is_still_wrong() -> None:
    async with served("auth", Kept("auth"), of("auth", anonymous=("customer",))) as auth:
        assert (await auth.ask(key=""))[0] == 200
        assert (await auth.ask(key="hwk_nobody_x"))[0] == 401
    async with served("auth", Kept("auth"), of("auth", anonymous=("auth",))) as auth:
        assert (await auth.ask(key=""))[0] == 401


def sealed(record: str, **changes: Any) -> dict[str, Any]:
    vault = vault_of(of("auth"))
    edits = {"auth": 0, "customer": 1, "name": ["customer", 1], "email": ["customer", 1]}
    return {
        "id": record,
        "name": "Ada",
        "email": vault.seal("transport", record, ADA),
        "edits": edits,
        **changes,
    }


async def test_of_many_records_each_is_answered_for(pair: Pair) -> None:
    auth, _ = pair
    given = [sealed("c1"), sealed("c2", email=ADA), 7, sealed("c3", name=None), sealed("c1")]

    status, body = await auth.ask("POST", json=given)

    assert status == 200
    assert [one["verdict"] for one in body["results"]] == [
        "applied",
        "refused",
        "refused",
        "refused",
        "dropped",
    ]
    assert body["message"] == "sync completed successfully"
    assert list(auth.kept.copies) == ["c1"]
    assert "planted" not in json.dumps(body)


async def test_where_none_was_taken_the_answer_is_no_success(pair: Pair) -> None:
    auth, _ = pair
    for bad in (sealed("c1", email=ADA), [sealed("c1", edits=None)], {}):
        status, body = await auth.ask("POST", json=bad)
        assert (status, body["error"]) == (422, "no record was taken")
    assert (await auth.ask("POST", json=[]))[0] == 200


BODIES: dict[str, tuple[dict[str, Any], int]] = {
    "no JSON": ({"data": b"{"}, 400),
    "a text": ({"data": b'"ada@planted.example"'}, 422),
    "a name twice": ({"data": b'{"id": "a", "id": "b"}'}, 400),
    "not a number": ({"data": b'[{"id": NaN}]'}, 400),
    "too deep": ({"data": b"[" * 100_000}, 400),
    "half a character": ({"data": b'["\xff"]'}, 400),
    "a million records": ({"data": b"[" + b"1," * 999_999 + b"1]"}, 413),
    "more records than one may": ({"json": [sealed("c1")] * (MOST + 1)}, 413),
    "a body beyond the limit": ({"data": b"[" + b" " * 2**23 + b"]"}, 413),
    "a body that unpacks beyond it": (
        {"data": gzip.compress(b"[" + b" " * 2**25 + b"]"), "headers": {"Content-Encoding": "gzip"}},
        413,
    ),
    "what can not be unpacked": ({"data": b"no gzip", "headers": {"Content-Encoding": "gzip"}}, 400),
    "a form": ({"data": {"id": "c1"}}, 415),
}


@pytest.mark.parametrize("what", BODIES)
async def test_a_bad_body_is_refused_and_the_service_goes_on(pair: Pair, what: str) -> None:
    auth, _ = pair
    details, expected = BODIES[what]
    headers = dict(details.get("headers", {}))
    sent = {**details, "headers": headers}
    if isinstance(details.get("data"), bytes):
        headers["Content-Type"] = "application/json"
        sent["data"] = io.BytesIO(details["data"])

    status, body = await auth.ask("POST", **sent)

    assert status == expected
    assert body["error"]
    assert "planted" not in json.dumps(body)
    assert (await auth.ask("POST", json=sealed("c9")))[0] == 200


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=%D9%A1", "unsynced=maybe", "after=" + "x" * 257],
)
async def test_a_question_that_makes_no_sense_is_named(pair: Pair, query: str) -> None:
    status, body = await pair[0].ask(path=f"?{query}")

    assert status == 400
    assert body["field"] == query.partition("=")[0]


names = st.sampled_from([*sealed("c1"), "x"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda one: (
        st.lists(one, max_size=3) | st.dictionaries(st.sampled_from([*sealed("c1"), "x"]), one, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=anything)
async def test_whatever_is_posted_is_answered(pair: Pair, given: Any) -> None:
    try:
        text = json.dumps(given).encode()
    except UnicodeEncodeError:
        return
    status, _ = await pair[0].ask("POST", data=text, headers={"Content-Type": "application/json"})

    assert status in {200, 400, 422}


async def test_without_another_service_a_trigger_says_so(pair: Pair) -> None:
    status, body = await pair[1].ask("POST", "/trigger")

    assert (status, body["error"]) == (409, "failed to sync data")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "status", "status": 503}, 503),
        ({"kind": "status", "status": 307}, 502),
        ({"kind": "half"}, 503),
    ],
)
async def test_a_trigger_whose_peer_fails_says_how(fault: dict[str, Any], expected: int) -> None:
    async with old_service("customer") as old:
        await old.put("fault", [fault] * 9)
        async with served("auth", Kept("auth"), of("auth", customer_service_url=Dsn(old.url))) as auth:
            status, body = await auth.ask("POST", "/trigger")

    assert (status, body["error"]) == (expected, "failed to sync data")


async def test_with_an_existing_service_both_directions_work_and_it_is_told_one_by_one() -> None:
    async with old_service("customer") as old:
        named = of("auth", customer_service_url=Dsn(old.url), legacy=("customer",), anonymous=("customer",))
        async with served("auth", Kept("auth"), named) as auth:
            await old.put("peer", auth.url)
            await old.put("rows", [{"id": "c1", "name": "Bob", "email": "bob" + ADA}])
            for record in ("a1", "a2", "a3"):
                auth.kept.edit(record, name="Ada", email=record + ADA)
            auth.kept.delete("a3")

            _, told = await auth.ask("POST", "/trigger")
            rows = await old.get("rows")

            assert auth.kept.copies["c1"].email.value == "bob" + ADA
            assert told["pulled"]["counts"] == {"applied": 1}
            assert told["pushed"]["counts"] == {"applied": 2, "dropped": 1}
            # It ignored what it was told, and fetched it: plain, without what was deleted.
            assert {name: row["email"] for name, row in rows.items() if name != "c1"} == {
                "a1": "a1" + ADA,
                "a2": "a2" + ADA,
            }
            assert (await auth.kept.standing()).unsynced == 0


async def test_an_existing_service_that_triggers_is_served_as_it_expects() -> None:
    async with old_service("customer") as old:
        named = of("auth", legacy=("customer",), anonymous=("customer",))
        async with served("auth", Kept("auth"), named) as auth:
            await old.put("peer", auth.url)
            await old.put("rows", [{"id": "c1", "name": "Bob", "email": "bob" + ADA}])
            auth.kept.edit("a1", name="Ada", email=ADA)
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{old.url}{PATHS['customer']}/trigger") as answer,
            ):
                assert await answer.json() == {"message": "full sync completed successfully"}
            rows = await old.get("rows")

    assert rows["a1"]["email"] == ADA
    assert rows["c1"]["sync_version"] == 2
    assert auth.kept.copies["c1"].name.value == "Bob"


async def test_those_who_trigger_at_once_get_the_outcome_of_one_sync(pair: Pair) -> None:
    auth, _ = pair
    auth.kept.edit("c1", name="Ada", email=ADA)

    answers = await asyncio.gather(*(auth.ask("POST", "/trigger") for _ in range(8)))

    assert [status for status, _ in answers] == [200] * 8
    assert max(body["pushed"]["counts"].get("applied", 0) for _, body in answers) == 1


async def test_by_the_clock_both_sides_come_together_and_the_figures_say_so() -> None:
    kept = {side: Kept(side) for side in SIDES}
    kept["auth"].edit("a1", name="Ada", email=ADA)
    kept["customer"].edit("c1", name="Bob", email=ADA)
    async with served("customer", kept["customer"], of("customer")) as customer:
        named = of("auth", customer_service_url=Dsn(customer.url), interval=0.05)
        async with served("auth", kept["auth"], named) as auth:
            await until(lambda: set(kept["auth"].copies) == set(kept["customer"].copies) == {"a1", "c1"})
            async with aiohttp.ClientSession() as session, session.get(f"{auth.url}/metrics") as answer:
                text = await answer.text()

    assert 'headwater_customers_synced_total{side="auth",verdict="applied"} 1.0' in text
    assert 'headwater_customers_unsynced{side="auth"}' in text
    assert "planted" not in text


async def test_a_peer_that_is_away_by_the_clock_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept("auth")
    kept.edit("a1", name="Ada", email=ADA)
    async with old_service("customer") as old:
        await old.put("fault", [{"kind": "status", "status": 503}] * 6)
        named = of("auth", customer_service_url=Dsn(old.url), legacy=("customer",), interval=0.05, attempts=1)
        async with served("auth", kept, named):
            await until(lambda: "a1" in kept.synced)
            seen = await old.get("seen")

    assert len(seen) > 6
    assert "planted" not in caplog.text


async def found(**changed: Any) -> dict[str, Finding]:
    return {one.check: one async for one in checks(Settings(customer_sync=of("auth", **changed)))}


async def test_doctor_names_a_service_whose_key_is_another(pair: Pair) -> None:
    url = Dsn(pair[1].url)
    mine = vault_of(of("auth")).key.id
    stranger = Secret("b1" * 31 + "02")
    theirs = vault_of(of("auth", encryption_key=stranger)).key.id

    same = (await found(customer_service_url=url))["customers customer service"]
    other = (await found(customer_service_url=url, encryption_key=stranger))["customers customer service"]

    assert same.state == "ok"
    assert other.state == "fail"
    assert mine in other.detail
    assert theirs in other.detail
    assert "ENCRYPTION_KEY" in other.fix


async def test_doctor_names_a_service_that_is_away_refuses_us_or_is_an_existing_one(pair: Pair) -> None:
    name, url = "customers customer service", Dsn(pair[1].url)
    async with old_service("customer") as old:
        none = await found(customer_service_url=Dsn(old.url))
        legacy = await found(customer_service_url=Dsn(old.url), legacy=("customer",), anonymous=("customer",))
    assert none[name].detail == "it names no key: it is none of ours"
    assert legacy[name].state == "warn"
    assert legacy["customers customer anonymous"].state == "warn"
    assert (await found(customer_service_url=Dsn(old.url)))[name].state == "warn"
    refused = (await found(customer_service_url=url, customer_service_key=None))[name]
    assert refused.state == "fail"
    assert "HEADWATER_CUSTOMER_SYNC_CUSTOMER_SERVICE_KEY" in refused.fix


async def test_doctor_asks_nothing_where_no_customer_sync_is_set_up() -> None:
    assert [one async for one in checks(Settings())] == []
