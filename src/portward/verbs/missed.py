"""Why a port that was meant for a service was not the one that it was granted: a sentence that says who has it."""

from __future__ import annotations

from portward.errors import Unavailable
from portward.model import ANY, Endpoint, Reading, Refusal, State, meet
from portward.wording import holder, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from portward.leases import LeaseStore
    from portward.model import Lease
    from portward.truths.live import Live

_REFUSED = {
    Refusal.NOT_PERMITTED: "this user may not bind it",
    Refusal.SANDBOXED: "a policy denies bind() here",
    Refusal.IN_USE: "a bind is refused, and nobody is seen on it",
}


def moved(
    meant: Mapping[tuple[str, str], tuple[int, ...]], new: Iterable[Lease], live: Live, store: LeaseStore, now: float
) -> Iterator[str]:
    """A sentence for each new lease that is on none of the ports that were `meant` for its service and instance, best first.

    What is told was looked at after the grant.
    """
    for lease in new:
        ports = meant.get((lease.holder.service, lease.holder.instance), ())
        if ports and lease.index == 0 and lease.port not in ports:
            why = _why(ports[0], lease, live, store, now)
            told = f"is not free, {why}" if why else "was not free a moment ago"
            yield f"{ports[0]} {told}: {shown(lease.holder.service)} has {lease.port}"


def kept(port: int, leases: Iterable[Lease], live: Live, store: LeaseStore, now: float) -> Iterator[str]:
    """A sentence for each lease that its holder had already, although it asks for another port by now."""
    for lease in leases:
        if lease.index == 0 and lease.port != port:
            why, service = _why(port, lease, live, store, now), shown(lease.holder.service)
            if why:
                yield f"{port} is not free, {why}: {service} keeps {lease.port}"
            else:
                yield f"{service} keeps {lease.port}: `portward release {service}` lets it move"


def _why(port: int, instead: Lease, live: Live, store: LeaseStore, now: float) -> str | None:
    for lease in store.leases(ports=[port]):
        is_in_the_way = lease.keeps(instead.host, instead.netns) or meet(instead.hosts, (lease.host, *lease.hosts))
        if lease.transport is instead.transport and is_in_the_way:
            place = lease.holder.worktree if lease.host == instead.host else f"{lease.host}:{lease.holder.worktree}"
            where = f" of {shown(place)}" if place != instead.holder.worktree else ""
            return f"leased to {shown(lease.holder.service)}{where}"
    try:
        reading = live.read(udp=True, ports={port}, claims={port})
    except Unavailable:
        reading = Reading(())
    rows = [row for row in reading.listeners if row.netns is None]
    rows.sort(key=lambda row: (row.state is State.CLAIMED, row.transport is not instead.transport))
    for row in rows[:1]:
        how = "claimed" if row.state is State.CLAIMED else "held"
        on = "" if row.transport is instead.transport else f" on {row.transport.value.upper()}"
        return f"{how}{on} by {holder(row, now)}"
    refusal = live.refusal(Endpoint(ANY, port, instead.transport))
    return _REFUSED.get(refusal, "refused") if refusal else None
