"""The keys and values of the etcd store, and what of a value is believed."""

from __future__ import annotations

import json
import os
from _blake2 import blake2s
from functools import lru_cache
from math import isfinite
from urllib.parse import quote, unquote_to_bytes

from portward.errors import UsageError
from portward.model import LAST_PORT, Holder, Lease, LeaseKind, ProcessId, Reclaimed, Transport
from portward.records import Record, astuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from portward.leases._etcd_gateway import Kv

VERSION = 1
LONGEST_VALUE = 1 << 16
"""Bytes. A longer value is nobody's lease."""


class Entry(Record):
    """A lease as it stands in the store, with what was seen of its holder, and the key that it was read from."""

    lease: Lease
    sightings: int
    sighted: float
    kv: Kv


class Keys:
    """The names of keys below a prefix. A part that comes from outside is percent-encoded: it has no slash."""

    def __init__(self, prefix: str) -> None:
        self.version = f"{prefix}/version"
        self._base = f"{prefix}/v1"

    def all_of(self, kind: str, host: str | None = None) -> str:
        """What all keys of a kind begin with: `l`eases, those of a `f`leet, their h`o`lders, `r`eclaimed, `k`ept notes, `d`amaged."""
        return f"{self._base}/{kind}/" + (f"{_part(host)}/" if host is not None else "")

    def port(self, host: str, number: int) -> str:
        """What the keys of all leases on a port begin with."""
        return f"{self._base}/l/{_part(host)}/{number:05d}/"

    def lease(self, host: str, netns: str, transport: Transport, number: int) -> str:
        """Where a lease stands."""
        return f"{self._base}/l/{_part(host)}/{number:05d}/{transport}/{_part(netns) or '@'}"

    def claim(self, lease: Lease) -> str:
        """Where it stands that other hosts have to keep off the port of a lease."""
        place = self.lease(lease.host, lease.netns, lease.transport, lease.port).removeprefix(self.all_of("l"))
        return f"{self.all_of('f')}{place}"

    def place(self, key: str) -> tuple[str, int, str] | None:
        """The host, the port and the transport of the key of a lease or a claim; None for another key."""
        parts = key.removeprefix(self._base).split("/")
        if len(parts) != 6 or not parts[3].isdecimal():
            return None
        return unquoted(parts[2]), int(parts[3]), parts[4]

    def holder(self, host: str, netns: str, transport: Transport, holder: Holder) -> str:
        """Where it stands which ports a holder has at a site."""
        return f"{self._base}/o/{_part(host)}/{_hashed(netns, transport, holder)}"

    def of_host(self, kind: str, host: str) -> str:
        """The one key that a host has of a kind: its `a`gent, its `inv`entory, its facts (`h`)."""
        return f"{self.all_of(kind)}{_part(host)}"

    def looked(self, host: str) -> str:
        """Where it stands when `reclaim` was run last."""
        return f"{self.all_of('k', host)}looked"


_hashable = json.JSONEncoder().encode


@lru_cache(1024)  # a grant asks three times for the same
def _hashed(netns: str, transport: Transport, holder: Holder) -> str:
    who = [netns, transport, holder.project, holder.worktree, holder.service, holder.instance]
    told = _hashable([*who, list(astuple(holder.process)) if holder.process else None]).encode()
    return blake2s(told, digest_size=16).hexdigest()


@lru_cache(1024)
def _part(text: str) -> str:
    return quote(os.fsencode(text), safe="")


def unquoted(part: str) -> str:
    """A part of a key as it was."""
    return os.fsdecode(unquote_to_bytes(part))


def version_of(value: bytes) -> tuple[int, float]:
    """The version of a store, and when it was made. Raises ValueError for what says neither."""
    told = _loaded(value)
    if type(told) is not dict or type(told.get("version")) is not int or type(told.get("made")) not in (int, float):
        raise ValueError("not the version of a lease store")
    return told["version"], told["made"]


def made(now: float) -> bytes:
    """The value that says the version of a new store."""
    return dumped({"version": VERSION, "made": now})


