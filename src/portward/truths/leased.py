"""The leased truth as the verbs need it: which ports of this machine are promised, and to whom."""

from __future__ import annotations

import os

from portward.errors import Unavailable
from portward.model import Skipped
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from portward.leases import LeaseStore
    from portward.model import Lease, Listener, Settings
    from portward.truths.live import Live


class Promises(Record):
    """The leases that stand in this network namespace, seen from the working tree `worktree`; `skipped` says why some are missing."""

    worktree: str
    leases: tuple[Lease, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def of(self, port: int, transport: str) -> Lease | None:
        """Who was promised a port."""
        return next((lease for lease in self.leases if (lease.port, lease.transport) == (port, transport)), None)

    def is_mine(self, lease: Lease) -> bool:
        """Whether a lease is this working tree's."""
        return bool(self.worktree) and lease.holder.worktree == self.worktree

    def told(self, live: Live, row: Listener) -> Listener:
        """A listener with the services of this working tree that have its port leased, if it is what they started.

        That is: one of its processes, or a `portward run` that it descends from, was started in this working tree. Whoever else has the
        port has it against the lease.
        """
        lease = self.of(row.port, row.transport)
        if row.netns is not None or row.container is not None or lease is None or not self.is_mine(lease):
            return row
        if not any(self._is_started_here(live, row, index) for index in range(len(row.processes))):
            return row
        return row.replace(leased_to=(lease.holder.service,))

    def _is_started_here(self, live: Live, row: Listener, index: int) -> bool:
        process = row.processes[index]
        if f"{process.cwd}/".startswith(f"{self.worktree}/"):
            return True
        return any(
            {"portward", "run"} <= {os.path.basename(word) for word in above.command}
            and f"{above.cwd}/".startswith(f"{self.worktree}/")
            for above in live.sockets.ancestry(process)
        )


class Leased:
    """Reads the leases of this machine. `place` is the folder that is asked from, `settings` says which store is meant."""

    def __init__(
        self,
        place: str,
        settings: Callable[[str], Settings],
        environment: Mapping[str, str],
        clock: Callable[[], float],
        store_at: Callable[[str], LeaseStore],
    ) -> None:
        self._place = place
        self._settings = settings
        self._environment = environment
        self._clock = clock
        self._store_at = store_at

    def promises(self, ports: Collection[int] | None = None) -> Promises:
        """The leases that stand now, all of them or those on the given ports. A store that cannot be read is told as skipped."""
        from portward.leases import address, is_there
        from portward.workspace import checkout

        worktree = checkout(self._place).worktree if self._place else ""
        try:
            store = address(self._environment, self._settings("store").store)
            if not is_there(store):
                return Promises(worktree)
            from portward.leases import here

            kept = self._store_at(store)
            site, now = here.site_in(kept, self._environment), self._clock()
            leases = tuple(
                as_seen(lease, site.host)
                for lease in kept.leases(host=site.host, ports=ports)
                if lease.keeps(site.host, site.netns) and (lease.expires is None or lease.expires > now)
            )
        except Unavailable as error:
            return Promises(worktree, skipped=(Skipped("leases", error.message),))
        return Promises(worktree, leases)


def as_seen(lease: Lease, host: str) -> Lease:
    """A lease as it is told on a host: the folders of another one are `HOST:FOLDER`, and nobody's here."""
    if lease.host == host:
        return lease
    holder = lease.holder
    project, worktree = (f"{lease.host}:{folder}" for folder in (holder.project, holder.worktree))
    return lease.replace(holder=holder.replace(project=project, worktree=worktree))
