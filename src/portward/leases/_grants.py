"""The SQLite store's grants: what a holder has already, and what it is given now. All inside one transaction."""

from __future__ import annotations

import os
import sqlite3
from itertools import count

from portward.errors import NoFreePort
from portward.leases import _schema
from portward.leases._reclaim import OUT_OF_TIME, has_expired, take_back
from portward.model import Lease, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from portward.leases import LeaseRequest

_INSERT = f"INSERT INTO lease ({_schema.COLUMNS}) VALUES ({_schema.MARKS}) ON CONFLICT DO NOTHING"


def recalled(connection: sqlite3.Connection, request: LeaseRequest) -> list[Lease] | None:
    """The leases that answer a request, by index, if the holder has them all and nothing would change; else None."""
    held = _held(connection, request)
    kept = _kept(held, request)
    if len(kept) < len(held) or len(kept) < request.count or not all(_stays(lease, request) for lease in kept):
        return None
    return kept[: request.count]


class Grants:
    """The grants of one transaction. `now` is in seconds since the epoch."""

    def __init__(self, connection: sqlite3.Connection, is_free: Callable[[int, Transport], bool], now: float) -> None:
        self._connection = connection
        self._is_free = is_free
        self._now = now

    def granted(self, request: LeaseRequest) -> list[Lease]:
        """The leases that answer a request, by index. Raises NoFreePort."""
        held = _held(self._connection, request)
        kept = _kept(held, request)
        for lease in held:
            if lease not in kept:
                self._connection.execute(_schema.DELETE, _schema.key(lease))
        leases = [lease if _stays(lease, request) else self._confirmed(lease, request) for lease in kept]
        used = {lease.index for lease in leases}
        indices = (index for index in count() if index not in used)
        offers = iter(request.offers)
        while len(leases) < request.count:
            group = next(offers, None)
            if group is None:
                raise NoFreePort(f"No available ports found for {request.holder.service}")
            if all(self._can_be_had(port, request) for port in group):
                leases += self._recorded(group, request, indices)
        return sorted(leases, key=lambda lease: lease.index)[: request.count]

    def _can_be_had(self, port: int, request: LeaseRequest) -> bool:
        """Whether nobody has a lease on the port that still counts, and it is free."""
        if port in request.avoid:
            return False
        site, transport = request.site, request.transport
        where = f"{_schema.SELECT} WHERE {_schema.KEY}"
        row = self._connection.execute(where, (site.host, site.netns, transport.value, port)).fetchone()
        if row is None:
            return self._is_free(port, transport)
        lease = _schema.lease(row)
        if not has_expired(lease, self._now) or not self._is_free(port, transport):
            return False
        take_back(self._connection, lease, OUT_OF_TIME, self._now)
        return True

    def _recorded(self, ports: Iterable[int], request: LeaseRequest, indices: Iterator[int]) -> Iterator[Lease]:
        site = request.site
        for port in ports:
            lease = Lease(
                host=site.host,
                netns=site.netns,
                transport=request.transport,
                port=port,
                holder=request.holder,
                kind=request.kind,
                token=os.urandom(16).hex(),
                granted=self._now,
                expires=request.expires(self._now),
                preferred=request.preferred,
                index=next(indices),
                boot=site.boot,
                reason=request.reason,
            )
            if not self._connection.execute(_INSERT, _schema.row(lease)).rowcount:
                raise sqlite3.IntegrityError(f"port {port} is leased already")
            yield lease

    def _confirmed(self, lease: Lease, request: LeaseRequest) -> Lease:
        """The lease with the kind and time of a new request."""
        expires = request.expires(self._now)
        self._connection.execute(
            f"UPDATE lease SET kind = ?, expires = ? WHERE {_schema.THIS}",
            (request.kind.value, expires, *_schema.key(lease)),
        )
        return lease.replace(kind=request.kind, expires=expires)


def _held(connection: sqlite3.Connection, request: LeaseRequest) -> list[Lease]:
    """What the holder has at the site, by index."""
    site = request.site
    values = (*_schema.holder_values(request.holder), site.host, site.netns, request.transport.value)
    rows = connection.execute(f"{_schema.SELECT} WHERE {_schema.HOLDER} ORDER BY slot", values)
    return [_schema.lease(row) for row in rows]


def _kept(held: list[Lease], request: LeaseRequest) -> list[Lease]:
    """What the holder keeps of it."""
    kept = [lease for lease in held if lease.port not in request.avoid]
    if request.contiguous and kept:
        first = kept[0].port
        neighbours = range(first, first + request.count)
        if [lease.port for lease in kept[: request.count]] != list(neighbours):
            return []
    return kept


def _stays(lease: Lease, request: LeaseRequest) -> bool:
    """Whether a request changes nothing about a lease that its holder has."""
    return lease.kind is request.kind and request.ttl is None
