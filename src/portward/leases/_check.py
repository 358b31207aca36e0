"""Looks at the SQLite store slowly and from all sides, and says of what is wrong which remedy `_repair` has."""

from __future__ import annotations

import os
import stat
import time
from itertools import islice

from portward.errors import Unavailable
from portward.leases import _file, _queue, _rows, _salvage, _schema, _trouble
from portward.leases._database import sqlite3
from portward.model import StoreCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CLOCK_SLACK = 5.0
_MOST_TOLD = 3
_WASTE_BYTES = 8 << 20
_ABANDONED = 3600.0

BESIDE = ("", "-wal", "-shm", "-queue", "-copy")
"""What the names of the store's files add to that of the database."""

REBUILT = "it is set aside, and built anew from all that can be read of it and of its copy"
_RESTORED = "the store is built anew from its copy"
_COPIED = "the copy is made anew"
_OWNED = "owner and mode are put right"
_SWEPT = "they are removed"
_SHRUNK = "the log is written back, and the file made small again"


def check(path: str, now: float, patience: float) -> tuple[StoreCheck, ...]:
    """See `LeaseStore.check`."""
    return (*_places(path), *_told(path, _store(path, now, patience)), *_told(path, _beside(path, now, patience)))


def _told(path: str, checks: Iterator[StoreCheck]) -> Iterator[StoreCheck]:
    """The checks; one that cannot be made says why."""
    try:
        yield from checks
    except Unavailable as error:
        yield StoreCheck("store", False, error.message, error.hint)
    except sqlite3.Error as error:
        told = _trouble.of_sqlite(error, path, "cannot be read")
        yield StoreCheck("store", False, told.message, told.hint, REBUILT if _trouble.is_damage(error) else None)
    except OSError as error:
        told = _trouble.of_system(error, path, "cannot be read")
        yield StoreCheck("store", False, told.message, told.hint)


def _places(path: str) -> Iterator[StoreCheck]:
    """The file system, what is permitted there, and who has the queue."""
    folder = _trouble.existing(path)
    kind = _file.remote(folder)
    yield StoreCheck(
        "place",
        kind is None,
        f"{path}, on a local file system" if kind is None else f"{path} is on {kind}: other machines may share it",
        None if kind is None else "keep the leases on this machine: PORTWARD_STORE=sqlite:///PATH",
    )
    writable = os.access(folder, os.W_OK | os.X_OK) and (not os.path.exists(path) or os.access(path, os.R_OK | os.W_OK))
    refused = _trouble.refused(path, "no leases can be recorded")
    yield StoreCheck(
        "access", writable, "may be written" if writable else refused.message, None if writable else refused.hint
    )
    locker = _queue.locker(f"{path}-queue")
    stopped = locker is not None and _is_stopped(locker.rpartition(" ")[2])
    doing = (
        f"{locker} was stopped while it was writing: all others wait" if stopped else f"{locker} is writing just now"
    )
    pid = (locker or "").rpartition(" ")[2]
    yield StoreCheck(
        "queue",
        not stopped,
        doing if locker else "nobody is writing just now",
        f"let it go on: `kill -CONT {pid}`" if stopped else None,
    )


