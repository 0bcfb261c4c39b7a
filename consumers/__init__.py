"""Who acts on events: one package an application, none of which knows another."""

from pathlib import Path

from consumers import crm as crm_package
from consumers import hr as hr_package
from consumers.crm import crm
from consumers.hr import hr

applications = (crm, hr)
"""The consumers of every application."""

migrations: dict[str, Path] = {
    "crm": Path(crm_package.__file__).parent / "migrations",
    "hr": Path(hr_package.__file__).parent / "migrations",
}
"""Folders of each application's own tables, to apply after the engine's."""

__all__ = ["applications", "migrations"]
