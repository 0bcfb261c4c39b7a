"""What a tenant sync reads: the wrapper's database in one snapshot, and its API page by page."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from backfill import Story
from backfill.tenant_sync.database import DatabaseSource
from backfill.tenant_sync.errors import AuthError, InvalidError, NetworkError
from backfill.tenant_sync.retrying import Patience
from backfill.tenant_sync.source import (
    COLLECTIONS,
    CREDIT_CONFIG,
    EMPLOYEE_ASSIGNMENT,
    ORGANIZATION,
    ROLE,
    ROLE_ASSIGNMENT,
    TENANT,
    USER,
    Collection,
    Fact,
    Source,
)
from headwater.database import Database
from producers import Producers
from tests import wrapper_api
from tests.system.syncing import over
from tests.wrapper_api import EXPIRED, SERVICE_TOKEN, WrapperApi

LAST_TO_FIRST = """
    UPDATE tenant_users SET created_at = created_at - interval '1 hour'
     WHERE user_id IN (SELECT user_id FROM tenant_users ORDER BY created_at DESC, user_id DESC LIMIT 20)"""
"""The last twenty of the list become its first."""


async def founded(source: Database, producers: Producers, **size: int) -> str:
    """A tenant on its first day."""
    story = Story(source, producers, **size)
    await story.day_one()
    return story.tenants[0]


async def everything(source: Source, tenant: str, *collections: Collection) -> dict[str, list[Fact]]:
    """All facts by collection."""
    found: dict[str, list[Fact]] = {}
    async with source.reading(tenant, "sync-test") as reading:
        for one in collections or COLLECTIONS:
            found[one.name] = []
            async for page in reading.pages(one):
                assert page.refused == {}
                found[one.name] += page.facts
    return found


@pytest_asyncio.fixture
async def api(source: Database) -> AsyncIterator[WrapperApi]:
    """The wrapper's API over its tables."""
    async with wrapper_api.wrapper_api(source) as running:
        yield running


async def test_the_database_gives_every_row_once_parents_first(
    source: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers, organizations=12, users=11)

    found = await everything(DatabaseSource(source, "crm", chunk=5), tenant)

    counts = {name: len({fact.event.key for fact in facts}) for name, facts in found.items()}
    assert counts == {
        "tenants": 1,
        "organizations": 12,
        "roles": 3,
        "users": 11,
        "roleAssignments": 11,
        "employeeAssignments": 11,
        "creditConfigs": 0,
        "entityCredits": 1,
    }
    assert counts == {name: len(facts) for name, facts in found.items()}
    known: set[str | None] = {None}
    for fact in found["organizations"]:
        assert fact.event.parent_id in known  # type: ignore[attr-defined]
        known.add(fact.event.key)


async def test_all_pages_of_a_reading_of_the_database_are_of_one_moment(
    source: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers, users=4)

    async with DatabaseSource(source, "crm", chunk=2).reading(tenant, "sync-test") as reading:
        pages = reading.pages(USER)
        first = await anext(pages)
        await source.execute("DELETE FROM user_role_assignments; DELETE FROM organization_memberships")
        await source.execute("DELETE FROM tenant_users")
        rest = [fact async for page in pages for fact in page.facts]

    assert len(first.facts) + len(rest) == 4
    assert await everything(DatabaseSource(source, "crm"), tenant, USER) == {"users": []}


async def test_the_api_gives_the_same_rows_as_the_database(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers, organizations=3, users=230)
    await source.execute(
        "INSERT INTO credit_configurations (config_id, tenant_id, operation_code, credit_cost) "
        "VALUES (gen_random_uuid(), $1::text::uuid, 'crm.leads.create', 1.5)",
        tenant,
    )

    told, read = (
        await everything(over(api), tenant),
        await everything(DatabaseSource(source, "crm"), tenant),
    )

    for name, facts in read.items():
        assert {fact.event.key for fact in told[name]} == {fact.event.key for fact in facts}, name
    assert [one for one in api.asked if one.startswith("users")] == [f"users?page={n}" for n in (1, 2, 3)]
    assert api.correlations == {"sync-test"}
    states = {fact.event.key: fact.event for fact in read["users"]}
    for fact in told["users"]:
        mine, theirs = fact.event, states[fact.event.key]
        for name in ("email", "first_name", "last_name", "is_active", "primary_organization_id"):
            assert getattr(mine, name) == getattr(theirs, name)
    assert max(fact.version for facts in told.values() for fact in facts) < min(
        fact.version for facts in read.values() for fact in facts
    )


async def test_a_refused_token_is_renewed_once_for_all_pages(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers, users=450)
    api.tokens.clear()

    found = await everything(over(api, token=EXPIRED), tenant, USER)

    assert len(found["users"]) == 450
    assert api.asked.count("service-auth") == 1
    assert api.tokens == {SERVICE_TOKEN}


async def test_a_service_without_a_token_asks_for_one_first(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers)

    await everything(over(api, token=""), tenant, TENANT)

    assert api.asked == ["service-auth", "?page=1"]


