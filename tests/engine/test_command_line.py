"""The command line as processes: what it imports, prints, and ends with."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from headwater import cli, config
from headwater.cli.failure import exit_code, explain
from headwater.cli.output import Output, Table, as_json
from headwater.errors import BrokerUnavailable, HeadwaterError, JobRefused, SettingsError

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}


def headwater(*arguments: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headwater", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=cwd,
        env={**CLEAN, "PYTHONPATH": str(Path(cli.__file__).parents[2]), **environ},
    )


def test_help_lists_every_command_and_imports_no_server_client() -> None:
    """Nothing heavy stands between a person and the help."""
    script = (
        "import sys; from headwater.cli import run; code = run(['--help']);"
        "heavy = {'redis', 'aiohttp', 'asyncpg', 'structlog', 'rich', 'prometheus_client', 'msgspec'};"
        "print(sorted(heavy & set(sys.modules)), code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=90
    )

    assert done.stdout.endswith("[] 0\n")
    assert all(f"  {name} " in done.stdout for name in cli.TABLE)


def test_version_is_printed() -> None:
    done = headwater("--version")

    assert (done.returncode, done.stdout.split()[0]) == (0, "headwater")


def test_wrong_usage_ends_with_2_and_prints_nothing_to_stdout() -> None:
    for arguments in (["no-such-command"], ["--no-such-option"], ["config", "show", "--nonsense"]):
        done = headwater(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Error" in done.stderr


def test_a_misspelt_command_is_told_what_was_meant() -> None:
    assert "Did you mean 'worker'?" in headwater("wroker").stderr
    assert "Did you mean 'lag'?" in headwater("groups", "lgg").stderr


def test_a_wrong_address_is_said_without_a_warning_of_python(tmp_path: Path) -> None:
    done = headwater("--redis-url", "redis+sentinel://h:26379/main", "streams", "status", cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("error:   --redis-url is not a URL with redis://")


def test_wrong_settings_end_with_2_and_three_lines(tmp_path: Path) -> None:
    done = headwater("config", "check", cwd=tmp_path, HEADWATER_BROKR_BLOCK="1")

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error:   unknown setting HEADWATER_BROKR_BLOCK (environment)",
        "likely:  a setting is missing, misspelt or out of range",
        "do:      did you mean HEADWATER_BROKER_BLOCK?",
    ]


def test_the_traceback_is_shown_only_when_asked_for(tmp_path: Path) -> None:
    plain = headwater("config", "check", cwd=tmp_path, HEADWATER_X="1")
    verbose = headwater("-v", "config", "check", cwd=tmp_path, HEADWATER_X="1")

    assert "File" not in plain.stderr
    assert "File" in verbose.stderr


def test_global_options_set_settings_and_settings_name_their_source(tmp_path: Path) -> None:
    (tmp_path / "headwater.toml").write_text("[relay]\nbatch = 7\n")

    done = headwater(
        "--project",
        str(tmp_path),
        "--redis-url",
        "redis://:canary@h",
        "--json",
        "config",
        "show",
        "--sources",
    )

    found = json.loads(done.stdout)
    assert found["schema"] == "headwater.config.show.v1"
    assert {row["key"]: (row["value"], row["source"]) for row in found["settings"]} == {
        "redis_url": ("redis://:***@h", "flag --redis-url"),
        "relay.batch": ("7", "headwater.toml"),
    }


def test_settings_are_shown_as_aligned_text_when_piped(tmp_path: Path) -> None:
    lines = headwater("config", "show", cwd=tmp_path).stdout.splitlines()

    assert lines[0].split() == ["key", "value"]
    assert "broker.block" in lines[[line.startswith("broker.block") for line in lines].index(True)]
    assert any(line.split() == ["redis_url", "-"] for line in lines)


def test_config_env_prints_the_example_file(tmp_path: Path) -> None:
    text = headwater("config", "env", cwd=tmp_path)
    machine = json.loads(headwater("--json", "config", "env", cwd=tmp_path).stdout)

    assert text.stdout == config.env_example()
    assert {"name", "default", "type", "doc"} <= set(machine["settings"][0])


def test_config_check_says_that_all_is_well(tmp_path: Path) -> None:
    assert headwater("config", "check", cwd=tmp_path).stdout == "settings hold together (0 set)\n"


def test_a_reader_that_leaves_early_ends_the_command_quietly(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "headwater", "config", "env"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**CLEAN, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert said == ""
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 2),
        (BrokerUnavailable("x"), 3),
        (ExceptionGroup("tasks", [ValueError("y"), BrokerUnavailable("x")]), 3),
        (JobRefused("x"), 1),
        (HeadwaterError("x"), 1),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_an_error_is_told_without_the_password_in_it() -> None:
    told = explain(BrokerUnavailable("redis://:canary@h is away", hint="start it"), verbose=True)

    assert "canary" not in told
    assert told.splitlines()[-1] == "do:      start it"


def signalled(program: str, *signals: int, say_first: str = "running") -> subprocess.CompletedProcess[str]:
    """Run a program that serves; send each signal once what came before it has been said on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = ""
    try:
        for number, awaited in zip(signals, (say_first, "draining"), strict=False):
            while awaited not in said:
                line = process.stderr.readline() if process.stderr else ""
                assert line, f"{awaited!r} was never said: {said}"
                said += line
            process.send_signal(number)
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    return subprocess.CompletedProcess(program, process.returncode, out, said + err)


