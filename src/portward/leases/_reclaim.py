"""The judgement of every store on leases whose holders may be gone."""

from __future__ import annotations

from portward.leases import SIGHTINGS, SPACING
from portward.leases._grants import OUT_OF_TIME, has_expired
from portward.model import LeaseKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.model import Lease, Site, Transport


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

    def verdict(self, lease: Lease, sightings: int, sighted: float) -> tuple[str | None, int, float]:
        """Why a lease is to be taken back, None if it is not (yet); and its sightings, with the time of the last that counted."""
        why = self._why_gone(lease)
        seen = self._seen(sightings, sighted) if why else (0, 0.0)
        is_over = why is not None and (seen[0] >= SIGHTINGS or self._at_once(lease))
        return (why if is_over else None, *seen)

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
