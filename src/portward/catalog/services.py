"""The services of the catalog and the look-ups in it. The data is `services.csv`, read at the first look-up."""

from __future__ import annotations

from portward.catalog.kinds import OTHER, kind_of
from portward.catalog.ranges import browser_blocked
from portward.memo import cache
from portward.model import LAST_PORT, Custom, PortRange, Transport
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KIND_OF_CATEGORY = {
    "agent": "ai",
    "api-server": "api",
    "cache": "cache",
    "database": "database",
    "db-admin": "web",
    "dev-server": "web",
    "image-gen": "ai",
    "llm-gateway": "ai",
    "llm-server": "ai",
    "llm-ui": "ai",
    "messaging": "queue",
    "ml-app": "ai",
    "mlops": "ai",
    "model-serving": "ai",
    "notebook": "ai",
    "search": "database",
    "vector-db": "database",
    "web-framework": "api",
}

_HABITS = ("dev-server", "api-server")
"""The guide's categories that are not a product's: what one's own frontend or backend is usually given."""


class CatalogEntry(Record):
    """One use that a port is customarily put to.

    `port` is the port or range, inclusive, or None where there is no fixed number; `port_text` is that as written
    ("8080", "9201-9299", "random"). `protocol` is what is spoken over the transport ("http", "grpc", "any").
    `env_var`, `cli_flag` and `config_file` name what sets the port, with a remark in brackets or a place in the file;
    a `?` marks what was not verified. `note` says what upstream does where it contradicts the row.

    `source` starts with how the row is known, one or more of: guide (the project's guide has it), live (seen on a
    running server), source (read in source code), docs (read in documentation), convention. The citation follows.
    """

    service: str
    category: str
    port: PortRange | None
    port_text: str
    transport: Transport
    protocol: str
    role: str
    env_var: str | None
    cli_flag: str | None
    config_file: str | None
    note: str | None
    source: str

    @property
    def from_guide(self) -> bool:
        """Whether the project's guide has the row."""
        return self.source.startswith("guide")

    @property
    def kind(self) -> str:
        """The kind of the service, one of `KINDS`. Redis is a cache, though the guide lists it with the databases."""
        told = kind_of(None, self.service)
        return told if told in ("cache", "queue") else _KIND_OF_CATEGORY.get(self.category, OTHER)

    @property
    def label(self) -> str:
        """The service for people, with what upstream says where it contradicts the guide."""
        return f"{self.service} (by the guide; {self.note})" if self.note else self.service


_PORT = 2  # which column of the data file it is


@cache
def entries() -> tuple[CatalogEntry, ...]:
    """Every row of the catalog, in the order of the data file."""
    return tuple(map(_entry, _rows()))


def by_port(port: int, transport: Transport = Transport.TCP) -> tuple[CatalogEntry, ...]:
    """The rows whose port or range has this port.

    The guide's come first, of these the ones that upstream contradicts last; then the ports, then the ranges by width.
    """
    likely = (_entry(row) for row in _rows() if row[_PORT] == str(port) or "-" in row[_PORT])
    rows = (row for row in likely if row.port and port in row.port and row.transport == transport)
    return tuple(sorted(rows, key=lambda row: (not row.from_guide, row.note is not None, len(row.port or ()))))


def customary(port: int, transport: Transport = Transport.TCP) -> tuple[str, ...]:
    """The services that a port is customarily used for, each once, in the order of `by_port`.

    A service with a wide range, such as Ray's workers, is named only where no service has the port itself. One that
    upstream contradicts says so: "Open WebUI API (by the guide; upstream has no such listener)".
    """
    rows = by_port(port, transport)
    own = _own(rows)
    return tuple(dict.fromkeys(row.label for row in own or rows))


def custom_of(port: int) -> Custom:
    """What a TCP port means by custom: every service of the port itself, ranges apart, and whether browsers refuse it."""
    own = _own_rows().get(port, ())
    services = tuple(dict.fromkeys(row.service for row in own))
    return Custom(services, any("http" in row.protocol for row in own), browser_blocked(port))


