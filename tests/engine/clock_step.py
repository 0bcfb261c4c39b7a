"""A server's clock that went back, as far as a stream can tell: what is pending was touched in the future.

The times stand in the serialized stream, behind each id. They are moved there, the checksum is made anew,
and the stream is put back: no clock is touched, and any server will do.
"""

from __future__ import annotations

import struct

from headwater.broker import Broker, EntryId

_POLYNOMIAL = 0x95AC9329AC4BC9B5
"""Jones, reflected: what Redis and Valkey use."""


def crc64(data: bytes) -> int:
    """The checksum of a serialized value."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    crc = 0
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


async def step_back(broker: Broker, stream: str, group: str, seconds: float) -> int:
    """Move the time of every pending entry so far ahead; how many there were."""
    found = await broker.execute("XPENDING", stream, group, "-", "+", 1000)
    server, _ = await broker.execute("TIME")
    now = int(server) * 1000
    value = bytearray(await broker.execute("DUMP", stream))
    moved = 0
    for identity, *_ in found:
        raw = struct.pack(">QQ", *EntryId.parse(identity))
        place = value.find(raw)
        while place >= 0:
            behind = place + len(raw)
            (touched,) = struct.unpack_from("<q", value[behind : behind + 8].ljust(8, b"\0"))
            if abs(touched - now) < 3_600_000:
                struct.pack_into("<q", value, behind, touched + int(seconds * 1000))
                moved += 1
                break
            place = value.find(raw, behind)
    value[-8:] = struct.pack("<Q", crc64(bytes(value[:-8])))
    await broker.execute("RESTORE", stream, 0, bytes(value), "REPLACE")
    return moved
