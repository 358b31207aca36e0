"""What a project's ports are at this instant: its `Snapshot`, ports to offer in their place, and the state of each."""

from __future__ import annotations

from portward.answers import PortReport, ServiceReport
from portward.model import PortRange, PortRequest, PortSpec, PortState, Refusal, Snapshot, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from portward.model import Custom, Endpoint, Lease, Listener, Project, Reading, Service, Settings
    from portward.occupancy import Occupancy
    from portward.truths.leased import Promises
    from portward.truths.live import Live


def snapshot_of(
    live: Live, project: Project, settings: Settings, promises: Promises, taken: float, *, all_netns: bool = False
) -> Snapshot:
    """Who holds what, who was promised what, and which binds are refused, of all that a project asks for. `taken` is now, in seconds."""
    from portward import catalog

    asked = wanted(project)
    udp = any(endpoint.transport is Transport.UDP for endpoint in asked)
    reading = live.read(udp=udp, all_netns=all_netns)
    refusals = {endpoint: refusal for endpoint in asked if (refusal := live.refusal(endpoint)) is not None}
    connections, lingering = _behind(live, reading, refusals, udp)
    for endpoint in lingering:
        del refusals[endpoint]
    reading = reading.replace(listeners=(*reading.listeners, *connections))
    ports = {endpoint.port for endpoint in asked}
    rows = tuple(promises.told(live, live.in_detail(row)) if row.port in ports else row for row in reading.listeners)
    if settings.probe:
        rows = _heard(rows, project)
    reading = reading.replace(listeners=rows, skipped=(*reading.skipped, *promises.skipped))
    ranges = {**catalog.DEFAULT_RANGES, **settings.ranges}
    reserved = live.reserved()
    return Snapshot(
        reading,
        taken,
        project,
        refusals,
        ranges,
        reserved,
        settings=settings,
        leases=promises.leases,
        worktree=promises.worktree,
    )


def wanted(project: Project) -> list[Endpoint]:
    """Every endpoint that the project asks its host for."""
    from portward.occupancy import endpoints

    return [endpoint for service in project.services for spec in service.claims for endpoint in endpoints(spec)]


def _heard(rows: tuple[Listener, ...], project: Project) -> tuple[Listener, ...]:
    """The rows, each that may be a service of the project by its folder, though not by its command, asked whether it speaks as that one does."""
    from portward.occupancy import doubtful

    doubts = {index: services for index, row in enumerate(rows) if (services := doubtful(row, project))}
    if not doubts:
        return rows
    from portward.verbs.identifying import speaks_for

    names = speaks_for([(rows[index], services) for index, services in doubts.items()])
    spoken = dict(zip(doubts, names, strict=True))
    return tuple(row.replace(speaks_for=spoken.get(index, ())) for index, row in enumerate(rows))


def _behind(
    live: Live, reading: Reading, refusals: Mapping[Endpoint, Refusal], udp: bool
) -> tuple[list[Listener], list[Endpoint]]:
    """What refuses the binds that no listener explains: the connections, and the endpoints where only a rest of one lingers."""
    unexplained = [
        endpoint
        for endpoint, refusal in refusals.items()
        if refusal is Refusal.IN_USE and not any(row.endpoint.overlaps(endpoint) for row in reading.listeners)
    ]
    if not unexplained:
        return [], []
    found = live.sockets.read(udp=udp, ports={endpoint.port for endpoint in unexplained}).listeners
    connections: dict[Listener, None] = {}
    lingering = []
    for endpoint in unexplained:
        rows = [row for row in found if row.endpoint.overlaps(endpoint)]
        if live.only_lingers(endpoint, rows):
            lingering.append(endpoint)
        else:
            connections.update(dict.fromkeys(rows))
    return list(connections), lingering


def offering(live: Live, snapshot: Snapshot, names: set[str], *, ranges: bool = False) -> Snapshot:
    """The snapshot with a free port for each port of the named services, no port twice: its own lease, else of its kind's range.

    A range of which the engine picks one gets the lowest of as many free neighbours. With `ranges` each port of a range that
    is written for as many ports of the container gets one of neighbours too, so that one move serves all.
    """
    assert snapshot.project is not None
    from portward.allocate import taken_ports

    free: dict[PortSpec | str, int] = {}
    taken = taken_ports(snapshot)
    for service in snapshot.project.services:
        for entry in _movable(service, ranges) if service.name in names else ():
            key = f"{snapshot.project.name}\0{snapshot.project.root}\0{service.name}"
            transport = Transport.UDP if entry[0].protocol.lower() == "udp" else Transport.TCP
            ports = [spec.range for spec in entry if spec.range]
            low = min((each.low for each in ports), default=0)
            count = max((each.high for each in ports), default=0) - low + 1
            first = _own_lease(live, snapshot, service, entry[0]) if count == 1 else None
            first = first or free_port(live, snapshot, snapshot.ranges[service.kind], key, transport, taken, count)
            if first:
                free.update((spec, first + (spec.range.low - low if spec.range else 0)) for spec in entry)
                free.setdefault(service.name, first)
                taken.update(range(first, first + count))
    return snapshot.replace(free=free)


