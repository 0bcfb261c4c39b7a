"""The command line on real servers: every command as a process, what it prints and ends with."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

import headwater
from backfill import Story
from headwater import cli
from headwater.broker import Broker
from headwater.database import Database, connect
from headwater.publish import Producer
from headwater.testing import RunningServers, until
from producers import wrapper_schema
from schemas import codec

ROOT = Path(headwater.__file__).parents[1]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
TOLERATED = {"fsync", "full_page_writes", "persistence"}
"""What servers for tests go without."""


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass
class Shell:
    """The command line with the addresses of this test's servers."""

    environ: dict[str, str]

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "headwater", *arguments),
            cwd=ROOT,
            env={**CLEAN, **self.environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *arguments: str, code: int | None = 0) -> Done:
        """Run a command to its end, in this process: starting one for each takes longer than the rest."""
        with tempfile.NamedTemporaryFile("w", suffix=".env") as file:
            file.writelines(f"{name}={value}\n" for name, value in self.environ.items())
            file.flush()
            line = ["--env-file", file.name, *(() if "--project" in arguments else ("--project", str(ROOT)))]
            done = await asyncio.to_thread(_run, [*line, *arguments])
        if code is not None:
            assert done.code == code, f"{arguments}: {done}"
        return done


def _run(arguments: list[str]) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(arguments)
    return Done(code, out.getvalue(), err.getvalue())


@dataclass
class World:
    """Databases that are migrated and attached, streams with their groups, and a tenant that has HR."""

    run: Shell
    source: Database
    crm: Database
    broker: Broker
    prefix: str
    tenant: str

    async def enable_crm(self) -> None:
        await self.source.execute(
            "INSERT INTO organization_applications (tenant_id, app_id, is_enabled) "
            "SELECT $1::text::uuid, app_id, true FROM applications WHERE app_code = 'crm'",
            self.tenant,
        )


def environment(servers: RunningServers, urls: dict[str, str]) -> dict[str, str]:
    """Variables that name the servers, and keys of this test's own."""
    return {
        "HEADWATER_REDIS_URL": servers.redis_url,
        "HEADWATER_SOURCE_URL": urls["source"],
        "HEADWATER_APP_CRM_URL": urls["crm"],
        "HEADWATER_APP_HR_URL": urls["hr"],
        "HEADWATER_KEY_PREFIX": f"t{uuid.uuid4().hex[:8]}:",
        "HEADWATER_BACKFILL_SETTLE_AFTER_TOGGLE": "0",
        "HEADWATER_BROKER_BLOCK": "0.5",
        "HEADWATER_LOG_FORMAT": "json",
    }


async def forget(servers: RunningServers, prefix: str) -> None:
    broker = Broker(servers.redis_url)
    keys = await broker.execute("KEYS", prefix + "*")
    if keys:
        await broker.execute("DEL", *keys)
    await broker.close()


@pytest_asyncio.fixture
async def empty(servers: RunningServers) -> AsyncIterator[Shell]:
    """Databases with nothing in them."""
    async with (
        servers.fresh_database() as source,
        servers.fresh_database() as crm,
        servers.fresh_database() as hr,
    ):
        shell = Shell(environment(servers, {"source": source, "crm": crm, "hr": hr}))
        yield shell
        await forget(servers, shell.environ["HEADWATER_KEY_PREFIX"])


@pytest_asyncio.fixture
async def world(servers: RunningServers, templates: dict[str, str]) -> AsyncIterator[World]:
    """Everything set up, and a first day behind it that nobody has relayed."""
    async with (
        servers.fresh_database(templates["source"]) as source_url,
        servers.fresh_database(templates["crm"]) as crm_url,
        servers.fresh_database(templates["hr"]) as hr_url,
    ):
        shell = Shell(environment(servers, {"source": source_url, "crm": crm_url, "hr": hr_url}))
        source, crm = await Database.open(source_url), await Database.open(crm_url)
        broker = Broker(servers.redis_url)
        story = Story(source, Producer(codec, source="wrapper"), organizations=3, users=4)
        await story.day_one()
        prefix = shell.environ["HEADWATER_KEY_PREFIX"]
        try:
            yield World(shell, source, crm, broker, prefix, story.tenants[0])
        finally:
            await forget(servers, prefix)
            await asyncio.gather(broker.close(), source.close(), crm.close())


