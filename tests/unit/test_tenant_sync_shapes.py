"""From items of the wrapper's API to facts: whatever comes, no item is lost and none stops another."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backfill.tenant_sync import shapes
from backfill.tenant_sync.source import COLLECTIONS, ROLE_ASSIGNMENT, USER, Collection
from schemas.roles import RoleAssigned

TENANT, ROOT, OTHER = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
SEEN = shapes.Seen(TENANT, 1_700_000_000_000, ROOT)
NAMES = (
    *("tenantId", "tenantName", "orgCode", "orgName", "parentId", "status", "hierarchy", "metadata"),
    *("roleId", "roleName", "permissions", "priority", "userId", "personalInfo", "organization"),
    *("assignmentId", "entityId", "assignedAt", "expiresAt", "isActive", "configId", "operationCode"),
    *("creditCost", "allocationId", "allocatedCredits", "availableCredits", "targetApplication"),
    *("updatedAt", "createdAt", "headwaterVersion"),
)
plain = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=40) | st.sampled_from([TENANT, ROOT, "0"])
)
values = plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=8), plain, max_size=3)
items = st.dictionaries(st.sampled_from(NAMES), values, max_size=12) | values


@given(st.sampled_from(COLLECTIONS), st.lists(items, max_size=6))
def test_every_item_is_a_fact_or_refused_or_skipped(collection: Collection, given_items: list[Any]) -> None:
    page = shapes.page(collection, given_items, SEEN)

    refused_at_most = len(given_items) - len(page.facts) - page.skipped
    assert 0 <= len(page.refused) <= refused_at_most
    assert (len(page.refused) == 0) == (refused_at_most == 0)
    assert all(page.refused.values())
    assert all(fact.event.subject.name == collection.subject for fact in page.facts)


@given(st.uuids(), st.sampled_from([None, TENANT, ROOT, OTHER]), st.sampled_from([None, ROOT]))
def test_the_whole_tenant_is_its_root_organization_and_nothing_else_is(
    key: uuid.UUID, where: str | None, root: str | None
) -> None:
    item = {"assignmentId": str(key), "userId": OTHER, "roleId": OTHER, "entityId": where}
    page = shapes.page(ROLE_ASSIGNMENT, [item], SEEN._replace(root=root))

    [fact] = page.facts
    assert isinstance(fact.event, RoleAssigned)
    assert fact.event.organization_id == (root if where == TENANT else where)


@given(st.uuids(), st.datetimes(min_value=shapes.time("1980-01-01T00:00:00").replace(tzinfo=None)))  # type: ignore[union-attr]
def test_a_version_is_when_the_row_changed_and_smaller_than_any_of_the_source(
    key: uuid.UUID, when: Any
) -> None:
    changed, read = (
        shapes.page(USER, [{"userId": str(key).upper(), **more}], SEEN).facts[0]
        for more in ({"updatedAt": when.isoformat() + "Z"}, {})
    )

    assert changed.event.key == read.event.key == str(key)
    assert abs(changed.version - shapes.time(when.isoformat()).timestamp() * 1000) <= 1  # type: ignore[union-attr]
    assert read.version == SEEN.at
    assert max(changed.version, read.version) < 1 << 48
