"""The leased truth: which port was promised to whom."""

from __future__ import annotations

from portward.model.live import PortRange, Transport
from portward.records import Record, StrEnum


class PortRequest(Record):
    """What a service asks for. `preferred` comes first, then `ports`; `key` makes the same request find the same port."""

    key: str
    ports: PortRange
    preferred: int | None = None
    count: int = 1
    contiguous: bool = False
    transport: Transport = Transport.TCP


class Site(Record):
    """Where a port number means one thing: a host, and one of its network namespaces.

    `host` is a stable id of the machine. `netns` is "" for the machine's first network namespace, else the kernel's name of it
    (`net:[4026532254]`), which is unique until the machine is started anew: `boot` says which start (boot_id of random(4)).
    """

    host: str
    netns: str = ""
    boot: str = ""


class ProcessId(Record):
    """Which process, for good: a pid alone is reused. `start_ticks` as in `Process`, None where it cannot be read.

    `boot` is the start of the machine that it belongs to. A pid means a process only inside its pid namespace, whose inode
    is `pidns` ("" where there are none).
    """

    boot: str
    pid: int
    start_ticks: int | None = None
    pidns: str = ""


class Holder(Record):
    """Who a port is leased to: one service of one project in one working tree.

    `project` and `worktree` are absolute paths; `worktree` is "" for what belongs to no folder. `instance` tells several ports of
    one service apart ("" for its only one). `process` is there where the port belongs to one process alone. `uid` and `user` tell
    people whom to ask; they do not make another holder.
    """

    project: str
    worktree: str
    service: str
    instance: str = ""
    process: ProcessId | None = None
    uid: int | None = None
    user: str | None = None


class LeaseKind(StrEnum):
    """What ends a lease: only its release (sticky), time (ttl), or the end of the process that holds it."""

    STICKY = "sticky"
    TTL = "ttl"
    PROCESS = "process"


EVERYWHERE: tuple[str, ...] = ("*",)
"""All hosts of a fleet, those too that join it later."""


class Lease(Record):
    """A port that is promised to a holder, and to nobody else who asks the same store.

    It is a promise between users of Portward, not a lock: only a bind keeps a port from other programs. `token` is new with
    each grant; with `port` and `site` it says which lease is meant. `boot` is the machine's start at the grant. `granted` and
    `expires` are seconds since the epoch; `expires` is None for a lease that is kept until it is released. `index` counts the ports
    that one holder asked for together. `preferred` is the port that the holder would rather have had, `reason` why it must be this one.
    `hosts` are the ids of other hosts on which nobody else may have the port either, `EVERYWHERE` for all of a fleet.
    """

    host: str
    netns: str
    transport: Transport
    port: int
    holder: Holder
    kind: LeaseKind
    token: str
    granted: float
    expires: float | None = None
    preferred: int | None = None
    index: int = 0
    boot: str = ""
    reason: str | None = None
    hosts: tuple[str, ...] = ()

    def keeps(self, host: str, netns: str) -> bool:
        """Whether it keeps its port from others there."""
        return (self.host, self.netns) == (host, netns) or meet(self.hosts, (host,))


def meet(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether two sets of hosts have one in common; `EVERYWHERE` has all."""
    if EVERYWHERE[0] in (*some, *others):
        return bool(some and others)
    return not set(some).isdisjoint(others)


class Reclaimed(Record):
    """A lease that was taken back because its holder was gone: why, and when (seconds since the epoch)."""

    lease: Lease
    why: str
    when: float


class StoreCheck(Record):
    """One thing that was looked at in the lease store: whether it is as it should be, what was seen, and the way out.

    `repair` is what the store itself can do about it, in words, None where it can do nothing.
    """

    name: str
    ok: bool
    detail: str
    hint: str | None = None
    repair: str | None = None
