"""How `Portward` promises ports: for whom, which ones in which order, each the same one every time.

A named service that has its port already is answered from the store alone; sockets, engine and files are read only where
something must be granted.
"""

from __future__ import annotations

from contextlib import suppress

from portward import conventions
from portward.conventions import Terms, Wanted, declared_ports, split
from portward.errors import NoFreePort, Unavailable
from portward.leases import LOOKS_APART, LeaseRequest, address, here, open_store
from portward.model import (
    ANY,
    Endpoint,
    Lease,
    LeaseKind,
    Reading,
    Refusal,
    Snapshot,
    State,
    Transport,
)
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from portward.leases import LeaseStore
    from portward.leases.local_copy import LocalCopy
    from portward.model import Project, Reclaimed, Service, Settings
    from portward.truths.live import Live
    from portward.verbs.asking import Asking
    from portward.workspace import Checkout

    Acquire = Callable[[Sequence[LeaseRequest], Callable[[int, Transport], bool], float], tuple[Lease, ...]]


class Granted(Record):
    """Leases, in the order asked for; the ports of those in `live` have a listener on this host now. `remarks` are for people.

    `new` are the tokens of those that were granted just now, and not before.
    """

    leases: tuple[Lease, ...]
    live: frozenset[Lease] = frozenset()
    remarks: tuple[str, ...] = ()
    new: frozenset[str] = frozenset()

    def first(self) -> dict[tuple[str, str], int]:
        """The first port of each holder, by service and instance."""
        return {(each.holder.service, each.holder.instance): each.port for each in self.leases if each.index == 0}


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
        self.store = store_at(address(environment, settings("store").store))
        self.site = here.site_in(self.store, environment)
        self._asking: Asking | None = None

    @property
    def asking(self) -> Asking:
        """What this checkout asks of the store."""
        if self._asking is None:
            from portward.verbs.asking import Asking

            self._asking = Asking(
                self.checkout, self._settings, self._live, self._environment, self._declared, self.store, self.site
            )
        return self._asking

    def stack(self) -> list[Wanted]:
        """Every port that the project declares; in a linked worktree, where all move, those of inactive profiles too."""
        return list(declared_ports(self._declared(), inactive=not self.checkout.is_primary))

    def lease(self, names: Sequence[str | Wanted], terms: Terms, avoid: frozenset[int] = frozenset()) -> Granted:
        """A port for each named service (`SERVICE[:TARGET]`), or for all that the project declares; the same each time.

        A lease on a port in `avoid` is given back, and another granted in its place; so is one that is not where the terms, the
        environment or a pin want it by now, if that port can be had. Where a store of many machines does not answer, what this machine
        knows of it must do.
        """
        if not self.store.is_shared:
            return self.by_store(names, terms, avoid)
        from portward.verbs.offline import lease

        return lease(self, self._local_copy(), names, terms, avoid)

    def _local_copy(self) -> LocalCopy:
        from portward.leases.local_copy import LocalCopy

        return LocalCopy(self._environment, self.store.address, self.site.host)

    def by_store(self, names: Sequence[str | Wanted], terms: Terms, avoid: frozenset[int] = frozenset()) -> Granted:
        """As `lease`, by the store alone."""
        wanted = self.asking.wanted(names, terms)
        if avoid:
            return self._grant(wanted, terms, avoid)
        acquire = self.store.acquire
        if terms.hosts:
            from portward.verbs.reaching import Reach

            reach = Reach(self.store, self.site, terms.hosts)
            terms, acquire = terms.replace(hosts=reach.ids), reach.acquire
        requests = self.requests(wanted, terms)
        try:
            known = self.store.recall(requests, self._clock())
            held = self.asking.held(wanted, requests, terms) if known is None else known
            misplaced = frozenset(self.asking.misplaced(wanted, held, terms))
        except Unavailable:  # what is wrong is told where something must be granted
            if self.store.is_shared:
                raise
            return self._grant(wanted, terms)
        if known is None or misplaced:
            return self._grant_with_room(wanted, terms, misplaced, acquire)
        if terms.preferred is None:
            return self.told(known, ())
        from portward.verbs.missed import kept

        return self.told(known, list(kept(terms.preferred, known, self._live, self.store, self._clock())))

    def by_another(self, wanted: Sequence[Wanted], terms: Terms, avoid: frozenset[int], acquire: Acquire) -> Granted:
        """As `lease`, by what acquires in the store's place."""
        return self._grant(wanted, terms, avoid, acquire)

    def requests(
        self, wanted: Sequence[Wanted], terms: Terms, avoid: frozenset[int] = frozenset()
    ) -> list[LeaseRequest]:
        """What is asked of a store, without offers."""
        return [self.asking.request(each, terms, avoid=avoid) for each in wanted]

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    def release(self, names: Sequence[str]) -> Granted:
        """Gives back the named services' ports, or all of this checkout's, but none that is one process's own."""
        mine = [
            each
            for each in self.store.leases(worktree=self.checkout.worktree, host=self.site.host)
            if each.host == self.site.host
        ]
        asked = {split(name) for name in names}
        chosen = [lease for lease in mine if not names or (lease.holder.service, lease.holder.instance) in asked]
        return self.give_back([lease for lease in chosen if lease.kind is not LeaseKind.PROCESS])

    def give_back(self, leases: Sequence[Lease]) -> Granted:
        """Gives back those of the leases that still stand."""
        released = self.store.release(leases)
        if released and self.store.is_shared:
            self._local_copy().forget(released, self._clock())
        return Granted(released)

    def leases(self, everyone: bool) -> Granted:
        """This project's leases, or everyone's, after taking back those whose holder is provably gone."""
        remarks: tuple[str, ...] = ()
        try:
            self._take_back()
            remarks = tuple(
                f"{gone.lease.port} of {gone.lease.holder.service} ({gone.lease.holder.worktree}) was taken back: {gone.why}"
                for gone in self.store.reclaimed(project=None if everyone else self.checkout.project)
            )
        except Unavailable as error:
            remarks = (f"nothing could be taken back: {error.message}",)
        try:
            found = self.store.leases() if everyone else self.store.leases(project=self.checkout.project)
        except Unavailable as error:
            if not self.store.is_shared:
                raise
            from portward.verbs.offline import known

            return known(self, self._local_copy(), error, everyone)
        return self.told(found, remarks)

    def past(self) -> tuple[Lease | Reclaimed, ...]:
        """What the store knows of this site's ports: the leases that there are, and what was taken back. Nothing where it cannot be read."""
        try:
            leases, reclaimed = self.store.leases(), self.store.reclaimed()
        except Unavailable:
            return ()
        return (*filter(self._is_here, leases), *(each for each in reclaimed if self._is_here(each.lease)))

    def _is_here(self, lease: Lease) -> bool:
        return (lease.host, lease.netns) == (self.site.host, self.site.netns)

    def _take_back(self) -> tuple[Reclaimed, ...]:
        """Takes back what those had who are provably gone."""
        return self.store.reclaim(
            self.site, lambda lease: here.why_gone(lease, self.site), self._live.can_bind, self._clock()
        )

    def told(self, leases: Sequence[Lease], remarks: Sequence[str]) -> Granted:
        """Leases as an answer: with which of their ports somebody has now."""
        here_now = [lease for lease in leases if (lease.host, lease.netns) == (self.site.host, self.site.netns)]
        live = {lease for lease in here_now if self._is_busy(lease.port, lease.transport)}
        return Granted(
            tuple(leases), frozenset(live), (*remarks, *([self._live.unproved] if self._live.unproved else []))
        )

    def _is_busy(self, port: int, transport: Transport) -> bool:
        """Whether somebody has the port. Where a policy denies binds, whether somebody is seen on it."""
        refused = self._live.refusal(Endpoint(ANY, port, transport))
        return refused is Refusal.IN_USE or (refused is Refusal.SANDBOXED and not self._live.is_free(port, transport))

    def _grant_with_room(
        self, wanted: Sequence[Wanted], terms: Terms, avoid: frozenset[int], acquire: Acquire
    ) -> Granted:
        """As `_grant`, and takes back before, where nobody looked for long, or else if there is no port left."""
        with suppress(Unavailable):
            if self.store.looked(self.site.host) < self._clock() - LOOKS_APART:
                self._take_back()
        try:
            return self._grant(wanted, terms, avoid, acquire)
        except NoFreePort:
            with suppress(Unavailable):
                if self._take_back():
                    return self._grant(wanted, terms, avoid, acquire)
            raise

    def _grant(
        self,
        wanted: Sequence[Wanted],
        terms: Terms,
        avoid: frozenset[int] = frozenset(),
        acquire: Acquire | None = None,
    ) -> Granted:
        """Grants by the store, or by another that acquires as it does."""
        project = self._declared()
        full = [each if each.spec else self.asking.known(each, project) for each in wanted]
        alone = terms.ports is None and terms.count == 1
        decided = [
            list(self.asking.decided(each, index, terms, project)) if alone else [] for index, each in enumerate(full)
        ]
        reading = self._live.seen()
        mine = self._own_ports(reading, project, {port for each in decided for ports in each for port in ports})
        snapshot = Snapshot(
            reading,
            self._clock(),
            project,
            reserved=() if terms.ports else self._live.reserved(),
            settings=self._settings(),
        )
        requests, meant = [], {}
        kept = self.checkout.is_primary
        for each, words in zip(full, decided, strict=True):
            key = "\0".join((self.checkout.project, self.checkout.worktree, str(each)))
            meant[each.service, each.instance] = conventions.meant(each, words, terms, keeps_declared=kept)
            offers = conventions.offers(each, words, terms, snapshot, mine, key=key, keeps_declared=kept)
            preferred = words[0][0] if words else terms.preferred
            requests.append(self.asking.request(each, terms, offers, avoid, preferred))

        def is_free(port: int, transport: Transport) -> bool:
            return port in mine or self._live.is_free(port, transport)

        now = self._clock()
        try:
            leases = (acquire or self.store.acquire)(requests, is_free, now)
        except NoFreePort as error:
            raise NoFreePort(f"No available ports found: {error.message}", hint=error.hint) from error
        except Unavailable as error:
            if self.store.is_shared:
                raise
            return self._unrecorded(requests, is_free, error, self._unseen(reading))
        new = frozenset(lease.token for lease in leases if lease.granted == now)
        from portward.verbs.missed import moved

        told = list(moved(meant, (each for each in leases if each.token in new), self._live, self.store, now))
        undecided = (each for each, words in zip(full, decided, strict=True) if each.spec and not words)
        if alone and new and not kept and terms.preferred is None and any(undecided):
            told.append(
                f"this is a linked worktree: the ports that the files declare stay with {self.checkout.project}"
            )
        if terms.ports is None:  # who names a range knows what it is
            told += self._warnings(each for each in leases if each.token in new)
        return self.told(leases, [*told, *self._unseen(reading)]).replace(new=new)

    def _warnings(self, new: Iterable[Lease]) -> Iterator[str]:
        """What speaks against new leases that somebody decided: Portward itself picks no such port."""
        from portward.catalog import reasons_to_avoid

        ephemeral = self._live.system().ephemeral
        for lease in new:
            for reason in reasons_to_avoid(lease.port, ephemeral):
                yield f"{lease.port} of {lease.holder.service}: {reason}"

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
        """An answer where nothing can be written: ports that are free now, and as far as can be read promised to nobody."""
        from portward.leases.unrecorded import unrecorded

        taken: set[int] = set()
        with suppress(Unavailable):
            taken = {each.port for each in self.store.leases(host=self.site.host) if each.netns == self.site.netns}
        leases = unrecorded(requests, is_free, taken, self._clock())
        said = [f"not recorded, so not promised: {error.message}", *([f"hint: {error.hint}"] if error.hint else [])]
        return self.told(leases, [*said, *unseen])

    def _unseen(self, reading: Reading) -> list[str]:
        """What may have the granted ports without being seen from here."""
        found = [f"not seen: {skipped.what}: {skipped.reason}" for skipped in reading.skipped]
        if self.site.netns:
            found.append(
                f"in a network namespace of its own ({self.site.netns}): who listens on the machine is not seen here"
            )
        return found
