"""compose.yaml holds together: shape, pinned images, real commands, known settings, nothing left open."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are not in the lock
import pytest

import consumers
from headwater import cli, config
from headwater.admin import KeyRing
from tests.contract.compose import calls, ours, raw, services
from tests.contract.tree import ROOT

TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m|h)$"}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart"],
    "properties": {
        "image": {"type": "string"},
        "build": {"type": "string"},
        "pull_policy": {"enum": ["never", "build"]},
        "entrypoint": TEXTS,
        "command": TEXTS,
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "volumes": TEXTS,
        "ports": TEXTS,
        "profiles": TEXTS,
        "restart": {"enum": ["no", "unless-stopped"]},
        "stop_grace_period": DURATION,
        "read_only": {"type": "boolean"},
        "tmpfs": TEXTS,
        "cap_drop": TEXTS,
        "security_opt": TEXTS,
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {"condition": {"enum": ["service_healthy", "service_completed_successfully"]}},
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test", "interval", "timeout", "retries", "start_period"],
            "properties": {
                "test": {**TEXTS, "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}], "minItems": 2},
                "interval": DURATION,
                "timeout": DURATION,
                "start_period": DURATION,
                "retries": {"type": "integer", "minimum": 1},
            },
        },
    },
}
FILE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "services", "volumes"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": SERVICE},
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
    },
}
"""The part of the compose specification that our file uses, and not a key more."""

NAMES = list(services())
OURS = list(ours())
OUTSIDE = {"REDIS_PASSWORD": "one", "POSTGRES_PASSWORD": "two", "HEADWATER_ENVIRONMENT": "production"}


def settings(service: str, tmp_path: Path, **variables: str) -> config.Settings:
    return config.load(tmp_path, ours(variables)[service]["environment"])


def test_the_file_has_the_shape_of_the_compose_specification() -> None:
    jsonschema.validate(raw(), FILE)


def test_every_image_is_pinned_to_a_version() -> None:
    found = {name: one["image"] for name, one in services().items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert [
        name for name, image in found.items() if not re.search(r":\d+\.\d+(\.\d+)?(-[a-z]+)?$", image)
    ] == []
    assert {found[name] for name in OURS} == {f"headwater:{project}"}


def test_one_service_builds_the_image_and_the_others_never_pull_it() -> None:
    built = {name: (one.get("build"), one["pull_policy"]) for name, one in ours().items()}

    assert built.pop("migrate") == (".", "build")
    assert set(built.values()) == {(None, "never")}


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_of_the_command_line_with_its_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = calls(ours()[name])

    assert found
    for arguments in found:
        assert cli.run([*arguments, "--help"]) == 0, capsys.readouterr().err


def test_every_application_of_the_project_has_a_worker_and_a_database(tmp_path: Path) -> None:
    workers = {call[1] for one in ours().values() for call in calls(one) if call[0] == "worker"}
    workers.remove("--temporal")
    created = re.findall(r"CREATE DATABASE (\w+);", (ROOT / "deploy/postgres/10-databases.sql").read_text())
    apps = {one.app for one in consumers.applications}

    assert workers == set(created) == set(settings("relay", tmp_path).apps) == apps


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_names_a_server_of_the_file(name: str, tmp_path: Path) -> None:
    found = settings(name, tmp_path)

    assert found.redis_url is not None
    assert found.source_url is not None
    assert "@redis:6379/" in found.redis_url.reveal()
    for url in (found.source_url, *found.apps.values()):
        assert "@postgres:5432/" in url.reveal()
    assert found.source_url.reveal().endswith(f"/{services()['postgres']['environment']['POSTGRES_DB']}")


@pytest.mark.parametrize("name", OURS)
def test_passwords_and_environment_come_from_outside(name: str, tmp_path: Path) -> None:
    found = settings(name, tmp_path, **OUTSIDE)

    assert found.environment == "production"
    assert found.redis_url == config.Dsn("redis://:one@redis:6379/0")
    for url in (found.source_url, *found.apps.values()):
        assert url is not None
        assert ":two@" in url.reveal()


def test_servers_take_the_same_passwords_as_their_clients() -> None:
    found = services(OUTSIDE)

    command = found["redis"]["command"]
    assert (
        command[command.index("--requirepass") + 1] == "one" == found["redis"]["environment"]["REDISCLI_AUTH"]
    )
    assert found["postgres"]["environment"].items() >= {("POSTGRES_PASSWORD", "two")}


def test_redis_keeps_what_it_was_given_and_evicts_nothing() -> None:
    command = services()["redis"]["command"]

    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert "redis-data:/data" in services()["redis"]["volumes"]


def test_nothing_is_published_beyond_this_machine_and_no_server_at_all() -> None:
    published = {name: one["ports"] for name, one in services().items() if "ports" in one}

    assert list(published) == ["admin", "temporal"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert [port.rpartition(":")[2] for port in published["temporal"]] == ["8233"]  # its UI, for development


def test_whatever_runs_on_is_checked_and_restarted_and_what_ends_is_not() -> None:
    for name, one in services().items():
        if name == "migrate":
            assert (one["restart"], "healthcheck" in one) == ("no", False)
        else:
            assert (one["restart"], "healthcheck" in one) == ("unless-stopped", True), name


def test_everything_waits_for_what_it_needs_by_a_condition_that_can_come_true() -> None:
    found = services()
    for name, one in found.items():
        for other, wanted in one.get("depends_on", {}).items():
            healthy = wanted["condition"] == "service_healthy"
            assert ("healthcheck" in found[other]) is healthy, f"{name} waits for {other}"
    for name in set(OURS) - {"migrate"}:
        also = set(found[name].get("profiles", []))
        assert set(found[name]["depends_on"]) == {"redis", "postgres", "migrate", *also}


def test_temporal_comes_only_when_it_is_asked_for_and_is_where_everybody_looks_for_it() -> None:
    found = services()

    assert {name for name, one in found.items() if "profiles" in one} == {"temporal", "worker-temporal"}
    assert {one["environment"]["TEMPORAL_ADDRESS"] for one in ours().values()} == {"temporal:7233"}


@pytest.mark.parametrize("name", [name for name in OURS if name != "migrate"])
def test_a_health_check_asks_the_port_that_the_command_opens(name: str) -> None:
    one = services()[name]
    option = "--port" if name == "admin" else "--health-port"
    port = one["command"][one["command"].index(option) + 1]

    assert f"http://127.0.0.1:{port}/readyz" in one["healthcheck"]["test"][-1]


def test_a_worker_has_the_time_to_drain() -> None:
    for one in ours().values():
        grace = config.duration(one["stop_grace_period"])
        assert grace > config.Settings().delivery.drain_timeout + 1


def test_volumes_are_declared_and_mounted_files_are_there() -> None:
    sources = {volume.split(":")[0] for one in services().values() for volume in one.get("volumes", [])}
    mounted = {source for source in sources if source.startswith(".")}

    assert sources - mounted == set(raw()["volumes"])
    assert mounted
    assert [source for source in mounted if not (ROOT / source).is_file()] == []


def test_processes_of_ours_can_change_nothing_in_their_image() -> None:
    for name, one in ours().items():
        assert one["read_only"] is True, name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name


def test_the_key_in_the_file_opens_a_development_system(tmp_path: Path) -> None:
    ring = KeyRing(settings("admin", tmp_path).admin.keys)
    header = (ROOT / "compose.yaml").read_text().split("name: headwater")[0]

    key = re.search(r"hwk_\w+", header)
    assert key is not None
    who = ring.find(key[0])
    assert who is not None
    assert who.sees("any tenant")


def test_the_key_in_the_file_is_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: dict[str, Any] = ours({"HEADWATER_ENVIRONMENT": "production"})["admin"]["environment"]
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert cli.run(["--project", str(ROOT), "admin", "serve", "--port", "0"]) == 2
    assert "admin key" in capsys.readouterr().err
