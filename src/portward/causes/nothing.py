"""The last resort: nobody listens there, or it could not be seen who does."""

from __future__ import annotations

from portward.causes.door import at
from portward.evidence import HERE, Evidence, Heard, Outcome, Step
from portward.model import Fix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "listening"


def check(evidence: Evidence) -> Iterator[Step]:
    if evidence.reached or not evidence.doors:
        return
    door = evidence.doors[0]
    port, asked = evidence.target.port, at(door, evidence)
    if door.outcome is Outcome.REFUSED and door.home is None:
        cause = f"the machine {door.address} refuses: nothing listens on {port} there, or its firewall says so"
        fix = Fix("look from that machine itself", f"portward doctor 127.0.0.1:{port}", True)
        yield Step(NAME, False, "the address is not this machine's", cause, (fix,))
    elif door.outcome is Outcome.REFUSED and not evidence.serving(door):
        cause = f"nothing listens on {port}{_where(door.home or HERE)}: the server has not started, has ended, or uses another port"
        yield Step(
            NAME,
            False,
            f"nothing listens on {asked}, nor on another address, nor in a network namespace that could be looked into",
            cause,
            (
                Fix("see what listens, and on which port", "portward ls", True),
                Fix("start the server", None, True),
            ),
        )
    elif door.outcome is Outcome.OPEN and door.heard is Heard.END:
        detail = f"{asked} is taken and hung up at once, and it could not be seen why"
        yield Step(NAME, False, detail)


def _where(home: str) -> str:
    return f" in {home}" if home else ""
