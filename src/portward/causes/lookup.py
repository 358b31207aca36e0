"""Does the name have an address where it is asked for, and which family comes first?"""

from __future__ import annotations

from portward.evidence import HERE, Evidence, Step
from portward.model import Fix
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import ContainerState

NAME = "name"
_GATEWAY = "host.docker.internal"


def check(evidence: Evidence) -> Iterator[Step]:
    lookup, host = evidence.lookup, shown(evidence.target.host)
    if lookup.addresses:
        first, *rest = lookup.addresses
        if rest or first != host:
            then = f", then {', '.join(rest)}" if rest else ""
            yield Step(NAME, True, f"{host} resolves to {first}{then} ({lookup.source})")
        return
    cause, fixes = _why(evidence, host)
    yield Step(NAME, False, f"{host} has no address: {lookup.error} ({lookup.source})", cause, fixes)


def _why(evidence: Evidence, host: str) -> tuple[str, tuple[Fix, ...]]:
    named = next((each for each in evidence.containers if host in (each.container.name, *each.names)), None)
    if host == _GATEWAY:
        return f"{host} exists in a container on Linux only if it is added", (
            Fix(f'extra_hosts: ["{_GATEWAY}:host-gateway"] for the service (--add-host for docker run)', None, True),
        )
    if named is not None and not named.is_up:
        return f"the container {shown(named.container.name)} is {named.state}, and only one that runs has a name", (
            Fix("see why it ended", f"docker logs --tail 20 {shown(named.container.name)}", True),
            Fix("start it", start_command(named), True),
        )
    if named is not None and evidence.origin.netns == HERE and evidence.origin.container is None:
        return f"{host} is a name inside the networks of containers, and this machine is not in them", _from_here(
            evidence, named
        )
    if named is not None and evidence.origin.container:
        return _other_network(evidence, named, host)
    where = evidence.origin.name
    return f"the name {host} does not exist {where}", (
        Fix("check the name's spelling, and the hosts file", None, True),
    )


def _from_here(evidence: Evidence, named: ContainerState) -> tuple[Fix, ...]:
    port = evidence.target.port
    published = named.published_from(port) or named.published(port)
    if published is not None:
        return (Fix(f"ask for 127.0.0.1:{published.endpoint.port}, where it is published", None, True),)
    return (Fix(f'publish it: ports: ["127.0.0.1:{port}:{port}"]', None, True),)


def _other_network(evidence: Evidence, named: ContainerState, host: str) -> tuple[str, tuple[Fix, ...]]:
    asker = evidence.state_of(evidence.origin.container)
    mine = {network for network, _ in asker.networks} if asker else set()
    theirs = {network for network, _ in named.networks}
    origin = shown(evidence.origin.container or "")
    if mine & theirs == {"bridge"}:
        cause = f"{origin} and {host} are on the default network bridge, where containers have no names"
    elif mine & theirs:
        cause = f"{host} is not resolved in {origin}, although both are on {', '.join(sorted(mine & theirs))}"
    else:
        cause = f"{origin} is on {_list(mine)}, {host} on {_list(theirs)}: they share no network"
    network = next(iter(sorted(theirs - {"bridge", "host", "none"})), None)
    if network is None:
        return cause, (
            Fix("put both on a network of their own: docker network create, or one Compose project", None, True),
        )
    return cause, (
        Fix("name one network under networks: of both services", None, True),
        Fix(f"join {origin} to {network}", f"docker network connect {network} {origin}", True),
    )


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no network"


def start_command(state: ContainerState) -> str:
    """How a container is started again, the way it was made."""
    container = state.container
    if container.project and container.service:
        return f"docker compose -p {shown(container.project)} up -d {shown(container.service)}"
    return f"docker start {shown(container.name)}"
