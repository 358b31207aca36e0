"""Something has the port, but not at the address, not in the network namespace, or not in the way that was asked for."""

from __future__ import annotations

from portward.causes.door import at
from portward.evidence import HERE, Evidence, Outcome, Step, is_loopback
from portward.model import Fix, State, Transport
from portward.wording import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import Door

NAME = "listening"


def check(evidence: Evidence) -> Iterator[Step]:
    door = next((each for each in evidence.doors if each.home is not None), None)
    if door is None:
        return
    if serving := evidence.serving(door):
        row = serving[0]
        yield Step(NAME, True, f"{brief(row)} listens on {row.endpoint}{_in(row.netns or HERE, evidence)}")
        return
    if evidence.reached or door.outcome is not Outcome.REFUSED:
        return
    finders = (_same_place, _bound, _udp, _other_place)
    found = next((step for find in finders if (step := find(evidence, door)) is not None), None)
    if found is not None:
        yield found


def _same_place(evidence: Evidence, door: Door) -> Step | None:
    row = next(iter(evidence.listening(door.home)), None)
    if row is None or row.container is not None:
        return None
    asked = at(door, evidence)
    detail = f"{brief(row)} listens on {row.endpoint}, not on {asked}"
    if is_loopback(row.endpoint.address) and not is_loopback(door.address):
        cause = f"{brief(row)} listens on loopback only ({row.endpoint}), and {asked} is asked from outside of it"
        fixes = (
            Fix(f"from this machine, ask for {row.endpoint}", None, True),
            Fix("let it listen on 0.0.0.0 to serve others too: that shows it to the whole network", None, False),
        )
        return Step(NAME, False, detail, cause, fixes)
    cause = f"{brief(row)} listens on {row.endpoint} alone, and not on {asked}"
    return Step(NAME, False, detail, cause, (Fix(f"ask for {row.endpoint}", None, True),))


def _bound(evidence: Evidence, door: Door) -> Step | None:
    for row in evidence.rows:
        held = row.state is State.BOUND and row.note is None and (row.netns or HERE) == door.home
        if held and row.transport is Transport.TCP:
            cause = f"{brief(row)} has bound port {row.port}, and does not listen yet"
            fix = Fix("wait until it listens, or see what it waits for", f"portward wait {at(door, evidence)}", True)
            return Step(NAME, False, cause, cause, (fix,))
    return None


def _udp(evidence: Evidence, door: Door) -> Step | None:
    for row in evidence.rows:
        if row.state is State.UDP and row.netns in (None, door.home) and (row.netns or HERE) == door.home:
            cause = f"{brief(row)} has port {row.port} on UDP, and nothing has it on TCP"
            return Step(
                NAME, False, cause, cause, (Fix("use a client that speaks UDP, or the server's TCP port", None, True),)
            )
    return None


def _other_place(evidence: Evidence, door: Door) -> Step | None:
    """A listener in another network namespace, which is no container's."""
    for row in evidence.listening():
        place = row.netns or HERE
        if place == door.home or row.container is not None or _is_a_containers(evidence, place):
            continue
        where = f"the network namespace {place}" if place else "this machine's own network namespace"
        cause = f"{brief(row)} listens on {row.endpoint} in {where}, and {at(door, evidence)} is in another"
        how = f"ip netns exec {place} COMMAND" if place and not place.startswith("net:") else None
        fixes = (Fix("ask from in there, or give the two a connection (veth)", how, True),)
        return Step(NAME, False, f"{brief(row)} has the port elsewhere", cause, fixes)
    return None


def _is_a_containers(evidence: Evidence, place: str) -> bool:
    return any(state.netns == place and not state.host_network for state in evidence.containers)


def _in(place: str, evidence: Evidence) -> str:
    return f" in {place}" if place and place != evidence.origin.netns else ""
