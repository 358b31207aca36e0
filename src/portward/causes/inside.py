"""`localhost` inside a container is the container itself: is the server on the host, or in another container?"""

from __future__ import annotations

from portward.evidence import HERE, Evidence, Step, is_loopback
from portward.model import Fix
from portward.wording import brief, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import ContainerState

NAME = "inside"


def check(evidence: Evidence) -> Iterator[Step]:
    origin, port = evidence.origin, evidence.target.port
    if origin.container is None or evidence.reached or not evidence.doors:
        return
    asker = evidence.state_of(origin.container)
    if not all(is_loopback(door.address) for door in evidence.doors) or (asker and asker.host_network):
        return
    if any(True for _ in evidence.listening(origin.netns)):
        return  # it listens in there, though not where it was asked for: `family` and `address` say more
    me = shown(origin.container)
    detail = f"nothing listens on {port} inside {me}"
    name = shown(evidence.target.host)
    neighbour = _neighbour(evidence, asker)
    if neighbour is not None:
        other, target = neighbour
        cause = f"inside {me}, {name} is {me} itself; {shown(other.container.name)} has port {target}"
        fixes = (Fix(f"ask for {_called(other)}:{target}, over a network that both share", None, True),)
        yield Step(NAME, False, detail, cause, fixes)
        return
    row = next(iter(evidence.listening(HERE)), None)
    if row is not None:
        cause = f"inside {me}, {name} is {me} itself; {brief(row)} listens on {port} on the host"
        yield Step(
            NAME,
            False,
            detail,
            cause,
            (
                Fix(
                    f"ask for host.docker.internal:{port}, with extra_hosts: host.docker.internal:host-gateway",
                    None,
                    True,
                ),
                Fix("let the server listen on an address that containers reach, not on 127.0.0.1 alone", None, True),
            ),
        )


def _neighbour(evidence: Evidence, asker: ContainerState | None) -> tuple[ContainerState, int] | None:
    """Another container that has the port: published as that, or its own; with its own port."""
    others = [each for each in evidence.containers if asker is None or each.container.id != asker.container.id]
    for other in others:
        published = other.published(evidence.target.port) if other.is_up else None
        if published is not None:
            return other, published.target
    mine = {network for network, _ in asker.networks} if asker else set()
    for other in others:
        shares = any(network in mine for network, _ in other.networks)
        if other.is_up and shares and any(each.port == evidence.target.port for each in other.listeners or ()):
            return other, evidence.target.port
    return None


def _called(other: ContainerState) -> str:
    return shown(other.container.service or other.container.name)
