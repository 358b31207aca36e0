"""How `Portward` promises ports: for whom, which ones in which order, and under which names a program is told of them.

A named service that has its port already is answered from the store alone; sockets, engine and files are read only where
something must be granted.
"""

from __future__ import annotations

import os

from portward.errors import NoFreePort, Unavailable
from portward.leases import LeaseRequest, address, here, open_store
from portward.model import Holder, Lease, LeaseKind, PortRequest, Snapshot, State, Transport
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from portward.leases import LeaseStore
    from portward.live import Live
    from portward.model import Listener, PortRange, PortSpec, Project, Reading, Service, Settings
    from portward.workspace import Checkout

_BASES = ("CONDUCTOR_PORT", "EMDASH_PORT", "SUPERSET_PORT_BASE")
"""The first of a block of ports that a worktree's host gives (Conductor, Emdash, Superset), in the order of their precedence."""
_BLOCK = 10


class Wanted(Record):
    """One port that somebody wants: of a service, and where it has several, of that target."""

    service: str
    instance: str = ""
    spec: PortSpec | None = None

    def __str__(self) -> str:
        return f"{self.service}:{self.instance}" if self.instance else self.service


class Terms(Record):
    """How a lease is asked for: the command line's options."""

    ports: PortRange | None = None
    preferred: int | None = None
    count: int = 1
    contiguous: bool = False
    ttl: float | None = None


class Granted(Record):
    """Leases, in the order asked for; those of `live` ports have a listener now. `remarks` are for people."""

    leases: tuple[Lease, ...]
    live: frozenset[int] = frozenset()
    remarks: tuple[str, ...] = ()


