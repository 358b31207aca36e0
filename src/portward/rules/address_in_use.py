"""address-in-use: a port that the project publishes is held by somebody else.

Why: the service will not start, or its container stays in state "created" with "port is already allocated".

Before: another program listens on 5000, and the project publishes `"5000:5000"`.
After:  the project publishes a free port, or the other program is stopped.

What this stack already runs is not a conflict. A program that was started in the project's folder but is not the service's
own command is one, and the message says so.
"""

from __future__ import annotations

from portward.model import Finding, Fix, PortState, Severity, Transport
from portward.occupancy import is_inside, occupancy
from portward.remedies import stops
from portward.rules.claims import definitions, move, moved
from portward.wording import holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Listener, PortSpec, Service, Snapshot

RULE = "address-in-use"
SEVERITY = Severity.ERROR


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published port that is taken."""
    for service in snapshot.project.services if snapshot.project else ():
        for spec in service.claims:
            found = occupancy(snapshot, service, spec)
            if found.state is PortState.TAKEN:
                yield _finding(snapshot, service, spec, found.holders)


def _finding(snapshot: Snapshot, service: Service, spec: PortSpec, holders: tuple[Listener, ...]) -> Finding:
    fixes = (*_moves(snapshot, service, spec), *(fix for row in holders[:1] for fix in stops(row)))
    pin = snapshot.settings.pin(service.name, spec.range) if spec.range else None
    kept = f"{service.name} is pinned to {pin.port}: {pin.reason}" if pin else None
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} cannot have {spec.published}: {_reason(snapshot, service, holders)}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=Transport(spec.protocol.lower()),
        locations=(spec.place, *(other.place for other in definitions(service, spec))),
        holders=holders,
        hint=kept or (fixes[0].title if fixes else None),
        fixes=fixes,
    )


def _reason(snapshot: Snapshot, service: Service, holders: tuple[Listener, ...]) -> str:
    if not holders:
        return "the system refuses the bind, but shows no socket (another network namespace, or an older kernel)"
    text = f"held by {holder(holders[0], snapshot.taken)}"
    more = {row.container.id if row.container else tuple(process.pid for process in row.processes) for row in holders}
    if len(more) > 1:
        text += f", and {len(more) - 1} more"
    process = next((process for row in holders for process in row.processes), None)
    if process and snapshot.project and not holders[0].container and is_inside(process, snapshot.project):
        text += f"; it was started in this project's folder, but is not what {service.name} runs"
    return text


def _moves(snapshot: Snapshot, service: Service, spec: PortSpec) -> Iterator[Fix]:
    if spec.range is None or len(spec.range) == 1:
        yield from move(snapshot, service, spec) if spec in snapshot.free else ()
    elif spec in snapshot.free and not snapshot.settings.pin(service.name, spec.range):
        yield Fix(
            f"{moved(snapshot, service, spec)}, written in {spec.location}", None, True
        )  # each may have been meant
