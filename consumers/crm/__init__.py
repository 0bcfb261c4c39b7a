"""The CRM: everything of a tenant that sales people work with."""

from consumers.crm import assignments, credits, organizations, roles, users  # noqa: A004, F401 (they declare)
from consumers.crm.app import crm
from consumers.crm.tenants import tenants

__all__ = ["crm", "tenants"]