class Leasing:
    """The leases of one checkout. `declared` reads the project only when it must be known."""

    def __init__(
        self,
        checkout: Checkout,
        settings: Settings,
        live: Live,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        declared: Callable[[], Project | None],
    ) -> None:
        self.checkout = checkout
        self._settings = settings
        self._live = live
        self._environment = environment
        self._clock = clock
        self._declared = declared
        self._site = here.site()
        self.store: LeaseStore = open_store(address(environment, settings.store))

    def declared(self) -> list[Wanted]:
        """Every port that the project declares."""
        return list(declared_ports(self._declared()))

    def lease(self, names: Sequence[str], terms: Terms, avoid: frozenset[int] = frozenset()) -> Granted:
        """A port for each named service (`SERVICE[:TARGET]`), or for all that the project declares; the same each time.

        A lease on a port in `avoid` is given back, and another granted in its place.
        """
        wanted = [Wanted(*_split(name)) for name in names] if names else self.declared()
        if avoid:
            return self._grant(wanted, terms, avoid)
        requests = [self._request(each, terms) for each in wanted]
        try:
            known = self.store.recall(requests, self._clock())
        except Unavailable:
            known = None  # what is wrong is told where something must be granted
        return self._told(known, ()) if known is not None else self._grant(wanted, terms)

    def release(self, names: Sequence[str]) -> Granted:
        """Gives back the named services' ports, or all of this checkout's."""
        mine = self.store.leases(host=self._site.host, worktree=self.checkout.worktree)
        asked = {_split(name) for name in names}
        chosen = [lease for lease in mine if not names or (lease.holder.service, lease.holder.instance) in asked]
        return Granted(self.store.release(chosen))

    def leases(self, everyone: bool) -> Granted:
        """This project's leases, or everyone's, after taking back those whose holder is provably gone."""
        remarks: tuple[str, ...] = ()
        try:
            self.store.reclaim(
                self._site, lambda lease: here.why_gone(lease, self._site), self._live.is_free, self._clock()
            )
            remarks = tuple(
                f"{gone.lease.port} of {gone.lease.holder.service} ({gone.lease.holder.worktree}) was taken back: {gone.why}"
                for gone in self.store.reclaimed(project=None if everyone else self.checkout.project)
            )
        except Unavailable as error:
            remarks = (f"nothing could be taken back: {error.message}",)
        found = self.store.leases() if everyone else self.store.leases(project=self.checkout.project)
        return self._told(found, remarks)

    def _told(self, leases: Sequence[Lease], remarks: Sequence[str]) -> Granted:
        here_now = [lease for lease in leases if (lease.host, lease.netns) == (self._site.host, self._site.netns)]
        live = {lease.port for lease in here_now if not self._live.is_free(lease.port, lease.transport)}
        return Granted(tuple(leases), frozenset(live), tuple(remarks))

    def _request(
        self,
        wanted: Wanted,
        terms: Terms,
        offers: Iterator[tuple[int, ...]] | None = None,
        avoid: frozenset[int] = frozenset(),
    ) -> LeaseRequest:
        udp = wanted.spec is not None and wanted.spec.protocol.lower() == "udp"
        return LeaseRequest(
            site=self._site,
            holder=Holder(
                self.checkout.project, self.checkout.worktree, wanted.service, wanted.instance, uid=_uid(), user=_user()
            ),
            offers=offers or iter(()),
            count=terms.count,
            contiguous=terms.contiguous,
            transport=Transport.UDP if udp else Transport.TCP,
            kind=LeaseKind.TTL if terms.ttl is not None else LeaseKind.STICKY,
            ttl=terms.ttl,
            preferred=terms.preferred,
            avoid=avoid,
        )

    def _grant(self, wanted: Sequence[Wanted], terms: Terms, avoid: frozenset[int] = frozenset()) -> Granted:
        project = self._declared()
        reading = self._live.read(udp=True)
        mine = _own_ports(reading, project)
        snapshot = Snapshot(
            reading,
            self._clock(),
            project,
            reserved=() if terms.ports else self._live.reserved(),
            settings=self._settings,
        )
        requests = []
        for index, each in enumerate(wanted):
            full = each if each.spec else self._known(each, project)
            offers = self._offers(full, index, terms, snapshot, project, mine)
            requests.append(self._request(full, terms, offers, avoid))

        def is_free(port: int, transport: Transport) -> bool:
            return port in mine or self._live.is_free(port, transport)

        try:
            leases = self.store.acquire(requests, is_free, self._clock())
        except NoFreePort as error:
            raise NoFreePort(f"No available ports found: {error.message}", hint=error.hint) from error
        except Unavailable as error:
            return self._unrecorded(requests, is_free, error)
        moved = [
            f"{lease.preferred} is not free: {lease.holder.service} has {lease.port}"
            for lease in leases
            if terms.preferred is not None and lease.preferred == terms.preferred != lease.port and lease.index == 0
        ]
        return self._told(leases, moved)

    def _unrecorded(
        self, requests: Sequence[LeaseRequest], is_free: Callable[[int, Transport], bool], error: Unavailable
    ) -> Granted:
        """An answer where nothing can be written: ports that are free now, promised by nobody."""
        now, chosen = self._clock(), set[int]()
        leases: list[Lease] = []
        for request in requests:
            for group in request.offers:
                if len([lease for lease in leases if lease.holder == request.holder]) >= request.count:
                    break
                if chosen.isdisjoint(group) and all(is_free(port, request.transport) for port in group):
                    chosen.update(group)
                    leases += (
                        Lease(
                            self._site.host,
                            self._site.netns,
                            request.transport,
                            port,
                            request.holder,
                            request.kind,
                            "",
                            now,
                        )
                        for port in group
                    )
        return Granted(tuple(leases), remarks=(f"not recorded, so not promised: {error.message}",))

    def _known(self, wanted: Wanted, project: Project | None) -> Wanted:
        """The wanted port with what the project's files declare for it."""
        service = project.service(wanted.service) if project else None
        for spec in service.claims if service else ():
            if wanted.instance in ("", str(spec.target)):
                return wanted.replace(spec=spec)
        return wanted

    def _offers(
        self,
        wanted: Wanted,
        index: int,
        terms: Terms,
        snapshot: Snapshot,
        project: Project | None,
        mine: Collection[int],
    ) -> Iterator[tuple[int, ...]]:
        """Candidates, best first: what is preferred, what the host of the worktree gives, what the files declare, the range."""
        from portward import allocate, catalog

        service = project.service(wanted.service) if project else None
        kind = (
            service.kind
            if service
            else self._settings.kinds.get(wanted.service) or catalog.kind_of(None, wanted.service)
        )
        ranges = {**catalog.DEFAULT_RANGES, **self._settings.ranges}
        key = "\0".join((self.checkout.project, self.checkout.worktree, str(wanted)))
        request = PortRequest(key, terms.ports or ranges[kind], None, terms.count, terms.contiguous)
        if terms.preferred is not None:
            yield from allocate.candidates(request.replace(preferred=terms.preferred), snapshot)
            return
        if terms.count == 1 and terms.ports is None:
            held = {row.port for row in snapshot.reading.listeners if row.netns is None} - set(mine)
            for port in self._first(wanted, index):
                if port is not None and port not in held:
                    yield (port,)
        yield from allocate.candidates(request, snapshot)

    def _first(self, wanted: Wanted, index: int) -> Iterator[int | None]:
        if index == 0:
            yield _port(self._environment.get("PORT"))
        if index < _BLOCK:
            for name in _BASES:
                base = _port(self._environment.get(name))
                yield base + index if base else None
        if not wanted.instance:
            yield next((pin.port for pin in self._settings.pins if pin.service == wanted.service), None)
        ports = wanted.spec.range if wanted.spec else None
        yield ports.low if ports and self.checkout.is_primary else None


