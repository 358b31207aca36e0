"""What many hosts say of themselves: published in the fleet's store by their agents, or asked over SSH."""

from __future__ import annotations

from portward import wire
from portward.errors import Unavailable
from portward.model import HostReport, Skipped
from portward.records import Record
from portward.wording import age, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any, Protocol

    from portward.model import Lease, Listener, Reading, Site
    from portward.remote import Told

    Promised = tuple[str, Lease, bool | None]
    """The host, as in its report; a lease there; whether somebody has its port, None where that is to be seen from the listeners."""

    class Hosts(Protocol):
        """Where many hosts are heard."""

        def heard(self, *, udp: bool, listeners: bool, leases: bool) -> Heard:
            """What the hosts say of their listeners (with `udp`, UDP too), and of their leases. Raises Unavailable where none can be heard."""


class Heard(Record):
    """What was heard of many hosts, and what was not. `own` is the host that is this machine, which is looked at and not asked: from
    the network namespace `netns`.
    """

    reports: tuple[HostReport, ...]
    skipped: tuple[Skipped, ...] = ()
    leases: tuple[Promised, ...] = ()
    own: str | None = None
    netns: str = ""


class Published:
    """The hosts whose agents publish to the fleet's store; this machine is looked at now.

    An agent publishes what has changed: what a live host told last still is what its agent sees, within some seconds.
    """

    def __init__(
        self,
        site: Site,
        name: str,
        reports: Callable[[], Sequence[HostReport]],
        leases: Callable[[], Sequence[Lease]],
        look: Callable[[bool], Reading],
        clock: Callable[[], float],
    ) -> None:
        self._site = site
        self._name = name
        self._reports = reports
        self._leases = leases
        self._look = look
        self._clock = clock

    def heard(self, *, udp: bool, listeners: bool, leases: bool) -> Heard:
        """See `Hosts`. The leases of all hosts are read from the store itself."""
        own, unseen = self._own(udp)
        others = [_dated(each) for each in self._reports() if each.host != own.host]
        others.sort(key=lambda each: each.name)
        reports = (own, *others)
        silent = (Skipped(shown(each.name), why) for each in reports if (why := self._silence(each)))
        promised = tuple((lease.host, lease, None) for lease in self._leases()) if leases else ()
        return Heard(reports, (*silent, *unseen), promised, own.host, self._site.netns)

    def _own(self, udp: bool) -> tuple[HostReport, tuple[Skipped, ...]]:
        report = HostReport(self._site.host, self._name, self._site.boot, self._clock(), True)
        try:
            reading = self._look(udp)
        except Unavailable as error:
            return report.replace(problem=error.message), ()
        return report.replace(listeners=reading.listeners), reading.skipped

    def _silence(self, report: HostReport) -> str | None:
        """Why a report tells nothing of now."""
        if report.problem:
            return report.problem
        return (
            None
            if report.alive
            else f"no agent is heard there; it told of itself last {age(self._clock() - report.seen)} ago"
        )


def _dated(report: HostReport) -> HostReport:
    """The report, if it is of a time that there is; else with that as its problem."""
    if wire.moment(report.seen) is not None:
        return report
    return report.replace(seen=0.0, problem=report.problem or "it says that it is of no time that there is")


class Asked:
    """Hosts that are asked over SSH: their own `portward` answers."""

    def __init__(
        self, ask: Callable[[Sequence[str]], Sequence[Told]], skipped: Sequence[Skipped], clock: Callable[[], float]
    ) -> None:
        self._ask = ask
        self._skipped = tuple(skipped)
        self._clock = clock

    def heard(self, *, udp: bool, listeners: bool, leases: bool) -> Heard:
        """See `Hosts`. A host that fails hides no other."""
        reports: dict[str, HostReport] = {}
        skipped: list[Skipped] = []
        promised: list[Promised] = []
        if listeners:
            for told in self._ask(["ls", *(["--udp"] if udp else [])]):
                report, rows, unseen = self._read(told, "listeners", wire.read_listener)
                reports[report.host] = report.replace(listeners=rows)
                skipped += unseen
        if leases:
            for told in self._ask(["leases", "--all"]):
                report, rows, unseen = self._read(told, "leases", wire.read_lease)
                promised += [(report.host, *each) for each in rows]
                if reports.setdefault(report.host, report).problem is None or not listeners:
                    skipped += unseen
        if reports and all(report.problem for report in reports.values()):
            reasons = [f"{entry.what}: {entry.reason}" for entry in skipped]
            more = f", and {len(reasons) - 3} more" if len(reasons) > 3 else ""
            raise Unavailable(f"no host could be asked: {'; '.join(reasons[:3])}{more}")
        return Heard(tuple(reports.values()), (*self._skipped, *skipped), tuple(promised))

    def _read(
        self, told: Told, key: str, read: Callable[[object], Any]
    ) -> tuple[HostReport, tuple[Any, ...], list[Skipped]]:
        """A host, the rows that it told, and what it could not see; a document that cannot be read is a problem like any other."""
        report = HostReport(told.host.name, told.host.name, "", self._clock(), True)
        problem = told.problem
        if told.document is not None:
            try:
                rows = tuple(map(read, _rows(told.document, key)))
                unseen = map(wire.read_skipped, _rows({"skipped": [], **told.document}, "skipped"))
                return (
                    report,
                    rows,
                    [Skipped(shown(f"{report.name}: {each.what}"), shown(each.reason)) for each in unseen],
                )
            except wire.Malformed as error:
                problem = f"it answered what is no answer of portward: {shown(str(error))}"
        reason = f"{problem}; {told.hint}" if told.hint else str(problem)
        return report.replace(alive=False, problem=problem), (), [Skipped(shown(report.name), reason)]


def _rows(document: Mapping[str, Any], key: str) -> list[Any]:
    rows = document.get(key)
    if type(rows) is not list:
        raise wire.Malformed(f"{key} is not a list")
    return rows


def rows_on(report: HostReport, ports: Collection[int] | None, words: Collection[str] = ()) -> Iterator[Listener]:
    """A host's listeners on some ports, or all, at least those that mention one of the words. Raises Malformed where what it published is none."""
    if isinstance(report.listeners, wire.Unread):
        return report.listeners.on(ports, words)
    return (row for row in report.listeners if ports is None or row.port in ports)
