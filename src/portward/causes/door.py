"""What happens at each address of the target. No cause by itself: it is what the other checks explain."""

from __future__ import annotations

from portward.evidence import Evidence, Heard, Outcome, Step
from portward.model import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import Door

NAME = "connect"
_SAID = {
    Outcome.REFUSED: "refuses the connection",
    Outcome.SILENT: "does not answer",
    Outcome.UNREACHABLE: "cannot be reached",
    Outcome.NO_SOURCE: "cannot be tried",
    Outcome.DENIED: "may not be tried",
    Outcome.FAILED: "cannot be tried",
}


def check(evidence: Evidence) -> Iterator[Step]:
    for door in evidence.doors:
        nobody = door.outcome is Outcome.REFUSED and door.home is not None and not evidence.serving(door)
        told = "refuses: nothing listens there" if nobody else _said(door)
        yield Step(NAME, door.answers, f"{at(door, evidence)} {told}")


def at(door: Door, evidence: Evidence) -> str:
    """The door as people write it: 127.0.0.1:5000, [::1]:5000."""
    return str(Endpoint(door.address, evidence.target.port))


def _said(door: Door) -> str:
    if door.outcome is Outcome.OPEN:
        if door.heard is Heard.END:
            return "takes the connection and hangs up at once"
        return "accepts connections" + (" and speaks first" if door.heard is Heard.BYTES else "")
    return _SAID[door.outcome] + (f" ({door.reason})" if door.reason else "")