def kind_of_port(port: int, transport: Transport = Transport.TCP) -> str:
    """The kind of service (one of `KINDS`) that a bare port number suggests; "other" where it suggests nothing.

    The guide decides where it has the port, first by what it gives one's own frontend and backend (8080 is "web", 5000
    is "api"), then by its products. Else the rows of the port itself do, where all that are of a kind are of the same.
    """
    rows = _own(by_port(port, transport))
    guide = sorted((row for row in rows if row.from_guide), key=lambda row: row.category not in _HABITS)
    kinds = {row.kind for row in guide[:1] or rows} - {OTHER}
    return kinds.pop() if len(kinds) == 1 else OTHER


def search(query: str) -> tuple[CatalogEntry, ...]:
    """The rows that a query means, the best first; empty when there are none.

    A port ("8080") or an ascending range ("8000-8100") finds the rows that cover some of it, on any transport: the
    guide's first, then single ports before ranges. Text is looked for in service, role and category, without regard to
    case, spaces and marks: "open web ui" finds Open WebUI. First come services of exactly that name, then those that
    start with it, then those that have it in their name, then the rest; of each, the guide's come first. Empty text
    finds every row.
    """
    asked = _as_range(query)
    if asked is not None:
        covering = ((row, row.port) for row in entries() if row.port and row.port.overlaps(asked))
        ranked = [((not row.from_guide, row.note is not None, len(ports), ports.low), row) for row, ports in covering]
        return tuple(row for _, row in sorted(ranked, key=lambda pair: pair[0]))
    squashed, words = _squash(query), query.casefold().split()
    if words and not squashed:
        return ()
    found = [(rank, row) for row in entries() if (rank := _rank(row, squashed, words)) is not None]
    found.sort(key=lambda pair: (pair[0], not pair[1].from_guide, pair[1].note is not None))
    return tuple(row for _, row in found)


@cache
def _own_rows() -> dict[int, tuple[CatalogEntry, ...]]:
    """The rows of each single TCP port, in the order of `by_port`."""
    ports = {row.port.low for row in _own(entries()) if row.port and row.transport is Transport.TCP}
    return {port: _own(by_port(port)) for port in ports}


def _own(rows: tuple[CatalogEntry, ...]) -> tuple[CatalogEntry, ...]:
    """The rows of a single port."""
    return tuple(row for row in rows if row.port and len(row.port) == 1)


def _rank(row: CatalogEntry, squashed: str, words: list[str]) -> int | None:
    """How well a row meets a text, 0 is best; None when it does not."""
    service = _squash(row.service)
    if squashed == service:
        return 0
    if service.startswith(squashed):
        return 1
    if squashed in service:
        return 2
    if squashed in _squash(row.role) or squashed in _squash(row.category):
        return 3
    everything = f"{row.service} {row.role} {row.category}".casefold()
    return 4 if all(word in everything for word in words) else None


def _squash(text: str) -> str:
    """Text in lower case without spaces and marks."""
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def _as_range(text: str) -> PortRange | None:
    """The port or ascending range of ports that a text is, or None."""
    low, dash, high = text.strip().partition("-")
    if not _is_number(low) or (dash and not _is_number(high)):
        return None
    ports = PortRange(int(low), int(high or low))
    return ports if ports.low <= ports.high else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(LAST_PORT))


@cache
def _rows() -> tuple[list[str], ...]:
    """The data file's rows as they stand there: most answers need few of them."""
    import _csv as csv  # what `csv` is built on, and all that is needed: that loads `re`, which takes a seventh of an answer

    from portward.catalog import __path__ as folders

    loader: Any = __spec__.loader  # importlib.resources would cost more than the look-up
    lines = loader.get_data(f"{folders[0]}/services.csv").decode().splitlines()
    return tuple(csv.reader(lines[1:]))


def _entry(row: list[str]) -> CatalogEntry:
    service, category, port, transport, protocol, role, env_var, cli_flag, config_file, note, source = row
    return CatalogEntry(
        service,
        category,
        _as_range(port),
        port,
        Transport(transport),
        protocol,
        role,
        env_var or None,
        cli_flag or None,
        config_file or None,
        note or None,
        source,
    )
