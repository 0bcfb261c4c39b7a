"""Bounds of what stands in an entry."""

from __future__ import annotations

SIZE_LIMIT = 256 * 1024
"""Bytes of all fields of one entry together."""
IDENTITY_LIMIT = 128
"""Characters of an event's id: it is the key of an index."""
TENANT_LIMIT = 64
"""Characters of a tenant's id."""
KEY_LIMIT = 512
"""Characters of an event's key: with application, tenant and subject it is the key of an index."""
VERSION_LIMIT = 2**63
"""Versions stand in a bigint."""
EXACT_INTEGER = 2**53
"""Larger integers are written as JSON text: JavaScript would round them."""

Fields = dict[bytes, bytes]
"""An entry's fields, as they stand in the stream."""
