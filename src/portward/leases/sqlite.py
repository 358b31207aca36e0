"""The lease store of one machine, in SQLite: for one user, or for a group of users (see `_file`).

A grant goes through these steps: the queue; is the file still the one that is open?; BEGIN IMMEDIATE; the binds; INSERT … ON
CONFLICT DO NOTHING; COMMIT; the next in the queue is let in; the log is on the disk (see `_file.to_disk`); the answer. The primary
key is what a lease is on, so that the database itself refuses a second one.
"""

from __future__ import annotations

import _thread
import os
from contextlib import contextmanager, suppress

from portward.errors import Unavailable, UsageError
from portward.leases import _file, _schema, _trouble
from portward.leases._database import sqlite3
from portward.leases._grants import Grants, recalled
from portward.leases._ledger import SqliteLedger
from portward.leases._queue import at_the_head, last_look, note_look
from portward.model import Reclaimed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from typing import Any

    from portward.leases import LeaseRequest
    from portward.leases._reclaim import Judge
    from portward.model import Lease, Site, StoreCheck, Transport

    IsFree = Callable[[int, Transport], bool]

PATIENCE = 30.0
_BATCH = 500
_MOST_VALUES = 500
_inherited: list[sqlite3.Connection] = []
"""Connections of a parent process: to close one here would take the parent's locks and log away."""


