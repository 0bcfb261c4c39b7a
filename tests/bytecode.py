"""What the processes that tests start import is compiled once, whatever this machine thinks of bytecode.

Most tests that kill processes start dozens of them, and compiling takes each four times as long as running.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".pytest_cache" / "bytecode"


def keep() -> None:
    """From now on, in every process that is started here."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(FOLDER)
