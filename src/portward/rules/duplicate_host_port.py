"""duplicate-host-port: two services of the project publish overlapping host ports.

Why: whichever starts second fails. Compose loads such files without a word.

Before: `"8080:80"` in one service and `"8080:8080"` in another.
After:  each publishes a port of its own.

A process on the host's network binds its own port, whatever `ports:` says; a service that is scaled to nothing asks for none.

Ports overlap when transport, number and address do: 127.0.0.1 and 127.0.0.2 do not, nor do tcp and udp. A range from which the
engine picks one port is only a risk, so a warning.
"""

from __future__ import annotations

from portward.model import Finding, Fix, PortRange, Severity, Transport
from portward.rules.claims import definitions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "duplicate-host-port"
SEVERITY = Severity.ERROR


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each pair of entries that overlap, as they are written."""
    services = snapshot.project.services if snapshot.project else ()
    claims = [(service, spec) for service in services for spec in service.claims]
    found: dict[object, tuple[tuple[Service, PortSpec], tuple[Service, PortSpec], list[PortRange]]] = {}
    for first, second in sorted(_overlapping({index: spec.range for index, (_, spec) in enumerate(claims)})):
        shared = claims[first][1].overlaps(claims[second][1])
        if shared is not None:
            one, two = sorted((claims[first], claims[second]), key=lambda claim: not claim[0].host_network)
            places = [(service.name, spec.location, spec.span, len(spec.range or ())) for service, spec in (one, two)]
            found.setdefault(tuple(places), (one, two, []))[2].append(shared)
    for one, two, ports in found.values():
        yield _finding(snapshot, one, two, ports)


def _overlapping(ranges: dict[int, PortRange | None]) -> Iterator[tuple[int, int]]:
    """The pairs of keys, the lesser first, whose ranges overlap: one walk from the lowest port to the highest."""
    known = {key: ports for key, ports in ranges.items() if ports}
    reaching: list[int] = []
    for key in sorted(known, key=lambda key: known[key].low):
        reaching = [other for other in reaching if known[other].high >= known[key].low]
        yield from ((min(key, other), max(key, other)) for other in reaching)
        reaching.append(key)


def _finding(
    snapshot: Snapshot, first: tuple[Service, PortSpec], second: tuple[Service, PortSpec], ports: list[PortRange]
) -> Finding:
    """`ports` are what two written entries share: of two ranges whose every port is fixed, one after the other."""
    (service, spec), (other, later) = first, second
    picks = any(entry.range and len(entry.range) > len(ports[0]) for entry in (spec, later)) or len(ports[0]) > 1
    shared = PortRange(min(each.low for each in ports), max(each.high for each in ports))
    verb = "bind" if service.host_network else "publish"
    who = f"{service.name} publishes" if service is other else f"{service.name} and {other.name} {verb}"
    if picks:
        message = f"{who} overlapping ranges: the engine may pick {shared} twice"
    else:
        message = f"{who} {shared} {'twice' if service is other else 'both'}"
    port = snapshot.free.get(later)
    is_one_place = (spec.location, spec.span) == (later.location, later.span)  # `extends`, or an alias of YAML
    own = f"give {other.name} ports of its own: it takes {service.name}'s, in {later.location}"
    fixes = (Fix(own if is_one_place else f"publish {port} instead in {later.location}", None, True),) if port else ()
    return Finding(
        rule=RULE,
        severity=Severity.WARNING if picks else SEVERITY,
        message=message,
        service=other.name,
        port=shared.low,
        transport=Transport(spec.protocol.lower()) if spec.protocol.lower() in ("tcp", "udp") else None,
        locations=tuple(
            dict.fromkeys(
                place.place for owner, entry in (first, second) for place in (entry, *definitions(owner, entry))
            )
        ),
        hint=f"{port} is free for {other.name}" if port else None,
        fixes=fixes,
    )
