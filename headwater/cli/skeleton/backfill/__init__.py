"""How it is said again."""

from backfill.endpoints import application as http
from backfill.orders import orders

backfills = (orders,)
Story = None

__all__ = ["Story", "backfills", "http"]
