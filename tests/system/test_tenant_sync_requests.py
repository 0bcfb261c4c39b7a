"""A tenant sync that the stream asks for, that a killed process left, and by hand at the command line."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import headwater
from backfill.tenant_sync.checks import checks
from backfill.tenant_sync.leases import Leases, Wish
from backfill.tenant_sync.requests import Requests
from headwater import cli
from headwater.config import load
from headwater.database import Database
from headwater.event import Envelope
from headwater.publish import Said
from headwater.testing import until
from producers import Producers
from schemas.tenants import TenantSyncRequired
from tests import wrapper_api
from tests.system.conftest import Application
from tests.system.syncing import founded, held, over, runs, syncing
from tests.wrapper_api import KEY, WrapperApi

ROOT = Path(headwater.__file__).parents[1]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}


@pytest_asyncio.fixture
async def api(source: Database) -> AsyncIterator[WrapperApi]:
    """The wrapper's API over its tables."""
    async with wrapper_api.wrapper_api(source) as running:
        yield running


def required(tenant: str, app: str | None = "crm") -> Envelope:
    """Somebody wants the copy brought up to date."""
    event = TenantSyncRequired(tenant=tenant, target_application=app, requested_by="support")
    return Said(event, tenant, None).envelope("wrapper", target=app or "*")


def environ(source: Database, crm: Database, **more: str) -> dict[str, str]:
    """Settings of a process on these databases."""
    return {
        "HEADWATER_SOURCE_URL": source.url,
        "HEADWATER_APP_CRM_URL": crm.url,
        "HEADWATER_REDIS_URL": "redis://127.0.0.1:1",
        **more,
    }


async def headwater_(settings: dict[str, str], *arguments: str) -> tuple[int, Any]:
    """How a command ends, and the JSON it gives."""

    def run(file: str) -> tuple[int, str]:
        out, err = io.StringIO(), io.StringIO()
        line = ["--json", "--env-file", file, "--project", str(ROOT), *arguments]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(line)
        assert code in {0, 1}, err.getvalue()
        return code, out.getvalue()

    with tempfile.NamedTemporaryFile("w", suffix=".env") as file:
        file.writelines(f"{name}={value}\n" for name, value in settings.items())
        file.flush()
        code, out = await asyncio.to_thread(run, file.name)
    return code, json.loads(out)


