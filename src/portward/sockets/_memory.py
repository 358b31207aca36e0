"""Owners that were found a moment ago, by the cookies of their sockets: for programs that look again and again.

A cookie is the kernel's number of one socket until the machine is started anew (net/core/sock_diag.c), so that another socket on the
same port is never taken for it.
"""

from __future__ import annotations

import time

from portward.sockets import _proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portward.model import Listener
    from portward.sockets._netlink import SocketRow
    from portward.sockets._proc import Stamp


MANY = 100
"""Processes: from here it costs less to be told of all by the kernel than to look at each (`_owners.stamps`)."""


class Memory:
    """Rows with their owners, told again for so many seconds while the owners live and run the same program.

    Not known in that time: that another process got the socket too, or that an owner closed its own. Hence it is never asked where
    something is to be stopped.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._rows: dict[tuple[str | None, int], tuple[SocketRow, float, Listener]] = {}
        self._stamps: dict[int, Stamp | None] = {}

    @property
    def is_of_many(self) -> bool:
        """Whether many processes are remembered."""
        return len(self._stamps) >= MANY

    def recall(
        self, rows: Iterable[tuple[str | None, SocketRow]], stamp: Callable[[int], Stamp | None] = _proc.stamp
    ) -> dict[tuple[str | None, int], Listener]:
        """What is remembered of sockets, (network namespace, socket), and still true; forgets all other sockets.

        `stamp` is as `_proc.stamp`.
        """
        now, kept = self._clock(), {}
        stamps: dict[int, Stamp | None] = {}
        for netns, row in rows:
            key = netns, row.cookie
            entry = self._rows.get(key)
            if (
                entry
                and now - entry[1] <= self._seconds
                and _is_same(row, entry[0])
                and self._live(entry[2], stamps, stamp)
            ):
                kept[key] = entry
        self._rows, self._stamps = kept, stamps
        return {key: listener for key, (_, _, listener) in kept.items()}

    def keep(self, netns: str | None, row: SocketRow, listener: Listener) -> None:
        """Remembers a row that was just looked at, if somebody was seen to own it."""
        if not (row.cookie and listener.processes):
            return
        for process in listener.processes:
            if process.pid not in self._stamps:
                self._stamps[process.pid] = _proc.stamp(process.pid)
            if not _proc.is_of(process, self._stamps[process.pid]):
                return  # it became another program just now
        self._rows[netns, row.cookie] = row, self._clock(), listener

    def _live(self, listener: Listener, stamps: dict[int, Stamp | None], look: Callable[[int], Stamp | None]) -> bool:
        """Whether all owners are what they were. Each process is looked at once, by what is collected in `stamps`."""
        for process in listener.processes:
            if process.pid not in stamps:
                stamps[process.pid] = look(process.pid)
            stamp = stamps[process.pid]
            if stamp is None or stamp != self._stamps.get(process.pid):
                return False
        return True


def _is_same(row: SocketRow, before: SocketRow) -> bool:
    """Whether a socket is in the state that it was in."""
    return row.state == before.state and row.inode == before.inode
