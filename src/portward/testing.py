"""Ports for a run of tests: each is promised to one process at a time, in the lease store that the project uses anyway.

So neither the workers of one run, nor two runs in two checkouts, nor a development stack beside them get the same port.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

from portward import allocate, catalog
from portward.errors import BindRefused, PortwardError, Unavailable
from portward.leases import LeaseRequest, address, here, open_store
from portward.model import Holder, LeaseKind, PortRequest, Reading, Settings, Snapshot, Transport
from portward.sockets.bind import bind, is_free
from portward.ward import Portward
from portward.workspace import checkout

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as sockets
    from collections.abc import Iterator

    from portward.leases import LeaseStore
    from portward.model import Lease, Project

SERVICE = "pytest"
"""Whom `portward leases` shows as the holder."""

_ATTEMPTS = 10
_pools: dict[str, Pool] = {}


def pool(root: str) -> Pool:
    """The ports for tests of the project in a folder: one pool in each process."""
    if root not in _pools:
        _pools[root] = Pool(root)
    return _pools[root]


class Pool:
    """Leases of kind process: they end when they are given back, or with this process, whatever ends it.

    Where the user's lease store cannot be written (a read-only home), one in the system's folder for temporary files stands in: then
    runs of the same user are kept apart, and development stacks by the bind alone.
    """

    def __init__(self, root: str) -> None:
        ward = Portward.open(root)
        settings, project = _settled(ward)
        self._place = checkout(ward.root or os.path.realpath(root))
        self._ports = settings.ranges.get("other", catalog.DEFAULT_RANGES["other"])
        self._nothing = Snapshot(Reading(()), 0.0, project, reserved=ward.live.reserved(), settings=settings)
        self._site = here.site()
        try:
            self._store = open_store(address(ward.environment, settings.store))
        except Unavailable:
            self._store = _substitute()
        self._taken = 0
        with suppress(Unavailable):  # of runs that were killed
            self._store.reclaim(self._site, lambda lease: here.why_gone(lease, self._site), is_free, _now())

    def take(self, count: int = 1, *, contiguous: bool = False, reason: str | None = None) -> tuple[Lease, ...]:
        """So many ports, `contiguous` neighbours or not. Each was free a moment ago, on TCP and UDP, IPv4 and IPv6.

        Raises NoFreePort where the range has no more, Unavailable where no store can be written, UsageError for a count below 1.
        """
        self._taken += 1
        try:
            return self._store.acquire([self._request(count, contiguous, reason)], _is_free_for_both, _now())
        except Unavailable:
            if self._taken > 1:  # by now others know us by this store
                raise
            self._store = _substitute()
        return self._store.acquire([self._request(count, contiguous, reason)], _is_free_for_both, _now())

    def _request(self, count: int, contiguous: bool, reason: str | None) -> LeaseRequest:
        instance = f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{self._taken}"
        process = here.identity()
        assert process is not None
        key = f"{self._place.worktree}\0{process.pid}\0{instance}"
        wish = PortRequest(key, self._ports, None, count, contiguous)
        return LeaseRequest(
            site=self._site,
            holder=Holder(self._place.project, self._place.worktree, SERVICE, instance, process),
            offers=allocate.candidates(wish, self._nothing),
            count=count,
            contiguous=contiguous,
            kind=LeaseKind.PROCESS,
            reason=reason,
        )

    def bound(self, host: str, reason: str | None = None) -> tuple[Lease, sockets.socket]:
        """A port and a listening socket that has it on `host`. A port that a program took which asks nobody is given back."""
        for attempt in range(_ATTEMPTS):
            (lease,) = self.take(reason=reason)
            try:
                return lease, bind(lease.port, host)
            except BindRefused:
                self.give_back(lease)
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def give_back(self, *leases: Lease) -> None:
        """Lets others have the ports. What cannot be recorded now ends with this process."""
        with suppress(Unavailable):
            self._store.release(leases)

    @contextmanager
    def lending(self, reason: str) -> Iterator[Lender]:
        """Ports that are all given back at the end."""
        lender = Lender(self, reason)
        try:
            yield lender
        finally:
            self.give_back(*lender.leases)


class Lender:
    """Lends ports: `lend(3)` gives three, `lend(3, contiguous=True)` three neighbours. See `Pool.take`."""

    def __init__(self, ports: Pool, reason: str) -> None:
        self._pool = ports
        self._reason = reason
        self.leases: list[Lease] = []

    def __call__(self, count: int = 1, *, contiguous: bool = False) -> list[int]:
        taken = self._pool.take(count, contiguous=contiguous, reason=self._reason)
        self.leases += taken
        return [lease.port for lease in taken]


def _settled(ward: Portward) -> tuple[Settings, Project | None]:
    """What the project says of ports that tests must not have; nothing where it cannot be read, which is no test's fault."""
    settings, project = Settings(), None
    with suppress(PortwardError):
        settings = ward.settings()
        project = ward.project()
    return settings, project


def _substitute() -> LeaseStore:
    from tempfile import gettempdir

    user = os.getuid() if hasattr(os, "getuid") else "user"
    return open_store(f"sqlite://{gettempdir()}/portward-{user}/leases.db")


def _is_free_for_both(port: int, _transport: Transport) -> bool:
    return all(is_free(port, transport) for transport in Transport)


def _now() -> float:
    from time import time

    return time()
