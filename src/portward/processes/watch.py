"""Whether a command that was started has its port: its own processes listen there, and nobody else does.

A server may move to another port by itself, somebody else may have got the port, and "localhost" may mean another server than
this one, if that one has the other address family.
"""

from __future__ import annotations

from enum import StrEnum

from portward.model import Listener, State
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

SETTLING = 3.0
"""Seconds that a command which already listens elsewhere is given to listen on its own port as well."""

PATIENCE = 60.0
"""Seconds after which no more is looked for a listener."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0


class Verdict(StrEnum):
    """What was found out about a command and its port.

    `OURS`: its processes listen there, nobody else. `SHARED`: so does somebody else, on another address. `LOST`: somebody else has the
    port, and the command does not. `MOVED`: it listens, but on other ports. `SILENT`: it does not listen at all.
    """

    OURS = "ours"
    SHARED = "shared"
    LOST = "lost"
    MOVED = "moved"
    SILENT = "silent"


class Sight(Record):
    """Who listens: on the port our own and strangers, on other ports our own. Connections and containers are not in it."""

    ours: tuple[Listener, ...] = ()
    strangers: tuple[Listener, ...] = ()
    elsewhere: tuple[Listener, ...] = ()


def sight(port: int, rows: Sequence[Listener], pids: Collection[int], is_ours: Callable[[Listener], bool]) -> Sight:
    """Sorts listeners by whose they are: of the processes `pids`, or ours for another reason (a container of the project).

    A socket whose owner is hidden is nobody's stranger: it may be our own child's, under another user.
    """

    def owned(row: Listener) -> bool:
        return any(process.pid in pids for process in row.processes) or is_ours(row)

    rows = [row for row in rows if row.netns is None and row.state is State.LISTEN]
    here = [row for row in rows if row.port == port]
    return Sight(
        ours=tuple(row for row in here if owned(row)),
        strangers=tuple(row for row in here if not owned(row) and (row.processes or row.container)),
        elsewhere=tuple(row for row in rows if row.port != port and owned(row)),
    )


class Watch:
    """Looks again and again, at growing intervals, until it knows. `verdict` is None as long as it does not.

    `now` are seconds of one monotonic clock. `moved` is told once and is not the end: a server may open its own port later.
    """

    def __init__(self, port: int, started: float) -> None:
        self.port = port
        self.verdict: Verdict | None = None
        self.seen = Sight()
        self._started = started
        self._pause = _FIRST_PAUSE
        self._since: dict[Verdict, float] = {}

    def pause(self, now: float) -> float | None:
        """Seconds until the next look, None when there will be none."""
        if self.verdict not in (None, Verdict.MOVED) or now - self._started > PATIENCE:
            return None
        return self._pause

    @property
    def confirmed(self) -> bool:
        """Whether the command has been seen to listen on its port."""
        return self.verdict in (Verdict.OURS, Verdict.SHARED)

    def look(self, seen: Sight, now: float) -> Verdict | None:
        """Takes in what is seen now. Returns the verdict when it is new."""
        self.seen = seen
        self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)
        verdict = self._judge(now)
        if verdict == self.verdict:
            return None
        self.verdict = verdict
        return verdict

    def _judge(self, now: float) -> Verdict | None:
        if self.seen.ours:
            return Verdict.SHARED if self.seen.strangers else Verdict.OURS
        for verdict, rows in ((Verdict.LOST, self.seen.strangers), (Verdict.MOVED, self.seen.elsewhere)):
            if not rows:
                self._since.pop(verdict, None)
            elif now - self._since.setdefault(verdict, now) >= SETTLING:
                return verdict
        return Verdict.SILENT if self.verdict is None and now - self._started >= PATIENCE else self.verdict
