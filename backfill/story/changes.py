"""What happens to a tenant on any day: one change is one transaction, said with its rows.

Things come, change, end and come back under the key they had.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec

from backfill.story.day_one import ROLES, address
from backfill.story.dice import FIRST, INDUSTRIES, LAST, Dice
from headwater.database import Row, Tx, load
from producers import Producers
from schemas.credits import CreditConsumed

Change = Callable[[Tx, UUID], Awaitable[None]]


class NothingToDo(Exception):
    """The change was not possible: there was nothing it could be made to."""


class Changes:
    """Makes changes. Several transactions may be open at once."""

    def __init__(self, producers: Producers, dice: Dice) -> None:
        self._say = producers
        self._dice = dice
        self._gone: dict[tuple[str, UUID], list[tuple[Any, ...]]] = {}
        weights: dict[Change, int] = {
            **dict.fromkeys((self.rename_user, self.top_up, self.use_credits, self.rename_organization), 4),
            **dict.fromkeys(
                (self.add_user, self.add_membership, self.change_membership, self.assign_role), 3
            ),
            **dict.fromkeys((self.switch_user, self.switch_membership, self.switch_role_assignment), 2),
            **dict.fromkeys((self.end_membership, self.renew_membership, self.change_role), 2),
            **dict.fromkeys((self.allocate, self.move_allocation, self.found_organization), 2),
            **dict.fromkeys((self.remove_user, self.bring_back_user, self.end_role_assignment), 1),
            **dict.fromkeys((self.define_role, self.drop_role, self.bring_back_role), 1),
            **dict.fromkeys((self.switch_organization, self.close_organization, self.retire_allocation), 1),
            self.describe_tenant: 1,
        }
        self._kinds, self._weights = list(weights), list(weights.values())

    async def one(self, tx: Tx, tenant: UUID) -> None:
        """Make some change. Raises NothingToDo: roll back and try again."""
        await self._dice.weighted(self._kinds, self._weights)(tx, tenant)

    async def _some(self, tx: Tx, thing: str, tenant: UUID) -> Row:
        return await self._do(tx, f"pick_{thing}", tenant, self._dice.id())

    async def _do(self, tx: Tx, name: str, *arguments: Any) -> Row:
        row = await tx.fetchrow(load(__file__, name), *arguments)
        if row is None:
            raise NothingToDo(name)
        return row

    def _remember(self, thing: str, tenant: UUID, *about: Any) -> None:
        self._gone.setdefault((thing, tenant), []).append(about)

    def _recall(self, thing: str, tenant: UUID) -> tuple[Any, ...]:
        known = self._gone.get((thing, tenant))
        if not known:
            raise NothingToDo(thing)
        return known.pop(0)

    # People

    async def rename_user(self, tx: Tx, tenant: UUID) -> None:
        """Somebody has another last name."""
        user = await self._some(tx, "user", tenant)
        row = await self._do(tx, "rename_user", user["user_id"], self._dice.choice(LAST))
        await self._say.users.updated(tx, row)

    async def add_user(self, tx: Tx, tenant: UUID) -> None:
        """Somebody joins and belongs somewhere."""
        first, user = self._dice.choice(FIRST), self._dice.id()
        organization = await self._some(tx, "organization", tenant)
        await self._join(tx, tenant, user, first, self._dice.choice(LAST))
        about = ([self._dice.id()], [user], [organization["entity_id"]], [None])
        await self._say.assignments.created(tx, await self._do(tx, "insert_memberships", tenant, *about))

    async def _join(self, tx: Tx, tenant: UUID, user: UUID, first: str, last: str) -> None:
        about = ([user], [first], [last], [address(user, first)])
        await self._say.users.created(tx, await self._do(tx, "insert_users", tenant, *about))

    async def switch_user(self, tx: Tx, tenant: UUID) -> None:
        """Somebody may not sign in any more, or may again."""
        user = await self._some(tx, "user", tenant)
        row = await self._do(tx, "switch_user", user["user_id"], not user["is_active"])
        await (self._say.users.updated if row["is_active"] else self._say.users.deactivated)(tx, row)

    async def remove_user(self, tx: Tx, tenant: UUID) -> None:
        """Somebody leaves for good, with roles and memberships."""
        user = (await self._some(tx, "user", tenant))["user_id"]
        await self._take_roles(tx, user, None, None)
        await self._end_memberships(tx, user, None)
        row = await self._do(tx, "delete_user", user)
        await self._say.users.deleted(tx, row, reason="user_removed_from_tenant")
        self._remember("user", tenant, user, row["first_name"], row["last_name"])

    async def bring_back_user(self, tx: Tx, tenant: UUID) -> None:
        """Somebody who left is there again, under the same key."""
        await self._join(tx, tenant, *self._recall("user", tenant))

    # Organizations

    async def found_organization(self, tx: Tx, tenant: UUID) -> None:
        """An organization is founded below another."""
        parent, new = await self._some(tx, "organization", tenant), self._dice.id()
        levels, names = [parent["entity_level"] + 1], [self._dice.company()]
        about = ([new], [parent["entity_id"]], levels, names, [f"ORG_{new.hex[:8]}"])
        await self._say.organizations.created(tx, await self._do(tx, "insert_organizations", tenant, *about))

    async def rename_organization(self, tx: Tx, tenant: UUID) -> None:
        """An organization has another name."""
        organization = await self._some(tx, "organization", tenant)
        row = await self._do(tx, "rename_organization", organization["entity_id"], self._dice.company())
        await self._say.organizations.updated(tx, row)

    async def switch_organization(self, tx: Tx, tenant: UUID) -> None:
        """An organization closes, or opens again; its row stays in sight."""
        found = await self._some(tx, "organization", tenant)
        row = await self._do(tx, "switch_organization", found["entity_id"], not found["is_active"])
        await self._say.organizations.updated(tx, row)

    async def close_organization(self, tx: Tx, tenant: UUID) -> None:
        """An organization that nothing stands on is removed, with who belonged to it."""
        leaf = (await self._do(tx, "leaf_organization", tenant, self._dice.id()))["entity_id"]
        await self._take_roles(tx, None, None, leaf)
        await self._end_memberships(tx, None, leaf)
        await self._say.organizations.deleted(tx, await self._do(tx, "delete_organization", leaf))

    async def describe_tenant(self, tx: Tx, tenant: UUID) -> None:
        """A tenant is in another line of business, and so are its organizations."""
        row = await self._do(tx, "describe_tenant", tenant, self._dice.choice(INDUSTRIES))
        await self._say.tenants.updated(tx, row)
        await self._say.organizations.restated(tx, str(tenant))

    # Memberships

    async def add_membership(self, tx: Tx, tenant: UUID) -> None:
        """Somebody belongs to one more organization."""
        user, place = await self._some(tx, "user", tenant), await self._some(tx, "organization", tenant)
        about = ([self._dice.id()], [user["user_id"]], [place["entity_id"]], [None])
        await self._say.assignments.created(tx, await self._do(tx, "insert_memberships", tenant, *about))

    async def change_membership(self, tx: Tx, tenant: UUID) -> None:
        """A member may do more or less."""
        found = await self._some(tx, "membership", tenant)
        level = self._dice.choice(("standard", "limited", "full"))
        row = await self._do(tx, "change_membership", found["membership_id"], level)
        await self._say.assignments.updated(tx, row)

    async def switch_membership(self, tx: Tx, tenant: UUID) -> None:
        """A membership is suspended, or that is lifted."""
        found = await self._some(tx, "membership", tenant)
        status = "suspended" if found["membership_status"] == "active" else "active"
        row = await self._do(tx, "switch_membership", found["membership_id"], status)
        say = self._say.assignments
        await (say.activated if status == "active" else say.deactivated)(tx, row)

    async def end_membership(self, tx: Tx, tenant: UUID) -> None:
        """A membership ends for good."""
        found = await self._some(tx, "membership", tenant)
        row = await self._do(tx, "delete_memberships", None, None, found["membership_id"])
        await self._say.assignments.deleted(tx, row, reason="permanent_removal")
        self._remember("membership", tenant, row["membership_id"], row["user_id"], row["entity_id"])

    async def renew_membership(self, tx: Tx, tenant: UUID) -> None:
        """A membership that ended is there again, under the same key."""
        key, user, place = self._recall("membership", tenant)
        row = await self._do(tx, "insert_memberships", tenant, [key], [user], [place], [None])
        await self._say.assignments.created(tx, row)

    async def _end_memberships(self, tx: Tx, user: UUID | None, organization: UUID | None) -> None:
        for row in await tx.fetch(load(__file__, "delete_memberships"), user, organization, None):
            await self._say.assignments.deleted(tx, row)

    # Credits

    async def top_up(self, tx: Tx, tenant: UUID) -> None:
        """An allocation grows; its id stays."""
        found, more = await self._some(tx, "allocation", tenant), self._dice.credits()
        row = await self._do(tx, "top_up", found["allocation_id"], more)
        await self._say.credits.allocated(tx, row, amount=more, reason="top_up")

    async def use_credits(self, tx: Tx, tenant: UUID) -> None:
        """Something is done that costs credits: the balance changes, and the use is told."""
        found, some = await self._some(tx, "allocation", tenant), self._dice.credits()
        row = await self._do(tx, "use_credits", found["allocation_id"], some)
        use = CreditConsumed(
            operation_id=f"op-{self._dice.id()}",
            source_entity_id=str(row["source_entity_id"]),
            amount=some,
            operation_type=f"{row['target_application']}.records.create",
        )
        await self._say.credits.consumed(tx, str(tenant), use)
        await self._say.credits.allocated(tx, row, amount=some * 0, reason="use")

    async def allocate(self, tx: Tx, tenant: UUID) -> None:
        """An organization gives an application credits."""
        giver = await self._some(tx, "organization", tenant)
        about = (giver["entity_id"], self._dice.choice(("crm", "hr")), self._dice.credits(), 0)
        row = await self._do(tx, "insert_allocation", tenant, self._dice.id(), *about)
        await self._say.credits.allocated(tx, row)

    async def move_allocation(self, tx: Tx, tenant: UUID) -> None:
        """Credits go to another application."""
        found = await self._some(tx, "allocation", tenant)
        row = await self._do(tx, "move_allocation", found["allocation_id"])
        await self._say.credits.moved(tx, row)

    async def retire_allocation(self, tx: Tx, tenant: UUID) -> None:
        """An allocation ends."""
        found = await self._some(tx, "allocation", tenant)
        row = await self._do(tx, "retire_allocation", found["allocation_id"])
        await self._say.credits.allocated(tx, row, amount=row["available_credits"] * 0, reason="retired")

    # Roles

    async def define_role(self, tx: Tx, tenant: UUID) -> None:
        """A role is defined."""
        await self._define(tx, tenant, self._dice.id(), f"{self._dice.company()} team")

    async def _define(self, tx: Tx, tenant: UUID, role: UUID, name: str) -> None:
        about = ([role], [name], [self._permissions()])
        await self._say.roles.created(tx, await self._do(tx, "insert_roles", tenant, *about))

    def _permissions(self) -> str:
        return msgspec.json.encode(self._dice.choice(ROLES)[1]).decode()

    async def change_role(self, tx: Tx, tenant: UUID) -> None:
        """A role allows something else."""
        role = await self._some(tx, "role", tenant)
        row = await self._do(tx, "change_role", role["role_id"], self._permissions())
        await self._say.roles.updated(tx, row)

    async def drop_role(self, tx: Tx, tenant: UUID) -> None:
        """A role is removed from everybody and then from the tenant."""
        role = (await self._some(tx, "role", tenant))["role_id"]
        affected = await self._take_roles(tx, None, role, None)
        row = await self._do(tx, "delete_role", role)
        await self._say.roles.deleted(tx, row, affected=affected)
        self._remember("role", tenant, role, row["role_name"])

    async def bring_back_role(self, tx: Tx, tenant: UUID) -> None:
        """A role that was removed is defined again, under the same key."""
        await self._define(tx, tenant, *self._recall("role", tenant))

    async def assign_role(self, tx: Tx, tenant: UUID) -> None:
        """Somebody gets a role somewhere."""
        user, role = await self._some(tx, "user", tenant), await self._some(tx, "role", tenant)
        place = await self._some(tx, "organization", tenant)
        about = ([self._dice.id()], [user["user_id"]], [role["role_id"]], [place["entity_id"]])
        await self._say.roles.assigned(tx, await self._do(tx, "insert_role_assignments", tenant, *about))

    async def switch_role_assignment(self, tx: Tx, tenant: UUID) -> None:
        """A role is taken away for a while, or given again."""
        found = await self._some(tx, "role_assignment", tenant)
        row = await self._do(tx, "switch_role_assignment", found["id"], not found["is_active"])
        await (self._say.roles.assigned if row["is_active"] else self._say.roles.unassigned)(tx, row)

    async def end_role_assignment(self, tx: Tx, tenant: UUID) -> None:
        """A role is taken away for good."""
        found = await self._some(tx, "role_assignment", tenant)
        row = await self._do(tx, "delete_role_assignments", None, None, None, found["id"])
        await self._say.roles.assignment_deleted(tx, row)

    async def _take_roles(
        self, tx: Tx, user: UUID | None, role: UUID | None, organization: UUID | None
    ) -> int:
        rows = await tx.fetch(load(__file__, "delete_role_assignments"), user, role, organization, None)
        for row in rows:
            await self._say.roles.assignment_deleted(tx, row)
        return len(rows)