def failed(doctor: Done) -> set[str]:
    """What the doctor found broken, and would on a server that is not for tests only."""
    checks = doctor.json["checks"]
    assert all(one["fix"] for one in checks if one["state"] != "ok")
    bad = {one["check"] for one in checks if one["state"] == "fail"}
    return {check for check in bad if check.split()[-1] not in TOLERATED}


async def test_empty_servers_are_brought_to_work_by_commands_that_say_what_is_missing(empty: Shell) -> None:
    assert {"source migrations", "crm migrations", "streams"} <= failed(
        await empty("doctor", "--json", code=1)
    )
    await empty("db", "status", code=1)
    planned = await empty("db", "migrate", "--dry-run", "--json")
    applied = await empty("db", "migrate", "--json")
    assert planned.json["migrations"] == applied.json["migrations"]
    assert (await empty("db", "migrate")).out == "nothing to apply\n"

    refused = await empty("db", "attach", code=1)
    assert "attach after the source's own migrations" in refused.err
    connection = await connect(empty.environ["HEADWATER_SOURCE_URL"])
    await connection.execute(wrapper_schema)
    await connection.close()
    assert (await empty("db", "status", code=1)).out.count("its rows carry no versions") > 0
    assert (await empty("db", "attach")).out.startswith("attached ")
    await empty("db", "status")

    drift = (await empty("streams", "plan", "--json", code=1)).json["drift"]
    assert {one["state"] for one in drift} == {"missing_stream"}
    assert (await empty("streams", "apply", "--dry-run", "--json")).json["created"] == drift
    assert (await empty("streams", "apply", "--json")).json["created"] == drift
    assert (await empty("streams", "plan")).out == "Redis has what is declared\n"
    assert failed(await empty("doctor", "--json", code=None)) == set()


async def test_sql_is_printed_without_any_server(empty: Shell) -> None:
    text = (await Shell({})("db", "sql", "--database", "source")).out

    assert "CREATE TABLE headwater.outbox" in text
    assert "SELECT headwater.attach('entities'" in text
    connection = await connect(empty.environ["HEADWATER_SOURCE_URL"])
    try:
        await connection.execute("CREATE SCHEMA headwater;" + wrapper_schema)
        await connection.execute(text)
    finally:
        await connection.close()


async def test_an_outbox_is_relayed_and_applied_once_and_the_status_says_so(world: World) -> None:
    await world.run("streams", "apply")
    waiting = (await world.run("relay", "--once", "--json")).json
    assert waiting["entries"] > 5

    behind = (await world.run("streams", "status", "--app", "hr", "--json")).json["streams"]
    assert max(one["lag_entries"] for one in behind) > 0
    assert max(one["lag_seconds"] for one in behind) > 0
    done = (await world.run("worker", "hr", "--once", "--json")).json["applications"]["hr"]
    assert (done["applied"] > 0, done["parked"], done["in_hand"]) == (True, 0, 0)

    after = (await world.run("streams", "status", "--app", "hr", "--json")).json["streams"]
    assert {(one["lag_entries"], one["lag_seconds"], one["pending"]) for one in after} == {(0, 0.0, 0)}
    table = (await world.run("streams", "status")).out.splitlines()
    assert table[0].split()[:3] == ["stream", "group", "length"]


