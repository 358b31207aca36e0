"""ephemeral-range: a published port lies where the system takes ports for outgoing connections.

Why: any connection to anywhere may have the port at the moment that the service starts. The bind is refused, no listener is to be
seen, and the next time it works. Docker takes ports from the same range where no host port is given.

Before: `"50051:50051"`, with 32768-60999 for outgoing connections
After:  a port below 32768; or the port in net.ipv4.ip_local_reserved_ports, which the system then never takes by itself.

The range is what this system says (net.ipv4.ip_local_port_range, ip-sysctl.rst); it differs between systems: 49152-65535 on macOS
and Windows.
"""

from __future__ import annotations

from portward.model import Finding, Severity
from portward.rules.claims import chosen, move, places, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortRange, PortSpec, Service, Snapshot

RULE = "ephemeral-range"
SEVERITY = Severity.WARNING


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published port in the range that the system does not keep out of it."""
    system = snapshot.system
    for service, spec in chosen(snapshot):
        ports = spec.range
        if ports and ports.overlaps(system.ephemeral) and not any(_lies_in(ports, kept) for kept in system.kept):
            yield _finding(snapshot, service, spec)


def _lies_in(ports: PortRange, kept: PortRange) -> bool:
    return ports.low in kept and ports.high in kept


def _finding(snapshot: Snapshot, service: Service, spec: PortSpec) -> Finding:
    ephemeral = snapshot.system.ephemeral
    fixes = move(snapshot, service, spec)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} takes {spec.published} of {ephemeral}, from which any outgoing connection may take it",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=places(service, spec),
        hint=fixes[0].title if fixes else f"a port below {ephemeral.low} is never taken by a connection",
        fixes=fixes,
    )
