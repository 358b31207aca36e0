"""Puts the SQLite store right: a damaged one is built anew from what can be read, and the old file is kept beside it."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

from portward.leases import _check, _file, _queue, _rows, _salvage, _schema, _trouble
from portward.leases._database import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DAMAGED_KEPT = 3


def repair(path: str, now: float, patience: float) -> tuple[str, ...]:
    """See `LeaseStore.repair`. Raises Unavailable where the system refuses, or the file is no lease store."""
    act = "cannot repair the lease store"
    if not os.path.isdir(os.path.dirname(path)) or (os.path.lexists(path) and not os.path.isfile(path)):
        return ()
    done: list[str] = []

    def put_right() -> None:
        done.extend((*_owners(path), *_swept(path)))
        if _file.identity(path) is None:
            done.extend(_restored(path, patience))
        elif not _is_sound(path, patience):
            done.extend(_rebuilt(path, now, patience))
        else:
            done.extend(_shrunk(path, now, patience))

    with _trouble.told(path, act):
        try:
            _queue.at_the_head(path, act, patience, put_right)
        except OSError as error:
            raise _trouble.of_system(error, path, act) from error
    return tuple(done)


def _owners(path: str) -> Iterator[str]:
    """Gives the files the mode, and as root the owner, that they should have, where we may."""
    folder = os.path.dirname(path)
    for each, _why in list(_check.misowned(path)):
        if os.geteuid() not in (0, os.stat(each).st_uid):
            continue
        status, owner, mode = os.stat(each), os.stat(folder).st_uid, _file.mode_in(folder)
        if mode == _file.PRIVATE and status.st_uid != owner:
            os.chown(each, owner, -1)
            yield f"{each} belongs to user {owner} now"
        if stat.S_IMODE(status.st_mode) != mode:
            os.chmod(each, mode)
            yield f"{each} has mode {mode:o} now"


def _swept(path: str) -> Iterator[str]:
    for each in list(_check.leftovers(path)):
        os.unlink(each)
        yield f"{each} is removed: an interrupted process had left it"


def _is_sound(path: str, patience: float) -> bool:
    """Whether all of the file can be read, and nothing in it contradicts the rest."""
    try:
        connection, _again = _file.connect_to_read(path, patience)
        try:
            if [row[0] for row in connection.execute("PRAGMA integrity_check(1)")] != ["ok"]:
                return False
            if _schema.version(connection, path) < len(_schema.MIGRATIONS):
                return True
            return next(_rows.contradictions(connection), None) is None
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if not _trouble.is_damage(error):
            raise
        return False


def _restored(path: str, patience: float) -> Iterator[str]:
    """The store from its copy, where it is gone itself."""
    copied = _salvage.readable(f"{path}-copy", _file.AS_IT_STANDS, patience)
    if copied.leases:
        new, (_kept, added) = _built(path, _rows.Rows(), copied, patience)
        os.replace(new, path)
        yield f"the store was gone: it has the {added} leases of its copy again, some of which may have been released"


def _rebuilt(path: str, now: float, patience: float) -> Iterator[str]:
    saved = _saved(path, patience)
    copied = _salvage.readable(f"{path}-copy", _file.AS_IT_STANDS, patience)
    new, (kept, added) = _built(path, saved, copied, patience)
    aside = _unused_name(path, now)
    _exchange(path, new, aside)
    yield f"the damaged store is set aside as {aside}"
    if kept or added:
        yield f"rebuilt with {kept} leases that could be read, and {added} of its copy, some of which may have been released"
    else:
        yield "nothing of it could be read, and there is no copy: the store is empty now, and nobody has a port leased"


def _saved(path: str, patience: float) -> _rows.Rows:
    found = _salvage.readable(path, "mode=rw", patience)
    return found if found.leases else _salvage.behind_the_head(path, patience)


def _built(path: str, saved: _rows.Rows, copied: _rows.Rows, patience: float) -> tuple[str, tuple[int, int]]:
    """A new store beside the old one: its path, how many leases were saved, and how many more came from the copy."""
    new = f"{path}-new"
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(new + suffix)
    _file.make(new)
    connection = _file.connect_to_write(new, patience)
    try:
        counts = _rows.fill(connection, saved, copied)
        _file.require_whole(connection)
    finally:
        connection.close()  # and its log is in it
    return new, counts


def _unused_name(path: str, now: float) -> str:
    """A name for the old file. Two repairs in one second have two names."""
    aside = f"{path}-damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    return _unused_name(path, now + 1) if os.path.lexists(aside) else aside


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


def _shrunk(path: str, now: float, patience: float) -> Iterator[str]:
    """Puts right what a sound store has beside it: waste, and a copy that is damaged."""
    wrong = {check.name for check in _check.check(path, now, patience) if check.repair}
    if "size" in wrong:
        connection = _file.connect_to_write(path, patience)
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
        yield f"{path} has {os.stat(path).st_size >> 10} KiB now"
    if "copy" in wrong:
        os.unlink(f"{path}-copy")
        connection, _again = _file.connect_to_read(path, patience)
        try:
            _file.copy(connection, path, now)
        finally:
            connection.close()
        yield f"{path}-copy was damaged: it is made anew"
