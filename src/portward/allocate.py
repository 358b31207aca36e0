"""Which ports to offer, best first. Pure: whether one is really free is for a bind to say."""

from __future__ import annotations

from zlib import crc32

from portward.model import LAST_PORT, PortRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from portward.model import PortRequest, Snapshot

FALLBACK = 100
"""How far above a preferred port is searched, inclusive: the guide's `startPort + 100`."""


def candidates(
    request: PortRequest, snapshot: Snapshot, taken: Collection[int] | None = None
) -> Iterator[tuple[int, ...]]:
    """Ports that nothing in the snapshot speaks against, best first, lazily: one at a time, or in neighbouring groups.

    With a preferred port: that one and the `FALLBACK` above it, reserved or not. Else the request's range from a place that
    its key decides, round to the start again, without reserved ports. A contiguous request gives groups of `count`.
    `taken` are those of `taken_ports`, and what else is not to be offered, where the caller has them already.
    """
    taken = taken_ports(snapshot) if taken is None else taken
    usable: Iterator[int]
    if request.preferred is not None:
        order = range(request.preferred, min(request.preferred + FALLBACK, LAST_PORT) + 1)
        usable = (port for port in order if port not in taken)
    else:
        rotated = _from_hash(request.key, request.ports)
        usable = (port for port in rotated if port not in taken and not _reserved(port, snapshot.reserved))
    return _neighbours(list(usable), request.count) if request.contiguous else ((port,) for port in usable)


def taken_ports(snapshot: Snapshot) -> set[int]:
    """Ports that are held, claimed or leased, that the project itself asks for, or that are pinned for somebody."""
    taken = {row.port for row in snapshot.reading.listeners if row.netns is None}
    taken.update(pin.port for pin in snapshot.settings.pins)
    taken.update(lease.port for lease in snapshot.leases)
    for service in snapshot.project.services if snapshot.project else ():
        for spec in (*service.entries, *service.claims):
            taken.update(spec.range or ())
    return taken


def _from_hash(key: str, ports: PortRange) -> list[int]:
    start = crc32(key.encode()) % len(ports)
    order = list(ports)
    return order[start:] + order[:start]


def _reserved(port: int, reserved: tuple[PortRange, ...]) -> bool:
    return any(port in ports for ports in reserved)


def _neighbours(usable: list[int], count: int) -> Iterator[tuple[int, ...]]:
    present = set(usable)
    for first in usable:
        group = tuple(range(first, first + count))
        if present.issuperset(group):
            yield group
