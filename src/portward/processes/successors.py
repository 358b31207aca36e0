"""What is started in the place of a process that has ended, by whoever started that one (Linux)."""

from __future__ import annotations

import time

from portward.processes.ending import start_of
from portward.processes.tree import descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portward.model import Process

_LONGEST_SECONDS = 10.0
_PAUSE = 0.05


class Parents:
    """Those above processes that are going to be ended, with the children that they have now.

    `above` gives for each process the pids of those of its ancestors that may start it again, nearest first.
    """

    def __init__(self, above: Mapping[Process, Sequence[int]]) -> None:
        self._above = above
        self._before = {parent: _children(parent) for parents in above.values() for parent in parents}

    def settle(self, ended: Sequence[Process], taken: Callable[[], bool], seconds: float) -> None:
        """Waits until `taken` says so, or nothing has been started for so many seconds; ten seconds at most.

        Does not wait where nobody is above. The time begins anew as long as a parent has not noticed the end yet, or has a new child, which may need a while to listen.
        """
        ended = [process for process in ended if self._above[process]]
        now = time.monotonic()
        end, limit = now + seconds, now + _LONGEST_SECONDS
        while ended and now < min(end, limit) and not taken():
            time.sleep(_PAUSE)
            now = time.monotonic()
            if any(map(self._is_unsettled, ended)):
                end = now + seconds

    def _is_unsettled(self, ended: Process) -> bool:
        unnoticed = start_of(ended.pid) == ("Z", ended.start_ticks)
        return unnoticed or any(_children(parent) - self._before[parent] for parent in self._above[ended])


def _children(parent: int) -> set[int]:
    return {pid for pid, row in descendants(parent).items() if row.parent == parent and not row.ended}