def _own_lease(live: Live, snapshot: Snapshot, service: Service, spec: PortSpec) -> int | None:
    """The port that the service has leased in this working tree for just this entry, if it is another one, and free."""
    mine = (snapshot.worktree, service.name)
    first = service.claims[:1] == (spec,)
    for lease in snapshot.leases:
        if (lease.holder.worktree, lease.holder.service) == mine and lease.transport == spec.protocol.lower():
            meant = lease.holder.instance == ("" if first else str(spec.target))
            if meant and str(lease.port) != spec.published and live.is_free(lease.port, lease.transport):
                return lease.port
    return None


def _movable(service: Service, ranges: bool) -> list[list[PortSpec]]:
    """What one other number moves, by entry: nothing that a process binds on the host's network, and `ranges` where asked for."""
    entries: dict[object, list[PortSpec]] = {}
    for spec in () if service.host_network else service.claims:
        entries.setdefault((spec.location, spec.span), []).append(spec)
    return [entry for entry in entries.values() if ranges or len(entry) == 1]


def free_port(
    live: Live,
    snapshot: Snapshot,
    ports: PortRange,
    key: str,
    transport: Transport,
    taken: Collection[int] | None = None,
    count: int = 1,
) -> int | None:
    """A port of the range that nothing speaks against and that binds now, or None. `taken` as for `candidates`.

    With `count`, the lowest of so many neighbours.
    """
    from portward import allocate

    if not snapshot.reserved:
        snapshot = snapshot.replace(reserved=live.reserved())
    request = PortRequest(key, ports, count=count, contiguous=count > 1, transport=transport)
    refused: set[int] = set()
    for group in allocate.candidates(request, snapshot, taken):
        if any(group[0] <= port <= group[-1] for port in refused):
            continue
        held = next((port for port in group if not live.is_free(port, transport)), None)
        if held is None:
            return group[0]
        refused.add(held)
    return None


def reports(snapshot: Snapshot) -> tuple[ServiceReport, ...]:
    """The state of each port of the project's active services."""
    return tuple(report(snapshot, service) for service in (snapshot.project.services if snapshot.project else ()))


def report(snapshot: Snapshot, service: Service) -> ServiceReport:
    """The state of each port of one service."""
    from portward.occupancy import bound, occupancy, sign

    ports = []
    for spec in service.ports:
        valid = spec.range is not None or spec.published in (None, "0")
        found = occupancy(snapshot, service, service.claim(spec)) if spec.side == "host" and valid else None
        containers = bound(snapshot, service, spec) if spec.origin == "compose" else ()
        endpoints = tuple(row.endpoint for row in containers)
        state, holders = (found.state, found.holders) if found else (None, ())
        told = None
        if state is PortState.RUNNING and snapshot.project is not None:
            told = sign(holders[0], service, snapshot.project)
        ports.append(PortReport(spec, state, holders, endpoints, told, _lease(snapshot, service, spec, found)))
    return ServiceReport(service, tuple(ports))


def _lease(snapshot: Snapshot, service: Service, spec: PortSpec, found: Occupancy | None) -> Lease | None:
    """Whose lease a port has: another's that is in the way, else the first that there is of its numbers."""
    from portward.occupancy import endpoints

    if found is None or found.leases or not snapshot.leases:
        return found.leases[0] if found and found.leases else None
    wanted = {(endpoint.port, endpoint.transport) for endpoint in endpoints(service.claim(spec))}
    return next((lease for lease in snapshot.leases if (lease.port, lease.transport) in wanted), None)


def customs_of(project: Project) -> dict[int, Custom]:
    """What the ports that a project publishes, and those behind them, mean by custom."""
    from portward import catalog

    claims = [spec for service in project.services for spec in service.claims]
    ports = {spec.range.low for spec in claims if spec.range} | {spec.target for spec in claims if spec.target}
    return {port: catalog.custom_of(port) for port in ports}


def named(reading: Reading, project: Project) -> Reading:
    """The reading with the services of this very project named as its files name them."""
    from portward.occupancy import is_ours

    rows = []
    for row in reading.listeners:
        mine = next((service.name for service in project.services if is_ours(row, service, project)), None)
        rows.append(row.replace(project=project.name, service=mine) if mine else row)
    return reading.replace(listeners=tuple(rows))


def elsewhere(snapshot: Snapshot) -> tuple[Listener, ...]:
    """Who has the project's ports in other network namespaces, but for this very stack: there they are in nobody's way."""
    from portward.occupancy import endpoints, is_ours

    services = snapshot.project.services if snapshot.project else ()
    wanted = {
        (endpoint.port, endpoint.transport)
        for service in services
        for spec in service.claims
        for endpoint in endpoints(spec)
    }
    return tuple(
        row
        for row in snapshot.reading.listeners
        if row.netns and (row.port, row.transport) in wanted
        if snapshot.project and not any(is_ours(row, service, snapshot.project) for service in services)
    )
