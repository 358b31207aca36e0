"""The nouns of Portward: immutable, typed records that every other room speaks in.

Conventions: ports are `int`, absent is `None`, addresses are numeric text as the kernel writes them, times are seconds
since the Unix epoch (UTC), paths inside a project are relative to its root with `/` between the parts, and lines and
columns start at 1 and count code points.
"""

from __future__ import annotations

from portward.records import Record, StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import Any


LAST_PORT = 65535


class Transport(StrEnum):
    """The transport protocols that have ports of their own here."""

    TCP = "tcp"
    UDP = "udp"


class State(StrEnum):
    """How an endpoint is held. `BOUND` is bound without listening; `CLAIMED` is a stopped container's published port."""

    LISTEN = "listen"
    BOUND = "bound"
    UDP = "udp"
    CLAIMED = "claimed"


class Owners(StrEnum):
    """What is known of a socket's processes: seen, hidden from this user, or no process visible here has it open."""

    SEEN = "seen"
    HIDDEN = "hidden"
    NONE = "none"


class Role(StrEnum):
    """What a port written in a file is: a host's port, a container's, part of a URL, a default, or told in a document."""

    HOST = "host"
    CONTAINER = "container"
    URL = "url"
    FALLBACK = "fallback"
    MENTION = "mention"


class Side(StrEnum):
    """Whose port number a reference means: the host's (published), the container's (target), or a cluster's.

    A cluster's is the number of a Kubernetes Service or node: neither this machine's nor the container's own. The side is
    unknown where the files do not tell it.
    """

    HOST = "host"
    CONTAINER = "container"
    CLUSTER = "cluster"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for a note, 2 for an error: higher is worse."""
        return ("note", "warning", "error").index(self.value)


class Refusal(StrEnum):
    """Why the system refuses a bind. The four are never mixed up: each has another remedy (bind(2), ip(7))."""

    IN_USE = "in use"  # EADDRINUSE
    NOT_PERMITTED = "not permitted"  # EACCES: privileged port, SELinux, an excluded range on Windows
    SANDBOXED = "sandboxed"  # EPERM: a security policy denies bind() altogether
    NO_SUCH_ADDRESS = "no such address"  # EADDRNOTAVAIL, EAFNOSUPPORT


class PortRange(Record):
    """Ports from `low` to `high`, both inclusive."""

    low: int
    high: int

    def __contains__(self, port: int) -> bool:
        return self.low <= port <= self.high

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1))

    def __len__(self) -> int:
        return self.high - self.low + 1

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"

    def overlaps(self, other: PortRange) -> bool:
        """Whether a port lies in both ranges."""
        return self.low <= other.high and other.low <= self.high


ANY = ""
"""The address of an endpoint on all interfaces and both families, as Docker publishes when no host IP is given."""


class Endpoint(Record):
    """An address, port and transport: what a socket is bound to.

    `address` is numeric, or `ANY`. `v6only` tells whether an IPv6 wildcard leaves IPv4 alone (IPV6_V6ONLY, ipv6(7));
    `None` means not known, which counts as dual-stack, or not applicable.
    """

    address: str
    port: int
    transport: Transport = Transport.TCP
    v6only: bool | None = None

    def overlaps(self, other: Endpoint) -> bool:
        """Whether the two cannot both be bound by ordinary sockets in one network namespace.

        Follows what Linux refuses with EADDRINUSE. SO_REUSEPORT on both sides, which allows sharing, is not considered.
        """
        if self.port != other.port or self.transport != other.transport:
            return False
        mine, theirs = self._claims(), other._claims()
        return any(
            family == other_family and (address is None or other_address is None or address == other_address)
            for family, address in mine
            for other_family, other_address in theirs
        )

    def _claims(self) -> tuple[tuple[int, str | None], ...]:
        """(IP version, address) pairs that the endpoint takes; an address of None is every address."""
        if self.address == ANY:
            return (4, None), (6, None)
        if ":" not in self.address:
            return ((4, None if self.address == "0.0.0.0" else self.address),)
        if self.address.startswith("::ffff:") and "." in self.address:
            mapped = self.address[len("::ffff:") :]
            return ((4, None if mapped == "0.0.0.0" else mapped),)
        if self.address != "::":
            return ((6, self.address),)
        return ((6, None),) if self.v6only else ((4, None), (6, None))

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}" if address else str(self.port)


class Process(Record):
    """A process as it was when it was looked at.

    Its identity is the pid together with `start_ticks` (clock ticks after boot, field 22 of proc_pid_stat(5)): a pid alone
    is reused. `started` is the same moment in seconds since the epoch. What this user may not see is None or empty.
    """

    pid: int
    name: str
    command: tuple[str, ...] = ()
    user: str | None = None
    cwd: str | None = None
    started: float | None = None
    start_ticks: int | None = None
    parent: int | None = None
    unit: str | None = None


class Container(Record):
    """A container of a container engine. `target` is the container's port behind the endpoint that it is shown with."""

    id: str
    name: str
    image: str
    project: str | None = None
    service: str | None = None
    target: int | None = None
    status: str = ""
    folder: str | None = None


