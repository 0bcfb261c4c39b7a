"""The settings of the engine: one section for each part that has any."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from headwater.config.fields import Section, about
from headwater.config.reconciling import ReconcileSettings
from headwater.config.seeds import CustomerSyncSettings, TenantSyncSettings, UserSyncSettings
from headwater.config.values import AdminKey, Dsn
from headwater.errors import SettingsError

DAY = 86_400.0
_REDIS = ("redis", "rediss", "unix", "valkey", "valkeys")
_POSTGRES = ("postgresql", "postgres")


class BrokerSettings(Section, frozen=True, kw_only=True):
    """How this process talks to Redis."""

    block: Annotated[
        float,
        about("Longest wait of one read; the slowest reaction to a stop.", above=0, most=60, duration=True),
    ] = 2.0
    socket_timeout: Annotated[
        float, about("Longest wait for any answer; longer than block.", above=0, most=300, duration=True)
    ] = 5.0
    min_idle: Annotated[
        float,
        about(
            "A delivery untouched for this long is taken from its worker.", least=1, most=3600, duration=True
        ),
    ] = 10.0
    heartbeat: Annotated[
        float,
        about(
            "How often deliveries in hand are marked as held; at most a third of min_idle.",
            above=0,
            duration=True,
        ),
    ] = 3.0
    count: Annotated[int, about("Most entries of one read, over all its streams.", least=1, most=10_000)] = (
        1000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.socket_timeout <= self.block:
            raise SettingsError(
                f"broker.socket_timeout ({self.socket_timeout:g}s) is not longer than "
                f"broker.block ({self.block:g}s)",
                hint="every quiet read would end as an error: raise HEADWATER_BROKER_SOCKET_TIMEOUT",
            )
        if self.heartbeat > self.min_idle / 3:
            raise SettingsError(
                f"broker.heartbeat ({self.heartbeat:g}s) is more than a third of "
                f"broker.min_idle ({self.min_idle:g}s)",
                hint="one late heartbeat would lose a delivery in hand: raise HEADWATER_BROKER_MIN_IDLE",
            )


class DeliverySettings(Section, frozen=True, kw_only=True):
    """How a worker handles what it reads."""

    transactions: Annotated[
        int,
        about("Transactions in flight at once; one fewer beside them for history.", least=1, most=32),
    ] = 3
    bytes_in_hand: Annotated[
        int,
        about("Most bytes of entries that a worker holds at once.", least=1_048_576, most=17_179_869_184),
    ] = 67_108_864
    max_attempts: Annotated[int, about("Failures after which a delivery is parked.", least=1, most=1000)] = 8
    backoff_initial: Annotated[
        float, about("Wait before the first retry; doubles with each.", above=0, most=3600, duration=True)
    ] = 0.5
    backoff_max: Annotated[float, about("Longest wait before a retry.", above=0, most=DAY, duration=True)] = (
        60.0
    )
    drain_timeout: Annotated[
        float, about("At a stop, how long work in hand may take.", least=0, most=3600, duration=True)
    ] = 25.0
    consumer_name: Annotated[
        str,
        about("Name of this worker in its group, its alone; empty: the smallest free slot, crm-1, crm-2, …"),
    ] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backoff_max < self.backoff_initial:
            raise SettingsError(
                f"delivery.backoff_max ({self.backoff_max:g}s) is shorter than "
                f"delivery.backoff_initial ({self.backoff_initial:g}s)",
                hint="raise HEADWATER_DELIVERY_BACKOFF_MAX",
            )


class RelaySettings(Section, frozen=True, kw_only=True):
    """How the relay moves rows of the outbox to the streams."""

    batch: Annotated[int, about("Most rows of one pass.", least=1, most=10_000)] = 1000
    poll: Annotated[
        float,
        about("Longest time between passes when no commit rings the bell.", above=0, most=60, duration=True),
    ] = 1.0
    repair_rows: Annotated[
        int,
        about(
            "Most rows that the relay says again by itself for what Redis lost on one stream; 0: none.",
            least=0,
            most=1_000_000_000,
        ),
    ] = 100_000


class BackfillSettings(Section, frozen=True, kw_only=True):
    """How past facts are said again."""

    chunk: Annotated[int, about("Rows read and checkpointed at once.", least=1, most=10_000)] = 1000
    window: Annotated[
        int, about("Historical entries a group may be behind before a job waits.", least=1, most=100_000)
    ] = 500
    side_streams: Annotated[
        tuple[str, ...],
        about("Applications whose backfills go through streams of their own, {stream}:bf:{app}; * for all."),
    ] = ()
    runners: Annotated[int, about("Jobs run at once by one process.", least=1, most=64)] = 2
    rows_per_second: Annotated[
        int, about("Most rows a second of one job; 0: no limit but the window.", least=0, most=10_000_000)
    ] = 0
    quiet_hours: Annotated[
        str, about("Hours of the day, in UTC, in which jobs append nothing: 08:00-18:00; empty: none.")
    ] = ""
    jobs_at_once: Annotated[
        int,
        about(
            "Jobs run at once by all processes; 0: a third of database.pool_max, at least one.",
            least=0,
            most=1000,
        ),
    ] = 0
    open_transactions: Annotated[
        float,
        about(
            "How long a job waits for transactions open at the source before it removes rows; "
            "then it ends as diverged, and names one.",
            least=0,
            most=86_400,
            duration=True,
        ),
    ] = 60.0
    settle_after_toggle: Annotated[
        float,
        about(
            "Wait between the commit of a toggle and the first read; not below 1s in a live system.",
            least=0,
            most=60,
            duration=True,
        ),
    ] = 1.0


class DatabaseSettings(Section, frozen=True, kw_only=True):
    """How this process uses each Postgres database."""

    pool_min: Annotated[int, about("Connections kept open.", least=0, most=500)] = 1
    pool_max: Annotated[int, about("Most connections to one database.", least=1, most=500)] = 10
    connect_timeout: Annotated[
        float, about("Longest wait for a new connection.", above=0, most=300, duration=True)
    ] = 10.0
    acquire_timeout: Annotated[
        float, about("Longest wait for a free connection of the pool.", above=0, most=300, duration=True)
    ] = 10.0
    statement_timeout: Annotated[
        float, about("Longest run of one statement; 0: no limit.", least=0, most=DAY, duration=True)
    ] = 30.0
    lock_timeout: Annotated[
        float, about("Longest wait for a lock; 0: no limit.", least=0, most=DAY, duration=True)
    ] = 5.0
    idle_in_transaction: Annotated[
        float,
        about(
            "A transaction idle for this long is ended by the server; 0: never.",
            least=0,
            most=DAY,
            duration=True,
        ),
    ] = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool_max < self.pool_min:
            raise SettingsError(
                f"database.pool_max ({self.pool_max}) is less than database.pool_min ({self.pool_min})",
                hint="raise HEADWATER_DATABASE_POOL_MAX",
            )


class AdminSettings(Section, frozen=True, kw_only=True):
    """The admin HTTP interface, and how much of it one client may use up."""

    host: Annotated[str, about("Address to listen on; any but a loopback one needs keys.")] = "127.0.0.1"
    port: Annotated[int, about("Port to listen on; 0: any free one.", least=0, most=65_535)] = 8088
    keys: Annotated[
        tuple[AdminKey, ...],
        about(
            "API keys, id:sha256hex:scopes:tenants[:expiry]; scopes and tenants joined by +, or * for all."
        ),
    ] = ()
    open_metrics: Annotated[bool, about("Serve /metrics without a key.")] = False
    connections: Annotated[int, about("Most connections at once.", least=1, most=100_000)] = 256
    keepalive: Annotated[
        float, about("An idle connection is closed after this.", above=0, most=3600, duration=True)
    ] = 30.0
    header_timeout: Annotated[
        float,
        about(
            "A new connection must have sent a whole request head by then.", above=0, most=300, duration=True
        ),
    ] = 10.0
    body_timeout: Annotated[
        float, about("A body must have arrived by then.", above=0, most=300, duration=True)
    ] = 5.0
    body_limit: Annotated[int, about("Most bytes of a body, unpacked.", least=1024, most=16_777_216)] = 65_536
    stop_timeout: Annotated[
        float, about("At a stop, how long requests in hand may take.", least=0, most=300, duration=True)
    ] = 10.0


class RetentionSettings(Section, frozen=True, kw_only=True):
    """How long things are kept, at least; what goes, and when, is in docs/operations.md."""

    every: Annotated[
        float,
        about(
            "How often relay and admin remove what is old; 0: only by hand, `streams trim` and `db gc`.",
            least=0,
            most=30 * DAY,
            duration=True,
        ),
    ] = 6 * 3600.0
    streams: Annotated[
        float,
        about(
            "Entries of streams.",
            least=3600,
            most=3650 * DAY,
            duration=True,
            seed="STREAM_RETENTION_DAYS",
            seed_unit="days",
        ),
    ] = 30 * DAY
    credit_events: Annotated[
        float | None,
        about(
            "Entries of credit-events; empty: as all streams.",
            least=3600,
            most=3650 * DAY,
            duration=True,
            seed="CREDIT_EVENTS_RETENTION_DAYS",
            seed_unit="days",
        ),
    ] = None
    group_lease: Annotated[
        float,
        about(
            "A declared group for which nobody worked this long holds no stream back any more.",
            least=3600,
            most=3650 * DAY,
            duration=True,
        ),
    ] = 7 * DAY
    undeclared_lease: Annotated[
        float,
        about(
            "The same of a group that is declared nowhere; 0: it never holds one back.",
            least=0,
            most=3650 * DAY,
            duration=True,
        ),
    ] = DAY
    outbox: Annotated[
        float,
        about(
            "Rows of the outbox after they were published: what can be said again after a loss of Redis.",
            least=3600,
            most=3650 * DAY,
            duration=True,
        ),
    ] = 7 * DAY
    inbox: Annotated[
        float,
        about(
            "Marks of handled events; longer while a copy of an older one can still arrive.",
            least=3600,
            most=3650 * DAY,
            duration=True,
        ),
    ] = 45 * DAY
    tombstones: Annotated[
        float,
        about(
            "Marks of deleted things; longer while an older copy of one can still arrive.",
            least=3600,
            most=3650 * DAY,
            duration=True,
        ),
    ] = 90 * DAY
    records: Annotated[
        float,
        about("Settled dead letters and closed gaps.", least=3600, most=3650 * DAY, duration=True),
    ] = 90 * DAY
    jobs: Annotated[
        float,
        about(
            "Ended backfills and the audit trails; the last job of each tenant and application stays.",
            least=3600,
            most=3650 * DAY,
            duration=True,
        ),
    ] = 365 * DAY


class LogSettings(Section, frozen=True, kw_only=True):
    """What is logged, to stderr."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], about("The least important lines shown.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], about("auto: for people on a terminal, JSON lines elsewhere.")
    ] = "auto"


