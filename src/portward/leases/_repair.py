"""Looks at the SQLite store slowly and from all sides, and rebuilds a damaged one from what can be read."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import suppress

from portward.errors import Unavailable
from portward.leases import _file, _queue, _schema, _trouble
from portward.model import StoreCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Rows = dict[tuple[Any, ...], tuple[Any, ...]]

_DAMAGED_KEPT = 3
_CLOCK_SLACK = 5.0
_ORDERS = ("host, netns, transport, port", "host DESC, netns DESC, transport DESC, port DESC")
_REPAIR = "`portward doctor --store` sets it aside, and rebuilds it from what can be read and from its copy"


def check(path: str, now: float, patience: float) -> tuple[StoreCheck, ...]:
    """See `LeaseStore.check`."""
    found = list(_places(path))
    try:
        if _file.identity(path) is None:
            return (*found, StoreCheck("store", True, f"{path} is not there yet: the first lease makes it"))
        connection, _again = _file.connect_to_read(path, patience)
        try:
            found += _contents(connection, path, now)
        finally:
            connection.close()
    except Unavailable as error:
        found.append(StoreCheck("store", False, error.message, error.hint))
    except sqlite3.Error as error:
        told = _trouble.of_sqlite(error, path, "cannot be read")
        found.append(StoreCheck("store", False, told.message, told.hint))
    except OSError as error:
        told = _trouble.of_system(error, path, "cannot be read")
        found.append(StoreCheck("store", False, told.message, told.hint))
    return tuple(found)


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
    yield StoreCheck("queue", True, f"{locker} is writing just now" if locker else "nobody is writing just now")


def _contents(connection: sqlite3.Connection, path: str, now: float) -> Iterator[StoreCheck]:
    problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    sound = problems == ["ok"]
    yield StoreCheck("integrity", sound, "whole" if sound else "; ".join(problems), None if sound else _REPAIR)
    (leased,) = connection.execute("SELECT count(*) FROM lease").fetchone()
    (latest,) = connection.execute("SELECT max(granted) FROM lease").fetchone()
    size = os.stat(path).st_size
    version = _schema.version(connection, path)
    yield StoreCheck("leases", True, f"{leased} leases, {size // 1024} KiB, tables of version {version}")
    ahead = (latest or 0) - now
    yield StoreCheck(
        "clock",
        ahead <= _CLOCK_SLACK,
        "no lease is from the future" if ahead <= _CLOCK_SLACK else f"a lease is from {ahead:.0f} s in the future",
        None if ahead <= _CLOCK_SLACK else "the clock was set back: leases with a time to live last that much longer",
    )
    copied = _changed(f"{path}-copy")
    age = "none yet" if copied is None else f"{max(0, now - copied) / 60:.0f} minutes old"
    yield StoreCheck("copy", True, age)


def _changed(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def repair(path: str, now: float, patience: float) -> tuple[str, ...]:
    """See `LeaseStore.repair`. Raises Unavailable where the system refuses, or the file is no lease store."""
    act = "cannot repair the lease store"
    if _file.identity(path) is None:
        return ()
    with _trouble.told(path, act), _queue.queue(path, act, patience):
        try:
            done = list(_modes(path))
            if not _is_whole(path, patience):
                done += _rebuilt(path, now, patience)
        except OSError as error:
            raise _trouble.of_system(error, path, act) from error
    return tuple(done)


def _modes(path: str) -> Iterator[str]:
    """Lets a group that shares the folder have the files, if they are ours."""
    mode = _file.mode_in(os.path.dirname(path))
    for each in (path, f"{path}-wal", f"{path}-shm", f"{path}-queue"):
        with suppress(FileNotFoundError):
            status = os.stat(each)
            if stat.S_IMODE(status.st_mode) != mode and os.geteuid() in (0, status.st_uid):
                os.chmod(each, mode)
                yield f"{each} has mode {mode:o} now"


def _is_whole(path: str, patience: float) -> bool:
    try:
        connection, _again = _file.connect_to_read(path, patience)
        try:
            return [row[0] for row in connection.execute("PRAGMA integrity_check(1)")] == ["ok"]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if not _trouble.is_damage(error):
            raise
        return False


def _rebuilt(path: str, now: float, patience: float) -> Iterator[str]:
    saved = _readable(path, "mode=rw", patience)
    copied = _readable(f"{path}-copy", _file.AS_IT_STANDS, patience)
    new = f"{path}-new"
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(new + suffix)
    _file.make(new)
    connection = _file.connect_to_write(new, patience)
    try:
        kept = _filled(connection, saved)
        added = _filled(connection, copied)
        _file.require_whole(connection)
    finally:
        connection.close()  # and its log is in it
    aside = f"{path}-damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    _exchange(path, new, aside)
    yield f"the damaged store is set aside as {aside}"
    if kept or added:
        yield f"rebuilt with {kept} leases that could be read, and {added} of its copy, some of which may have been released"
    else:
        yield "nothing of it could be read, and there is no copy: the store is empty now, and nobody has a port leased"


def _readable(path: str, flags: str, patience: float) -> Rows:
    """All rows that can be read, from both ends of the table, by their key."""
    rows: Rows = {}
    if _file.identity(path) is None:
        return rows
    connection = _file.connect(path, patience, flags)
    try:
        for order in _ORDERS:
            with suppress(sqlite3.DatabaseError):
                for row in connection.execute(f"SELECT {_schema.COLUMNS} FROM lease ORDER BY {order}"):
                    with suppress(ValueError, TypeError, AttributeError):  # damaged in itself
                        _schema.lease(row)
                        rows[row[:4]] = row
    finally:
        connection.close()
    return rows


def _filled(connection: sqlite3.Connection, rows: Rows) -> int:
    """How many of the rows are new: on a port, and for a holder, that has none yet."""
    connection.execute("BEGIN IMMEDIATE")
    statement = f"INSERT OR IGNORE INTO lease ({_schema.COLUMNS}) VALUES ({_schema.MARKS})"
    added = sum(connection.execute(statement, row).rowcount for row in rows.values())
    connection.execute("COMMIT")
    return added


def _exchange(path: str, new: str, aside: str) -> None:
    """Puts the new file in the place of the old one. The old one's log must be away by then: it would be applied to the new."""
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.rename(path + suffix, aside + suffix)
    os.link(path, aside)
    os.replace(new, path)
    folder, name = os.path.split(path)
    older = sorted(each for each in os.listdir(folder) if each.startswith(f"{name}-damaged-") and each.endswith("Z"))
    for each in older[:-_DAMAGED_KEPT]:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, each + suffix))
