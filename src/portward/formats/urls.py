"""Ports inside URLs: `http://localhost:5000/api`, `postgres://user:secret@db:5432/app`, `mongodb://a:27017,b:27018/app`.

And in values that are nothing but addresses: `localhost:9092`, `kafka-1:9092,kafka-2:9092`, `:8080`; or that say host and port in words:
`host=db port=5432`, `Server=db;Port=3306`, `Server=db,1433` (libpq 34.1.1.1, ADO.NET).

Only a port that the URL writes is of interest, never the default of its scheme. Grammar: RFC 3986, section 3.2 (authority),
read as the libraries of databases do: a user's name and password end at the last `@`, whatever is in them, and where a scheme
allows several hosts, they are divided by commas (libpq 34.1.1.3, the MongoDB and RabbitMQ URI specifications, JDBC drivers).
"""

from __future__ import annotations

import re

from portward.model import ANY, LAST_PORT, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}\Z")
_LONGEST_SCHEME = 32
_WHOLE = 4  # digits
_AUTHORITY = re.compile(r"(?:\$\{[^{}\s]*+\}|[^\s/?#'\"`<>\\])*+")
_HOST_AND_PORT = re.compile(
    r"(?P<host>\[[0-9A-Za-z:.%_-]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|[+*]|\$\{\w+(?::-?|-)(?P<usual>[\w.-]+)\})"
    r":(?P<port>[0-9]{1,10})(?![0-9A-Za-z_]|[:.@-]+[0-9A-Za-z_@])"
)
_ORACLE = re.compile(
    r"jdbc:oracle:thin:[^\s'\"`@]{0,200}+@(?://)?(?P<host>[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,10})(?![0-9A-Za-z_])"
)
_ADDRESS = re.compile(
    r" ?(?P<host>\[[0-9A-Fa-f:.]+\]|(?:[0-9]{1,3}\.){3}[0-9]{1,3}|(?=[0-9_.-]*[A-Za-z])[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\*|)"
    r":(?P<port>[1-9][0-9]{1,4})"
)
_HOST_WORD = re.compile(
    r"(?:^|[;\s])(?:host|hostname|server|data source|address|addr|network address)\s*=\s*(?:tcp:)?(?P<host>\w[\w.-]*)"
    r"(?:\s*,\s*(?P<port>[1-9][0-9]{0,4}))?\s*(?=[;\s]|$)",
    re.IGNORECASE,
)
_PORT_WORD = re.compile(r"(?:^|[;\s])port\s*=\s*(?P<port>[1-9][0-9]{0,4})\s*(?=[;\s]|$)", re.IGNORECASE)
_NUMERIC = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")
_MOST_ADDRESSES = 32
_LEAST_OF_NAMED = 1000  # below, it is an image's tag: `postgres:16`
_HERE = ("localhost", "0.0.0.0", "::1", "::", "+", "*", "host.docker.internal", "gateway.docker.internal")
_OF_SEVERAL_HOSTS = {
    *("amqp", "amqps", "cassandra", "elasticsearch", "etcd", "kafka", "loadbalance", "mariadb", "memcached", "mongodb"),
    *("mysql", "nats", "postgres", "postgresql", "redis", "redis-cluster", "redis-sentinel", "rediss", "replication"),
    *("sentinel", "zk", "zookeeper"),
}


class UrlPort(Record):
    """A URL's scheme, one of its hosts (brackets off) and the port of that host as text, with the port's span."""

    scheme: str
    host: str
    port: str
    span: Span


def find(text: str, offset: int = 0) -> Iterator[UrlPort]:
    """Every port that a URL in the text writes. `offset` is added to the spans.

    A host that is a variable with a default (`${DB_HOST:-db}`) is its default; one without is not given, for nobody can
    tell whose port that is.
    """
    mark = text.find("://")
    while mark >= 0:
        scheme = _SCHEME.search(text[max(0, mark - _LONGEST_SCHEME) : mark])
        start = mark + len("://")
        authority = _AUTHORITY.match(text, start)
        if scheme and authority:
            yield from _ports(scheme.group().lower(), text, start, authority.end(), offset)
        mark = text.find("://", start)
    for match in _ORACLE.finditer(text) if "jdbc:oracle:" in text else ():
        start, end = match.span("port")
        yield UrlPort("oracle", match["host"], match["port"], Span(start + offset, end + offset))


