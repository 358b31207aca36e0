"""Whether ports are free to bind now, and who is in the way of those that are not: the guide's pre-flight loop in one look.

The bind decides. Sockets and containers are asked only why, and of the ports that were refused.
"""

from __future__ import annotations

from portward.answers import Check, PortCheck
from portward.arguments import parse_port
from portward.errors import Unavailable
from portward.model import LAST_PORT, Endpoint, Reading, Refusal, Skipped, Transport
from portward.truths.live import holds, is_connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portward.model import Finding, Snapshot
    from portward.truths.declared import Declared
    from portward.truths.leased import Leased, Promises
    from portward.truths.live import Live

_REFUSED = {
    Refusal.NOT_PERMITTED: (
        "bind-not-permitted",
        "not permitted: the system does not give this port to you",
        "ports below 1024 need root or CAP_NET_BIND_SERVICE; above, Windows may have excluded it, or SELinux forbids it",
    ),
    Refusal.SANDBOXED: (
        "bind-sandboxed",
        "sandboxed: a policy denies bind() here",
        "ask outside the sandbox, or allow local binding in it",
    ),
    Refusal.NO_SUCH_ADDRESS: (
        "no-such-address",
        "no such address on this machine",
        "`ip addr` lists the machine's addresses",
    ),
}
"""The refusals that are not "in use": rule, reason and hint."""


def check(live: Live, declared: Declared, leased: Leased, now: float, ports: Sequence[str], all_netns: bool) -> Check:
    """See `Portward.check_ports`."""
    checks, reading = look(live, ports, all_netns)
    promises = leased.promises({check.endpoint.port for check in checks})
    checks = tuple(check.replace(lease=promises.of(check.endpoint.port, check.endpoint.transport)) for check in checks)
    bad = dict.fromkeys(check for check in checks if not check.available or _is_anothers(check, promises))
    if not bad:
        return Check(checks, (), reading, unread=promises.skipped)
    from portward.model import Snapshot

    settings, unread = declared.readable_settings()
    promises = leased.promises()  # of all: a port that is offered instead must be nobody's
    snapshot = Snapshot(reading, now, settings=settings, leases=promises.leases, worktree=promises.worktree)
    findings = tuple(_finding(live, check, snapshot) for check in bad)
    return Check(checks, findings, reading, unread=(*unread, *promises.skipped))


def _is_anothers(check: PortCheck, promises: Promises) -> bool:
    return check.lease is not None and not promises.is_mine(check.lease)


def look(live: Live, ports: Sequence[str], all_netns: bool) -> tuple[tuple[PortCheck, ...], Reading]:
    """A row for each port of each argument, in their order, and the reading that they rest on.

    Raises InvalidPort for what is not a port, UsageError for a host that has no address.
    """
    wanted = [
        tuple(Endpoint(host, port, argument.transport) for host in live.addresses(argument.host))
        for argument in map(parse_port, ports)
        for port in argument.ports
    ]
    refusals = {endpoint: live.refusal(endpoint) for endpoints in wanted for endpoint in endpoints}
    asked = {endpoint.port for endpoint in refusals}
    # a bind that is not permitted may meet a holder too; one that is sandboxed must not need more of the system
    telling = (Refusal.IN_USE, Refusal.NOT_PERMITTED)
    refused = {endpoint.port for endpoint, refusal in refusals.items() if refusal in telling}
    udp = any(endpoint.transport is Transport.UDP for endpoint in refusals)
    try:
        # of containers all: a port that is offered instead must not be claimed by one
        claims = range(1, LAST_PORT + 1)
        reading = live.read(udp=udp, all_netns=all_netns, ports=asked if all_netns else refused, claims=claims)
    except Unavailable as error:
        reading = Reading((), (Skipped("sockets", error.message),))  # the bind's answer stands without them
    judged = {endpoint: _judged(live, endpoint, refusal, reading) for endpoint, refusal in refusals.items()}
    checks = tuple(_of_host([judged[endpoint] for endpoint in endpoints]) for endpoints in wanted)
    return checks, reading


def _judged(live: Live, endpoint: Endpoint, refusal: Refusal | None, reading: Reading) -> PortCheck:
    rows = tuple(row for row in reading.listeners if row.endpoint.overlaps(endpoint))
    lingers = refusal is Refusal.IN_USE and live.only_lingers(endpoint, rows)
    holders = tuple(row for row in rows if not is_connection(row))
    if refusal is Refusal.IN_USE and not any(map(holds, holders)):
        # nobody else is in the way: then it is a connection, or what is left of one
        holders = tuple(row for row in rows if row in holders or row.netns is None)
    return PortCheck(endpoint, lingers or refusal is None, None if lingers else refusal, holders)


def _of_host(checks: Sequence[PortCheck]) -> PortCheck:
    """The answer for a host: of several addresses, the first that is refused; one that this machine lacks refuses nothing."""
    here = [check for check in checks if check.refusal is not Refusal.NO_SUCH_ADDRESS] or checks
    return next((check for check in here if not check.available), here[0])


def _finding(live: Live, check: PortCheck, snapshot: Snapshot) -> Finding:
    """What to say of a port that is not available, or promised to another, and a free one of the range that suits it."""
    from portward import catalog
    from portward.model import Finding, Fix, Severity
    from portward.remedies import stops
    from portward.verbs.survey import free_port
    from portward.wording import holder, leased

    endpoint = check.endpoint
    holders = tuple(live.in_detail(row) for row in check.listeners if holds(row))
    rule, hint, fixes = "address-in-use", None, []
    if check.available and check.lease is not None:
        rule, reason = "leased-to-another", leased(check.lease, snapshot.worktree)
        hint = "`portward leases --all` shows who was promised what; it is free to bind now"
    elif check.refusal in (None, Refusal.IN_USE):
        reason = f"held by {holder(holders[0], snapshot.taken)}" if holders else "in use, by a socket that is not shown"
        kind = catalog.kind_of_port(endpoint.port, endpoint.transport)
        ports = snapshot.settings.ranges.get(kind, catalog.DEFAULT_RANGES[kind])
        free = free_port(live, snapshot, ports, f"port\0{endpoint.port}", endpoint.transport)
        if free:
            hint = f"use {free}, free in the {kind} range {ports}"
            fixes.append(Fix(hint, None, True))
        fixes += [fix for row in holders[:1] if not is_connection(row) for fix in stops(row)]
    else:
        rule, reason, hint = _REFUSED[check.refusal]
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=f"{endpoint}/{endpoint.transport} is {'' if check.available else 'not available: '}{reason}",
        port=endpoint.port,
        transport=endpoint.transport,
        holders=holders,
        hint=hint,
        fixes=tuple(fixes),
        leases=(check.lease,) if check.lease and check.available else (),
    )
