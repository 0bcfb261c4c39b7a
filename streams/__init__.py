"""Where the events of this system flow, and who reads them."""

from streams.catalogue import declare
from streams.groups import GROUPS

catalogue = declare()
"""With the retention that the settings say."""

__all__ = ["GROUPS", "catalogue", "declare"]
