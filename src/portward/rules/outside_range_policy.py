"""outside-range-policy: a published port is not where `portward.toml` wants it.

Why: a range for each kind of service keeps related services together and strangers apart; it helps only if it is kept to. A pin
is a promise to somebody outside, such as an OAuth provider that knows one address.

Before: `[ranges] api = "11000-11999"` in `portward.toml`, and `"5000:5000"` for the API
After:  `"11000:5000"`

Only ranges that the project's own `portward.toml` sets are held against it, never the defaults or those of a user. A port that is
pinned may lie anywhere; a service that has none of the ports it is pinned to is a warning.
"""

from __future__ import annotations

from portward.model import Finding, Fix, Severity
from portward.rules.claims import chosen, move, places, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Pin, PortSpec, Service, Snapshot

RULE = "outside-range-policy"
SEVERITY = Severity.NOTE


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each port outside of its range, and for each pin that is not kept."""
    claims = list(chosen(snapshot))
    settings = snapshot.settings
    for service, spec in claims:
        if _is_outside(snapshot, service, spec):
            yield _outside(snapshot, service, spec)
    for pin in settings.pins:
        own = [(service, spec) for service, spec in claims if service.name == pin.service]
        if own and not any(spec.range and pin.port in spec.range for _, spec in own):
            yield _unkept(pin, *own[0])


def _is_outside(snapshot: Snapshot, service: Service, spec: PortSpec) -> bool:
    settings = snapshot.settings
    if service.kind not in settings.policy or spec.range is None or settings.pin(service.name, spec.range):
        return False
    ports = settings.ranges[service.kind]
    return spec.range.low not in ports or spec.range.high not in ports


def _outside(snapshot: Snapshot, service: Service, spec: PortSpec) -> Finding:
    fixes = move(snapshot, service, spec)
    ports = snapshot.settings.ranges[service.kind]
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} takes {spec.published}, outside of {ports} for {service.kind}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=places(service, spec),
        hint=fixes[0].title if fixes else f"a [[pin]] in portward.toml with a reason lets {service.name} keep it",
        fixes=fixes,
    )


def _unkept(pin: Pin, service: Service, spec: PortSpec) -> Finding:
    fix = Fix(f"publish {service.name} on {pin.port} again", f"portward set {service.name}={pin.port} --write", True)
    return Finding(
        rule=RULE,
        severity=Severity.WARNING,
        message=f"{service.name} is pinned to {pin.port} ({pin.reason}), but takes {spec.published}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=(*places(service, spec), *([pin.location] if pin.location else [])),
        hint=fix.title,
        fixes=(fix,),
    )