class ContainerPolicy(Record):
    """What an engine does when a container ends, or is asked to.

    `restart` is the name of its restart policy ("no", "always", "unless-stopped", "on-failure"). `removed` tells that the container
    and its anonymous volumes go with its end (`--rm`). `grace` are the seconds between its stop signal and SIGKILL. `keeper` is who
    else would start it again: "kubernetes", "swarm", or None; `kept_as` is the name that it is known by there.
    """

    restart: str = "no"
    removed: bool = False
    grace: float = 10.0
    keeper: str | None = None
    kept_as: str = ""


class Publication(Record):
    """A host endpoint that a container publishes, and the container's port behind it."""

    endpoint: Endpoint
    target: int


class Listener(Record):
    """An endpoint that is held, and by whom.

    `processes` is empty when nobody may be seen (`owners` tells why) or when the owner is a container, whose forwarder
    (docker-proxy) is never named. `netns` is None for our own network namespace. `service` is what answers there;
    the name of an interpreter is never a service. `note` says what is unusual about the holder, for people. `identity` is what was
    found there by asking, where that was asked for; `speaks_for` are the project's services whose protocol it was heard to speak.
    `cookie` is the kernel's number of the socket until the machine is started anew, None where it tells none.
    """

    endpoint: Endpoint
    state: State
    user: str | None = None
    owners: Owners = Owners.NONE
    processes: tuple[Process, ...] = ()
    container: Container | None = None
    netns: str | None = None
    project: str | None = None
    service: str | None = None
    note: str | None = None
    identity: Identity | None = None
    speaks_for: tuple[str, ...] = ()
    cookie: int | None = None

    @property
    def port(self) -> int:
        return self.endpoint.port

    @property
    def transport(self) -> Transport:
        return self.endpoint.transport


class Identity(Record):
    """Which service answers at a target, and how that is known.

    `by` says who told it: "protocol" (it answered as that service does), "container" or "process" (its owner is called so), or
    "catalog" (the port is customarily used so: a guess, no evidence). `confidence` is "high", "medium", "low", or "guess"; both are
    None where no service is known. `evidence` are sentences. `answers` is whether a connection was taken, None where none was tried;
    `endpoint` is what was asked.
    """

    target: str
    service: str | None = None
    version: str | None = None
    confidence: str | None = None
    by: str | None = None
    evidence: tuple[str, ...] = ()
    answers: bool | None = None
    endpoint: Endpoint | None = None
    customary: tuple[str, ...] = ()


class Fingerprint(Record):
    """How a service answers to one harmless question, so that it can be told from others.

    `ask` is a path to GET where `http` is true, else bytes in hex; "" is for a server that speaks first. `expect` are conditions that an
    answer must meet, all of them: "status", "headers", "body", "json" of HTTP, "text" and "bytes" (as hex) of what else came.
    `version` says where the version stands, perhaps in the answer to another question. `anywhere` holds for the answer to any path, `said`
    for what is said to a bare HTTP request. A `generic` one names a framework, `own_pages` one whose pages are somebody's own work.
    `imitated` is the path by whose answer its imitators are told from it. `logged` means that the server logs the question as an error,
    `bye` is sent before the end. `confidence`, `verified` and `source` tell
    how far this is known.
    """

    service: str
    http: bool
    ask: str
    expect: Mapping[str, Any]
    ports: tuple[int, ...] = ()
    version: Mapping[str, Any] = {}
    send: Mapping[str, str] = {}
    bye: str = ""
    stack: str = ""
    anywhere: bool = False
    said: bool = False
    generic: bool = False
    own_pages: bool = False
    imitated: str = ""
    logged: bool = False
    confidence: str = "medium"
    verified: str = "source"
    source: str = ""


