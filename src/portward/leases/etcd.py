"""The lease store of a fleet, in etcd (3.4 or newer), through its JSON gateway.

Keys below PREFIX/v1/, each host's own below `KIND/HOST/`: `l/HOST/PORT/TRANSPORT/NETNS` has a lease, `f/HOST/…` the same once more for one
that other hosts have to keep off, `o/HOST/HASH` which ports a holder has, `r/HOST/…` what was reclaimed, `k/HOST/looked` when somebody looked, `d/HOST/…` what a repair set aside; `a/HOST`, `inv/HOST` and
`h/HOST` are the host agent's (`etcd_host`). PREFIX/version says how the rest is to be read.

A grant reads, decides, and sends one transaction that is carried out only if nothing it rests on has changed; else it begins anew. Only a
linearizable answer decides. A transaction that was carried out cannot be so again, and so one without an answer is sent to the next
member; its tokens, which no other grant has, tell then whether the first one was in force.
"""

from __future__ import annotations

import random
import time
from math import ceil

from portward.errors import Unavailable, UsageError
from portward.leases import KEPT, _etcd_fleet, _etcd_gateway, _etcd_records, _etcd_trouble, etcd_host
from portward.leases._etcd_draft import Draft
from portward.leases._etcd_gateway import Gateway, access
from portward.leases._grants import Grants, recalled
from portward.leases._reclaim import Judge
from portward.model import LeaseKind, meet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from portward.leases import LeaseRequest
    from portward.model import Lease, Reclaimed, Site, StoreCheck, Transport

    IsFree = Callable[[int, Transport], bool]

PATIENCE = 30.0
"""Seconds in which a change that others come before is begun anew."""

GRACE = 3600
"""Seconds that etcd keeps a lease of kind ttl beyond its end: its holder may be late, and each change of leader begins the time anew."""

LONGEST_TTL = 9_000_000_000
"""Seconds: etcd's own limit (lease/lessor.go, maxLeaseTTL)."""

_AT_ONCE = 30
_PAUSE = 0.02


def store_at(address: str, environment: Mapping[str, str]) -> EtcdStore:
    """The store at `etcd://HOST:PORT,…/PREFIX`, `etcds://` with TLS. Raises UsageError for what is no such address."""
    scheme, _, rest = address.partition("://")
    places, _, prefix = rest.partition("/")
    endpoints = [each for each in places.split(",") if each]
    for endpoint in endpoints:
        host, _, port = (
            endpoint.rpartition(":") if not endpoint.endswith("]") and ":" in endpoint else (endpoint, "", "2379")
        )
        if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16 or "@" in endpoint:
            raise UsageError(
                f"{endpoint!r} is not HOST:PORT",
                hint="etcd://HOST:PORT,HOST:PORT/PREFIX; PORTWARD_ETCD_USER names the user",
            )
    prefix = prefix.strip("/") or "portward"
    if not endpoints or not prefix.isascii() or not prefix.isprintable():
        raise UsageError(f"{address!r} is not the address of a lease store", hint="etcd://HOST:PORT,HOST:PORT/PREFIX")
    gateway = Gateway(endpoints, access(environment), scheme == "etcds")
    return EtcdStore(address, gateway, f"/{prefix}")