PROGRAM = """
import asyncio, sys
from headwater.cli.failure import exit_code
from headwater.cli.invocation import Invocation

async def work(stop):
    print("running", file=sys.stderr, flush=True)
    await stop.wait()
    {after}
    return "drained"

try:
    print(Invocation().serve(work, in_hand=lambda: 3))
except BaseException as error:
    sys.exit(exit_code(error))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains_and_says_what_is_in_hand(number: int) -> None:
    done = signalled(PROGRAM.format(after="pass"), number)

    assert (done.returncode, done.stdout) == (0, "drained\n")
    assert "draining, 3 in hand; press Ctrl-C again to stop now" in done.stderr


def test_the_second_signal_stops_now() -> None:
    done = signalled(PROGRAM.format(after="await asyncio.Event().wait()"), signal.SIGINT, signal.SIGINT)

    assert (done.returncode, done.stdout) == (130, "")


def test_a_short_command_is_interrupted_by_the_first_signal() -> None:
    program = """
import asyncio, sys
from headwater.cli.failure import exit_code
from headwater.cli.invocation import Invocation

async def work():
    print("running", file=sys.stderr, flush=True)
    await asyncio.Event().wait()

try:
    Invocation().run(work())
except BaseException as error:
    sys.exit(exit_code(error))
"""

    assert signalled(program, signal.SIGINT).returncode == 130


def test_a_failure_of_the_work_passes_through() -> None:
    from headwater.cli.running import run  # noqa: PLC0415 (configures log lines; only here)

    async def work() -> None:
        await asyncio.sleep(0)
        raise JobRefused("one is running")

    with pytest.raises(JobRefused):
        run(work(), config.LogSettings())


class Row(msgspec.Struct):
    at: datetime
    amount: Decimal


def test_json_has_utc_times_and_exact_decimals() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    found: dict[str, Any] = json.loads(
        as_json({"row": Row(at, Decimal("0.10")), "url": config.Dsn("redis://:x@h")})
    )

    assert found == {"row": {"at": "2026-01-01T10:00:00Z", "amount": "0.10"}, "url": "redis://:***@h"}


def test_a_table_is_aligned_numbers_to_the_right_and_unknown_is_a_dash() -> None:
    table = Table(
        ("stream", "lag (s)", "ok"), [("credits", 1.5, True), ("org\nanizations", None, None)], title="groups"
    )

    assert table.plain().splitlines() == [
        "groups",
        "stream           lag (s)  ok",
        "credits              1.5  yes",
        "org\\nanizations        -  -",
    ]


def test_notes_go_to_stderr_and_are_silent_with_q(capsys: pytest.CaptureFixture[str]) -> None:
    Output().note("hello")
    Output(quiet=True).note("unheard")
    Output().result("x", {}, text="result")

    assert capsys.readouterr() == ("result\n", "hello\n")


def test_progress_off_a_terminal_is_a_line_each_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().progress("backfill", total=10) as bar:
        bar.advance(3)
        vars(bar)["shown"] = time.monotonic() - 11
        bar.update(7)
        bar.advance(1)

    assert capsys.readouterr().err == "backfill: 7 of 10\n"
    assert bar.done == 8
