"""How `Portward` promises ports: for whom, which ones in which order, each the same one every time.

A named service that has its port already is answered from the store alone; sockets, engine and files are read only where
something must be granted.
"""

from __future__ import annotations

import os

from portward import conventions
from portward.conventions import Wanted, declared_ports
from portward.errors import NoFreePort, Unavailable
from portward.leases import LeaseRequest, address, here, open_store
from portward.model import Holder, Lease, LeaseKind, PortRequest, Snapshot, State, Transport
from portward.records import Record
from portward.wording import forwarding_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from portward.leases import LeaseStore
    from portward.live import Live
    from portward.model import Listener, PortRange, Project, Reading, Service, Settings
    from portward.workspace import Checkout


class Terms(Record):
    """How a lease is asked for: the command line's options. `ttl` is in seconds.

    With `own` it is this process's alone, and ends with it.
    """

    ports: PortRange | None = None
    preferred: int | None = None
    count: int = 1
    contiguous: bool = False
    ttl: float | None = None
    own: bool = False


class Granted(Record):
    """Leases, in the order asked for; those of `live` ports have a listener now. `remarks` are for people.

    `new` are the tokens of those that were granted just now, and not before.
    """

    leases: tuple[Lease, ...]
    live: frozenset[int] = frozenset()
    remarks: tuple[str, ...] = ()
    new: frozenset[str] = frozenset()


