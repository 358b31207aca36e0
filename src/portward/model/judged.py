"""What the truths are judged by, and what is found: settings, the Snapshot, findings and diagnoses."""

from __future__ import annotations

from portward.model.customary import Custom, System
from portward.model.live import Endpoint, Listener, PortRange, Reading, Refusal, Transport
from portward.records import Record, StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portward.model.declared import Location, PortSpec, Project
    from portward.model.leased import Lease


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for a note, 2 for an error: higher is worse."""
        return ("note", "warning", "error").index(self.value)


class Pin(Record):
    """A port that a service must keep, and why. `location` is where the project's settings say so."""

    service: str
    port: int
    reason: str
    location: Location | None = None


class Ignore(Record):
    """Findings that somebody decided to live with, and why. What is None matches everything; `path` may be a pattern.

    `location` is where the project's settings say so, None for the user's own.
    """

    rule: str
    reason: str
    service: str | None = None
    port: int | None = None
    path: str | None = None
    location: Location | None = None


class Settings(Record):
    """What `portward.toml` says: each range and kind that Portward picks from, and how findings are judged.

    `severities` maps a rule to its severity, None for a rule that is off. `kinds` maps a service to its kind. `policy` are
    the kinds whose range the project itself sets, so that its own ports are held to it. `probe` is whether what listens on a port of the
    project may be asked what it is, where nothing else tells.
    """

    ranges: Mapping[str, PortRange] = {}
    severities: Mapping[str, Severity | None] = {}
    ignores: tuple[Ignore, ...] = ()
    pins: tuple[Pin, ...] = ()
    kinds: Mapping[str, str] = {}
    store: str | None = None
    production: bool = False
    policy: tuple[str, ...] = ()
    probe: bool = True

    def pin(self, service: str, ports: PortRange) -> Pin | None:
        """What pins a service to one of the ports, if anything does."""
        return next((pin for pin in self.pins if pin.service == service and pin.port in ports), None)


class Fix(Record):
    """A remedy. `command` can be typed as it stands, or is None where it takes an edit; `safe` stops and loses nothing."""

    title: str
    command: str | None
    safe: bool


class Finding(Record):
    """One judgement of a rule: the only output of every check. In the way are `holders` and `leases`."""

    rule: str
    severity: Severity
    message: str
    service: str | None = None
    port: int | None = None
    transport: Transport | None = None
    locations: tuple[Location, ...] = ()
    holders: tuple[Listener, ...] = ()
    hint: str | None = None
    fixes: tuple[Fix, ...] = ()
    leases: tuple[Lease, ...] = ()


class Kind(StrEnum):
    """What an error text can say is wrong with a port."""

    PORT_IN_USE = "port_in_use"
    CONTAINER_PORT_ALLOCATED = "container_port_allocated"
    PERMISSION_PRIVILEGED = "permission_privileged"
    OS_RESERVED_RANGE = "os_reserved_range"
    ADDRESS_NOT_AVAILABLE = "address_not_available"
    CONNECTION_REFUSED = "connection_refused"
    REFUSED_IPV6_LOCALHOST = "refused_ipv6_localhost"
    REFUSED_CONTAINER_LOCALHOST = "refused_container_localhost"
    LOOPBACK_ONLY_IN_CONTAINER = "loopback_only_in_container"
    RESET_OR_EMPTY_REPLY = "reset_or_empty_reply"
    TIMEOUT_FIREWALL = "timeout_firewall"
    UNSAFE_BROWSER_PORT = "unsafe_browser_port"
    HIJACKED_BY_SYSTEM_SERVICE = "hijacked_by_system_service"
    RANGE_EXHAUSTED = "range_exhausted"
    K8S_NODEPORT_TAKEN = "k8s_nodeport_taken"


class Symptom(Record):
    """What an error text says: a trouble with a port, as far as the text alone can tell.

    `host` is as written. `port` is None where the text gives none, and `guess` says that it is only what the tool has by default.
    `line` is the number of the line that says it (1 is the first), `text` that line, `tool` who says it. `inside` says that the text
    shows signs of a container around it.
    """

    kind: Kind
    port: int | None
    host: str | None
    transport: Transport
    tool: str
    line: int
    text: str
    guess: bool = False
    inside: bool = False


class Diagnosis(Record):
    """The cause of a symptom, with what this machine says now: evidence in sentences, who holds the port, and ways out, safest first."""

    symptom: Symptom
    cause: str
    evidence: tuple[str, ...] = ()
    holders: tuple[Listener, ...] = ()
    fixes: tuple[Fix, ...] = ()


class PortState(StrEnum):
    """What a declared port is at this instant. `RUNNING` means that this very stack holds it."""

    FREE = "free"
    RUNNING = "running"
    TAKEN = "taken"
    LEASED = "leased"


class Verdict(Record):
    """What the rules found: the findings to show, the worst first, and those that the settings ignore."""

    findings: tuple[Finding, ...]
    ignored: tuple[tuple[Finding, Ignore], ...] = ()


class Snapshot(Record):
    """All that is known at one instant: the only input of rules and of allocation.

    `taken` is that instant. `refusals` are the binds that the system refused for endpoints that the project wants.
    `ranges` are the ports that Portward picks from for each kind of service, `reserved` those that it never picks.
    `free` offers a free port, each another, for a published port that needs one; for a service, that of its first.
    `customs` are told for the ports that the project publishes or listens on. `node_ports` are those that a Kubernetes
    cluster gives to Services by default (--service-node-port-range). `leases` are those that stand in our own network namespace,
    `worktree` is the working tree that they are seen from.
    """

    reading: Reading
    taken: float
    project: Project | None = None
    refusals: Mapping[Endpoint, Refusal] = {}
    ranges: Mapping[str, PortRange] = {}
    reserved: tuple[PortRange, ...] = ()
    free: Mapping[PortSpec | str, int] = {}
    settings: Settings = Settings()
    system: System = System()
    customs: Mapping[int, Custom] = {}
    node_ports: PortRange = PortRange(30000, 32767)
    leases: tuple[Lease, ...] = ()
    worktree: str = ""

    def holders(self, endpoint: Endpoint) -> tuple[Listener, ...]:
        """Who holds or claims the endpoint in our own network namespace."""
        return tuple(row for row in self.reading.listeners if row.netns is None and row.endpoint.overlaps(endpoint))

    def promised(self, endpoint: Endpoint, service: str) -> Lease | None:
        """The lease of the endpoint's port, where it is not that service's of this working tree."""
        mine = (self.worktree, service)
        for lease in self.leases:
            if (lease.port, lease.transport) == (endpoint.port, endpoint.transport):
                return None if (lease.holder.worktree, lease.holder.service) == mine else lease
        return None
