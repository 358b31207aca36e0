"""Does the server listen on one of IPv4 and IPv6 alone, and the client ask the other?"""

from __future__ import annotations

from portward.causes.door import at
from portward.evidence import Evidence, Outcome, Step, is_loopback, is_wildcard
from portward.model import Endpoint, Fix
from portward.wording import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import Door
    from portward.model import Listener

NAME = "family"


def check(evidence: Evidence) -> Iterator[Step]:
    refused = next((door for door in evidence.doors if door.outcome is Outcome.REFUSED), None)
    if refused is None or evidence.doors[0].answers or evidence.serving(refused):
        return
    other = next((door for door in evidence.doors if door.answers and _v6(door.address) != _v6(refused.address)), None)
    row = _of_other_family(evidence, refused)
    if other is None and (row is None or evidence.reached):
        return
    mine, theirs = _names(refused.address)
    reaches = at(other, evidence) if other else _address(row, refused, evidence)
    who = brief(row) if row else "the server"
    cause = f"{who} listens on {theirs} only, and {at(refused, evidence)} is {mine}"
    if other is not None:
        cause = (
            f"{who} listens on {theirs} only, and a client that takes the first address asks {at(refused, evidence)}"
        )
    wildcard = "::" if theirs == "IPv4" else "0.0.0.0"
    yield Step(
        NAME,
        False,
        f"nothing listens on {at(refused, evidence)}; {reaches} is served",
        cause,
        (
            Fix(f"ask for {reaches}", None, True),
            Fix(f'let the server listen on both, for example by the host "{wildcard}"', None, True),
        ),
    )


def _of_other_family(evidence: Evidence, refused: Door) -> Listener | None:
    """A server in the same place that a client of the other family would reach in the same way."""
    if refused.home is None:
        return None
    for row in evidence.listening(refused.home):
        address = row.endpoint.address
        same_reach = is_wildcard(address) or (is_loopback(address) and is_loopback(refused.address))
        if _v6(address) != _v6(refused.address) and same_reach and row.container is None:
            return row
    return None


def _address(row: Listener | None, refused: Door, evidence: Evidence) -> str:
    address = row.endpoint.address if row else ""
    if not is_wildcard(address):
        return str(Endpoint(address, evidence.target.port))
    if is_loopback(refused.address):
        address = "127.0.0.1" if _v6(refused.address) else "::1"
        return str(Endpoint(address, evidence.target.port))
    return f"an {_names(refused.address)[1]} address"


def _names(address: str) -> tuple[str, str]:
    return ("IPv6", "IPv4") if _v6(address) else ("IPv4", "IPv6")


def _v6(address: str) -> bool:
    return ":" in address and not address.startswith("::ffff:")
