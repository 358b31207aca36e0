"""leased-to-another: a port that the project publishes is free, and promised to somebody else.

Why: nobody listens now, so everything seems free. Another working tree, project or service has the port leased and will take it
when it is started: then, or when this one comes second, "address already in use".

Before: `portward lease web` in another worktree was given 3000, and this one publishes `"3000:3000"`
After:  this one is started with its own lease (`portward run`, `portward env`), or publishes another port.
"""

from __future__ import annotations

from portward.model import Finding, PortState, Severity
from portward.occupancy import occupancy
from portward.rules.claims import move, places, transport, wanted
from portward.wording import leased

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Lease, PortSpec, Service, Snapshot

RULE = "leased-to-another"
SEVERITY = Severity.WARNING


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published port that is leased to others, and that nobody holds."""
    for service, spec in wanted(snapshot):
        found = occupancy(snapshot, service, spec)
        if found.state is PortState.LEASED:
            yield _finding(snapshot, service, spec, found.leases)


def _finding(snapshot: Snapshot, service: Service, spec: PortSpec, leases: tuple[Lease, ...]) -> Finding:
    own = _own(snapshot, service)
    fixes = move(snapshot, service, spec)
    hint = f"`portward run {service.name} -- …` and `portward env` give it {own.port}, its own lease" if own else None
    more = f", and {len(leases) - 1} more" if len(leases) > 1 else ""
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} asks for {spec.published}, which is {leased(leases[0], snapshot.worktree)}{more}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=places(service, spec),
        leases=leases,
        hint=hint or (fixes[0].title if fixes else "`portward leases --all` shows who was promised what"),
        fixes=fixes,
    )


def _own(snapshot: Snapshot, service: Service) -> Lease | None:
    """The lease that the service has in this working tree."""
    mine = (snapshot.worktree, service.name)
    return next((lease for lease in snapshot.leases if (lease.holder.worktree, lease.holder.service) == mine), None)