async def test_an_event_said_by_hand_arrives_and_a_wrong_one_is_refused_by_name(world: World) -> None:
    await world.enable_crm()
    await world.run("streams", "apply")
    await world.run("relay", "--once")
    organization = str(uuid.uuid4())
    data = json.dumps({"organizationId": organization, "orgName": "North"})
    say = ("publish", "org.created", "--tenant", world.tenant, "--data")

    wrong = await world.run(*say, data.replace("orgName", "orgNme"), code=2)
    assert "did you mean 'orgName'" in wrong.err
    lacking = await world.run(*say, data, code=1)
    assert "--version" in lacking.err
    tried = (await world.run(*say, data, "--version", "now", "--dry-run", "--json")).json
    assert [one["stream"] for one in tried["entries"]] == [f"{world.prefix}crm:sync:organization:org_created"]
    assert (
        await world.source.fetchval("SELECT count(*) FROM headwater.outbox WHERE published_at IS NULL") == 0
    )
    said = (await world.run(*say, data, "--version", "now", "--json")).json
    assert said["outcome"] == "outbox"
    await world.run("relay", "--once")
    renamed = data.replace("North", "South")
    direct = (
        await world.run(*say, renamed, "--version", str(said["version"] + 1), "--direct", "--json")
    ).json
    assert (direct["outcome"], len(direct["entries"])) == ("ok", 1)
    await world.run("worker", "crm", "--once")

    rows = await world.crm.fetch(
        "SELECT org_name FROM crm.organizations WHERE organization_id::text = $1", organization
    )
    assert [row["org_name"] for row in rows] == ["South"]


async def test_dead_letters_are_listed_shown_replayed_and_discarded(world: World) -> None:
    await world.run("streams", "apply")
    stream = f"{world.prefix}credit-events"
    bad = {
        b"op": b"u",
        b"eventType": b"no.such",
        b"tenantId": b"\x1b[31mred",
        b"eventId": b"e",
        b"data": b"{}",
    }
    await world.broker.append([(stream, bad), (stream, bad)])
    await world.run("worker", "crm", "--once")

    found = (await world.run("dead-letters", "list", "crm", "--json")).json["dead_letters"]
    assert [one["reason"] for one in found] == ["unknown_event"] * 2
    newer, older = (str(one["id"]) for one in found)
    shown = await world.run("dead-letters", "show", "crm", older)
    assert "\x1b" not in shown.out
    assert "[31mred" in shown.out
    would = (await world.run("dead-letters", "replay", "crm", "--all", "--dry-run", "--json")).json
    assert [str(one) for one in would["ids"]] == [newer, older]
    await world.run("dead-letters", "replay", "crm", older, "--reason", "x", code=2)
    await world.run("dead-letters", "replay", "crm", older, "999999", code=1)
    await world.run("worker", "crm", "--once")
    again = (await world.run("dead-letters", "list", "crm", "--json")).json["dead_letters"]
    assert {one["state"] for one in again} == {"parked"}, "nothing had changed for it: parked again"

    await world.run("dead-letters", "discard", "crm", newer, "--note", "noise", code=2)
    await world.run("dead-letters", "discard", "crm", newer, older, "--note", "noise", "--yes")
    assert (await world.run("dead-letters", "list", "crm")).out == "no dead letters\n"
    gone = (await world.run("dead-letters", "list", "crm", "--state", "discarded", "--json")).json
    assert [one["note"] for one in gone["dead_letters"]] == ["noise", "noise"]


