"""Where it flows: a stream of orders for each application, which carries what its tenants have enabled."""

from headwater import Catalogue, Group, Stream

from schemas.orders import OrderChanged, OrderDeleted

ORDERS = Stream(name="{app}:orders", events=(OrderChanged, OrderDeleted))
BOOKS = Group(app="books", name="books-consumers", streams=("{app}:orders",))

catalogue = Catalogue([ORDERS], [BOOKS])

__all__ = ["catalogue"]
