"""What went wrong with the SQLite store, as a person needs it told: the reason, and what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

from portward.errors import Unavailable
from portward.leases._database import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ELSEWHERE = "PORTWARD_STORE=sqlite:///PATH keeps the leases elsewhere"


@contextmanager
def told(path: str, act: str) -> Iterator[None]:
    """Turns errors of SQLite into Unavailable. `act` says what was not done: "cannot record a lease"."""
    try:
        yield
    except sqlite3.Error as error:
        raise of_sqlite(error, path, act) from error


def of_sqlite(error: sqlite3.Error, path: str, act: str) -> Unavailable:
    """The error for people. SQLite's codes: https://sqlite.org/rescode.html"""
    name = getattr(error, "sqlite_errorname", "")
    if is_damage(error):
        return damaged(path, str(error))
    if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and _is_full(path)):
        return full(path, act)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return refused(path, act)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")):
        return Unavailable(
            f"{act}: another program has had {path} locked for long ({error})",
            hint=f"`fuser -v {path}` shows who has it open",
        )
    if name.startswith("SQLITE_IOERR"):
        return Unavailable(f"{act}: the disk under {path} reports an error ({error}, {name})", hint=_ELSEWHERE)
    return Unavailable(f"{act}: {path}: {error}", hint="`portward doctor --store` looks at it")


def of_system(error: OSError, path: str, act: str) -> Unavailable:
    """The error for people, where the system refused a file of the store."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return full(path, act)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return refused(path, act)
    return Unavailable(f"{act}: {error.filename or path}: {error.strerror or error}", hint=_ELSEWHERE)


def full(path: str, act: str) -> Unavailable:
    """No space is left, or the quota is used up."""
    return Unavailable(
        f"{act}: the disk of {path} is full", hint=f"make space there; what is leased stays so. Or: {_ELSEWHERE}"
    )


def refused(path: str, act: str) -> Unavailable:
    """The file or its folder may not be written, or not even be read."""
    folder = existing(path)
    place = path if os.path.exists(path) else folder
    if _is_read_only(folder):
        return Unavailable(
            f"{act}: {place} is on a read-only file system",
            hint=f"in a sandbox, allow writing to {folder}; or {_ELSEWHERE}",
        )
    if not os.access(folder, os.X_OK):
        return Unavailable(f"{act}: not permitted to look into {folder}", hint=_ELSEWHERE)
    readable = not os.path.exists(path) or os.access(path, os.R_OK)
    return Unavailable(
        f"{act}: not permitted to {'write' if readable else 'read'} {place}{_owned(place)}",
        hint=f"{_ELSEWHERE}; for a store that a group shares, the folder has mode 2770 and that group",
    )


def damaged(path: str, what: str) -> Unavailable:
    """The file is no database, or not a whole one."""
    return Unavailable(
        f"the lease store {path} is damaged: {what}",
        hint="`portward doctor --store --write` sets it aside, and rebuilds it from what can be read and from its copy",
    )


def is_refusal(error: sqlite3.Error) -> bool:
    """Whether SQLite could not make the files beside a database that it reads, and so may read it only as it stands."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN"))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite found the file to be no database, or not a whole one."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT"))


def _is_full(path: str) -> bool:
    try:
        return os.statvfs(existing(path)).f_bavail == 0
    except OSError:
        return False


def _is_read_only(folder: str) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def existing(path: str) -> str:
    """The nearest folder above a path that is there."""
    folder = os.path.dirname(path)
    while folder != os.path.dirname(folder) and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _owned(path: str) -> str:
    """ ", which is alice's", where it is not ours."""
    try:
        uid = os.stat(path).st_uid
    except OSError:
        return ""
    if uid == os.geteuid():
        return ""
    import pwd

    try:
        return f", which belongs to {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f", which belongs to user {uid}"
