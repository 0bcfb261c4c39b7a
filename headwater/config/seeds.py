"""Settings of the existing syncs, under the names, units and defaults they have there.

So one file of settings can serve both.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from headwater.config.fields import Section, about
from headwater.config.values import AdminKey, Dsn, Secret
from headwater.errors import SettingsError

_HTTP = ("http", "https")
_POSTGRES = ("postgres", "postgresql")


class TenantSyncSettings(Section, frozen=True, kw_only=True):
    """For the tenant sync: `headwater sync tenant`."""

    use_temporal: Annotated[
        bool,
        about(
            "Run the sync of a first login as a Temporal workflow.", seed="USE_TEMPORAL_FOR_AUTH", live=True
        ),
    ] = False
    temporal_timeout: Annotated[
        float,
        about(
            "How long a login waits for the workflow before the direct way is taken.",
            least=1,
            most=600,
            duration=True,
            seed="TEMPORAL_AUTH_TIMEOUT_MS",
            seed_unit="milliseconds",
            live=True,
        ),
    ] = 60.0
    temporal_tenants: Annotated[
        tuple[str, ...],
        about("Only these tenants use Temporal; empty: all.", seed="TEMPORAL_TENANTS", live=True),
    ] = ()
    temporal_enabled: Annotated[
        bool,
        about(
            "A Temporal server is there; without it the direct way is taken.",
            seed="TEMPORAL_ENABLED",
            live=True,
        ),
    ] = False
    temporal_address: Annotated[str, about("Host and port of Temporal.", seed="TEMPORAL_ADDRESS")] = (
        "localhost:7233"
    )
    temporal_namespace: Annotated[str, about("Namespace in Temporal.", seed="TEMPORAL_NAMESPACE")] = "default"
    temporal_workflows: Annotated[
        str,
        about(
            "Task queue of the workers of this application.",
            pattern=r"[A-Za-z0-9._-]{1,100}",
            form="letters, digits, dots, dashes",
        ),
    ] = "crm-workflows"
    temporal_by_size: Annotated[
        bool, about("Use Temporal for large or slow tenants only: those past a threshold below.", live=True)
    ] = False
    temporal_users: Annotated[
        int, about("Users above which a tenant is large; 0: they do not count.", least=0, live=True)
    ] = 500
    temporal_organizations: Annotated[
        int, about("Organizations above which a tenant is large; 0: they do not count.", least=0, live=True)
    ] = 100
    temporal_seconds: Annotated[
        float,
        about(
            "Length of its last sync above which a tenant is slow; 0: it does not count.",
            least=0,
            most=86_400,
            duration=True,
            live=True,
        ),
    ] = 30.0
    timeout: Annotated[
        float,
        about(
            "Longest essential sync on the direct way.",
            least=1,
            most=3600,
            duration=True,
            seed="SYNC_TIMEOUT_MS",
            seed_unit="milliseconds",
        ),
    ] = 60.0
    api_url: Annotated[
        Dsn | None,
        about(
            "The wrapper's API, without /api/wrapper; unset: its database is read.",
            schemes=_HTTP,
            seed="WRAPPER_API_URL",
        ),
    ] = None
    api_key: Annotated[Secret | None, about("The internal API key that a service's token is got with.")] = (
        None
    )
    api_timeout: Annotated[
        float, about("How long one request may take.", above=0, most=600, duration=True)
    ] = 30.0


class UserSyncSettings(Section, frozen=True, kw_only=True):
    """For the user sync: `headwater sync users`."""

    interval: Annotated[
        float,
        about(
            "Time between two sweeps.",
            least=6,
            most=86_400,
            duration=True,
            seed="SYNC_INTERVAL_MINUTES",
            seed_unit="minutes",
        ),
    ] = 60.0
    window_multiplier: Annotated[
        float,
        about(
            "Accepted; a sweep misses nothing however long ago it was, so there is no look-back.",
            least=1,
            most=100,
            seed="SYNC_WINDOW_MULTIPLIER",
        ),
    ] = 3.0
    source_url: Annotated[
        Dsn | None,
        about("The source database of users, in place of the five settings below.", schemes=_POSTGRES),
    ] = None
    source_host: Annotated[str, about("Host of the source database.", seed="SOURCE_DB_HOST")] = ""
    source_port: Annotated[int, about("Its port.", least=1, most=65_535, seed="SOURCE_DB_PORT")] = 5432
    source_name: Annotated[str, about("Its name.", seed="SOURCE_DB_NAME")] = ""
    source_user: Annotated[str, about("User there.", seed="SOURCE_DB_USER")] = ""
    source_password: Annotated[Secret | None, about("Password there.", seed="SOURCE_DB_PASSWORD")] = None
    source_pool_size: Annotated[
        int, about("Most connections there.", least=1, most=500, seed="SOURCE_DB_POOL_SIZE")
    ] = 10
    chat_host: Annotated[str, about("Host of the chat database.", seed="CHAT_DB_HOST")] = ""
    chat_port: Annotated[int, about("Its port.", least=1, most=65_535, seed="CHAT_DB_PORT")] = 5432
    chat_name: Annotated[str, about("Its name.", seed="CHAT_DB_NAME")] = ""
    chat_user: Annotated[str, about("User there.", seed="CHAT_DB_USER")] = ""
    chat_password: Annotated[Secret | None, about("Password there.", seed="CHAT_DB_PASSWORD")] = None
    chat_pool_size: Annotated[
        int, about("Most connections there.", least=1, most=500, seed="CHAT_DB_POOL_SIZE")
    ] = 10
    max_retries: Annotated[
        int, about("Retries of one user after the first attempt.", least=0, most=100, seed="MAX_RETRIES")
    ] = 3
    retry_initial_delay: Annotated[
        float,
        about(
            "Wait before the first retry.",
            least=0.001,
            most=60,
            duration=True,
            seed="RETRY_INITIAL_DELAY",
            seed_unit="milliseconds",
        ),
    ] = 1.0
    retry_max_delay: Annotated[
        float,
        about(
            "Longest wait before a retry.",
            least=0.001,
            most=3600,
            duration=True,
            seed="RETRY_MAX_DELAY",
            seed_unit="milliseconds",
        ),
    ] = 30.0
    retry_backoff_multiplier: Annotated[
        float,
        about("Each wait is the one before times this.", least=1, most=10, seed="RETRY_BACKOFF_MULTIPLIER"),
    ] = 2.0
    max_reconnect_attempts: Annotated[
        int,
        about(
            "Lost connections in a row after which health says unhealthy; reconnecting goes on.",
            least=1,
            most=100_000,
            seed="MAX_RECONNECT_ATTEMPTS",
        ),
    ] = 10
    leavers: Annotated[
        Literal["remove", "mark"],
        about("What becomes of users who are not active any more: gone from the chat, or another status."),
    ] = "remove"
    sweep_batch: Annotated[int, about("Most rows of one page of a sweep.", least=25, most=10_000)] = 500
    bulk_batch: Annotated[int, about("Rows of one page of a bulk sync.", least=25, most=10_000)] = 1000
    status_host: Annotated[
        str, about("Where the status is served; any but a loopback address needs admin keys.")
    ] = "127.0.0.1"
    status_port: Annotated[
        int, about("Its port, for /health, /status and /metrics; 0: any free one.", least=0, most=65_535)
    ] = 9000

    @property
    def source(self) -> Dsn | None:
        """The source database of users; None when none is named."""
        where = (self.source_host, self.source_port, self.source_name)
        return self.source_url or _address(*where, self.source_user, self.source_password)

    @property
    def applications(self) -> dict[str, Dsn]:
        """The application's database under the names of the existing service, where they are set."""
        where = (self.chat_host, self.chat_port, self.chat_name)
        chat = _address(*where, self.chat_user, self.chat_password)
        return {} if chat is None else {"chat": chat}

    def __post_init__(self) -> None:
        super().__post_init__()
        for place in ("source", "chat"):
            if getattr(self, f"{place}_host") and not getattr(self, f"{place}_name"):
                name = f"{place.upper()}_DB_NAME"
                raise SettingsError(f"{place.upper()}_DB_HOST is set without a database", hint=f"set {name}")
        if self.retry_max_delay < self.retry_initial_delay:
            raise SettingsError(
                f"RETRY_MAX_DELAY ({self.retry_max_delay:g}s) is shorter than "
                f"RETRY_INITIAL_DELAY ({self.retry_initial_delay:g}s)",
                hint="raise RETRY_MAX_DELAY",
            )


