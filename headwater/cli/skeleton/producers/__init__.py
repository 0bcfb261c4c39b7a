"""Who says it: the shop, in the transaction that writes the row."""

from headwater import Attached
from headwater.database import load

attached = (Attached("orders", "orders", "tenant_id", "order_id", ("customer", "total")),)
"""Tables whose rows carry versions, and the columns whose changes draw one."""
enablement = load(__file__, "enablement")
wrapper_schema = load(__file__, "shop")

__all__ = ["attached", "enablement", "wrapper_schema"]
