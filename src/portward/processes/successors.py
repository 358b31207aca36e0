"""What is started in the place of a process that has ended, by whoever started that one (Linux)."""

from __future__ import annotations

import time

from portward.processes.ending import start_of
from portward.processes.tree import descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from portward.model import Process

_LONGEST_SECONDS = 10.0
_PAUSE = 0.05


class Parents:
    """The parents of processes that are going to be ended, with the children that they have now.

    The first process starts nothing again; the parents in `waiting` are told of by their pid, and not watched: they wait for us.
    """

    def __init__(self, processes: Sequence[Process], waiting: Collection[int]) -> None:
        self._waiting = waiting
        parents = {process.parent for process in processes} - {None, 1}
        self._before = {parent: _children(parent) for parent in parents if parent is not None}

    def settle(self, ended: Sequence[Process], taken: Callable[[], bool], seconds: float) -> None:
        """Waits until `taken` says so, or nothing has been started for so many seconds; ten seconds at most.

        The time begins anew as long as a parent has not noticed the end yet, or has a new child, which may need a while to listen.
        """
        ended = [process for process in ended if process.parent in self._before]
        watched = [process for process in ended if process.parent not in self._waiting]
        now = time.monotonic()
        end, limit = now + seconds, now + _LONGEST_SECONDS
        while ended and now < min(end, limit) and not taken():
            time.sleep(_PAUSE)
            now = time.monotonic()
            if any(map(self._is_unsettled, watched)):
                end = now + seconds

    def _is_unsettled(self, ended: Process) -> bool:
        assert ended.parent is not None
        unnoticed = start_of(ended.pid) == ("Z", ended.start_ticks)
        return unnoticed or bool(_children(ended.parent) - self._before[ended.parent])


def _children(parent: int) -> set[int]:
    return {pid for pid, row in descendants(parent).items() if row.parent == parent and not row.ended}
