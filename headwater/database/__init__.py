"""The floor that opens Postgres connections; nothing else does."""

from headwater.database.pool import Connection, Database, Row, Tx, connect, is_over, is_unavailable, is_unfit
from headwater.database.queries import load

__all__ = ["Connection", "Database", "Row", "Tx", "connect", "is_over", "is_unavailable", "is_unfit", "load"]
