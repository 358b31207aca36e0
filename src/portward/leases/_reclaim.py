"""The SQLite store's judgement on leases whose holders may be gone."""

from __future__ import annotations

from portward.leases import KEPT, SIGHTINGS, SPACING, _schema
from portward.model import LeaseKind, Reclaimed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from portward.model import Lease, Site, Transport

OUT_OF_TIME = "its time ran out"


def has_expired(lease: Lease, now: float) -> bool:
    """Whether the time of a lease has run out."""
    return lease.expires is not None and lease.expires <= now


class Judge:
    """Says of each lease of a host whether it is to be taken back. See `LeaseStore.reclaim`."""

    def __init__(
        self,
        site: Site,
        is_dead: Callable[[Lease], str | None],
        is_free: Callable[[int, Transport], bool],
        now: float,
    ) -> None:
        self._site = site
        self._is_dead = is_dead
        self._is_free = is_free
        self._now = now

    def is_due(self, lease: Lease, sightings: int, sighted: float) -> bool:
        """Whether there is something to record of a lease: that it was found gone, or is not gone after all."""
        if self._why_gone(lease) is None:
            return sightings > 0
        return self._at_once(lease) or not sightings or not 0 <= self._now - sighted < SPACING

    def judged(self, connection: sqlite3.Connection, suspect: Lease) -> Iterator[Reclaimed]:
        """Takes a lease back, or counts what was seen of it. It may have changed since it was suspected."""
        row = connection.execute(f"{_schema.SELECT} WHERE {_schema.THIS}", _schema.key(suspect)).fetchone()
        if row is None:
            return
        lease, before = _schema.lease(row), tuple(row[-2:])
        why = self._why_gone(lease)
        seen = self._seen(*before) if why else (0, 0.0)
        if why and (seen[0] >= SIGHTINGS or self._at_once(lease)):
            yield take_back(connection, lease, why, self._now)
        elif seen != before:
            statement = f"UPDATE lease SET sightings = ?, sighted = ? WHERE {_schema.THIS}"
            connection.execute(statement, (*seen, *_schema.key(lease)))

    def _why_gone(self, lease: Lease) -> str | None:
        """Why the holder is gone, None where that is not sure, or the port does not bind."""
        why = OUT_OF_TIME if has_expired(lease, self._now) else self._is_dead(lease)
        if why and self._is_within_reach(lease) and not self._is_free(lease.port, lease.transport):
            return None
        return why

    def _at_once(self, lease: Lease) -> bool:
        return self._is_within_reach(lease) and lease.kind is not LeaseKind.STICKY

    def _is_within_reach(self, lease: Lease) -> bool:
        return lease.netns == self._site.netns

    def _seen(self, sightings: int, sighted: float) -> tuple[int, float]:
        """Sightings and the time of the last one that counted, with this one."""
        if sightings and self._now - sighted < SPACING:
            return sightings, min(sighted, self._now)  # too soon to count; or the clock was set back
        return sightings + 1, self._now


def take_back(connection: sqlite3.Connection, lease: Lease, why: str, now: float) -> Reclaimed:
    """Deletes a lease, and remembers that it was; the oldest such memory goes."""
    connection.execute(_schema.DELETE, _schema.key(lease))
    connection.execute(
        f"INSERT INTO reclaimed (why, at, {_schema.COLUMNS}) VALUES (?, ?, {_schema.MARKS})",
        (why, now, *_schema.row(lease)),
    )
    connection.execute("DELETE FROM reclaimed WHERE id <= (SELECT max(id) FROM reclaimed) - ?", (KEPT,))
    return Reclaimed(lease, why, now)