class Leasing:
    """The leases of one checkout. `declared` reads the project only when it must be known, `settings(key, value)` what may
    be told of one key, `settings()` all.
    """

    def __init__(
        self,
        checkout: Checkout,
        settings: Callable[..., Settings],
        live: Live,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        declared: Callable[[], Project | None],
        store_at: Callable[[str], LeaseStore] = open_store,
    ) -> None:
        self.checkout = checkout
        self._settings = settings
        self._live = live
        self._environment = environment
        self._clock = clock
        self._declared = declared
        self._site = here.site()
        self.store = store_at(address(environment, settings("store").store))

    def declared(self) -> list[Wanted]:
        """Every port that the project declares."""
        return list(declared_ports(self._declared()))

    def lease(self, names: Sequence[str], terms: Terms, avoid: frozenset[int] = frozenset()) -> Granted:
        """A port for each named service (`SERVICE[:TARGET]`), or for all that the project declares; the same each time.

        A lease on a port in `avoid` is given back, and another granted in its place; so is one that is not where the terms, the
        environment or a pin want it by now, if that port can be had.
        """
        wanted = [Wanted(*_split(name)) for name in names] if names else self.declared()
        if avoid:
            return self._grant(wanted, terms, avoid)
        requests = [self._request(each, terms) for each in wanted]
        try:
            known = self.store.recall(requests, self._clock())
            held = self._held(wanted, requests, terms) if known is None else known
            misplaced = frozenset(self._misplaced(wanted, held, terms))
        except Unavailable:  # what is wrong is told where something must be granted
            return self._grant(wanted, terms)
        if known is None or misplaced:
            return self._grant(wanted, terms, misplaced)
        kept = (lease for lease in known if terms.preferred not in (None, lease.port) and lease.index == 0)
        return self._told(known, [f"{lease.holder.service} keeps {lease.port}" for lease in kept])

    def _held(self, wanted: Sequence[Wanted], requests: Sequence[LeaseRequest], terms: Terms) -> list[Lease]:
        """What those who ask have at this site already, if anything says where it is to be."""
        words = (next(self._decided(each, index, terms, None), None) for index, each in enumerate(wanted))
        if terms.ports is None and not any(words):
            return []
        holders = {_key(each.holder) for each in requests}
        return [
            lease
            for lease in self.store.leases(host=self._site.host, worktree=self.checkout.worktree)
            if lease.netns == self._site.netns and _key(lease.holder) in holders
        ]

    def _misplaced(self, wanted: Sequence[Wanted], held: Sequence[Lease], terms: Terms) -> Iterator[int]:
        """The ports of leases that are to be elsewhere by now. What could not be had when it was asked for is not tried again."""
        if terms.ports is not None:
            yield from (lease.port for lease in held if lease.port not in terms.ports)
        if terms.ports is not None or terms.count > 1:
            return
        leases = {(lease.holder.service, lease.holder.instance): lease for lease in held if lease.index == 0}
        plain = None if terms.preferred else conventions.plain_port(self._environment)
        project = self._declared() if plain and all(self._can_be_had(plain, lease) for lease in held) else None
        for index, each in enumerate(wanted):
            lease = leases.get((each.service, each.instance))
            if lease is None or lease.port == plain:
                continue
            for ports in self._decided(each, index, terms, project):
                if lease.port in ports or lease.preferred in ports:
                    break
                if any(self._can_be_had(port, lease) for port in ports):
                    yield lease.port
                    break

    def _decided(self, wanted: Wanted, index: int, terms: Terms, project: Project | None) -> Iterator[tuple[int, ...]]:
        """What somebody decided for a service, the strongest first: alternatives that are equally good, best first."""
        if terms.preferred is not None:
            yield (terms.preferred,)
        else:
            settings = self._settings("pin", wanted.service)
            yield from conventions.decided(wanted, index, self._environment, settings, project)

    def _can_be_had(self, port: int, instead: Lease) -> bool:
        here = (instead.host, instead.netns, instead.transport)
        promised = {(each.host, each.netns, each.transport) for each in self.store.leases(ports=[port])}
        return here not in promised and self._live.is_free(port, instead.transport)

    def release(self, names: Sequence[str]) -> Granted:
        """Gives back the named services' ports, or all of this checkout's, but none that is one process's own."""
        mine = self.store.leases(host=self._site.host, worktree=self.checkout.worktree)
        asked = {_split(name) for name in names}
        chosen = [lease for lease in mine if not names or (lease.holder.service, lease.holder.instance) in asked]
        return self.give_back([lease for lease in chosen if lease.kind is not LeaseKind.PROCESS])

    def give_back(self, leases: Sequence[Lease]) -> Granted:
        """Gives back those of the leases that still stand."""
        return Granted(self.store.release(leases))

    def leases(self, everyone: bool) -> Granted:
        """This project's leases, or everyone's, after taking back those whose holder is provably gone."""
        remarks: tuple[str, ...] = ()
        try:
            self.store.reclaim(
                self._site, lambda lease: here.why_gone(lease, self._site), self._live.can_bind, self._clock()
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
        return Granted(
            tuple(leases), frozenset(live), (*remarks, *([self._live.unproved] if self._live.unproved else []))
        )

    def _request(
        self,
        wanted: Wanted,
        terms: Terms,
        offers: Iterator[tuple[int, ...]] | None = None,
        avoid: frozenset[int] = frozenset(),
        preferred: int | None = None,
    ) -> LeaseRequest:
        udp = wanted.spec is not None and wanted.spec.protocol.lower() == "udp"
        holder = Holder(
            self.checkout.project,
            self.checkout.worktree,
            wanted.service,
            wanted.instance,
            here.identity() if terms.own else None,
            _uid(),
            _user(),
        )
        return LeaseRequest(
            site=self._site,
            holder=holder,
            offers=offers or iter(()),
            count=terms.count,
            contiguous=terms.contiguous,
            transport=Transport.UDP if udp else Transport.TCP,
            kind=LeaseKind.PROCESS if terms.own else LeaseKind.TTL if terms.ttl is not None else LeaseKind.STICKY,
            ttl=terms.ttl,
            preferred=preferred,
            avoid=avoid,
        )

    def _grant(self, wanted: Sequence[Wanted], terms: Terms, avoid: frozenset[int] = frozenset()) -> Granted:
        project = self._declared()
        full = [each if each.spec else self._known(each, project) for each in wanted]
        alone = terms.ports is None and terms.count == 1
        decided = [list(self._decided(each, index, terms, project)) if alone else [] for index, each in enumerate(full)]
        reading = self._live.seen()
        mine = self._own_ports(reading, project, {port for each in decided for ports in each for port in ports})
        snapshot = Snapshot(
            reading,
            self._clock(),
            project,
            reserved=() if terms.ports else self._live.reserved(),
            settings=self._settings(),
        )
        requests = []
        for each, words in zip(full, decided, strict=True):
            offers = self._offers(each, words, terms, snapshot, project, mine)
            preferred = words[0][0] if words else terms.preferred
            requests.append(self._request(each, terms, offers, avoid, preferred))

        def is_free(port: int, transport: Transport) -> bool:
            return port in mine or self._live.is_free(port, transport)

        now = self._clock()
        try:
            leases = self.store.acquire(requests, is_free, now)
        except NoFreePort as error:
            raise NoFreePort(f"No available ports found: {error.message}", hint=error.hint) from error
        except Unavailable as error:
            return self._unrecorded(requests, is_free, error, self._unseen(reading))
        moved = [
            f"{lease.preferred} is not free: {lease.holder.service} has {lease.port}"
            for lease in leases
            if terms.preferred is not None and lease.preferred == terms.preferred != lease.port and lease.index == 0
        ]
        return self._told(leases, [*moved, *self._unseen(reading)]).replace(
            new=frozenset(lease.token for lease in leases if lease.granted == now)
        )

    def _own_ports(self, reading: Reading, project: Project | None, decided: Collection[int]) -> set[int]:
        """The ports that this checkout's own services have now: they are no reason to move.

        Processes are looked for only if somebody has a port that is declared, or decided elsewhere: no other is offered.
        """
        services: Sequence[Service] = project.services if project else ()
        declared = {port for service in services for spec in service.claims for port in spec.range or ()}
        if not any(row.port in declared or row.port in decided for row in reading.listeners if services):
            return set()
        from portward.occupancy import is_ours

        return {
            row.port
            for row in self._live.read(udp=True).listeners
            if project and row.netns is None and row.state is not State.CLAIMED
            if any(is_ours(row, service, project) for service in services)
        }

    def _unrecorded(
        self,
        requests: Sequence[LeaseRequest],
        is_free: Callable[[int, Transport], bool],
        error: Unavailable,
        unseen: Sequence[str],
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
        return self._told(leases, [f"not recorded, so not promised: {error.message}", *unseen])

    def _unseen(self, reading: Reading) -> list[str]:
        """What may have the granted ports without being seen from here."""
        found = [f"not seen: {skipped.what}: {skipped.reason}" for skipped in reading.skipped]
        if self._site.netns:
            found.append(
                f"in a network namespace of its own ({self._site.netns}): who listens on the machine is not seen here"
            )
        return found

    def _known(self, wanted: Wanted, project: Project | None) -> Wanted:
        """The wanted port with what the project's files declare for it."""
        same = [each for each in declared_ports(project) if each.service == wanted.service]
        exact = [each for each in same if each.instance == wanted.instance]
        by_target = [each for each in same if each.spec and wanted.instance == str(each.spec.target)]
        return next((wanted.replace(spec=each.spec) for each in (*exact, *by_target)), wanted)

    def _offers(
        self,
        wanted: Wanted,
        decided: Sequence[tuple[int, ...]],
        terms: Terms,
        snapshot: Snapshot,
        project: Project | None,
        mine: Collection[int],
    ) -> Iterator[tuple[int, ...]]:
        """Candidates, best first: what is preferred, what was decided elsewhere, what the files declare, the range."""
        from portward import allocate, catalog

        service = project.service(wanted.service) if project else None
        kinds = snapshot.settings.kinds
        kind = service.kind if service else kinds.get(wanted.service) or catalog.kind_of(None, wanted.service)
        ranges = {**catalog.DEFAULT_RANGES, **snapshot.settings.ranges}
        key = "\0".join((self.checkout.project, self.checkout.worktree, str(wanted)))
        request = PortRequest(key, terms.ports or ranges[kind], None, terms.count, terms.contiguous)
        if terms.preferred is not None:
            yield from allocate.candidates(request.replace(preferred=terms.preferred), snapshot)
            return
        if terms.count == 1 and terms.ports is None:
            held = {row.port for row in snapshot.reading.listeners if row.netns is None} - set(mine)
            ports = wanted.spec.range if wanted.spec and self.checkout.is_primary else None
            for port in (*(port for each in decided for port in each), *([ports.low] if ports else [])):
                if port not in held:
                    yield (port,)
        yield from allocate.candidates(request, snapshot)


def whose(
    row: Listener, project: Project | None, checkout: Checkout, checkout_of: Callable[[str], Checkout | None]
) -> str:
    """Whose a listener is, seen from a checkout: mine, other-worktree, other-project or stranger.

    A forwarder of an engine that cannot be asked is a stranger's, wherever the engine itself was started.
    """
    if row.container is None and forwarding_engine(row):
        return "stranger"
    folder = row.container.folder if row.container else next((process.cwd for process in row.processes), None)
    other = checkout_of(folder) if folder else None
    if other is None:
        return "other-project" if row.container and row.container.project else "stranger"
    if other.worktree == checkout.worktree:
        return "mine"
    same = project is not None and row.container is not None and row.container.project == project.name
    return "other-worktree" if other.project == checkout.project or same else "other-project"


def _key(holder: Holder) -> tuple[object, ...]:
    """What makes one holder another: not the user's name, say."""
    return holder.project, holder.service, holder.instance, holder.process


def _split(name: str) -> tuple[str, str]:
    service, _, target = name.partition(":")
    return service, target


def _uid() -> int | None:
    return os.getuid() if hasattr(os, "getuid") else None


def _user() -> str | None:
    return os.environ.get("USER") or os.environ.get("LOGNAME")
