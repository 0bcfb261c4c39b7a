"""The wrapper's own HTTP API over its tables, with its habits and, on demand, its bad days.

    async with wrapper_api(source) as api: ...        # in this loop, on a port of its own
    python -m tests.wrapper_api postgresql://…        # a process of its own; says its URL

Habits: `total` is a text, `limit` is 50 by default and 100 at most, entities of every type are organizations,
an assignment that names no organization names the tenant, credit configurations come at once with defaults
that have no id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from headwater.database import Database, Row

USER_TOKEN, KEY, SERVICE_TOKEN, EXPIRED = "signed-in", "internal-key", "service-token", "expired"
Fault = Callable[[web.Request], Any]

LISTS = {
    "organizations": """
        SELECT e.*, t.industry, t.website FROM entities AS e JOIN tenants AS t USING (tenant_id)
         WHERE tenant_id = $1::text::uuid ORDER BY entity_level, entity_name, entity_id""",
    "roles": "SELECT * FROM custom_roles WHERE tenant_id = $1::text::uuid ORDER BY priority, role_id",
    "users": "SELECT * FROM tenant_users WHERE tenant_id = $1::text::uuid ORDER BY created_at, user_id",
    "role-assignments": """
        SELECT * FROM user_role_assignments WHERE tenant_id = $1::text::uuid AND is_active ORDER BY id""",
    "employee-assignments": """
        SELECT m.*, e.entity_name, e.entity_code FROM organization_memberships AS m
          JOIN entities AS e USING (entity_id)
         WHERE m.tenant_id = $1::text::uuid AND m.membership_status = 'active' ORDER BY membership_id""",
    "entity-credits": """
        SELECT * FROM credit_allocations WHERE tenant_id = $1::text::uuid AND target_application = 'crm'
           AND is_active ORDER BY allocation_id""",
}


@dataclass
class WrapperApi:
    """A running API."""

    database: Database
    url: str = ""
    tokens: set[str] = field(default_factory=lambda: {USER_TOKEN})
    """Which are let in; a service's own is added when it is asked for."""
    asked: list[str] = field(default_factory=list)
    """Paths with their page, as they came: `users?page=2`."""
    correlations: set[str] = field(default_factory=set)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    """What is to go wrong once: a pattern of what is asked, and what is answered in place of the rows."""
    bitten: list[str] = field(default_factory=list)
    """What did go wrong."""

    def fail(self, pattern: str, fault: Fault, times: int = 1) -> None:
        """Let requests that match fail."""
        self.faults += [(pattern, fault)] * times

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        tenant, path = request.match_info["tenant"], request.match_info.get("path", "")
        asked = f"{path}?page={request.query.get('page', '1')}"
        self.asked.append(asked)
        self.correlations.add(request.headers.get("X-Correlation-ID", ""))
        for fault in self.faults:
            if re.fullmatch(fault[0], asked):
                self.faults.remove(fault)
                self.bitten.append(asked)
                answer: web.StreamResponse | None = await fault[1](request)
                if answer is not None:
                    return answer
                break
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return said(401, success=False, error="Unauthorized", message="Invalid token")
        if path == "credit-configs":
            return await self._configs(tenant)
        return await (self._list(tenant, path, request) if path else self._tenant(tenant))

    async def service_auth(self, request: web.Request) -> web.Response:
        """A token for a service that knows the internal key."""
        self.asked.append("service-auth")
        if request.headers.get("x-internal-api-key") != KEY:
            return said(401, success=False, error="Unauthorized", message="Invalid API key")
        body = await request.json()
        if body["service"] != "crm" or body["permissions"] != ["read", "sync"]:
            return said(400, success=False, error="Bad Request", message="who is asking?")
        self.tokens.add(SERVICE_TOKEN)
        return said(200, success=True, data={"token": SERVICE_TOKEN})

    async def _tenant(self, tenant: str) -> web.Response:
        row = await self.database.fetchrow("SELECT * FROM tenants WHERE tenant_id = $1::text::uuid", tenant)
        if row is None:
            return said(404, success=False, error="Not Found", message="Tenant not found")
        item = {
            "tenantId": tenant,
            "tenantName": row["company_name"],
            "status": "active" if row["is_active"] else "inactive",
            "settings": {},
            "subscription": {},
            "organization": {"orgCode": tenant, "orgName": row["company_name"]},
        }
        return said(200, success=True, data=item)

    async def _list(self, tenant: str, path: str, request: web.Request) -> web.Response:
        page = max(1, int(request.query.get("page", "1")))
        limit = min(100, int(request.query.get("limit", "50")))
        count = await self.database.fetchval(f"SELECT count(*) FROM ({LISTS[path]}) AS listed", tenant)
        rows = await self.database.fetch(
            f"{LISTS[path]} LIMIT $2 OFFSET $3", tenant, limit, (page - 1) * limit
        )
        pages = {"page": page, "limit": limit, "total": str(count), "totalPages": -(-count // limit)}
        return said(200, success=True, data=[SHAPES[path](row) for row in rows], pagination=pages)

    async def _configs(self, tenant: str) -> web.Response:
        rows = await self.database.fetch(
            "SELECT * FROM credit_configurations WHERE tenant_id = $1::text::uuid", tenant
        )
        default = {"configId": None, "operationCode": "crm.default", "creditCost": 1, "isActive": True}
        data = [*map(config, rows), default]
        return said(200, success=True, data=data, summary={"total": len(data)})


def said(status: int, **body: Any) -> web.Response:
    """An answer as the wrapper gives it."""
    return web.json_response(body, status=status, dumps=lambda it: json.dumps(it, default=str))


def when(value: Any) -> str | None:
    """A time as JavaScript writes it."""
    return None if value is None else value.isoformat(timespec="milliseconds") + "Z"


def text(value: Any) -> str | None:
    return None if value is None else str(value)


def organization(row: Row) -> dict[str, Any]:
    more = {"entityType": row["entity_type"], "entityCode": row["entity_code"], "industry": row["industry"]}
    more |= {"website": row["website"], "description": row["description"]}
    return {
        "orgCode": str(row["entity_id"]),
        "orgName": row["entity_name"],
        "parentId": text(row["parent_entity_id"]),
        "status": "active" if row["is_active"] else "inactive",
        "hierarchy": {"level": row["entity_level"], "path": row["hierarchy_path"], "children": []},
        "metadata": {**more, "organizationType": row["organization_type"]},
        "createdAt": when(row["created_at"]),
        "updatedAt": when(row["updated_at"]),
    }


def role(row: Row) -> dict[str, Any]:
    return {
        "roleId": str(row["role_id"]),
        "roleName": row["role_name"],
        "permissions": json.loads(row["permissions"]),
        "priority": row["priority"],
        "isActive": True,
        "description": row["description"],
    }


def user(row: Row) -> dict[str, Any]:
    return {
        "userId": str(row["user_id"]),
        "employeeCode": None,
        "personalInfo": {
            "firstName": row["first_name"],
            "lastName": row["last_name"],
            "email": row["email"],
        },
        "organization": text(row["primary_organization_id"]),
        "status": {"isActive": row["is_active"], "lastActivityAt": when(row["last_login_at"])},
        "createdAt": when(row["created_at"]),
        "updatedAt": when(row["updated_at"]),
    }


def role_assignment(row: Row) -> dict[str, Any]:
    return {
        "assignmentId": str(row["id"]),
        "tenantId": str(row["tenant_id"]),
        "userId": str(row["user_id"]),
        "roleId": str(row["role_id"]),
        "entityId": str(row["organization_id"] or row["tenant_id"]),
        "assignedBy": text(row["assigned_by"]),
        "assignedAt": when(row["assigned_at"]),
        "expiresAt": when(row["expires_at"]),
        "isActive": row["is_active"],
    }


def employee_assignment(row: Row) -> dict[str, Any]:
    return {
        "assignmentId": str(row["membership_id"]),
        "tenantId": str(row["tenant_id"]),
        "userId": str(row["user_id"]),
        "entityId": str(row["entity_id"]),
        "assignmentType": "primary" if row["is_primary"] else "secondary",
        "isActive": True,
        "assignedAt": when(row["created_at"]),
        "assignedBy": text(row["created_by"]),
        "priority": 1 if row["is_primary"] else 2,
        "metadata": {
            "organizationName": row["entity_name"],
            "organizationCode": row["entity_code"],
            "accessLevel": row["access_level"],
        },
    }


def credit(row: Row) -> dict[str, Any]:
    return {
        "tenantId": str(row["tenant_id"]),
        "entityId": str(row["source_entity_id"]),
        "allocationId": str(row["allocation_id"]),
        "allocatedCredits": float(row["allocated_credits"]),
        "targetApplication": "crm",
        "usedCredits": 0,
        "availableCredits": float(row["available_credits"]),
        "allocationType": "organization",
    }


def config(row: Row) -> dict[str, Any]:
    return {
        "configId": str(row["config_id"]),
        "operationCode": row["operation_code"],
        "creditCost": float(row["credit_cost"]),
        "unit": row["unit"],
        "unitMultiplier": float(row["unit_multiplier"]),
        "freeAllowance": row["free_allowance"],
        "isGlobal": row["is_global"],
        "isActive": row["is_active"],
        "updatedAt": when(row["updated_at"]),
    }


SHAPES = {
    "organizations": organization,
    "roles": role,
    "users": user,
    "role-assignments": role_assignment,
    "employee-assignments": employee_assignment,
    "entity-credits": credit,
}


def status(code: int, **headers: str) -> Fault:
    """Answer with this status."""

    async def fault(_: web.Request) -> web.Response:
        answer = said(code, success=False, error="Error", message="as asked")
        answer.headers.update(headers)
        return answer

    return fault


async def cut(request: web.Request) -> web.StreamResponse:
    """Begin an answer and break the connection in the middle of it."""
    answer = web.StreamResponse(headers={"Content-Length": "5000"})
    await answer.prepare(request)
    await answer.write(b'{"success":true,"data":[{"userId":')
    if request.transport is not None:
        request.transport.abort()
    return answer


def once(event: asyncio.Event) -> Fault:
    """Answer as if nothing were wrong, but not before something has happened."""

    async def fault(_: web.Request) -> None:
        await event.wait()

    return fault


async def silence(request: web.Request) -> web.Response:
    """Give no answer for as long as anybody waits."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.05)
    return said(503)


@contextlib.asynccontextmanager
async def wrapper_api(database: Database, port: int = 0) -> AsyncIterator[WrapperApi]:
    """The API on loopback, until the block ends."""
    api = WrapperApi(database)
    app = web.Application()
    app.router.add_get("/api/wrapper/tenants/{tenant}", api.handle)
    app.router.add_get("/api/wrapper/tenants/{tenant}/{path}", api.handle)
    app.router.add_post("/api/internal/service-auth", api.service_auth)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()


async def serve(url: str, port: int = 0) -> None:
    """Serve until the process ends."""
    async with wrapper_api(await Database.open(url), port) as api:
        print(api.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], *map(int, sys.argv[2:3])))
