"""Does an application agree with the source? Compare a tenant's subjects, and mend what differs.

What is found is kept by (tenant, application, subject): `agreed`, `differing` or `unknown`. A loss that
is signalled while a comparison runs leaves its result unknown: it may have looked too early.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from headwater import telemetry
from headwater.database import Database, load
from headwater.errors import HeadwaterError, JobRefused
from headwater.replay import agreeing
from headwater.replay.agreeing import Signals
from headwater.replay.backfill import Backfill
from headwater.replay.content import Content
from headwater.replay.digest import Mirrored
from headwater.replay.examining import Examiner, Finding
from headwater.replay.history import History
from headwater.replay.kinds import Kind
from headwater.replay.mending import Mended, Mending
from headwater.replay.saying import Saying
from headwater.replay.sides import Sides

log = telemetry.logger(__name__)
State = Literal["agreed", "differing", "unknown"]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation is to do."""

    level: int = 1
    """1: keys and versions. 2: content, too."""
    sample: int | None = None
    """At level 2: the content of about so many rows of each subject; None: of all."""
    fix: bool = False
    remove_untracked: bool = False
    """With `fix`: remove rows, too, that headwater did not write and the source does not have."""
    subjects: tuple[str, ...] = ()
    """Empty: every one."""
    actor: str = "headwater"
    most: int | None = None
    """Mend no more than so many keys of a subject; None: all."""
    patience: float = 10.0
    """Seconds the application has to apply what was said before, and then what mends it."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one subject."""

    subject: str
    state: State
    reason: str
    found: Finding
    """What differed before anything was mended."""
    left: Finding | None = None
    """After mending: what still differs."""
    said: int = 0
    removed: int = 0
    refused: dict[str, str] = {}
    """Why rows could not be said, by key."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation did."""

    tenant: str
    app: str
    outcomes: tuple[Outcome, ...]

    @property
    def agreed(self) -> bool:
        """Whether every subject agrees now."""
        return all(one.state == "agreed" for one in self.outcomes)


class Reconciler:
    """Compares and mends, one tenant's application at a time."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.ways = history.ways

    def app(self, name: str) -> str:
        """An application's own name. Raises DeclarationError."""
        return self.ways.outgoing.catalogue.group(name).app

    async def spelled(self, tenant: str, app: str) -> str:
        """As `History.spelled`. Raises DeclarationError, DatabaseUnavailable."""
        return await self.history.spelled(tenant, self.app(app))

    def subjects(self, app: str) -> list[str]:
        """What can be compared: mirrored by a table, and said by a backfill."""
        mirrored = self.ways.mirrored.get(app, {})
        return [one.subject for one in self.history.subjects(app, {}) if one.subject in mirrored]

    def sink(self, app: str) -> Database:
        """The application's database. Raises HeadwaterError when it is not known here."""
        if app not in self.ways.sinks:
            raise HeadwaterError(
                f"the database of {app!r} is not known here",
                hint=f"set HEADWATER_APP_{app.upper()}_URL",
            )
        return self.ways.sinks[app]

    async def check(self, tenant: str, app: str, wish: Wish) -> tuple[str, list[str]]:
        """The application's name and the subjects to compare, when that can be done now.

        Raises DeclarationError, HeadwaterError, or JobRefused with the backfill that is at work.
        """
        app = self.app(app)
        self.sink(app)
        subjects = self.subjects(app)
        unknown = set(wish.subjects) - set(subjects)
        if unknown or not subjects:
            raise HeadwaterError(
                f"{app} has nothing that can be compared ({', '.join(sorted(unknown)) or 'no subject'})",
                hint=f"it has: {', '.join(subjects)}" if subjects else "",
            )
        if not await self.history.enabled(tenant, app):
            raise HeadwaterError(f"{app} is not enabled for the tenant {tenant}", hint="enable it")
        jobs = await self.history.jobs.listed(tenant, app, limit=1)
        if jobs and not jobs[0].finished and jobs[0].state != "paused":
            raise JobRefused(
                "a backfill of this application is running, and compares at its end", job=jobs[0]
            )
        return app, [one for one in subjects if not wish.subjects or one in wish.subjects]

    async def reconcile(self, tenant: str, app: str, wish: Wish) -> Report:
        """Compare, mend where that is wished, and keep the result.

        Raises as `check`, and ServerUnavailable.
        """
        app, subjects = await self.check(tenant := await self.spelled(tenant, app), app, wish)
        signals = await self.signals(app)
        outcomes = []
        for subject in subjects:
            backfill, mirrored = self.ways.backfill(subject), self.ways.mirrored[app][subject]
            one = Reconciliation(self, tenant, backfill, mirrored, wish)
            outcome = await one.run()
            await self._keep(tenant, outcome, wish, (app, signals))
            outcomes.append(outcome)
        report = Report(tenant=tenant, app=app, outcomes=tuple(outcomes))
        what = "repaired" if wish.fix else "compared"
        await self.note(wish.actor, tenant, app, what, summary(report))
        return report

    async def signals(self, app: str) -> Signals:
        """The loss signals of this moment."""
        return await agreeing.signals(self.ways.source, self.sink(app), app)

    async def known(self, tenant: str | None = None, app: str | None = None) -> list[dict[str, Any]]:
        """What the last comparisons said, as far as it still holds."""
        rows = await self.ways.source.fetch(load(__file__, "agreements"), tenant, app)
        return [{**row, "kinds": msgspec.json.decode(row["kinds"])} for row in rows]

    async def notes(self, tenant: str, app: str, *, limit: int = 50) -> list[dict[str, Any]]:
        """The audit trail, newest first."""
        rows = await self.ways.source.fetch(load(__file__, "reconcile_notes"), tenant, app, limit)
        return [dict(row) for row in rows]

    async def note(self, actor: str, tenant: str, app: str, what: str, detail: str) -> None:
        """Add to the audit trail."""
        about = (actor, tenant, app, what, detail[:1000])
        await self.ways.source.execute(load(__file__, "reconcile_note"), *about)

    async def _keep(self, tenant: str, outcome: Outcome, wish: Wish, about: tuple[str, Signals]) -> None:
        last, (app, signals) = outcome.left or outcome.found, about
        all_content, kinds = whole(wish, outcome.found), dict(last.kinds)
        if not all_content and "corrupt" in outcome.found.kinds:  # what was not looked at may be as they were
            kinds["corrupt"] = outcome.found.kinds["corrupt"]
        await self.ways.source.execute(
            load(__file__, "agreement_keep"),
            *(tenant, app, outcome.subject, outcome.state, outcome.reason, last.level, last.seconds),
            *(
                last.source_count,
                last.applied_count,
                msgspec.json.encode(kinds).decode(),
                *signals,
                all_content,
            ),
        )
        if outcome.state != "agreed":
            log.warning(
                "reconcile.differs", tenant=tenant, app=app, subject=outcome.subject, reason=outcome.reason
            )


