"""override-appends-port: an override file publishes a container's port again, and the port of the base file stays.

Why: Compose joins the `ports:` lists of all files instead of replacing them. Whoever moves a port in an override file, to get out of
the way of something, publishes both and is still in the way.

Before: `"8080:80"` in compose.yaml, and `"8081:80"` in compose.override.yaml: 8080 and 8081 are published
After:  `ports: !override ["8081:80"]` in the override (Docker Compose 2.24.4 or newer), or one variable in both

`extends` from another file joins in the same way. An entry that lets the engine choose is not judged, nor is the same container port
on two addresses.
"""

from __future__ import annotations

from portward.model import Finding, Fix, Severity
from portward.rules.claims import COMPOSE, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "override-appends-port"
SEVERITY = Severity.WARNING


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each later entry that leaves an earlier one of another file in force."""
    for service in snapshot.project.services if snapshot.project else ():
        earlier: dict[tuple[int | None, str, str], list[PortSpec]] = {}
        for spec in service.ports:
            if spec.origin == COMPOSE and spec.range:
                same = earlier.setdefault((spec.target, spec.protocol, spec.host_ip), [])
                base = next((base for base in same if _joins(base, spec)), None)
                if base is not None:
                    yield _finding(service, base, spec)
                same.append(spec)


def _joins(base: PortSpec, over: PortSpec) -> bool:
    return base.location.path != over.location.path and base.published != over.published


def _finding(service: Service, base: PortSpec, over: PortSpec) -> Finding:
    fix = Fix(f"write `ports: !override` in {over.location.path} (Docker Compose 2.24.4 or newer)", None, True)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} publishes {over.published} and still {base.published}: Compose joins the `ports:` of files",
        service=service.name,
        port=base.range.low if base.range else None,
        transport=transport(base),
        locations=(over.place, base.place),
        hint=fix.title,
        fixes=(fix,),
    )
