"""Whatever fails wherever: everything said is held once, and soon."""

from __future__ import annotations

from pathlib import Path

from headwater.testing import RunningServers
from tests.failure.matrix import ACTIONS, ROLES, everything, points
from tests.failure.world import QUICK


async def test_every_failpoint_of_worker_and_relay_costs_time_and_nothing_else(
    servers: RunningServers, tmp_path: Path
) -> None:
    cells = await everything(servers, QUICK, tmp_path)

    wanted = [(point, action) for action in ACTIONS for role in ROLES for point in points(role)]
    assert [(one.point, one.action) for one in cells] == wanted
    assert {one[:2]: one.verdict.counts() for one in cells if one.verdict} == {}
    assert all(one.proof for one in cells)
    assert {one.point for one in cells if one.needed_wake} == set()
