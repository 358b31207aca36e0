"""The way to the other machine: is there a route, and does anybody answer at its end?"""

from __future__ import annotations

from portward.causes.door import at
from portward.evidence import Evidence, Outcome, Step
from portward.model import Fix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "route"


def check(evidence: Evidence) -> Iterator[Step]:
    if evidence.reached or not evidence.doors:
        return
    door = next((each for each in evidence.doors if each.outcome in (Outcome.SILENT, Outcome.UNREACHABLE)), None)
    if door is None:
        return
    where, asked = evidence.origin.name, at(door, evidence)
    if door.outcome is Outcome.UNREACHABLE and door.source is None:
        cause = f"there is no route {where} to {door.address}"
        yield Step(NAME, False, cause, cause, (Fix("look at the routes", f"ip route get {door.address}", True),))
    elif door.outcome is Outcome.UNREACHABLE:
        cause = f"no machine answers at {door.address}, or a firewall there or on the way rejects it ({door.reason})"
        yield Step(
            NAME, False, cause, cause, (Fix("look whether that machine is up, and has this address", None, True),)
        )
    elif door.home is None:
        cause = f"{asked} does not answer: a firewall there or on the way drops it, or no machine has that address"
        yield Step(
            NAME,
            False,
            "the address is not this machine's: what happens there cannot be seen from here",
            cause,
            (
                Fix("look from that machine itself", f"portward doctor 127.0.0.1:{evidence.target.port}", True),
                Fix("look at its firewall, and at the security groups of its cloud", None, True),
            ),
        )
