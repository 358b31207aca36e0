"""privileged-port: a published port is below those that everybody may bind.

Why: it takes root, or CAP_NET_BIND_SERVICE. The daemon of Docker has that; a rootless engine, Podman, and a program that is
started by hand have not, so the stack starts for some and fails for others.

Before: `"80:80"`
After:  `"8081:80"`, or a reverse proxy that alone has port 80.

The limit is what the system says (net.ipv4.ip_unprivileged_port_start, 1024 by default, ip-sysctl.rst). In production 80 and
443 are what a web server is for. A protocol on its own port, such as `"53:53"`, could not be found on another, so it is told only
where the system refuses it to you now.
"""

from __future__ import annotations

from portward.model import Custom, Finding, Refusal, Severity
from portward.occupancy import endpoints
from portward.rules.claims import chosen, move, places, transport
from portward.rules.customary_port import WEB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "privileged-port"
SEVERITY = Severity.WARNING


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published port that is privileged on this system."""
    privileged = snapshot.system.privileged
    for service, spec in chosen(snapshot):
        if privileged and spec.range and spec.range.overlaps(privileged):
            refused = any(snapshot.refusals.get(endpoint) is Refusal.NOT_PERMITTED for endpoint in endpoints(spec))
            if refused or not _belongs_there(snapshot, spec.range.low, spec.target):
                yield _finding(snapshot, service, spec, refused)


def _belongs_there(snapshot: Snapshot, port: int, target: int | None) -> bool:
    if port in WEB:
        return snapshot.settings.production
    return port == target and not snapshot.customs.get(port, Custom()).http


def _finding(snapshot: Snapshot, service: Service, spec: PortSpec, refused: bool) -> Finding:
    assert snapshot.system.privileged is not None
    first = snapshot.system.privileged.high + 1
    who = "you may not bind it, nor may a rootless engine" if refused else "a rootless engine may not bind it"
    fixes = move(snapshot, service, spec)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} takes {spec.published}, which is below {first}: {who}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=places(service, spec),
        hint=fixes[0].title if fixes else f"a port from {first} on takes no privilege",
        fixes=fixes,
    )
