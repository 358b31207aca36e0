"""What the project says of the port: is the service that should be there started at all?"""

from __future__ import annotations

from portward.evidence import Evidence, Step
from portward.model import Fix, Refusal
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "service"


def check(evidence: Evidence) -> Iterator[Step]:
    declared, port = evidence.declared, evidence.target.port
    if declared is None:
        return
    service = shown(declared.service)
    if evidence.reached:
        if declared.whose == "mine" and declared.runs:
            yield Step(NAME, True, f"{port} is {service}'s, and this checkout's own answers there")
        return
    here = {door.home for door in evidence.doors}
    if (
        any(True for home in here if home is not None for _ in evidence.listening(home))
        or evidence.own_container() is not None
    ):
        return  # who has that number in another network namespace is another's
    detail = f"{port} is {service}'s by this project's files, and nothing has it"
    if evidence.may_bind is Refusal.NOT_PERMITTED:
        cause = (
            f"{service} is not running, and you may not bind {port}: ports below 1024 need root or CAP_NET_BIND_SERVICE"
        )
        yield Step(
            NAME,
            False,
            detail,
            cause,
            (
                Fix("move it above 1023", f"portward set {service}={port + 8000} --write", True),
                Fix(
                    "run it behind a proxy, or as a systemd unit with AmbientCapabilities=CAP_NET_BIND_SERVICE",
                    None,
                    True,
                ),
            ),
        )
    elif declared.compose and declared.exists is False:
        cause = f"the service {service} has not been started: it has no container"
        yield Step(NAME, False, detail, cause, (Fix("start it", f"docker compose up -d {service}", True),))
    elif not declared.compose:
        cause = f"{service} is not running: nothing has port {port}"
        yield Step(
            NAME, False, detail, cause, (Fix("start it with its port", f"portward run {service} -- COMMAND", True),)
        )