class Reconciliation:
    """One subject of one tenant in one application, once."""

    def __init__(
        self, reconciler: Reconciler, tenant: str, backfill: Backfill, mirrored: Mirrored, wish: Wish
    ) -> None:
        ways = reconciler.ways
        self._wish = wish
        self._saying = Saying(ways, tenant, mirrored.app, "reconcile")
        self._sides = Sides(ways.source, reconciler.sink(mirrored.app), backfill, mirrored, tenant)
        self._mending = Mending(self._sides, self._saying, wish.patience)
        self._done = Mended()
        self._mended = 0

    async def run(self) -> Outcome:
        """Compare; mend, wait and compare once more where that is wished."""
        wish, subject = self._wish, self._sides.mirrored.subject
        await self._sides.open()
        if wish.fix:
            await self._saying.open()
        content = Content(self._sides, self._saying)
        found = await self._examiner(content).examine(
            level=wish.level, sample=wish.sample, mend=self._mend if wish.fix else None
        )
        left = await self._after(found) if self._mended else None
        state, reason = judge(left or found)
        if state == "agreed" and not whole(wish, found) and "corrupt" in found.kinds:
            state, reason = (
                "unknown",
                f"{found.kinds['corrupt']} corrupt of a sample were mended; compare all",
            )
        done = self._done
        return Outcome(
            subject=subject,
            state=state,
            reason="; ".join(one for one in (reason, done.waited) if one),
            found=found,
            left=left,
            said=done.said,
            removed=done.removed,
            refused={**found.refused, **done.refused},
        )

    def _examiner(self, content: Content) -> Examiner:
        return Examiner(self._sides, content, lambda: self._saying.caught_up(within=self._wish.patience))

    async def _mend(self, kinds: Mapping[Kind, Sequence[str]]) -> None:
        room = None if self._wish.most is None else self._wish.most - self._mended
        some = kinds if room is None else first(kinds, room)
        self._mended += sum(len(keys) for keys in some.values())
        self._done = self._done.plus(
            await self._mending.mend(some, remove_untracked=self._wish.remove_untracked)
        )

    async def _after(self, found: Finding) -> Finding:
        await self._saying.applied(self._done.upto, within=self._wish.patience)
        content = Content(self._sides, self._saying)
        left = await self._examiner(content).examine()
        corrupt = await content.confirmed(found.keys.get("corrupt", []))
        if not corrupt:
            return left
        kinds, keys = {**left.kinds, "corrupt": len(corrupt)}, {**left.keys, "corrupt": corrupt}
        return msgspec.structs.replace(left, kinds=kinds, keys=keys)


def first(kinds: Mapping[Kind, Sequence[str]], room: int) -> dict[Kind, Sequence[str]]:
    """The first keys, so many of all kinds together. Pure."""
    found: dict[Kind, Sequence[str]] = {}
    for how, keys in kinds.items():
        some = keys[: max(0, room)]
        room -= len(some)
        if some:
            found[how] = some
    return found


def whole(wish: Wish, found: Finding) -> bool:
    """Whether the content of every row was compared. Pure."""
    return wish.level > 1 and (wish.sample is None or wish.sample >= found.source_count)


def judge(found: Finding) -> tuple[State, str]:
    """What a finding says. Pure."""
    if found.agreed:
        return "agreed", ""
    counts = ", ".join(f"{count} {how}" for how, count in found.kinds.items())
    if not found.caught_up and found.kinds.keys() <= {"missing", "stale", "orphan"}:
        return "unknown", f"{counts}; the application has not applied yet what was said before"
    return "differing", counts


def summary(report: Report) -> str:
    """A reconciliation in a line. Pure."""
    parts = []
    for one in report.outcomes:
        done = f", {one.said} said again, {one.removed} removed" if one.left is not None else ""
        parts.append(f"{one.subject}: {one.state}{f' ({one.reason})' if one.reason else ''}{done}")
    return "; ".join(parts)


def as_data(report: Report) -> dict[str, Any]:
    """For JSON, on the command line and over HTTP. Pure."""
    return {
        "tenant": report.tenant,
        "application": report.app,
        "agreed": report.agreed,
        "subjects": [
            {
                **{
                    name: getattr(one, name)
                    for name in ("subject", "state", "reason", "said", "removed", "refused")
                },
                "found": msgspec.structs.asdict(one.found),
                "left": None if one.left is None else msgspec.structs.asdict(one.left),
            }
            for one in report.outcomes
        ],
    }
