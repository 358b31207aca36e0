"""Ends processes, and proves at the moment of each signal that they are the ones that were looked at.

A pid is reused. A pid file descriptor (pidfd_open(2)) is not: it means one process for good. It is opened first; then the process's start
is compared with what was seen, and the owners of the port are looked at once more. A process that was alive then, and whose
descriptor says that it has not ended since, is the one: it alone can get the signal.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import ExitStack, suppress

from portward.errors import Unavailable
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Self

    from portward.model import Process

    Holders = Callable[[], Collection[int]]

LAST_SECONDS = 5.0
"""What a process is given after the last signal: SIGKILL works at once, but for one that waits for a disk or a driver."""

_FAREWELL = 2.0  # seconds for what has let the port go, and finishes its last requests
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class Ended(Record):
    """What became of the processes that held a port.

    `signals` are those that were sent, in their order. `released` tells that none of the processes has the port any more; those in `alive`
    go on without it. `why` says what went wrong, `denied` that it was a lack of permission.
    """

    signals: tuple[str, ...] = ()
    released: bool = False
    alive: tuple[int, ...] = ()
    why: str | None = None
    denied: bool = False


class Handle:
    """One very process. Raises ProcessLookupError if it has ended, or its pid means another one now."""

    def __init__(self, process: Process) -> None:
        if not hasattr(os, "pidfd_open"):
            raise Unavailable("processes are stopped on Linux only", hint=f"`kill {process.pid}` ends this one")
        if process.start_ticks is None:
            raise Unavailable(f"the start of process {process.pid} cannot be seen, which tells it from others")
        self.pid = process.pid
        try:
            self._descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            raise
        except OSError as error:  # a kernel before 5.3, or a sandbox
            raise Unavailable(f"the kernel gives no hold on a process: {error.strerror}") from None
        if start_of(process.pid)[1] != process.start_ticks:
            os.close(self._descriptor)
            raise ProcessLookupError(f"{process.pid} is another process now")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._descriptor)

    @property
    def ended(self) -> bool:
        """Whether the process has ended; whoever started it may not have noticed yet."""
        return bool(_ended([self], 0))

    def fileno(self) -> int:
        return self._descriptor

    def send(self, name: str) -> bool:
        """Sends a signal; whether the process was still there. Raises PermissionError.

        One that is stopped (Ctrl-Z) is let go on, as it could not obey otherwise.
        """
        try:
            signal.pidfd_send_signal(self._descriptor, signal.Signals[name])
        except ProcessLookupError:
            return False
        if start_of(self.pid)[0] == "T":
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGCONT)
        return True


class Ending:
    """The end of some processes that hold a port. `holders` gives the pids of all that have the port at that moment.

    Those that `keeps_data` is said of are waited for until they have ended, others only a moment longer than they have the port.
    """

    def __init__(self, holders: Holders, *, keeps_data: bool = False) -> None:
        self._holders = holders
        self._keeps_data = keeps_data
        self._signals: list[str] = []

    def end(
        self, processes: Sequence[Process], roots: Sequence[Process], *, first: str, last: str | None, patience: float
    ) -> Ended:
        """Ends those of the processes that still have the port: first the roots, then who is left.

        Each gets the signal `first`, and after `patience` seconds `last`, if that is given. Returns as soon as they have ended, or
        a moment after they let the port go. Not promised: that nobody else takes the port then. Raises Unavailable where processes cannot be told apart.
        """
        with ExitStack() as stack:
            handles = {}
            for process in processes:
                try:
                    handles[process.pid] = stack.enter_context(Handle(process))
                except ProcessLookupError:
                    continue
            holding = self._still(handles.values())
            above = {process.pid for process in roots}
            groups = (
                [each for each in holding if each.pid in above],
                [each for each in holding if each.pid not in above],
            )
            try:
                for group in groups:
                    if not self._end(self._still(group), first, last, patience):
                        return self._told(handles.values(), f"still there {patience:g} s after {first}")
            except PermissionError:
                return self._told(handles.values(), "you are not permitted to end it", denied=True)
            if not self._signals:
                return Ended(why="it does not hold the port any more" if not holding else "it ended by itself")
            return self._told(handles.values(), None)

    def _still(self, handles: Collection[Handle]) -> list[Handle]:
        """Those that have the port now, and are alive after that was seen."""
        if not handles:
            return []
        holders = self._holders()
        return [handle for handle in handles if handle.pid in holders and not handle.ended]

    def _end(self, handles: list[Handle], first: str, last: str | None, patience: float) -> bool:
        if not handles or self._sent(handles, first, patience):
            return True
        return last is not None and self._sent([each for each in handles if not each.ended], last, LAST_SECONDS)

    def _sent(self, handles: list[Handle], name: str, patience: float) -> bool:
        """Sends a signal, and waits. Whether none of them has the port any more."""
        sent = [handle.send(name) for handle in handles]
        if any(sent):
            self._signals.append(name)
        end = time.monotonic() + patience
        pause = _FIRST_PAUSE
        while waiting := [each for each in handles if not each.ended]:
            left = end - time.monotonic()
            if left <= 0:
                return not self._still(waiting)
            if not _ended(waiting, min(left, pause)):
                pause = min(pause * 2, _LONGEST_PAUSE)
                if not self._keeps_data and pause == _LONGEST_PAUSE and not self._still(waiting):
                    end = min(end, time.monotonic() + _FAREWELL)
        return True

    def _told(self, handles: Collection[Handle], why: str | None, denied: bool = False) -> Ended:
        alive = tuple(sorted(each.pid for each in handles if not each.ended))
        return Ended(tuple(dict.fromkeys(self._signals)), why is None, alive, why, denied)


def _ended(handles: Sequence[Handle], seconds: float) -> list[Handle]:
    """Those that have ended, after at most so many seconds: a pid file descriptor can be read from then on."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
    return [handle for handle in handles if handle.fileno() in ready]


def start_of(pid: int) -> tuple[str, int | None]:
    """A process's state and its start in clock ticks after boot (fields 3 and 22 of proc_pid_stat(5)); ("", None) once it has gone."""
    fields = _stat(pid)
    return (fields[0].decode(), int(fields[19])) if fields else ("", None)


def has_terminal(pid: int) -> bool:
    """Whether a process has a controlling terminal (field 7 of proc_pid_stat(5))."""
    fields = _stat(pid)
    return bool(fields) and fields[4] != b"0"


def _stat(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.readall().rpartition(b")")[2].split()
    except OSError:
        return []
