"""The sandbox of workflows: refuses clocks, randomness and input in a step. Tests replay and run in it."""

from __future__ import annotations

import importlib
import pkgutil

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from backfill.tenant_sync.temporal import shapes

_WAY = ("backfill", "backfill.tenant_sync", "backfill.tenant_sync.temporal")
PASSED = ("headwater", "schemas", "streams", "producers", "consumers", "msgspec")


def runner() -> SandboxedWorkflowRunner:
    """The workflow's own module is loaded anew and watched; what stands beside it is not."""
    beside = [one for package in _WAY[:-1] for one in _beside(package)]
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED, *beside, shapes.__name__)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def _beside(package: str) -> list[str]:
    """What is in a package, but not the way to the workflow."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}.")
    return [one.name for one in found if one.name not in _WAY]
