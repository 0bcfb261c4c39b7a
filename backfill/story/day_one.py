"""The first day of a tenant, as the seed tells it: organizations, people, credits, and no CRM."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec

from backfill.story.dice import FIRST, INDUSTRIES, LAST, Dice
from headwater.database import Tx, load
from producers import Producers

ROLES = (
    ("Sales", {"crm": {"leads": ["create", "read", "update"], "deals": ["read"]}}),
    ("Management", {"crm": {"leads": ["read"], "deals": ["approve", "read"]}, "hr": {"people": ["read"]}}),
    ("People", {"hr": {"people": ["create", "read", "update"]}}),
)
CHILDREN = 4
"""How many organizations stand below one."""
SYSTEM, CRM = Decimal(1000), Decimal(400)
"""Credits of the tenant, and those of them that were allocated to the CRM."""


class Size(msgspec.Struct, frozen=True):
    """How large a tenant is."""

    organizations: int
    users: int


async def found(tx: Tx, producers: Producers, dice: Dice, tenant: UUID, size: Size) -> None:
    """Found a tenant: its rows with one statement a table, and what is said of them."""
    name = dice.company()
    about = (name, f"t{tenant.hex[:12]}", dice.choice(INDUSTRIES), f"https://{tenant.hex[:12]}.example")
    [row] = await tx.fetch(load(__file__, "insert_tenant"), tenant, *about)
    await producers.tenants.updated(tx, row)
    await tx.execute(load(__file__, "insert_applications"))
    [enabled] = await tx.fetch(load(__file__, "enable_application"), tenant, "hr")
    await producers.tenants.application_enabled(tx, str(tenant), "hr", enabled)
    organizations = await _organizations(tx, producers, dice, tenant, (name, size.organizations))
    users = await _users(tx, producers, dice, tenant, size.users)
    await _belonging(tx, producers, dice, tenant, (organizations, users))
    await _credits(tx, producers, dice, tenant, organizations[0])


async def _organizations(
    tx: Tx, producers: Producers, dice: Dice, tenant: UUID, named: tuple[str, int]
) -> list[UUID]:
    root, count = named
    ids = [dice.id() for _ in range(count)]
    parents = [None if n == 0 else ids[(n - 1) // CHILDREN] for n in range(count)]
    levels = [1] * count
    for n in range(1, count):
        levels[n] = levels[(n - 1) // CHILDREN] + 1
    names = [root, *(dice.company() for _ in range(count - 1))]
    codes = [f"ORG_{one.hex[:8]}" for one in ids]
    rows = await tx.fetch(load(__file__, "insert_organizations"), tenant, ids, parents, levels, names, codes)
    await producers.organizations.created_many(tx, rows)
    return ids


async def _users(tx: Tx, producers: Producers, dice: Dice, tenant: UUID, count: int) -> list[UUID]:
    ids = [dice.id() for _ in range(count)]
    first, last = [dice.choice(FIRST) for _ in ids], [dice.choice(LAST) for _ in ids]
    addresses = [address(one, name) for one, name in zip(ids, first, strict=True)]
    rows = await tx.fetch(load(__file__, "insert_users"), tenant, ids, first, last, addresses)
    await producers.users.created_many(tx, rows)
    return ids


def address(user: UUID, first_name: str) -> str:
    """An e-mail address that nobody else has."""
    return f"{first_name.lower()}.{user.hex[:12]}@people.example"


async def _belonging(
    tx: Tx, producers: Producers, dice: Dice, tenant: UUID, made: tuple[list[UUID], list[UUID]]
) -> None:
    organizations, users = made
    roles = [dice.id() for _ in ROLES]
    permissions = [msgspec.json.encode(allowed).decode() for _, allowed in ROLES]
    rows = await tx.fetch(
        load(__file__, "insert_roles"), tenant, roles, [name for name, _ in ROLES], permissions
    )
    await producers.roles.created_many(tx, rows)
    theirs = [roles[n % len(roles)] for n in range(len(users))]
    places = [organizations[n % len(organizations)] for n in range(len(users))]
    ids = [dice.id() for _ in users]
    rows = await tx.fetch(load(__file__, "insert_role_assignments"), tenant, ids, users, theirs, places)
    await producers.roles.assigned_many(tx, rows)
    ids = [dice.id() for _ in users]
    rows = await tx.fetch(load(__file__, "insert_memberships"), tenant, ids, users, places, theirs)
    await producers.assignments.created_many(tx, rows)


async def _credits(tx: Tx, producers: Producers, dice: Dice, tenant: UUID, root: UUID) -> None:
    for app, credits, passed_on in (("system", SYSTEM, CRM), ("crm", CRM, Decimal(0))):  # noqa: A001
        about = (tenant, dice.id(), root, app, credits, passed_on)
        [row] = await tx.fetch(load(__file__, "insert_allocation"), *about)
        await producers.credits.allocated(tx, row)
