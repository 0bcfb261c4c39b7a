"""What an application does with events: a declaration, checked when it is made.

    crm = Consumer("crm")

    @crm.upsert(OrganizationCreated, OrganizationUpdated, gone=(OrganizationDeleted,),
                table="crm.organizations", key="organization_id")
    class Organization:
        org_name: str                    # a column, and the event attribute of the same name

    @crm.on(CreditConsumed)
    async def on_credit_consumed(event: CreditConsumed, tx: Tx, context: Context) -> None: ...

    @crm.on(CreditConsumed, batch=500, effect=True)
    async def report(
        events: Sequence[CreditConsumed], tx: Tx, contexts: Sequence[Context]
    ) -> Sequence[Done | Retry | Reject] | None: ...

A state event has one projection. Effects (mail, webhooks) stand beside it: they run once an event
id, never for historical events unless asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypedDict, TypeVar, Unpack, cast, overload

import msgspec

from headwater.database import Tx
from headwater.delivery.outcome import Done
from headwater.errors import DeclarationError, Reject, Retry
from headwater.event import Envelope, Event

E = TypeVar("E", bound=Event)
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)
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
    """A function that takes an event, a transaction and what else is known; or many of each."""

    __module__: str
    __qualname__: str

    async def __call__(self, event: Any, tx: Tx, context: Any, /) -> Any:
        """Handle one event, or a batch of them."""


class Single(Protocol[E_contra]):
    """A handler of one event."""

    async def __call__(self, event: E_contra, tx: Tx, context: Context, /) -> None:
        """Handle it."""


class Batch(Protocol[E_contra]):
    """A handler of many events; None answers that all are done."""

    async def __call__(
        self, events: Sequence[E_contra], tx: Tx, contexts: Sequence[Context], /
    ) -> Sequence[Done | Retry | Reject] | None:
        """Handle them."""


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
    ordered: bool = False
    """Whether every state is applied, each after the one before it, also when one fails."""


class Function(msgspec.Struct, frozen=True):
    """Code: run once for each event that passes the gate (state) or the inbox (log)."""

    event: type[Event]
    handler: Handler
    gated: bool
    """True: the ledger decides by version. False: the inbox decides by event id."""
    historical: bool
    """Whether historical events run it too."""
    effect: bool
    batch: int | None = None
    """How many events the handler takes at once at most; None: one, by itself."""
    ordered: bool = False
    """Whether the events of a thing wait for the one before them, also when it fails."""

    @property
    def subject(self) -> str:
        """The subject of its event."""
        return self.event.subject.name

    @property
    def mark(self) -> str:
        """Behind an event id in the inbox: an effect is handled once for itself, beside the projection."""
        return f"#{self.handler.__module__}.{self.handler.__qualname__}" if self.effect else ""


Step = Upsert | Function


class More(TypedDict, total=False):
    """What an upsert may say beside its table."""

    retire: str | None
    """A column to set to false for what is gone, in place of deleting the row."""
    live: str | None
    """Further condition on the table, when it is compared with the source."""
    ordered: bool
    """Apply every state, each after the one before it; later ones wait behind one that fails."""


class Consumer:
    """The handlers of one application. Steps run in the order they were declared."""

    def __init__(self, app: str, *, aliases: tuple[str, ...] = ()) -> None:
        """`aliases`: other names older events use for the application."""
        self.app = app
        self.names = frozenset((app, *aliases))
        self.steps: list[Step] = []
        self.ordered: set[str] = set()
        """Subjects whose events wait for one another."""
        self._steps_of: dict[str, list[int]] = {}

    def upsert(
        self,
        *events: type[Event],
        gone: tuple[type[Event], ...] = (),
        table: str,
        key: str,
        **more: Unpack[More],
    ) -> Callable[[type[C]], type[C]]:
        """Mirror states into `table`: the decorated class names the columns.

        The table has `tenant_id`, the `key` column and a primary key over both. `more`: a column to
        `retire` with, what is `live`, and whether states are `ordered`. Raises DeclarationError
        when the events have different subjects or lack a column's attribute.
        """

        if not isinstance(gone, tuple):
            raise DeclarationError("`gone` is a tuple of events", hint="write gone=(OrderDeleted,)")

        def declare(row: type[C]) -> type[C]:
            columns = tuple(row.__annotations__)
            for event in events:
                missing = [name for name in columns if not hasattr(event, name)]
                if missing:
                    raise DeclarationError(f"{event.__name__} has no attribute for the columns {missing}")
            subjects = {event.subject.name for event in (*events, *gone)}
            if len(subjects) != 1 or not events[0].subject.state:
                raise DeclarationError(f"an upsert takes states of one subject ({sorted(subjects)})")
            self._add(
                Upsert(
                    *(subjects.pop(), table, key, columns, more.get("retire"), more.get("live")),
                    ordered=more.get("ordered", False),
                ),
                *events,
                *gone,
            )
            return row

        return declare

    @overload
    def on(
        self,
        event: type[E],
        *,
        effect: bool = False,
        historical: bool | None = None,
        batch: Literal[None] = None,
        ordered: bool = False,
    ) -> Callable[[Single[E]], Single[E]]: ...

    @overload
    def on(
        self,
        event: type[E],
        *,
        effect: bool = False,
        historical: bool | None = None,
        batch: int,
        ordered: bool = False,
    ) -> Callable[[Batch[E]], Batch[E]]: ...

    def on(
        self,
        event: type[E],
        *,
        effect: bool = False,
        historical: bool | None = None,
        batch: int | None = None,
        ordered: bool = False,
    ) -> Callable[[Any], Any]:
        """Run a function for an event, in the transaction that records it.

        It may run again after a rollback, so it must not leave anything outside `tx`; an `effect`
        (at least once, by nature) is told apart, and skips historical events unless `historical`.

        With `batch` it takes up to so many events at once, and answers None when all are handled, or
        for each `Done()`, `Retry(after=…)` or `Reject(reason)`. Where one is not done, the transaction
        is rolled back and the function runs again without it.

        With `ordered` an event waits until the one before it of the same thing is done, was replayed or
        discarded, while other things go on; every state is given, not only the newest. It holds for all
        events of the subject. Raises DeclarationError.
        """
        if batch is not None and batch < 1:
            raise DeclarationError(f"a batch of {batch} events can not be handled")

        def declare(handler: Any) -> Any:
            _check(handler, event)
            gated = event.subject.state and not effect
            runs = (not effect) if historical is None else historical
            step = Function(event, cast("Handler", handler), gated, runs, effect, batch, ordered)
            self._add(step, event)
            return handler

        return declare

    def _add(self, step: Step, *events: type[Event]) -> None:
        self.steps.append(step)
        if step.ordered:
            self.ordered.add(step.subject)
        for event in events:
            known = self._steps_of.setdefault(event.type, [])
            projections = [number for number in known if not _is_effect(self.steps[number])]
            if projections and not _is_effect(step):
                raise DeclarationError(f"{self.app} has two projections of {event.type!r}")
            known.append(len(self.steps) - 1)

    def steps_of(self, event_type: str) -> list[int]:
        """Places of the steps that want an event; empty when the application ignores it."""
        return self._steps_of.get(event_type, [])

    def is_ordered(self, event: type[Event]) -> bool:
        """Whether the application takes an event in order."""
        return event.type in self._steps_of and event.subject.name in self.ordered

    def ordered_thing(self, envelope: Envelope) -> tuple[str, str, str] | None:
        """Tenant, subject and key of an event whose order counts; None for all others."""
        if envelope.subject not in self.ordered:
            return None
        return envelope.tenant, envelope.subject, envelope.key

    @property
    def mirrors(self) -> dict[str, Upsert]:
        """The upserts by subject."""
        return {step.subject: step for step in self.steps if isinstance(step, Upsert)}


def _check(handler: Any, event: type[Event]) -> None:
    call = handler if inspect.isfunction(handler) else getattr(type(handler), "__call__", None)  # noqa: B004
    if not inspect.iscoroutinefunction(call):
        raise DeclarationError(f"the handler of {event.type!r} is no async function")
    try:
        inspect.signature(handler).bind(event, None, None)
    except TypeError:
        raise DeclarationError(
            f"the handler of {event.type!r} does not take an event, a transaction and a context"
        ) from None


def _is_effect(step: Step) -> bool:
    return isinstance(step, Function) and step.effect