def _is_stopped(pid: str) -> bool:
    """Whether a process waits for a SIGCONT (field 3 of proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False


def _store(path: str, now: float, patience: float) -> Iterator[StoreCheck]:
    if os.path.lexists(path) and not os.path.isfile(path):
        yield StoreCheck("store", False, f"{path} is no file", "move away what has this name, or: PORTWARD_STORE=…")
    elif _file.identity(path) is None:
        copied = len(_salvage.readable(f"{path}-copy", _file.AS_IT_STANDS, patience).leases)
        yield StoreCheck(
            "store",
            not copied,
            f"{path} is gone; its copy has {copied} leases" if copied else f"{path}: nothing is leased yet",
            repair=f"{_RESTORED}: some of its leases may have been released since" if copied else None,
        )
    else:
        connection, _again = _file.connect_to_read(path, patience)
        try:
            yield from _contents(connection, path, now)
        finally:
            connection.close()


def _contents(connection: sqlite3.Connection, path: str, now: float) -> Iterator[StoreCheck]:
    problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    sound = problems == ["ok"]
    yield StoreCheck("integrity", sound, "whole" if sound else "; ".join(problems), repair=None if sound else REBUILT)
    version, newest = _schema.version(connection, path), len(_schema.MIGRATIONS)
    if version < newest:
        yield StoreCheck("version", True, f"tables of version {version}: the next use brings them to {newest}")
        return
    yield StoreCheck("version", True, f"tables of version {version}")
    if sound:
        wrong = list(islice(_rows.contradictions(connection), _MOST_TOLD + 1))
        told = "; ".join([*wrong[:_MOST_TOLD], *(["and more"] if wrong[_MOST_TOLD:] else [])])
        yield StoreCheck("rows", not wrong, told or "no lease contradicts another", repair=REBUILT if wrong else None)
    yield _size(connection, path)
    (latest,) = connection.execute("SELECT max(granted) FROM lease WHERE typeof(granted) = 'real'").fetchone()
    ahead = (latest or 0) - now
    yield StoreCheck(
        "clock",
        ahead <= _CLOCK_SLACK,
        "no lease is from the future" if ahead <= _CLOCK_SLACK else f"a lease is from {ahead:.0f} s in the future",
        None if ahead <= _CLOCK_SLACK else "the clock was set back: leases with a time to live last that much longer",
    )


def _size(connection: sqlite3.Connection, path: str) -> StoreCheck:
    """How much there is, and how much of the files is for nothing."""
    (leased,) = connection.execute("SELECT count(*) FROM lease").fetchone()
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    (empty,) = connection.execute("PRAGMA freelist_count").fetchone()
    size, log = os.stat(path).st_size, _size_of(f"{path}-wal")
    told = f"{leased} leases in {size >> 10} KiB"
    if page * empty > max(size // 2, _WASTE_BYTES):
        return StoreCheck("size", False, f"{told}, of which {page * empty >> 10} KiB are empty", repair=_SHRUNK)
    if log > max(size, _WASTE_BYTES):
        return StoreCheck("size", False, f"{told}, and {log >> 10} KiB in its log", repair=_SHRUNK)
    return StoreCheck("size", True, told)


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _beside(path: str, now: float, patience: float) -> Iterator[StoreCheck]:
    """Owners and modes, the copy, and what an interrupted process has left."""
    wrong = list(misowned(path))
    told = "; ".join(f"{each}: {why}" for each, why in wrong)
    may = not os.geteuid() or all(os.stat(each).st_uid == os.geteuid() for each, _why in wrong)
    yield StoreCheck(
        "owner",
        not wrong,
        told or "owners and modes are as they should be",
        None if may else f"`sudo chown {os.geteuid()} {' '.join(each for each, _why in wrong)}`",
        _OWNED if wrong and may else None,
    )
    yield _copy(path, now, patience)
    left = list(leftovers(path))
    yield StoreCheck(
        "leftovers",
        not left,
        f"left by an interrupted process: {', '.join(left)}" if left else "nothing is left of an interrupted process",
        repair=_SWEPT if left else None,
    )


def misowned(path: str) -> Iterator[tuple[str, str]]:
    """The files that are another's than the folder is, or open to others than they should be, and why."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return
    mode, owner = _file.mode_in(folder), os.stat(folder).st_uid
    for each in (path + suffix for suffix in BESIDE):
        try:
            status = os.stat(each)
        except OSError:
            continue
        if not stat.S_ISREG(status.st_mode):
            continue
        if status.st_uid != owner and mode == _file.PRIVATE:
            yield each, f"it belongs to user {status.st_uid}, its folder to {owner}"
        elif stat.S_IMODE(status.st_mode) != mode:
            yield each, f"it has mode {stat.S_IMODE(status.st_mode):o}, and should have {mode:o}"


def _copy(path: str, now: float, patience: float) -> StoreCheck:
    copy = f"{path}-copy"
    if _file.identity(copy) is None:
        return StoreCheck("copy", True, "none yet")
    try:
        connection = _file.connect(copy, patience, _file.AS_IT_STANDS)
        try:
            _file.require_whole(connection)
            (leased,) = connection.execute("SELECT count(*) FROM lease").fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return StoreCheck("copy", False, f"{copy} is damaged: {error}", repair=_COPIED)
    age = max(0, now - os.stat(copy).st_mtime)
    return StoreCheck("copy", True, f"{leased} leases, {age / 60:.0f} minutes old")


def leftovers(path: str) -> Iterator[str]:
    """Files that a process which was ended in the middle of its work has left, and that nobody will use."""
    for part in (f"{path}-new", f"{path}-copy-new"):
        for suffix in ("", "-wal", "-shm", "-journal"):
            if os.path.lexists(part + suffix) and time.time() - os.lstat(part + suffix).st_mtime > _ABANDONED:
                yield part + suffix
    if not os.path.lexists(path):
        yield from (path + suffix for suffix in ("-wal", "-shm") if os.path.lexists(path + suffix))
