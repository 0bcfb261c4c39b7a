"""The CRM's backfills on side streams of their own, by a setting: human resources read none of it."""

from __future__ import annotations

import pytest

from headwater.cli.project import find
from headwater.errors import SettingsError
from headwater.testing import RunningServers
from tests.system.running import ROOT, running
from tests.system.test_historical_sync import SUBJECTS


async def test_an_application_with_side_streams_is_filled_and_others_see_only_what_is_live(
    servers: RunningServers, templates: dict[str, str]
) -> None:
    async with running(servers, templates, backfill_side_streams="crm") as system:
        _, tenant = await system.founded()
        await system.quiet()
        before = await system.entries("credit-events", tenant)

        job = await system.enabled(tenant)

        assert job.state == "verified", job.error
        for subject in SUBJECTS:
            assert await system.count(f"crm.{subject}", tenant) > 0
        assert await system.entries("credit-events", tenant) == before
        prefix = system.wiring.settings.key_prefix
        assert f"{prefix}credit-events:bf:crm" in job.upto()
        assert set(job.upto()) <= set(system.project.catalogue.side_keys("crm"))
        assert (await system.status(tenant)).body["syncState"] == "clean"


def test_side_streams_of_an_application_that_there_is_not_are_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"HEADWATER_BACKFILL_SIDE_STREAMS: no group .* 'cmr'") as wrong:
        find(ROOT, aside=["cmr"])

    assert wrong.value.hint == "declared: crm, hr"
