"""One of the two existing services, as it behaves on the wire: `python old_service.py {auth|customer}`.

Prints its port. No credentials, no versions in what it lists, e-mail in the clear, `null` for nobody, a POST
whose body it checks and ignores to pull instead. `PUT /nothing`, `/rows`, `/peer` and `/fault` arrange a
test, `GET /rows` and `GET /seen` look behind it.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

PATHS = {"auth": "/api/v3/auth/sync", "customer": "/api/v3/customers/sync"}
ZERO = "0001-01-01T00:00:00Z"


def stamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class OldService:
    def __init__(self, side: str) -> None:
        self.side, self.other = side, "customer" if side == "auth" else "auth"
        self.rows: dict[str, dict[str, Any]] = {}
        self.peer = ""
        self.faults: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []

    def application(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        path = PATHS[self.side]
        app.router.add_get(path, self.listed)
        app.router.add_post(path, self.told)
        app.router.add_post(f"{path}/trigger", self.trigger)
        app.router.add_put("/nothing", self.forget)
        app.router.add_put("/rows", self.set_rows)
        app.router.add_get("/rows", self.all_rows)
        app.router.add_put("/peer", self.set_peer)
        app.router.add_put("/fault", self.set_fault)
        app.router.add_get("/seen", self.all_seen)
        return app

    async def listed(self, request: web.Request) -> web.StreamResponse:
        self.seen.append({"method": "GET", "query": request.query_string, "headers": dict(request.headers)})
        if self.faults:
            return await self._fault(request)
        unsynced = [row for row in self.rows.values() if row["last_sync_at"] < row["updated_at"]]
        newest = sorted(unsynced, key=lambda row: str(row["updated_at"]), reverse=True)
        shown = ("id", "name", "email", "created_at", "updated_at")
        return web.json_response([{name: row[name] for name in shown} for row in newest] or None)

    async def told(self, request: web.Request) -> web.StreamResponse:
        self.seen.append({"method": "POST", "body": await request.text(), "headers": dict(request.headers)})
        if self.faults:
            return await self._fault(request)
        given = await request.json()
        if not isinstance(given, dict) or not isinstance(given.get("id"), str):
            return web.json_response({"error": "invalid request"}, status=400)
        if not await self._pull():
            return web.json_response({"error": "failed to sync data"}, status=500)
        return web.json_response({"message": "sync completed successfully"})

    async def trigger(self, _: web.Request) -> web.Response:
        if not await self._pull():
            return web.json_response({"error": "failed to sync data"}, status=500)
        async with aiohttp.ClientSession() as session:
            for row in self.rows.values():
                body = {**row, "sync_version": 1, "last_sync_at": stamp()}
                async with session.post(self._there, json=body) as answer:
                    if answer.status == 200:
                        row["sync_version"] += 1
                        row["last_sync_at"] = stamp()
        return web.json_response({"message": "full sync completed successfully"})

    @property
    def _there(self) -> str:
        return self.peer + PATHS[self.other]

    async def _pull(self) -> bool:
        if not self.peer:
            return True
        async with aiohttp.ClientSession() as session, session.get(self._there) as answer:
            if answer.status != 200:
                return False
            for given in await answer.json() or []:
                self._apply(given)
        return True

    def _apply(self, given: dict[str, Any]) -> None:
        known = self.rows.get(given["id"])
        version = given.get("sync_version", 0)
        if known is None or version > known["sync_version"]:
            times = {"last_sync_at": given.get("last_sync_at", ZERO), "updated_at": given["updated_at"]}
            shown = {name: given[name] for name in ("id", "name", "email", "created_at")}
            self.rows[given["id"]] = {**shown, "sync_version": version, **times}

    async def _fault(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.pop(0)
        match fault["kind"]:
            case "status":
                return web.Response(status=fault["status"], headers=fault.get("headers", {}), text="{}")
            case "text":
                return web.Response(text=fault["text"], content_type="application/json")
            case "bomb":
                body = gzip.compress(b"[" + b" " * 2**27)
                return web.Response(body=body, headers={"Content-Encoding": "gzip"})
            case "silence":
                await asyncio.sleep(3600)
            case "half":
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b'[{"id": "cut')
                if request.transport is not None:
                    request.transport.abort()
                return response
            case "death":
                os._exit(9)
        raise web.HTTPBadRequest

    async def forget(self, _: web.Request) -> web.Response:
        self.rows, self.peer, self.faults, self.seen = {}, "", [], []
        return web.json_response({})

    async def set_rows(self, request: web.Request) -> web.Response:
        for row in await request.json():
            usual = {"created_at": stamp(), "updated_at": stamp(), "sync_version": 1, "last_sync_at": ZERO}
            self.rows[row["id"]] = {**usual, **row}
        return web.json_response({})

    async def all_rows(self, _: web.Request) -> web.Response:
        return web.json_response(self.rows)

    async def set_peer(self, request: web.Request) -> web.Response:
        self.peer = await request.text()
        return web.json_response({})

    async def set_fault(self, request: web.Request) -> web.Response:
        self.faults = await request.json()
        return web.json_response({})

    async def all_seen(self, _: web.Request) -> web.Response:
        return web.json_response(self.seen)


async def main(side: str) -> None:
    runner = web.AppRunner(OldService(side).application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the test lets go


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
