"""published-on-all-interfaces: ports without a host address can be reached from every network that this machine is on.

Why: in development that is often what is wanted, and the guide asks for it: a phone or a colleague opens the page. In production, or on
a foreign network, it is an open door that the host's firewall does not close: Docker's own rules come before those of ufw and
firewalld (moby#4737, moby#22054).

Before: `"3000:3000"`
After:  `"127.0.0.1:3000:3000"` where nobody else should come; rules in the chain DOCKER-USER where some should.

In development it is one note for the whole project. With `production = true` in `portward.toml` it is a warning for each port.
Databases, caches and queues are left to `exposed-database`.
"""

from __future__ import annotations

from portward.model import Finding, Fix, Severity
from portward.occupancy import is_wildcard
from portward.rules.claims import places, published, transport
from portward.rules.exposed_database import is_exposed_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "published-on-all-interfaces"
SEVERITY = Severity.NOTE


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for the project, or in production one for each port."""
    open_ports = [
        (service, spec)
        for service, spec in published(snapshot)
        if is_wildcard(spec) and not is_exposed_store(service, spec)
    ]
    if snapshot.settings.production:
        for service, spec in open_ports:
            yield _of_port(service, spec)
    elif open_ports:
        yield _of_project(open_ports)


def _of_port(service: Service, spec: PortSpec) -> Finding:
    fix = Fix(
        f"name the address in {spec.location}, as in `127.0.0.1:{spec.published or ''}:{spec.inside}`", None, True
    )
    port = spec.published or "a port of the engine's choice"
    return Finding(
        rule=RULE,
        severity=Severity.WARNING,
        message=f"{service.name} publishes {port} on all interfaces, where Docker's rules let others past ufw and firewalld",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=places(service, spec),
        hint=fix.title,
        fixes=(fix,),
    )


def _of_project(open_ports: list[tuple[Service, PortSpec]]) -> Finding:
    ports = list(dict.fromkeys(spec.published or f"one for {spec.target}" for _, spec in open_ports))
    what = f"{', '.join(ports[:5])}{', …' * (len(ports) > 5)}"
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"on all interfaces, past ufw and firewalld: {what}",
        locations=tuple(dict.fromkeys(spec.place for _, spec in open_ports)),
        hint="right in development, and Docker's own rules let others in before ufw and firewalld are asked; "
        "`127.0.0.1:PORT:PORT` keeps a port to this machine, rules in the chain DOCKER-USER keep others out",
    )
