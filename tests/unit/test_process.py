"""A process is only called dead when it surely was here and surely is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from headwater.delivery.process import Process, is_dead, this
from headwater.testing import until


def seen_from_here(number: int) -> Process:
    """What a process with this number would have written down about itself."""
    stat = open(f"/proc/{number}/stat").read()  # noqa: SIM115 - of the kernel's making
    return Process(this().place, f"{number}:{stat.rpartition(')')[2].split()[19]}")


def test_whoever_asks_lives() -> None:
    assert this().identity.startswith(f"{os.getpid()}:")
    assert not is_dead(this())


async def test_a_killed_process_is_dead_also_before_anybody_waited_for_it() -> None:
    child = subprocess.Popen(  # noqa: ASYNC220 - the kernel is what is looked at
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    process = seen_from_here(child.pid)
    assert not is_dead(process)

    child.send_signal(signal.SIGKILL)

    await until(lambda: is_dead(process))
    child.wait()
    child.stdout.close()
    assert is_dead(process)


def test_a_number_that_is_used_again_is_another_process() -> None:
    place, identity = this()

    assert is_dead(Process(place, f"{identity}0"))


@given(st.text(max_size=20), st.text(max_size=20))
def test_nothing_is_known_about_other_places_and_strange_identities(place: str, identity: str) -> None:
    assert not is_dead(Process(place, "1:1"))
    assert not is_dead(Process(this().place, f"x{identity}"))
