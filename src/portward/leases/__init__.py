"""Leased truth: who was promised which port. `LeaseStore` is the contract; `open_store` chooses who keeps it.

A lease is a promise between those who ask the same store. Portward keeps it against `kill -9`, full disks and clocks that are set
back; it cannot keep it against programs that never ask. The final arbiter is the kernel's bind.
"""

from __future__ import annotations

import os

from portward.errors import UsageError, missing
from portward.model import LeaseKind, Transport
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Protocol

    from portward.model import Holder, Lease, Reclaimed, Site, StoreCheck

    class LeaseStore(Protocol):
        """What every lease store does. `now` is always seconds since the epoch, by the caller's clock.

        Guaranteed: a lease that was returned is kept, whatever ends this process or the machine afterwards, until it is released,
        expires or is reclaimed. No (host, network namespace, transport, port) is leased twice at one time. An error that is
        raised has granted, changed and taken nothing (but see `acquire`).

        Not guaranteed: that nobody else binds the port; that a port is free now; an order among those who ask at the same time,
        though nobody waits for ever.

        Every method raises Unavailable, with the reason and a hint, where the store is out of reach or damaged. A store that is
        not there yet is empty, and only `acquire` makes it. May be used by several threads, and by a forked child.
        """

        address: str

        is_shared: bool
        """Whether other machines ask it too: then no port is told that it has not granted."""

        def recall(self, requests: Sequence[LeaseRequest], now: float) -> tuple[Lease, ...] | None:
            """What `acquire` would return, where all is leased already and nothing would change; else None.

            Waits for nobody, writes nothing, draws no offer.
            """

        def acquire(
            self, requests: Sequence[LeaseRequest], is_free: Callable[[int, Transport], bool], now: float
        ) -> tuple[Lease, ...]:
            """Grants all that is asked for, or nothing: leases in the order of the requests, and of `Lease.index`.

            A holder that has its ports already keeps them, free or not: no offer is drawn, `is_free` is not asked, and what the
            request says of kind and time counts from now on. Otherwise offers are drawn in their order while nobody else can be
            granted anything; each port that no lease has is granted if `is_free(port, transport)` says so at that moment.
            Whatever is slow must have been done before. An expired lease is in nobody's way.

            If the commit fails in a way that leaves its outcome open, and the store cannot be asked again, a lease may stand that
            was not returned: its holder is given it when it asks again. Raises NoFreePort when the offers end, UsageError for a
            request that makes no sense, and whatever offers and `is_free` raise.
            """

        def release(self, leases: Iterable[Lease]) -> tuple[Lease, ...]:
            """Gives ports back: those of the leases that still stood under their token. All at once."""

        def renew(self, leases: Iterable[Lease], ttl: float, now: float) -> tuple[Lease, ...]:
            """Lets leases of kind ttl end `ttl` seconds from now: those that still stood, as they are now.

            One that is missing in the answer is lost, even if nobody has the port yet. One that has expired, but that nobody was in
            want of, still stands.
            """

        def leases(
            self,
            *,
            host: str | None = None,
            project: str | None = None,
            worktree: str | None = None,
            ports: Collection[int] | None = None,
        ) -> tuple[Lease, ...]:
            """All leases that match what is given, expired ones too, by host, network namespace, port and transport."""

        def reclaim(
            self,
            site: Site,
            is_dead: Callable[[Lease], str | None],
            is_free: Callable[[int, Transport], bool],
            now: float,
        ) -> tuple[Reclaimed, ...]:
            """Takes back the leases of this host whose holder is gone, and tells which and why.

            `is_dead` gives the reason, None wherever there is no proof (`here.why_gone`). A lease whose time has run out, or
            whose process has ended, is taken back at once if its port binds; any other one if its holder was found gone, and the
            port free, `SIGHTINGS` times at least `SPACING` seconds apart. In other network namespaces of the host nothing can be
            bound: there all kinds must be seen so often, and the bind at the next grant is what protects.
            """

        def looked(self, host: str) -> float:
            """When `reclaim` was run last for a host, by whomever, or else the store was made; infinity where there is none yet."""

        def reclaimed(self, *, project: str | None = None) -> tuple[Reclaimed, ...]:
            """What was taken back from holders that were gone, the latest first, `KEPT` at most."""

        def check(self, now: float) -> tuple[StoreCheck, ...]:
            """Looks at everything in the store that can be wrong, slowly. Changes nothing; raises nothing."""

        def repair(self, now: float) -> tuple[str, ...]:
            """Puts right what `check` finds, as far as it can be: a sentence for each thing done. Nothing is thrown away."""

        def close(self) -> None:
            """Lets go of files and connections. The next call opens them again."""


