"""The server's process: is it stopped by a signal, so that the kernel takes connections which nobody serves?"""

from __future__ import annotations

from portward.evidence import Evidence, Step
from portward.model import Fix
from portward.wording import command_line, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "process"


def check(evidence: Evidence) -> Iterator[Step]:
    for process in evidence.stopped:
        name = f"{shown(process.name)} {process.pid}"
        cause = f"{name} is stopped (Ctrl-Z, or SIGSTOP): the system takes connections for it, and it serves none"
        yield Step(
            NAME,
            False,
            f"{name} is in state T: {command_line(process)}",
            cause,
            (Fix("let it go on (fg in its shell)", f"kill -CONT {process.pid}", True),),
        )
        return
