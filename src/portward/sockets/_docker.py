"""Containers as owners of what listens: joins what the kernel says with what the container engine says.

The engine is the authority on published ports. A forwarder (docker-proxy, or the engine itself where the userland proxy is
off) holds the socket, but the container owns the port; with neither, the port is published by packet rules alone and has no
socket at all. A stopped container has no socket either, yet will ask for its port again.
"""

from __future__ import annotations

from portward.model import ANY, Container, Endpoint, Listener, Owners, Reading, State, Transport
from portward.wording import forwarding_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from portward.engine import EngineContainer
    from portward.model import Publication

_CONTAINER_ID = r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])"


def join(
    reading: Reading,
    containers: Collection[EngineContainer],
    cgroup: Callable[[int], str],
    ports: Collection[int] | None = None,
    udp: bool = True,
) -> Reading:
    """The reading with containers as owners, and with rows for published ports that no socket shows.

    `cgroup` gives a process's control group, which names its container. `ports` and `udp` limit the added rows as they
    limited the reading.
    """
    rows = list(reading.listeners)
    for entry in containers:
        for publication in entry.publications:
            endpoint = publication.endpoint
            if (ports is not None and endpoint.port not in ports) or (endpoint.transport is Transport.UDP and not udp):
                continue
            owner = entry.container.replace(target=publication.target)
            if not entry.running:
                rows.append(_row(endpoint, State.CLAIMED, owner))
            elif not _give(rows, publication, owner):
                rows.append(_row(endpoint, _live_state(endpoint), owner))
    _name_inside(rows, containers, cgroup)
    rows.sort(key=lambda row: (row.netns or "", row.port, row.transport, row.endpoint.address))
    return reading.replace(listeners=tuple(rows))


def _give(rows: list[Listener], publication: Publication, owner: Container) -> bool:
    """Gives the forwarder's sockets for a publication to the container. Whether there was one."""
    given = False
    for index, row in enumerate(rows):
        if row.netns is None and row.state is not State.BOUND and _forwards(row, publication.endpoint):
            rows[index] = row.replace(
                container=owner, processes=(), owners=Owners.SEEN, project=owner.project, service=_service(owner)
            )
            given = True
    return given


def _forwards(row: Listener, published: Endpoint) -> bool:
    if row.port != published.port or row.transport is not published.transport:
        return False
    if row.endpoint.address != published.address and published.address != ANY:
        return False
    return not row.processes or forwarding_engine(row) is not None


def _name_inside(rows: list[Listener], containers: Collection[EngineContainer], cgroup: Callable[[int], str]) -> None:
    """Names the container of processes that run inside one: on the host's network, or in another namespace."""
    by_id = {entry.container.id: entry.container for entry in containers if entry.running}
    if not by_id:
        return
    import re  # where there are containers: it takes longer than all of a grant

    if not any(entry.host_network for entry in containers) and not any(row.netns for row in rows):
        return
    for index, row in enumerate(rows):
        if row.container is None and row.processes:
            match = re.search(_CONTAINER_ID, cgroup(row.processes[0].pid))
            owner = by_id.get(match[1][:12]) if match else None
            if owner is not None:
                rows[index] = row.replace(
                    container=owner.replace(target=row.port), project=owner.project, service=_service(owner)
                )


def _row(endpoint: Endpoint, state: State, owner: Container) -> Listener:
    return Listener(
        endpoint, state, owners=Owners.SEEN, container=owner, project=owner.project, service=_service(owner)
    )


def _live_state(endpoint: Endpoint) -> State:
    return State.UDP if endpoint.transport is Transport.UDP else State.LISTEN


def _service(owner: Container) -> str:
    """The Compose service, else the image's own name without registry, tag and digest."""
    return owner.service or owner.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
