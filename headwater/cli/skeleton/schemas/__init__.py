"""What is said."""

from headwater import Registry

from schemas.orders import OrderChanged, OrderDeleted

registry = Registry([OrderChanged, OrderDeleted])
read_foreign = None
respell = None

__all__ = ["read_foreign", "registry", "respell"]
