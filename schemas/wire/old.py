"""Our events in the old spelling, for consumers not yet moved, and back again.

An old consumer finds its own envelope, type and data; beside them stand `rowOp`, `rowVersion`,
`key`, `target`, `hist`, `schemaVersion` and `job`, which it ignores and from which we restore
exactly what was said. Two fields of `data` differ: `orgCode` holds the organization's UUID, by
which the old CRM finds organizations (ours is in `organizationCode`), and permissions are nested.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headwater.event import Codec, Envelope, Fields
from headwater.event.codec import check_size
from schemas.declared import registry
from schemas.wire.spelling import WRITTEN, our_type
from schemas.wire.values import permissions

_CARRIED = {b"op": b"rowOp", b"version": b"rowVersion"}
_KEPT = (b"schemaVersion", b"key", b"target", b"hist", b"job")
_CRM_SYNC = {
    "organizations": (b"organization", "org_"),
    "users": (b"user", "user_"),
    "role_assignments": (b"role_assignment", "role_"),
    "credit_configs": (b"credit", "credit_"),
}
_codec = Codec(registry)


def is_respelled(fields: Fields) -> bool:
    """Whether `respell` wrote an entry."""
    return b"rowOp" in fields


def respell(envelope: Envelope, fields: Fields, key: str) -> Fields:
    """The entry `fields` of our dialect as older consumers of the stream `key` expect it.

    Types that no older system knows stay as they are. Raises EventError `oversize`.
    """
    spelling = WRITTEN.get(envelope.type)
    if spelling is None:
        return fields
    own = {**fields, b"eventType": spelling.encode(), b"data": _old_data(envelope, fields[b"data"])}
    written = {
        **_family(envelope, own, key),
        **{old: own[ours] for ours, old in _CARRIED.items()},
        **{name: own[name] for name in _KEPT if name in own},
    }
    check_size(written, sum(map(len, written.values())))
    return written


def unspell(fields: Fields) -> Envelope:
    """What `respell` was given. Raises EventError; JSON errors pass through."""
    event_type = our_type(fields.get(b"eventType", b"").decode())
    own = {
        **fields,
        **{ours: fields[old] for ours, old in _CARRIED.items() if old in fields},
        b"eventType": event_type.encode(),
        b"eventId": fields.get(b"eventId", fields.get(b"messageId", b"")),
        b"source": fields.get(b"source", fields.get(b"sourceApp", b"")),
    }
    return _codec.decode({**own, b"data": _own_data(event_type, fields.get(b"data", b""))})


def _family(envelope: Envelope, own: Fields, key: str) -> Fields:
    subject = envelope.subject
    if subject in _CRM_SYNC:
        return _crm_sync(envelope, own, key)
    if subject == "assignments":
        dotted = b"1.1" if envelope.type.endswith(("created", "updated")) else b"1.0"
        head = _pick(own, b"eventId", b"eventType", b"source")
        return {**head, b"version": dotted, **_pick(own, b"timestamp", b"tenantId", b"data", b"metadata")}
    if subject == "roles":
        head = _pick(own, b"eventId", b"timestamp", b"eventType", b"tenantId")
        rest = _pick(own, b"entityId", b"data", b"source", b"metadata")
        return {**head, b"entityType": b"role", **rest, b"publishedBy": own[b"source"]}
    hidden = {*_CARRIED, *_KEPT}
    return {name: value for name, value in own.items() if name not in hidden}


def _crm_sync(envelope: Envelope, own: Fields, key: str) -> Fields:
    entity, prefix = _CRM_SYNC[envelope.subject]
    action = own[b"eventType"].decode().removeprefix(prefix)
    metadata = msgspec.json.decode(own[b"metadata"])
    metadata.update(version="1.0", retryCount=0, sourceTimestamp=envelope.time)
    return {
        b"streamId": key.encode(),
        b"messageId": own[b"eventId"],
        b"timestamp": own[b"timestamp"],
        b"sourceApp": own[b"source"],
        b"eventType": own[b"eventType"],
        b"entityType": entity,
        b"entityId": own[b"entityId"],
        b"tenantId": own[b"tenantId"],
        b"action": action.encode(),
        b"data": own[b"data"],
        b"metadata": msgspec.json.encode(metadata),
    }


def _pick(own: Fields, *names: bytes) -> Fields:
    return {name: own[name] for name in names}


def _old_data(envelope: Envelope, data: bytes) -> bytes:
    if envelope.subject not in {"organizations", "roles"}:
        return data
    said = msgspec.json.decode(data)
    if envelope.subject == "organizations":
        said = {**said, "organizationCode": said["orgCode"], "orgCode": said["organizationId"]}
    elif "permissions" in said:
        said["permissions"] = _nested(said["permissions"])
    return msgspec.json.encode(said)


def _own_data(event_type: str, data: bytes) -> bytes:
    if not event_type.startswith(("org.", "role.")) or event_type.startswith("org.assignment."):
        return data
    said: Any = msgspec.json.decode(data)
    if isinstance(said, dict) and event_type.startswith("org."):
        said["orgCode"] = said.pop("organizationCode", None)
    elif isinstance(said, dict) and isinstance(said.get("permissions"), dict):
        said["permissions"] = permissions(said["permissions"])
    return msgspec.json.encode(said)


def _nested(flat: list[str]) -> Any:
    """`{app: {module: [op]}}`; as it was where that would lose something."""
    nested: dict[str, dict[str, list[str]]] = {}
    for permission in flat:
        app, _, rest = permission.partition(".")
        module, _, operation = rest.rpartition(".")
        nested.setdefault(app, {}).setdefault(module, []).append(operation)
    return nested if permissions(nested) == flat else flat
