"""How the past is said again: scopes in order, the endpoints that start it, the story of the demo."""

from backfill import assignments, credits, organizations, roles, users  # noqa: A004
from backfill.checks import checks
from backfill.endpoints import application as http
from backfill.mounts import mounts
from backfill.story import Story
from backfill.tenant_sync.hooks import temporal
from headwater.cli.lazy import Entry

backfills = (
    organizations.organizations,
    users.users,
    roles.roles,
    roles.role_assignments,
    assignments.assignments,
    credits.credits,
)
"""In the order in which they run: what others point to comes first."""

commands = {
    "sync users": Entry("backfill.user_sync.commands:users", "Keep the chat's users as the source's are."),
    "sync customers": Entry(
        "backfill.customer_sync.commands:customers",
        "Keep the records of auth service and customer service in step.",
    ),
    "conflicts list": Entry(
        "backfill.customer_sync.conflict_commands:listed", "List conflicts that wait for somebody."
    ),
    "conflicts show": Entry(
        "backfill.customer_sync.conflict_commands:show", "Show both copies of a conflict."
    ),
    "conflicts resolve": Entry(
        "backfill.customer_sync.conflict_commands:resolve", "Say whose value counts in a conflict."
    ),
    "keys rotate": Entry(
        "backfill.customer_sync.key_commands:rotate", "Bring stored e-mail under the newest key."
    ),
    "keys upgrade": Entry(
        "backfill.customer_sync.key_commands:upgrade", "Write e-mail in the format that names its key."
    ),
    "keys fingerprint": Entry(
        "backfill.customer_sync.key_commands:fingerprint", "Tell which keys are in use, without telling them."
    ),
    "sync tenant": Entry("backfill.tenant_sync.commands:tenant", "Bring one tenant of the CRM up to date."),
    "sync tenants": Entry("backfill.tenant_sync.commands:tenants", "Make the tenant syncs that are due."),
    "sync cleanup": Entry("backfill.tenant_sync.commands:cleanup", "End tenant syncs that are stuck."),
}
"""What the command line gets from this project, by its whole path."""

__all__ = ["Story", "backfills", "checks", "commands", "http", "mounts", "temporal"]
