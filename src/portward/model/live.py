"""The live truth: what the kernel and container engines say of sockets and their owners."""

from __future__ import annotations

from portward.records import Record, StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


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
    found there by asking, where that was asked for; `speaks_for` are the project's services whose protocol it was heard to speak, and
    `leased_to` those that have its port leased and started it.
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
    leased_to: tuple[str, ...] = ()

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
