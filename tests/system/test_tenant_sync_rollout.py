"""The rollout of seed 001, by the very commands of its page: which tenants go which way after each phase."""

from __future__ import annotations

import re
import shlex
import uuid
from collections.abc import Iterator
from pathlib import Path

import headwater
from backfill.tenant_sync.routing import Size, route
from headwater.config import Settings
from headwater.database.overrides import Live
from tests.system.test_commands import World, world

__all__ = ["world"]
PAGE = Path(headwater.__file__).parents[1] / "docs/seeds/001.md"
ONE, TWO, THREE = (str(uuid.UUID(int=one)) for one in (1, 2, 3))
SMALL, LARGE = 10, 501


def phases() -> Iterator[list[list[str]]]:
    """The commands of each phase, and those of the way back."""
    section = PAGE.read_text(encoding="utf-8").partition("## Rollout")[2].partition("\n## ")[0]
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        lines = [line.removeprefix("$ headwater ") for line in block.splitlines()]
        yield [shlex.split(line.replace("$ONE", ONE).replace("$TWO", TWO)) for line in lines]


async def test_each_phase_sends_the_tenants_that_it_says_through_temporal_and_the_way_back_none(
    world: World,
) -> None:
    live = await Live.open(world.crm, Settings())
    went = []
    for commands in phases():
        for command in commands:
            if command[0] == "config":
                await world.run(*command)
        await live.look()
        flags = live.now().tenant_sync
        took = {
            size: [route(one, "auto", flags, Size(users=size)).temporal for one in (ONE, TWO, THREE)]
            for size in (SMALL, LARGE)
        }
        went.append((sum(took[SMALL]), sum(took[LARGE])))

    assert went == [(0, 0), (1, 1), (2, 2), (0, 3), (0, 0)]