class SqliteStore:
    """See `LeaseStore`. `path` is the database's file; `patience` is how long others are waited for, in seconds."""

    is_shared = False

    def __init__(self, address: str, path: str, patience: float = PATIENCE) -> None:
        self.address = address
        self.path = path
        self._patience = patience
        self._mutex = _thread.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, bool, tuple[int, int] | None] = (0, False, None)

    def recall(self, requests: Sequence[LeaseRequest], now: float) -> tuple[Lease, ...] | None:
        """See `LeaseStore.recall`."""
        for request in requests:
            request.validate()
        with self._reading("cannot read the leases") as connection:
            if connection is None:
                return None
            found: list[Lease] = []
            for request in requests:
                known = recalled(SqliteLedger(connection).held(request), request)
                if known is None:
                    return None
                found += known
        return tuple(found)

    def acquire(self, requests: Sequence[LeaseRequest], is_free: IsFree, now: float) -> tuple[Lease, ...]:
        """See `LeaseStore.acquire`."""
        if any(request.hosts for request in requests):
            raise UsageError(
                "a port of several hosts is leased in a store of many machines", hint="PORTWARD_STORE=etcd://…"
            )
        known = self.recall(requests, now)
        if known is not None:
            return known
        act = "cannot record a lease"
        self._copy(act, now)
        granted: list[Lease] = []

        def grant(connection: sqlite3.Connection) -> None:
            grants = Grants(SqliteLedger(connection), is_free, now)
            for request in requests:
                granted.extend(grants.granted(request, iter(request.offers)))

        try:
            self._write(act, grant)
        except sqlite3.Error as error:
            if not granted or not self._stands(granted):
                raise _trouble.of_sqlite(error, self.path, act) from error
        return tuple(granted)

    def _stands(self, granted: Sequence[Lease]) -> bool:
        """Whether the leases are recorded after all: a commit may fail when its work is done."""
        self.close()
        with suppress(Unavailable), self._reading("cannot read the leases") as connection:
            if connection is not None:
                here = f"SELECT 1 FROM lease WHERE {_schema.THIS}"
                return all(connection.execute(here, _schema.key(each)).fetchone() for each in granted)
        return False

    def release(self, leases: Iterable[Lease]) -> tuple[Lease, ...]:
        """See `LeaseStore.release`."""
        return self._each(leases, "cannot give a port back", _schema.DELETE, ())

    def renew(self, leases: Iterable[Lease], ttl: float, now: float) -> tuple[Lease, ...]:
        """See `LeaseStore.renew`."""
        change = f"UPDATE lease SET expires = ? WHERE {_schema.THIS} AND kind = 'ttl'"
        still = self._each(leases, "cannot renew a lease", change, (now + ttl,))
        return tuple(lease.replace(expires=now + ttl) for lease in still)

    def _each(self, leases: Iterable[Lease], act: str, statement: str, first: tuple[Any, ...]) -> tuple[Lease, ...]:
        """The leases that a statement found, all in one transaction."""
        asked = tuple(leases)
        found: list[Lease] = []

        def change(connection: sqlite3.Connection) -> None:
            here = (each for each in asked if connection.execute(statement, (*first, *_schema.key(each))).rowcount)
            found.extend(here)

        with _trouble.told(self.path, act):
            if asked and self._exists(act):
                self._write(act, change)
        return tuple(found)

    def leases(
        self,
        *,
        host: str | None = None,
        project: str | None = None,
        worktree: str | None = None,
        ports: Collection[int] | None = None,
    ) -> tuple[Lease, ...]:
        """See `LeaseStore.leases`."""
        named = {"host": host, "project": project, "worktree": worktree}
        wanted = {name: _schema.stored(value) for name, value in named.items() if value is not None}
        conditions, values = [f"{name} = ?" for name in wanted], list(wanted.values())
        few = ports if ports is not None and len(ports) <= _MOST_VALUES else None
        if few is not None:
            conditions.append(f"port IN ({', '.join('?' * len(few))})")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        with self._reading("cannot read the leases") as connection:
            if connection is None:
                return ()
            rows = connection.execute(
                f"{_schema.SELECT}{where} ORDER BY host, netns, port, transport", (*values, *(few or ()))
            ).fetchall()
            found = [_schema.lease(row) for row in rows]
        return tuple(found) if ports is few else tuple(lease for lease in found if lease.port in set(ports or ()))

    def reclaim(
        self, site: Site, is_dead: Callable[[Lease], str | None], is_free: IsFree, now: float
    ) -> tuple[Reclaimed, ...]:
        """See `LeaseStore.reclaim`."""
        from portward.leases._reclaim import Judge

        act = "cannot take leases back"
        with self._reading(act) as connection:
            if connection is None:
                return ()
            rows = connection.execute(f"{_schema.SELECT} WHERE host = ?", (site.host,)).fetchall()
        note_look(self.path, now)
        judge = Judge(site, is_dead, is_free, now)
        suspects = [lease for row in rows if judge.is_due(lease := _schema.lease(row), *row[-2:])]
        taken: list[Reclaimed] = []
        for start in range(0, len(suspects), _BATCH):  # others are let in between
            taken += self._judged(act, suspects[start : start + _BATCH], judge, now)
        return tuple(taken)

    def _judged(self, act: str, suspects: Sequence[Lease], judge: Judge, now: float) -> list[Reclaimed]:
        taken: list[Reclaimed] = []

        def take_back(connection: sqlite3.Connection) -> None:
            ledger = SqliteLedger(connection)
            for lease in suspects:
                taken.extend(ledger.judged(judge, lease, now))

        with _trouble.told(self.path, act):
            self._write(act, take_back)
        return taken

    def looked(self, host: str) -> float:
        """See `LeaseStore.looked`."""
        return last_look(self.path)  # of one machine

    def reclaimed(self, *, project: str | None = None) -> tuple[Reclaimed, ...]:
        """See `LeaseStore.reclaimed`."""
        where, values = ("", ()) if project is None else (" WHERE project = ?", (_schema.stored(project),))
        with self._reading("cannot read the leases") as connection:
            if connection is None:
                return ()
            rows = connection.execute(
                f"SELECT {_schema.COLUMNS}, why, at FROM reclaimed{where} ORDER BY id DESC", values
            ).fetchall()
            return tuple(Reclaimed(_schema.lease(row), *row[-2:]) for row in rows)

    def check(self, now: float) -> tuple[StoreCheck, ...]:
        """See `LeaseStore.check`."""
        from portward.leases import _check

        return _check.check(self.path, now, self._patience)

    def repair(self, now: float) -> tuple[str, ...]:
        """See `LeaseStore.repair`."""
        from portward.leases import _repair

        with self._mutex:
            self.close()
            return _repair.repair(self.path, now, self._patience)

    def close(self) -> None:
        """See `LeaseStore.close`."""
        with self._mutex:
            self._let_go()

    def _let_go(self) -> None:
        """Closes the connection. Whoever calls it has the mutex, or does the work of one who has."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._opened[0] == os.getpid():
                connection.close()
            else:
                _inherited.append(connection)

    def __del__(self) -> None:
        try:  # noqa: SIM105 (at the interpreter's end there is no `suppress` any more)
            self.close()
        except (AttributeError, TypeError):
            pass

    # Connections

    def _exists(self, act: str) -> bool:
        return self._identity(act) is not None

    def _identity(self, act: str) -> tuple[int, int] | None:
        try:
            return _file.identity(self.path)
        except OSError as error:
            raise _trouble.of_system(error, self.path, act) from error

    @contextmanager
    def _reading(self, act: str) -> Iterator[sqlite3.Connection | None]:
        """A connection to read by, None while there is no store."""
        with self._mutex, _trouble.told(self.path, act):
            identity = self._identity(act)
            if identity is None:
                yield None
                return
            if self._is_open(identity):
                yield self._connection
                return
            connection, again = _file.connect_to_read(self.path, self._patience)
            if _schema.version(connection, self.path) < len(_schema.MIGRATIONS):
                connection.close()
                self._write(act, lambda _connection: None)  # whoever writes brings it up to date
                yield self._connection
                return
            if not again:
                try:
                    yield connection
                finally:
                    connection.close()
                return
            self._keep(connection, False, identity)
            yield connection

    def _write(self, act: str, work: Callable[[sqlite3.Connection], None]) -> None:
        """A transaction at the head of the queue, committed and on the disk at the end, undone after an error."""

        def transaction() -> None:
            connection = self._writable(act)
            try:
                connection.execute("BEGIN IMMEDIATE")
                work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # it would hide the cause
                    if connection.in_transaction:  # SQLite has ended it itself where the disk is full
                        connection.rollback()
                raise

        with self._mutex:
            at_the_head(self.path, act, self._patience, transaction)
            try:
                _file.to_disk(self.path)
            except OSError as error:
                raise _trouble.of_system(error, self.path, act) from error

    def _writable(self, act: str) -> sqlite3.Connection:
        identity = self._identity(act)
        if identity is None:
            _file.create(self.path, act)
        elif self._is_open(identity):
            assert self._connection is not None
            if not self._opened[1]:  # to open the file again costs more than the grant
                _file.settle(self._connection)
                self._opened = (os.getpid(), True, identity)
            return self._connection
        self._let_go()
        connection = _file.connect_to_write(self.path, self._patience)
        self._keep(connection, True, self._identity(act))
        return connection

    def _is_open(self, identity: tuple[int, int]) -> bool:
        """Whether our connection is to the very file that has the name now: it may have been removed, or replaced."""
        pid, _, opened = self._opened
        return self._connection is not None and pid == os.getpid() and opened == identity

    def _keep(self, connection: sqlite3.Connection, writable: bool, identity: tuple[int, int] | None) -> None:
        self._let_go()
        self._connection = connection
        self._opened = (os.getpid(), writable, identity)

    def _copy(self, act: str, now: float) -> None:
        """Before something new is recorded: is the store whole, and is its copy recent?"""
        with self._reading(act) as connection:
            if connection is not None:
                _file.copy(connection, self.path, now)