def lease_value(lease: Lease, sightings: int = 0, sighted: float = 0.0, **more: Any) -> bytes:
    """A lease as a value. Raises UsageError for one that is too long to be read again."""
    holder = lease.holder
    who = dict(zip(Holder._names, astuple(holder), strict=True))
    if holder.process:
        who["process"] = list(astuple(holder.process))
    fields = dict(zip(Lease._names, astuple(lease), strict=True))
    fields.update(holder=who, sightings=sightings, sighted=sighted, **more)
    value = dumped(fields)
    if len(value) > LONGEST_VALUE:
        raise UsageError(f"the lease of {holder.service[:40]} would be {len(value)} bytes long")
    return value


def entry(kv: Kv, keys: Keys) -> Entry | None:
    """The lease in a value; None for what is none, or does not belong where it stands."""
    try:
        told = _loaded(kv.value)
        lease = lease_of(told)
        if keys.lease(lease.host, lease.netns, lease.transport, lease.port) != kv.key:
            return None
        return Entry(lease, _of(int, told["sightings"]), _number(told["sighted"]), kv)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def claim(kv: Kv, keys: Keys) -> tuple[Lease, bool] | None:
    """The lease for which other hosts keep off a port, and whether that is an intent only; None for what is none, or does not belong there."""
    try:
        told = _loaded(kv.value)
        lease = lease_of(told)
        return (lease, _of(bool, told["pending"])) if lease.hosts and keys.claim(lease) == kv.key else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def reclaimed(kv: Kv) -> Reclaimed | None:
    """What was taken back; None for what says no such thing."""
    try:
        told = _loaded(kv.value)
        return Reclaimed(lease_of(told), _of(str, told["why"]), _number(told["when"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def ports(value: bytes) -> list[int]:
    """The ports of a holder; none for what does not say any."""
    if not value:
        return []
    try:
        told = _loaded(value)
    except (ValueError, RecursionError):
        return []
    listed = told.get("ports") if isinstance(told, dict) else None
    return [each for each in listed if type(each) is int and 0 < each <= LAST_PORT] if isinstance(listed, list) else []


def ports_value(ports: Sequence[int]) -> bytes:
    """The ports of a holder as a value."""
    return f'{{"ports":[{",".join(map(str, ports))}]}}'.encode()


def dumped(value: Any) -> bytes:
    """JSON in ASCII: paths that are not UTF-8 go through it."""
    return _written(value).encode()


_written = json.JSONEncoder(separators=(",", ":")).encode


def _loaded(value: bytes) -> Any:
    if len(value) > LONGEST_VALUE:
        raise ValueError("too long")
    return json.loads(value)


def lease_of(told: Any) -> Lease:
    """The lease that a JSON object tells of. Raises ValueError, LookupError or TypeError for what is none."""
    who = told["holder"]
    process = who["process"]
    if process is not None:
        boot, pid, ticks, pidns = process
        process = ProcessId(_of(str, boot), _of(int, pid), None if ticks is None else _of(int, ticks), _of(str, pidns))
    project, worktree, service, instance = (
        _of(str, who[name]) for name in ("project", "worktree", "service", "instance")
    )
    uid, user = who["uid"], who["user"]
    port, index = _of(int, told["port"]), _of(int, told["index"])
    if not 0 < port <= LAST_PORT or index < 0:
        raise ValueError("not a port of a holder")
    preferred, reason, expires = told["preferred"], told["reason"], told["expires"]
    hosts = tuple(_of(str, each) for each in _of(list, told.get("hosts", [])))
    kind = LeaseKind(told["kind"])
    if (kind is LeaseKind.TTL) != (expires is not None) or (kind is LeaseKind.PROCESS) != (process is not None):
        raise ValueError("its kind contradicts its end or its holder")
    return Lease(
        _of(str, told["host"]), _of(str, told["netns"]), Transport(told["transport"]), port,
        Holder(project, worktree, service, instance, process, None if uid is None else _of(int, uid), None if user is None else _of(str, user)),
        kind, _of(str, told["token"]), _number(told["granted"]), None if expires is None else _number(expires),
        None if preferred is None else _of(int, preferred), index, _of(str, told["boot"]),
        None if reason is None else _of(str, reason), hosts,
    )  # fmt: skip


def _of(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} is not {kind}")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise TypeError(f"{value!r:.40} is not a time")
    return float(value)
