"""The client of the other service, on the existing one as a process: what it bears, and what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from backfill.customer_sync.dialect import Sent
from backfill.customer_sync.peer import Peer, PeerRefused, PeerUnavailable, Terms, checked
from headwater.config import Dsn, Secret
from headwater.errors import SettingsError
from tests.system.peers import Old, old_service

QUICK = {"timeout": 30.0, "first_pause": 0.001, "longest_pause": 0.01}
ADA = {"id": "c1", "name": "Ada", "email": "ada@planted.example"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def process() -> AsyncIterator[Old]:
    async with old_service("customer") as running:
        yield running


@pytest_asyncio.fixture
async def old(process: Old) -> Old:
    await process.put("nothing", {})
    return process


async def listed(old: Old, **terms: Any) -> list[Any]:
    async with Peer(Terms("customer", old.url, **{"legacy": True, **QUICK, **terms})) as peer:
        return [page async for page in peer.pages()]


async def test_nobody_is_null_and_somebody_is_a_list_without_versions(old: Old) -> None:
    assert await listed(old) == [None]

    await old.put("rows", [ADA])
    ((one,),) = await listed(old)
    assert sorted(one) == ["created_at", "email", "id", "name", "updated_at"]


async def test_a_service_that_knows_no_pages_is_read_once(old: Old) -> None:
    await old.put("rows", [{**ADA, "id": f"c{number}"} for number in range(5)])

    pages = await listed(old, legacy=False, page=2)

    assert [len(page) for page in pages] == [5]


async def test_the_key_is_presented_and_no_cookie(old: Old) -> None:
    await listed(old, key=Secret("hwk_auth_x"))

    (request,) = await old.get("seen")
    assert request["headers"]["Authorization"] == "Bearer hwk_auth_x"
    assert "Cookie" not in request["headers"]


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": status} for status in (429, 500, 502, 503, 504)] + [{"kind": "half"}],
)
async def test_what_fails_on_the_way_is_tried_again(old: Old, fault: dict[str, Any]) -> None:
    await old.put("fault", [fault, fault])

    assert await listed(old) == [None]
    assert len(await old.get("seen")) == 3


async def test_it_gives_up_after_so_many_attempts_and_says_how_it_was_answered(old: Old) -> None:
    await old.put("fault", [{"kind": "status", "status": 503}] * 9)

    with pytest.raises(PeerUnavailable, match="the customer service answers 503"):
        await listed(old, attempts=3)
    assert len(await old.get("seen")) == 3


async def test_it_is_left_alone_for_as_long_as_it_asks_and_not_longer_than_we_bear(old: Old) -> None:
    waits = {"Retry-After": "86400"}
    await old.put("fault", [{"kind": "status", "status": 429, "headers": waits}])

    assert await listed(old, longest_pause=0.05) == [None]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_refused_and_nothing_goes_where_it_points(old: Old, status: int) -> None:
    await old.put("fault", [{"kind": "status", "status": status, "headers": {"Location": f"{old.url}/rows"}}])

    with pytest.raises(PeerRefused, match=str(status)):
        await listed(old, key=Secret("hwk_auth_x"))
    assert len(await old.get("seen")) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_not_accepted_is_not_tried_again(old: Old, status: int) -> None:
    await old.put("fault", [{"kind": "status", "status": status}] * 2)

    with pytest.raises(PeerRefused, match="does not accept our key") as refused:
        await listed(old)
    assert "HEADWATER_CUSTOMER_SYNC_CUSTOMER_SERVICE_KEY" in refused.value.hint
    assert len(await old.get("seen")) == 1


@pytest.mark.parametrize("text", ["<html>", '{"email": "ada@planted.example"', "[" * 100_000, "\ud800"])
async def test_an_answer_that_is_no_json_is_refused_without_its_content(old: Old, text: str) -> None:
    await old.put("fault", [{"kind": "text", "text": text.encode("utf-8", "replace").decode()}])

    with pytest.raises(PeerRefused) as refused:
        await listed(old)
    assert "planted" not in str(refused.value)


async def test_an_answer_that_unpacks_to_more_than_the_limit_is_cut_off(old: Old) -> None:
    await old.put("fault", [{"kind": "bomb"}])

    with pytest.raises(PeerRefused, match="more than"):
        await listed(old)


async def test_a_service_that_says_nothing_is_waited_for_only_so_long(old: Old) -> None:
    await old.put("fault", [{"kind": "silence"}] * 2)

    with pytest.raises(PeerUnavailable, match="does not answer"):
        await listed(old, timeout=0.2, attempts=2)


async def test_a_service_that_dies_while_it_answers_is_unavailable() -> None:
    async with old_service("customer") as mortal:
        await mortal.put("fault", [{"kind": "death"}])

        with pytest.raises(PeerUnavailable, match="does not answer"):
            await listed(mortal, attempts=2)
        assert await mortal.process.wait() == 9


async def test_to_the_existing_service_records_go_one_by_one_as_it_reads_them(old: Old) -> None:
    async with Peer(Terms("customer", old.url, legacy=True)) as peer:
        answer = await peer.say([Sent(**ADA)])

    assert answer == {"message": "sync completed successfully"}
    (request,) = await old.get("seen")
    assert request["body"] == '{"id":"c1","name":"Ada","email":"ada@planted.example"}'


@pytest.mark.parametrize(
    "url", ["https://auth.example", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"]
)
def test_addresses_of_people_go_encrypted_or_stay_on_this_machine(url: str) -> None:
    assert checked("auth", Dsn(url + "/"), ()) == url


@pytest.mark.parametrize("url", ["http://auth.example", "http://10.0.0.1:8080", "http://127.0.0.1.example"])
def test_another_machine_without_encryption_is_refused_unless_it_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match="AUTH_SERVICE_URL is not encrypted"):
        checked("auth", Dsn(url), ("other.example",))
    assert checked("auth", Dsn(url), ("auth.example", "10.0.0.1", "127.0.0.1.example")) == url


@pytest.mark.parametrize(
    "url", ["https://u:p@auth.example", "https://auth.example?x=1", "https://auth.example#x"]
)
def test_an_address_with_more_than_an_address_in_it_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="more than an address") as refused:
        checked("auth", Dsn(url), ())
    assert "u:p" not in str(refused.value)
