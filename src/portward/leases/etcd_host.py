"""What a host's agent keeps in etcd: that the host is alive, what listens there, and what is known of it when it is not.

`a/HOST` names the etcd lease that the agent keeps alive, and is attached to it, as `inv/HOST` is, which has the listeners. `h/HOST`
stays: a host that is gone was last seen then.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode

from portward.errors import Unavailable
from portward.leases import _etcd_gateway, _etcd_records, _etcd_trouble
from portward.model import LeaseKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from portward.leases._etcd_gateway import Kv
    from portward.leases.etcd import EtcdStore
    from portward.model import HostReport, Lease, Site

LARGEST_BYTES = 1 << 20
"""Of an inventory in the store; etcd itself takes 1.5 MiB (--max-request-bytes)."""

LARGEST_TEXT = 32 << 20
"""Bytes of an inventory when it is unpacked: more is no honest one."""

Facts = dict[str, "str | float | int"]


class Copied(Unavailable):
    """Another machine is alive under this host's id."""


class Presence:
    """One host in the store, as its agent keeps it. `ttl` is how long it stays without being kept alive, in seconds."""

    def __init__(self, store: EtcdStore, site: Site, ttl: int) -> None:
        self._store = store
        self._site = site
        self._ttl = ttl
        self._value = b""
        self.lifeline = 0

    def begin(self) -> None:
        """Takes an etcd lease for this host. Raises Copied while a machine with another start is alive under the id, Unavailable."""
        key, gateway = self._key("a"), self._store.gateway
        self.lifeline = gateway.grant(self._ttl)
        self._value = _etcd_records.dumped({"lifeline": self.lifeline, "boot": self._site.boot})
        while True:
            kv = _one(self._store, key)
            boot = _fields(kv.value).get("boot") if kv.revision else None
            if boot not in (None, self._site.boot):
                gateway.call("lease/revoke", {"ID": str(self.lifeline)})
                raise Copied(
                    f"{self._site.host} is alive already, with another start of the machine",
                    hint="is it a copy of that machine? Remove its host.json, and give it a machine id of its own",
                )
            if gateway.transact([_etcd_gateway.is_as_read(kv)], [self._put("a", self._value)]).succeeded:
                self._store.attach(self._processes(), self.lifeline)
                return

    def _processes(self) -> Iterator[Lease]:
        """This host's leases of one process each: they end with the host."""
        leases = (each.lease for each in self._store.entries(self._site.host))
        return (lease for lease in leases if lease.kind is LeaseKind.PROCESS)

    def keep(self) -> bool:
        """Lets the host live for its time anew. False if that is over: what was attached to it is gone."""
        return self._store.gateway.keep_alive(self.lifeline) > 0

    def publish(self, listeners: str, facts: Facts) -> bool:
        """Sets the inventory (the JSON text of a list of LISTENERs) and the facts. False if the host is not ours any more."""
        packed = zlib.compress(listeners.encode(), 6)
        if len(packed) > LARGEST_BYTES:
            raise Unavailable(f"the list of what listens here is too long to be published: {len(packed)} bytes")
        acts = [self._put("inv", packed), self._put("h", _etcd_records.dumped(facts), lasting=True)]
        try:
            return self._store.gateway.transact([self._is_ours()], acts).succeeded
        except _etcd_trouble.Gone:
            return False

    def attached(self) -> Iterator[Lease]:
        """This host's leases that end with its place in the store."""
        return (each.lease for each in self._store.entries(self._site.host) if each.kv.lifeline == self.lifeline)

    def end(self, facts: Facts) -> None:
        """Says when the host was seen last, and ends its place in the store. Its leases stay: it is the agent that ends, not the machine."""
        self._store.attach(self.attached(), 0)
        self._store.gateway.transact([self._is_ours()], [self._put("h", _etcd_records.dumped(facts), lasting=True)])
        self._store.gateway.call("lease/revoke", {"ID": str(self.lifeline)})

    def _key(self, kind: str) -> str:
        return self._store.keys.of_host(kind, self._site.host)

    def _put(self, kind: str, value: bytes, *, lasting: bool = False) -> dict[str, Any]:
        put = {"key": _etcd_gateway.encoded(self._key(kind)), "value": b64encode(value).decode()}
        return {"request_put": put if lasting else {**put, "lease": str(self.lifeline)}}

    def _is_ours(self) -> dict[str, Any]:
        key = _etcd_gateway.encoded(self._key("a"))
        return {"key": key, "target": "VALUE", "result": "EQUAL", "value": b64encode(self._value).decode()}


def lifeline(store: EtcdStore, host: str) -> int:
    """The etcd lease that the host's agent keeps alive; 0 where no agent runs."""
    told = _fields(_one(store, store.keys.of_host("a", host)).value).get("lifeline", 0)
    return told if type(told) is int and told > 0 else 0


def reports(store: EtcdStore) -> tuple[HostReport, ...]:
    """What all hosts say of themselves, by their names. What a host wrote that makes no sense is its problem alone."""
    keys, gateway = store.keys, store.gateway
    facts, alive, inventories = (
        {kv.key.removeprefix(keys.all_of(kind)): kv for kv in gateway.all_below(keys.all_of(kind))}
        for kind in ("h", "a", "inv")
    )
    found = [
        _report(host, facts.get(host), alive.get(host), inventories.get(host))
        for host in dict.fromkeys((*facts, *alive, *inventories))
    ]
    return tuple(sorted(found, key=lambda each: (each.name, each.host)))


def _report(part: str, facts: Kv | None, agent: Kv | None, inventory: Kv | None) -> HostReport:
    from portward.model import HostReport
    from portward.wire import Unread

    host, told = _etcd_records.unquoted(part), _fields(facts.value if facts else b"")
    name, boot, seen, count = (told.get(key) for key in ("name", "boot", "seen", "listeners"))
    if type(name) is str and type(boot) is str and isinstance(seen, (int, float)) and type(count) is int:
        listeners = Unread(_unpacking(inventory.value), max(0, count)) if inventory else ()
        return HostReport(host, name, boot, float(seen), agent is not None, listeners)
    problem = "what it says of itself is not what an agent writes" if facts else "it has not said yet who it is"
    return HostReport(host, host, "", 0.0, agent is not None, problem=problem)


def _unpacking(value: bytes) -> Callable[[], bytes]:
    from portward.wire import Malformed

    def unpack() -> bytes:
        try:
            unpacker = zlib.decompressobj()
            text = unpacker.decompress(value, LARGEST_TEXT)
        except zlib.error as error:
            raise Malformed(f"its inventory cannot be unpacked: {error}") from None
        if not unpacker.eof:
            raise Malformed("its inventory is too long, or has no end")
        return text

    return unpack


def _one(store: EtcdStore, key: str) -> Kv:
    ((*found,),) = store.gateway.read([{"request_range": _etcd_gateway.span(key)}])
    return found[0] if found else _etcd_gateway.absent(key)


def _fields(value: bytes) -> Mapping[str, Any]:
    """A JSON object, or an empty one for whatever else is there."""
    try:
        told = json.loads(value) if len(value) <= _etcd_records.LONGEST_VALUE else None
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
