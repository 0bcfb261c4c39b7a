"""Who acts on it: a package for each application."""

from pathlib import Path

from consumers.books import books

applications = (books,)
migrations = {one.app: Path(__file__).parent / one.app / "migrations" for one in applications}

__all__ = ["applications", "migrations"]
