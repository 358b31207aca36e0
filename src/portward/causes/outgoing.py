"""Can a connection leave at all? No address to come from, no port left, or a policy that forbids it."""

from __future__ import annotations

from portward.causes.door import at
from portward.evidence import Evidence, Outcome, Step, is_loopback
from portward.model import Fix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "outgoing"


def check(evidence: Evidence) -> Iterator[Step]:
    if evidence.reached or not evidence.doors:
        return
    where = evidence.origin.name
    outcomes = {door.outcome for door in evidence.doors}
    first = evidence.doors[0]
    if outcomes == {Outcome.NO_SOURCE}:
        if all(":" in door.address for door in evidence.doors):
            cause = f"there is no IPv6 {where}: {at(first, evidence)} has no address to be asked from"
            other = "127.0.0.1" if is_loopback(first.address) else "the IPv4 address"
            yield Step(NAME, False, f"no IPv6 {where}", cause, (Fix(f"ask for {other}", None, True),))
            return
        ports = evidence.system.ephemeral
        cause = f"no port is left for another connection to {at(first, evidence)} {where}: all of {ports} are in use"
        yield Step(
            NAME,
            False,
            f"outgoing connections get a port of {ports}, and none is left",
            cause,
            (
                Fix("see which process holds so many connections", "ss -Htnp state established | sort | uniq -c", True),
                Fix("keep connections open and use them again, instead of making new ones", None, True),
                Fix("allow more ports: net.ipv4.ip_local_port_range", None, False),
            ),
        )
    elif outcomes == {Outcome.DENIED}:
        cause = f"a security policy or packet filter {where} forbids the connection ({first.reason})"
        yield Step(NAME, False, cause, cause, (Fix("ask whoever set the sandbox up to allow it", None, True),))