SIGHTINGS = 3
"""How often a holder must be found gone: Kubernetes frees a leaked NodePort after as many (`numRepairsBeforeLeakCleanup`)."""

SPACING = 60.0
"""Seconds between two sightings that count: a worktree may be moved, a disk be unmounted for a moment."""

LOOKS_APART = 3600.0
"""Seconds after which whoever is granted a port looks for holders that are gone: a store must not only grow."""

KEPT = 1000
"""How many reclaimed leases are remembered."""


class LeaseRequest(Record):
    """What one holder asks for: `count` ports at a site.

    `offers` are candidates, best first and lazily: groups that are granted whole, of one port each, or with `contiguous` of
    `count` neighbours (`allocate.candidates`). A holder that has fewer than `count` gets more; with `contiguous` and no such
    neighbours it gets all of them anew. A lease on a port in `avoid` is given back, and another granted in its place.
    `ttl` is in seconds. `preferred` and `reason` are kept with what is granted now. With `hosts` nobody else is to have the port there
    either: a lease that is not of just these hosts is given back; None is content with any, and asks for `site` alone.
    """

    site: Site
    holder: Holder
    offers: Iterable[tuple[int, ...]] = ()
    count: int = 1
    contiguous: bool = False
    transport: Transport = Transport.TCP
    kind: LeaseKind = LeaseKind.STICKY
    ttl: float | None = None
    preferred: int | None = None
    avoid: frozenset[int] = frozenset()
    reason: str | None = None
    hosts: tuple[str, ...] | None = None

    def expires(self, now: float) -> float | None:
        """When a lease that is granted now ends by itself."""
        return None if self.ttl is None else now + self.ttl

    def validate(self) -> None:
        """Raises UsageError for what makes no sense."""
        if self.count < 1:
            raise UsageError(f"cannot lease {self.count} ports", hint="one is the least")
        if (self.kind is LeaseKind.TTL) != (self.ttl is not None):
            raise UsageError("a time to live is what a lease of kind ttl has, and no other")
        if self.ttl is not None and not 0 < self.ttl < float("inf"):
            raise UsageError(f"{self.ttl} is not a time to live: seconds, more than 0")
        if (self.kind is LeaseKind.PROCESS) != (self.holder.process is not None):
            raise UsageError("a process is what a lease of kind process has as its holder, and no other")


def address(environment: Mapping[str, str], configured: str | None = None) -> str:
    """Which store to use: `PORTWARD_STORE`, else what the settings say, else SQLite in `$XDG_STATE_HOME/portward`."""
    chosen = environment.get("PORTWARD_STORE") or configured
    if chosen:
        return chosen
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # then it counts as not set (XDG Base Directory Specification)
        state = os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return f"sqlite://{os.path.join(state, 'portward', 'leases.db')}"


def is_there(address: str) -> bool:
    """Whether there is a store at an address, so far as that costs nothing: one that is not there yet is empty."""
    scheme, _, rest = address.partition("://")
    return scheme != "sqlite" or os.path.lexists(_path(rest))


def _path(rest: str) -> str:
    """The file that `sqlite:///PATH` names."""
    path = rest.lstrip("/")
    return os.path.expanduser(path) if path.startswith("~/") else f"/{path}"


def open_store(address: str, environment: Mapping[str, str] | None = None) -> LeaseStore:
    """The store at an address: `sqlite:///PATH`, where PATH is absolute or begins with `~/`, or `etcd://HOST:PORT,…/PREFIX`.

    Touches nothing yet. `environment` says who we are to etcd, by default this process's. Raises UsageError for what is not the
    address of a store, Unavailable for a store that cannot be used here.
    """
    scheme, separator, rest = address.partition("://")
    if separator and scheme == "sqlite":
        from portward.leases.sqlite import SqliteStore

        path = _path(rest)
        if path == "/" or path.endswith("/"):
            raise UsageError(f"{address!r} names no file", hint="sqlite:///PATH")
        return SqliteStore(address, path)
    if separator and scheme in ("etcd", "etcds"):
        try:
            from portward.leases.etcd import store_at
        except ModuleNotFoundError as error:
            raise missing("a lease store in etcd", error.name, "etcd") from None
        return store_at(address, os.environ if environment is None else environment)
    raise UsageError(
        f"{address!r} is not the address of a lease store",
        hint="PORTWARD_STORE=sqlite:///PATH, or etcd://HOST:PORT,…/PREFIX",
    )
