"""What is declared: streams, groups and the keys they stand under. Pure."""

from headwater.topology.keys import Keys
from headwater.topology.stream import Catalogue, Group, Stream

__all__ = ["Catalogue", "Group", "Keys", "Stream"]
