"""What can be read of a database in which not everything can be read."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from portward.leases import _file, _schema
from portward.leases._database import sqlite3
from portward.leases._rows import LOG, Rows, sensible
from portward.model import LAST_PORT

_ORDERS = ("host, netns, transport, port", "host DESC, netns DESC, transport DESC, port DESC")
_HEAD_BYTES = 100
_PAGES_AT = 28
"""Where the head of a database says how many pages it has, 4 bytes; the free ones follow, 8 (https://sqlite.org/fileformat.html)."""


def readable(path: str, flags: str, patience: float) -> Rows:
    """All that can be read of a database, around what is damaged in it. Nothing, if there is none."""
    found = Rows()
    if _file.identity(path) is None:
        return found
    connection = _file.connect(path, patience, flags)
    try:
        complete = [_collected(connection, f"ORDER BY {order}", found) for order in _ORDERS]
        found.complete = all(complete)
        if not found.complete:
            _between(connection, found)
        with suppress(sqlite3.DatabaseError):
            found.reclaimed += connection.execute(f"SELECT {LOG} FROM reclaimed ORDER BY id")
    finally:
        connection.close()
    return found


def _collected(connection: sqlite3.Connection, rest: str, found: Rows, *values: object) -> bool:
    """Adds the rows of a query as far as they can be read. Whether all could be."""
    try:
        for row in connection.execute(f"SELECT {_schema.COLUMNS} FROM lease {rest}", values):
            meant = sensible(row)
            if meant is not None:
                found.leases[meant[:4]] = meant
    except sqlite3.DatabaseError:
        return False
    return True


def _between(connection: sqlite3.Connection, found: Rows) -> None:
    """Adds what lies between two damaged pages, where reading from either end does not come: each port is asked for.

    The row in the tree above a damaged page is found only by a step back from the row behind it.
    """
    for site in {key[:3] for key in found.leases}:
        for port in range(1, LAST_PORT + 1):
            if (*site, port) not in found.leases:
                _collected(connection, f"WHERE {_schema.KEY}", found, *site, port)
    before = f"{_schema.KEY.removesuffix('= ?')}< ? ORDER BY port DESC LIMIT 1"
    for key in list(found.leases):
        _collected(connection, f"WHERE {before}", found, *key)


def behind_the_head(path: str, patience: float) -> Rows:
    """What stands behind a first page that is damaged: read from copies that have another one. Nothing, if that does not help."""
    part = f"{path}-new-head"
    found = Rows()
    try:
        for whole_page in (False, True):
            for suffix in ("", "-wal"):
                if os.path.exists(path + suffix):
                    _file.make(part + suffix)
                    shutil.copyfile(path + suffix, part + suffix)
            _give_head(part, whole_page)
            with suppress(sqlite3.DatabaseError):
                found = readable(part, "mode=rw", patience)
            if found.leases:
                return found
    finally:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(part + suffix)
    return found


def _give_head(path: str, whole_page: bool) -> None:
    """Writes the head, or all of the first page, as a new store has it: the tables begin at the same pages."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _schema.migrate(connection, path)
        first = connection.serialize()
    finally:
        connection.close()
    size = int.from_bytes(first[16:18], "big")
    pages = os.stat(path).st_size // size
    head = (
        first[:18] + b"\2\2" + first[20:_PAGES_AT] + pages.to_bytes(4, "big") + bytes(8) + first[_PAGES_AT + 12 : size]
    )
    with open(path, "r+b") as file:
        file.write(head if whole_page else head[:_HEAD_BYTES])