class EtcdStore:
    """See `LeaseStore`.

    What is released, renewed or reclaimed is changed all at once up to 30 leases; more go in several steps.
    """

    is_shared = True

    def __init__(self, address: str, gateway: Gateway, prefix: str) -> None:
        self.address = address
        self.gateway = gateway
        self.keys = _etcd_records.Keys(prefix)

    def recall(self, requests: Sequence[LeaseRequest], now: float) -> tuple[Lease, ...] | None:
        """See `LeaseStore.recall`."""
        for request in requests:
            request.validate()
        draft = self._draft()
        return self._recalled(draft, requests) if draft.prepare(requests) else None

    def _recalled(self, draft: Draft, requests: Sequence[LeaseRequest]) -> tuple[Lease, ...] | None:
        found: list[Lease] = []
        for request in requests:
            known = recalled(draft.held(request), request)
            if known is None:
                return None
            found += known
        return tuple(found)

    def acquire(self, requests: Sequence[LeaseRequest], is_free: IsFree, now: float) -> tuple[Lease, ...]:
        """See `LeaseStore.acquire`."""
        for request in requests:
            request.validate()
        hosts = _hosts(requests)
        intent = _etcd_fleet.Intent(self.gateway, self.keys, hosts, requests[0].site.host if requests else "")
        offers = [_Replayed(request.offers) for request in requests]
        lifelines: dict[float, int] = {}
        for _turn in _turns("lease a port"):
            draft = Draft(
                self.gateway, self.keys, lambda lease: self._lifeline(lease, now, lifelines), hosts, intent.taken()
            )
            if draft.prepare(requests):
                known = self._recalled(draft, requests)
                if known is not None:
                    return known
            new = [
                (each.site.host, offer) for each, offer in zip(requests, offers, strict=True) if not draft.held(each)
            ]
            draft.look_at((host, offer.first()) for host, offer in new)
            grants = Grants(draft, is_free, now)
            granted = [
                lease
                for request, again in zip(requests, offers, strict=True)
                for lease in grants.granted(request, iter(again))
            ]
            try:
                if intent.is_ours(draft) and self._committed(draft, time.time())[0]:
                    return tuple(granted)
            finally:
                intent.end()
            lifelines.clear()
        raise AssertionError

    def _lifeline(self, lease: Lease, now: float, known: dict[float, int]) -> int:
        """The etcd lease for a lease that time ends: one for each length. Never the judge of its end, which is the caller's clock.

        A lease of one process ends with its machine: with what the host's agent keeps alive, where one runs.
        """
        if lease.kind is LeaseKind.PROCESS:
            return etcd_host.lifeline(self, lease.host)
        if lease.expires is None:
            return 0
        if lease.expires not in known:
            known[lease.expires] = self.gateway.grant(_seconds(lease.expires - now))
        return known[lease.expires]

    def _committed(self, draft: Draft, made: float | None = None) -> tuple[bool, bool]:
        """As `Draft.commit`. An etcd lease that ended meanwhile is a change by others, too."""
        try:
            return draft.commit(made)
        except _etcd_trouble.Gone:
            return False, False

    def release(self, leases: Iterable[Lease]) -> tuple[Lease, ...]:
        """See `LeaseStore.release`."""

        def give_back(draft: Draft, some: Sequence[Lease]) -> list[Lease]:
            mine = [lease for lease in dict.fromkeys(some) if draft.standing(lease)]
            for lease in mine:
                draft.drop(lease)
            return mine

        return self._each(tuple(leases), "give a port back", give_back)

    def renew(self, leases: Iterable[Lease], ttl: float, now: float) -> tuple[Lease, ...]:
        """See `LeaseStore.renew`."""
        lifelines: dict[int, int] = {}

        def lengthen(draft: Draft, some: Sequence[Lease]) -> list[Lease]:
            renewed = []
            for lease in some:
                entry = draft.standing(lease)
                if entry is None or entry.lease.kind is not LeaseKind.TTL:
                    continue
                old = entry.kv.lifeline
                if old not in lifelines:
                    lifelines[old] = self._kept_alive(old, ttl)
                if lifelines[old]:
                    draft.extend(entry, entry.lease.replace(expires=now + ttl), lifelines[old])
                    renewed.append(lease.replace(expires=now + ttl))
            return renewed

        return self._each(tuple(leases), "renew a lease", lengthen)

    def attach(self, leases: Iterable[Lease], lifeline: int) -> None:
        """Lets leases end with an etcd lease, or with none (0)."""

        def change(draft: Draft, some: Sequence[Lease]) -> list[Lease]:
            standing = [entry for lease in some if (entry := draft.standing(lease))]
            for entry in standing:
                draft.extend(entry, entry.lease, lifeline)
            return [entry.lease for entry in standing]

        self._each(tuple(leases), "attach a lease", change)

    def _kept_alive(self, lifeline: int, ttl: float) -> int:
        """The etcd lease, for its whole time anew, or a longer one where that is too short; 0 if it has ended, and its keys with it."""
        lasts = self.gateway.keep_alive(lifeline) if lifeline else 0
        if lasts >= _seconds(ttl):
            return lifeline
        return self.gateway.grant(_seconds(ttl)) if lasts or not lifeline else 0

    def _each(
        self, leases: Sequence[Lease], act: str, change: Callable[[Draft, Sequence[Lease]], list[Lease]]
    ) -> tuple[Lease, ...]:
        """What a change found, in transactions of a few leases each. One that is gone after a try without an answer was that try's."""
        found: list[Lease] = []
        for start in range(0, len(leases), _AT_ONCE):
            some = leases[start : start + _AT_ONCE]
            perhaps: list[Lease] = []
            for _turn in _turns(act):
                draft = self._draft()
                if not draft.want(some):
                    return ()
                mine = change(draft, some)
                done, repeated = self._committed(draft)
                if done:
                    known = {each.token: each for each in (*perhaps, *mine)}
                    found += [known[token] for token in dict.fromkeys(each.token for each in some) if token in known]
                    break
                perhaps = mine if repeated else perhaps
        return tuple(found)

    def leases(
        self,
        *,
        host: str | None = None,
        project: str | None = None,
        worktree: str | None = None,
        ports: Collection[int] | None = None,
    ) -> tuple[Lease, ...]:
        """See `LeaseStore.leases`. What is no lease is passed over. Of a host are those too that another has for it."""
        wanted = None if ports is None else set(ports)
        known = [entry.lease for entry in self.entries(host, wanted)]
        if host is not None:
            claims = (_etcd_records.claim(kv, self.keys) for kv in self.gateway.all_below(self.keys.all_of("f")))
            known += [claim[0] for claim in claims if claim and not claim[1] and _is_anothers(claim[0], host)]
        found = [
            lease
            for lease in known
            if (project is None or lease.holder.project == project)
            and (worktree is None or lease.holder.worktree == worktree)
            and (wanted is None or lease.port in wanted)
        ]
        return tuple(sorted(found, key=lambda each: (each.host, each.netns, each.port, each.transport)))

    def entries(self, host: str | None, ports: Collection[int] | None = None) -> Iterator[_etcd_records.Entry]:
        """The leases of a host, or of all, on a few ports or on all."""
        if not self._draft().begin():
            return
        if host is not None and ports is not None and len(ports) <= _AT_ONCE:
            starts = [self.keys.port(host, port) for port in ports if 0 <= port < 1 << 16]
            spans = [{"request_range": _etcd_gateway.span(start, _etcd_gateway.after(start))} for start in starts]
            kvs = [kv for found in (self.gateway.read(spans) if spans else ()) for kv in found]
        else:
            kvs = self.gateway.all_below(self.keys.all_of("l", host))
        for kv in kvs:
            entry = _etcd_records.entry(kv, self.keys)
            if entry is not None:
                yield entry

    def reclaim(
        self, site: Site, is_dead: Callable[[Lease], str | None], is_free: IsFree, now: float
    ) -> tuple[Reclaimed, ...]:
        """See `LeaseStore.reclaim`."""
        if not self._draft().begin():
            return ()
        judge = Judge(site, is_dead, is_free, now)
        standing = sorted(self.entries(site.host), key=lambda entry: entry.kv.key)
        self.gateway.put(self.keys.looked(site.host), _etcd_records.dumped(now))
        suspects = [each.lease for each in standing if judge.is_due(each.lease, each.sightings, each.sighted)]
        taken: list[Reclaimed] = []
        for start in range(0, len(suspects), _AT_ONCE):
            taken += self._judged(judge, suspects[start : start + _AT_ONCE], now)
        if taken:
            self._forget(site.host)
        return tuple(taken)

    def _judged(self, judge: Judge, suspects: Sequence[Lease], now: float) -> list[Reclaimed]:
        perhaps: list[Reclaimed] = []
        for _turn in _turns("take leases back"):
            draft = self._draft()
            draft.want(suspects)
            taken = [row for lease in suspects for row in draft.judged(judge, lease, now)]
            done, repeated = self._committed(draft)
            if done:
                return taken or perhaps
            perhaps = taken if repeated else perhaps
        raise AssertionError

    def _forget(self, host: str) -> None:
        """Removes what was reclaimed longest ago."""
        known = sorted(self.gateway.all_below(self.keys.all_of("r", host)), key=lambda kv: (kv.created, kv.key))
        old = [kv.key for kv in known[:-KEPT]]
        for start in range(0, len(old), _AT_ONCE):
            some = old[start : start + _AT_ONCE]
            self.gateway.transact((), [{"request_delete_range": _etcd_gateway.span(key)} for key in some])

    def looked(self, host: str) -> float:
        """See `LeaseStore.looked`."""
        draft = self._draft()
        if not draft.begin():
            return float("inf")
        ((*found,),) = self.gateway.read([{"request_range": _etcd_gateway.span(self.keys.looked(host))}])
        try:
            return float(found[0].value) if found else draft.made or 0.0
        except ValueError:
            return 0.0

    def reclaimed(self, *, project: str | None = None) -> tuple[Reclaimed, ...]:
        """See `LeaseStore.reclaimed`. So many of each host."""
        if not self._draft().begin():
            return ()
        known = sorted(self.gateway.all_below(self.keys.all_of("r")), key=lambda kv: (kv.created, kv.key), reverse=True)
        rows = (row for kv in known if (row := _etcd_records.reclaimed(kv)))
        return tuple(row for row in rows if project is None or row.lease.holder.project == project)[:KEPT]

    def check(self, now: float) -> tuple[StoreCheck, ...]:
        """See `LeaseStore.check`."""
        from portward.leases import _etcd_check

        return tuple(_etcd_check.check(self, now))

    def repair(self, now: float) -> tuple[str, ...]:
        """See `LeaseStore.repair`."""
        from portward.leases import _etcd_check

        return tuple(_etcd_check.repair(self))

    def close(self) -> None:
        """See `LeaseStore.close`."""
        self.gateway.close()

    def draft(self) -> Draft:
        """A transaction that grants nothing."""
        return self._draft()

    def _draft(self, lifeline: Callable[[Lease], int] = lambda _lease: 0) -> Draft:
        return Draft(self.gateway, self.keys, lifeline)


