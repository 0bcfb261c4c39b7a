"""Where events flow: the names the existing systems use, one stream an event, nothing undeclared."""

from __future__ import annotations

import zlib

import pytest

from headwater.config import RetentionSettings
from headwater.errors import DeclarationError
from headwater.event import Event
from headwater.retention import kept
from headwater.topology import Catalogue, Group, Keys, Stream
from schemas import examples, registry
from schemas.organizations import OrganizationCreated, OrganizationDeleted
from schemas.shared import TENANT
from streams import catalogue, declare

DAY = 86_400.0

STREAMS = {
    "credit.allocated": "credit-events",
    "credit.incremented": "credit-events",
    "credit.consumed": "credit-events",
    "credit.config_updated": "credit-events",
    "org.created": "crm:sync:organization:org_created",
    "org.named": "crm:sync:organization:org_created",
    "org.updated": "crm:sync:organization:org_updated",
    "org.deleted": "crm:sync:organization:org_deleted",
    "org.assignment.created": "crm:organization-assignments",
    "org.assignment.updated": "crm:organization-assignments",
    "org.assignment.activated": "crm:organization-assignments",
    "org.assignment.deactivated": "crm:organization-assignments",
    "org.assignment.deleted": "crm:organization-assignments",
    "org.assignment.switched": "crm:organization-assignments",
    "user.created": "crm:sync:user:user_created",
    "user.updated": "crm:sync:user:user_updated",
    "user.deactivated": "crm:sync:user:user_deactivated",
    "user.deleted": "crm:sync:user:user_deleted",
    "role.created": "crm:sync:role:role_created",
    "role.updated": "crm:sync:role:role_updated",
    "role.deleted": "crm:sync:role:role_deleted",
    "role.assigned": "crm:sync:permissions:role_assigned",
    "role.unassigned": "crm:sync:permissions:role_unassigned",
    "tenant.updated": "tenant-sync",
    "tenant.sync.required": "tenant-sync",
    "application.enabled": "tenant-sync",
    "application.disabled": "tenant-sync",
    "account.changed": "user-accounts",
    "account.deleted": "user-accounts",
    "customer.changed": "customers",
    "customer.deleted": "customers",
}


@pytest.mark.parametrize("event", list(registry), ids=lambda event: event.type)
def test_every_event_is_on_exactly_the_stream_the_existing_systems_name(event: type[Event]) -> None:
    assert catalogue.keys.stream(catalogue.stream(event.type), TENANT, "crm") == STREAMS[event.type]


def test_the_table_of_streams_names_every_event() -> None:
    assert set(STREAMS) == set(examples)


def test_the_crm_reads_every_subject_of_the_wrapper() -> None:
    read = {event.subject.name for event in catalogue.events_of("crm")}

    assert read == {
        *("credits", "credit_increments", "credit_uses", "credit_configs"),
        *("organizations", "organization_codes", "assignments", "users", "roles", "role_assignments"),
        *("tenants", "tenant_syncs", "applications"),
    }
    assert catalogue.group("crm").name == "crm-consumers"


def test_hr_reads_credits_and_its_own_assignments() -> None:
    assert catalogue.keys_of("hr") == ["credit-events", "hr:organization-assignments"]
    assert catalogue.group("hr").name == "hr-consumers"


def test_entries_are_kept_as_the_settings_say_and_credits_for_as_long_as_one_says() -> None:
    declared = declare(credit_retention=90 * DAY)
    found = {name: keep.seconds for name, keep in kept(catalogue, RetentionSettings()).items()}
    longer = kept(catalogue, RetentionSettings(credit_events=60 * DAY))

    assert set(found.values()) == {30 * DAY}
    assert kept(declared, RetentionSettings(streams=DAY))["credit-events"].seconds == 90 * DAY
    assert kept(declared, RetentionSettings(streams=DAY))["customers"].seconds == DAY
    assert {keep.seconds for keep in longer.values()} == {30 * DAY, 60 * DAY}
    assert longer["credit-events"].seconds == 60 * DAY


def test_a_shared_stream_gets_an_event_once_for_everybody() -> None:
    assert catalogue.route("credit.allocated", TENANT, []) == [("credit-events", "*")]


def test_an_applications_own_stream_gets_an_event_only_while_the_tenant_has_it_enabled() -> None:
    assert catalogue.route("org.assignment.created", TENANT, []) == []
    assert catalogue.route("org.assignment.created", TENANT, ["hr", "unheard-of"]) == [
        ("hr:organization-assignments", "hr")
    ]
    assert len(catalogue.route("org.assignment.created", TENANT, ["crm", "hr"])) == 2
    assert catalogue.route("org.created", TENANT, ["hr"]) == []


def test_an_application_is_found_and_enabled_by_its_other_names() -> None:
    stream = Stream(name="{app}:orgs", events=(OrganizationCreated,))
    group = Group(app="affiliate", name="g", streams=("{app}:orgs",), aliases=("affiliateConnect",))
    declared = Catalogue([stream], [group])

    assert declared.group("affiliateConnect") is group
    assert declared.route("org.created", TENANT, ["affiliateConnect"]) == [("affiliate:orgs", "affiliate")]


def test_a_prefix_stands_before_every_key() -> None:
    assert "hw:credit-events" in catalogue.with_prefix("hw:").all_keys()
    assert "credit-events" in catalogue.all_keys()


def test_all_keys_name_the_groups_that_read_them() -> None:
    stream, groups = catalogue.all_keys()["credit-events"]

    assert stream.name == "credit-events"
    assert [group.app for group in groups] == ["crm", "hr"]


def test_a_tenant_always_stays_on_one_partition() -> None:
    stream = Stream(name="s", events=(OrganizationCreated,), partitions=4)
    number = zlib.crc32(TENANT.encode()) % 4

    assert Keys().stream(stream, TENANT) == f"s:{{{number}}}"
    assert Keys("p:").partitions(stream) == [f"p:s:{{{one}}}" for one in range(4)]


def test_an_event_on_two_streams_is_refused() -> None:
    twice = [Stream(name=name, events=(OrganizationCreated,)) for name in ("a", "b")]

    with pytest.raises(DeclarationError, match="two streams"):
        Catalogue(twice, [])


def test_a_group_that_reads_an_undeclared_stream_is_refused() -> None:
    with pytest.raises(DeclarationError, match="undeclared"):
        Catalogue([], [Group(app="a", name="g", streams=("nowhere",))])


def test_an_event_on_no_stream_and_an_unknown_application_are_named() -> None:
    empty = Catalogue([Stream(name="a", events=(OrganizationCreated,))], [])

    with pytest.raises(DeclarationError, match=OrganizationDeleted.type):
        empty.stream(OrganizationDeleted.type)
    with pytest.raises(DeclarationError, match="ghost"):
        empty.group("ghost")
