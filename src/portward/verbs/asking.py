"""What is asked of a lease store: by whom, for which ports, and where somebody has decided that they are to be."""

from __future__ import annotations

import os

from portward import conventions
from portward.conventions import Terms, Wanted, declared_ports, split
from portward.leases import LeaseRequest, here
from portward.model import Holder, Lease, LeaseKind, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from portward.leases import LeaseStore
    from portward.model import Project, Settings, Site
    from portward.truths.live import Live
    from portward.workspace import Checkout


class Asking:
    """What one checkout asks of a store. The arguments are those of `Leasing`; `site` is where it asks for ports."""

    def __init__(
        self,
        checkout: Checkout,
        settings: Callable[..., Settings],
        live: Live,
        environment: Mapping[str, str],
        declared: Callable[[], Project | None],
        store: LeaseStore,
        site: Site,
    ) -> None:
        self._checkout = checkout
        self._settings = settings
        self._live = live
        self._environment = environment
        self._declared = declared
        self._store = store
        self._site = site

    def wanted(self, names: Sequence[str | Wanted], terms: Terms) -> list[Wanted]:
        """The ports that are asked for, by their services' names, or all that the project declares."""
        wanted = [each if isinstance(each, Wanted) else Wanted(*split(each)) for each in names]
        wanted = wanted or list(declared_ports(self._declared()))
        if terms.ports is not None or terms.preferred is not None or terms.count > 1:
            wanted = [each.replace(count=1) for each in wanted]
        return wanted

    def request(
        self,
        wanted: Wanted,
        terms: Terms,
        offers: Iterator[tuple[int, ...]] | None = None,
        avoid: frozenset[int] = frozenset(),
        preferred: int | None = None,
    ) -> LeaseRequest:
        """What is asked for one wanted port."""
        udp = wanted.spec is not None and wanted.spec.protocol.lower() == "udp"
        holder = Holder(
            self._checkout.project,
            self._checkout.worktree,
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
            count=wanted.count if terms.count == 1 else terms.count,
            contiguous=terms.contiguous or wanted.count > 1,
            transport=Transport.UDP if udp else Transport.TCP,
            kind=LeaseKind.PROCESS if terms.own else LeaseKind.TTL if terms.ttl is not None else LeaseKind.STICKY,
            ttl=terms.ttl,
            preferred=preferred,
            avoid=avoid,
            hosts=terms.hosts,
        )

    def known(self, wanted: Wanted, project: Project | None) -> Wanted:
        """The wanted port with what the project's files declare for it."""
        same = [each for each in declared_ports(project) if each.service == wanted.service]
        exact = [each for each in same if each.instance == wanted.instance]
        by_target = [each for each in same if each.spec and wanted.instance == str(each.spec.target)]
        return next((wanted.replace(spec=each.spec) for each in (*exact, *by_target)), wanted)

    def held(self, wanted: Sequence[Wanted], requests: Sequence[LeaseRequest], terms: Terms) -> list[Lease]:
        """What those who ask have at this site already, if anything says where it is to be."""
        words = (next(self.decided(each, index, terms, None), None) for index, each in enumerate(wanted))
        if terms.ports is None and not any(words):
            return []
        holders = {_key(each.holder) for each in requests}
        return [
            lease
            for lease in self._store.leases(host=self._site.host, worktree=self._checkout.worktree)
            if (lease.host, lease.netns) == (self._site.host, self._site.netns) and _key(lease.holder) in holders
        ]

    def misplaced(self, wanted: Sequence[Wanted], held: Sequence[Lease], terms: Terms) -> Iterator[int]:
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
            for ports in self.decided(each, index, terms, project):
                if lease.port in ports or lease.preferred in ports:
                    break
                if any(self._can_be_had(port, lease) for port in ports):
                    yield lease.port
                    break

    def decided(self, wanted: Wanted, index: int, terms: Terms, project: Project | None) -> Iterator[tuple[int, ...]]:
        """What somebody decided for a service, the strongest first: alternatives that are equally good, best first."""
        if terms.preferred is not None:
            yield (terms.preferred,)
        else:
            settings = self._settings("pin", wanted.service)
            yield from conventions.decided(wanted, index, self._environment, settings, project)

    def _can_be_had(self, port: int, instead: Lease) -> bool:
        promised = (each for each in self._store.leases(ports=[port]) if each.transport is instead.transport)
        return not any(each.keeps(instead.host, instead.netns) for each in promised) and self._live.is_free(
            port, instead.transport
        )


def _key(holder: Holder) -> tuple[object, ...]:
    """What makes one holder another: not the user's name, say."""
    return holder.project, holder.service, holder.instance, holder.process


def _uid() -> int | None:
    return os.getuid() if hasattr(os, "getuid") else None


def _user() -> str | None:
    return os.environ.get("USER") or os.environ.get("LOGNAME")