async def test_a_sync_that_the_stream_asks_for_is_made_once(
    source: Database, crm: Application, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    await crm.take(required(tenant), required(tenant))
    async with syncing(source, crm.database) as syncs:
        requests = Requests(crm.database, syncs)
        looks = [await requests.one_look(), await requests.one_look()]

    assert looks == [1, 0]
    assert (await held(crm.database, tenant))["users"] == 10
    assert await runs(crm.database) == [("direct", "completed")]


async def test_what_is_said_to_all_counts_only_for_tenants_that_are_known(
    source: Database, crm: Application, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    async with syncing(source, crm.database) as syncs:
        requests = Requests(crm.database, syncs)
        await crm.take(required(tenant, None))
        before = await requests.one_look()
        await syncs.ensure_tenant_sync(tenant)
        await syncs.settled(tenant)
        await crm.take(required(tenant, None))
        after = await requests.one_look()

    assert (before, after) == (0, 1)
    assert len(await runs(crm.database)) == 2


async def test_a_sync_that_failed_is_made_again_when_it_is_due_and_one_that_was_refused_is_not(
    source: Database, crm: Application, producers: Producers, api: WrapperApi
) -> None:
    tenant = await founded(source, producers)
    async with syncing(over(api), crm.database) as syncs:
        requests = Requests(crm.database, syncs)
        api.fail(r"\?.*", wrapper_api.status(503), times=5)
        failed = await syncs.ensure_tenant_sync(tenant)
        early = await requests.one_look()
        await crm.database.execute("UPDATE crm.tenant_syncs SET next_attempt_at = now()")
        due = await requests.one_look()
    done = (await held(crm.database, tenant))["users"]
    await crm.database.execute("TRUNCATE crm.tenants")
    async with syncing(over(api, token="", key="wrong"), crm.database) as syncs:
        refused = await syncs.ensure_tenant_sync(tenant)
        await crm.database.execute("UPDATE crm.tenant_syncs SET next_attempt_at = now()")
        again = await Requests(crm.database, syncs).one_look()

    assert (failed.error_type, early, due, done) == ("NETWORK_ERROR", 0, 1, 10)
    assert (refused.error_type, again) == ("AUTH_ERROR", 0)


@pytest.mark.parametrize(
    "killed",
    [
        ("independent", "users", r"users.*"),
        ("dependent", "assignments", r"employee-assignments.*"),
    ],
    ids=["essential", "background"],
)
async def test_a_process_killed_in_a_phase_leaves_a_truthful_status_and_another_finishes(
    source: Database,
    crm_database: Database,
    producers: Producers,
    api: WrapperApi,
    killed: tuple[str, str, str],
) -> None:
    phase, rows, path = killed
    tenant = await founded(source, producers)
    api.fail(path, wrapper_api.silence)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headwater", "sync", "tenant", tenant),
        cwd=ROOT,
        env={
            **CLEAN,
            **environ(source, crm_database, WRAPPER_API_URL=api.url, HEADWATER_TENANT_SYNC_API_KEY=KEY),
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await until(lambda: bool(api.bitten), within=60.0)
    reached = "SELECT true FROM crm.tenant_syncs WHERE phase = $1"
    await until(lambda: crm_database.fetchval(reached, phase), within=60.0)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    left = await crm_database.fetchrow(
        "SELECT status, phase, lease_until > now() AS held FROM crm.tenant_syncs"
    )
    before = (await held(crm_database, tenant))[rows]
    await crm_database.execute("UPDATE crm.tenant_syncs SET lease_until = now()")  # its time is over
    async with syncing(source, crm_database) as syncs:
        made = await Requests(crm_database, syncs).one_look()
        result = await syncs.settled(tenant)

    assert left is not None
    assert (left["status"], left["phase"], left["held"], before) == ("in_progress", phase, True, 0)
    assert made == 1
    assert result is not None
    assert (result.status, result.failed_collections) == ("completed", [])
    assert (await held(crm_database, tenant))[rows] == 10
    assert await runs(crm_database) == [("direct", "superseded"), ("direct", "completed")]


async def test_the_command_syncs_one_tenant_and_says_what_became_of_each_collection(
    source: Database, crm_database: Database, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    settings = environ(source, crm_database)

    first = await headwater_(settings, "sync", "tenant", tenant)
    second = await headwater_(settings, "sync", "tenant", tenant, "--method", "direct")
    unknown = await headwater_(settings, "sync", "tenant", "1d0c3a52-4b0e-4c37-9a55-2f3f8c1f7a10")
    invalid = await headwater_(settings, "sync", "tenant", "acme")

    assert first[0] == 0
    assert first[1]["stats"]["users"] == 10
    assert first[1]["collections"]["entityCredits"]["stored"] == 1
    assert (second[0], second[1]["alreadySynced"]) == (0, True)
    assert (unknown[0], unknown[1]["errorType"]) == (1, "VALIDATION_ERROR")
    assert (invalid[0], invalid[1]["errorType"]) == (1, "VALIDATION_ERROR")


async def test_the_command_makes_what_is_due(
    source: Database, crm: Application, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    await crm.take(required(tenant))

    done = await headwater_(environ(source, crm.database), "sync", "tenants", "--once")

    assert done == (0, {"schema": "headwater.sync.tenants.v1", "made": 1})
    assert (await held(crm.database, tenant))["users"] == 10


async def test_the_command_shows_what_is_stuck_and_ends_it(source: Database, crm_database: Database) -> None:
    settings, tenant = environ(source, crm_database), str(uuid.uuid4())
    assert await Leases(crm_database, "gone").take(tenant, "sync-gone", Wish())
    await crm_database.execute("UPDATE crm.tenant_syncs SET lease_until = now() - interval '100 seconds'")
    status = "SELECT status FROM crm.tenant_syncs"

    looked = await headwater_(settings, "sync", "cleanup", "--older-than", "60", "--dry-run")
    before = await crm_database.fetchval(status)
    done = await headwater_(settings, "sync", "cleanup", "--older-than", "60")

    assert (looked[0], [one["tenant"] for one in looked[1]["stuck"]]) == (0, [tenant])
    assert (done[0], [one["tenant"] for one in done[1]["stuck"]]) == (0, [tenant])
    assert (before, await crm_database.fetchval(status)) == ("in_progress", "failed")


async def test_the_doctor_tells_of_syncs_that_nobody_makes_and_of_flags_that_contradict_each_other(
    source: Database, crm: Application, producers: Producers
) -> None:
    tenant = await founded(source, producers)
    settings = load(ROOT, environ(source, crm.database, USE_TEMPORAL_FOR_AUTH="true"), {})

    async def found() -> dict[str, str]:
        return {one.check: one.state async for one in checks(settings) if one.check.startswith("tenant sync")}

    before = await found()
    await crm.take(required(tenant))
    early = await found()
    await crm.database.execute("UPDATE crm.tenant_syncs SET requested_at = now() - interval '5 minutes'")
    late = await found()

    well = {"tenant sync health": "ok", "tenant sync requests": "ok"}
    assert before == early == {"tenant sync method": "warn", **well}
    assert late["tenant sync requests"] == "warn"
    assert late["tenant sync health"] == "ok"
