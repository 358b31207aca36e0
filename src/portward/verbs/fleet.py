"""The verbs `ls`, `who`, `check` and `leases` over many hosts: what each says of itself, judged as this machine is.

What other hosts say is some seconds old, and only this machine can be asked by a bind: every answer tells which host said what, and when.
"""

from __future__ import annotations

import os

from portward import wire
from portward.answers import FleetCheck, FleetLeases, FleetReading, FleetWho, HostPort, Hosts
from portward.arguments import parse_port
from portward.errors import UsageError
from portward.model import Endpoint, HostReport, Listener, Reading, Refusal, Skipped, Snapshot, Transport, meet
from portward.truths.hosts import rows_on
from portward.truths.leased import as_seen
from portward.truths.live import holds, is_connection
from portward.verbs.looking import Query
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from portward.model import ComposeOptions, Finding, Lease, PortSpec, Project, RemoteHost, Settings
    from portward.truths import hosts
    from portward.truths.declared import Declared
    from portward.truths.hosts import Heard
    from portward.truths.leased import Promises
    from portward.truths.live import Live

    Seen = tuple[HostReport, tuple[Listener, ...]]

LARGEST_INVENTORY = 16 << 20
"""Characters."""

RULES = ("address-in-use", "claimed-by-other-project", "leased-to-another")
"""What is judged on each host: the rules that a host's own listeners and leases decide. The others are the same on every host."""


def targets(
    destinations: Sequence[str], inventories: Sequence[str]
) -> tuple[tuple[RemoteHost, ...], tuple[Skipped, ...]]:
    """The hosts that were named, and those of inventories (`FILE[:GROUP]`), each once; and those that cannot be asked.

    Raises UsageError for what is no host, or no file; InvalidFile for what is no inventory.
    """
    from portward import remote

    found = dict.fromkeys(map(remote.named, destinations))
    skipped: list[Skipped] = []
    for each in inventories:
        path, group = _file_and_group(each)
        for host in _read(path, group, skipped):
            try:
                remote.checked(host.destination)
                found[host] = None
            except UsageError as error:
                skipped.append(Skipped(f"host {shown(host.name)}", error.message))
    return tuple(found), tuple(skipped)


def _file_and_group(text: str) -> tuple[str, str | None]:
    """`FILE[:GROUP]`: a file of just this name has no group."""
    path, colon, group = text.rpartition(":")
    return (path, group or None) if colon and path and not os.path.exists(text) else (text, None)


def _read(path: str, group: str | None, skipped: list[Skipped]) -> tuple[RemoteHost, ...]:
    from portward.formats import inventory

    try:
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            with open(path, "rb") as file:
                if file.read(2) == b"#!":
                    raise UsageError(f"{path} is a program: inventories that are programs are not run")
        with open(path, encoding="utf-8") as file:
            text = file.read(LARGEST_INVENTORY + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="--inventory FILE[:GROUP]") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8") from None
    if len(text) > LARGEST_INVENTORY:
        raise UsageError(f"{path} is larger than {LARGEST_INVENTORY >> 20} MiB")
    found, unread = inventory.hosts(text, path, group)
    skipped += unread
    return found


