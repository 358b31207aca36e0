"""The host ports that a project asks for, as the rules look at them, and how one of them is moved."""

from __future__ import annotations

from itertools import groupby

from portward.model import Fix, Role, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Location, PortSpec, Service, Snapshot

COMPOSE = "compose"
"""The origin of what a service publishes."""

_SERVING = {"", "app", "api", "backend", "client", "dev", "frontend", "http", "https", "listen", "server", "ui", "web"}


def published(snapshot: Snapshot) -> Iterator[tuple[Service, PortSpec]]:
    """What the active services publish by Compose: nothing on the host's network, and nothing without a container."""
    for service in snapshot.project.services if snapshot.project else ():
        for spec in service.ports if service.replicas and not service.host_network else ():
            if spec.origin == COMPOSE:
                yield service, spec


def chosen(snapshot: Snapshot) -> Iterator[tuple[Service, PortSpec]]:
    """The host ports that somebody chose for this project's services, as they are written: a number or a whole range.

    Without the engine's choice, and without what processes bind on the host's network themselves, which no file moves.
    """
    for service in snapshot.project.services if snapshot.project else ():
        claims = [] if service.host_network else [spec for spec in service.claims if _is_chosen(spec)]
        for _, group in groupby(claims, key=lambda spec: (spec.location, spec.span)):
            first, *others = group
            ports = [spec.range for spec in (first, *others) if spec.range]
            whole = f"{min(each.low for each in ports)}-{max(each.high for each in ports)}"
            yield service, first.replace(published=whole) if others else first


def wanted(snapshot: Snapshot) -> Iterator[tuple[Service, PortSpec]]:
    """Each host port that the services ask for by a number or a range that the engine picks from.

    On bare metal a variable may as well name a port of somebody else's (SMTP_PORT, DB_PORT), so only PORT and those that
    speak of a server count.
    """
    for service in snapshot.project.services if snapshot.project else ():
        for spec in service.claims:
            if _is_chosen(spec):
                yield service, spec


def _is_chosen(spec: PortSpec) -> bool:
    return spec.range is not None and (spec.origin == COMPOSE or _serves(spec))


def _serves(spec: PortSpec) -> bool:
    prefixes = [name.lower().rpartition("port")[0].strip("_-") for name in spec.variables]
    return all(not set(prefix.replace("-", "_").split("_")).isdisjoint(_SERVING) for prefix in prefixes)


def transport(spec: PortSpec) -> Transport | None:
    """The transport of a spec; None for SCTP and whatever else stands there."""
    protocol = spec.protocol.lower()
    return Transport(protocol) if protocol in ("tcp", "udp") else None


def places(service: Service, spec: PortSpec) -> tuple[Location, ...]:
    """Every place that says the number of a published port, each once."""
    return tuple(dict.fromkeys((spec.place, *(other.place for other in definitions(service, spec)))))


def definitions(service: Service, spec: PortSpec) -> tuple[PortSpec, ...]:
    """Where else the number of a published port is defined: the variables that it is interpolated from."""
    if not spec.variables:
        return ()
    return tuple(
        other
        for other in service.ports
        if other.origin == "dotenv" and other.role is Role.HOST and not set(other.variables).isdisjoint(spec.variables)
    )


def move(snapshot: Snapshot, service: Service, spec: PortSpec) -> tuple[Fix, ...]:
    """The way to another port, where one is known to be free and nothing pins the service to this one."""
    port = _offered(snapshot, service, spec)
    if port is None or spec.range is None or len(spec.range) > 1 or snapshot.settings.pin(service.name, spec.range):
        return ()
    # a number that is changed in one file alone leaves clients behind that still ask for the old one
    title = f"{moved(snapshot, service, spec)} in every file that writes it"
    return (Fix(title, f"portward set {_argument(service, spec)}={port} --write", True),)


def moved(snapshot: Snapshot, service: Service, spec: PortSpec) -> str:
    """The move to the port that is known to be free, in words."""
    port, ports = _offered(snapshot, service, spec), snapshot.ranges.get(service.kind)
    why = f" (free in the {service.kind} range {ports})" if ports and port and port in ports else ""
    return f"publish {service.name} on {port}{why}"


def _offered(snapshot: Snapshot, service: Service, spec: PortSpec) -> int | None:
    return snapshot.free.get(spec, snapshot.free.get(service.name))


def _argument(service: Service, spec: PortSpec) -> str:
    """How a service's port is named on the command line: its handle tells several apart."""
    several = spec in service.entries and len(service.entries) > 1
    argument = f"{service.name}:{spec.handle}" if several else service.name
    if all(sign.isalnum() or sign in "._:/-" for sign in argument):
        return argument
    return "'" + argument.replace("'", "'\\''") + "'"
