"""ports-ignored-by-host-network: a service on the host's network has a list of `ports:`.

Why: the engine throws the list away ("Published ports are discarded when using host network mode"). The process itself binds its own
port on the host, whatever the list says, so moving the host's side of the list moves nothing.

Before: `network_mode: host` and `"8080:80"`: the process is on 80
After:  the list without `network_mode`, or `network_mode` without the list.
"""

from __future__ import annotations

from portward.model import Finding, Severity
from portward.rules.claims import COMPOSE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "ports-ignored-by-host-network"
SEVERITY = Severity.NOTE


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each such service."""
    for service in snapshot.project.services if snapshot.project else ():
        entries = [spec for spec in service.ports if spec.origin == COMPOSE]
        if service.host_network and entries:
            yield _finding(service, entries)


def _finding(service: Service, entries: list[PortSpec]) -> Finding:
    targets = ", ".join(dict.fromkeys(str(spec.target) for spec in entries))
    place = service.place("network_mode")
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} is on the host's network: its `ports:` do nothing, its process binds {targets} itself",
        service=service.name,
        locations=(*([place] if place else []), *dict.fromkeys(spec.place for spec in entries)),
        hint="drop `ports:`, or `network_mode: host`",
    )
