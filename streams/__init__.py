"""Where the events of this system flow, and who reads them."""

from streams.catalogue import declare, declare_customers, declare_users
from streams.groups import GROUPS

catalogue = declare()
"""With the retention that the settings say."""
users = declare_users()
"""The same of the user sync."""
customers = declare_customers()
"""The same of the customer sync."""

__all__ = ["GROUPS", "catalogue", "customers", "declare", "declare_customers", "declare_users", "users"]
