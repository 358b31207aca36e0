"""fixed-port-with-replicas: a service that runs as several containers publishes fewer host ports than that.

Why: the first container gets the port. The second stays in state "created": "port is already allocated". Compose loads such files
without a word.

Before: `deploy: {replicas: 3}` and `"8080:80"`
After:  `"8080-8082:80"`, from which the engine picks one for each; or `"80"`, and it picks any; or a proxy in front.
"""

from __future__ import annotations

from portward.model import LAST_PORT, Finding, Fix, Severity
from portward.rules.claims import places, published, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "fixed-port-with-replicas"
SEVERITY = Severity.ERROR


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published port, or range, that is too small."""
    for service, spec in published(snapshot):
        if spec.range and len(spec.range) < service.replicas:
            yield _finding(service, spec)


def _finding(service: Service, spec: PortSpec) -> Finding:
    assert spec.range is not None
    last = spec.range.low + service.replicas - 1
    enough = f"`{spec.range.low}-{last}:{spec.target}`" if last <= LAST_PORT else f"`{spec.target}`"
    fix = Fix(f"write {enough} in {spec.location}: the engine picks one for each container", None, True)
    place = service.place("replicas")
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} runs as {service.replicas} containers, but publishes {spec.published} alone",
        service=service.name,
        port=spec.range.low,
        transport=transport(spec),
        locations=(*places(service, spec), *([place] if place else [])),
        hint=fix.title,
        fixes=(fix,),
    )
