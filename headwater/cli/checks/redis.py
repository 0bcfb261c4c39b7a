"""Redis: reachable, new enough, keeping what it is given; streams and groups as declared."""

from __future__ import annotations

from collections.abc import AsyncIterator

from headwater import clock
from headwater.broker import Broker, provision
from headwater.cli.checks.finding import Finding, careful, fail, ok, warn
from headwater.cli.readings import readings
from headwater.errors import BrokerRefused, ServerUnavailable
from headwater.topology import Catalogue

OLDEST = (7, 0)
SKEW = 1.0
"""Seconds of difference between clocks that are worth a word."""
_FULL = 0.8


async def examine(broker: Broker, catalogue: Catalogue, *, production: bool) -> AsyncIterator[Finding]:
    """Findings about the server, then about streams and groups."""
    try:
        info = await _info(broker)
    except ServerUnavailable as error:
        yield fail("redis", str(error), "start it, or correct HEADWATER_REDIS_URL")
        return
    yield ok("redis", await broker.version())
    for one in _server(info, production=production):
        yield one
    yield await _skew(broker)
    yield ok("redis features", ", ".join((await broker.features()).names) or "none beyond Redis 7.0")
    async for one in _groups(broker, catalogue):
        yield one


async def _info(broker: Broker) -> dict[str, str]:
    text: str = (await broker.execute("INFO")).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _server(info: dict[str, str], *, production: bool) -> list[Finding]:
    version = tuple(int(part) for part in info.get("redis_version", "0").split(".")[:2])
    policy = info.get("maxmemory_policy", "unknown")
    found = [
        ok("redis version", info.get("redis_version", ""))
        if version >= OLDEST
        else fail("redis version", f"{version[0]}.{version[1]}", "use Redis 7.0 or later, or any Valkey"),
        ok("redis eviction", policy)
        if policy == "noeviction" or policy.startswith("volatile-")
        else fail(
            "redis eviction",
            f"{policy}: a full server would drop whole streams",
            "CONFIG SET maxmemory-policy noeviction",
        ),
    ]
    if info.get("aof_enabled") == "1":
        found.append(ok("redis persistence", "append-only file"))
    else:
        found.append(
            careful(production)(
                "redis persistence",
                "no append-only file: a restart loses what was not saved",
                "CONFIG SET appendonly yes",
            )
        )
    if info.get("role") == "slave":
        found.append(fail("redis role", "a replica, which takes no entries", "name the primary"))
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most and used / most > _FULL:
        share = f"{used / most:.0%} of maxmemory"
        found.append(
            warn(
                "redis memory",
                share,
                "raise maxmemory, or headwater streams trim: a full one takes no entry",
            )
        )
    return found


async def _skew(broker: Broker) -> Finding:
    before = clock.now().timestamp()
    seconds, micros = await broker.execute("TIME")
    after = clock.now().timestamp()
    return skew("redis", int(seconds) + int(micros) / 1e6, before, after)


def skew(server: str, there: float, before: float, after: float) -> Finding:
    """How far a server's clock is from ours, which was read before and after asking."""
    apart = max(before - there, there - after, 0.0)
    if apart <= SKEW:
        return ok(f"{server} clock", f"{apart:.3f} s apart")
    return warn(
        f"{server} clock",
        f"{apart:.1f} s apart from this machine",
        "let NTP set both: ages are wrong until then",
    )


async def _groups(broker: Broker, catalogue: Catalogue) -> AsyncIterator[Finding]:
    drift = await provision.compare(broker, catalogue)
    lacking = [one for one in drift if one.state != "undeclared_group"]
    if lacking:
        names = ", ".join(f"{one.group} on {one.stream}" for one in lacking[:3])
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        yield fail("streams", f"missing: {names}{more}", "headwater streams apply")
    else:
        yield ok("streams", f"{len(catalogue.all_keys())} streams with their groups")
    for one in drift:
        if one.state == "undeclared_group":
            yield warn(
                f"group {one.group}",
                f"reads {one.stream} and is declared nowhere: it holds entries back from trimming",
                f"declare it, or: XGROUP DESTROY {one.stream} {one.group}",
            )
    async for finding in _refused(broker, catalogue):
        yield finding
    async for finding in _left_aside(broker, catalogue):
        yield finding
    async for finding in _unread(broker, catalogue):
        yield finding


async def _refused(broker: Broker, catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Streams whose entries can not be acknowledged: a user without the right, most likely."""
    for key, (_, groups) in catalogue.all_keys().items():
        for group in groups:
            try:
                await broker.acknowledge(group.name, {key: [provision.NEVER]})
            except BrokerRefused as error:
                yield fail(
                    f"acknowledging on {key}",
                    f"{group.name} may not: {error}",
                    "let the user in HEADWATER_REDIS_URL use XACK on it (ACL SETUSER … +xack)",
                )


async def _left_aside(broker: Broker, catalogue: Catalogue) -> AsyncIterator[Finding]:
    """Side streams with entries that no worker reads: the setting was taken back too early."""
    for app in catalogue.groups.keys() - catalogue.aside:
        for key in catalogue.with_side_streams([app]).side_keys(app):
            state = await broker.stream(key)
            if state is not None and state.length:
                yield warn(
                    f"side stream {key}",
                    f"{state.length} entries that nobody reads",
                    f"add {app} to HEADWATER_BACKFILL_SIDE_STREAMS until they are applied, or: DEL {key}",
                )


async def _unread(broker: Broker, catalogue: Catalogue) -> AsyncIterator[Finding]:
    behind: dict[str, float] = {}
    for one in await readings(broker, catalogue):
        if not one.consumers and one.lag_seconds:
            behind[one.application] = max(behind.get(one.application, 0.0), one.lag_seconds)
    for app, seconds in behind.items():
        yield warn(f"worker {app}", f"nobody reads, for {seconds:.0f} s", f"headwater worker {app}")
