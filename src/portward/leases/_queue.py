"""The queue of those who write the SQLite store: first come, first served, whatever ends one of them.

SQLite alone only polls, and lets some wait for seconds. A lock on a file (flock(2)) lets one in at a time, but whoever gives it back and
wants it again at once is faster than those who sleep. So each takes a place in line first: it locks one byte of the file, the
one whose number is the time, and waits until no byte before it is locked (open file description locks, fcntl_locking(2)). The kernel
frees all that a process had when it ends. Where the system has no such locks, the lock on the file alone must do.
"""

from __future__ import annotations

import _thread
import fcntl
import os
import sys
import time
from contextlib import suppress
from struct import pack

from portward.errors import Unavailable
from portward.leases import _file, _trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    import _signal as signal  # without the enumerations around it: they take longer to load than a lock is waited for

_SET: int | None = None
_SET_AND_WAIT: int | None = None
if sys.platform == "linux":  # elsewhere `struct flock` has its fields in another order
    _SET, _SET_AND_WAIT = fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW


def at_the_head(path: str, act: str, patience: float, work: Callable[[], None]) -> None:
    """Calls `work` when it is our turn to write; that is waited for `patience` seconds at most. Makes the folder where there is none.

    Whoever is woken goes on at once, and none wakes another to do so: where more run than there are processors, each wake takes some
    milliseconds, and all behind us would wait for them too.
    """
    try:
        place = _Place(f"{path}-queue")
        if not place.come_up(wait=False):
            if not _can_be_interrupted():
                _work_in_a_thread(place, patience, work)
                return
            _wait(place, patience)
    except OSError as error:
        raise _trouble.of_system(error, path, act) from error
    try:
        work()
    finally:
        place.leave()


def last_look(path: str) -> float:
    """When the holders of all leases were looked at last: the queue's file has that time. Infinity where there is none."""
    try:
        return os.stat(f"{path}-queue").st_mtime
    except OSError:
        return float("inf")


def note_look(path: str, now: float) -> None:
    """Remembers that all holders are looked at now. Another user's file can be given the system's time alone (utime(2))."""
    with suppress(OSError):
        try:
            os.utime(f"{path}-queue", (now, now))
        except PermissionError:
            os.utime(f"{path}-queue")


def locker(path: str) -> str | None:
    """Who has a file locked, as far as proc_locks(5) tells it; None if nobody, or where that is not told."""
    with suppress(OSError, ValueError, IndexError):
        inode = f":{os.stat(path).st_ino}"
        with open("/proc/locks", encoding="ascii") as file:
            for words in map(str.split, file):
                if words[1] == "FLOCK" and words[5].endswith(inode):
                    return f"process {words[4]}" if int(words[4]) > 0 else "a process that is not visible here"
    return None


class _Place:
    """A place in line at the queue's file. Who has come up to the head may write, until he leaves. Raises OSError, having left."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._take()

    def _take(self) -> None:
        self._descriptor = _opened(self.path)
        try:
            self._number = self._numbered()
        except BaseException:
            self.leave()
            raise

    def _numbered(self) -> int:
        """The number of the byte that is ours: later ones are behind us."""
        while True:
            number = time.monotonic_ns()
            if _SET is None:
                return number
            try:
                _lock_bytes(self._descriptor, _SET, fcntl.F_WRLCK, number, 1)
            except BlockingIOError:  # taken in the same instant, or one is served already who came after us
                continue
            return number

    def come_up(self, *, wait: bool) -> bool:
        """Whether all before us have gone; if we are to wait, they have."""
        try:
            while True:
                if _SET is not None and _SET_AND_WAIT is not None:
                    _lock_bytes(self._descriptor, _SET_AND_WAIT if wait else _SET, fcntl.F_RDLCK, 0, self._number)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_still(self._descriptor, self.path):
                    return True
                self.leave()  # removed meanwhile: others queue at a new file of that name
                self._take()
        except BlockingIOError:
            return False
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Lets the next one in."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _Expired(Exception):
    """The time to wait is over."""


def _can_be_interrupted() -> bool:
    """Whether a timer can end our waiting: it interrupts the main thread alone, and its signal may be in use by the program."""
    if signal.getsignal(signal.SIGALRM) != signal.SIG_DFL or any(signal.getitimer(signal.ITIMER_REAL)):
        return False
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # as it is: only the main thread may
    except ValueError:
        return False
    return True


def _wait(place: _Place, patience: float) -> None:
    """Returns at the head. Raises Unavailable when a timer (setitimer(2)) ends the waiting: a lock has none of its own."""

    def expire(_number: int, _frame: object) -> None:
        raise _Expired

    signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, patience)
        place.come_up(wait=True)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except _Expired:
        place.leave()
        raise _busy(place.path, patience) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _busy(path: str, patience: float) -> Unavailable:
    return Unavailable(
        f"the lease store is busy: {locker(path) or 'another process'} has kept {path} for {patience:g} s",
        hint="if it was stopped, let it go on (`kill -CONT PID`) or end it",
    )


def _work_in_a_thread(place: _Place, patience: float, work: Callable[[], None]) -> None:
    """As `at_the_head`, where nothing can end our waiting: a thread waits and works, unless it is given up before."""
    turn = _Turn(place, work)
    if not turn.is_over(patience):
        raise _busy(place.path, patience)
    if turn.failure is not None:
        raise turn.failure


class _Turn:
    """A thread that waits for its turn, and works."""

    def __init__(self, place: _Place, work: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        self._place = place
        self._work = work
        self._deciding = _thread.allocate_lock()
        self._has_begun = self._is_given_up = False
        self._working = _thread.allocate_lock()
        self._working.acquire()
        _thread.start_new_thread(self._wait, ())

    def is_over(self, patience: float) -> bool:
        """Waits for the end of the work. False if it had not begun after so many seconds, and never will."""
        try:
            return self._working.acquire(timeout=patience) or not self._give_up()
        except BaseException:  # an interrupt: nothing goes on behind the caller's back
            self._give_up()
            raise

    def _give_up(self) -> bool:
        """Whether the work can still be given up; else waits for its end."""
        with self._deciding:
            self._is_given_up = not self._has_begun
        return self._is_given_up or not self._working.acquire()

    def _may_begin(self) -> bool:
        with self._deciding:
            self._has_begun = not self._is_given_up
        return self._has_begun

    def _wait(self) -> None:
        try:
            self._place.come_up(wait=True)
            if self._may_begin():
                self._work()
        except BaseException as error:  # noqa: BLE001 (it is the caller's, who raises it)
            self.failure = error
        finally:
            self._place.leave()
            self._working.release()


def _opened(path: str) -> int:
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        _file.make(path)


def _is_still(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _lock_bytes(descriptor: int, command: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(descriptor, command, pack("hhqqi", kind, os.SEEK_SET, start, length, 0))