class Skipped(Record):
    """Something that could not be read, and why. It never hides the rest of an answer."""

    what: str
    reason: str


class Reading(Record):
    """Listeners at one instant, and what could not be seen."""

    listeners: tuple[Listener, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing was passed over and no owner is hidden from this user."""
        return is_complete(self.listeners, self.skipped)


def is_complete(rows: Iterable[Listener], skipped: Collection[Skipped]) -> bool:
    """Whether an answer that rests on these rows lacks nothing: nothing was skipped, no owner is hidden from this user."""
    return not skipped and not any(row.owners is Owners.HIDDEN for row in rows)


class Location(Record):
    """A place in a file; line and column start at 1, the column counts code points. `excerpt` is what is written there."""

    path: str
    line: int
    column: int
    excerpt: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Span(Record):
    """Code points from `start` up to, not including, `end` of a file's text (after a byte-order mark)."""

    start: int
    end: int


class PortSpec(Record):
    """A port as written in a file.

    `origin` is the format that it was read from ("compose", "dotenv", …). `published` is the port or range as text, as Compose
    gives it, None where the engine chooses; for a reference it is the number that is written. `target` is the container's
    port. `location` is where a person looks, `span` the port's own characters, `text` the raw text around it. `variables`
    are the names that the number is defined by, falls back for, or was interpolated from; `host` is the host of a URL.
    `options` are the other keys of a long entry in a Compose file ("mode", "name", "app_protocol").
    `service` is the name that the file itself gives, or that of the service which the reference turned out to mean;
    `why` says by what it was found to mean that service and side, or why its side is unknown.
    """

    origin: str
    role: Role
    side: Side
    location: Location
    span: Span
    text: str
    service: str | None = None
    published: str | None = None
    target: int | None = None
    protocol: str = "tcp"
    host_ip: str = ANY
    variables: tuple[str, ...] = ()
    host: str | None = None
    why: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @property
    def number(self) -> str:
        """The port's own number or range as text, on whichever side; empty where none is written."""
        return self.published or ("" if self.target is None else str(self.target))

    @property
    def place(self) -> Location:
        """The location together with the text, for findings."""
        return self.location.replace(excerpt=self.text)

    @property
    def range(self) -> PortRange | None:
        """`published` as a range, or None where there is no valid one (1 to 65535)."""
        low, _, high = (self.published or "").partition("-")
        if not low.isdecimal() or (high and not high.isdecimal()):
            return None
        ports = PortRange(int(low), int(high or low))
        return ports if 0 < ports.low <= ports.high <= LAST_PORT else None

    def overlaps(self, other: PortSpec) -> PortRange | None:
        """The host ports that both entries may bind, None where address, transport or range keep them apart."""
        mine, theirs = self.range, other.range
        if mine is None or theirs is None or not mine.overlaps(theirs):
            return None
        if self.protocol.lower() != other.protocol.lower():
            return None
        ends = (Endpoint(spec.host_ip, 1, v6only=True if spec.host_ip == "::" else None) for spec in (self, other))
        if not next(ends).overlaps(next(ends)):
            return None
        return PortRange(max(mine.low, theirs.low), min(mine.high, theirs.high))


class Service(Record):
    """A named part of a stack that wants ports.

    `names` are the host names that it answers to inside its networks. `folders` are its own folders in the project
    (build context, bind mounts; "" is the root itself), `command` what it runs: they tell a bare-metal process of this service from a stranger.
    `environment` is what Compose sets in its container (None: passed on from outside), after interpolation, and
    `env_files` the files that fill the rest. `replicas` is how many containers it runs as. `places` are where those of its
    keys stand that rules speak of ("command", "network_mode", "replicas", "environment.HOST"), `unset` the variables
    without a value or a default that a port was to be interpolated from, each with its place. `network_of` is the service
    whose network it shares (`network_mode: service:NAME`), if any. `container_name` is the fixed name of its container, and
    `networks` are the networks of the project that it is in.
    """

    name: str
    kind: str = "other"
    ports: tuple[PortSpec, ...] = ()
    image: str | None = None
    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    host_network: bool = False
    environment: tuple[tuple[str, str | None], ...] = ()
    env_files: tuple[str, ...] = ()
    replicas: int = 1
    places: tuple[tuple[str, Location], ...] = ()
    unset: tuple[tuple[str, Location], ...] = ()
    network_of: str | None = None
    container_name: str | None = None
    networks: tuple[str, ...] = ()

    def place(self, key: str) -> Location | None:
        """Where a key of the service stands, if that is known."""
        return dict(self.places).get(key)

    @property
    def entries(self) -> tuple[PortSpec, ...]:
        """The host ports that the files give the service: what Compose publishes, else what it listens on by its files."""
        published = [spec for spec in self.ports if spec.origin == "compose"]
        own = published or [spec for spec in self.ports if spec.role is Role.HOST and spec.side is Side.HOST]
        own = own or [spec for spec in self.ports if spec.role is Role.FALLBACK and spec.side is Side.HOST]
        return _distinct(own)

    @property
    def claims(self) -> tuple[PortSpec, ...]:
        """The host ports that the service asks for when it is started; none where it is scaled to nothing."""
        return _distinct([self.claim(entry) for entry in self.entries]) if self.replicas else ()

    def claim(self, entry: PortSpec) -> PortSpec:
        """What the service really asks for of an entry: its process binds the target itself on the host's network.

        The engine discards `ports:` there (https://docs.docker.com/engine/network/drivers/host/).
        """
        if not self.host_network or entry.origin != "compose":
            return entry
        return entry.replace(published=str(entry.target), host_ip=ANY, variables=())


def _distinct(specs: list[PortSpec]) -> tuple[PortSpec, ...]:
    """The specs in their order; of those that publish the same, the last."""
    found = {(spec.host_ip, spec.published, spec.target, spec.protocol): spec for spec in reversed(specs)}
    return tuple(found.values())[::-1]


class Link(Record):
    """All references that mean one port of one service: whoever changes the port changes them all.

    `entry` is what publishes the port, None where it is the container's alone. `host` are the references to the published
    port, the entry first; `container` those to its target; `unsure` those of which the files do not tell the side.
    """

    service: str
    entry: PortSpec | None
    host: tuple[PortSpec, ...] = ()
    container: tuple[PortSpec, ...] = ()
    unsure: tuple[PortSpec, ...] = ()

    @property
    def target(self) -> int | None:
        """The container's port."""
        return self.entry.target if self.entry else next((spec.target for spec in self.container if spec.target), None)


class Project(Record):
    """What a project's files declare. `references` are ports that belong to no service that is known. `files` are the Compose
    files in force, in their order.

    `links` join the references that mean the same port. `overridden` are the variables whose value in a file the process's
    environment replaces.
    """

    name: str
    root: str
    services: tuple[Service, ...] = ()
    inactive: tuple[Service, ...] = ()
    references: tuple[PortSpec, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    overridden: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    files: tuple[str, ...] = ()

    def service(self, name: str) -> Service | None:
        """The active service of that name, if there is one."""
        return next((service for service in self.services if service.name == name), None)

    @property
    def specs(self) -> tuple[PortSpec, ...]:
        """Every port that the active part of the project writes."""
        return (*(spec for service in self.services for spec in service.ports), *self.references)


class ComposeOptions(Record):
    """What the user asked of Compose by hand: `--file`, `--profile` and `--env-file`, each possibly several times."""

    files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()


class Edit(Record):
    """`new` in the place of the code points at `span` of one file. `old` is what stands there: nothing else may be replaced."""

    path: str
    span: Span
    old: str
    new: str


class ChangeSet(Record):
    """Edits that are made all together or not at all. `hashes` are the SHA-256 of each file's bytes when it was read."""

    edits: tuple[Edit, ...]
    hashes: Mapping[str, str]


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


class PortRequest(Record):
    """What a service asks for. `preferred` comes first, then `ports`; `key` makes the same request find the same port."""

    key: str
    ports: PortRange
    preferred: int | None = None
    count: int = 1
    contiguous: bool = False
    transport: Transport = Transport.TCP


class Site(Record):
    """Where a port number means one thing: a host, and one of its network namespaces.

    `host` is a stable id of the machine. `netns` is "" for the machine's first network namespace, else the kernel's name of it
    (`net:[4026532254]`), which is unique until the machine is started anew: `boot` says which start (boot_id of random(4)).
    """

    host: str
    netns: str = ""
    boot: str = ""


class ProcessId(Record):
    """Which process, for good: a pid alone is reused. `start_ticks` as in `Process`, None where it cannot be read.

    `boot` is the start of the machine that it belongs to. A pid means a process only inside its pid namespace, whose inode
    is `pidns` ("" where there are none).
    """

    boot: str
    pid: int
    start_ticks: int | None = None
    pidns: str = ""


class Holder(Record):
    """Who a port is leased to: one service of one project in one working tree.

    `project` and `worktree` are absolute paths; `worktree` is "" for what belongs to no folder. `instance` tells several ports of
    one service apart ("" for its only one). `process` is there where the port belongs to one process alone. `uid` and `user` tell
    people whom to ask; they do not make another holder.
    """

    project: str
    worktree: str
    service: str
    instance: str = ""
    process: ProcessId | None = None
    uid: int | None = None
    user: str | None = None


class LeaseKind(StrEnum):
    """What ends a lease: only its release (sticky), time (ttl), or the end of the process that holds it."""

    STICKY = "sticky"
    TTL = "ttl"
    PROCESS = "process"


class Lease(Record):
    """A port that is promised to a holder, and to nobody else who asks the same store.

    It is a promise between users of Portward, not a lock: only a bind keeps a port from other programs. `token` is new with
    each grant; with `port` and `site` it says which lease is meant. `boot` is the machine's start at the grant. `granted` and
    `expires` are seconds since the epoch; `expires` is None for a lease that is kept until it is released. `index` counts the ports
    that one holder asked for together. `preferred` is the port that the holder would rather have had, `reason` why it must be this one.
    """

    host: str
    netns: str
    transport: Transport
    port: int
    holder: Holder
    kind: LeaseKind
    token: str
    granted: float
    expires: float | None = None
    preferred: int | None = None
    index: int = 0
    boot: str = ""
    reason: str | None = None


class Reclaimed(Record):
    """A lease that was taken back because its holder was gone: why, and when (seconds since the epoch)."""

    lease: Lease
    why: str
    when: float


class StoreCheck(Record):
    """One thing that was looked at in the lease store: whether it is as it should be, what was seen, and the way out.

    `repair` is what the store itself can do about it, in words, None where it can do nothing.
    """

    name: str
    ok: bool
    detail: str
    hint: str | None = None
    repair: str | None = None


class Fix(Record):
    """A remedy. `command` can be typed as it stands, or is None where it takes an edit; `safe` stops and loses nothing."""

    title: str
    command: str | None
    safe: bool


class Finding(Record):
    """One judgement of a rule: the only output of every check."""

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


class System(Record):
    """What this system does with ranges of ports; where nobody asked it, what Linux does by default (ip-sysctl.rst).

    `privileged` need root or CAP_NET_BIND_SERVICE (None: no port does). `ephemeral` go to outgoing connections, save those
    that are `kept` for whoever asks for them. `excluded` are refused to everybody (Windows).
    """

    privileged: PortRange | None = PortRange(1, 1023)
    ephemeral: PortRange = PortRange(32768, 60999)
    kept: tuple[PortRange, ...] = ()
    excluded: tuple[PortRange, ...] = ()


class Custom(Record):
    """What a TCP port means by custom: who uses it by default, whether that is HTTP, and whether browsers refuse it."""

    services: tuple[str, ...] = ()
    http: bool = False
    unsafe: bool = False


class Snapshot(Record):
    """All that is known at one instant: the only input of rules and of allocation.

    `taken` is that instant. `refusals` are the binds that the system refused for endpoints that the project wants.
    `ranges` are the ports that Portward picks from for each kind of service, `reserved` those that it never picks.
    `free` offers a free port, each another, for a published port that needs one; for a service, that of its first.
    `customs` are told for the ports that the project publishes or listens on. `node_ports` are those that a Kubernetes
    cluster gives to Services by default (--service-node-port-range).
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

    def holders(self, endpoint: Endpoint) -> tuple[Listener, ...]:
        """Who holds or claims the endpoint in our own network namespace."""
        return tuple(row for row in self.reading.listeners if row.netns is None and row.endpoint.overlaps(endpoint))
