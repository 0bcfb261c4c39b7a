"""Which application reads which streams."""

from headwater.topology import Group

CRM = Group(
    app="crm",
    name="crm-consumers",
    streams=(
        "credit-events",
        "{app}:sync:organization:org_created",
        "{app}:sync:organization:org_updated",
        "{app}:sync:organization:org_deleted",
        "{app}:organization-assignments",
        "{app}:sync:user:user_created",
        "{app}:sync:user:user_updated",
        "{app}:sync:user:user_deactivated",
        "{app}:sync:user:user_deleted",
        "{app}:sync:role:role_created",
        "{app}:sync:role:role_updated",
        "{app}:sync:role:role_deleted",
        "{app}:sync:permissions:role_assigned",
        "{app}:sync:permissions:role_unassigned",
        "tenant-sync",
    ),
)

HR = Group(app="hr", name="hr-consumers", streams=("credit-events", "{app}:organization-assignments"))

GROUPS = (CRM, HR)
"""Every group that follows the wrapper."""

AUTH = Group(app="auth", name="auth-consumers", streams=("customers",))
CUSTOMER = Group(app="customer", name="customer-consumers", streams=("customers",))
CHAT = Group(app="chat", name="chat-consumers", streams=("user-accounts",))
"""It follows another database: that of the users."""
