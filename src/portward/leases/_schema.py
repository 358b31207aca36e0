"""The tables of the SQLite store: how they came to be, step by step, and how a row and a lease are the same."""

from __future__ import annotations

import os

from portward.errors import Unavailable
from portward.leases._database import sqlite3
from portward.model import Holder, Lease, LeaseKind, ProcessId, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

APPLICATION = 0x506F7274
"""Says that a database is a lease store (`PRAGMA application_id`): "Port"."""

_LEASE = """
    host TEXT NOT NULL, netns TEXT NOT NULL, transport TEXT NOT NULL, port INTEGER NOT NULL,
    project TEXT NOT NULL, worktree TEXT NOT NULL, service TEXT NOT NULL, instance TEXT NOT NULL, slot INTEGER NOT NULL,
    process TEXT NOT NULL, pid INTEGER, start_ticks INTEGER, uid INTEGER, user TEXT,
    kind TEXT NOT NULL, token TEXT NOT NULL, granted REAL NOT NULL, expires REAL, preferred INTEGER,
    boot TEXT NOT NULL, reason TEXT"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"""CREATE TABLE lease ({_LEASE},
            sightings INTEGER NOT NULL DEFAULT 0, sighted REAL NOT NULL DEFAULT 0,
            PRIMARY KEY (host, netns, transport, port)) WITHOUT ROWID""",
        """CREATE UNIQUE INDEX lease_holder ON lease
            (project, worktree, service, instance, process, slot, host, netns, transport)""",
        "CREATE INDEX lease_port ON lease (port)",
        f"CREATE TABLE reclaimed (id INTEGER PRIMARY KEY, why TEXT NOT NULL, at REAL NOT NULL, {_LEASE})",
        f"PRAGMA application_id = {APPLICATION}",
    ),
)
"""The steps from one version of the tables to the next (`PRAGMA user_version` counts them). A step is never changed."""

COLUMNS = (
    "host, netns, transport, port, project, worktree, service, instance, slot, process, pid, start_ticks, uid, user, "
    "kind, token, granted, expires, preferred, boot, reason"
)
MARKS = ", ".join("?" * len(COLUMNS.split(",")))

KEY = "host = ? AND netns = ? AND transport = ? AND port = ?"
THIS = f"{KEY} AND token = ?"
SELECT = f"SELECT {COLUMNS}, sightings, sighted FROM lease"
DELETE = f"DELETE FROM lease WHERE {THIS}"
HOLDER = (
    "project = ? AND worktree = ? AND service = ? AND instance = ? AND process = ? "
    "AND host = ? AND netns = ? AND transport = ?"
)


def version(connection: sqlite3.Connection, path: str) -> int:
    """Which version the tables have, 0 for none yet. Raises Unavailable for a database that is not ours, or too new."""
    application, found, is_empty = _at_one_instant(connection)
    if application != APPLICATION and (application or found or not is_empty):
        raise Unavailable(
            f"{path} is the database of another program, not a lease store",
            hint="PORTWARD_STORE=sqlite:///PATH chooses another place for the leases",
        )
    if found > len(MIGRATIONS):
        raise Unavailable(
            f"{path} was made by a newer Portward (tables of version {found}; this one knows {len(MIGRATIONS)})",
            hint="upgrade this Portward, or keep its leases elsewhere: PORTWARD_STORE=sqlite:///PATH",
        )
    return found


def _at_one_instant(connection: sqlite3.Connection) -> tuple[int, int, bool]:
    """The application, the version, and whether there are no tables: in one transaction, for they may just be being made."""
    own = not connection.in_transaction
    if own:
        connection.execute("BEGIN")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    finally:
        if own and connection.in_transaction:
            connection.rollback()
    return int(application), int(found), tables is None


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Brings the tables to the newest version, each step whole or not at all. The caller has the queue."""
    for number in range(version(connection, path), len(MIGRATIONS)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.rollback()


def row(lease: Lease) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    process = lease.holder.process
    return (
        *(lease.host, lease.netns, lease.transport.value, lease.port),
        *holder_values(lease.holder)[:4],
        *(lease.index, process_key(process)),
        *((process.pid, process.start_ticks) if process else (None, None)),
        *(lease.holder.uid, lease.holder.user),
        *(lease.kind.value, lease.token, lease.granted, lease.expires, lease.preferred, lease.boot, lease.reason),
    )


def lease(values: Sequence[Any]) -> Lease:
    """The lease of a row of `COLUMNS`; more values may follow. Raises sqlite3.Error, as for a damaged file, for what is none."""
    try:
        return _lease(values)
    except (ValueError, TypeError, AttributeError) as error:
        told = sqlite3.DatabaseError(f"what stands for port {values[3]!r} is no lease: {error}")
        told.sqlite_errorname = "SQLITE_CORRUPT"
        raise told from error


def _lease(values: Sequence[Any]) -> Lease:
    host, netns, transport, port, project, worktree, service, instance, slot, process, pid, ticks, uid, user = values[
        :14
    ]
    kind, token, granted, expires, preferred, boot, reason = values[14:21]
    who = None
    if process:
        started, pidns = process.split(" ")[:2]
        who = ProcessId(started, pid, ticks, pidns)
    holder = Holder(_text(project), _text(worktree), _text(service), _text(instance), who, uid, user)
    return Lease(
        host, netns, Transport(transport), port, holder, LeaseKind(kind), token, granted, expires, preferred, slot, boot, reason
    )  # fmt: skip


def key(lease: Lease) -> tuple[str | int, ...]:
    """The values of `THIS`."""
    return lease.host, lease.netns, lease.transport.value, lease.port, lease.token


def holder_values(holder: Holder) -> tuple[str | bytes, ...]:
    """The first values of `HOLDER`."""
    named = (holder.project, holder.worktree, holder.service, holder.instance)
    return (*map(stored, named), process_key(holder.process))


def process_key(process: ProcessId | None) -> str:
    """A process as text: what makes it another holder. "" for none."""
    return f"{process.boot} {process.pidns} {process.pid} {process.start_ticks}" if process else ""


def stored(text: str) -> str | bytes:
    """A path is bytes to Linux: one that is not UTF-8 is stored as these."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def _text(stored: str | bytes) -> str:
    return os.fsdecode(stored) if isinstance(stored, bytes) else stored
