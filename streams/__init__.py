"""Where the events of this system flow, and who reads them."""

from streams.catalogue import declare, declare_users
from streams.groups import GROUPS

catalogue = declare()
"""With the retention that the settings say."""
users = declare_users()
"""The same of the user sync."""

__all__ = ["GROUPS", "catalogue", "declare", "declare_users", "users"]
