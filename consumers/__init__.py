"""Who acts on events: one package an application, none of which knows another."""

from pathlib import Path

from consumers import crm, hr

applications = (crm.crm, hr.hr)
"""The consumers of every application."""

migrations = {one.app: Path(__file__).parent / one.app / "migrations" for one in applications}
"""Folders of each application's own tables, to apply after the engine's."""

__all__ = ["applications", "migrations"]
