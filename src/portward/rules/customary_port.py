"""customary-port: a published port is one that very many programs take by default.

Why: the more programs use a number unless told otherwise, the sooner two of them meet on one machine. The guide asks for ports
that are not 80, 443 or 8080.

Before: `"8080:80"`
After:  `"13002:80"`, a port of one's own from the range of the service's kind.

Besides those three, a port counts that at least eight services of the catalog use by default: 3000, 5000, 8000. A port that
`privileged-port` speaks of already is left to it, one that is pinned stays, and in production 80 and 443 are where they belong.
"""

from __future__ import annotations

from portward.model import Custom, Finding, Severity, Transport
from portward.rules.claims import chosen, move, places, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "customary-port"
SEVERITY = Severity.NOTE
WEB = (80, 443)
_ALWAYS = (*WEB, 8080)
_MANY = 8


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published port of this sort."""
    for service, spec in chosen(snapshot):
        if spec.range is None or len(spec.range) > 1 or transport(spec) is not Transport.TCP:
            continue
        if _is_crowded(snapshot, spec.range.low) and not snapshot.settings.pin(service.name, spec.range):
            yield _finding(snapshot, service, spec, spec.range.low)


def _is_crowded(snapshot: Snapshot, port: int) -> bool:
    if snapshot.system.privileged and port in snapshot.system.privileged:
        return False
    if snapshot.settings.production and port in WEB:
        return False
    return port in _ALWAYS or len(snapshot.customs.get(port, Custom()).services) >= _MANY


def _finding(snapshot: Snapshot, service: Service, spec: PortSpec, port: int) -> Finding:
    users = [name.partition(" (")[0] for name in snapshot.customs.get(port, Custom()).services]
    examples = f" ({', '.join(users[:3])}, …)" if len(users) >= _MANY else ""
    many = f"{len(users)} programs" if len(users) >= _MANY else "very many programs"
    fixes = move(snapshot, service, spec)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} takes {port}, the default of {many}{examples}",
        service=service.name,
        port=port,
        transport=transport(spec),
        locations=places(service, spec),
        hint=fixes[0].title if fixes else "a port of your own meets nobody",
        fixes=fixes,
    )
