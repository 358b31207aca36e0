"""The declared truth: what a project's files say, each port at its place, and how the files are to change."""

from __future__ import annotations

from portward.model.live import ANY, LAST_PORT, Endpoint, PortRange, Skipped
from portward.records import Record, StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


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
    def suffix(self) -> str:
        """What follows a port that is not TCP's, as Compose writes it: "/udp"."""
        return "" if self.protocol.lower() == "tcp" else f"/{self.protocol.lower()}"

    @property
    def inside(self) -> str:
        """The container's port as Compose writes it: "443", "443/udp"; empty where none is written."""
        return "" if self.target is None else f"{self.target}{self.suffix}"

    @property
    def handle(self) -> str:
        """What tells a service's ports apart for a person: the container's port, else, without a container, the port itself."""
        return self.inside or f"{self.published or ''}{self.suffix}"

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
        defaults = [spec for spec in self.ports if spec.role is Role.FALLBACK and spec.side is Side.HOST]
        # a default that Compose's own files write is of what another service publishes
        return _distinct(own or [spec for spec in defaults if spec.origin != "compose-fallback"])

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
    environment replaces. `aside` are folders below that are projects of their own, where no Compose file is in force here.
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
    aside: tuple[str, ...] = ()

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
