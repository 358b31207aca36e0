"""Which tables and rows of a store make sense, and how those that do are written into a new one."""

from __future__ import annotations

from contextlib import suppress

from portward.leases import _schema
from portward.leases._database import sqlite3
from portward.model import LAST_PORT, Lease, LeaseKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    Row = tuple[Any, ...]

_PORT = 3
_TOKEN = 15
_TOKEN_OF_RECLAIMED = 2 + _TOKEN
LOG = f"why, at, {_schema.COLUMNS}"


class Rows:
    """What could be read of a store: leases by their key, what was reclaimed, the oldest first, and whether that is all."""

    def __init__(self) -> None:
        self.leases: dict[Row, Row] = {}
        self.reclaimed: list[Row] = []
        self.complete = False


def sensible(values: Sequence[Any]) -> Row | None:
    """The row of a lease as it should be: the same one, or one without what contradicts the rest; None if it is no lease.

    No contradiction takes a lease from its holder: in doubt it is kept until it is released.
    """
    try:
        lease = _schema.lease(values)
        if not (
            type(lease.port) is int and 0 < lease.port <= LAST_PORT and lease.granted + 0 >= 0 and lease.index >= 0
        ):
            return None
        return _schema.row(_settled(lease))
    except (sqlite3.Error, ValueError, TypeError, AttributeError):
        return None


def _settled(lease: Lease) -> Lease:
    """A lease whose kind is what its end and its holder say."""
    if lease.holder.process is not None:
        return lease.replace(kind=LeaseKind.PROCESS, expires=None)
    if type(lease.expires) in (int, float) and lease.kind is LeaseKind.TTL:
        return lease
    return lease.replace(kind=LeaseKind.STICKY, expires=None)


def contradictions(connection: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with the tables and the rows in them, a sentence each. Raises sqlite3.Error where they cannot be read."""
    if _tables(connection) != _newest_tables():
        yield "the tables or indexes are not as Portward makes them"
    holders: dict[Row, int] = {}
    for row in connection.execute(f"SELECT {_schema.COLUMNS} FROM lease"):
        meant = sensible(row)
        if meant is None:
            yield f"what stands for port {row[_PORT]!r} cannot be read as a lease"
            continue
        if meant != tuple(row):
            yield f"the lease of port {row[_PORT]} contradicts itself in kind, end and process"
        other = holders.setdefault(_holder(meant), row[_PORT])
        if other != row[_PORT]:
            yield f"ports {other} and {row[_PORT]} are leased as one and the same port of a holder"


def _holder(row: Row) -> Row:
    """What no two leases have in common: the holder, its how manieth port, and where."""
    return (*row[4:10], *row[:3])


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    return {(kind, name, " ".join((sql or "").split())) for kind, name, sql in found}


def _newest_tables() -> set[tuple[str, str, str]]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        _schema.migrate(connection, ":memory:")
        return _tables(connection)
    finally:
        connection.close()


def fill(connection: sqlite3.Connection, saved: Rows, copied: Rows) -> tuple[int, int]:
    """Writes what could be read into a new store: how many leases of the old one, and how many more of its copy.

    Of the old one all are kept: two on one place of a holder become its first and its next. The copy is older: it is asked only if
    not all of the old one could be read, what its leases quarrel about was decided since, and what was reclaimed since stays so.
    """
    connection.execute("BEGIN IMMEDIATE")
    statement = f"INSERT OR IGNORE INTO lease ({_schema.COLUMNS}) VALUES ({_schema.MARKS})"
    kept = sum(connection.execute(statement, row).rowcount for row in _in_places(saved.leases.values()))
    gone = {row[_TOKEN_OF_RECLAIMED] for row in saved.reclaimed}
    older = [] if saved.complete else [row for row in copied.leases.values() if row[_TOKEN] not in gone]
    added = sum(connection.execute(statement, row).rowcount for row in older)
    for row in saved.reclaimed or copied.reclaimed:
        with suppress(sqlite3.IntegrityError):  # a memory that is damaged in itself
            connection.execute(f"INSERT INTO reclaimed ({LOG}) VALUES (?, ?, {_schema.MARKS})", row)
    connection.execute("COMMIT")
    return kept, added


def _in_places(rows: Iterable[Row]) -> Iterator[Row]:
    taken: set[Row] = set()
    for row in rows:
        place = row
        while _holder(place) in taken:
            place = (*place[:8], place[8] + 1, *place[9:])
        taken.add(_holder(place))
        yield place
