"""The SQLite store's transaction, as the grants and the judgement of every store use it: the statements behind each act."""

from __future__ import annotations

from portward.leases import KEPT, _schema
from portward.leases._database import sqlite3
from portward.model import Reclaimed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.leases import LeaseRequest
    from portward.leases._reclaim import Judge
    from portward.model import Lease, Site, Transport

_INSERT = f"INSERT INTO lease ({_schema.COLUMNS}) VALUES ({_schema.MARKS}) ON CONFLICT DO NOTHING"


class SqliteLedger:
    """See `_grants.Ledger`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def held(self, request: LeaseRequest) -> list[Lease]:
        """See `Ledger.held`."""
        site = request.site
        values = (*_schema.holder_values(request.holder), site.host, site.netns, request.transport.value)
        rows = self._connection.execute(f"{_schema.SELECT} WHERE {_schema.HOLDER} ORDER BY slot", values)
        return [_schema.lease(row) for row in rows]

    def at(self, site: Site, transport: Transport, port: int) -> Lease | None:
        """See `Ledger.at`."""
        where = f"{_schema.SELECT} WHERE {_schema.KEY}"
        row = self._connection.execute(where, (site.host, site.netns, transport.value, port)).fetchone()
        return None if row is None else _schema.lease(row)

    def add(self, lease: Lease) -> None:
        """See `Ledger.add`."""
        if not self._connection.execute(_INSERT, _schema.row(lease)).rowcount:
            raise sqlite3.IntegrityError(f"port {lease.port} is leased already")

    def confirm(self, lease: Lease) -> None:
        """See `Ledger.confirm`."""
        change = f"UPDATE lease SET kind = ?, expires = ? WHERE {_schema.THIS}"
        self._connection.execute(change, (lease.kind.value, lease.expires, *_schema.key(lease)))

    def drop(self, lease: Lease) -> None:
        """See `Ledger.drop`."""
        self._connection.execute(_schema.DELETE, _schema.key(lease))

    def take_back(self, lease: Lease, why: str, now: float) -> Reclaimed:
        """See `Ledger.take_back`. The oldest such memory goes."""
        self.drop(lease)
        self._connection.execute(
            f"INSERT INTO reclaimed (why, at, {_schema.COLUMNS}) VALUES (?, ?, {_schema.MARKS})",
            (why, now, *_schema.row(lease)),
        )
        self._connection.execute("DELETE FROM reclaimed WHERE id <= (SELECT max(id) FROM reclaimed) - ?", (KEPT,))
        return Reclaimed(lease, why, now)

    def judged(self, judge: Judge, suspect: Lease, now: float) -> Iterator[Reclaimed]:
        """Takes a lease back, or counts what was seen of it. It may have changed since it was suspected."""
        where = f"{_schema.SELECT} WHERE {_schema.THIS}"
        row = self._connection.execute(where, _schema.key(suspect)).fetchone()
        if row is None:
            return
        lease = _schema.lease(row)
        why, *seen = judge.verdict(lease, *row[-2:])
        if why:
            yield self.take_back(lease, why, now)
        elif seen != list(row[-2:]):
            statement = f"UPDATE lease SET sightings = ?, sighted = ? WHERE {_schema.THIS}"
            self._connection.execute(statement, (*seen, *_schema.key(lease)))
