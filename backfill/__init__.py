"""How the past is said again: scopes in order, the endpoints that start it, the story of the demo."""

from backfill import assignments, credits, organizations, roles, users  # noqa: A004
from backfill.endpoints import application as http
from backfill.story import Story

backfills = (
    organizations.organizations,
    users.users,
    roles.roles,
    roles.role_assignments,
    assignments.assignments,
    credits.credits,
)
"""In the order in which they run: what others point to comes first."""

__all__ = ["Story", "backfills", "http"]