class Fleet:
    """The verbs over the hosts that `source` hears."""

    def __init__(
        self,
        source: hosts.Hosts,
        live: Live,
        declared: Declared,
        promises: Callable[[], Promises],
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        self._live = live
        self._declared = declared
        self._promises = promises
        self._clock = clock

    def ls(self, queries: Sequence[str] = (), *, udp: bool = False, most: int | None = None) -> FleetReading:
        """Who listens on each host, as far as a query matches, as for `Portward.ls`.

        If all were asked for and there are more than `most`, only their number is told. Raises as `Portward.ls` does, and Unavailable
        where no host can be heard.
        """
        query = Query(self._live, queries, udp)
        heard = self._source.heard(udp=query.udp, listeners=True, leases=False)
        if most is not None and not queries and sum(len(report.listeners) for report in heard.reports) > most:
            return FleetReading(self._hosts(heard), None)
        seen, heard = _looked(heard, query.ports, query.words)
        rows = tuple(
            (report, row)
            for report, found in seen
            for row in found
            if (query.udp or row.transport is Transport.TCP) and query.wants(row)  # agents publish both
        )
        return FleetReading(self._hosts(heard), rows)

    def who(self, ports: Sequence[str]) -> FleetWho:
        """Who has the ports, and who was promised them, on each host. Raises as `Portward.who` does, and Unavailable as `ls`."""
        wanted = self._endpoints(ports)
        heard = self._source.heard(udp=_has_udp(wanted), listeners=True, leases=True)
        seen, heard = _looked(heard, {each.port for each in wanted})
        leases = self._by_place(heard)
        rows = [
            HostPort(report, endpoint, found, lease)
            for report, listeners in seen
            for endpoint in wanted
            for found in [tuple(row for row in listeners if row.endpoint.overlaps(endpoint) and not is_connection(row))]
            for lease in [leases.get((report.host, endpoint.port, endpoint.transport))]
            if found or lease
        ]
        return FleetWho(self._hosts(heard), tuple(wanted), tuple(rows))

    def leases(self) -> FleetLeases:
        """The leases of every host. Raises Unavailable where none can be heard."""
        heard = self._source.heard(udp=True, listeners=False, leases=True)
        ports = {lease.port for _, lease, live in heard.leases if live is None}
        seen, heard = _looked(heard, ports)
        names = {report.host: report.name for report in heard.reports}
        busy = {(report.host, row.port, row.transport) for report, rows in seen for row in rows if holds(row)}
        told = {report.host for report in heard.reports if report.alive and not report.problem}
        rows = []
        for host, lease, live in heard.leases:
            seen_here = (host, lease.port, lease.transport) in busy if host in told else None
            rows.append((names.get(host, host), lease, seen_here if live is None else live))
        rows.sort(key=lambda row: (row[0], row[1].port))
        return FleetLeases(self._hosts(heard), tuple(rows))

    def check_ports(self, ports: Sequence[str]) -> FleetCheck:
        """Whether each port is free on each host: on this machine by a bind, elsewhere by who listens there by its own word.

        Raises as `Portward.check_ports` does, and Unavailable as `ls`.
        """
        wanted = self._endpoints(ports)
        heard = self._source.heard(udp=_has_udp(wanted), listeners=True, leases=True)
        seen, heard = _looked(heard, {each.port for each in wanted})
        leases, worktree = self._by_place(heard), self._promises().worktree
        rows = tuple(
            self._port(report, endpoint, listeners, leases.get((report.host, endpoint.port, endpoint.transport)), heard)
            for report, listeners in seen
            for endpoint in wanted
        )
        findings = tuple((row.report, found) for row in rows if (found := self._finding(row, worktree)))
        return FleetCheck(self._hosts(heard), rows, findings)

    def _port(
        self, report: HostReport, endpoint: Endpoint, listeners: Sequence[Listener], lease: Lease | None, heard: Heard
    ) -> HostPort:
        found = tuple(row for row in listeners if row.endpoint.overlaps(endpoint) and not is_connection(row))
        if report.host == heard.own:
            refused = self._live.refusal(endpoint)
            lingers = refused is Refusal.IN_USE and self._live.only_lingers(endpoint, found)
            return HostPort(report, endpoint, found, lease, refused is None or lingers, "bind")
        if not report.alive or report.problem:
            return HostPort(report, endpoint, (), lease)
        return HostPort(report, endpoint, found, lease, not any(map(holds, found)), "published")

    def _finding(self, row: HostPort, worktree: str) -> Finding | None:
        """What to say of a port of a host that is not available there, or promised to another."""
        from portward.model import Finding, Severity
        from portward.wording import holder, leased

        holders = tuple(filter(holds, row.listeners))
        rule = "address-in-use"
        promised: tuple[Lease, ...] = ()
        if row.available is False:
            reason = f"held by {holder(holders[0], self._clock())}" if holders else "refused by the system"
            message = f"{row.endpoint}/{row.endpoint.transport} is not available: {reason}"
        elif row.lease is not None and (not worktree or row.lease.holder.worktree != worktree):
            rule, promised = "leased-to-another", (row.lease,)
            message = f"{row.endpoint}/{row.endpoint.transport} is {leased(row.lease, worktree)}"
        else:
            return None
        port, transport = row.endpoint.port, row.endpoint.transport
        return Finding(rule, Severity.ERROR, message, None, port, transport, (), holders, None, (), promised)

    def check(self, options: ComposeOptions | None = None) -> FleetCheck:
        """Whether the project fits on each host: its published ports against that host's listeners and leases.

        Raises as `Portward.check` does, and Unavailable as `ls`. Not judged: what a host does with ranges of ports, which only it knows.
        """
        from portward import rules
        from portward.verbs import survey

        settings = self._declared.settings()
        project = self._declared.project(options, settings=settings)
        wanted = survey.wanted(project)
        heard = self._source.heard(udp=_has_udp(wanted), listeners=True, leases=True)
        seen, heard = _looked(heard, {endpoint.port for endpoint in wanted})
        shared, leases = self._shared(project, settings), _by_host(heard, self._clock())
        snapshots = {
            report.host: self._own(project, settings)
            if report.host == heard.own
            else _snapshot(shared, rows, leases.get(report.host, ()))
            for report, rows in seen
            if report.alive and not report.problem
        }
        judged = {host: rules.verdict(snapshot, RULES).findings for host, snapshot in snapshots.items()}
        names = {finding.service for found in judged.values() for finding in found if finding.service}
        if names:
            free = self._offers(heard, snapshots, names)
            judged = {
                host: rules.verdict(snapshot.replace(free=free), RULES).findings if judged[host] else ()
                for host, snapshot in snapshots.items()
            }
        findings = tuple(
            (report, _for_host(finding)) for report in heard.reports for finding in judged.get(report.host, ())
        )
        fits: dict[str, bool | None] = {report.host: None for report in heard.reports}
        fits.update({host: not any(each.severity == "error" for each in found) for host, found in judged.items()})
        return FleetCheck(self._hosts(heard), (), findings, project, fits)

    def _own(self, project: Project, settings: Settings) -> Snapshot:
        """This machine's, by binds."""
        from portward.verbs import survey

        return survey.snapshot_of(self._live, project, settings, self._promises(), self._clock())

    def _shared(self, project: Project, settings: Settings) -> Snapshot:
        """What is the same on every host."""
        from portward import catalog

        ranges = {**catalog.DEFAULT_RANGES, **settings.ranges}
        worktree = self._promises().worktree
        return Snapshot(Reading(()), self._clock(), project, ranges=ranges, settings=settings, worktree=worktree)

    def _offers(self, heard: Heard, snapshots: dict[str, Snapshot], names: set[str]) -> Mapping[PortSpec | str, int]:
        """For each port of the named services one that nobody has on any host, as far as they say."""
        from portward.verbs import survey

        snapshot = next(iter(snapshots.values()))
        ports = {port for low in snapshot.ranges.values() for port in low}
        seen, _ = _looked(heard, ports)
        rows = tuple(row for _, found in seen for row in found if row.netns is None)
        everywhere = snapshot.replace(
            reading=Reading(rows), leases=tuple(lease for _, lease, _ in heard.leases), reserved=self._live.reserved()
        )
        return survey.offering(self._live, everywhere, names).free

    def _by_place(self, heard: Heard) -> dict[tuple[str, int, Transport], Lease]:
        return {
            (host, lease.port, lease.transport): lease
            for host, leases in _by_host(heard, self._clock()).items()
            for lease in leases
        }

    def _endpoints(self, ports: Sequence[str]) -> list[Endpoint]:
        return [
            Endpoint(host, port, argument.transport)
            for argument in map(parse_port, ports)
            for host in self._live.addresses(argument.host)
            for port in argument.ports
        ]

    def _hosts(self, heard: Heard) -> Hosts:
        return Hosts(heard.reports, heard.skipped, self._clock(), heard.own)


def _looked(heard: Heard, ports: Collection[int] | None, words: Collection[str] = ()) -> tuple[list[Seen], Heard]:
    """Each host with its listeners on the ports, as for `rows_on`. A host whose report cannot be read has none, and is named."""
    seen: list[Seen] = []
    skipped = list(heard.skipped)
    for report in heard.reports:
        try:
            seen.append((report, tuple(rows_on(report, ports, words))))
        except wire.Malformed as error:
            problem = f"what it published cannot be read: {error}"
            seen.append((report.replace(listeners=(), problem=problem), ()))
            skipped.append(Skipped(shown(report.name), shown(problem)))
    return seen, heard.replace(reports=tuple(report for report, _ in seen), skipped=tuple(skipped))


def _snapshot(shared: Snapshot, rows: tuple[Listener, ...], leases: Sequence[Lease]) -> Snapshot:
    """Another host: refused is what others have there, by its own word."""
    from portward.verbs import survey

    assert shared.project is not None
    refusals = {
        endpoint: Refusal.IN_USE
        for endpoint in survey.wanted(shared.project)
        if any(holds(row) and row.endpoint.overlaps(endpoint) for row in rows)
    }
    return shared.replace(reading=Reading(rows), refusals=refusals, leases=tuple(leases))


def _by_host(heard: Heard, now: float) -> dict[str, list[Lease]]:
    """The leases that stand on each host in the network namespace where its listeners are seen: the first one, and our own on this machine."""
    found: dict[str, list[Lease]] = {}
    for host, lease, _ in heard.leases:
        if lease.expires is not None and lease.expires <= now:
            continue
        if lease.netns == (heard.netns if host == heard.own else ""):
            found.setdefault(host, []).append(lease)
        if lease.hosts:
            others = (each.host for each in heard.reports if each.host != host and meet(lease.hosts, (each.host,)))
            for other in others:
                found.setdefault(other, []).append(as_seen(lease, other))
    return found


def _has_udp(endpoints: Sequence[Endpoint]) -> bool:
    return any(endpoint.transport is Transport.UDP for endpoint in endpoints)


def _for_host(finding: Finding) -> Finding:
    """A finding without the ways out that would have to be gone on that host: what is stopped here is not what is in the way there."""
    fixes = tuple(fix for fix in finding.fixes if fix.safe)
    return finding.replace(fixes=fixes, hint=fixes[0].title if fixes else None)