class Settings(Section, frozen=True, kw_only=True):
    """Everything a process is told from outside. Read once, handed down."""

    redis_url: Annotated[
        Dsn | None,
        about(
            "Redis or Valkey; empty: a server of our own, where embedded allows it.",
            schemes=_REDIS,
            aliases=("REDIS_URL",),
        ),
    ] = None
    source_url: Annotated[
        Dsn | None,
        about(
            "Database of the source of truth; empty: a server of our own, where embedded allows it.",
            schemes=_POSTGRES,
            aliases=("HEADWATER_DATABASE_URL", "DATABASE_URL"),
        ),
    ] = None
    apps: Annotated[
        dict[str, Dsn],
        about("Database of one target application.", schemes=_POSTGRES),
    ] = msgspec.field(default_factory=dict)
    key_prefix: Annotated[str, about("Put before every Redis key: for shared servers.")] = ""
    environment: Annotated[
        Literal["development", "production"],
        about("production: admin keys of your own are required, and doctor fails where it else warns."),
    ] = "development"
    env_label: Annotated[
        str, about("How people call this installation; named by doctor, and in questions.")
    ] = ""
    embedded: Annotated[
        Literal["auto", "system", "bundled", "off"],
        about("Servers of our own: from this system, from the embedded extra, the first found, or none."),
    ] = "auto"
    failpoints: Annotated[
        str, about("Places where a test makes this process fail: name[=pass][:action],…")
    ] = ""
    realm: Annotated[
        str,
        about(
            "Id that stands where a tenant would in events that belong to no tenant.",
            pattern="[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            form="a lower-case UUID",
        ),
    ] = "00000000-0000-4000-8000-000000000001"
    broker: BrokerSettings = msgspec.field(default_factory=BrokerSettings)
    delivery: DeliverySettings = msgspec.field(default_factory=DeliverySettings)
    relay: RelaySettings = msgspec.field(default_factory=RelaySettings)
    backfill: BackfillSettings = msgspec.field(default_factory=BackfillSettings)
    reconcile: ReconcileSettings = msgspec.field(default_factory=ReconcileSettings)
    database: DatabaseSettings = msgspec.field(default_factory=DatabaseSettings)
    admin: AdminSettings = msgspec.field(default_factory=AdminSettings)
    retention: RetentionSettings = msgspec.field(default_factory=RetentionSettings)
    log: LogSettings = msgspec.field(default_factory=LogSettings)
    tenant_sync: TenantSyncSettings = msgspec.field(default_factory=TenantSyncSettings)
    user_sync: UserSyncSettings = msgspec.field(default_factory=UserSyncSettings)
    customer_sync: CustomerSyncSettings = msgspec.field(default_factory=CustomerSyncSettings)
    sources: dict[str, str] = msgspec.field(default_factory=dict)
    """Where each value came from, by dotted name; what is not here is a default."""

    def source_of(self, dotted: str) -> str:
        """Where a value came from: `default`, a file, or the variable or flag that set it."""
        return self.sources.get(dotted, "default")
