"""The other hosts for which a port is leased too: which they are, and what listens there by their agents' word."""

from __future__ import annotations

from portward.errors import Unavailable, UsageError
from portward.leases import here
from portward.model import EVERYWHERE
from portward.truths.hosts import rows_on
from portward.wire import Malformed
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portward.leases import LeaseRequest, LeaseStore
    from portward.model import HostReport, Lease, Listener, Site, Transport


class Reach:
    """The hosts that were named, or `EVERYWHERE`. `ids` are what a lease says of them.

    Raises UsageError for a host that the fleet does not know, and where the store is one machine's; Unavailable for one that is not heard.
    """

    def __init__(self, store: LeaseStore, site: Site, hosts: Sequence[str]) -> None:
        if not store.is_shared:
            raise UsageError(
                f"the lease store {store.address} is this machine's alone: no other host keeps to it",
                hint="PORTWARD_STORE=etcd://… for a fleet",
            )
        from portward.leases import etcd, etcd_host  # needs an extra

        assert isinstance(store, etcd.EtcdStore)
        self._store = store
        reports = etcd_host.reports(store)
        if tuple(hosts) == EVERYWHERE:
            self.ids = EVERYWHERE
            self._others = [each for each in reports if each.host != site.host and each.alive]
        else:
            named = [_named(host, reports, site) for host in dict.fromkeys(hosts)]
            self.ids = tuple(sorted(dict.fromkeys(each.host if each else site.host for each in named)))
            self._others = [each for each in named if each and each.host != site.host]
        self._busy: set[tuple[int, Transport]] | None = None

    def acquire(
        self, requests: Sequence[LeaseRequest], is_free: Callable[[int, Transport], bool], now: float
    ) -> tuple[Lease, ...]:
        """As `LeaseStore.acquire`, of ports on which nobody listens on these hosts, as far as their agents have told."""
        return self._store.acquire(requests, lambda *port: is_free(*port) and not self._is_busy(*port), now)

    def _is_busy(self, port: int, transport: Transport) -> bool:
        if self._busy is None:
            self._busy = {(row.port, row.transport) for each in self._others for row in self._listeners(each)}
        return (port, transport) in self._busy

    def _listeners(self, report: HostReport) -> tuple[Listener, ...]:
        try:
            return tuple(row for row in rows_on(report, None) if row.netns is None)
        except Malformed as error:
            if self.ids == EVERYWHERE:
                return ()  # no host keeps all others from a port by nonsense
            raise Unavailable(f"{shown(report.name)}: what listens there is not known: {error}") from None


def _named(name: str, reports: Sequence[HostReport], site: Site) -> HostReport | None:
    """The host of an id or a name; None for this one without an agent."""
    found = [each for each in reports if each.host == name] or [each for each in reports if each.name == name]
    if not found and name in (site.host, here.name()):
        return None
    if len(found) != 1:
        ids = ", ".join(shown(each.host) for each in found)
        raise UsageError(
            f"{shown(name)} is the name of {len(found)} hosts: {ids}"
            if found
            else f"the fleet has no host {shown(name)}",
            hint="say which by its id"
            if found
            else "`portward ls --fleet` shows its hosts; `portward agent` there adds one",
        )
    (report,) = found
    if report.host != site.host and (not report.alive or report.problem):
        why = report.problem or "no agent is heard there"
        raise Unavailable(f"{shown(name)}: {why}", hint="what listens there is not known: start `portward agent` there")
    return report