def addresses(text: str, offset: int = 0) -> tuple[UrlPort, ...]:
    """The ports of a value that is a list of addresses as a whole, or a connection in words, with an empty scheme.

    `offset` is added to the spans. A host that is not written (`:8080`) is 0.0.0.0. None where a part may be something else: a time, an
    image with its tag.
    """
    if "=" in text:
        return _connection(text, offset)
    found: list[UrlPort] = []
    start = 0
    for part in text.split(",", _MOST_ADDRESSES) if ":" in text else ():
        match = _ADDRESS.fullmatch(part)
        if match is None or not _is_address(host := match["host"].strip("[]"), int(match["port"])):
            return ()
        span = Span(start + offset + match.start("port"), start + offset + match.end("port"))
        found.append(UrlPort("", host or "0.0.0.0", match["port"], span))
        start += len(part) + 1
    return tuple(found)


def _connection(text: str, offset: int) -> tuple[UrlPort, ...]:
    host = _HOST_WORD.search(text)
    port = host if host and host["port"] else _PORT_WORD.search(text)
    if host is None or port is None or int(port["port"]) > LAST_PORT:
        return ()
    start, end = port.span("port")
    return (UrlPort("", host["host"], port["port"], Span(start + offset, end + offset)),)


def in_value(text: str, offset: int = 0) -> Iterator[UrlPort]:
    """The ports of a variable's value: of the URLs in it, or of the addresses that it is."""
    yield from find(text, offset)
    yield from addresses(text, offset)


def of_this_machine(text: str, offset: int = 0) -> tuple[UrlPort, ...]:
    """As `addresses`, where all ask for this machine: in code, `user:1234` may be anything."""
    found = addresses(text, offset)
    return found if all(is_loopback(each.host) and not is_unspecific(each.host) for each in found) else ()


def _is_address(host: str, port: int) -> bool:
    is_named = host == "" or any(sign.isalpha() for sign in host if ":" not in host)
    return port <= LAST_PORT and (port >= _LEAST_OF_NAMED or not is_named or is_loopback(host))


def _ports(scheme: str, text: str, start: int, end: int, offset: int) -> Iterator[UrlPort]:
    start = max(start, text.rfind("@", start, end) + 1)
    is_list = scheme.partition("+")[0] in _OF_SEVERAL_HOSTS
    while start < end:
        comma = text.find(",", start, end) if is_list else -1
        match = _HOST_AND_PORT.match(text, start, comma if comma >= 0 else len(text))
        if match and match.end() <= end and not _goes_on(text, match):
            host = match["usual"] or match["host"].strip("[]")
            span = Span(match.start("port") + offset, match.end("port") + offset)
            yield UrlPort(scheme, host, match["port"], span)
        start = comma + 1 if comma >= 0 else end


def _goes_on(text: str, match: re.Match[str]) -> bool:
    """Whether the number is but the beginning of one: `:50${SUFFIX}`, `:50%d`. What follows a whole port is the path."""
    return len(match["port"]) < _WHOLE and text[match.end() : match.end() + 1] in ("$", "%", "{")


def bound(host: str) -> str:
    """The address that a server binds which is told this host, without brackets; a name counts as all of them."""
    return host if _NUMERIC.fullmatch(host) else ANY


def is_unspecific(host: str) -> bool:
    """Whether a server that is told this host listens on all addresses."""
    return host in ("*", "0.0.0.0", "::")


def is_loopback(host: str) -> bool:
    """Whether a host name or address in a project's file means the machine that the stack runs on."""
    return host.lower() in _HERE or host.startswith("127.") or host.lower().endswith(".localhost")


def side(host: str) -> Side:
    """Whose port a URL names: a loopback host has the host's (published) port, a service name the container's."""
    return Side.HOST if is_loopback(host) else Side.CONTAINER
