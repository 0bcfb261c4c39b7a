"""The chat: its `users` follow the accounts of the source. One consumer, one policy for those who leave."""

from pathlib import Path

from consumers.chat.errors import TYPES, Problem, counted, listed, record, retry
from consumers.chat.users import LEAVERS, Leavers, declare
from consumers.chat.verify import Verification, verify
from headwater.database import load

chat_schema = load(__file__, "chat")
"""DDL of the chat server's own tables, for the demo and for tests."""
migrations = Path(__file__).parent / "migrations"
"""Of what the sync keeps beside them."""

__all__ = [
    "LEAVERS",
    "TYPES",
    "Leavers",
    "Problem",
    "Verification",
    "chat_schema",
    "counted",
    "declare",
    "listed",
    "migrations",
    "record",
    "retry",
    "verify",
]
