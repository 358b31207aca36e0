"""reserved-by-os: a published port lies in a range that the system keeps for itself.

Why: Hyper-V, WSL2 and Docker Desktop exclude blocks of about a hundred ports at boot, others each time. A bind there fails with
"An attempt was made to access a socket in a way forbidden by its access permissions", and no program has the port.

Before: `"50000:80"`, while `netsh interface ipv4 show excludedportrange protocol=tcp` has a row 49952-50051
After:  a port outside of every row; or, as administrator, the port excluded for yourself before the others get it.

It is an error where the system refuses the bind just now. An exclusion made by an administrator lets a bind pass.
"""

from __future__ import annotations

from portward.model import Finding, Refusal, Severity
from portward.occupancy import endpoints
from portward.rules.claims import chosen, move, places, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortRange, PortSpec, Service, Snapshot

RULE = "reserved-by-os"
SEVERITY = Severity.NOTE


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published port in an excluded range."""
    for service, spec in chosen(snapshot):
        for excluded in snapshot.system.excluded:
            if spec.range and spec.range.overlaps(excluded):
                yield _finding(snapshot, service, spec, excluded)
                break


def _finding(snapshot: Snapshot, service: Service, spec: PortSpec, excluded: PortRange) -> Finding:
    refused = any(snapshot.refusals.get(endpoint) is Refusal.NOT_PERMITTED for endpoint in endpoints(spec))
    fixes = move(snapshot, service, spec)
    now = "refuses it" if refused else "may refuse it"
    return Finding(
        rule=RULE,
        severity=Severity.ERROR if refused else SEVERITY,
        message=f"{service.name} takes {spec.published} of {excluded}, which the system keeps for itself: it {now}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=places(service, spec),
        hint=fixes[0].title
        if fixes
        else "`netsh interface ipv4 show excludedportrange protocol=tcp` shows all of them",
        fixes=fixes,
    )
