"""The events of this system: what they say, and every dialect they are read in."""

from headwater.event import Codec
from schemas.declared import examples, registry
from schemas.wire import read_foreign, respell

codec = Codec(registry, read_foreign)
"""Writes our dialect, reads all of them."""

__all__ = ["codec", "examples", "read_foreign", "registry", "respell"]
