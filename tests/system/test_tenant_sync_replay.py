"""Recorded histories of tenant syncs play again through today's workflow: what runs somewhere is not broken.

`python -m tests.system.record_histories` records them anew, from a real Temporal, when the workflow changes
on purpose.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from backfill.tenant_sync.temporal.workflow import TenantSync
from tests.sandbox import runner

FILES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))
TEXTS = {file.stem: file.read_text() for file in FILES}


async def played(history: dict[str, Any], name: str) -> Exception | None:
    """What is wrong with a history; None for nothing."""
    replayer = Replayer(workflows=[TenantSync], workflow_runner=runner())
    result = await replayer.replay_workflow(
        WorkflowHistory.from_json(name, history), raise_on_replay_failure=False
    )
    return result.replay_failure


def test_there_is_a_history_for_each_way_a_sync_can_end() -> None:
    assert set(TEXTS) == {"completed", "joined", "failed", "superseded"}


@pytest.mark.parametrize("name", TEXTS)
async def test_a_recorded_history_plays_through_the_workflow_of_today(name: str) -> None:
    assert await played(json.loads(TEXTS[name]), name) is None


@pytest.mark.parametrize(
    ("was", "renamed"),
    [("tenant_sync.essential", "tenant_sync.everything"), ("tenant_sync.finish", "tenant_sync.end")],
)
async def test_a_history_of_another_workflow_does_not(was: str, renamed: str) -> None:
    """So that the test above can fail."""
    assert was in TEXTS["completed"]

    changed = TEXTS["completed"].replace(was, renamed)

    assert "TMPRL1100" in str(await played(json.loads(changed), "changed"))


def test_a_committed_history_tells_nothing_of_the_machine_it_was_recorded_on() -> None:
    for text in TEXTS.values():
        assert "/site-packages/" not in text
        assert '"identity": "somebody"' in text
