"""The grants of every store: what a holder has already, and what it is given now. All inside one transaction."""

from __future__ import annotations

import os
from itertools import count

from portward.errors import NoFreePort
from portward.model import Lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from portward.leases import LeaseRequest
    from portward.model import Site, Transport

    class Ledger(Protocol):
        """What one transaction reads and changes. Whether it is in force is decided by the store, when all is said."""

        def held(self, request: LeaseRequest) -> list[Lease]:
            """What the holder has at the site, by index."""

        def at(self, site: Site, transport: Transport, port: int) -> Lease | None:
            """Who has a port. Raises Unavailable for what is no lease."""

        def add(self, lease: Lease) -> None: ...

        def confirm(self, lease: Lease) -> None:
            """Gives a lease that stands the kind and end that it has here."""

        def drop(self, lease: Lease) -> None: ...

        def take_back(self, lease: Lease, why: str, now: float) -> object:
            """Drops a lease, and remembers that it was."""


OUT_OF_TIME = "its time ran out"


def has_expired(lease: Lease, now: float) -> bool:
    """Whether the time of a lease has run out."""
    return lease.expires is not None and lease.expires <= now


def recalled(held: list[Lease], request: LeaseRequest) -> list[Lease] | None:
    """The leases that answer a request, by index, if the holder has them all and nothing would change; else None."""
    kept = _kept(held, request)
    if len(kept) < len(held) or len(kept) < request.count or not all(_stays(lease, request) for lease in kept):
        return None
    return kept[: request.count]


class Grants:
    """The grants of one transaction. `now` is in seconds since the epoch."""

    def __init__(self, ledger: Ledger, is_free: Callable[[int, Transport], bool], now: float) -> None:
        self._ledger = ledger
        self._is_free = is_free
        self._now = now

    def granted(self, request: LeaseRequest, offers: Iterator[tuple[int, ...]]) -> list[Lease]:
        """The leases that answer a request, by index. Raises NoFreePort."""
        held = self._ledger.held(request)
        kept = _kept(held, request)
        for lease in held:
            if lease not in kept:
                self._ledger.drop(lease)
        leases = [lease if _stays(lease, request) else self._confirmed(lease, request) for lease in kept]
        used = {lease.index for lease in leases}
        indices = (index for index in count() if index not in used)
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
        lease = self._ledger.at(request.site, request.transport, port)
        if lease is None:
            return self._is_free(port, request.transport)
        if not has_expired(lease, self._now) or not self._is_free(port, request.transport):
            return False
        self._ledger.take_back(lease, OUT_OF_TIME, self._now)
        return True

    def _recorded(self, ports: Iterable[int], request: LeaseRequest, indices: Iterator[int]) -> Iterator[Lease]:
        site = request.site
        for port in ports:
            lease = Lease(
                site.host, site.netns, request.transport, port, request.holder, request.kind, os.urandom(16).hex(),
                self._now, request.expires(self._now), request.preferred, next(indices), site.boot, request.reason, request.hosts or (),
            )  # fmt: skip
            self._ledger.add(lease)
            yield lease

    def _confirmed(self, lease: Lease, request: LeaseRequest) -> Lease:
        """The lease with the kind and time of a new request."""
        confirmed = lease.replace(kind=request.kind, expires=request.expires(self._now))
        self._ledger.confirm(confirmed)
        return confirmed


def _kept(held: list[Lease], request: LeaseRequest) -> list[Lease]:
    """What the holder keeps of it."""
    kept = [lease for lease in held if lease.port not in request.avoid and request.hosts in (None, lease.hosts)]
    if request.contiguous and kept:
        first = kept[0].port
        neighbours = range(first, first + request.count)
        if [lease.port for lease in kept[: request.count]] != list(neighbours):
            return []
    return kept


def _stays(lease: Lease, request: LeaseRequest) -> bool:
    """Whether a request changes nothing about a lease that its holder has."""
    return lease.kind is request.kind and request.ttl is None