def declared_ports(project: Project | None) -> Iterator[Wanted]:
    """Every port that the project's active services ask for; the first of a service by its name alone."""
    for service in project.services if project else ():
        for index, spec in enumerate(spec for spec in service.claims if spec.protocol.lower() in ("tcp", "udp")):
            yield Wanted(service.name, "" if index == 0 else str(spec.target or spec.number), spec)


def variables(project: Project | None, ports: Mapping[tuple[str, str], int], checkout: Checkout) -> dict[str, str]:
    """The ports under every name that the project itself uses, and by service: `PORT`, `WEB_PORT`, `WEB_URL`.

    `ports` maps service and instance to the leased port. A linked worktree gets a Compose project of its own.
    """
    found: dict[str, str] = {}
    for wanted in declared_ports(project):
        port = ports.get((wanted.service, wanted.instance))
        if port is None:
            continue
        name = _name(str(wanted))
        found[f"{name}_PORT"] = str(port)
        found[f"{name}_URL"] = f"http://localhost:{port}"
        if wanted.spec is not None and wanted.spec.variables:
            found[wanted.spec.variables[0]] = str(port)
    main = main_service([service.name for service in project.services if service.claims] if project else [])
    if "PORT" not in found and (main, "") in ports:
        found["PORT"] = str(ports[main, ""])
    if project is not None and not checkout.is_primary:
        from zlib import crc32

        found["COMPOSE_PROJECT_NAME"] = f"{project.name}-{crc32(checkout.worktree.encode()):08x}"
    return found


def whose(
    row: Listener, project: Project | None, checkout: Checkout, checkout_of: Callable[[str], Checkout | None]
) -> str:
    """Whose a listener is, seen from a checkout: mine, other-worktree, other-project or stranger."""
    folder = row.container.folder if row.container else next((process.cwd for process in row.processes), None)
    other = checkout_of(folder) if folder else None
    if other is None:
        return "other-project" if row.container and row.container.project else "stranger"
    if other.worktree == checkout.worktree:
        return "mine"
    same = project is not None and row.container is not None and row.container.project == project.name
    return "other-worktree" if other.project == checkout.project or same else "other-project"


def _own_ports(reading: Reading, project: Project | None) -> set[int]:
    """The ports that this checkout's own services have now: they are no reason to move."""
    from portward.occupancy import is_ours

    services: Sequence[Service] = project.services if project else ()
    return {
        row.port
        for row in reading.listeners
        if project and row.netns is None and row.state is not State.CLAIMED
        if any(is_ours(row, service, project) for service in services)
    }


def main_service(names: Sequence[str]) -> str:
    """The one that a plain PORT means: the only one, else the one that people look at."""
    known = next((name for name in ("web", "frontend", "app") if name in names), "")
    return names[0] if len(names) == 1 else known


def _name(service: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in service).upper()


def _split(name: str) -> tuple[str, str]:
    service, _, target = name.partition(":")
    return service, target


def _port(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and 0 < int(text[:6]) <= 65535 else None


def _uid() -> int | None:
    return os.getuid() if hasattr(os, "getuid") else None


def _user() -> str | None:
    return os.environ.get("USER") or os.environ.get("LOGNAME")
