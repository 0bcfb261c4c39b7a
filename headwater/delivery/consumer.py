"""What an application does with events: a declaration, checked when it is made.

    crm = Consumer("crm")

    @crm.upsert(OrganizationCreated, OrganizationUpdated, gone=(OrganizationDeleted,),
                table="crm.organizations", key="organization_id")
    class Organization:
        org_name: str                    # a column, and the event attribute of the same name

    @crm.on(CreditConsumed)
    async def on_credit_consumed(event: CreditConsumed, tx: Tx, context: Context) -> None: ...

A state event has one projection. Effects (mail, webhooks) stand beside it: they run once an event
id, never for historical events unless asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

import msgspec

from headwater.database import Tx
from headwater.errors import DeclarationError
from headwater.event import Event

E = TypeVar("E", bound=Event)
C = TypeVar("C")


class Context(msgspec.Struct, frozen=True):
    """What a handler may know beside the event."""

    tenant: str
    key: str
    """Which thing of the event's subject this is about."""
    version: int | None
    """The source row's; None for log events."""
    event_id: str
    """The same whenever the same fact is said."""
    historical: bool
    """Whether a backfill said it."""
    target: str
    """The application it is for; `*` for every one."""
    source: str
    """The service that said it."""
    correlation: str
    time: str
    """When it was said: ISO 8601 with zone, empty when an older producer gave none. Never an order."""
    stream: str
    entry: str
    """Its id in the stream."""


class Handler(Protocol):
    """A function that takes an event, a transaction and what else is known."""

    __module__: str
    __qualname__: str

    async def __call__(self, event: Any, tx: Tx, context: Context, /) -> None:
        """Handle one event."""


class Upsert(msgspec.Struct, frozen=True):
    """A row mirrors a row: applied set-based, through the gate."""

    subject: str
    table: str
    key: str
    columns: tuple[str, ...]
    retire: str | None
    """A column set to false for what is gone, in place of deleting the row."""
    live: str | None
    """Further condition on the table, when it is compared with the source."""


class Function(msgspec.Struct, frozen=True):
    """Code: run once for each event that passes the gate (state) or the inbox (log)."""

    event: type[Event]
    handler: Handler
    gated: bool
    """True: the ledger decides by version. False: the inbox decides by event id."""
    historical: bool
    """Whether historical events run it too."""
    effect: bool

    @property
    def subject(self) -> str:
        """The subject of its event."""
        return self.event.subject.name

    @property
    def mark(self) -> str:
        """Behind an event id in the inbox: an effect is handled once for itself, beside the projection."""
        return f"#{self.handler.__module__}.{self.handler.__qualname__}" if self.effect else ""


Step = Upsert | Function


class Consumer:
    """The handlers of one application. Steps run in the order they were declared."""

    def __init__(self, app: str, *, aliases: tuple[str, ...] = ()) -> None:
        """`aliases`: other names older events use for the application."""
        self.app = app
        self.names = frozenset((app, *aliases))
        self.steps: list[Step] = []
        self._steps_of: dict[str, list[int]] = {}

    def upsert(
        self,
        *events: type[Event],
        gone: tuple[type[Event], ...] = (),
        table: str,
        key: str,
        retire: str | None = None,
        live: str | None = None,
    ) -> Callable[[type[C]], type[C]]:
        """Mirror states into `table`: the decorated class names the columns.

        The table has `tenant_id`, the `key` column and a primary key over both. Raises
        DeclarationError when the events have different subjects or lack a column's attribute.
        """

        def declare(row: type[C]) -> type[C]:
            columns = tuple(row.__annotations__)
            for event in events:
                missing = [name for name in columns if not hasattr(event, name)]
                if missing:
                    raise DeclarationError(f"{event.__name__} has no attribute for the columns {missing}")
            subjects = {event.subject.name for event in (*events, *gone)}
            if len(subjects) != 1 or not events[0].subject.state:
                raise DeclarationError(f"an upsert takes states of one subject ({sorted(subjects)})")
            self._add(Upsert(subjects.pop(), table, key, columns, retire, live), *events, *gone)
            return row

        return declare

    def on(
        self, event: type[E], *, effect: bool = False, historical: bool | None = None
    ) -> Callable[[Callable[[E, Tx, Context], Awaitable[None]]], Callable[[E, Tx, Context], Awaitable[None]]]:
        """Run a function for an event, in the transaction that records it.

        It may run again after a rollback, so it must not leave anything outside `tx`; an `effect`
        (at least once, by nature) is told apart, and skips historical events unless `historical`.
        """

        def declare(
            handler: Callable[[E, Tx, Context], Awaitable[None]],
        ) -> Callable[[E, Tx, Context], Awaitable[None]]:
            gated = event.subject.state and not effect
            runs = (not effect) if historical is None else historical
            self._add(Function(event, cast("Handler", handler), gated, runs, effect), event)
            return handler

        return declare

    def _add(self, step: Step, *events: type[Event]) -> None:
        self.steps.append(step)
        for event in events:
            known = self._steps_of.setdefault(event.type, [])
            projections = [number for number in known if not _is_effect(self.steps[number])]
            if projections and not _is_effect(step):
                raise DeclarationError(f"{self.app} has two projections of {event.type!r}")
            known.append(len(self.steps) - 1)

    def steps_of(self, event_type: str) -> list[int]:
        """Places of the steps that want an event; empty when the application ignores it."""
        return self._steps_of.get(event_type, [])

    @property
    def mirrors(self) -> dict[str, Upsert]:
        """The upserts by subject."""
        return {step.subject: step for step in self.steps if isinstance(step, Upsert)}


def _is_effect(step: Step) -> bool:
    return isinstance(step, Function) and step.effect