async def test_a_backfill_needs_the_application_enabled_and_ends_verified(world: World) -> None:
    await world.run("streams", "apply")
    refused = await world.run("backfill", "start", "crm", "--tenant", world.tenant, code=1)
    assert "crm is not enabled" in refused.err
    await world.enable_crm()
    asked = ("--tenant", world.tenant)
    planned = (await world.run("backfill", "plan", "crm", *asked, "--json")).json["subjects"]
    assert (planned["organizations"], planned["users"]) == (3, 4)
    await world.run("backfill", "plan", "crm", *asked, "--only", "nonsense", code=2)
    await world.run("backfill", "plan", "crm", *asked, "--since", "2026-01-01", code=2)

    queued = (await world.run("backfill", "start", "crm", *asked, "--detach", "--json")).json["job"]
    assert queued["state"] == "queued"
    second = await world.run("backfill", "start", "crm", *asked, code=1)
    assert f"backfill show {queued['id']}" in second.err
    paused = await world.run("backfill", "pause", queued["id"])
    assert "paused" in paused.out
    assert "queued: goes on" in (await world.run("backfill", "resume", queued["id"])).out
    await world.run("backfill", "resume", queued["id"], code=1)
    await world.run("backfill", "cancel", queued["id"])
    await world.run("backfill", "retry", queued["id"])
    await world.run("backfill", "cancel", queued["id"])
    assert "cancelled" in (await world.run("backfill", "show", queued["id"])).out
    await world.run("backfill", "show", queued["id"], "-w", code=1)

    worker = await world.run.start("worker", "crm")
    done = (await world.run("backfill", "start", "crm", *asked, "--json")).json["job"]
    worker.send_signal(signal.SIGTERM)
    assert done["state"] == "verified"
    assert {part["subject"]: part["published"] for part in done["parts"]} == planned
    listed = (await world.run("backfill", "list", *asked, "--json")).json["jobs"]
    assert [one["state"] for one in listed] == ["verified", "cancelled"]
    assert await worker.wait() == 0


async def port_of(process: asyncio.subprocess.Process) -> int:
    """The port that a process logs that it serves on."""
    assert process.stderr is not None
    while line := await asyncio.wait_for(process.stderr.readline(), 30):
        if b'"admin.started"' in line:
            port: int = json.loads(line)["port"]
            return port
    raise AssertionError("it ended without serving")


async def test_a_worker_is_probed_scraped_and_drained_by_a_signal(world: World) -> None:
    await world.run("streams", "apply")
    process = await world.run.start("worker", "crm", "hr", "--health-port", "0")
    address = f"http://127.0.0.1:{await port_of(process)}"
    async with aiohttp.ClientSession() as http:

        async def ready() -> bool:
            async with http.get(f"{address}/readyz") as answer:
                return answer.status == 200

        await until(ready)
        async with http.get(f"{address}/metrics") as answer:
            text = await answer.text()

    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 30)

    assert 'headwater_group_pending{group="crm-consumers"' in text
    assert process.returncode == 0
    assert b"draining, 0 in hand" in err
    assert b"crm: read 0, applied 0" in out


async def test_a_second_signal_ends_a_worker_at_once_and_loses_nothing(world: World) -> None:
    world.run.environ["HEADWATER_DATABASE_LOCK_TIMEOUT"] = "60"
    await world.enable_crm()
    await world.run("streams", "apply")
    await world.run("relay", "--once")
    blocked = "SELECT count(*) FROM pg_locks WHERE relation = 'crm.organizations'::regclass AND NOT granted"
    async with world.crm.transaction() as tx:
        await tx.execute("LOCK TABLE crm.organizations IN ACCESS EXCLUSIVE MODE")
        process = await world.run.start("worker", "crm")
        await until(lambda: tx.fetchval(blocked), within=30)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        while b"draining" not in (line := await asyncio.wait_for(process.stderr.readline(), 30)):
            assert line, "it ended without a word"
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 15)  # a drain would take 25 s

        assert process.returncode == 130
        assert await tx.fetchval("SELECT count(*) FROM crm.organizations") == 0

    done = (await world.run("worker", "crm", "--once", "--json")).json["applications"]["crm"]
    assert (done["applied"] > 0, done["parked"], done["in_hand"]) == (True, 0, 0)
    assert await world.crm.fetchval("SELECT count(*) FROM crm.organizations") > 0