def _hosts(requests: Sequence[LeaseRequest]) -> tuple[str, ...]:
    """The hosts for which ports are asked. Raises UsageError where they are not the same for all."""
    found = {request.hosts or () for request in requests} or {()}
    if len(found) > 1:
        raise UsageError("what is asked for together is for the same hosts")
    return found.pop()


def _is_anothers(lease: Lease, host: str) -> bool:
    return lease.host != host and meet(lease.hosts, (host,))


class _Replayed:
    """Offers that are drawn once, and can be gone through again."""

    def __init__(self, offers: Iterable[tuple[int, ...]]) -> None:
        self._offers = iter(offers)
        self._drawn: list[tuple[int, ...]] = []

    def first(self) -> int:
        """The first port of the first offer; 0, which nobody has, where there is none."""
        return next(iter(self), (0,))[0]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        yield from self._drawn
        for offer in self._offers:
            self._drawn.append(offer)
            yield offer


def _turns(act: str) -> Iterator[int]:
    """Numbers, with a pause that grows and differs between each two. Raises Unavailable when others came first for too long."""
    deadline, turn = time.monotonic() + PATIENCE, 0
    while time.monotonic() < deadline:
        yield turn
        turn += 1
        time.sleep(random.uniform(0, _PAUSE * min(turn, 10)))
    raise Unavailable(f"cannot {act}: others changed the same for {PATIENCE:.0f} s", hint="try again")


def _seconds(ttl: float) -> int:
    return ceil(min(ttl + GRACE, LONGEST_TTL))
