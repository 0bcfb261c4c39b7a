"""Settings: where they come from, what they refuse, and what they never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater import config
from headwater.config import (
    AdminKey,
    BrokerSettings,
    DeliverySettings,
    Dsn,
    Secret,
    Settings,
    duration,
    load,
    masked,
    spell,
)
from headwater.errors import SettingsError

ROOT = Path(__file__).parents[2]
SEEDS = {
    "USE_TEMPORAL_FOR_AUTH": "false",
    "TEMPORAL_AUTH_TIMEOUT_MS": "60000",
    "TEMPORAL_TENANTS": "",
    "TEMPORAL_ENABLED": "false",
    "TEMPORAL_ADDRESS": "localhost:7233",
    "TEMPORAL_NAMESPACE": "default",
    "SYNC_TIMEOUT_MS": "60000",
    "SYNC_INTERVAL_MINUTES": "1",
    "SYNC_WINDOW_MULTIPLIER": "3",
    **{
        f"{side}_DB_{part}": ""
        for side in ("SOURCE", "CHAT")
        for part in ("HOST", "NAME", "USER", "PASSWORD")
    },
    "SOURCE_DB_PORT": "5432",
    "CHAT_DB_PORT": "5432",
    "SOURCE_DB_POOL_SIZE": "10",
    "CHAT_DB_POOL_SIZE": "10",
    "MAX_RETRIES": "3",
    "RETRY_INITIAL_DELAY": "1000",
    "RETRY_MAX_DELAY": "30000",
    "RETRY_BACKOFF_MULTIPLIER": "2",
    "MAX_RECONNECT_ATTEMPTS": "10",
    "AUTH_SERVICE_URL": "",
    "CUSTOMER_SERVICE_URL": "",
    "ENCRYPTION_KEY": "",
    "STREAM_RETENTION_DAYS": "30",
    "CREDIT_EVENTS_RETENTION_DAYS": "",
}


def settings(tmp_path: Path, **environ: str) -> Settings:
    return load(tmp_path, environ)


def test_without_any_source_every_value_is_its_default(tmp_path: Path) -> None:
    found = settings(tmp_path)

    assert found == Settings()
    assert found.source_of("broker.block") == "default"


def test_a_stronger_source_wins_and_is_named(tmp_path: Path) -> None:
    """headwater.toml < .env < environment < flags."""
    (tmp_path / "headwater.toml").write_text(
        "key_prefix = 'toml'\n[broker]\ncount = 1\nblock = '1s'\nmin_idle = 20\n[relay]\nbatch = 7\n"
    )
    (tmp_path / ".env").write_text(
        "HEADWATER_BROKER_COUNT=2\nHEADWATER_BROKER_BLOCK=1500ms\nHEADWATER_BROKER_MIN_IDLE=30\n"
    )
    environ = {"HEADWATER_BROKER_COUNT": "3", "HEADWATER_BROKER_BLOCK": "1600ms"}

    found = load(tmp_path, environ, {"broker.count": "4", "relay.poll": None})

    assert (found.broker.count, found.broker.block, found.broker.min_idle) == (4, 1.6, 30.0)
    assert (found.relay.batch, found.key_prefix) == (7, "toml")
    assert found.sources == {
        "key_prefix": "headwater.toml",
        "relay.batch": "headwater.toml",
        "broker.min_idle": ".env HEADWATER_BROKER_MIN_IDLE",
        "broker.block": "environment HEADWATER_BROKER_BLOCK",
        "broker.count": "flag --broker-count",
    }


def test_another_env_file_stands_for_the_projects(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HEADWATER_RELAY_BATCH=1\n")
    (tmp_path / "staging.env").write_text("HEADWATER_RELAY_BATCH=2\n")

    assert load(tmp_path, {}, env_file=tmp_path / "staging.env").relay.batch == 2
    with pytest.raises(SettingsError, match="not there"):
        load(tmp_path, {}, env_file=tmp_path / "absent.env")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HEADWATER_BROKR_BLOCK", "did you mean HEADWATER_BROKER_BLOCK?"),
        ("HEADWATER_FOO", "headwater config env lists every setting"),
        ("HEADWATER_REDIS_URI", "did you mean HEADWATER_REDIS_URL?"),
        ("HEADWATER_APPS", "headwater config env lists every setting"),
        ("HEADWATER_ZZZZZZZZZZ_QQQQQ", "headwater config env lists every setting"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting {name}") as refused:
        load(tmp_path, {name: "1"})

    assert refused.value.hint.startswith(hint)


def test_an_unknown_key_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "headwater.toml").write_text("[broker]\nblok = 1\n")

    with pytest.raises(SettingsError, match=r"broker\.blok in headwater\.toml") as refused:
        settings(tmp_path)

    assert refused.value.hint == "did you mean broker.block?"


def test_sources_can_not_be_set_from_outside(tmp_path: Path) -> None:
    (tmp_path / "headwater.toml").write_text("[sources]\nx = 'y'\n")

    with pytest.raises(SettingsError, match="unknown"):
        settings(tmp_path)


def test_variables_of_others_and_of_the_tests_are_left_alone(tmp_path: Path) -> None:
    assert settings(tmp_path, PATH="/bin", HEADWATER_TEST_REDIS_URL="redis://x") == Settings()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("500ms", 0.5),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("7d", 604_800.0),
        ("1.5", 1.5),
        (".5s", 0.5),
    ],
)
def test_durations_are_read_in_every_spelling(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 2.5, 90.0, 300.0, 7200.0, 604_800.0])
def test_a_duration_reads_back_as_it_is_spelt(seconds: float) -> None:
    assert duration(spell(seconds)) == seconds


@pytest.mark.parametrize("word", ["true", "1", "yes", "on", "TRUE", "On"])
def test_every_word_for_yes_is_yes(tmp_path: Path, word: str) -> None:
    assert settings(tmp_path, HEADWATER_ADMIN_OPEN_METRICS=word).admin.open_metrics


@pytest.mark.parametrize("word", ["false", "0", "no", "off", "No"])
def test_every_word_for_no_is_no(tmp_path: Path, word: str) -> None:
    (tmp_path / "headwater.toml").write_text("[admin]\nopen_metrics = true\n")

    assert not settings(tmp_path, HEADWATER_ADMIN_OPEN_METRICS=word).admin.open_metrics


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("HEADWATER_BROKER_BLOCK", "0", "a duration above 0s up to 1m"),
        ("HEADWATER_BROKER_BLOCK", "nan", "a duration above 0s up to 1m"),
        ("HEADWATER_BROKER_BLOCK", "soon", "a duration above 0s up to 1m"),
        ("HEADWATER_BROKER_COUNT", "1.5", "a whole number from 1 up to 10000"),
        ("HEADWATER_BROKER_COUNT", "0", "a whole number from 1 up to 10000"),
        ("HEADWATER_ADMIN_PORT", "70000", "a whole number from 0 up to 65535"),
        ("HEADWATER_ENVIRONMENT", "prod", "one of development, production"),
        ("HEADWATER_REALM", "realm", "a lower-case UUID"),
        ("TEMPORAL_AUTH_TIMEOUT_MS", "5", "a number of milliseconds from 1000 up to 600000"),
        ("SYNC_INTERVAL_MINUTES", "0", "a number of minutes from 0.1 up to 1440"),
        ("MAX_RETRIES", "-1", "a whole number from 0 up to 100"),
        ("STREAM_RETENTION_DAYS", "0", "a number of days from"),
        ("USE_TEMPORAL_FOR_AUTH", "maybe", "true or false"),
    ],
)
def test_a_value_out_of_range_is_refused_naming_the_range(
    tmp_path: Path, name: str, value: str, accepted: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, {name: value})

    assert str(refused.value).startswith(f"{name} ({value}) is not {accepted}")
    assert name in refused.value.hint


def test_a_section_built_by_hand_checks_the_same_ranges() -> None:
    with pytest.raises(SettingsError, match=r"broker\.count|count"):
        BrokerSettings(count=0)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"HEADWATER_BROKER_BLOCK": "5s"}, r"socket_timeout \(5s\) is not longer than broker\.block \(5s\)"),
        ({"HEADWATER_BROKER_HEARTBEAT": "4s"}, r"more than a third of broker\.min_idle"),
        ({"HEADWATER_DELIVERY_BACKOFF_MAX": "100ms"}, "shorter than"),
        ({"HEADWATER_DATABASE_POOL_MIN": "20"}, "less than"),
        ({"RETRY_MAX_DELAY": "10"}, "RETRY_MAX_DELAY"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, environ: dict[str, str], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        load(tmp_path, environ)


def test_aliases_set_the_same_value_and_our_own_name_is_stronger(tmp_path: Path) -> None:
    aliased = settings(tmp_path, REDIS_URL="redis://a", DATABASE_URL="postgres://b/c")
    both = settings(tmp_path, REDIS_URL="redis://a", HEADWATER_REDIS_URL="redis://own")

    assert (aliased.redis_url, aliased.source_url) == (Dsn("redis://a"), Dsn("postgres://b/c"))
    assert both.redis_url == Dsn("redis://own")


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:can#ary@h/d",
        "postgres://u:can/ary@h/d",
        "postgres://h:canary/d",
        "postgres://u:can?ary@h",
    ],
)
def test_a_password_that_would_be_read_as_a_port_is_refused_without_being_shown(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(SettingsError, match="%23") as refused:
        load(tmp_path, {"HEADWATER_SOURCE_URL": url})

    assert "ary" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "postgres://a:1,b:2/d",
        "postgres://[::1]:5432/d",
        "postgres:///d?host=/tmp",
        "postgres://u:p%23@h",
        "postgres://u:p@q@h:1/d",
        "postgres://%2Ftmp/d",
    ],
)
def test_every_way_to_name_a_host_is_accepted(tmp_path: Path, url: str) -> None:
    assert settings(tmp_path, HEADWATER_SOURCE_URL=url).source_url == Dsn(url)


def test_each_application_has_a_url_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "headwater.toml").write_text(
        "[apps]\ncrm = 'postgres://file/crm'\nhr = 'postgres://file/hr'\n"
    )

    found = settings(
        tmp_path, HEADWATER_APP_CRM_URL="postgresql://env/crm", HEADWATER_APP_MY_CHAT_URL="postgres://c/d"
    )

    assert {app: url.reveal() for app, url in found.apps.items()} == {
        "crm": "postgresql://env/crm",
        "hr": "postgres://file/hr",
        "my_chat": "postgres://c/d",
    }


def test_a_mounted_file_holds_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("redis://u:canary@h\n")
    (tmp_path / "crm").write_text("postgres://crm")
    files = {
        "HEADWATER_REDIS_URL_FILE": str(tmp_path / "secret"),
        "HEADWATER_APP_CRM_URL_FILE": str(tmp_path / "crm"),
    }

    found = settings(tmp_path, **files)

    assert found.redis_url == Dsn("redis://u:canary@h")
    assert found.apps == {"crm": Dsn("postgres://crm")}
    with pytest.raises(SettingsError, match="both"):
        settings(tmp_path, **files, HEADWATER_REDIS_URL="redis://x")
    with pytest.raises(SettingsError, match="can not be read"):
        settings(tmp_path, ENCRYPTION_KEY_FILE=str(tmp_path / "absent"))


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    found = settings(tmp_path, HEADWATER_REDIS_URL="", HEADWATER_RELAY_BATCH=" ", REDIS_URL="redis://a")

    assert found.redis_url == Dsn("redis://a")
    assert found.relay.batch == 1000


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "headwater.toml").write_text("[broker\n")

    with pytest.raises(SettingsError, match="not valid TOML"):
        settings(tmp_path)


def test_no_print_of_the_settings_shows_a_secret(tmp_path: Path) -> None:
    """Planted canaries are in no repr, no format, no list of settings, no error."""
    key = "c0ffee" + "ab" * 29
    found = settings(
        tmp_path,
        REDIS_URL="rediss://u:canary@h1:1/0",
        HEADWATER_SOURCE_URL="postgres://u:can@ary@h/d?sslpassword=canary",
        HEADWATER_APP_CRM_URL="postgres://u:canary@h/d",
        SOURCE_DB_PASSWORD="canary",  # noqa: S106 (planted, to be looked for)
        ENCRYPTION_KEY=key,
        HEADWATER_ADMIN_KEYS=f"ops:{'ca' * 32}:read:*",
    )
    seen = f"{found} {found!r} {found.redis_url} {found.apps} {config.show(found)}"

    assert not any(secret in seen for secret in ("canary", "can@ary", key))
    assert "rediss://u:***@h1:1/0" in seen
    for name in ("ENCRYPTION_KEY", "REDIS_URL", "HEADWATER_ADMIN_KEYS", "HEADWATER_APP_CRM_URL"):
        with pytest.raises(SettingsError) as refused:
            settings(tmp_path, **{name: "canary"})
        assert "canary" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no answer from redis://:pw@h:1/0 in 5 s", "no answer from redis://:***@h:1/0 in 5 s"),
        ("postgresql://u:p%40w@h/d", "postgresql://u:***@h/d"),
        ("host=h password='a b' user=u", "host=h password=*** user=u"),
        (
            "postgres://h/d?user=u&password=x&sslmode=require",
            "postgres://h/d?user=u&password=***&sslmode=require",
        ),
        ("http://h:8080/path", "http://h:8080/path"),
    ],
)
def test_passwords_are_masked_in_any_text(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_a_secret_equals_only_the_same_secret() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert f"{Secret('a')} {Secret('a')!r}" == "*** Secret('***')"


def test_an_encryption_key_of_one_byte_repeated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="one byte repeated"):
        settings(tmp_path, ENCRYPTION_KEY="ab" * 32)


def test_admin_keys_carry_scopes_tenants_and_expiry(tmp_path: Path) -> None:
    digest = "0f" * 32

    found = settings(
        tmp_path, HEADWATER_ADMIN_KEYS=f"ops:{digest}:read+write:*, t1:{digest}:read:AB-1+cd:2027-01-31"
    )

    ops, tenant = found.admin.keys
    assert (set(ops.scopes), set(ops.tenants), ops.expires) == ({"read", "write"}, {"*"}, None)
    assert tenant.tenants == {"ab-1", "cd"}
    assert tenant.expires is not None
    assert tenant.expires.isoformat() == "2027-01-31T00:00:00+00:00"
    assert isinstance(ops, AdminKey)


def test_every_seed_setting_is_accepted_with_its_default(tmp_path: Path) -> None:
    described = {one.name: one.default for one in config.describe()}

    assert {name: described[name] for name in SEEDS} == SEEDS
    assert set(settings(tmp_path, **SEEDS).sources) >= {"tenant_sync.timeout", "user_sync.max_retries"}
    assert settings(tmp_path, SYNC_INTERVAL_MINUTES="5").user_sync.interval == 300.0
    assert settings(tmp_path, TEMPORAL_AUTH_TIMEOUT_MS="1500").tenant_sync.temporal_timeout == 1.5
    assert settings(tmp_path, TEMPORAL_TENANTS="a, b").tenant_sync.temporal_tenants == ("a", "b")


def test_the_example_file_is_what_the_settings_say() -> None:
    """`headwater config env > .env.example` after a change of settings."""
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == config.env_example()


def test_the_example_file_sets_every_default(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(config.env_example(), encoding="utf-8")

    found = settings(tmp_path)

    described = {row["key"]: row["value"] for row in config.show(Settings())}
    assert {row["key"]: row["value"] for row in config.show(found)} == described
    assert all(one.doc.endswith((".", "…")) for one in config.describe())


def test_delivery_settings_are_those_that_were_decided() -> None:
    """Decision 0028, and 17 of the design."""
    broker, delivery = BrokerSettings(), DeliverySettings()

    assert (broker.block, broker.min_idle, broker.heartbeat, broker.count) == (2.0, 10.0, 3.0, 1000)
    assert (delivery.transactions, delivery.drain_timeout) == (3, 25.0)
    assert broker.socket_timeout > broker.block
