"""What the verbs of `Portward` answer: records that `render` shows and that the library returns."""

from __future__ import annotations

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import (
        Endpoint,
        Finding,
        Fix,
        Ignore,
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
        Transport,
    )


class PortCheck(Record):
    """Whether one endpoint would be given to a new socket now: `available` is the bind's answer alone.

    `listeners` are those in the way and those that claim the port; with other network namespaces, also who has it there.
    """

    endpoint: Endpoint
    available: bool
    refusal: Refusal | None
    listeners: tuple[Listener, ...]


class RuleDoc(Record):
    """A rule: its name, its severity by default, what it finds in one line, and the rest of its documentation."""

    name: str
    severity: Severity
    summary: str
    text: str


class Check(Record):
    """What `check` found, for ports or for a project (then `services` has its ports and their state).

    `ignored` are the findings that the settings ignore, each with the ignore and its reason.
    """

    ports: tuple[PortCheck, ...]
    findings: tuple[Finding, ...]
    reading: Reading
    project: Project | None = None
    services: tuple[ServiceReport, ...] = ()
    ignored: tuple[tuple[Finding, Ignore], ...] = ()
    unread: tuple[Skipped, ...] = ()

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What could not be read, of the machine or of the project."""
        return (*self.reading.skipped, *(self.project.skipped if self.project else ()), *self.unread)

    def worst(self) -> Severity | None:
        """The severity of the worst finding, or None."""
        return max((finding.severity for finding in self.findings), key=lambda severity: severity.rank, default=None)


class PortReport(Record):
    """A port that a file writes, what it is now (None: a container's own port), and what the engine bound for it."""

    spec: PortSpec
    state: PortState | None
    holders: tuple[Listener, ...]
    bound: tuple[Endpoint, ...]


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


class Who(Record):
    """Everything about one port: holders and their ancestry (one chain for each holder's first process)."""

    port: int
    transport: Transport
    listeners: tuple[Listener, ...]
    ancestry: tuple[tuple[Process, ...], ...]
    declared: tuple[Location, ...]
    customary: tuple[str, ...]
    fixes: tuple[Fix, ...]


class WhoAnswer(Record):
    """What `who` found, a row for each port asked for."""

    ports: tuple[Who, ...]
    skipped: tuple[Skipped, ...]
