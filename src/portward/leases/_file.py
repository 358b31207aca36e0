"""The files of the SQLite store: how they are made, opened and copied.

    PATH          the database; SQLite makes PATH-wal and PATH-shm beside it, with the same mode
    PATH-queue    empty; who has it locked may write (`_queue`)
    PATH-copy     the database as it was at most `COPY_AGE` seconds before the last grant

Folder and files are open to their owner alone. A folder that has the set-group-ID and the group's write bit (mode 2770) is
shared: then its group may read and write the files too.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from contextlib import suppress

from portward.errors import Unavailable
from portward.leases import _schema, _trouble
from portward.leases._database import sqlite3

COPY_AGE = 3600.0
AS_IT_STANDS = "mode=ro&immutable=1"
"""Reads a database without its locks and its log, where nobody writes it."""

_COPYING = 60.0
_WAL_BYTES = 1 << 20
_SHARED = stat.S_ISGID | stat.S_IWGRP
PRIVATE, FOR_GROUP = 0o600, 0o660
"""The modes of the store's files."""

_REMOTE = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x01021997: "9p",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x7461636F: "OCFS2",
    0x01161970: "GFS2",
}
"""File systems that other machines may have mounted too (statfs(2), linux/magic.h): they share files, but no memory."""


def identity(path: str) -> tuple[int, int] | None:
    """Which file has the name now: device and inode. None where there is none, or nothing in it yet."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_dev, status.st_ino) if status.st_size else None


def mode_in(folder: str) -> int:
    """The mode of the store's files in a folder."""
    return FOR_GROUP if os.stat(folder).st_mode & _SHARED == _SHARED else PRIVATE


def make(path: str) -> None:
    """Makes an empty file with its final mode, and its folder, unless it is there: SQLite would not care for the group."""
    folder = os.path.dirname(path)
    os.makedirs(folder, 0o700, exist_ok=True)
    status, mode = os.stat(folder), mode_in(folder)
    if mode == PRIVATE and os.geteuid() and status.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EACCES, "the folder is another user's", folder)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, mode)  # whatever the umask is
            if not os.geteuid():
                os.fchown(descriptor, status.st_uid, -1)  # root makes it for whose folder it is, as SQLite does
        finally:
            os.close(descriptor)


def remote(folder: str) -> str | None:
    """The kind of file system a folder is on, where other machines may have it too; None for a local one."""
    if sys.platform != "linux":
        return None
    import ctypes

    answer = ctypes.create_string_buffer(256)  # f_type is the first word of struct statfs, which is shorter
    if ctypes.CDLL(None).statfs(os.fsencode(folder), answer):
        return None
    word = ctypes.sizeof(ctypes.c_long)
    return _REMOTE.get(int.from_bytes(answer.raw[:word], sys.byteorder) & 0xFFFFFFFF)


def create(path: str, act: str) -> None:
    """Makes the database's file. The caller has the queue. Raises Unavailable, also on a file system that SQLite cannot share."""
    folder = os.path.dirname(path)
    kind = remote(folder)
    if kind:
        raise Unavailable(
            f"{act}: {folder} is on {kind}, which other machines may share, and SQLite's log works on one machine only",
            hint=f"PORTWARD_STORE=sqlite:////var/tmp/portward-{os.getuid()}/leases.db keeps the leases on this machine",
        )
    try:
        for beside in ("-wal", "-shm"):  # of a database that was removed: they would be taken for this one's
            with suppress(FileNotFoundError):
                os.unlink(path + beside)
        make(path)
    except OSError as error:
        raise _trouble.of_system(error, path, act) from error


def connect(path: str, patience: float, flags: str = "mode=rw") -> sqlite3.Connection:
    """A connection whose transactions are begun and ended by hand. SQLite itself makes no file at `path`."""
    plain = (chr(byte) if byte < 0x7F and byte not in b"%?#" else f"%{byte:02x}" for byte in os.fsencode(path))
    return sqlite3.connect(
        f"file://{''.join(plain)}?{flags}", uri=True, timeout=patience, isolation_level=None, check_same_thread=False
    )


def connect_to_write(path: str, patience: float) -> sqlite3.Connection:
    """A connection with the newest tables and the settings that a grant needs. The caller has the queue."""
    connection = connect(path, patience)
    try:
        _schema.version(connection, path)  # before anything is changed in a stranger's file
        settle(connection)
        _schema.migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def settle(connection: sqlite3.Connection) -> None:
    """Gives a connection to a database that is ours the settings that a grant needs. The caller has the queue."""
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # not at each commit: `to_disk`
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")


def to_disk(path: str) -> None:
    """Returns when all that was committed is on the disk. Raises OSError. The caller has left the queue.

    In WAL mode, synchronous=FULL is NORMAL and one sync of the log after each commit (sqlite.org/pragma.html#pragma_synchronous).
    SQLite does that sync while nobody else may write. Here those who wait are let in meanwhile, and one sync may do for several of
    them: under contention most of a grant was that wait. A log that is gone was written into the database, and synced, by the last who closed
    it. SQLite has no lock on the log, so closing another descriptor of it takes none away (fcntl_locking(2)).
    """
    try:
        descriptor = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        (os.fsync if sys.platform == "darwin" else os.fdatasync)(descriptor)
    finally:
        os.close(descriptor)


def connect_to_read(path: str, patience: float) -> tuple[sqlite3.Connection, bool]:
    """A connection to a database that is there, and whether it may be used again.

    Where nothing may be written beside the database, it is read as it stands, for this once.
    Raises sqlite3.Error, Unavailable for a database that is not ours or too new.
    """
    try:
        return _recognized(connect(path, patience), path), True
    except sqlite3.OperationalError as error:
        if not _trouble.is_refusal(error) or os.path.exists(f"{path}-wal"):
            raise
    return _recognized(connect(path, 0, AS_IT_STANDS), path), False


def _recognized(connection: sqlite3.Connection, path: str) -> sqlite3.Connection:
    try:
        _schema.version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def copy(connection: sqlite3.Connection, path: str, now: float) -> None:
    """Renews the copy if it is old and the database is whole. Raises sqlite3.Error if it is not whole.

    SQLite goes on using a file with a damaged page until it meets that page: this is where it is found in time. A copy that
    cannot be made now is made some other time.
    """
    target, part = f"{path}-copy", f"{path}-copy-new"
    with suppress(FileNotFoundError):
        if 0 <= now - os.stat(target).st_mtime < COPY_AGE:
            return
    if not _is_ours_to_make(part):
        return
    try:
        require_whole(connection)
        with suppress(OSError, sqlite3.Error):
            make(part)
            _copied(connection, part)
            os.utime(part, (now, now))
            os.replace(part, target)
    finally:
        with suppress(OSError):
            os.unlink(part)


def _is_ours_to_make(part: str) -> bool:
    """Whether nobody else is making the copy: not within the last minute."""
    with suppress(OSError):
        age = time.time() - os.stat(part).st_mtime
        if 0 <= age < _COPYING:
            return False
        os.unlink(part)
    return True


def _copied(connection: sqlite3.Connection, part: str) -> None:
    target = connect(part, 0)
    try:
        connection.backup(target)
    finally:
        target.close()
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_whole(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.Error, with the code of a damaged file, where `PRAGMA quick_check` finds something."""
    (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok":
        error = sqlite3.DatabaseError(sound)
        error.sqlite_errorname = "SQLITE_CORRUPT"
        raise error
