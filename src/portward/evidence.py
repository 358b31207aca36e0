"""What was gathered about one target that somebody wants to reach, and what follows from it: the nouns of `doctor`.

Places: a network namespace is named as in `Listener.netns`, but our own is "" here (`HERE`), so that None can mean another
machine. Nothing in these records is a judgement but `Step` and `Examined`.
"""

from __future__ import annotations

from enum import StrEnum

from portward.model import ANY, Endpoint, Listener, State, System, Transport
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Container, Fix, Process, Publication, Refusal, Skipped

HERE = ""
"""Our own network namespace."""


class Aim(Record):
    """What a target comes to: one host and one port. `text` is as it was typed, without user, password and query.

    `scheme` is that of a URL, `meant` the service that the scheme means, `http` and `tls` whether it means these. `service` is
    the project's service or the container that was meant by its name; then `host` may be an address of it.
    """

    text: str
    host: str
    port: int
    scheme: str = ""
    path: str = "/"
    service: str | None = None
    meant: str = ""
    http: bool = False
    tls: bool = False


class Origin(Record):
    """Where is asked from: a network namespace, and the container that it belongs to, if any. `name` is for people."""

    netns: str = HERE
    container: str | None = None
    name: str = "here"


class Lookup(Record):
    """The numeric addresses of the target's host, in the order in which a client tries them; or why there are none."""

    addresses: tuple[str, ...] = ()
    source: str = "the resolver"
    error: str | None = None


class Outcome(StrEnum):
    """What became of an attempt to connect (connect(2), tcp(7))."""

    OPEN = "open"
    REFUSED = "refused"  # ECONNREFUSED
    SILENT = "no answer"  # ETIMEDOUT, or our own deadline
    UNREACHABLE = "unreachable"  # EHOSTUNREACH, ENETUNREACH, EACCES by a route
    NO_SOURCE = "no address to connect from"  # EADDRNOTAVAIL
    DENIED = "not permitted"  # EPERM, EACCES
    FAILED = "failed"


class Heard(StrEnum):
    """What came through a connection to which nothing was sent, in the first moments."""

    NOTHING = "nothing"
    BYTES = "bytes"
    END = "end"  # closed or reset at once


class Door(Record):
    """One address of the target, and what became of a connection to it.

    `home` is the network namespace of this machine that has the address, None for another machine. `source` is the address
    that a connection comes from. `reason` is the system's own word for what happened.
    """

    address: str
    outcome: Outcome
    reason: str = ""
    heard: Heard | None = None
    home: str | None = None
    source: str | None = None

    @property
    def answers(self) -> bool:
        """Whether somebody took the connection and kept it, or said something."""
        return self.outcome is Outcome.OPEN and self.heard is not Heard.END


class Speech(Record):
    """What was spoken with the target: a first sentence, and what came back.

    `asked` is "http", "https", or "identify": what answers was asked who it is. `status` is the HTTP status that came back. `tls` tells
    whether the other side speaks TLS (None: not found out). `service` is what answers there, by its own words, and `fits` whether
    that is what the target's scheme means (None: not found out, or nothing was meant). `said` is the start of an answer, or why there was none.
    """

    asked: str
    status: int | None = None
    tls: bool | None = None
    service: str | None = None
    fits: bool | None = None
    said: str = ""
    seconds: float = 0.0
    timed_out: bool = False


class ContainerState(Record):
    """A container, what it publishes, and what is inside. `state` is the engine's word: running, exited, created, paused, …

    `log` are its last lines, without secrets, if it is not running. `networks` are pairs of a network and an address of the
    container in it, `names` what it is called there. `restarts` counts how often its engine has started it again. `listeners` are its sockets that listen, None where they may not be
    seen; `netns` is the name of its network namespace. `claims` are what it will publish when it is started.
    """

    container: Container
    state: str
    exit_code: int | None = None
    restarts: int = 0
    error: str = ""
    health: str | None = None
    log: tuple[str, ...] = ()
    host_network: bool = False
    networks: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    publications: tuple[Publication, ...] = ()
    claims: tuple[Publication, ...] = ()
    exposed: tuple[int, ...] = ()
    netns: str | None = None
    listeners: tuple[Endpoint, ...] | None = None

    @property
    def is_up(self) -> bool:
        return self.state == "running"

    @property
    def is_looping(self) -> bool:
        """Whether it ends and is started again: between two starts, or just started again with nothing that listens."""
        return self.state == "restarting" or (self.is_up and self.restarts > 0 and not self.listeners)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address for _, address in self.networks)

    def published(self, port: int) -> Publication | None:
        """What it publishes, or will publish, as that TCP port of the host."""
        ours = (*self.publications, *self.claims)
        return next(
            (each for each in ours if each.endpoint.port == port and each.endpoint.transport is Transport.TCP), None
        )

    def published_from(self, target: int) -> Publication | None:
        """How its own TCP port is published, if it is."""
        ours = (*self.publications, *self.claims)
        return next((each for each in ours if each.target == target and each.endpoint.transport is Transport.TCP), None)


class Queue(Record):
    """How many connections wait to be accepted by a listening socket, and how many may (sock_diag(7), listen(2))."""

    netns: str
    endpoint: Endpoint
    waiting: int
    limit: int

    @property
    def is_full(self) -> bool:
        """Linux takes one more than the limit (sk_acceptq_is_full in include/net/sock.h), then answers no further SYN."""
        return self.waiting > self.limit


