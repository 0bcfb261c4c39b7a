"""Failpoints: named, spelled and armed; each action does what it says, once."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater import failpoints
from headwater.clock import monotonic
from headwater.errors import SettingsError
from headwater.failpoints import POINTS, Armed, Injected

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
from headwater import failpoints
failpoints.arm("relay.marked=2:{action}")
failpoints.reached("relay.marked")
print("once", flush=True)
failpoints.reached("relay.marked")
print("twice", flush=True)
"""


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def spelled(name: str, armed: Armed) -> str:
    action = f"hang({armed.seconds})" if armed.action == "hang" else armed.action
    return f"{name}={armed.due}:{action}"


ACTIONS = st.builds(
    lambda action, seconds: (action, seconds if action == "hang" else 0.0),
    st.sampled_from(["kill", "raise", "drop", "stop", "hang"]),
    st.integers(0, 10_000).map(lambda number: number / 100),
)
ARMED = st.builds(lambda count, action: Armed(count, *action), st.integers(1, 1000), ACTIONS)


@given(st.dictionaries(st.sampled_from(sorted(POINTS)), ARMED))
def test_what_is_spelled_is_armed(wanted: dict[str, Armed]) -> None:
    text = " , ".join(spelled(name, armed) for name, armed in wanted.items())

    assert failpoints.parse(text) == wanted


def test_a_name_alone_kills_at_the_first_pass() -> None:
    assert failpoints.parse("worker.read, relay.marked=3") == {
        "worker.read": Armed(1, "kill"),
        "relay.marked": Armed(3, "kill"),
    }


@pytest.mark.parametrize(
    "spec",
    ["worker.rad", "worker.read:burn", "worker.read=x", "worker.read:hang", "worker.read:hang(1.2.3)", "=2"],
)
def test_what_is_no_failpoint_is_refused_with_what_would_be_one(spec: str) -> None:
    failpoints.arm("relay.marked:raise")
    with pytest.raises(SettingsError) as refused:
        failpoints.arm(spec)

    assert spec.partition(":")[0] in str(refused.value)
    assert "worker.read" in refused.value.hint or "name[=pass]" in refused.value.hint
    with pytest.raises(Injected):  # what was armed before still is
        failpoints.reached("relay.marked")


def test_every_failpoint_in_the_code_is_registered_and_every_registered_one_is_in_the_code() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "headwater").rglob("*.py"))
    named = re.findall(r"failpoints\.reached\(\"([\w.]+)\"\)", text)

    assert set(named) == set(POINTS)
    assert len(re.findall(r"failpoints\.reached\(", text)) == len(named), "a name that is not a literal"


def test_an_exception_is_raised_at_its_pass_and_never_again() -> None:
    failpoints.arm("worker.applied=2:raise")

    failpoints.reached("worker.applied")
    failpoints.reached("worker.read")
    with pytest.raises(Injected, match=r"worker\.applied"):
        failpoints.reached("worker.applied")
    failpoints.reached("worker.applied")


def test_a_hang_lasts_as_long_as_it_says() -> None:
    failpoints.arm("worker.applied:hang(0.1)")
    began = monotonic()

    failpoints.reached("worker.applied")

    assert 0.1 <= monotonic() - began < 60.0


def test_dropping_breaks_connections_and_no_other_socket() -> None:
    failpoints.arm("worker.applied:drop")
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as door, ours, theirs:
        with socket.create_connection(door.getsockname()) as client, door.accept()[0] as server:
            failpoints.reached("worker.applied")

            assert client.recv(1) == server.recv(1) == b""
            with pytest.raises(OSError):  # noqa: PT011  # broken pipe or not connected, as the system likes
                client.sendall(b"x")
        with socket.create_connection(door.getsockname()) as client, door.accept()[0] as server:
            client.sendall(b"x")
            assert server.recv(1) == b"x"
        ours.sendall(b"y")
        assert theirs.recv(1) == b"y"


def child(action: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(action=action)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_a_kill_is_a_kill_and_says_so_first() -> None:
    process = child("kill")

    out, err = process.communicate(timeout=90)

    assert process.returncode == -signal.SIGKILL
    assert out == "once\n"
    assert "failpoint relay.marked: kill" in err


def test_a_stopped_process_goes_on_where_it_was() -> None:
    process = child("stop")
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)

    os.kill(process.pid, signal.SIGCONT)

    out, _ = process.communicate(timeout=90)
    assert process.returncode == 0
    assert out == "once\ntwice\n"
