"""A transaction on etcd in the making, as the grants and the judgement of every store use it.

Nothing is locked: what is read is remembered with its revision, what is to change is kept here, and all is sent as one transaction
that etcd carries out only if nothing it rests on has changed since.

A port that a host has for a whole fleet stands once more, as a claim. Every grant rests on there being no newer claim than those that it
has seen; how a claim is made sure of what others have already is `_etcd_fleet`'s.
"""

from __future__ import annotations

import os
from base64 import b64encode

from portward.errors import Unavailable
from portward.leases import _etcd_gateway, _etcd_records
from portward.leases._etcd_gateway import Kv, absent
from portward.model import Reclaimed, Transport, meet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from typing import Any

    from portward.leases import LeaseRequest
    from portward.leases._etcd_gateway import Gateway
    from portward.leases._etcd_records import Entry, Keys
    from portward.leases._reclaim import Judge
    from portward.model import Holder, Lease, Site

    Place = tuple[int, Transport]

MOST_ACTS = 100
"""Of one transaction that only reads; etcd takes 128 by default (--max-txn-ops)."""

_BLOCK = 64


class Draft:
    """See `_grants.Ledger`. `lifeline(lease)` gives the etcd lease that a lease's keys are to end with, 0 for none.

    What is granted is for `hosts` too, of which others have the ports `taken`.
    """

    def __init__(
        self,
        gateway: Gateway,
        keys: Keys,
        lifeline: Callable[[Lease], int],
        hosts: tuple[str, ...] = (),
        taken: Collection[Place] = (),
    ) -> None:
        self._gateway = gateway
        self._keys = keys
        self._lifeline = lifeline
        self._hosts = hosts
        self._taken = taken
        self._claims: list[tuple[Lease, bool]] | None = None
        self._newest_claim = 0
        self._rests_on_claims = False
        self._new: list[Lease] = []
        self._read: dict[str, Kv] = {}
        self._blocks: set[tuple[str, int]] = set()
        self._ranges: set[str] = set()
        self._rests_on: dict[str, None] = {}
        self._changes: dict[str, tuple[bytes, int] | None] = {}
        self._batch = os.urandom(8).hex()
        self._logged = 0
        self.made: float | None = None

    # Reading

    def begin(self, keys: Iterable[str] = ()) -> bool:
        """Reads the version of the store, and keys that will be wanted: whether there is a store. Raises Unavailable for a newer one."""
        self._fetch([self._keys.version, *keys])
        kv = self._read[self._keys.version]
        if not kv.revision:
            return False
        try:
            version, self.made = _etcd_records.version_of(kv.value)
        except (ValueError, RecursionError):
            raise Unavailable(
                f"what stands at {self._keys.version} in etcd is not a lease store's",
                hint="another prefix at the end of PORTWARD_STORE begins a store of its own",
            ) from None
        if version > _etcd_records.VERSION:
            raise Unavailable(
                f"the lease store was made by a newer Portward (version {version}; this one knows {_etcd_records.VERSION})",
                hint="upgrade this Portward, or name another prefix at the end of PORTWARD_STORE",
            )
        return True

    def _fetch(self, keys: Iterable[str], ports: Iterable[tuple[str, int]] = (), *, with_claims: bool = False) -> None:
        """Reads keys, and the leases on ports of hosts with those on their neighbours, which are likely to be offered next."""
        spans = {key: _etcd_gateway.span(key) for key in keys if key not in self._read}
        for host, block in {(host, port // _BLOCK) for host, port in ports} - self._blocks:
            start, end = self._keys.port(host, block * _BLOCK), self._keys.port(host, (block + 1) * _BLOCK)
            spans[start] = _etcd_gateway.span(start, end)
            self._blocks.add((host, block))
            self._ranges.add(start)
        claims = self._keys.all_of("f")
        if with_claims and claims not in self._ranges:
            spans[claims] = _etcd_gateway.span(claims, _etcd_gateway.after(claims))
            self._ranges.add(claims)
        wanted = list(spans)
        for first in range(0, len(wanted), MOST_ACTS):
            some = wanted[first : first + MOST_ACTS]
            found = self._gateway.read([{"request_range": spans[each]} for each in some])
            for each, kvs in zip(some, found, strict=True):
                if each not in self._ranges:
                    self._read[each] = absent(each)
                for kv in kvs:
                    self._read[kv.key] = kv
                if each == claims:
                    self._newest_claim = max((kv.revision for kv in kvs), default=0)
                    self._claims = [known for kv in kvs if (known := _etcd_records.claim(kv, self._keys))]

    def _get(self, key: str) -> Kv:
        """A key as this draft would leave it; revision 0 if it is not there."""
        if key not in self._read:
            self._fetch([key])
        if key in self._changes:
            change = self._changes[key]
            return absent(key) if change is None else Kv(key, change[0], 1, 0, change[1])
        return self._read[key]

    def prepare(self, requests: Sequence[LeaseRequest]) -> bool:
        """Reads what the holders of requests have, in two steps for all of them: whether there is a store."""
        places = [(each.site.host, each.site.netns, each.transport, each.holder) for each in requests]
        holders = [self._keys.holder(*place) for place in places]
        is_there = self.begin(holders)
        self._fetch(
            self._keys.lease(*place[:3], port)
            for place, key in zip(places, holders, strict=True)
            for port in _etcd_records.ports(self._read[key].value)
        )
        return is_there

    def look_at(self, offered: Iterable[tuple[str, int]]) -> None:
        """Reads who has what is offered first, ports of hosts, and what is claimed of all, at once: before the first grant."""
        self._fetch((), offered, with_claims=True)

    def held(self, request: LeaseRequest) -> list[Lease]:
        """See `Ledger.held`."""
        site = request.site
        mine = self._keys.holder(site.host, site.netns, request.transport, request.holder)
        self._rests_on[mine] = None
        value = self._get(mine).value
        if not value:
            return []
        found = []
        for port in _etcd_records.ports(value):
            key = self._keys.lease(site.host, site.netns, request.transport, port)
            entry = _etcd_records.entry(self._get(key), self._keys)
            if entry is not None and self._holder_key(entry.lease) == mine:
                self._rests_on[key] = None
                found.append(entry.lease)
        return sorted(found, key=lambda lease: lease.index)

    def at(self, site: Site, transport: Transport, port: int) -> Lease | None:
        """See `Ledger.at`. What is no lease is in the way as one is."""
        key = self._keys.lease(site.host, site.netns, transport, port)
        if key not in self._read:
            if (site.host, port // _BLOCK) not in self._blocks:
                self._fetch((), [(site.host, port)])
            self._read.setdefault(key, absent(key))
        kv = self._get(key)
        if kv.revision:
            entry = _etcd_records.entry(kv, self._keys)
            return entry.lease if entry else _not_ours(site, transport, port)
        return _not_ours(site, transport, port) if self._is_another_hosts(site, transport, port) else None

    def _is_another_hosts(self, site: Site, transport: Transport, port: int) -> bool:
        """Whether another host has the port for this one too, or for one of those that it is sought for, or will have in a moment."""
        if (port, transport) in self._taken:
            return True
        meant = (site.host, *self._hosts)
        for claim, is_pending in self._claims or ():
            is_own = (claim.host, claim.netns) == (site.host, site.netns)
            if (claim.port, claim.transport) == (port, transport) and (
                is_pending if is_own else meet(claim.hosts, meant)
            ):
                return True
        return False

    def standing(self, lease: Lease) -> Entry | None:
        """The lease as it stands under its token."""
        entry = _etcd_records.entry(self._get(self._key(lease)), self._keys)
        return entry if entry and entry.lease.token == lease.token else None

    def want(self, leases: Iterable[Lease]) -> bool:
        """Reads leases and their holders, all at once: whether there is a store."""
        return self.begin(key for lease in leases for key in (self._key(lease), self._holder_key(lease)))

    # Changing

    def add(self, lease: Lease) -> None:
        """See `Ledger.add`."""
        self._new.append(lease)
        self._rests_on_claims = True
        self._write(lease, self._lifeline(lease))

    def confirm(self, lease: Lease) -> None:
        """See `Ledger.confirm`."""
        entry = self.standing(lease)
        assert entry is not None
        self._write(lease, self._lifeline(lease), entry.sightings, entry.sighted)

    def extend(self, entry: Entry, lease: Lease, lifeline: int) -> None:
        """Gives a lease its new end."""
        self._write(lease, lifeline, entry.sightings, entry.sighted)

    def drop(self, lease: Lease) -> None:
        """See `Ledger.drop`."""
        self._changes[self._key(lease)] = None
        if lease.hosts:
            self._get(claim := self._keys.claim(lease))
            self._changes[claim] = None
        mine = self._holder_key(lease)
        kv = self._get(mine)
        left = [port for port in _etcd_records.ports(kv.value) if port != lease.port]
        self._changes[mine] = (_etcd_records.ports_value(left), kv.lifeline) if left else None

    def take_back(self, lease: Lease, why: str, now: float) -> Reclaimed:
        """See `Ledger.take_back`."""
        self.drop(lease)
        key = f"{self._keys.all_of('r', lease.host)}{self._batch}/{self._logged:04d}"
        self._logged += 1
        self._read[key] = absent(key)
        self._changes[key] = (_etcd_records.lease_value(lease, why=why, when=now), 0)
        return Reclaimed(lease, why, now)

    def judged(self, judge: Judge, suspect: Lease, now: float) -> Iterator[Reclaimed]:
        """Takes a lease back, or counts what was seen of it. It may have changed since it was suspected."""
        entry = self.standing(suspect)
        if entry is None:
            return
        why, *seen = judge.verdict(entry.lease, entry.sightings, entry.sighted)
        if why:
            yield self.take_back(entry.lease, why, now)
        elif seen != [entry.sightings, entry.sighted]:
            value = _etcd_records.lease_value(entry.lease, int(seen[0]), seen[1])
            self._changes[entry.kv.key] = (value, entry.kv.lifeline)

    def _write(self, lease: Lease, lifeline: int, sightings: int = 0, sighted: float = 0.0) -> None:
        self._changes[self._key(lease)] = (_etcd_records.lease_value(lease, sightings, sighted), lifeline)
        if lease.hosts:
            self._get(claim := self._keys.claim(lease))
            self._changes[claim] = (_etcd_records.lease_value(lease, pending=False), lifeline)
        mine = self._holder_key(lease)
        known = [port for port in _etcd_records.ports(self._get(mine).value) if port != lease.port]
        self._changes[mine] = (_etcd_records.ports_value([*known, lease.port]), lifeline)

    def _key(self, lease: Lease) -> str:
        return self._keys.lease(lease.host, lease.netns, lease.transport, lease.port)

    def _holder_key(self, lease: Lease) -> str:
        holder: Holder = lease.holder
        return self._keys.holder(lease.host, lease.netns, lease.transport, holder)

    # The end

    def move(self, kv: Kv, key: str) -> None:
        """Puts the value of one key under another."""
        self._read[kv.key], self._read[key] = kv, absent(key)
        self._changes[kv.key], self._changes[key] = None, (kv.value, 0)

    def commit(self, made: float | None = None) -> tuple[bool, bool]:
        """Sends it: whether it is in force, and if not, whether an earlier try may have been. With `made`, it makes the store too."""
        if not self._changes:
            return True, False
        version = self._read[self._keys.version]
        if not version.revision and made is not None:
            self._changes[version.key] = (_etcd_records.made(made), 0)
        rests_on = dict.fromkeys([version.key, *self._rests_on, *self._changes])
        compares = [_etcd_gateway.is_as_read(self._read.get(key) or absent(key)) for key in rests_on]
        if self._rests_on_claims:
            compares.append(self._is_newest_claim())
        acts = [_act(key, change) for key, change in self._changes.items()]
        outcome = self._gateway.transact(compares, acts)
        return outcome.succeeded, outcome.repeated

    def _is_newest_claim(self) -> dict[str, Any]:
        return _etcd_gateway.none_is_newer(self._keys.all_of("f"), self._newest_claim)

    def new_claims(self) -> set[Place]:
        """The ports that it would claim of other hosts."""
        return {(lease.port, lease.transport) for lease in self._new if lease.hosts}

    def intend(self, lifeline: int) -> bool:
        """Says beforehand what it would claim, until an etcd lease ends: whether that is in force. From then on nobody else is granted it."""
        claims = {self._keys.claim(lease): lease for lease in self._new if lease.hosts}
        compares = [_etcd_gateway.is_as_read(self._read[self._keys.version]), self._is_newest_claim()]
        acts = [_act(key, (_etcd_records.lease_value(lease, pending=True), lifeline)) for key, lease in claims.items()]
        outcome = self._gateway.transact(compares, acts)
        self._read |= {key: Kv(key, revision=outcome.revision) for key in claims}
        self._rests_on_claims = False  # who comes later sees these
        return outcome.succeeded


def _act(key: str, change: tuple[bytes, int] | None) -> dict[str, Any]:
    if change is None:
        return {"request_delete_range": _etcd_gateway.span(key)}
    value, lifeline = change
    put = {"key": _etcd_gateway.encoded(key), "value": b64encode(value).decode()}
    if lifeline:
        put["lease"] = str(lifeline)
    return {"request_put": put}


def _not_ours(site: Site, transport: Transport, port: int) -> Lease:
    """Stands for what is no lease, or is not this host's to take back: it never ends."""
    from portward.model import Holder, Lease, LeaseKind

    return Lease(site.host, site.netns, transport, port, Holder("", "", ""), LeaseKind.STICKY, "", 0.0)
