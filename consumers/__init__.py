"""Who acts on events: one package an application, none of which knows another."""

from pathlib import Path

from consumers import crm, hr

applications = (crm.crm, hr.hr)
"""The consumers of every application."""

_HERE = Path(__file__).parent
migrations = {one.app: _HERE / one.app / "migrations" for one in applications} | {
    side: _HERE / "customer_records" / "migrations" / side for side in ("auth", "customer")
}
"""Folders of each application's own tables, to apply after the engine's."""

__all__ = ["applications", "migrations"]
