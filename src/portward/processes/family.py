"""The processes of one start: the command itself, and all that come from it."""

from __future__ import annotations

import os
from contextlib import suppress

from portward.processes.signals import ENDING
from portward.processes.tree import Descendant, descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Family:
    """A command and its processes, for the process that started it. `others` are the children that this had before.

    `status` is the command's exit status, None while it runs; `stopped` tells that it is stopped now (SIGTSTP, SIGSTOP), as far as `reap` has
    seen. `asked` tells that it was asked to end, `passed_on` is the signal that did so through us.
    """

    def __init__(self, pid: int, others: frozenset[int]) -> None:
        self.pid = pid
        self.status: int | None = None
        self.stopped = False
        self.asked = False
        self.passed_on: int | None = None
        self._others = others
        self._session = os.getsid(0)

    def reap(self) -> bool:
        """Takes note of all that has ended. Returns whether the command itself has stopped since the last time, and has not gone on."""
        changed = False
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
                if pid == 0:
                    break
                if pid != self.pid:
                    continue  # an orphan of the command's
                changed = True
                self.stopped = os.WIFSTOPPED(status)
                if not self.stopped and not os.WIFCONTINUED(status):
                    code = os.waitstatus_to_exitcode(status)
                    self.status = code if code >= 0 else 128 - code
        return changed and self.stopped

    def members(self) -> dict[int, Descendant]:
        """Those that are alive. Where the system does not tell, the command alone, while it runs."""
        found = descendants(os.getpid())
        alive = {pid: row for pid, row in found.items() if pid not in self._others and not row.ended}
        if self.status is None and self.pid not in alive:
            alive[self.pid] = Descendant(self.pid, os.getpid(), self._session, "?")
        return alive

    def waited_for(self) -> list[int]:
        """The command while it runs; then those that it left in our session. Daemons have a session of their own."""
        if self.status is None:
            return [self.pid]
        return [row.pid for row in self.members().values() if row.session == self._session]

    def pass_on(self, number: int) -> None:
        """Sends a signal to the command, or to those that it left behind."""
        if number in ENDING:
            self.asked, self.passed_on = True, number
        _send(self.waited_for(), number)

    def tell(self, number: int) -> None:
        """Sends a signal that asks for nothing to all of them."""
        _send(self.members(), number)


def _send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
