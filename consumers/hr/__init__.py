"""Human resources: who belongs where, and the credits it may use."""

from consumers.hr import assignments, credits  # noqa: A004, F401 (they declare)
from consumers.hr.app import hr

__all__ = ["hr"]
