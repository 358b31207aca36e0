"""stale-port-reference: a URL, a fallback or a document names a port that its service no longer has.

Why: the port was changed in one file and forgotten in another. The stack starts, and something cannot reach something.

Before: Compose publishes `"5001:5000"`, and `client/.env` says `REACT_APP_API_URL=http://localhost:5000`.
After:  both say 5001.

Sides are kept apart: `http://backend:5000` inside the network is right as long as the container listens on 5000, whatever the
host's port is. A reference whose service or side is not known, or whose service lets the engine choose the port, is not
judged; nor is one to a variable that the environment overrides just now.
"""

from __future__ import annotations

from portward.model import Finding, Fix, Role, Severity, Side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Project, Service, Snapshot

RULE = "stale-port-reference"
SEVERITY = Severity.WARNING
_JUDGED = {Role.URL: "a URL", Role.FALLBACK: "the fallback", Role.MENTION: "the document"}


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each reference that names none of its service's ports."""
    project = snapshot.project
    for service in project.services if project else ():
        for spec in service.ports:
            if project and spec.role in _JUDGED and spec.range:
                known = _known(project, service, spec)
                if known and not any(spec.range.low in ports for ports in known):
                    yield _finding(service, spec, known)


def _known(project: Project, service: Service, spec: PortSpec) -> list[range]:
    """The ports that the reference may rightly name; none where that cannot be told."""
    if spec.side is Side.CONTAINER:
        return _container_ports(service)
    return _host_ports(project, service, spec) if spec.side is Side.HOST else []


def _container_ports(service: Service) -> list[range]:
    """The container's ports as far as the files tell: published targets, `expose`, and PORT in its environment."""
    return [
        range(spec.target, spec.target + 1)
        for spec in service.ports
        if spec.target and (spec.origin == "compose" or (spec.side is Side.CONTAINER and spec.role is Role.CONTAINER))
    ]


def _host_ports(project: Project, service: Service, spec: PortSpec) -> list[range]:
    """The host ports that the reference may mean; none where that cannot be told."""
    claims = [service.claim(entry) for entry in service.entries if entry is not spec]
    same = [claim for claim in claims if not set(claim.variables).isdisjoint(spec.variables)]
    meant = same if spec.role is Role.FALLBACK and same else claims
    overridden = set(project.overridden)
    if any(claim.range is None or not overridden.isdisjoint(claim.variables) for claim in meant):
        return []
    return [range(claim.range.low, claim.range.high + 1) for claim in meant if claim.range]


def _finding(service: Service, spec: PortSpec, known: list[range]) -> Finding:
    ports = ", ".join(dict.fromkeys(str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}" for ports in known))
    side = "listens on" if spec.side is Side.CONTAINER or service.host_network else "is published on"
    what = _JUDGED[spec.role]
    names = f" for {spec.variables[0]}" if spec.variables else ""
    edit = f"write {known[0][0]} there instead of {spec.published}"
    if spec.side is Side.HOST and service.entries:
        edit += f", as in {service.entries[0].location}"
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{what}{names} says port {spec.published}, but {service.name} {side} {ports}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        locations=(spec.place,),
        hint=edit,
        fixes=(Fix(edit, None, True),),
    )
