"""exposed-database: a database, cache or queue is published on all interfaces.

Why: everybody on the same network can reach it, often without a password (Redis, MongoDB, Elasticsearch have none by default), and the
host's firewall does not help: Docker's own rules let published ports past ufw and firewalld (moby#4737, moby#22054).

Before: `"5432:5432"`
After:  `"127.0.0.1:5432:5432"`; or no `ports:` at all, since services of the project reach it by name.

The kind of a service comes from `[kinds]` in `portward.toml`, else from its image, else from its name. With
`production = true` it is an error.
"""

from __future__ import annotations

from portward.model import Finding, Fix, Severity
from portward.occupancy import is_wildcard
from portward.rules.claims import places, published, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "exposed-database"
SEVERITY = Severity.WARNING
_STORES = ("database", "cache", "queue")


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each such service, with all of its ports that others can reach."""
    found: dict[str, list[tuple[Service, PortSpec]]] = {}
    for service, spec in published(snapshot):
        if is_exposed_store(service, spec):
            found.setdefault(service.name, []).append((service, spec))
    for entries in found.values():
        yield _finding(snapshot, entries)


def is_exposed_store(service: Service, spec: PortSpec) -> bool:
    """Whether a published port leads from everywhere to a service that keeps data."""
    return service.kind in _STORES and is_wildcard(spec)


def _finding(snapshot: Snapshot, entries: list[tuple[Service, PortSpec]]) -> Finding:
    service, spec = entries[0]
    numbers = list(dict.fromkeys(entry.published or f"a port for {entry.target}" for _, entry in entries))
    local = f"127.0.0.1:{spec.published or ''}:{spec.inside}"
    fix = Fix(f"write `{local}` in {spec.location}, and this machine alone reaches it", None, True)
    return Finding(
        rule=RULE,
        severity=Severity.ERROR if snapshot.settings.production else SEVERITY,
        message=f"{service.name} ({service.kind}) publishes {', '.join(numbers)} on all interfaces, past the host's firewall",
        service=service.name,
        port=spec.range.low if spec.range and len(entries) == 1 else None,
        transport=transport(spec),
        locations=tuple(dict.fromkeys(place for entry in entries for place in places(*entry))),
        hint=fix.title,
        fixes=(fix,),
    )