async def test_a_token_that_stays_refused_is_an_auth_error_and_nobody_insists(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers)

    api.fail(r"users.*", wrapper_api.status(401), times=2)
    with pytest.raises(AuthError):
        await everything(over(api), tenant, USER)
    with pytest.raises(AuthError):
        await everything(over(api, token=EXPIRED, key="wrong"), tenant, ROLE)
    with pytest.raises(AuthError, match="no internal API key"):
        await everything(over(api, token=EXPIRED, key=""), tenant, ROLE)

    assert api.asked.count("users?page=1") == 2
    assert api.asked.count("roles?page=1") == 2


@pytest.mark.parametrize(
    "fault",
    [wrapper_api.status(500), wrapper_api.status(429, **{"Retry-After": "0"}), wrapper_api.cut],
    ids=["fails", "is busy", "breaks off"],
)
async def test_a_page_that_fails_is_asked_for_again_and_no_row_is_missed(
    source: Database, producers: Producers, api: WrapperApi, fault: wrapper_api.Fault
) -> None:
    tenant = await founded(source, producers, users=250)
    api.fail(r"users\?page=2", fault, times=2)

    found = await everything(over(api), tenant, USER)

    assert len({fact.event.key for fact in found["users"]}) == 250
    assert api.bitten == ["users?page=2"] * 2
    assert api.asked.count("users?page=1") == 1


async def test_a_request_without_an_answer_is_a_network_error(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers)
    api.fail("roles.*", wrapper_api.silence, times=2)

    with pytest.raises(NetworkError, match="no answer"):
        await everything(over(api, timeout=0.2, patience=Patience(0.01, jitter=0, attempts=2)), tenant, ROLE)

    assert api.bitten == ["roles?page=1"] * 2


async def test_a_last_page_that_never_comes_ends_the_reading_with_an_error(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers, users=250)
    api.fail(r"users\?page=3", wrapper_api.status(503), times=9)

    with pytest.raises(NetworkError) as failed:
        await everything(over(api), tenant, USER)

    assert failed.value.tried
    assert api.bitten == ["users?page=3"] * 5


async def test_rows_that_move_between_pages_are_not_taken_for_all(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers, users=150)

    async def moving() -> None:
        async with over(api, at_once=1).reading(tenant, "sync-test") as reading:
            async for _ in reading.pages(USER):
                await source.execute(LAST_TO_FIRST)

    with pytest.raises(NetworkError, match="changed while they were read"):
        await moving()


async def test_a_tenant_that_does_not_exist_and_an_id_that_is_none_are_told_apart_from_outages(
    source: Database, api: WrapperApi
) -> None:
    with pytest.raises(InvalidError, match="404"):
        await everything(over(api), str(uuid.uuid4()), TENANT)
    assert await everything(DatabaseSource(source, "crm"), str(uuid.uuid4()), TENANT) == {"tenants": []}


async def test_an_assignment_of_the_whole_tenant_is_one_of_its_root_organization(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers, organizations=4, users=3)
    await source.execute("UPDATE user_role_assignments SET organization_id = NULL")
    root = await source.fetchval("SELECT entity_id::text FROM entities WHERE parent_entity_id IS NULL")

    told = await everything(over(api), tenant, ROLE_ASSIGNMENT)

    assert {fact.event.organization_id for fact in told["roleAssignments"]} == {root}  # type: ignore[attr-defined]


async def test_of_two_roots_none_is_chosen(source: Database, producers: Producers, api: WrapperApi) -> None:
    tenant = await founded(source, producers, organizations=2, users=1)
    await source.execute("UPDATE user_role_assignments SET organization_id = NULL")
    await source.execute("UPDATE entities SET parent_entity_id = NULL")

    told = await everything(over(api), tenant, ROLE_ASSIGNMENT)

    assert [fact.event.organization_id for fact in told["roleAssignments"]] == [None]  # type: ignore[attr-defined]


async def test_defaults_without_an_id_and_entities_of_other_types_are_skipped_and_counted(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers, organizations=3)
    await source.execute("UPDATE entities SET entity_type = 'team' WHERE entity_level = 2")

    async with over(api).reading(tenant, "sync-test") as reading:
        for collection, facts, skipped in ((CREDIT_CONFIG, 0, 1), (ORGANIZATION, 1, 2)):
            [page] = [page async for page in reading.pages(collection)]
            assert (len(page.facts), page.refused, page.skipped) == (facts, {}, skipped)


async def test_an_item_that_can_not_be_read_is_refused_alone(
    source: Database, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers, users=3)

    async def odd(_: object) -> object:
        items = [{"assignmentId": "a1", "userId": 7}, {"userId": "u"}, "text"]
        pages = {"page": 1, "limit": 100, "total": "3"}
        return wrapper_api.said(200, success=True, data=items, pagination=pages)

    api.fail("employee.*", odd)
    async with over(api).reading(tenant, "sync-test") as reading:
        [page] = [page async for page in reading.pages(EMPLOYEE_ASSIGNMENT)]

    assert page.facts == []
    assert set(page.refused) == {"a1", "#1", "#2"}