class CustomerSyncSettings(Section, frozen=True, kw_only=True):
    """For the customer sync: `headwater sync customers`. The services are called `auth` and `customer`."""

    auth_service_url: Annotated[
        Dsn | None,
        about("The auth service; port 8080 by convention.", schemes=_HTTP, seed="AUTH_SERVICE_URL"),
    ] = None
    customer_service_url: Annotated[
        Dsn | None,
        about("The customer service; port 8081 by convention.", schemes=_HTTP, seed="CUSTOMER_SERVICE_URL"),
    ] = None
    encryption_key: Annotated[
        Secret | None,
        about(
            "Key of encrypted e-mail addresses: 64 hex digits.",
            seed="ENCRYPTION_KEY",
            pattern="[0-9A-Fa-f]{64}",
            form="64 hex digits, not one byte repeated",
        ),
    ] = None
    older_keys: Annotated[
        Secret | None,
        about(
            "Keys before it, commas between: they open what they sealed until `keys rotate` is through.",
            pattern="[0-9A-Fa-f]{64}( *, *[0-9A-Fa-f]{64})*",
            form="keys of 64 hex digits with commas between",
        ),
    ] = None
    auth_service_key: Annotated[
        Secret | None, about("The API key that opens the auth service to this one.")
    ] = None
    customer_service_key: Annotated[
        Secret | None, about("The API key that opens the customer service to this one.")
    ] = None
    peers: Annotated[
        tuple[AdminKey, ...],
        about(
            "API keys that the other service may present, written as those of the admin interface; the id is "
            "the service's name."
        ),
    ] = ()
    anonymous: Annotated[
        tuple[str, ...], about("Services that need no key here; for existing ones, which have none.")
    ] = ()
    legacy: Annotated[
        tuple[str, ...],
        about("Services that are the existing ones: no versions, e-mail in the clear. Others get it sealed."),
    ] = ()
    plain_http: Annotated[
        tuple[str, ...], about("Hosts that may be spoken to over http://; this machine always may.")
    ] = ()
    prefer: Annotated[
        Literal["auth", "customer", "nobody"],
        about("Whose value counts where both services edited one field; nobody: it is left to people."),
    ] = "auth"
    interval: Annotated[
        float,
        about(
            "Between two syncs with the other service; 0: only when asked.",
            least=0,
            most=86_400,
            duration=True,
        ),
    ] = 300.0
    request_timeout: Annotated[
        float, about("Longest wait for an answer of the other service.", above=0, most=600, duration=True)
    ] = 30.0
    attempts: Annotated[int, about("Attempts of one request to it.", least=1, most=100)] = 5
    page: Annotated[int, about("Records of one request.", least=1, most=1000)] = 500
    host: Annotated[
        str, about("Where `headwater sync customers serve` listens; any but a loopback address needs keys.")
    ] = "127.0.0.1"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("anonymous", "legacy"):
            if unknown := set(getattr(self, name)) - {"auth", "customer"}:
                raise SettingsError(
                    f"customer_sync.{name} names {', '.join(sorted(unknown))}",
                    hint="the services are auth and customer",
                )
        if self.encryption_key is not None and len(set(bytes.fromhex(self.encryption_key.reveal()))) == 1:
            raise SettingsError("ENCRYPTION_KEY is one byte repeated", hint="make one: openssl rand -hex 32")


def _address(host: str, port: int, name: str, user: str, password: Secret | None) -> Dsn | None:
    if not host:
        return None
    known = ":".join(quote(word, safe="") for word in (user, password.reveal() if password else "") if word)
    return Dsn(f"postgresql://{known}{'@' if known else ''}{host}:{port}/{quote(name, safe='')}")
