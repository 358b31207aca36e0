"""browser-blocked-port: what is meant for a browser is published on a port that browsers refuse.

Why: the server runs, curl reaches it, and every browser says ERR_UNSAFE_PORT (`fetch`: "bad port") without asking it.

Before: `"6000:80"`
After:  `"13000:80"`

The 83 ports are the "bad ports" of the WHATWG Fetch standard. Only what may be meant for a browser is judged: web, api and ai
services, a container's port that is HTTP by custom, and one's own images; never a protocol on its own port (22, 53, 636).
"""

from __future__ import annotations

from portward.model import Custom, Finding, Severity, Transport
from portward.rules.claims import chosen, move, places, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "browser-blocked-port"
SEVERITY = Severity.WARNING
_FOR_BROWSERS = ("web", "api", "ai")
_WELL_KNOWN = 1023


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each such port."""
    for service, spec in chosen(snapshot):
        if spec.range is None or len(spec.range) > 1 or transport(spec) is not Transport.TCP:
            continue
        if snapshot.customs.get(spec.range.low, Custom()).unsafe and _is_for_browsers(snapshot, service, spec):
            yield _finding(snapshot, service, spec)


def _is_for_browsers(snapshot: Snapshot, service: Service, spec: PortSpec) -> bool:
    target = spec.target or 0
    inside = snapshot.customs.get(target, Custom())
    if inside.http:
        return True
    if inside.unsafe and target <= _WELL_KNOWN:
        return False  # SSH, SMTP, DNS, LDAP: its own protocol
    return service.kind in _FOR_BROWSERS or (service.kind == "other" and service.image is None)


def _finding(snapshot: Snapshot, service: Service, spec: PortSpec) -> Finding:
    fixes = move(snapshot, service, spec)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} is published on {spec.published}, which every browser refuses to open (ERR_UNSAFE_PORT)",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=places(service, spec),
        hint=fixes[0].title if fixes else "any port that is not on the list of the Fetch standard will do",
        fixes=fixes,
    )