async def test_the_admin_interface_serves_the_project_and_runs_its_backfills(world: World) -> None:
    await world.run("streams", "apply")
    await world.enable_crm()
    made = (await world.run("admin", "key", "ops", "--scopes", "read", "--json")).json
    world.run.environ["HEADWATER_ADMIN_KEYS"] = made["setting"]
    process = await world.run.start("admin", "--port", "0")
    address = f"http://127.0.0.1:{await port_of(process)}"
    status = f"/admin/organizations/{world.tenant}/applications/crm/sync-status"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{address}/readyz") as answer:
            assert answer.status == 200
        async with http.get(address + status) as answer:
            assert answer.status == 401
        async with http.get(address + status, headers={"X-API-Key": made["key"]}) as answer:
            assert (answer.status, (await answer.json())["needsSync"]) == (200, True)
        async with http.get(f"{address}/metrics", headers={"X-API-Key": made["key"]}) as answer:
            assert "headwater_outbox_backlog" in await answer.text()
    job = (await world.run("backfill", "start", "crm", "--tenant", world.tenant, "--detach", "--json")).json

    async def taken() -> bool:
        return bool(
            await world.source.fetchval("SELECT token > 0 FROM headwater.job WHERE id = $1", job["job"]["id"])
        )

    await until(taken)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_production_and_public_addresses_need_keys_of_ones_own(world: World) -> None:
    public = await world.run("admin", "serve", "--host", "0.0.0.0", "--port", "0", code=2)  # noqa: S104
    world.run.environ["HEADWATER_ENVIRONMENT"] = "production"
    production = await world.run("admin", "serve", "--port", "0", code=2)

    assert "headwater admin key" in public.err
    assert "headwater admin key" in production.err


async def test_a_server_that_is_away_is_code_3_and_the_doctor_says_which(world: World) -> None:
    world.run.environ["HEADWATER_REDIS_URL"] = "redis://127.0.0.1:1"

    await world.run("streams", "status", code=3)
    await world.run("relay", "--once", code=3)
    assert "redis" in failed(await world.run("doctor", "--json", code=1))


async def test_the_doctor_finds_what_was_broken_behind_our_back(world: World) -> None:
    await world.run("streams", "apply")
    await world.source.execute("ALTER TABLE entities DISABLE TRIGGER zz_headwater_update")
    await world.source.execute("ALTER SEQUENCE headwater.version_seq CACHE 20")
    await world.crm.execute("ALTER TABLE crm.organizations DROP CONSTRAINT organizations_pkey")
    await world.crm.execute(
        "INSERT INTO headwater.ledger (app, tenant, subject, key, version, deleted) "
        "VALUES ('crm', 't', 'users', '1', 1700000000000, false), "
        "('crm', 't', 'users', '2', 281474976710700, false)"
    )
    await world.broker.create_group(f"{world.prefix}credit-events", "strangers")

    done = await world.run("doctor", "--json", code=1)

    assert {"table entities", "version sequence", "crm key of crm.organizations"} <= failed(done)
    warned = {one["check"] for one in done.json["checks"] if one["state"] == "warn"}
    assert {"crm versions of users", "group strangers"} <= warned


async def test_dev_runs_a_project_on_servers_whose_data_stays(tmp_path: Path) -> None:
    for folder in ("schemas", "streams", "producers", "consumers", "backfill"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shell = Shell({"PYTHONPATH": str(ROOT), "HEADWATER_LOG_FORMAT": "json"})
    here = ("--project", str(tmp_path))
    assert "no headwater dev runs" in (await shell(*here, "dev", "--print-env", code=1)).err

    process = await shell.start(*here, "dev", "--port", "0", "--json")
    assert process.stdout is not None
    told = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    exported = (await shell(*here, "dev", "--print-env")).out
    shell.environ |= dict(
        line.removeprefix("export ").replace("'", "").split("=", 1) for line in exported.splitlines()
    )
    await shell("streams", "plan")
    headers = {"X-API-Key": told["admin"]["key"]}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def ready() -> bool:
            async with http.get(f"{told['admin']['url']}/readyz?verbose") as answer:
                return answer.status == 200

        await until(ready)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0
    assert (tmp_path / ".headwater").is_dir()
    assert not (tmp_path / ".headwater" / "env").exists()
