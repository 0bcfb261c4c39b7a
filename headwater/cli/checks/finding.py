"""What a check found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Literal

import msgspec

from headwater import telemetry


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's."""

    check: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""
    """What to do; never empty for a failed one."""


def ok(check: str, detail: str = "") -> Finding:
    """All is well."""
    return Finding(check, "ok", detail)


def warn(check: str, detail: str, fix: str) -> Finding:
    """It works, and somebody should look."""
    return Finding(check, "warn", detail, fix)


def fail(check: str, detail: str, fix: str) -> Finding:
    """It does not work, or loses something one day."""
    return Finding(check, "fail", detail, fix)


def careful(strict: bool) -> Callable[[str, str, str], Finding]:
    """`fail` where it is serious, `warn` elsewhere."""
    return fail if strict else warn


async def gathered(check: str, findings: AsyncIterator[Finding]) -> list[Finding]:
    """What an examination found until it ended; an error that ends it is its last finding."""
    found: list[Finding] = []
    try:
        async for one in findings:
            found.append(one)
    except Exception as error:  # the doctor must finish its round whatever one patient has
        remedy = getattr(error, "hint", "") or "run it again with -v, and look at the server's log"
        found.append(fail(check, f"{type(error).__name__}: {telemetry.safe_text(error)}", remedy))
    return found