class Ruleset(Record):
    """What a packet filter's own program lists in one network namespace: `tool` is nft, iptables or ip6tables."""

    netns: str
    tool: str
    text: str


class Declared(Record):
    """What the project says of the target: the service that publishes the port there, and whose the port is now.

    `whose` is that of `portward verify`: mine, other-worktree, other-project, stranger or nobody. `runs` tells whether what has the
    port is the service, as `portward check` judges it. `exists` tells whether the service has a container, None where the engine
    was not asked or the service needs none.
    """

    service: str
    whose: str = "nobody"
    runs: bool = True
    compose: bool = False
    exists: bool | None = None
    project: str | None = None


class Evidence(Record):
    """All that was gathered about one target, at one instant: the only input of every check.

    `rows` are the sockets on the target's port, in every network namespace that could be entered, with their containers.
    `stopped` are processes of theirs that a signal has stopped. `may_bind` is what this user's bind of that port on the target's
    machine is refused for. `forwarder` is the program that holds a published port on this machine for its container, if any.
    `skipped` is what could not be seen.
    """

    target: Aim
    origin: Origin = Origin()
    lookup: Lookup = Lookup()
    doors: tuple[Door, ...] = ()
    rows: tuple[Listener, ...] = ()
    containers: tuple[ContainerState, ...] = ()
    queues: tuple[Queue, ...] = ()
    stopped: tuple[Process, ...] = ()
    rulesets: tuple[Ruleset, ...] = ()
    speech: Speech | None = None
    declared: Declared | None = None
    may_bind: Refusal | None = None
    forwarder: str | None = None
    system: System = System()
    skipped: tuple[Skipped, ...] = ()

    @property
    def door(self) -> Door | None:
        """The first door that answers, else the first of all."""
        return next((door for door in self.doors if door.answers), self.doors[0] if self.doors else None)

    @property
    def reached(self) -> bool:
        """Whether somebody answers at one of the target's addresses."""
        return any(door.answers for door in self.doors)

    @property
    def is_mute(self) -> bool:
        """Whether a forwarder takes connections for a container, and nothing comes back from there."""
        state, speech = self.own_container(), self.speech
        return state is not None and bool(state.publications) and speech is not None and speech.timed_out

    @property
    def homes(self) -> tuple[str, ...]:
        """The network namespaces of this machine that have an address of the target."""
        return tuple(dict.fromkeys(door.home for door in self.doors if door.home is not None))

    def listening(self, home: str | None = None) -> Iterator[Listener]:
        """The TCP sockets that listen on the target's port; with `home`, only those in one network namespace."""
        for row in self.rows:
            if row.state is State.LISTEN and (home is None or (row.netns or HERE) == home):
                yield row

    def serving(self, door: Door) -> tuple[Listener, ...]:
        """The sockets that a connection to this door's address meets."""
        if door.home is None:
            return ()
        return tuple(row for row in self.listening(door.home) if covers(row.endpoint, door.address))

    def state_of(self, name: str | None) -> ContainerState | None:
        """The container of that name."""
        return next((each for each in self.containers if each.container.name == name), None)

    def own_container(self) -> ContainerState | None:
        """The container that the target leads to: by its published port or an address of it on the target's host, or its name."""
        for door in self.doors:
            for row in self.serving(door):
                if row.container is not None:
                    return self.state_of(row.container.name)
        for state in self.containers:
            if any(door.address in state.addresses for door in self.doors):
                return state
        if self.target.service:
            named = (each for each in self.containers if self.target.service in (each.container.name, *each.names))
            if (found := next(filter(self.may_be_meant, named), None)) is not None:
                return found
        if HERE in self.homes:
            ours = (each for each in self.containers if each.published(self.target.port))
            return next(filter(self.may_be_meant, ours), None)
        return None

    def may_be_meant(self, state: ContainerState) -> bool:
        """Whether a container that does not have the port now may be what the target means: not where the project says whose it is."""
        declared, container = self.declared, state.container
        return declared is None or (container.service, container.project) == (declared.service, declared.project)


class Step(Record):
    """One thing that was looked at: whether it is as it should be, what was seen, and the cause that follows from it, if any."""

    name: str
    ok: bool
    detail: str
    cause: str | None = None
    fixes: tuple[Fix, ...] = ()


class Examined(Record):
    """What `doctor` found out. `reachable` tells whether a client that asks as the target says gets an answer."""

    target: str
    reachable: bool
    checks: tuple[Step, ...]
    cause: str | None
    fixes: tuple[Fix, ...]
    skipped: tuple[Skipped, ...] = ()


def covers(endpoint: Endpoint, address: str) -> bool:
    """Whether a socket that listens on the endpoint takes connections to an address."""
    return endpoint.overlaps(Endpoint(address, endpoint.port, endpoint.transport))


def is_loopback(address: str) -> bool:
    """Whether an address never leaves its network namespace (RFC 6890)."""
    return address.startswith(("127.", "::ffff:127.")) or address in ("::1", "localhost")


def is_wildcard(address: str) -> bool:
    """Whether a socket on the address takes connections on every interface."""
    return address in ("0.0.0.0", "::", ANY, "*")
