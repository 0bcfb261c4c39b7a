"""SQL lives in files beside the module that runs it."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def load(module_file: str, name: str) -> str:
    """The text of `sql/<name>.sql` beside the module. Raises FileNotFoundError."""
    return (Path(module_file).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8")
