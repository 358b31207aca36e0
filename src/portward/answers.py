"""What the verbs of `Portward` answer: records that `render` shows and that the library returns."""

from __future__ import annotations

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from portward.model import (
        Diagnosis,
        Endpoint,
        Finding,
        Fix,
        HostReport,
        Ignore,
        Lease,
        Listener,
        Location,
        PortSpec,
        PortState,
        Process,
        Project,
        Reading,
        Refusal,
        Service,
        Severity,
        Skipped,
        StoreCheck,
        Transport,
    )
    from portward.plan import Plan
    from portward.stops import Refused, Stop, StopPlan


class PortCheck(Record):
    """Whether one endpoint would be given to a new socket now: `available` is the bind's answer alone.

    `lease` is what promises the port to somebody. `listeners` are those in the way and those that claim the port; with other network namespaces, also who has it there.
    """

    endpoint: Endpoint
    available: bool
    refusal: Refusal | None
    listeners: tuple[Listener, ...]
    lease: Lease | None = None


class RuleDoc(Record):
    """A rule: its name, its severity by default, what it finds in one line, and the rest of its documentation."""

    name: str
    severity: Severity
    summary: str
    text: str


class Check(Record):
    """What `check` found, for ports or for a project (then `services` has its ports and their state).

    `elsewhere` are those who have the project's ports in other network namespaces, where they are not in the way.
    `ignored` are the findings that the settings ignore, each with the ignore and its reason.
    """

    ports: tuple[PortCheck, ...]
    findings: tuple[Finding, ...]
    reading: Reading
    project: Project | None = None
    services: tuple[ServiceReport, ...] = ()
    elsewhere: tuple[Listener, ...] = ()
    ignored: tuple[tuple[Finding, Ignore], ...] = ()
    unread: tuple[Skipped, ...] = ()

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What could not be read, of the machine or of the project."""
        return (*self.reading.skipped, *(self.project.skipped if self.project else ()), *self.unread)

    @property
    def rows(self) -> tuple[Listener, ...]:
        """The listeners that the answer rests on."""
        asked = (row for check in self.ports for row in check.listeners)
        return tuple(dict.fromkeys((*asked, *_holders(self.services))))

    def worst(self) -> Severity | None:
        """The severity of the worst finding, or None."""
        return max((finding.severity for finding in self.findings), key=lambda severity: severity.rank, default=None)


class PortReport(Record):
    """A port that a file writes, what it is now (None: a container's own port, or none at all), what the engine bound.

    `sign` says by what a running one is known to be ours: "labels", "lease", "command" or "protocol" (see `occupancy.sign`).
    `lease` is what promises it to somebody: the first of a range.
    """

    spec: PortSpec
    state: PortState | None
    holders: tuple[Listener, ...]
    bound: tuple[Endpoint, ...]
    sign: str | None = None
    lease: Lease | None = None


class ServiceReport(Record):
    """A service with the state of each of its ports."""

    service: Service
    ports: tuple[PortReport, ...]


class Services(Record):
    """What a project declares."""

    project: Project
    services: tuple[ServiceReport, ...]
    inactive: tuple[ServiceReport, ...]
    reading: Reading

    @property
    def rows(self) -> tuple[Listener, ...]:
        """The listeners that the answer rests on."""
        return tuple(dict.fromkeys(_holders(self.services)))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What could not be read, of the machine or of the project."""
        return (*self.reading.skipped, *self.project.skipped)


class Explanation(Record):
    """What `explain` found in a text: a diagnosis for each trouble with a port. `others` are troubles that are none of ports, by name."""

    diagnoses: tuple[Diagnosis, ...]
    others: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()


class Verified(Record):
    """Whose a port is: mine, other-worktree, other-project, stranger or nobody; and the listeners that tell it."""

    port: int
    whose: str
    listeners: tuple[Listener, ...]


class Checkup(Record):
    """What `doctor` found: whether the target can be used at all, each check as it is now, the first that fails as the cause.

    `done` is what was put right, a sentence each, and `found` the checks before that.
    """

    target: str
    reachable: bool
    checks: tuple[StoreCheck, ...]
    cause: str | None
    fixes: tuple[Fix, ...]
    found: tuple[StoreCheck, ...] = ()
    done: tuple[str, ...] = ()


class Change(Record):
    """One place in a file that changes: the characters before and after, and the whole line as it was (set verbs only)."""

    path: str
    line: int
    old: str
    new: str
    service: str | None
    column: int = 1
    text: str = ""


class Changes(Record):
    """What a verb would change, or has changed. `undo` is the id of the write, `verb` what an undo takes back.

    `undoable` says whether an undo can take it back once it is written. `remarks` are for people: what was left alone and why,
    what to do next. `before` are the files that change, each with the SHA-256 of what was read, None where there is none yet.
    """

    changes: tuple[Change, ...]
    diff: str
    written: bool = False
    undo: str | None = None
    planned: Plan | None = None
    verb: str | None = None
    remarks: tuple[str, ...] = ()
    undoable: bool = True
    before: Mapping[str, str | None] = {}


class Event(Record):
    """What `ls --watch` saw of a listener: it was there at the beginning (`present`), or came (`start`), went (`stop`), or changed hands (`owner`).

    `when` is the time at which it was seen, seconds since the epoch.
    """

    kind: str
    when: float
    listener: Listener


class AgentEvent(Record):
    """What the agent of a host saw or did, `when` seconds since the epoch.

    `kind` is "began", "published" (with the `count` of listeners), "lost" (the host's place in the store, for it was not heard), "claimed",
    "taken" or "ended" (what became of a `lease` that was lost with it), "waiting", "unreachable", "back" (the store), "gone" (the end).
    """

    kind: str
    when: float
    host: str
    message: str
    lease: Lease | None = None
    count: int | None = None


class Past(Record):
    """Something that is known of who held a port before.

    `what` happened: `present`, `start`, `stop` or `owner` (seen by `ls --watch`), `ran` or `ended` (by `run`), `leased` or `reclaimed` (by
    the lease store), `stopped` (by `kill`). `by` is that source. `who` it was, in words; `address` is "" where the source keeps none.
    """

    when: float
    what: str
    by: str
    who: str
    address: str = ""
    pid: int | None = None
    user: str | None = None
    project: str | None = None


class Who(Record):
    """Everything about one port: holders and their ancestry (one chain for each holder's first process).

    `history` is who held it before, the latest first; None where that was not asked.
    """

    port: int
    transport: Transport
    listeners: tuple[Listener, ...]
    ancestry: tuple[tuple[Process, ...], ...]
    declared: tuple[Location, ...]
    customary: tuple[str, ...]
    fixes: tuple[Fix, ...]
    lease: Lease | None = None
    history: tuple[Past, ...] | None = None


class WhoAnswer(Record):
    """What `who` found, a row for each port asked for, seen from the working tree `worktree`."""

    ports: tuple[Who, ...]
    skipped: tuple[Skipped, ...]
    worktree: str = ""

    @property
    def rows(self) -> tuple[Listener, ...]:
        """The listeners that the answer rests on."""
        return tuple(row for who in self.ports for row in who.listeners)


class OwnersPin(Record):
    """Which group may see the owners of all sockets, None for no group; where that is pinned, and what it exposes, in sentences.

    `changed` is whether it was just now pinned or taken away.
    """

    group: str | None
    path: str
    exposes: tuple[str, ...]
    changed: bool = False


class Freed(Record):
    """A holder that was stopped: `how` it was in the end, after so many seconds.

    The processes in `alive` have let the port go, and are still finishing.
    """

    stop: Stop
    how: str
    seconds: float
    alive: tuple[int, ...] = ()


class PortAfter(Record):
    """Who has a port after all was stopped, nobody if it is free; `by` says who started them in the place of what was stopped."""

    port: int
    transport: Transport
    listeners: tuple[Listener, ...]
    by: str | None = None


class Killed(Record):
    """What became of the holders of some ports, and who has each port now.

    `acted` is False where nothing was tried: a dry run, nothing to stop, or somebody said no.
    """

    planned: StopPlan
    stopped: tuple[Freed, ...] = ()
    refused: tuple[Refused, ...] = ()
    ports: tuple[PortAfter, ...] = ()
    remarks: tuple[str, ...] = ()
    acted: bool = True

    @property
    def failed(self) -> bool:
        """Whether something was tried, and not permitted or out of reach."""
        return any(each.failed for each in self.refused)

    @property
    def complete(self) -> bool:
        """Whether there was something to stop, all of it was, and nobody has taken its place; for a plan, whether that could be."""
        left = any(port.listeners for port in self.ports) if self.acted else False
        return bool(self.planned.stops) and not self.refused and not left


class Waited(Record):
    """Which targets became ready in time, which did not, and what was seen last of each, by its name as it was typed."""

    ready: tuple[str, ...]
    waiting: tuple[str, ...]
    seen: Mapping[str, str] = {}


class Hosts(Record):
    """Many hosts as they were heard: what could not be seen of them, and now (seconds since the epoch), which their ages are told by.

    `own` is the host that is this machine, where it is among them: looked at itself, not asked.
    """

    reports: tuple[HostReport, ...]
    skipped: tuple[Skipped, ...]
    now: float
    own: str | None = None

    @staticmethod
    def state(report: HostReport) -> str:
        """Whether a host is heard ("live"), is not any more ("gone"), or was asked in vain ("unreachable")."""
        if report.alive:
            return "live"
        return "unreachable" if report.problem else "gone"


class FleetReading(Record):
    """What `ls` found on many hosts. `rows` are None where there are more than were asked for."""

    hosts: Hosts
    rows: tuple[tuple[HostReport, Listener], ...] | None


class HostPort(Record):
    """One port of one host. `available` is whether a new socket would be given it, None where that is not known.

    `by` says what tells it: "bind" on this machine, "published" for another's own word of who listens, None where it says nothing.
    """

    report: HostReport
    endpoint: Endpoint
    listeners: tuple[Listener, ...]
    lease: Lease | None = None
    available: bool | None = None
    by: str | None = None


class FleetWho(Record):
    """What `who` found: the ports that were asked for, and a row for each host where somebody has one, or was promised it."""

    hosts: Hosts
    asked: tuple[Endpoint, ...]
    ports: tuple[HostPort, ...]


class FleetCheck(Record):
    """What `check` found on many hosts: a row for each port that was asked for and each host, or whether a project fits.

    `fits` tells that by the id of each host, None where it is not known. Each finding is with the host that it is about.
    """

    hosts: Hosts
    ports: tuple[HostPort, ...]
    findings: tuple[tuple[HostReport, Finding], ...]
    project: Project | None = None
    fits: Mapping[str, bool | None] = {}

    def worst(self) -> Severity | None:
        """The severity of the worst finding, or None."""
        return max((finding.severity for _, finding in self.findings), key=lambda severity: severity.rank, default=None)


class FleetLeases(Record):
    """The leases of many hosts: the host's name, the lease, whether somebody has its port (None: not known)."""

    hosts: Hosts
    leases: tuple[tuple[str, Lease, bool | None], ...]


def _holders(services: Iterable[ServiceReport]) -> Iterator[Listener]:
    return (row for service in services for report in service.ports for row in report.holders)
