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
from contextlib import contextmanager, suppress
from struct import pack

from portward.errors import Unavailable
from portward.leases import _file, _trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SET: int | None = None
_SET_AND_WAIT: int | None = None
if sys.platform == "linux":  # elsewhere `struct flock` has its fields in another order
    _SET, _SET_AND_WAIT = fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW


@contextmanager
def queue(path: str, act: str, patience: float) -> Iterator[None]:
    """Waits for its turn to write, `patience` seconds at most. Makes the folder where there is none."""
    try:
        descriptor = _at_the_head(f"{path}-queue", patience)
    except OSError as error:
        raise _trouble.of_system(error, path, act) from error
    try:
        yield
    finally:
        os.close(descriptor)


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


def _at_the_head(path: str, patience: float) -> int:
    """A descriptor of the queue's file: whoever has it may write, until it is closed."""
    while True:
        descriptor = _opened(path)
        try:
            _wait(descriptor, path, patience)
            if _is_still(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # removed meanwhile: others queue at a new file of that name


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


def _wait(descriptor: int, path: str, patience: float) -> None:
    """Waits with an end: a process that was stopped in the middle must not stop all others for ever."""
    place = _place_in_line(descriptor)
    try:
        _come_up(descriptor, place, wait=False)
    except BlockingIOError:
        pass
    else:
        return
    own = os.dup(descriptor)  # the same locks: if we have given up by then, closing it lets the next one in
    waiting = _thread.allocate_lock()
    waiting.acquire()
    failures: list[OSError] = []

    def wait() -> None:
        try:
            _come_up(own, place, wait=True)
        except OSError as error:
            failures.append(error)
        finally:
            os.close(own)
            waiting.release()

    _thread.start_new_thread(wait, ())
    if not waiting.acquire(timeout=patience):
        raise Unavailable(
            f"the lease store is busy: {locker(path) or 'another process'} has kept {path} for {patience:g} s",
            hint="if it was stopped, let it go on (`kill -CONT PID`) or end it",
        )
    if failures:
        raise failures[0]


def _place_in_line(descriptor: int) -> int:
    """The number of the byte that is ours: later ones are behind us."""
    while True:
        place = time.monotonic_ns()
        if _SET is None:
            return place
        try:
            _lock_bytes(descriptor, _SET, fcntl.F_WRLCK, place, 1)
        except BlockingIOError:  # taken in the same instant, or one is served already who came after us
            continue
        return place


def _come_up(descriptor: int, place: int, *, wait: bool) -> None:
    """Returns when all before us have gone. Raises BlockingIOError if somebody is there, and we are not to wait."""
    if _SET is not None and _SET_AND_WAIT is not None:
        _lock_bytes(descriptor, _SET_AND_WAIT if wait else _SET, fcntl.F_RDLCK, 0, place)
    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_bytes(descriptor: int, command: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(descriptor, command, pack("hhqqi", kind, os.SEEK_SET, start, length, 0))
